"""The command line: what it prints, where, and with which exit code."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import agentmem
from agentmem import Memory
from agentmem.cli import app

STEPS = [
    ("e1", "The red door is locked.", "ann"),
    ("e1", "The brass key hangs in the kitchen.", "bob"),
    ("e2", "The blue door stands open.", "ann"),
]


def call(*arguments: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=answer)


def parsed(result: Result) -> dict[str, object]:
    """Standard output is one JSON document, and nothing else."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def told(folder: Path) -> Path:
    """A memory that was told STEPS."""
    path = folder / "a.mem"
    with Memory.open(path, encoder=None, durability="process") as memory:
        for episode, text, subject in STEPS:
            memory.episode(id=episode).observe(text, subjects=[subject])
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return told(tmp_path)


def step_ids(path: Path) -> list[str]:
    with Memory.open(path, encoder=None, read_only=True) as memory:
        return [step.id for step in memory.steps()]


def test_recall_prints_the_planning_context_alone_on_standard_output(path: Path) -> None:
    result = call("recall", path, "which door is locked?", "--budget", 60)
    with Memory.open(path, read_only=True) as memory:
        context = memory.recall("which door is locked?", budget=60)
    assert result.stdout == context.text + "\n"
    assert "observation: The red door is locked." in result.stdout
    assert f"{context.tokens} of 60 tokens, {len(context.hits)} hits" in result.stderr


def test_recall_as_json_has_text_hits_and_reasons(path: Path) -> None:
    said = parsed(call("recall", path, "which door is locked?", "--budget", 50, "--json"))
    assert "The red door is locked." in str(said["text"])
    assert {"text", "tokens", "budget", "hits", "sections", "store_version"} <= set(said)
    hits = said["hits"]
    assert isinstance(hits, list)
    assert hits[0]["reasons"]


def test_recall_takes_filters_marks_and_a_past_step(path: Path) -> None:
    first, second, third = step_ids(path)
    assert "blue" in call("recall", path, "door").stdout
    assert "blue" not in call("recall", path, "door", "--episode", "e1").stdout
    assert "blue" not in call("recall", path, "door", "--as-of", second).stdout
    assert f"<{third}>" in call("recall", path, "blue door", "--marks").stdout
    assert call("recall", path, "xyzzyplugh", "--episode", "e1").stdout == ""
    assert call("recall", path, "door", "--layer", "unit").exit_code == 0
    assert first in call("recall", path, "locked", "--why").stdout


def test_stats_shows_tokens_per_layer_and_bytes(path: Path) -> None:
    result = call("stats", path)
    for word in ("step", "unit", "cluster", "atom", "total", "3 steps in 2 episodes"):
        assert word in result.stdout
    said = parsed(call("stats", path, "--json"))
    assert (said["steps"], said["episodes"]) == (3, 2)
    assert set(said["layers"]) == {"unit", "cluster", "atom"}  # type: ignore[call-overload]


def test_the_bytes_of_stats_add_up(path: Path) -> None:
    table = call("stats", path).stdout.split("share")[1]
    shares = [int(line.split()[-1][:-1]) for line in table.splitlines() if line.rstrip().endswith("%")]
    assert abs(sum(shares) - 100) <= len(shares)


def test_the_bytes_of_stats_as_json_are_each_counted_once_and_are_those_of_the_files(path: Path) -> None:
    with Memory.open(path) as memory, memory.scoped("acme", "ann").episode(id="e") as episode:
        episode.log_many(["The red door is shut.", "A key hangs there."] * 9)
    kept = sum(os.path.getsize(each) for each in path.parent.iterdir())
    said: Any = parsed(call("stats", path, "--json"))
    total = said["bytes"].pop("total")
    assert said["bytes"]["codes"] > 0
    assert sum(said["bytes"].values()) == total == kept
    assert len(said["namespaces"]) == 2
    assert not any("bytes" in key for one in said["namespaces"].values() for key in one)


