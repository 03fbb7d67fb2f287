"""Repair of an encrypted memory: bits are flipped in real files, and what is left is what was logged."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from keyed import CANARY, opened
from strategies import all_crystals
from typer.testing import CliRunner

from agentmem.errors import AgentMemError, DamagedError, KeyConflictError, KeyFileError, NotFoundError, SettingsError
from agentmem.memory import repair
from agentmem.store import has_ciphers
from agentmem.store.opening import PAGE
from agentmem.store.schema import connect
from agentmem.types import RepairReport

pytest.importorskip("cryptography")
pytestmark = pytest.mark.skipif(not has_ciphers(), reason="the SQLite that is installed has no ciphers")
ENDS = ("", "-anchor", "-key")
TAGS = PAGE - 32  # where the nonce and the tag of a page begin
Steps = list[tuple[str, str]]
INDEXES = ("namespaces_1", "names_1", "blobs_1", "attachments_1")
TABLES = [
    *("settings", "counters", "namespaces", "seals", "names", "gaps", "keys", "blobs", "blob_uses", "attachments"),
    *("barred", "ledger", "blocks", "log", "log_columns", *(f"sqlite_autoindex_{name}" for name in INDEXES)),
]


@cache
def original() -> tuple[Path, Steps, dict[str, list[int]]]:
    """A memory, what its steps say, and the pages of each of its tables."""
    file = Path(mkdtemp()) / "agent.mem"
    with opened(file, Path(f"{file}-key")) as memory:
        for house in range(3):
            with memory.episode(id=f"e{house}", goal=f"house {house}") as episode:
                for door in range(12):
                    about = [["ann"], ["bob"], []][door % 3]
                    episode.observe(
                        f"Door {door} of house {house} is red. {CANARY}", subjects=about, key=f"{house}/{door}"
                    )
                if house == 2:
                    episode.observe("A map.", blobs={"map": b"north" * 40}, subjects=["ann"])
                    episode.observe("Plans.", blobs={f"{floor}": bytes([floor]) * 300 for floor in range(4)})
                    gone = episode.observe("This was never so.", key="gone")
        memory.erase(steps=[gone.id])
        memory.attach("notes", b"mine" * 100)
        for page in range(8):
            memory.attach(f"page {page}", bytes([page]) * 200)
        memory._core.store.archive(12)
        with memory._core.store._reading() as connection:
            pages: dict[str, list[int]] = {}
            for name, number in connection.execute("SELECT name, pageno FROM dbstat ORDER BY pageno"):
                pages.setdefault(name, []).append(number - 1)
        told = [(step.id, step.text) for step in memory.steps()]
    return file, told, pages


def copied(folder: Path) -> Path:
    """A copy of the original, its anchor and its key file."""
    file = original()[0]
    for end in ENDS:
        shutil.copy(f"{file}{end}", folder)
    return folder / file.name


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copied(tmp_path)


def keys(path: Path) -> Path:
    return Path(f"{path}-key")


def flip(path: Path, *places: int) -> None:
    """Flip a bit of these bytes of the file."""
    data = bytearray(path.read_bytes())
    for place in places:
        data[place] ^= 1 << place % 8
    path.write_bytes(data)


def repaired(path: Path, **options: object) -> RepairReport:
    return repair(path, key_file=keys(path), **options)  # type: ignore[arg-type]


def left(path: Path) -> Steps:
    with opened(path, keys(path)) as memory:
        assert memory.verify().ok, memory.verify().problems
        return [(step.id, step.text) for step in memory.steps()]


def beside(path: Path) -> dict[str, object]:
    """What stands beside the log, as far as it is told."""
    with opened(path, keys(path)) as memory:
        found: dict[str, object] = {f"attachment {name!r}": memory.attachment(name) for name in memory.attachments()}
        for name in {name for step in memory.steps() for name in step.blobs.values()}:
            with suppress(NotFoundError):
                found[f"blob {name}"] = memory.blob(name)
        try:
            memory.episode(id="e2").observe("This was never so.", key="gone")
        except KeyConflictError:
            found["keys"] = "refused"
        return found


def unnamed(path: Path, report: RepairReport) -> set[str]:
    """What is missing beside the log and not told of by the report; what is there is as it was."""
    there, was = beside(path), all_beside()
    assert there.items() <= was.items()
    told = " ".join(loss.what for loss in report.lost if not loss.first)
    kinds = {name.split()[0] for name in was.keys() - there.keys()}
    return {kind for kind in kinds if kind not in told and not (kind == "blob" and ids(report))}


@cache
def all_beside() -> dict[str, object]:
    copy = Path(mkdtemp()) / "agent.mem"
    copied(copy.parent)
    return beside(copy)


def ids(report: RepairReport) -> set[str]:
    return {one for loss in report.lost for one in loss.ids}


@pytest.mark.parametrize(
    ("table", "place"),
    [("postings", 300), ("batches", TAGS + 3), ("keys", TAGS + 20), ("log_columns", TAGS + 3), ("blob_uses", 300)],
)
def test_what_is_made_of_the_log_is_made_again(path: Path, table: str, place: int) -> None:
    _, told, pages = original()
    with opened(path, keys(path)) as memory:
        made = all_crystals(memory)
    flip(path, PAGE * pages[table][-1] + place)
    report = repaired(path)
    assert report.problems
    assert ids(report) == set()
    assert left(path) == told
    with opened(path, keys(path)) as memory:
        memory.crystallize()
        assert all_crystals(memory) == made
        assert memory.recall("door 3 of house 1").text


def test_a_step_whose_bytes_were_changed_is_lost_and_named_and_no_other(path: Path) -> None:
    _, told, pages = original()
    flip(path, PAGE * pages["log"][len(pages["log"]) // 2] + PAGE - 120)  # the end of a row
    with opened(path, keys(path)) as memory:
        told_of = memory.verify().problems
    assert "as its tag tells" in told_of[0]
    report = repaired(path, dry_run=True)
    assert report.problems == told_of
    assert any(f"position {report.lost[0].first} was changed" in problem for problem in told_of)
    assert len(ids(report)) == 1
    assert repaired(path).lost == report.lost
    assert left(path) == [step for step in told if step[0] not in ids(report)]
    with opened(path, keys(path)) as memory, pytest.raises(NotFoundError, match="is lost"):
        memory._core.store.read([report.lost[0].first])


def test_a_tag_that_was_changed_costs_nothing(path: Path) -> None:
    told, pages = original()[1:]
    flip(path, *(PAGE * page + TAGS + 25 for page in pages["log"] + pages["blocks"] + pages["names"]))
    with pytest.raises(AgentMemError):
        left(path)
    report = repaired(path)
    assert (report.lost, len(report.problems)) == ((), 1)
    assert left(path) == told


def test_a_backup_gives_back_what_is_lost_but_for_what_was_erased_since(path: Path, tmp_path: Path) -> None:
    with opened(path, keys(path)) as memory:
        memory.backup(tmp_path / "copy.mem")
        memory.erase(subject="bob")
        kept = [(step.id, step.text) for step in memory.steps()]
        with memory._core.store._reading() as connection:
            numbers = [n - 1 for (n,) in connection.execute("SELECT pageno FROM dbstat WHERE name='log'")]
    flip(path, PAGE * numbers[len(numbers) // 2] + TAGS + 3)  # a nonce: nothing of this page is left
    assert len(ids(repaired(path, dry_run=True))) > 1
    report = repaired(path, backup=tmp_path / "copy.mem")
    assert report.restored
    assert report.lost == ()
    assert left(path) == kept


def test_a_damaged_copy_of_before_an_erasure_comes_back_without_what_was_erased(path: Path, tmp_path: Path) -> None:
    _, told, pages = original()
    old = path.read_bytes(), Path(f"{path}-anchor").read_bytes()
    with opened(path, keys(path)) as memory:
        memory.erase(subject="bob")
    for end, data in zip(("", "-anchor"), old, strict=True):
        Path(f"{path}{end}").write_bytes(data)
    flip(path, PAGE * pages["postings"][-1] + 300)
    report = repaired(path)
    assert report.problems
    there = left(path)
    assert 0 < len(there) < len(told)
    with opened(path, keys(path)) as memory:
        assert not [step for step in memory.steps() if "bob" in step.subjects]


def test_the_first_bytes_are_given_back_by_the_key_file(path: Path) -> None:
    for place in (2, 12):
        flip(path, place)
        with pytest.raises(AgentMemError):
            left(path)
        assert "first bytes" in repaired(path, dry_run=True).problems[0]
        assert repaired(path).lost == ()
        assert left(path) == original()[1]


def test_the_schema_is_repaired_but_where_its_nonce_was_changed(path: Path) -> None:
    flip(path, TAGS + 25)  # its tag
    assert repaired(path).lost == ()
    assert left(path) == original()[1]
    before = path.read_bytes()
    flip(path, TAGS + 3)
    with pytest.raises(DamagedError, match="schema.*restore it from a backup"):
        repaired(path)
    flip(path, TAGS + 3)
    assert path.read_bytes() == before


def test_it_is_repaired_while_it_is_open_here_and_elsewhere(path: Path) -> None:
    _, told, pages = original()
    with opened(path, keys(path)) as memory, opened(path, keys(path)) as other:
        flip(path, PAGE * pages["postings"][-1] + 300, PAGE * pages["batches"][0] + 300)
        assert not memory.verify().ok
        assert memory.repair().lost == ()
        for one in (memory, other):
            assert one.verify().ok
            assert [(step.id, step.text) for step in one.steps()] == told
        other.episode(id="after").observe("After the repair.", subjects=["ann"])
        assert memory.verify().ok
        assert memory.blob(next(iter(list(memory.steps())[36].blobs.values()))) == b"north" * 40
        assert memory.attachment("notes") == b"mine" * 100


def test_nothing_of_it_is_written_in_plain(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    from agentmem.store import repairing

    put = repairing._put

    def watching(paths: object, beside: str) -> None:
        seen.extend(file.name for file in path.parent.iterdir() if CANARY.encode() in file.read_bytes())
        seen.append(Path(beside).name)
        put(paths, beside)  # type: ignore[arg-type]

    monkeypatch.setattr(repairing, "_put", watching)
    flip(path, PAGE * original()[2]["postings"][-1] + 300)
    repaired(path)
    assert seen == [f"{path.name}-repair"]
    assert not [file.name for file in path.parent.iterdir() if CANARY.encode() in file.read_bytes()]
    assert not [file.name for file in path.parent.iterdir() if "repair" in file.name]


def test_without_its_key_file_it_is_refused_and_nothing_is_changed(path: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "other.mem", tmp_path / "other.key") as memory:
        memory.episode().observe("Another.")
    flip(path, PAGE * 9 + 300)
    before = path.read_bytes()
    with pytest.raises(KeyFileError, match="is encrypted; open it with key_file="):
        repair(path)
    with pytest.raises(KeyFileError, match="another memory's"):
        repair(path, key_file=tmp_path / "other.key")
    with pytest.raises(KeyFileError, match="there is no key file"):
        repair(path, key_file=tmp_path / "never.key")
    with pytest.raises(SettingsError, match="key_file"):
        repair(path, key_file=7)  # type: ignore[arg-type]
    assert path.read_bytes() == before
    assert not (tmp_path / "never.key").exists()


def test_on_the_command_line(path: Path) -> None:
    from agentmem.cli import app

    options = str(path), "--key-file", str(keys(path))
    flip(path, PAGE * original()[2]["postings"][-1] + 300)
    assert CliRunner().invoke(app, ["verify", *options]).exit_code == 1
    assert CliRunner().invoke(app, ["repair", options[0]]).exit_code == 1
    found = CliRunner().invoke(app, ["repair", *options])
    assert found.exit_code == 0, found.output
    assert "made again: the index of words" in " ".join(found.output.split())
    assert CliRunner().invoke(app, ["verify", *options]).exit_code == 0


def flips_repaired(path: Path, places: Iterable[int], backup: Path | None = None) -> None:
    """Flip, repair: all that is left is as it was, what is not is named, and verifying finds nothing more."""
    _, told, pages = original()
    for place in places:
        copied(path.parent)
        flip(path, place)
        try:
            report = repaired(path, backup=backup)
        except DamagedError as error:
            if "schema" not in str(error) or place // PAGE not in pages["sqlite_schema"]:
                raise
            continue
        assert report.problems, place
        assert left(path) == [step for step in told if step[0] not in ids(report)], place
        assert unnamed(path, report) == set(), place
        if backup is not None:
            lost = [loss.what for loss in report.lost]
            assert [what for what in lost if not any(word in what for word in ("settings", "ledger"))] == [], place
            assert beside(path) == all_beside(), place


def noise(tables: Iterable[str] = ()) -> list[int]:
    """Where the nonce of each page is, or of the last page of each of some tables: without it the page is noise."""
    pages = original()[2]
    numbers = [pages[table][-1] for table in tables] or range(original()[0].stat().st_size // PAGE)
    return [PAGE * number + TAGS + 3 for number in numbers]


@pytest.mark.slow
def test_what_hundreds_of_repairs_leave_is_what_was_logged(path: Path) -> None:
    rng = random.Random(5)
    flips_repaired(path, [rng.randrange(path.stat().st_size) for _ in range(300)])


def test_what_a_repair_leaves_is_what_was_logged(path: Path) -> None:
    rng = random.Random(6)
    flips_repaired(path, [rng.randrange(path.stat().st_size) for _ in range(2)])


@pytest.mark.slow
def test_whatever_page_is_noise_what_that_costs_is_named(path: Path) -> None:
    flips_repaired(path, noise())


@pytest.mark.slow
def test_whatever_page_is_noise_a_whole_backup_gives_all_of_it_back(path: Path, tmp_path: Path) -> None:
    with opened(path, keys(path)) as memory:
        memory.backup(tmp_path / "copy.mem")
    flips_repaired(path, noise(), tmp_path / "copy.mem")


@pytest.mark.parametrize("table", TABLES)
def test_a_page_of_noise_in_any_table_costs_only_what_is_named(path: Path, table: str) -> None:
    flips_repaired(path, noise([table]))


def test_only_a_page_that_does_not_fit_its_tag_is_told_as_one(path: Path) -> None:
    with opened(path, keys(path)) as memory:
        cipher = memory._core.store._files.cipher
    with closing(connect(str(path), cipher=cipher)) as connection:
        connection.execute("UPDATE log SET text='other' WHERE position=20")
    with opened(path, keys(path)) as memory:
        problems = memory.verify().problems
    assert "position 20 was changed" in problems[0]
    assert not any("tag" in problem for problem in problems)
