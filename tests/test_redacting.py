"""What is masked and what is refused of what is logged, and how that is set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from secrets_made import MASKED, SAID, TOKEN, bytes_of
from strategies import opened
from typer.testing import CliRunner

import agentmem
from agentmem import Memory, Rule
from agentmem.cli import app
from agentmem.errors import AgentMemError, InvalidInputError, KeyConflictError, RefusedError, SettingsError
from agentmem.ingest import ingest, rehearse
from agentmem.redact import Pattern

CODE = Path(agentmem.__file__).parent


# ---- what is masked --------------------------------------------------------------------------------------------------


def test_a_step_tells_what_was_masked_and_the_memory_how_much(memory: Memory) -> None:
    episode = memory.episode(goal=SAID)
    step = episode.log(f"{SAID} password=hunter22", data={"password": "open sesame", "api_key": "k3y" * 8, "n": [1]})
    assert step.text == f"{MASKED} password=[password]"
    assert step.data == {"password": "open sesame", "api_key": "[secret]", "n": [1]}
    assert step.masked == {"github_token": 1, "password": 1, "secret": 1}
    assert memory.step(step.id) == step
    assert memory.stats().masked == {"github_token": 2, "password": 1, "secret": 1}
    assert memory.scoped("other").stats().masked == {}
    assert episode.info.goal == MASKED
    assert memory.episode(goal=SAID, id=episode.id).id == episode.id
    assert episode.log("Nothing here.").masked == {}


def test_the_command_line_tells_how_much_was_masked(file: Path) -> None:
    with opened(file) as memory:
        memory.episode().log_many([SAID, f"{SAID} password=hunter22"])
        memory.scoped("b").episode().log(SAID)
    done = CliRunner().invoke(app, ["stats", str(file)])
    assert "masked: github token 3, password 1" in " ".join(done.output.split())
    told = json.loads(CliRunner().invoke(app, ["stats", str(file), "--json"]).stdout)
    assert told["masked"] == {"github_token": 3, "password": 1}


def test_a_retry_of_a_masked_step_is_the_same_step_also_after_a_recall(memory: Memory) -> None:
    episode = memory.episode()
    told = f"{SAID} The bridge at Aber is closed until the third of May, so take the ferry from Moel instead."
    first = episode.log(told, kind="action", key="k")
    episode.recall("bridge at Aber")
    assert episode.log(told, kind="action", key="k") == first
    with pytest.raises(KeyConflictError) as caught:
        episode.log(f"{told}!", kind="action", key="k")
    assert TOKEN[:20] not in str(caught.value)
    assert memory.stats().masked == {"github_token": 1}


def test_marks_of_repeated_text_stand_where_it_stands_after_masking(memory: Memory) -> None:
    episode = memory.episode()
    known = "The bridge at Aber is closed until the third of May, take the ferry."
    episode.observe(known)
    episode.recall("Which bridge is closed?")
    step = episode.act(f"{SAID} {known} {TOKEN}")
    ((start, end),) = step.recalled
    assert step.text[start:end] == known.rstrip(".")


def test_recall_and_episode_recall_ask_the_same_of_a_cue_with_a_secret(memory: Memory) -> None:
    episode = memory.episode(id="e")
    episode.observe(SAID)
    assert memory.recall(f"who used {TOKEN}?").hits[0].text == MASKED
    episode.recall(f"who used {TOKEN}?")
    (record,) = memory._core.store.scan(types=["recall"])
    assert record.text == "who used [github token]?"
    assert next(iter(memory.rank(f"who used {TOKEN}?"))).text == MASKED


def test_keys_of_data_that_are_the_same_once_masked_are_numbered(memory: Memory) -> None:
    step = memory.episode().log("x", data={TOKEN: 1, TOKEN[::-1]: 0, TOKEN[:-1] + "9": 2})
    assert step.data == {"[github token]": 1, TOKEN[::-1]: 0, "[github token] 2": 2}


def test_the_value_behind_a_flag_in_a_list_is_masked(memory: Memory) -> None:
    step = memory.episode().log("x", data=["mysql", "--password", "hunter22", "-v", "hunter22", "--user", "bot"])
    assert step.data == ["mysql", "--password", "[password]", "-v", "hunter22", "--user", "bot"]


def test_a_value_that_begins_like_a_flag_hides_no_other_behind_it(memory: Memory) -> None:
    step = memory.episode().log("x", data={"passwords": ["-hunter21", "hunter22", ["--port", "hunter23"]]})
    assert step.data == {"passwords": ["[password]", "[password]", ["--port", "[password]"]]}


def test_names_that_hold_a_secret_are_refused_before_anything_is_written(memory: Memory) -> None:
    episode = memory.episode(id="e")
    head = memory.head().position
    for write in (
        lambda: episode.log("x", key=f"k/{TOKEN}"),
        lambda: episode.log("x", subjects=[TOKEN]),
        lambda: memory.episode(id=TOKEN),
        lambda: episode.log_many(["fine", {"text": "x", "key": TOKEN}]),
    ):
        with pytest.raises(RefusedError, match="a name cannot be masked; use another") as caught:
            write()
        assert TOKEN[:20] not in str(caught.value)
    assert memory.head().position == head


def test_reasons_and_notes_are_masked_and_names_of_holds_and_rules_refused(memory: Memory, file: Path) -> None:
    step = memory.episode(id="e").log("The door is red.", subjects=["ann"])
    memory.hold("case", subject="ann", reason=SAID)
    head = memory.head()
    memory.hold("case", subject="ann", reason=SAID)
    with pytest.raises(RefusedError, match="the name of the hold holds a github token"):
        memory.hold(f"case {TOKEN}", subject="ann")
    with pytest.raises(RefusedError, match="the subject of the hold holds"):
        memory.hold("other", subject=TOKEN)
    for rule in (Rule(subject=TOKEN, max_steps=1), Rule(agent=TOKEN, max_steps=1)):
        with pytest.raises(RefusedError, match="of the rule holds a github token"):
            memory.retain([Rule(max_steps=9), rule])
    assert memory.head() == head
    assert [one.reason for one in memory.holds()] == [MASKED]
    memory.lift("case")
    memory.forget(steps=step.id, reason=SAID)
    assert list(memory.forgotten().values()) == [MASKED]
    memory.consent("ann", note=SAID)
    assert memory.stats().masked == {"github_token": 3}
    assert TOKEN.encode() not in bytes_of(file)


def test_a_hold_that_was_named_before_its_name_was_refused_can_be_lifted(memory: Memory) -> None:
    memory.redaction({"secrets": "off"})
    memory.hold(f"case {TOKEN}", subject="ann")
    memory.redaction({"secrets": "mask"})
    assert memory.lift(f"case {TOKEN}") == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda memory: memory.lift(TOKEN),
        lambda memory: memory.attachment(TOKEN),
        lambda memory: memory.detach(TOKEN),
        lambda memory: memory.recall("x", budget=TOKEN),
    ],
)
def test_errors_do_not_quote_a_secret(memory: Memory, ask: Callable[[Memory], object]) -> None:
    with pytest.raises(AgentMemError) as caught:
        ask(memory)
    assert TOKEN[:20] not in str(caught.value)


def test_blobs_and_attachments_are_left_as_they_are(memory: Memory) -> None:
    step = memory.episode().log("x", blobs={"raw": SAID.encode()})
    memory.attach("raw", SAID.encode())
    assert memory.blob(step.blobs["raw"]) == memory.attachment("raw") == SAID.encode()


# ---- policies --------------------------------------------------------------------------------------------------------


def test_what_is_refused_says_which_kind_and_where_and_never_the_value(memory: Memory) -> None:
    scoped = memory.scoped("acme")
    scoped.redaction({"github_token": "refuse", "email": "refuse"})
    episode, head = scoped.episode(id="e"), memory.head().position
    for write, where in (
        (lambda: episode.log(SAID), "text holds a github token at characters 10 to 50"),
        (lambda: episode.log_many(["fine", SAID]), "record 1: text holds a github token"),
        (lambda: episode.log("x", data={"a": ["b", "ann@example.com"]}), "data holds an email"),
        (lambda: episode.say("ann@example.com", "x"), "actor holds an email"),
        (lambda: scoped.episode(goal=SAID), "goal holds a github token"),
    ):
        with pytest.raises(RefusedError) as caught:
            write()  # type: ignore[no-untyped-call]
        assert where in str(caught.value)
        assert "memory.redaction({'" in str(caught.value)
        assert TOKEN[:20] not in str(caught.value)
        assert "ann@" not in str(caught.value)
    assert memory.head().position == head
    assert episode.recall(SAID).hits == ()
    assert memory.episode().log(f"{SAID} ann@example.com").text == f"{MASKED} ann@example.com"


def test_a_policy_is_kept_in_the_file_and_holds_below_its_namespace_for_all_who_open_it(file: Path) -> None:
    with opened(file) as memory, opened(file) as other:
        memory.redaction({"email": "mask", "secrets": "off"}, patterns=[Pattern("badge", "BDG-", "0-9", 6, 6)])
        memory.scoped("acme", "bo").redaction({"email": "off"})
        said = f"{SAID} ann@example.com BDG-123456"
        assert other.episode().log(said).text == f"{SAID} [email] [badge]"
        assert other.scoped("acme").episode().log(said).text == f"{SAID} [email] [badge]"
        assert other.scoped("acme", "bo").episode().log(said).text == f"{SAID} ann@example.com [badge]"
        assert memory.verify().ok


def test_an_analyser_is_of_the_process_and_its_kinds_fail_closed_without_it(file: Path) -> None:
    def names(text: str) -> list[tuple[int, int, str]]:
        return [(at, at + 3, "person") for at in [text.find("Ann")] if at >= 0]

    with opened(file) as memory:
        with pytest.raises(InvalidInputError, match="kind 'person' is unknown"):
            memory.redaction({"person": "mask"})
        memory.redaction({"person": "mask"}, analyser=names)
        assert memory.scoped("x").episode().log("So Ann came.").text == "So [person] came."
    with opened(file) as memory:
        with pytest.raises(SettingsError, match="give it one with memory.redaction"):
            memory.episode().log("So Ann came.")
        memory.redaction(analyser=names)
        assert memory.episode(id="e").log("So Ann came.").masked == {"person": 1}


def test_wrong_arguments_of_a_policy_are_refused(memory: Memory) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"actions": ["email"]}, "give a mapping"),
        ({"actions": {"email": "hide"}}, "use one of off, mask, refuse"),
        ({"patterns": ["BDG-"]}, "give agentmem.redact.Pattern"),
        ({"analyser": "presidio"}, "analyser 'presidio' is no function"),
    ]
    for arguments, said in wrong:
        with pytest.raises(InvalidInputError, match=said):
            memory.redaction(**arguments)
    assert memory.redaction().actions == {}


# ---- out and in again ------------------------------------------------------------------------------------------------


def test_an_export_comes_back_with_what_was_masked(file: Path, tmp_path: Path) -> None:
    with opened(file) as memory:
        memory.episode(goal=SAID).log(f"{SAID} x")
        memory.export(tmp_path / "a.jsonl")
        assert ingest(memory, tmp_path / "a.jsonl").steps == 0
    with opened(tmp_path / "b.mem") as memory:
        assert rehearse(tmp_path / "a.jsonl").steps == 1
        ingest(memory, tmp_path / "a.jsonl")
        (step,) = memory.steps()
        assert step.masked == {"github_token": 1}
        assert memory.stats().masked == {"github_token": 2}


def test_a_line_that_is_refused_is_named_and_the_others_are_logged(file: Path, tmp_path: Path) -> None:
    lines = [
        {"id": str(n), "episode": "e", "text": text} for n, text in enumerate(["one", "to ann@example.com", "three"])
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with opened(file) as memory:
        memory.redaction({"email": "refuse"})
        report = ingest(memory, tmp_path / "a.jsonl", skip_bad=True)
        assert [step.text for step in memory.steps()] == ["one", "three"]
        assert "ann@" not in str(report)
        assert "holds an email" in str(report)


def test_patterns_take_the_place_of_those_there_were_and_none_leaves_them(memory: Memory) -> None:
    badge, room = Pattern("badge", "B-", "0-9", 3, 5), Pattern("room", "R-", "0-9", 3, 5)
    memory.redaction({"badge": "refuse"}, patterns=[badge])
    assert memory.redaction({"email": "mask"}).patterns == (badge,)
    now = memory.redaction(patterns=[room])
    assert (now.patterns, now.actions) == ((room,), {"email": "mask", "room": "mask"})
    assert memory.episode().log("B-1234 is in R-1234.").text == "B-1234 is in [room]."
    assert memory.redaction(patterns=[]).patterns == ()
    assert memory.episode().log("B-1234 is in R-1234.").text == "B-1234 is in R-1234."


def test_no_pattern_refuses_the_id_that_an_episode_is_given(memory: Memory) -> None:
    memory.redaction(patterns=[Pattern("number", "", "0-9", 1, 5)])
    assert memory.episode().log("It is 7.").text == "It is [number]."
    with pytest.raises(RefusedError, match="the episode id holds a number"):
        memory.episode(id="case 7")


@pytest.mark.parametrize("begins", [r"PN-\d+", "PN-[0-9]{4}", "(?:PN|QN)-", "PN.*"])
def test_a_regular_expression_is_no_beginning(memory: Memory, begins: str) -> None:
    with pytest.raises(InvalidInputError, match="regular expression"):
        memory.redaction(patterns=[Pattern("patient", begins, "0-9", 1, 5)])
