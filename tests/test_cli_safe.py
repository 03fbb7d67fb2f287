"""What a command refuses, so that a slip costs nothing: a file in use, an erasure that was only to be tried."""

import gzip
import os
from pathlib import Path

import pytest
from keyed import opened
from test_cli import call, step_ids, told

from agentmem import Memory
from agentmem.cli.remove import write_certificate
from agentmem.errors import InvalidInputError, StoreError
from agentmem.memory.certificates import read_certificate
from agentmem.store import check_target


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return told(tmp_path)


@pytest.fixture
def sealed(tmp_path: Path) -> tuple[Path, Path]:
    """An encrypted memory and its key file."""
    file, keys = tmp_path / "sealed.mem", tmp_path / "sealed.key"
    with opened(file, keys) as memory:
        memory.episode(id="e").log("The red door is locked.", subjects=["ann"])
    return file, keys


def texts(path: Path) -> list[str]:
    with Memory.open(path, encoder=None, read_only=True) as memory:
        return [step.text for step in memory.steps()]


# ---- where something may be written ------------------------------------------------------------------------------


def test_a_certificate_replaces_nothing_and_is_refused_before_anything_is_erased(path: Path, tmp_path: Path) -> None:
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    (tmp_path / "plain").mkdir()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    targets = [path, f"{path}-anchor", f"{path}-wal", taken, tmp_path / "plain", tmp_path / "lost", tmp_path / "no/a"]
    before = {file: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    for target in targets:
        result = call("erase", path, "--subject", "ann", "--yes", "--certificate", target)
        assert result.exit_code == 1, target
        assert "error: " in result.stderr
    assert len(step_ids(path)) == 3
    assert taken.read_bytes() == before[taken]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_certificate_needs_a_folder_that_can_be_written(path: Path, tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    result = call("erase", path, "--subject", "ann", "--yes", "--certificate", tmp_path / "shut/ann.json")
    assert (result.exit_code, len(step_ids(path))) == (1, 3)


def test_a_certificate_that_fails_after_all_names_what_prints_it(path: Path, tmp_path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        report = memory.erase(subject="ann")
    with pytest.raises(StoreError, match=r"it is erased, but .*agentmem log .*--certificates"):
        write_certificate(report, tmp_path / "gone/ann.json", str(path))


def test_the_log_prints_every_certificate_again(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "ann.json"
    call("erase", path, "--subject", "ann", "--yes", "--certificate", file)
    call("erase", path, "--subject", "bob", "--yes")
    lines = call("log", path, "--certificates").stdout.splitlines()
    assert read_certificate(lines[0]) == read_certificate(file.read_text())
    assert [read_certificate(line).request for line in lines] == ["subject", "subject"]
    assert call("log", path, "--certificates", "-n", "acme").exit_code == 1


def test_no_command_writes_over_a_key_file(sealed: tuple[Path, Path], path: Path) -> None:
    file, keys = sealed
    before = keys.read_bytes()
    for arguments in (
        ("export", file, keys, "--key-file", keys),
        ("view", file, "--export", keys, "--key-file", keys),
        ("erase", file, "--subject", "ann", "--yes", "--certificate", keys, "--key-file", keys),
        ("export", path, keys),
    ):
        result = call(*arguments)
        assert result.exit_code == 1, arguments
        assert "key file" in result.stderr
        assert keys.read_bytes() == before
    with opened(file, keys) as memory:
        assert len(list(memory.steps())) == 1


def test_nothing_is_written_where_a_file_of_another_memory_stands_or_will(path: Path, tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-anchor", "-lock", "-reserve"):
        with pytest.raises(InvalidInputError, match="belongs to one"):
            check_target(Path(f"{path}{suffix}"), str(tmp_path / "other.mem"))
    check_target(tmp_path / "free-anchor", str(path))


def test_no_device_or_pipe_is_replaced_by_a_file(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for arguments in (("export", path), ("graph", path, "--out"), ("view", path, "--export")):
        result = call(*arguments, tmp_path / "pipe.json")
        assert result.exit_code == 1, arguments
        assert "pipe.json is a device or a pipe, which a file would replace; give the path of a file" in " ".join(
            result.stderr.split()
        )
    assert (tmp_path / "pipe.json").is_fifo()


# ---- what is erased ----------------------------------------------------------------------------------------------


def test_erasing_again_can_be_tried_and_asks_first(path: Path, tmp_path: Path) -> None:
    copy, file = tmp_path / "copy.mem", tmp_path / "ann.json"
    call("backup", path, copy)
    call("erase", path, "--subject", "ann", "--yes", "--certificate", file)
    tried = call("erase", copy, "--again", file, "--dry-run")
    assert (tried.exit_code, tried.stdout.startswith("would erase  2 steps")) == (0, True)
    asked = call("erase", copy, "--again", file, answer="n\n")
    assert (asked.exit_code, "Erase 2 steps" in asked.stderr) == (1, True)
    for more in (("--subject", "bob"), ("-n", "acme"), ("--scan", file)):
        refused = call("erase", copy, "--again", file, "--yes", *more)
        assert (refused.exit_code, "leave all" in " ".join(refused.stderr.split())) == (2, True)
    assert len(step_ids(copy)) == 3
    assert call("erase", copy, "--again", file, "--yes").exit_code == 0
    assert len(step_ids(copy)) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("erase", "--subject", "ann", "--subject", "bob", "--yes"),
        ("erase", "--subject", "ann", "--yes", "-n", "a", "--namespace", "b"),
        ("forget", "--episode", "e1", "--episode", "e2"),
        ("hold", "case", "--subject", "ann", "--subject", "bob"),
        ("consent", "ann", "--withdraw", "--note", "a", "--note", "b"),
        ("expire", "--certificate", "a", "--certificate", "b"),
    ],
)
def test_an_option_with_one_value_is_refused_when_given_twice(path: Path, command: tuple[str, ...]) -> None:
    refused = call(command[0], path, *command[1:])
    assert refused.exit_code == 2
    assert "was given more than once" in " ".join(refused.stderr.replace("│", "").split())
    with Memory.open(path, encoder=None, read_only=True) as memory:
        assert [change.what for change in memory.changes()] == ["begin", "begin"]
        assert not memory.forgotten()


def test_options_that_repeat_and_flags_may_be_given_twice(path: Path) -> None:
    first, second, _ = step_ids(path)
    assert call("erase", path, "--step", first, "--step", second, "--yes", "--yes").exit_code == 0
    assert len(step_ids(path)) == 1


def test_a_subject_that_is_elsewhere_or_is_mistyped_is_named(path: Path) -> None:
    with Memory.open(path, encoder=None) as memory:
        memory.scoped("acme", "al ice").episode(id="e").log("The quay is closed.", subjects=["zoe"])
    said = call("erase", path, "--subject", "zoe", "--yes").stderr
    assert "no step of" in said
    assert "it is a subject in --namespace 'acme/al ice'" in said
    assert "did you mean 'ann'?" in call("erase", path, "--subject", "Ann", "--dry-run").stderr
    assert call("erase", path, "--subject", "zoe", "--yes", "-n", "acme/al ice").exit_code == 0


def test_a_hold_on_nothing_yet_says_so(path: Path) -> None:
    held = call("hold", path, "case-17", "--subject", "anne")
    assert (held.exit_code, held.stdout) == (0, "held  0 steps\n")
    assert "logged later will be held" in held.stderr
    assert "did you mean 'ann'?" in held.stderr
    assert "later" not in call("hold", path, "case-18", "--subject", "ann").stderr


@pytest.mark.parametrize("content", [None, b"milk, eggs\n", b'{"name": "x"}\n'])
def test_no_token_is_added_to_what_is_no_file_of_tokens(path: Path, tmp_path: Path, content: bytes | None) -> None:
    file = path if content is None else tmp_path / "notes"
    if content is not None:
        file.write_bytes(content)
    file.chmod(0o600)
    before = file.read_bytes()
    refused = call("serve", path, "--tokens", file, "--new-token", "")
    assert (refused.exit_code, "another file for tokens" in refused.stderr) == (1, True)
    assert file.read_bytes() == before


def test_tokens_are_added_to_a_file_of_tokens(path: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        assert call("serve", path, "--tokens", tmp_path / "tokens", "--new-token", "").exit_code == 0
        assert len((tmp_path / "tokens").read_text().splitlines()) == number


# ---- what is taken in --------------------------------------------------------------------------------------------


def test_a_refused_line_is_named_once_and_is_the_right_one(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.jsonl"
    with Memory.open(path, encoder=None) as memory, memory.episode(id="e3") as episode:
        episode.log("Carla called.", key="call-1", subjects=["carla"])
        episode.recall("who called?")
    call("export", path, old)
    lines = old.read_text().splitlines()
    (bad,) = [number for number, line in enumerate(lines, 1) if "Carla" in line]
    call("erase", path, "--subject", "carla", "--yes")
    said = " ".join(call("import", path, old).stderr.split())
    assert said.count(", line ") == said.count("--skip-bad") == said.count("old.jsonl") == 1
    assert f"old.jsonl, line {bad}: " in said


def test_links_that_lead_out_of_a_folder_are_left_out_and_counted(tmp_path: Path) -> None:
    repo, outside = tmp_path / "repo", tmp_path / "outside"
    for folder, text in ((repo, "The quay is open."), (outside, "The safe is behind the picture.")):
        folder.mkdir()
        (folder / "notes.txt").write_text(text)
    (repo / "own.txt").symlink_to("notes.txt")
    (repo / "safe.txt").symlink_to("../outside/notes.txt")
    (repo / "beyond").symlink_to(outside)
    for place, given in enumerate((repo, f"{repo}/**/*.txt")):
        memory = tmp_path / f"{place}.mem"
        done = call("ingest", memory, given, "--later")
        assert done.exit_code == 0, done.output
        assert texts(memory) == ["The quay is open."] * 2
        assert "left out 2 links out of the folder" in done.stderr
    assert call("ingest", tmp_path / "named.mem", repo / "safe.txt", "--later").exit_code == 0
    assert texts(tmp_path / "named.mem") == ["The safe is behind the picture."]


@pytest.mark.parametrize(("name", "content", "said"), [
    ("spaces.json.gz", gzip.compress(b" " * (70 << 10)), "nothing but white space for 64 KiB"),
    ("deep.json", b"[" * 100_000 + b"]" * 100_000, "in one another, too deep to be read"),
    ("deep.jsonl", b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", "in one another, too deep to be read"),
])  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_as_it_is(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    refused = call("ingest", tmp_path / "a.mem", tmp_path / name)
    assert (refused.exit_code, said in refused.stderr, "whole copy" in refused.stderr) == (1, True, False)


# ---- what is said ------------------------------------------------------------------------------------------------


def test_consent_is_given_only_by_the_word_for_it(path: Path) -> None:
    for flags in ((), ("--give", "--withdraw")):
        refused = call("consent", path, "ann", *flags)
        assert (refused.exit_code, "--give or --withdraw" in refused.stderr) == (2, True)


def test_a_key_file_that_is_none_or_cannot_be_made_is_told_by_its_own_name(
    sealed: tuple[Path, Path], path: Path, tmp_path: Path
) -> None:
    said = call("recall", sealed[0], "door", "--key-file", path).stderr
    assert "give the one that the memory was made with" in said
    assert "new path" not in said
    (tmp_path / "log.jsonl").write_text('{"id": "1", "episode": "e", "text": "good"}\n')
    said = call("ingest", tmp_path / "new.mem", tmp_path / "log.jsonl", "--key-file", tmp_path / "no/m.key").stderr
    assert f"the directory of the key file {tmp_path / 'no/m.key'} does not exist; create it first" in said


def test_what_is_no_certificate_is_shown_as_text(path: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}\n")
    for arguments in (
        ("erase", path, "--again", tmp_path / "a.json"),
        ("verify", path, "--certificate", tmp_path / "a.json"),
    ):
        assert "error: '{}' is no certificate of an erasure" in call(*arguments).stderr


def test_a_time_is_on_one_line_at_80_columns(path: Path) -> None:
    with Memory.open(path, encoder=None, read_only=True) as memory:
        times = [change.at.strftime("%Y-%m-%d %H:%M:%S") for change in memory.changes()]
    assert all(time in call("log", path).stdout for time in times)


def test_help_says_of_a_key_file_what_the_command_does_with_it() -> None:
    assert "a new memory is" in " ".join(call("ingest", "--help").stdout.replace("│", "").split())
    assert "a new memory is" not in " ".join(call("recall", "--help").stdout.replace("│", "").split())


def test_rules_that_are_set_say_what_removes_the_steps(tmp_path: Path) -> None:
    path, rules = tmp_path / "a.mem", tmp_path / "rules.json"
    rules.write_text('[{"max_steps": 1}]')
    with Memory.open(path, encoder=None, namespace=("acme", "al ice")) as memory:
        memory.episode(id="e").log_many(["The red door is locked.", "The quay is closed."])
    said = call("retain", path, rules, "-n", "acme/al ice").stdout
    assert said == (
        f"set  1 step out of recall by these rules  `agentmem expire {path} --namespace 'acme/al ice'` removes them\n"
    )
