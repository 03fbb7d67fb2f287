"""Which files an ingest means, in which format each is, and what is told of those that are none."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingested import DATA, copied, empty, lines
from typer.testing import CliRunner, Result

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.cli import app
from agentmem.ingest import FORMATS, ingest, source

CHAT = [{"role": "user", "content": "Where is the key?"}, {"role": "assistant", "content": "In the kitchen."}]
FORMAT_OF = {
    "conversations.json": "chatgpt",
    "claude.jsonl": "claude",
    "codex.jsonl": "codex",
    "codex_older.jsonl": "codex",
    "langchain.json": "langchain",
    "langchain_dumps.json": "langchain",
    "openai.json": "openai",
    "openai.jsonl": "openai",
    "responses.json": "openai",
}


@pytest.fixture
def memory() -> Memory:
    return empty()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a bit of everything."""
    shop = tmp_path / "shop"
    (shop / "notes" / ".git").mkdir(parents=True)
    (shop / "notes" / "a.md").write_text("# A\n\nThe key hangs in the kitchen.\n")
    (shop / "notes" / ".git" / "config").write_text("secret")
    (shop / ".env").write_text("TOKEN=1")
    (shop / "logo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (shop / "empty.txt").write_text("\n")
    (shop / "package.json").write_text('{"name": "shop"}')
    copied("claude.jsonl", shop)
    return shop


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200", "TERM": "dumb"})


# ---- which format --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "format"), FORMAT_OF.items())
def test_the_content_tells_the_format_whatever_the_name(memory: Memory, tmp_path: Path, name: str, format: str) -> None:
    path = tmp_path / "log"
    path.write_bytes((DATA / name).read_bytes())
    first = ingest(memory, path)
    assert first.format == format
    assert ingest(empty(), DATA / name, format=format).steps == first.steps


def test_a_long_line_is_read_to_its_end_to_tell_the_format(memory: Memory, tmp_path: Path) -> None:
    long = {"role": "user", "content": "word " * 50_000}
    (tmp_path / "log").write_text(json.dumps({"messages": [long, CHAT[1]]}) + "\n")
    assert ingest(memory, tmp_path / "log").format == "openai"


def test_a_packed_file_is_told_by_what_is_in_it(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "log.json.gz").write_bytes(gzip.compress(json.dumps(CHAT).encode()))
    (tmp_path / "a.md.gz").write_bytes(gzip.compress(b"# A\n\nText.\n"))
    assert ingest(memory, tmp_path / "log.json.gz").format == "openai"
    assert ingest(memory, tmp_path / "a.md.gz").format == "documents"


@pytest.mark.parametrize("text", ["[link](a.md) and text", "{% if x %}", "plain text", "{'a': 1}\n", "[1, 2"])
def test_what_is_no_json_is_a_document(memory: Memory, tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    assert ingest(memory, tmp_path / "a").format == "documents"


def test_json_of_another_kind_is_an_error_that_lists_the_formats(memory: Memory, tmp_path: Path) -> None:
    path = lines(tmp_path / "a.json", {"name": "shop"})
    with pytest.raises(
        InvalidInputError, match=r"a.json is JSON in no known format, as \{'name': 'shop'\}; the"
    ) as raised:
        ingest(memory, path)
    assert all(name in str(raised.value) for name in FORMATS)
    assert ingest(memory, path, format="documents").steps == 1


def test_json_that_is_cut_off_is_named(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(CHAT)[:-5])
    with pytest.raises(InvalidInputError, match=r"a.json is not whole JSON \(.*; get a whole copy of it"):
        ingest(memory, tmp_path / "a.json")


def test_a_binary_file_is_an_error_when_it_is_meant(memory: Memory, folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"logo.png is no text, for it has zero bytes; the formats are"):
        ingest(memory, folder / "logo.png")


def test_a_file_that_is_too_large_to_be_read_whole_is_refused(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "WHOLE", 1 << 20)
    (tmp_path / "a.txt").write_text("word " * 300_000)
    with pytest.raises(InvalidInputError, match="a.txt is read whole and has more than 1 MiB; split it"):
        ingest(memory, tmp_path / "a.txt")


# ---- which files ---------------------------------------------------------------------------------------------------


def test_a_folder_is_read_in_order_and_what_is_passed_over_is_told(memory: Memory, folder: Path) -> None:
    report = ingest(memory, folder)
    assert (report.format, report.files) == ("claude, documents", 2)
    assert {Path(passed.file).name: passed.why for passed in report.passed} == {
        ".env": "it is hidden, or a tool's",
        ".git": "it is hidden, or a tool's",
        "empty.txt": "it is empty",
        "logo.png": "it is no text, for it has zero bytes",
        "package.json": "it is JSON in no known format, as {'name': 'shop'}",
    }
    assert [episode.id for episode in memory.episodes()][-1] == "shop/notes/a.md"
    again = ingest(memory, folder)
    assert (again.steps, again.known) == (0, report.steps)


def test_files_are_called_by_the_path_that_was_given(
    memory: Memory, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for path in (".", "notes", "notes/a.md", "../shop/notes/a.md", folder / "notes" / "a.md", folder / "notes"):
        ingest(memory, path, format="documents", skip_bad=True)
    names = [episode.id for episode in memory.episodes() if episode.id.endswith("a.md")]
    assert names == ["notes/a.md", "shop/notes/a.md", "a.md"]


def test_patterns_and_several_paths_are_read_once_each(memory: Memory, folder: Path) -> None:
    report = ingest(memory, [str(folder / "**" / "*.md"), folder / "notes", str(folder / "cl*.jsonl")])
    assert report.files == 2
    with pytest.raises(NotFoundError, match=r"no file matches .*\*.toml; check the pattern"):
        ingest(memory, str(folder / "*.toml"))


def test_a_path_that_is_not_there_is_told_before_another_is_logged(memory: Memory, folder: Path) -> None:
    for absent, said in (
        (folder / "docs", "there is no file .*docs; check the path"),
        (folder / "*.toml", "no file matches"),
    ):
        with pytest.raises(NotFoundError, match=said):
            ingest(memory, [folder / "notes", absent], skip_bad=True)
    assert memory.head().position == 0


def test_two_files_of_one_name_are_refused(memory: Memory, folder: Path) -> None:
    other = folder / "a.md"
    other.write_text("Another.")
    with pytest.raises(InvalidInputError, match="would both be called 'a.md'; give the folder that holds both"):
        ingest(memory, [folder / "notes" / "a.md", other])


def test_a_memory_does_not_read_itself(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Text.")
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        report = ingest(memory, tmp_path)
    assert (report.files, report.passed) == (1, ())


def test_the_whole_machine_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInputError, match="cannot read /: Is a directory with all that is on this machine"):
        ingest(memory, "/")


def test_a_link_to_a_folder_above_is_not_followed(memory: Memory, folder: Path) -> None:
    (folder / "loop").symlink_to(folder)
    assert ingest(memory, folder).files == 2


@pytest.mark.parametrize("target", ["loop.md", "nowhere.md"])
def test_a_link_that_leads_nowhere_is_passed_over_and_told(memory: Memory, folder: Path, target: str) -> None:
    link = folder / "loop.md"
    link.symlink_to(target)
    report = ingest(memory, folder)
    assert report.files == 2
    assert (str(link), "it is a link that leads nowhere") in report.passed
    assert (str(link), "it is a link that leads nowhere") in ingest(memory, folder / "*.md").passed


def test_a_folder_without_files_is_told(memory: Memory, tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    report = ingest(memory, tmp_path / "empty")
    assert (report.steps, report.passed) == (0, ((str(tmp_path / "empty"), "it holds no file to read"),))


def test_progress_goes_through_all_files(memory: Memory, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    ingest(memory, folder, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert (
        told[-1][0]
        <= told[-1][1]
        == sum(
            path.stat().st_size
            for path in folder.rglob("*")
            if path.is_file() and ".git" not in path.parts and path.name != ".env"
        )
    )


# ---- dry runs, namespaces, erasure ---------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_logged_and_logs_nothing(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, copied("claude.jsonl", tmp_path, upto=6))
    end = memory.head().position
    would = ingest(memory, [copied("claude.jsonl", tmp_path), DATA / "codex.jsonl"], dry_run=True)
    assert (would.steps, would.known, would.dry_run, memory.head().position) == (11, 4, True, end)
    did = ingest(memory, [tmp_path / "claude.jsonl", DATA / "codex.jsonl"])
    assert (did.steps, did.known, did.episodes) == (would.steps, would.known, would.episodes)


def test_a_dry_run_finds_content_that_changed(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, lines(tmp_path / "a.jsonl", *CHAT))
    lines(tmp_path / "a.jsonl", CHAT[0], CHAT[0])
    with pytest.raises(InvalidInputError, match="line 2: key 'a.jsonl/2' .* stands for other content"):
        ingest(memory, tmp_path / "a.jsonl", dry_run=True)


def test_an_ingest_stays_in_its_namespace(memory: Memory) -> None:
    ingest(memory.scoped("ann"), DATA / "codex.jsonl")
    assert ingest(memory.scoped("bob"), DATA / "codex.jsonl").steps == 6
    assert list(memory.steps()) == []


def test_an_ingest_that_was_stopped_goes_on_where_it_was(memory: Memory, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": f"line {number}"} for number in range(1_200)]
    path = lines(tmp_path / "a.jsonl", *talk, "nonsense\n")
    with pytest.raises(InvalidInputError, match="line 1201: it is not JSON"):
        ingest(memory, path)
    logged = len(list(memory.steps()))
    assert 0 < logged < 1_200
    report = ingest(memory, lines(path, *talk))
    assert (report.steps, report.known) == (1_200 - logged, logged)
    assert [step.text for step in memory.steps("a.jsonl")] == [f"line {number}" for number in range(1_200)]
    assert [episode.ended is not None for episode in memory.episodes()] == [True]


@pytest.mark.parametrize("name", ["codex.jsonl", "openai.json"])
def test_what_was_erased_does_not_come_back(memory: Memory, name: str) -> None:
    ingest(memory, DATA / name)
    memory.erase(steps=[step.id for step in memory.steps()][-1])
    with pytest.raises(InvalidInputError, match="was erased and cannot be logged again"):
        ingest(memory, DATA / name)
    report = ingest(memory, DATA / name, skip_bad=True)
    assert (report.steps, len(report.bad)) == (0, 1)


@pytest.mark.parametrize("cut", [lambda text: text[: len(text) // 2], lambda text: text.replace('"', "", 1)])
def test_skipping_what_is_bad_never_raises_and_reads_the_other_files(
    memory: Memory, tmp_path: Path, cut: Callable[[str], str]
) -> None:
    for name in FORMAT_OF:
        (tmp_path / name).write_text(cut((DATA / name).read_text()))
    (tmp_path / "z.md").write_text("The end.")
    report = ingest(memory, tmp_path, skip_bad=True)
    assert report.bad
    assert [step.text for step in memory.steps()][-1] == "The end."


# ---- the command ---------------------------------------------------------------------------------------------------


def test_the_command_takes_folders_and_says_what_it_passed_over(tmp_path: Path, folder: Path) -> None:
    result = call("ingest", tmp_path / "a.mem", folder, "--later")
    assert result.stdout.startswith("logged  10 steps in 3 episodes from 2 files  claude, documents, ")
    assert f"passed over {folder / 'empty.txt'}: it is empty" in result.stderr
    assert "kitchen" in call("recall", tmp_path / "a.mem", "where is the key?").stdout


def test_a_dry_run_of_the_command_leaves_nothing_behind(tmp_path: Path, folder: Path) -> None:
    result = call("ingest", tmp_path / "a.mem", folder, "--dry-run")
    assert result.stdout.startswith("would log  10 steps in 3 episodes from 2 files")
    assert not (tmp_path / "a.mem").exists()
    call("ingest", tmp_path / "a.mem", folder / "notes", "-n", "ann")
    said = json.loads(call("ingest", tmp_path / "a.mem", folder / "notes", "--dry-run", "-n", "ann", "--json").stdout)
    assert (said["ingest"]["steps"], said["ingest"]["known"], said["crystallize"]) == (0, 1, None)


def test_the_command_takes_a_format_and_leaves_bad_files_out(tmp_path: Path, folder: Path) -> None:
    assert call("ingest", tmp_path / "a.mem", folder / "package.json").exit_code == 1
    assert call("ingest", tmp_path / "a.mem", folder / "package.json", "--format", "documents").exit_code == 0
    (folder / "latin.txt").write_bytes(b"caf\xe9")
    result = call("ingest", tmp_path / "a.mem", folder, "--skip-bad", "--later")
    assert result.exit_code == 0
    assert f"left out all of {folder / 'latin.txt'}: line 1, is no UTF-8" in result.stderr


def written(memory: Memory) -> list[Any]:
    return [(step.episode, step.text, step.key, step.data) for step in memory.steps()]


def test_the_same_files_give_the_same_log(folder: Path) -> None:
    first, second = empty(), empty()
    for one in (first, second):
        ingest(one, folder)
    assert written(first) == written(second)
    assert first.head().hash == second.head().hash
