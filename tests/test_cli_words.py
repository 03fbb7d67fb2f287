"""The command line says what is wrong and what to do, in its own words and at 80 columns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.models import OptionInfo
from typer.testing import CliRunner, Result

from agentmem import Memory
from agentmem.cli import app
from agentmem.cli.options import namespace_of, written
from agentmem.cli.show import Waiting
from agentmem.errors import InvalidInputError

COMMANDS = "demo ingest import crystallize recall replay stats verify forget erase retain hold".split()
COMMANDS += "expire export backup bench".split()
NARROW = {"COLUMNS": "80", "TERM": "dumb"}


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=NARROW)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None, durability="process") as memory:
        for name in ("ann", "bob"):
            memory.scoped("acme", name).episode(id="e1").observe("The red door is locked.", subjects=[name])
    return path


# ---- paths -------------------------------------------------------------------------------------------------------


def taking_paths(group: typer.Typer, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of every command with an option or argument that is a path, and that one's name, "" for an argument."""
    for command in group.registered_commands:
        assert command.callback
        name = command.name or command.callback.__name__
        for parameter, hint in get_type_hints(command.callback, include_extras=True).items():
            if get_origin(hint) is Annotated and "Path" in str(get_args(hint)[0]):
                option = isinstance(get_args(hint)[1], OptionInfo)
                named = [*(get_args(hint)[1].param_decls or ())] if option else []
                yield (*words, name, named[0] if named else f"--{parameter.replace('_', '-')}" if option else "")
    for below in group.registered_groups:
        assert below.typer_instance
        yield from taking_paths(below.typer_instance, *words, str(below.name))


@pytest.mark.parametrize("words", sorted({each for each in taking_paths(app) if each[-1] != "--key-file"}))
def test_the_empty_text_is_no_path_whatever_takes_one(words: tuple[str, ...], path: Path) -> None:
    *command, option = words
    result = call(*command, *([option] if option else [path]), "")
    assert result.exit_code == 2
    assert "'' is no path; give the path of a file or a folder" in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "words", [["stats", "a.mem", "--key-file"], ["bench", "recall", "x", "--out"], ["bench", "redact"]]
)
def test_nor_is_it_one_for_a_key_file_or_a_measurement(words: list[str], path: Path) -> None:
    result = call(*words, "")
    assert result.exit_code == 2
    assert "'' is no path; give the path of a file or a folder" in " ".join(result.output.replace("│", " ").split())


# ---- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_fits_80_columns_and_has_an_example(command: str) -> None:
    said = call(command, "--help").stdout
    assert max(map(len, said.splitlines())) <= 80
    assert f"$ agentmem {command} " in said
    assert "\\\\" not in said


def test_the_help_of_a_measurement_is_its_own() -> None:
    environment = {**os.environ, **NARROW}
    run = [sys.executable, "-m", "agentmem.cli", "bench", "log", "--help"]
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=True)
    assert "--quick" in done.stdout
    assert "usage: agentmem bench log" in done.stdout
    assert "NAME" in call("bench", "--help").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "neural", "foo"), "No such command 'foo'; give one of recall, task, text."),
        (("train", "foo"), "No such command 'foo'; give one of neural, policy."),
        (("rollot",), "No such command 'rollot'. Did you mean 'rollout'?"),
    ],
)
def test_a_command_that_is_none_is_answered_with_those_there_are(words: tuple[str, ...], said: str) -> None:
    refused = call(*words)
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.replace("│", "").split())


def test_the_time_that_is_left_is_not_guessed_before_a_tenth_is_done() -> None:
    bar = Waiting("reading").bar
    task = bar.add_task("reading", total=100, completed=9)
    assert str(bar.columns[-1](bar.tasks[0])) == "0:00:00 so far"
    bar.update(task, completed=10)
    assert "so far" not in str(bar.columns[-1](bar.tasks[0]))


# ---- namespaces --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a/b", ("a", "b")),
        (r"a\/b/c", ("a/b", "c")),
        (r"a\\/b", ("a\\", "b")),
    ],
)
def test_a_namespace_is_read_as_it_is_written(text: str, namespace: tuple[str, ...]) -> None:
    assert namespace_of(text) == namespace
    assert written(namespace) == text


@pytest.mark.parametrize("text", ["a//b", "/a", "a/", "///"])
def test_a_namespace_with_an_empty_part_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="has an empty part; write A/B for two parts"):
        namespace_of(text)


@pytest.mark.parametrize("command", ["recall", "stats", "export", "crystallize", "forget", "erase"])
def test_an_unknown_namespace_is_an_error_that_names_those_there_are(path: Path, tmp_path: Path, command: str) -> None:
    more = {
        "recall": ["door"],
        "export": [tmp_path / "out"],
        "forget": ["--episode", "e1"],
        "erase": ["--episode", "e1"],
    }
    near = call(command, path, *more.get(command, []), "-n", "acme/anne")
    assert near.exit_code == 1
    assert "there is no namespace 'acme/anne' in" in near.stderr
    assert "did you mean 'acme/ann'" in near.stderr
    far = call(command, path, *more.get(command, []), "-n", "x")
    assert "there are 'acme/ann', 'acme/bob'" in far.stderr