def test_pages_that_are_still_in_the_write_ahead_log_are_counted_once(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        memory.episode(id="e").log_many([f"Room {number} has a door." for number in range(900)])
        sizes = memory.stats().bytes
        files = [each for each in path.parent.iterdir() if not each.name.endswith("-shm")]
        assert os.path.getsize(f"{path}-wal") > sizes["wal"] > 0
        assert sizes["total"] == sum(size for part, size in sizes.items() if part != "total")
        assert sizes["total"] == sum(map(os.path.getsize, files))


def test_units_without_codes_are_added_up_over_namespaces(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        for name in ("ann", "bob"):
            with memory.scoped(name).episode(id="e") as episode:
                episode.log_many([f"Door {number} is shut." for number in range(99)])
    said: Any = parsed(call("stats", path, "--json"))
    parts = [one["uncoded"] for one in said["namespaces"].values()]
    assert len([one for one in parts if one]) > 1
    assert said["uncoded"] == sum(parts)


def test_stats_adds_up_namespaces_unless_one_is_named(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        memory.scoped("acme", "ann").episode(id="e").observe("one more")
    assert parsed(call("stats", path, "--json"))["steps"] == 4
    assert parsed(call("stats", path, "--json", "-n", "acme/ann"))["steps"] == 1


def test_verify_says_ok_and_damage_is_exit_code_1(path: Path) -> None:
    assert call("verify", path).stdout.startswith("ok")
    assert parsed(call("verify", path, "--json"))["ok"] is True
    data = bytearray(path.read_bytes())
    at = data.index(b"red door is locked")
    data[at : at + 3] = b"RED"
    path.write_bytes(data)
    result = call("verify", path)
    assert result.exit_code == 1
    assert "problem: " in result.stdout or "error: " in result.stderr


def test_ingest_then_recall_and_crystallize(tmp_path: Path) -> None:
    path, file = tmp_path / "new.mem", tmp_path / "log.jsonl"
    lines = [{"id": str(n), "episode": e, "text": text} for n, (e, text, _) in enumerate(STEPS)]
    file.write_text("\n".join(json.dumps(line) for line in lines))
    result = call("ingest", path, file, "--later")
    assert result.stdout.startswith("logged  3 steps in 2 episodes")
    assert "3 known already" in call("ingest", path, file, "--later").stdout
    assert call("crystallize", path).stdout.startswith("crystallized")
    assert parsed(call("crystallize", path, "--json"))["steps"] == 0
    assert "kitchen" in call("recall", path, "where is the key?").stdout


def test_ingest_can_leave_out_bad_lines_and_lists_them(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"id": "1", "episode": "e", "text": "good"}\nnonsense\n')
    result = call("ingest", tmp_path / "a.mem", file)
    assert result.exit_code == 1
    assert "line 2: it is not JSON" in result.stderr
    result = call("ingest", tmp_path / "b.mem", file, "--skip-bad")
    assert result.exit_code == 0
    assert "left out line 2" in result.stderr


def test_export_and_import_carry_the_log(path: Path, tmp_path: Path) -> None:
    assert call("export", path, tmp_path / "a.jsonl").exit_code == 0
    said = parsed(call("import", tmp_path / "b.mem", tmp_path / "a.jsonl", "--json"))
    assert said["ingest"]["steps"] == 3  # type: ignore[index]
    call("export", tmp_path / "b.mem", tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_backup_makes_a_copy_that_works(path: Path, tmp_path: Path) -> None:
    assert call("backup", path, tmp_path / "copy.mem").stdout.startswith("backed up")
    assert "kitchen" in call("recall", tmp_path / "copy.mem", "where is the key?").stdout
    assert call("backup", path, tmp_path / "copy.mem").exit_code == 1


def test_forget_hides_and_undo_brings_back(path: Path) -> None:
    first = step_ids(path)[0]
    assert call("forget", path, "--step", first).stdout == "forgotten  1 step\n"
    assert "locked" not in call("recall", path, "which door is locked?").stdout
    assert call("forget", path, "--step", first, "--undo").stdout == "recalled again  1 step\n"
    assert "locked" in call("recall", path, "which door is locked?").stdout


def test_forget_by_trust_says_how_many_and_keeps_the_reason(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        memory.episode(id="net").log("The green door is locked, says a page.", trust="web")
    assert call("forget", path, "--trust", "web", "--reason", "not read").stdout == "forgotten  1 step\n"
    with Memory.open(path, encoder=None) as memory:
        assert list(memory.forgotten().values()) == ["not read"]
    assert call("forget", path, "--trust", "operator").exit_code == 1
    assert "trust 'net' is unknown" in call("forget", path, "--trust", "net").stderr


def test_erase_asks_first_and_a_dry_run_erases_nothing(path: Path) -> None:
    assert call("erase", path, "--subject", "ann", "--dry-run").stdout.startswith("would erase  2 steps")
    refused = call("erase", path, "--subject", "ann", answer="n\n")
    assert refused.exit_code == 1
    assert "Erase 2 steps" in refused.stderr
    assert len(step_ids(path)) == 3
    assert call("erase", path, "--subject", "ann", "--yes").exit_code == 0
    assert len(step_ids(path)) == 1
    assert b"red door" not in path.read_bytes()


def test_erase_says_which_attachments_go_and_they_show_in_the_bytes(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        memory.attach("state", bytes(9_000))
        memory.scoped("acme", "zoe").attach("state", b"alone")
    assert parsed(call("stats", path, "--json"))["bytes"]["attachments"] > 9_000  # type: ignore[index]
    dry = call("erase", path, "--subject", "ann", "--dry-run")
    assert " ".join(dry.stdout.split()).endswith("and 0 crystals, and 1 attachment: state")
    alone = "erase", path, "--whole-namespace", "--namespace", "acme/zoe"
    assert "1 attachment: state of acme/zoe" in " ".join(call(*alone, "--dry-run").stdout.split())
    assert call(*alone, "--yes").exit_code == 0
    assert call(*alone, "--yes").exit_code == 1
    assert parsed(call("erase", path, "--subject", "ann", "--yes", "--json"))["attachments"] == [[[], "state"]]


def test_stats_name_the_bytes_of_attachments_and_what_they_leave_free(path: Path) -> None:
    sizes = []
    for change in (None, lambda memory: memory.attach("state", bytes(90_000)), lambda memory: memory.detach("state")):
        with Memory.open(path, encoder=None) as memory:
            if change:
                change(memory)
        told = parsed(call("stats", path, "--json"))["bytes"]
        assert sum(told.values()) == 2 * told["total"]  # type: ignore[union-attr]
        sizes.append((told, call("stats", path).stdout))
    (before, _), (attached, said), (after, left) = sizes
    assert before["attachments"] == after["attachments"] == 0
    assert 90_000 < attached["attachments"] < 95_000
    assert attached["other"] <= before["other"]
    assert re.search(r"attachments +9\d\.\d kB", said)
    assert after["free"] >= 90_000 > attached["free"]
    assert after["other"] < 30_000
    assert re.search(r"free +9\d\.\d kB", left)
    assert "attachments" not in left


def test_a_certificate_is_written_checked_and_done_again(path: Path, tmp_path: Path) -> None:
    copy, file = tmp_path / "copy.mem", tmp_path / "ann.json"
    assert call("backup", path, copy).exit_code == 0
    done = call("erase", path, "--subject", "ann", "--yes", "--certificate", file, "--scan", copy)
    assert done.exit_code == 1  # the copy has it
    assert f"still found:  {copy}" in " ".join(done.stdout.splitlines())
    assert parsed(call("verify", path, "--certificate", file, "--json"))["ok"]
    refused = call("verify", copy, "--certificate", file)
    assert refused.exit_code == 1
    assert "erase_again" in " ".join(refused.stdout.split())
    assert call("erase", copy, "--again", file, "--yes").stdout.startswith("erased  2 steps")
    assert "brass" in call("recall", copy, "where is the brass key?").stdout
    assert "red door" not in call("recall", copy, "which door is locked?").stdout


def test_consent_and_the_log_of_changes(path: Path) -> None:
    assert call("consent", path, "ann", "--withdraw").stdout.split() == ["withdrawn", "2", "steps"]
    assert "red door" not in call("recall", path, "which door is locked?").stdout
    assert call("consent", path, "ann", "--give").stdout.split() == ["given", "2", "steps"]
    assert call("erase", path, "--subject", "bob", "--yes").exit_code == 0
    result = CliRunner().invoke(app, ["log", str(path), "--json"])
    done = json.loads(result.stdout)
    assert [change["what"] for change in done] == ["begin", "begin", "consent", "consent", "erased"]
    assert done[-1]["who"].startswith("cli ")
    assert "consent" in call("log", path).stdout
    assert "access_log" in call("audit", path).stderr


def test_audit_shows_what_the_command_line_recalled(tmp_path: Path) -> None:
    path = tmp_path / "b.mem"
    with Memory.open(path, encoder=None, access_log=True) as memory:
        memory.episode(id="e").log("The red door is locked.")
    call("recall", path, "which door is locked?")
    noted = json.loads(call("audit", path, "--json").stdout)
    assert [(one["what"], one["who"][:4]) for one in noted] == [("recall", "cli ")]


def test_erase_and_forget_want_exactly_one_criterion(path: Path) -> None:
    for arguments in (("erase", path, "--yes"), ("erase", path, "--subject", "a", "--episode", "e"), ("forget", path)):
        result = call(*arguments)
        assert result.exit_code == 2
        assert "give exactly one of" in result.stderr


def test_repair_says_what_is_restored_and_lost_and_a_loss_is_exit_code_1(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mem"
    assert "nothing is damaged" in call("repair", path).stdout
    call("backup", path, copy)
    for expected in ("restored:", "lost:"):
        connection = sqlite3.connect(path)
        connection.execute("UPDATE log SET text='other' WHERE position=2")
        connection.commit()
        connection.close()
        backup = ("--backup", copy) if expected == "restored:" else ()
        assert f"would be {expected}" in call("repair", path, *backup, "--dry-run").stdout or not backup
        result = call("repair", path, *backup)
        assert expected in result.stdout
        assert result.exit_code == (0 if backup else 1)
        assert parsed(call("verify", path, "--json"))["ok"] is True
    assert "1 lost" in call("verify", path).stdout


@pytest.mark.parametrize("command", ["recall", "stats", "verify", "export", "backup", "crystallize", "forget", "erase"])
def test_a_memory_that_is_not_there_is_an_error_and_is_not_made(command: str, tmp_path: Path) -> None:
    more = {"recall": ["cue"], "export": ["out"], "backup": ["out"], "forget": ["--episode", "e"]}
    more["erase"] = ["--episode", "e"]
    result = call(command, tmp_path / "none.mem", *more.get(command, []))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: there is no memory at")
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_memory_is_one_line_of_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a shopping list, which is longer than any header of a file could be\n" * 99)
    result = call("stats", path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize("arguments", [("recall",), ("nonsense",), ("recall", "a.mem", "cue", "--budget", "many")])
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_version_and_help_name_every_command() -> None:
    assert call("--version").stdout == f"agentmem {agentmem.__version__}\n"
    said = call("--help").stdout
    commands = "demo ingest recall stats verify crystallize erase forget export import backup bench"
    assert [name for name in commands.split() if f" {name} " not in said] == []


def test_an_unknown_measurement_names_those_there_are() -> None:
    result = call("bench", "nonsense")
    assert result.exit_code == 2
    assert "log" in result.stderr


def test_text_that_looks_like_markup_is_printed_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None) as memory:
        memory.episode(id="e").observe("press [bold]Start[/bold] and [/red] then wait")
    for arguments in (("recall", path, "press Start"), ("recall", path, "press Start", "--why")):
        result = call(*arguments)
        assert result.exit_code == 0
        assert "[bold]Start[/bold] and [/red]" in result.stdout


def test_a_reader_that_stops_early_is_no_traceback(path: Path) -> None:
    command = f"{sys.executable} -m agentmem.cli recall {path} door --why | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_crystallize_without_a_namespace_takes_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None, durability="process") as memory:
        for name in ("alice", "bo"):
            episode = memory.scoped("acme", name).episode(id="door")
            episode.log_many([f"The red door {n} of {name} is locked, the key {n * 7} is missing." for n in range(40)])
            episode.end()
    made = parsed(call("crystallize", path, "--json"))
    with Memory.open(path, encoder=None, read_only=True) as memory:
        units = [len(memory.scoped("acme", name).crystals(["unit"])) for name in ("alice", "bo")]
    assert min(units) > 0
    assert made["layers"]["unit"]["crystals"] == sum(units)  # type: ignore[index]
