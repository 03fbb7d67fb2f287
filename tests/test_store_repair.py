"""Repair: what is damaged is made again or taken from a backup; what nothing can prove is noted as lost."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from strategies import all_crystals, long_log, opened, played
from torture.flips import everything, flip, original, words

from agentmem.errors import DamagedError, ErasedError, InvalidInputError, KeyConflictError, NotFoundError
from agentmem.memory import repair as repair_memory
from agentmem.store import open_store, repair
from agentmem.testing.records import A, B, batch, crystal, step
from agentmem.types import Span

Change = Callable[[apsw.Connection], Any]


def damage(path: str, *statements: str) -> None:
    connection = apsw.Connection(path)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def flipped(path: str, sql: str, column: str, table: str, key: str) -> None:
    """Flip a bit in a stored value."""
    connection = apsw.Connection(path)
    ((number, value),) = connection.execute(sql).fetchall()
    data = bytearray(value.encode() if isinstance(value, str) else value)
    data[0] ^= 4
    new = data.decode() if isinstance(value, str) else bytes(data)
    connection.execute(f"UPDATE {table} SET {column}=? WHERE {key}=?", (new, number))
    connection.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A memory of 120 records, some archived, with crystals, a blob, attachments and an erased record."""
    for file in original(killed=False)[0].iterdir():
        shutil.copy(file, tmp_path)
    return str(tmp_path / "agent.mem")


def known(path: str) -> Any:
    with open_store(path, terms=words) as store:
        assert store.verify()[0] == []
        return everything(store)


def log_of(everything: Any) -> Any:
    return everything[0]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM keys WHERE position IS NOT NULL",
        "DELETE FROM postings",
        "UPDATE postings SET data=zeroblob(50)",
        "UPDATE batches SET payload=zeroblob(50)",
        "DELETE FROM blob_uses",
        "DELETE FROM block_namespaces",
        "UPDATE log SET chain=zeroblob(32) WHERE position=100",
        "UPDATE counters SET value=value-1",
        "UPDATE namespaces SET watermark=1, state=x'00'",
    ],
)
def test_what_is_made_from_the_log_is_made_again_and_no_record_is_lost(path: str, statement: str) -> None:
    before = log_of(known(path))
    damage(path, statement)
    report = repair(path, terms=words)
    assert report.problems
    assert report.lost == ()
    assert log_of(known(path)) == before
    assert repair(path, terms=words).problems == ()


def test_crystals_that_are_whole_stay_when_something_else_is_repaired(path: str) -> None:
    before = known(path)
    damage(path, "DELETE FROM postings")
    report = repair(path, terms=words)
    after = known(path)
    assert not any("crystals" in part for part in report.rebuilt)
    assert [made[1] for made in after[8]] == [made[1] for made in before[8]]
    assert after[6] == before[6]  # keys


def test_a_name_with_a_flipped_bit_is_found_by_the_records_that_bear_it(path: str) -> None:
    before = known(path)
    flipped(path, "SELECT id, name FROM names WHERE name='e3'", "name", "names", "id")
    report = repair(path, terms=words)
    assert report.lost == ()
    assert any("'e3'" in part for part in report.rebuilt)
    assert log_of(known(path)) == log_of(before)


def test_a_record_that_was_changed_is_lost_and_named_and_the_rest_works_on(path: str) -> None:
    before = {record.position: record for record in log_of(known(path))}
    damage(path, "UPDATE log SET text='other' WHERE position=90")
    report = repair(path, terms=words)
    assert [(loss.first, loss.last, loss.ids) for loss in report.lost] == [(90, 90, ("s00000000090",))]
    assert "position 90 was changed" in report.lost[0].what
    with open_store(path, terms=words) as store:
        assert {record.position: record for record in store.scan()} == {at: r for at, r in before.items() if at != 90}
        problems, checked = store.verify()
        assert (problems, checked["lost"]) == ([], 1)
        with pytest.raises(NotFoundError, match="position 90 is lost"):
            store.read([90])
        assert store.append([step("after", key="new")])[0].position == 121
        assert store.append([step("after", key="new")])[0].position == 121
        store.erase([91])
        assert store.verify()[0] == []
        with pytest.raises(KeyConflictError, match="erased"):
            store.append([step("again", B, key="key 7")])


