"""Holds, which nothing beats; rules and holds in the log, and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doors import WEEK, numbers, read_back, there
from strategies import opened
from typer.testing import CliRunner

from agentmem import InvalidInputError, Memory, Rule
from agentmem.cli import app
from agentmem.errors import ErasedError, HeldError, NotFoundError
from agentmem.testing import FakeClock

# ---- holds -----------------------------------------------------------------------------------------------------------

HOLDS: dict[str, Callable[[Memory], dict[str, Any]]] = {
    "subject": lambda _: {"subject": "ann"},
    "episode": lambda _: {"episode": "guard"},
    "steps": lambda memory: {"steps": [step.id for step in memory.steps() if step.episode == "guard"]},
}


@pytest.mark.parametrize("by", HOLDS)
def test_a_hold_beats_every_rule_and_refuses_erasure_until_it_is_lifted(doors: Memory, by: str) -> None:
    doors.retain([Rule(max_steps=0)])
    assert numbers(doors) == []
    assert doors.hold("case 17", **HOLDS[by](doors), reason="the court asks") == 5
    (hold,) = doors.holds()
    assert (hold.name, hold.reason) == ("case 17", "the court asks")
    assert numbers(doors) == [1, 3, 5, 7, 9]
    assert doors.expire().steps == 5
    head = doors.head()
    requests = ({"subject": "ann"}, {"episode": "guard"}, {"namespace": ()}, {"steps": next(doors.steps()).id})
    for request in requests:
        for dry_run in (True, False):
            with pytest.raises(HeldError, match=r"held: the hold 'case 17' .* keeps \d of .*lift\('case 17'\) first"):
                doors.erase(**request, dry_run=dry_run)
    assert doors.head() == head
    assert doors.lift("case 17") == 5
    assert doors.holds() == []
    assert doors.expire().steps == 5
    assert there(doors) == []


def test_a_hold_is_on_what_is_logged_later_and_on_a_subject_of_whom_nothing_is_known(doors: Memory) -> None:
    doors.retain([Rule(max_steps=0)])
    assert doors.hold("case 1", subject="zoe") == 0
    with pytest.raises(HeldError, match=r"named by the hold 'case 1' on subject 'zoe'.*lift\('case 1'\) first"):
        doors.erase(subject="zoe")
    doors.episode(id="guard").log("The red door 20 is Zoe's.", subjects=["zoe"])
    assert numbers(doors) == [20]
    doors.erase(subject="ann")
    assert 20 in there(doors)


def test_a_name_that_is_held_is_not_given_to_something_else(doors: Memory) -> None:
    assert doors.hold("case", subject="ann", reason="the court asks") == 5
    head = doors.head()
    assert doors.hold("case", subject="ann") == doors.hold("case", subject="ann", reason="the court asks") == 5
    for other in ({"subject": "bob"}, {"episode": "guard"}, {"steps": next(doors.steps()).id}):
        with pytest.raises(HeldError, match=r"'case' is on subject 'ann', not .* lift\('case'\) first, or .* another"):
            doors.hold("case", **other)
    assert doors.head() == head
    doors.hold("case", subject="ann", reason="the appeal court asks")
    assert [(one.subject, one.reason) for one in doors.holds()] == [("ann", "the appeal court asks")]
    doors.lift("case")
    doors.hold("case", subject="bob")
    assert [one.subject for one in doors.holds()] == ["bob"]


def test_a_hold_on_many_steps_is_told_from_one_on_a_few_more(memory: Memory) -> None:
    with memory.episode(id="long") as episode:
        ids = [episode.log(f"Door {number}.").id for number in range(30)]
    assert memory.hold("case 1", steps=ids[:20]) == 20
    with pytest.raises(HeldError, match=r"'case 1' is on 20 steps, .*, not 21 steps, .*lift\('case 1'\) first"):
        memory.hold("case 1", steps=[*ids[:20], ids[25]])
    assert memory.hold("case 1", steps=ids[19::-1]) == 20
    memory.hold("case 2", steps=[ids[0], ids[0]])
    with pytest.raises(HeldError, match=r"'case 2' is on 1 step, .*, not 2 steps, "):
        memory.hold("case 2", steps=ids[:2])


def test_a_hold_that_another_process_makes_while_an_erasure_looks_is_kept(doors: Memory, file: Path) -> None:
    store, tries = doors._core.store, list[Any]()
    erase = store.erase

    def late(*given: Any) -> bool:
        tries.append(given)
        if len(tries) == 1:
            with opened(file) as other:
                other.hold("case 17", subject="ann")
        return erase(*given)

    store.erase = late  # type: ignore[method-assign, assignment]
    with pytest.raises(HeldError):
        doors.erase(subject="ann")
    assert len(tries) == 1
    assert there(doors) == list(range(10))
    assert doors.verify().ok


def test_two_that_remove_at_once_remove_it_once(doors: Memory, file: Path, clock: FakeClock) -> None:
    doors.retain([Rule(max_steps=3)])
    store, reports = doors._core.store, list[Any]()
    erase = store.erase

    def late(*given: Any) -> bool:
        if not reports:
            with opened(file, clock=clock) as other:
                reports.append(other.expire())
        return erase(*given)

    store.erase = late  # type: ignore[method-assign, assignment]
    reports.append(doors.expire())
    assert [report.steps for report in reports] == [7, 0]
    assert [change.what for change in doors.changes()].count("erased") == 1
    assert doors.verify().ok


def test_under_a_promise_of_bytes_no_text_that_is_held_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentmem.memory import retention

    monkeypatch.setattr(retention, "FIXED", 0)
    monkeypatch.setattr(retention, "RATE", 0.0)
    with opened(retain="crystals", horizon=0) as memory:
        for name in ("held", "loose"):
            episode = memory.episode(id=name)
            episode.log_many([f"The red door {n} of {name} is open, and so on. Well, yes, it is." for n in range(60)])
        memory.hold("case 17", episode="held")
        memory.crystallize()
        lost = {step.episode for step in memory.steps() if step.lost}
        assert lost == {"loose"}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"name": "", "subject": "ann"}, InvalidInputError, "name"),
        ({"name": "a"}, InvalidInputError, "exactly one of subject, episode, steps"),
        ({"name": "a", "subject": "ann", "episode": "guard"}, InvalidInputError, "exactly one"),
        ({"name": "a", "episode": "gard"}, NotFoundError, "guard"),
        ({"name": "a", "steps": "s00000000099"}, NotFoundError, "no step"),
        ({"name": "a", "steps": []}, InvalidInputError, "on no steps"),
    ],
)
def test_a_hold_on_nothing_is_refused(doors: Memory, given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        doors.hold(**given)
    with pytest.raises(NotFoundError, match="there is no hold 'a'; there is none yet"):
        doors.lift("a")


# ---- in the log ------------------------------------------------------------------------------------------------------


def test_rules_and_holds_are_exported_and_imported_and_the_latest_counts(doors: Memory, tmp_path: Path) -> None:
    doors.retain([Rule(max_steps=9)])
    doors.hold("by steps", steps=[next(doors.steps()).id], reason="asked for")
    doors.hold("by episode", episode="porter")
    doors.hold("lifted", subject="ann")
    doors.lift("lifted")
    doors.retain([Rule(max_age=WEEK), Rule(subject="ann", max_steps=2)])
    doors.export(tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    with opened() as other:
        assert read_back(other, lines) == []
        assert other.rules() == doors.rules()
        assert [hold.name for hold in other.holds()] == ["by episode", "by steps"]
        assert len(other.holds()[1].steps) == 1
        assert numbers(other) == numbers(doors) == [0, 2, 4, 6, 7, 8, 9]
        other.retain([])
        assert read_back(other, lines) == []
        assert other.rules() == ()
    for bad in ('{"type": "rules", "rules": [{"max_steps": "many"}]}', '{"type": "hold", "name": "a"}'):
        assert "cannot be read" in read_back(doors, [bad])[0]


def test_changes_tell_rules_and_holds_without_names_of_subjects(doors: Memory) -> None:
    officer = doors.acting("officer")
    officer.retain([Rule(subject="ann", max_steps=1)])
    officer.retain([Rule(subject="ann", max_steps=1)])  # the same: nothing is logged
    officer.hold("case 17", subject="ann")
    officer.lift("case 17")
    told = [(change.what, change.who, change.detail) for change in doors.changes()[2:]]
    assert told == [
        ("rules", "officer", {"rules": 1}),
        ("hold", "officer", {"name": "case 17", "held": True}),
        ("hold", "officer", {"name": "case 17", "held": False}),
    ]


def test_who_is_erased_is_named_by_no_rule_and_no_hold_any_more(doors: Memory, tmp_path: Path) -> None:
    doors.retain([Rule(subject="ann", max_steps=3), Rule(max_steps=8)])
    doors.hold("case 17", subject="ann")
    doors.lift("case 17")
    doors.export(tmp_path / "a.jsonl")
    doors.erase(subject="ann")
    assert doors.rules() == (Rule(max_steps=8),)
    assert not any("ann" in record.body for record in doors._core.store.scan(types=["rules", "hold"]))
    for verb in (lambda: doors.retain([Rule(subject="ann", max_steps=1)]), lambda: doors.hold("b", subject="ann")):
        with pytest.raises(ErasedError, match="lets it in"):
            verb()
    refused = read_back(doors, (tmp_path / "a.jsonl").read_text().splitlines())
    assert sum("it names subject 'ann'" in one for one in refused) == 2
    assert doors.rules() == (Rule(max_steps=8),)


def test_a_restored_copy_expires_again_by_its_rules(doors: Memory, tmp_path: Path, clock: FakeClock) -> None:
    doors.backup(tmp_path / "before.mem")
    doors.retain([Rule(max_age=WEEK)])
    doors.backup(tmp_path / "after.mem")
    certificate = doors.expire().certificate
    assert certificate is not None
    with opened(tmp_path / "after.mem", clock=clock) as copy:
        assert [report.steps for report in copy.erase_again(certificate)] == [2]
        assert there(copy) == there(doors)
    with opened(tmp_path / "before.mem", clock=clock) as copy, pytest.raises(InvalidInputError, match="has no rules"):
        copy.erase_again(certificate)


# ---- on the command line ---------------------------------------------------------------------------------------------


def test_the_command_line_sets_shows_previews_and_removes(doors: Memory, file: Path, tmp_path: Path) -> None:
    doors.close()
    rules = tmp_path / "rules.json"
    rules.write_text('[{"max_steps": 3, "subject": "ann"}]')

    def call(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
        assert done.exit_code == code, done.output
        return done.output

    assert call("retain", file, rules, "--dry-run").split() == ["would", "expire", "2", "steps"]
    assert "nothing expires" in call("retain", file)
    assert call("retain", file, rules).startswith("set  2 steps out of recall by these rules  `agentmem expire")
    assert call("hold", file, "case 17", "--episode", "guard", "--reason", "asked").split() == ["held", "5", "steps"]
    told = json.loads(call("retain", file, "--json"))
    assert told["rules"] == json.loads(rules.read_text())
    assert told["holds"] == [{"name": "case 17", "episode": "guard", "reason": "asked"}]
    assert "case 17 on episode guard" in call("retain", file)
    assert "nothing has expired" in call("expire", file, "--yes")
    assert "error: of 5 steps" in call("erase", file, "--subject", "ann", "--yes", code=1)
    assert call("hold", file, "case 17", "--lift").split() == ["lifted", "5", "steps"]
    assert json.loads(call("expire", file, "--dry-run", "--json"))["steps"] == 2
    assert call("expire", file, "--yes", "--certificate", tmp_path / "c.json").startswith(
        "erased  2 steps of 1 episode"
    )
    assert json.loads((tmp_path / "c.json").read_text())["request"] == "expired"
    assert "no file" in call("retain", file, tmp_path / "none.json", code=1)
    call("hold", file, "a", "--lift", "--subject", "ann", code=2)