def test_what_is_all_in_namespaces_asks_for_one(path: Path) -> None:
    for arguments in (("recall", path, "door"), ("forget", path, "--episode", "e1")):
        result = call(*arguments)
        assert result.exit_code == 1
        assert "choose one with --namespace: there are 'acme/ann', 'acme/bob'" in result.stderr
    assert "2 steps in 2 episodes of 2 namespaces" in call("stats", path).stdout


def test_a_slash_in_a_part_of_a_namespace_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.mem"
    with Memory.open(path, encoder=None) as memory:
        memory.scoped("acme/ann").episode(id="e").observe("The red door is locked.")
    assert "locked" in call("recall", path, "door", "-n", r"acme\/ann").stdout
    assert list(json.loads(call("stats", path, "--json").stdout)["namespaces"]) == [r"acme\/ann"]
    assert r"choose one with --namespace: there is 'acme\/ann'" in call("recall", path, "door").stderr
    assert r"no namespace 'acme\/an' in" in (near := call("recall", path, "door", "-n", r"acme\/an").stderr)
    assert r"did you mean 'acme\/ann'?" in near


# ---- what is wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "many"], "budget 'many': give a whole number of tokens from 0 to 1,000,000,000"),
        (["--budget", "-3"], "budget -3: give a whole number of tokens"),
        (["--budget", "9" * 24], f"budget {'9' * 24}: give a whole number of tokens from 0 to 1,000,000,000"),
        (["--layer", "dust"], "'dust' is no layer; give unit, cluster or atom"),
    ],
)
def test_a_value_of_a_wrong_type_is_wrong_usage_in_our_words(path: Path, arguments: list[str], said: str) -> None:
    result = call("recall", path, "door", "-n", "acme/ann", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--as-of", "noon"], "as_of 'noon' is neither a step's id nor an ISO time; use an id such as"),
        (["--episode", "e"], "there is no episode 'e' in namespace ('acme', 'ann'); did you mean 'e1'?"),
        (["--agent", "eve"], "there is no agent 'eve'"),
    ],
)
def test_a_filter_that_means_nothing_is_an_error(path: Path, arguments: list[str], said: str) -> None:
    result = call("recall", path, "door", "-n", "acme/ann", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ("", "'' is no path of a memory"),
        (":memory:", "is gone when a command ends"),
        ("/proc/nothing.mem", "/proc/nothing.mem cannot be made (No such file or directory); choose another place"),
    ],
)
def test_a_path_where_no_memory_can_be_is_an_error(tmp_path: Path, memory: str, said: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"id": "1", "episode": "e", "text": "good"}\n')
    result = call("ingest", memory, file)
    assert result.exit_code == 1
    assert said in result.stderr


@pytest.mark.parametrize("command", ["ingest", "import"])
def test_an_ingest_that_fails_leaves_no_memory_behind(tmp_path: Path, command: str) -> None:
    bad, good = tmp_path / "bad.jsonl", '{"id": "1", "episode": "e", "text": "good"}\n'
    bad.write_text(good + "nonsense\n")
    for file in (bad, tmp_path / "none.jsonl", tmp_path, ""):
        assert call(command, tmp_path / "a.mem", file).exit_code == 1
    assert [file.name for file in tmp_path.iterdir()] == ["bad.jsonl"]
    bad.write_text(good)
    assert call(command, tmp_path / "a.mem", bad).exit_code == 0


def test_a_failed_ingest_leaves_a_memory_that_was_there_as_it_was(path: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nonsense\n")
    assert call("ingest", path, bad).exit_code == 1
    assert call("verify", path).exit_code == 0
    assert "2 steps" in call("stats", path).stdout


def test_erasing_or_forgetting_what_is_not_there_is_exit_code_1(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        memory.scoped("acme", "ann").episode(id="empty").end()
    for arguments in (
        ("erase", path, "--subject", "nobody", "--yes"),
        ("erase", path, "--subject", "nobody", "--dry-run", "--json"),
        ("forget", path, "--episode", "empty"),
    ):
        result = call(*arguments, "-n", "acme/ann")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert "nothing was changed" in result.stderr


# ---- what is shown -----------------------------------------------------------------------------------------------


def test_one_of_something_is_singular(path: Path, tmp_path: Path) -> None:
    here = ("-n", "acme/ann")
    assert "1 step in 1 episode\n" in call("stats", path, *here).stdout
    assert ", 1 hit, " in call("recall", path, "door", *here).stderr
    assert call("erase", path, *here, "--subject", "ann", "--dry-run").stdout.startswith(
        "would erase  1 step of 1 episode"
    )
    file = tmp_path / "log.jsonl"
    file.write_text('{"id": "1", "episode": "e", "text": "good"}\n')
    assert call("ingest", tmp_path / "b.mem", file).stdout.startswith("logged  1 step in 1 episode")


def test_why_is_a_list_that_reads_well_at_80_columns(path: Path) -> None:
    said = call("recall", path, "is the red door locked?", "-n", "acme/ann", "--why").stdout.splitlines()
    (head,) = [number for number, line in enumerate(said) if "step s0" in line]
    assert "past, " in said[head]
    assert "length -" in said[head + 1]
    assert said[head + 2].strip() == "The red door is locked."
    assert max(map(len, said)) <= 80


def test_nothing_found_is_said_and_is_no_error(path: Path) -> None:
    result = call("recall", path, "xyzzyplugh", "-n", "acme/ann", "--why")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing matches" in result.stderr