def test_a_block_that_was_changed_is_lost_whole_and_no_neighbour_of_it(path: str) -> None:
    before = {record.position: record for record in log_of(known(path))}
    with open_store(path) as store:
        store.archive(100)
    damage(path, "UPDATE blocks SET data=zeroblob(99) WHERE first=1")
    report = repair(path, terms=words)
    (loss,) = (loss for loss in report.lost if loss.first)
    assert loss.what.startswith("the block of positions 1 to ")
    with open_store(path, terms=words) as store:
        assert list(store.scan()) == [record for at, record in before.items() if at > loss.last]
        assert store.verify()[0] == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log SET text='other' WHERE position BETWEEN 90 AND 92",
        "DELETE FROM log WHERE position BETWEEN 90 AND 95",
        "DELETE FROM log WHERE position > 100",
        "UPDATE blocks SET data=zeroblob(99)",
        "DELETE FROM blocks",
        "DELETE FROM names",
        "UPDATE names SET name=name || 'x'",
        "UPDATE attachments SET data=zeroblob(5)",
        "UPDATE blobs SET data=zeroblob(5)",
        "DELETE FROM blobs",
    ],
)
def test_a_backup_gives_back_what_the_chain_proves(path: str, tmp_path: Path, statement: str) -> None:
    copy = str(tmp_path / "copy.mem")
    with open_store(path, terms=words) as store:
        store.backup(copy)
        store.erase([60])
        if "> 100" not in statement:
            store.append([step("after the backup", key="late", episode="e1")])
    before = known(path)
    damage(path, statement)
    report = repair(path, copy, terms=words)
    after = known(path)
    assert report.lost == ()
    assert log_of(after) == log_of(before)
    assert after[11:16] == before[11:16]  # encoders, attachments and the blob


