"""Ingest of the session files of coding agents: Claude Code and Codex."""

import json
from pathlib import Path

import pytest
from ingested import DATA, Said, copied, empty, lines, said

from agentmem import InvalidInputError, Memory
from agentmem.ingest import ingest

SESSION, CODEX = "5b1c7e0a-3f52-4d0e-9a41-0c6d2f7b8e11", "019a2d7a-41c4-78b1-b7cc-a45d62a89cd5"
GREP = 'Grep({"pattern": "round\\\\(", "path": "shop/invoice.py"})'
TEST = 'Bash({"command": "pytest -q tests/test_invoice.py", "description": "Run the tests"})'


@pytest.fixture
def memory() -> Memory:
    return empty()


# ---- Claude Code -------------------------------------------------------------------------------------------------


def test_a_session_of_claude_code_is_an_episode_without_thinking_or_bookkeeping(memory: Memory) -> None:
    report = ingest(memory, DATA / "claude.jsonl")
    assert (report.format, report.lines, report.steps, report.episodes) == ("claude", 12, 9, 2)
    assert said(memory, SESSION) == [
        Said("message", "user", "Why does the invoice total come out 1 cent too low?"),
        Said("message", "assistant", "I'll look at how the total is rounded."),
        Said("action", "assistant", GREP),
        Said("action", "assistant", TEST),
        Said("observation", "tool", "shop/invoice.py:42: total = round(net * 1.19, 2)", GREP),
        Said("observation", "tool", "1 failed: 10.00 != 10.01\n[image]", TEST),
        Said("message", "system", "Switched to plan mode."),
        Said("message", "assistant", "The total is rounded per line; I changed line 42 to Decimal with ROUND_HALF_UP."),
    ]


def test_steps_of_a_session_have_times_keys_and_a_goal(memory: Memory) -> None:
    ingest(memory, DATA / "claude.jsonl")
    first, *_ = memory.steps()
    assert (first.key, first.at and first.at.isoformat()) == ("claude/u-1", "2026-03-02T09:00:01+00:00")
    assert memory.episodes()[0].goal == first.text
    assert "ROUND_HALF_UP" in memory.recall("how was the invoice rounding fixed?").text


def test_an_agent_that_a_session_started_has_its_own_episode(memory: Memory) -> None:
    ingest(memory, DATA / "claude.jsonl")
    assert said(memory, f"{SESSION}/a1f0") == [Said("message", "user", "List every use of round in the code.")]


def test_a_session_that_grew_adds_what_is_new_and_ends_again(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, copied("claude.jsonl", tmp_path, upto=6))
    assert len(said(memory)) == 4
    report = ingest(memory, copied("claude.jsonl", tmp_path))
    assert (report.steps, report.known) == (5, 4)
    assert said(memory, SESSION)[4].to == GREP
    assert all(episode.ended for episode in memory.episodes())
    again = ingest(memory, copied("claude.jsonl", tmp_path))
    assert (again.steps, again.known) == (0, 9)


def test_a_last_line_that_is_being_written_waits_for_the_next_time(memory: Memory, tmp_path: Path) -> None:
    path = copied("claude.jsonl", tmp_path, upto=4)
    whole = path.read_text()
    path.write_text(whole[:-40])
    report = ingest(memory, path)
    assert [passed.why for passed in report.passed] == ["line 4 is not finished yet; ingest again when it is"]
    path.write_text(whole[:-40] + "\n")
    with pytest.raises(InvalidInputError, match="line 4: it is not JSON"):
        ingest(memory, path)


def test_a_session_that_goes_on_in_another_file_is_logged_once(memory: Memory, tmp_path: Path) -> None:
    text = copied("claude.jsonl", tmp_path).read_text().replace(SESSION, "resumed")
    new = {"type": "user", "uuid": "u-9", "sessionId": "resumed", "message": {"role": "user", "content": "And VAT?"}}
    (tmp_path / "resumed.jsonl").write_text(text + json.dumps(new) + "\n")
    report = ingest(memory, [tmp_path / "claude.jsonl", tmp_path / "resumed.jsonl"])
    assert (report.files, report.steps, report.known) == (2, 10, 9)
    assert said(memory, "resumed") == [Said("message", "user", "And VAT?")]


def test_a_title_is_the_goal_and_summaries_are_left_out(memory: Memory, tmp_path: Path) -> None:
    told = {"sessionId": "s", "message": {"role": "user", "content": "Go on."}}
    title = {"type": "summary", "summary": "Invoice rounding", "leafUuid": "u-1"}
    above = {"type": "user", "uuid": "c", "isCompactSummary": True, **told}
    ingest(memory, lines(tmp_path / "s.jsonl", title, above, {"type": "user", "uuid": "d", **told}))
    assert memory.episodes()[0].goal == "Invoice rounding"
    assert said(memory) == [Said("message", "user", "Go on.")]


def test_half_a_character_that_a_cut_left_behind_does_not_stop_the_ingest(memory: Memory, tmp_path: Path) -> None:
    told = {"sessionId": "s", "message": {"role": "user", "content": "cut: \ud83d"}}
    ingest(memory, lines(tmp_path / "s.jsonl", {"type": "user", "uuid": "d", **told}))
    assert said(memory) == [Said("message", "user", "cut: \ufffd")]


def test_a_line_without_a_message_is_named(memory: Memory, tmp_path: Path) -> None:
    path = copied("claude.jsonl", tmp_path, upto=3)
    with path.open("a") as file:
        file.write('{"type": "assistant", "sessionId": "s", "uuid": "z"}\n')
    with pytest.raises(InvalidInputError, match="line 4: a line of the assistant has no message with content"):
        ingest(memory, path)
    assert memory.head().position == 0


# ---- Codex -------------------------------------------------------------------------------------------------------


def test_a_session_of_codex_is_an_episode_of_its_response_items(memory: Memory) -> None:
    report = ingest(memory, DATA / "codex.jsonl")
    assert (report.format, report.steps, report.lines) == ("codex", 6, 13)
    asked, grep, found, patch, done, told = said(memory, CODEX)
    assert asked == Said("message", "user", "Rename the paint table to colours.")
    assert grep.text.startswith('shell({"command": ["bash", "-lc", "grep -rn paint migrations"]')
    assert found == Said("observation", "tool", "migrations/0003_paint.sql:1: CREATE TABLE paint\n", grep.text)
    assert patch.text.startswith("apply_patch(*** Begin Patch\n")
    assert (done.actor, done.to) == ("tool", patch.text)
    assert told == Said("message", "assistant", "Migration 0004 renames paint to colours.")
    assert memory.episodes()[0].goal == asked.text


def test_an_older_file_of_codex_is_read_without_its_wrapper(memory: Memory) -> None:
    ingest(memory, DATA / "codex_older.jsonl")
    asked, shell, found, told = said(memory, "7f0e-older")
    assert (asked.text, told.text) == ("How many files are there?", "There are 17 files.")
    assert shell.text.startswith('local_shell({"type": "exec", "command": ["bash", "-lc", "ls | wc -l"]')
    assert found.to == shell.text


def test_a_session_of_codex_that_grew_adds_what_is_new(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, copied("codex.jsonl", tmp_path, upto=7))
    report = ingest(memory, copied("codex.jsonl", tmp_path))
    assert (report.steps, report.known) == (4, 2)
    assert said(memory)[2].to == said(memory)[1].text
    assert "colours" in memory.recall("which migration renames the table?").text
