"""How long steps stay: rules by which they expire, holds that nothing beats, and removing what has expired."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawful import ENCODERS, few, shown
from strategies import CUES, logs, opened, played, said
from typer.testing import CliRunner

from agentmem import InvalidInputError, Memory, Rule
from agentmem.cli import app
from agentmem.errors import ErasedError, HeldError, NotFoundError, ReadOnlyError
from agentmem.mcp.scope import Scope
from agentmem.recall import Weights
from agentmem.replay import replay
from agentmem.testing import FakeClock
from agentmem.transfer.back import Importer
from agentmem.types import Step

DAY = 86_400
WEEK = timedelta(days=7)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(tick=0.0)


@pytest.fixture
def doors(file: Path, clock: FakeClock) -> Iterator[Memory]:
    """A step a day for ten days: of two agents, every other one about Ann, every third of the web."""
    with opened(file, clock=clock) as memory:
        writers = [memory.episode(id=name, agent=name) for name in ("porter", "guard")]
        for n in range(10):
            clock.advance(DAY)
            writers[n % 2].log(
                f"The red door {n} is open.",
                kind="action" if n == 4 else "observation",
                subjects=["ann"] if n % 2 else [],
                trust="web" if n % 3 == 0 else None,
            )
        yield memory


def numbers(memory: Memory, **options: Any) -> list[int]:
    """Which doors are recalled."""
    return sorted(int(text.split()[3]) for text in said(memory, **options))


def there(memory: Memory) -> list[int]:
    """Which doors are in the log."""
    return [int(step.text.split()[3]) for step in memory.steps()]


# ---- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (Rule(max_age=timedelta(days=3)), [0, 1, 2, 3, 4, 5]),
        (Rule(max_steps=4), [0, 1, 2, 3, 4, 5]),
        (Rule(kind="action", max_steps=0), [4]),
        (Rule(subject="ann", max_steps=0), [1, 3, 5, 7, 9]),
        (Rule(trust="web", max_steps=1), [0, 3, 6]),
        (Rule(agent="porter", max_age=timedelta(days=5)), [0, 2]),
        (Rule(subject="ann", trust="web", agent="guard", max_steps=0), [3, 9]),
    ],
)
def test_what_a_rule_is_about_expires_beyond_its_limit(doors: Memory, rule: Rule, gone: list[int]) -> None:
    left = [n for n in range(10) if n not in gone]
    assert doors.retain([rule], dry_run=True).steps == len(gone)
    assert numbers(doors) == list(range(10))
    last = list(doors.steps())[-1].id
    assert doors.retain(rule.model_dump_json(exclude_none=True).join("[]")).steps == len(gone)
    assert doors.rules() == (rule,)
    assert numbers(doors) == numbers(doors, as_of=last) == left
    assert there(doors) == list(range(10))
    assert doors.expire().steps == len(gone)
    assert (numbers(doors), there(doors)) == (left, left)
    assert doors.verify().ok


def test_several_rules_add_up_and_none_bring_back_what_was_not_removed_yet(doors: Memory) -> None:
    before = doors.recall("red door").text
    doors.retain([{"max_age": "P3D"}, {"subject": "ann", "max_steps": 1}])
    assert numbers(doors) == [6, 8, 9]
    doors.retain([])
    assert doors.recall("red door").text == before
    assert doors.expire().certificate is None


def test_pins_keep_steps_from_all_limits_but_an_age(doors: Memory) -> None:
    doors.pin([next(doors.steps()).id])
    doors.retain([Rule(max_steps=2)])
    assert numbers(doors) == [0, 8, 9]
    doors.retain([Rule(max_age=WEEK)])
    assert numbers(doors) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_recall_goes_by_the_time_of_the_log_and_removing_by_the_clock(doors: Memory, clock: FakeClock) -> None:
    doors.retain([Rule(max_age=WEEK)])
    clock.advance(5 * DAY)  # nothing is logged
    assert numbers(doors) == list(range(2, 10))
    assert doors.expire(dry_run=True).steps == 7
    assert doors.expire().steps == 7
    assert numbers(doors) == [7, 8, 9]


def test_a_line_of_the_future_removes_nothing(doors: Memory, clock: FakeClock) -> None:
    doors.retain([Rule(max_age=WEEK)])
    read_back(doors, ['{"episode": "x", "id": "1", "text": "The red door 99 is open.", "logged_at": "2100-01-01"}'])
    assert numbers(doors) == [99]
    assert doors.expire(dry_run=True).steps == 2
    doors.erase(episode="x")
    assert numbers(doors) == list(range(2, 10))


def test_what_repeats_or_showed_it_goes_too_and_its_subject_may_be_logged_about_again(
    doors: Memory, clock: FakeClock
) -> None:
    with doors.episode(id="asked") as episode:
        episode.recall("Is the red door 1 open?")
    doors.crystallize()
    doors.retain([Rule(subject="ann", max_age=timedelta(days=1))])
    would = doors.expire(dry_run=True)
    assert (would.steps, would.recalls) == (4, 1)
    counts = {"dry_run", "surfaces", "certificate"}
    report = doors.acting("officer").expire()
    assert report.model_dump(exclude=counts) == would.model_dump(exclude=counts)
    assert report.certificate is not None
    assert (report.certificate.request, report.certificate.who) == ("expired", "officer")
    assert doors.confirm(report.certificate).ok
    assert not any("door 1 " in crystal.text for crystal in doors.crystals())
    doors.episode(id="porter").log("Ann is back.", subjects=["ann"])


def test_a_version_of_recall_says_which_steps_had_expired(doors: Memory, clock: FakeClock) -> None:
    as_of = list(doors.steps())[6].id
    doors.retain([Rule(max_age=WEEK)])
    before = doors.recall("red door", as_of=as_of)
    clock.advance(DAY)
    doors.episode(id="guard").log("It rains.")
    after = doors.recall("red door", as_of=as_of)
    assert len(before.hits) == len(after.hits) + 1
    assert before.store_version != after.store_version
    assert Scope(doors).intact([before, after]) == [after]
    assert all(step.id not in {hit.id for hit in before.hits} for step in list(doors.steps())[:2])


def test_a_replay_says_that_steps_expired_since(doors: Memory, clock: FakeClock) -> None:
    doors.retain([Rule(max_age=timedelta(days=20))])
    episode = doors.episode(id="asked")
    episode.recall("red door")
    episode.log("They are open.")
    clock.advance(15 * DAY)
    episode.log("So they were.")
    (frame, *_) = replay(doors, "asked")
    assert [recall.why for recall in frame.recalls] == ["steps expired since, by the rules of their namespace"]


def test_least_salient_units_go_once_and_what_was_kept_is_not_weighed_again() -> None:
    texts = ["and so on and so forth, well, yes", "ERROR 4711: Harbour invoice 88 of 12 May failed with 17.50 EUR"]
    with opened() as memory:
        for n in range(40):
            with memory.episode(id=f"e{n}") as episode:
                episode.log_many([f"{texts[n % 2]} {n}." for _ in range(3)])
        memory.crystallize()
        least = sorted(crystal.salience for crystal in memory.crystals(["unit"]))[len(memory.crystals(["unit"])) // 2]
        report = memory.retain([Rule(min_salience=least)])
        assert 0 < report.steps < 120
        assert all("ERROR" in step.text for step in list(memory.steps())[-1:])
        assert memory.expire().steps == report.steps
        assert memory.stats().watermark
        assert memory.expire(dry_run=True).steps == 0
        assert memory.retain([Rule(min_salience=least)], dry_run=True).steps == 0
        for n in range(2):
            with memory.episode(id=f"new {n}") as episode:
                episode.log_many([f"{texts[0]}." for _ in range(3)])
        memory.crystallize()
        assert memory.expire(dry_run=True).steps >= 3  # what is new is weighed


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{}], "has no limit; give it max_age, max_steps or min_salience"),
        ([{"max_age": -1}], "greater than 0"),
        ([{"max_steps": -1}], "greater than or equal to 0"),
        ([{"max_age": "P1D", "colour": "red"}], "colour"),
        ([{"kind": "thought", "max_steps": 1}], "'observation', 'action' or 'message'"),
        ([{"subject": "", "max_steps": 1}], "at least 1 character"),
        ({"max_age": "P1D"}, "give a list of rules"),
        ("[{", "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_rules_that_are_none_are_refused_and_nothing_changes(doors: Memory, rules: Any, said: str) -> None:
    doors.retain([Rule(max_age=WEEK)])
    head = doors.head()
    with pytest.raises(InvalidInputError, match=said):
        doors.retain(rules)
    assert (doors.head(), doors.rules()) == (head, (Rule(max_age=WEEK),))


def test_rules_are_of_one_namespace_alone_and_a_memory_opened_to_read_only_previews(doors: Memory, file: Path) -> None:
    other = doors.scoped("other")
    other.episode(id="e").log("The red door 77 is open.")
    doors.retain([Rule(max_steps=0)])
    assert (numbers(doors), numbers(other)) == ([], [77])
    assert other.rules() == ()
    doors.close()
    with opened(file, read_only=True) as memory:
        assert memory.expire(dry_run=True).steps == 10
        with pytest.raises(ReadOnlyError):
            memory.expire()


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
            with pytest.raises(HeldError, match=r"held, \d by 'case 17', .*lift\('case 17'\) first"):
                doors.erase(**request, dry_run=dry_run)
    assert doors.head() == head
    assert doors.lift("case 17") == 5
    assert doors.holds() == []
    assert doors.expire().steps == 5
    assert there(doors) == []


def test_a_hold_is_on_what_is_logged_later_and_on_a_subject_of_whom_nothing_is_known(doors: Memory) -> None:
    doors.retain([Rule(max_steps=0)])
    assert doors.hold("case 1", subject="zoe") == 0
    with pytest.raises(HeldError, match="0 by 'case 1'"):
        doors.erase(subject="zoe")
    doors.episode(id="guard").log("The red door 20 is Zoe's.", subjects=["zoe"])
    assert numbers(doors) == [20]
    doors.erase(subject="ann")
    assert 20 in there(doors)


def test_a_hold_that_another_process_makes_while_an_erasure_looks_is_kept(doors: Memory, file: Path) -> None:
    store, tries = doors._core.store, list[Any]()
    erase = store.erase

    def late(*given: Any) -> bool:
        tries.append(given)
        if len(tries) == 1:
            with opened(file) as other:
                other.hold("case 17", subject="ann")
        return erase(*given)

    store.erase = late  # type: ignore[method-assign]
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

    store.erase = late  # type: ignore[method-assign]
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


def read_back(memory: Memory, lines: Sequence[str]) -> list[str]:
    refused: list[str] = []
    importer = Importer(memory._core.store, (), memory._core.clock, lambda _, problem: refused.append(problem))
    for number, line in enumerate(lines, 1):
        importer.add(number, json.loads(line))
    importer.flush()
    return refused


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


# ---- laws ------------------------------------------------------------------------------------------------------------

RULES = st.lists(
    st.builds(
        Rule,
        kind=st.sampled_from((None, None, "observation", "action")),
        trust=st.sampled_from((None, None, "web", "user")),
        agent=st.sampled_from((None, None, "agent a", "agent b")),
        max_age=st.sampled_from((None, timedelta(seconds=2), timedelta(seconds=9))),
        max_steps=st.integers(0, 20),
    ),
    min_size=1,
    max_size=2,
)


def beyond(memory: Memory, rules: Sequence[Rule], pinned: set[str], held: set[str]) -> set[str]:
    """What has expired, said plainly."""
    agents = {episode.id: episode.agent for episode in memory.episodes()}
    now, gone = max(memory._core.store.times(())), set[str]()

    def about(rule: Rule, step: Step) -> bool:
        own = {"kind": step.kind, "trust": step.trust, "agent": agents[step.episode]}
        return all(getattr(rule, name) in (None, value) for name, value in own.items())

    for rule in rules:
        steps = [step for step in memory.steps() if about(rule, step)]
        newest = steps[len(steps) - rule.max_steps :] if rule.max_steps else []
        gone |= {step.id for step in steps if step not in newest and step.id not in pinned}
        if rule.max_age is not None:
            gone |= {step.id for step in steps if now - step.logged_at.timestamp() > rule.max_age.total_seconds()}
    return gone - held


def pieces(memory: Memory) -> list[Any]:
    """What is ranked, with scores, reasons and ages; without states, which depend on the step before."""
    return [[hit.model_dump() for hit in memory.rank(cue, weights=Weights(state=0))] for cue in CUES]


def check_law(said: Any, rules: Sequence[Rule], encoder: Any, sealed: bool, settings: dict[str, Any]) -> None:
    clock = FakeClock()
    with played(said, encoder=encoder, clock=clock, **settings) as memory:
        if sealed:
            memory.crystallize()
        ids = [step.id for step in memory.steps()]
        memory.pin(ids[1:2])
        pinned, held = set(ids[1:2]), set(ids[2:5])
        if held:
            memory.hold("case", steps=sorted(held))
        clock.tick = 0.0
        would = memory.retain(rules)
        gone = beyond(memory, rules, pinned, held)
        contexts = [memory.recall(cue, 400, layers=layers) for cue in CUES for layers in (None, ("unit", "atom"))]
        crystals = {crystal.id: crystal for crystal in memory.crystals()}
        for hit in (hit for context in contexts for hit in context.hits):
            spans = crystals[hit.id].spans if hit.layer != "step" else ()
            assert gone.isdisjoint({hit.id, *(f"s{span.position:011d}" for span in spans)})
        again = [memory.recall(cue, 400, layers=layers) for cue in CUES for layers in (None, ("unit", "atom"))]
        assert list(map(shown, contexts)) == list(map(shown, again))
        before, found = pieces(memory), {hit.id for cue in CUES for hit in memory.rank(cue)}
        report = memory.expire()
        counts = {"dry_run", "residue", "surfaces", "certificate"}
        assert report.model_dump(exclude=counts) == would.model_dump(exclude=counts)
        assert [step.id for step in memory.steps()] == [one for one in ids if one not in gone]
        if not sealed:
            assert pieces(memory) == before
        assert {hit.id for cue in CUES for hit in memory.rank(cue)} == found
        head = memory.head()
        assert memory.expire().steps == 0
        assert memory.head() == head
        assert memory.verify().ok


DRAWN = st.tuples(logs(1, 5), RULES, ENCODERS, st.booleans())


class TestExpired:
    @few(8)
    @given(DRAWN)
    def test_it_is_never_recalled_and_what_the_preview_says_is_removed_once(self, drawn: Any) -> None:
        check_law(*drawn, {})

    @pytest.mark.slow
    @few(50)
    @given(st.tuples(logs(1, 14), RULES, ENCODERS, st.booleans()), st.sampled_from(("keep", "crystals")))
    def test_also_of_longer_logs_and_under_both_policies_of_bytes(self, drawn: Any, retain: str) -> None:
        check_law(*drawn, {"retain": retain})


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
    assert call("retain", file, rules).split() == ["expired", "2", "steps"]
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