def test_a_backup_of_another_log_gives_nothing(path: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy.mem")
    with open_store(copy, terms=words) as store:
        store.append([step(f"another {n}", key=f"key {n}") for n in range(120)])
    damage(path, "UPDATE log SET text='other' WHERE position=90")
    report = repair(path, copy, terms=words)
    assert report.restored == ()
    assert [loss.first for loss in report.lost] == [90]


def test_a_damaged_backup_and_the_memory_itself_are_refused_as_backups(path: str, tmp_path: Path) -> None:
    copy = str(tmp_path / "copy.mem")
    with open_store(path) as store:
        store.backup(copy)
    for one in (path, copy):
        damage(one, "UPDATE log SET text='other' WHERE position=90")
    with pytest.raises(InvalidInputError, match="damaged too"):
        repair(path, copy, terms=words)
    with pytest.raises(InvalidInputError, match="the memory itself"):
        repair(path, path, terms=words)


def test_a_changed_schema_is_refused_and_nothing_is_given_up(path: str) -> None:
    data = Path(path).read_bytes()
    assert data.count(b"key TEXT, text TEXT") == 1
    Path(path).write_bytes(data.replace(b"key TEXT, text TEXT", b"key TEXT, tezt TEXT"))
    before = Path(path).read_bytes()
    with pytest.raises(DamagedError, match="schema"):
        repair(path, terms=words)
    assert Path(path).read_bytes() == before


def test_a_dry_run_tells_and_changes_nothing(path: str) -> None:
    damage(path, "UPDATE log SET text='other' WHERE position=90")
    before = Path(path).read_bytes()
    report = repair(path, dry_run=True, terms=words)
    assert (report.dry_run, [loss.first for loss in report.lost]) == (True, [90])
    assert Path(path).read_bytes() == before
    assert not [name for name in os.listdir(os.path.dirname(path)) if "repair" in name]


def test_a_memory_that_lost_its_end_opens_again_without_it(path: str) -> None:
    damage(path, "DELETE FROM log WHERE position > 110")
    with pytest.raises(DamagedError, match="up to 120"):
        open_store(path)
    report = repair(path, terms=words)
    assert [(loss.first, loss.last) for loss in report.lost] == [(111, 120)]
    with open_store(path, terms=words) as store:
        assert store.append([step("next")])[0].position == 121
        assert store.verify()[0] == []


def flips_repaired(folder: Path, seed: int, trials: int, killed: bool) -> None:
    """Flip, repair: every record that is left is as it was, and verifying finds nothing more."""
    rng, before = random.Random(seed), original(killed)[1]
    for _ in range(trials):
        flip(folder, killed, rng)
        path = str(folder / "agent.mem")
        try:
            repair(path, terms=words)
        except DamagedError as error:
            if "schema" not in str(error):
                raise
            continue
        with open_store(path, terms=words) as store:
            assert store.verify()[0] == []
            assert all(record in log_of(before) for record in store.scan())


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_repair_leaves_is_what_was_logged(tmp_path: Path, killed: bool) -> None:
    flips_repaired(tmp_path, seed=3, trials=8, killed=killed)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_what_hundreds_of_repairs_leave_is_what_was_logged(tmp_path: Path, killed: bool) -> None:
    flips_repaired(tmp_path, seed=4, trials=200, killed=killed)


# ---- a whole memory


def test_a_memory_repairs_itself_while_it_is_open_here_and_in_another(file: Path) -> None:
    with played(long_log(8, 6), file) as memory, opened(file) as other:
        memory.crystallize()
        steps, made = list(memory.steps()), all_crystals(memory)
        told = other.recall("red door", 300).text
        damage(str(file), "UPDATE batches SET payload=zeroblob(50)", "DELETE FROM postings")
        assert not memory.verify().ok
        report = memory.repair()
        assert report.lost == ()
        for one in (memory, other):
            assert one.verify().ok
            assert list(one.steps()) == steps
            assert all_crystals(one) == made
            assert one.recall("red door", 300).text == told
        other.episode(id="after").log("a step after the repair")
        assert memory.verify().ok


def test_a_memory_that_does_not_open_is_repaired_by_its_path(file: Path) -> None:
    with played(long_log(6, 6), file) as memory:
        memory.crystallize()
        copy = file.with_name("copy.mem")
        memory.backup(copy)
        steps, made = list(memory.steps()), all_crystals(memory)
    damage(str(file), "UPDATE settings SET value='1' WHERE name='horizon'", "UPDATE log SET body='{}' WHERE position=9")
    with pytest.raises(DamagedError):
        opened(file)
    report = repair_memory(file, copy)
    assert [loss for loss in report.lost if loss.first] == []
    with opened(file) as memory:
        memory.crystallize()
        assert list(memory.steps()) == steps
        assert all_crystals(memory) == made


def test_a_repair_that_is_interrupted_changes_nothing(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(path, "UPDATE log SET text='other' WHERE position=90")
    before = Path(path).read_bytes()
    monkeypatch.setattr("agentmem.store.repairing._put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        repair(path, terms=words)
    assert Path(path).read_bytes() == before
    monkeypatch.undo()
    assert len(repair(path, terms=words).lost) == 1


def test_published_crystals_of_a_lost_step_go_with_it(path: str) -> None:
    with open_store(path, terms=words) as store:
        made = batch([crystal("over 90", [Span(90, 0, 3)], "w1 ")], 120)
        assert store.publish(A, made, expected=store.version(A))
    shutil.copy(path, path + ".kept")
    damage(path, "UPDATE log SET text='other' WHERE position=90")
    repair(path, terms=words)
    with open_store(path, terms=words) as store:
        assert store.crystals(A) == []
        assert store.watermark(A).position == 0


@pytest.mark.parametrize("statement", ["DELETE FROM barred", "UPDATE log SET text='other' WHERE position > 3"])
def test_who_was_erased_stays_barred_and_the_ledger_stays(file: Path, statement: str) -> None:
    """Also where the event that says so is what was damaged."""
    with opened(file) as memory:
        episode = memory.episode(id="run")
        for name in ("ann", "bob", "ann"):
            episode.log(f"{name} said something that is long enough to be found", subjects=[name])
        memory.erase(subject="ann")
        noted = list(memory._core.store.notes())
    damage(str(file), statement)
    repair_memory(file)
    with opened(file) as memory:
        assert memory.verify().ok, memory.verify().problems
        assert list(memory._core.store.notes()) == noted
        with pytest.raises(ErasedError):
            memory.episode(id="again").log("ann is here", subjects=["ann"])
