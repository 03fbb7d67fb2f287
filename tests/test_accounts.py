"""Whom a memory answers to: consent, what was done with it, and who looked."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest
from strategies import opened, said

from agentmem import InvalidInputError, Memory
from agentmem.errors import ConsentError, ReadOnlyError, SettingsError
from agentmem.testing import FakeClock

# ---- consent ---------------------------------------------------------------------------------------------------------


def test_withdrawn_consent_refuses_steps_and_holds_out_of_recall_what_there_is(told: Memory, file: Path) -> None:
    last = list(told.steps())[-1].id
    assert told.consent("ann", given=False, note="by mail") == 3
    for memory in (told, opened(file)):
        assert not any("vault" in text for text in said(memory, "vault opens seven"))
        assert "vault" not in memory.recall("vault opens seven", as_of=last).text
        with pytest.raises(ConsentError, match="withdrew"):
            memory.episode(id="house").log("Late.", subjects=["ann"])
    assert len(list(told.steps())) == 11
    told.forget(steps=next(told.steps()).id)
    told.consent("bob", given=False)
    told.consent("ann")
    texts = said(told, "vault opens seven")
    assert any("garden" in text for text in texts)
    assert not any("In the house" in text for text in texts)  # forgotten meanwhile
    assert "Ann met Bob." not in said(told, "Ann met Bob")  # Bob did not give consent
    told.consent("bob")
    assert "Ann met Bob." in said(told, "Ann met Bob")
    assert told.verify().ok


def test_consent_counts_as_it_was_said_last_whatever_the_clock(file: Path) -> None:
    clock = FakeClock()
    with Memory.open(file, encoder=None, clock=clock) as memory:
        memory.consent("ann", given=False)
        clock.advance(-1000)
        memory.consent("ann")
        assert memory.episode().log("Here.", subjects=["ann"])


# ---- changes and accesses --------------------------------------------------------------------------------------------


def test_changes_tell_what_was_done_by_whom_and_no_content(told: Memory, tmp_path: Path) -> None:
    officer = told.acting("officer")
    first = next(told.steps()).id
    officer.forget(steps=first)
    officer.forget(steps=first, undo=True)
    officer.pin(first)
    officer.attach("zebra-state", b"123")
    officer.export(tmp_path / "a.jsonl")
    told.backup(tmp_path / "a.mem")
    officer.consent("bob", given=False)
    officer.erase(subject="ann")
    with told.episode(id="walk", agent="walker"):
        pass
    told.scoped("other").episode(id="elsewhere")
    changes = told.changes()
    done = ["begin", "begin", "forget", "restore", "pin", "attach", "export", "backup", "consent", "erased"]
    assert [change.what for change in changes] == [*done, "begin", "end"]
    assert [change.who for change in changes[2:8]] == ["officer"] * 5 + [None]
    assert changes[-1].who == "walker"
    assert changes[9].detail["counts"]["steps"] == 3
    assert "zebra" not in str(changes)
    assert "a.jsonl" not in str(changes)
    assert told.verify().ok


def test_a_ledger_that_was_changed_or_cut_is_told(told: Memory, file: Path, tmp_path: Path) -> None:
    for number in range(3):
        told.attach(f"a{number}", b"x")
    told.erase(subject="ann")
    told.close()
    tampers = (
        "UPDATE ledger SET who='nobody' WHERE id=2",
        "DELETE FROM ledger WHERE id=(SELECT max(id) FROM ledger)",
        "DELETE FROM barred",
    )
    for sql in tampers:
        connection = apsw.Connection(str(file))
        connection.execute("BEGIN")
        saved = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in ("ledger", "barred")]
        connection.execute(sql)
        connection.execute("COMMIT")
        with opened(file) as memory:
            assert any("ledger" in one or "barred" in one for one in memory.verify().problems)
        for table, rows in zip(("ledger", "barred"), saved, strict=True):
            connection.execute(f"DELETE FROM {table}")
            connection.executemany(f"INSERT INTO {table} VALUES({', '.join('?' * len(rows[0]))})", rows)
        connection.close()
    with opened(file) as memory:
        assert memory.verify().ok


def test_accesses_are_noted_where_a_memory_was_made_to(file: Path) -> None:
    with Memory.open(file, encoder=None, access_log=True) as memory:
        with memory.episode(id="e") as episode:
            step = episode.log("The red door is open.")
            episode.recall("red door")
        head = memory.head()
        reader = memory.acting("token 1234")
        reader.recall("red door")
        reader.step(step.id)
        list(reader.steps())
        assert memory.head() == head
        found = memory.accesses()
        assert [(one.what, one.who) for one in found[1:]] == [
            ("recall", "token 1234"),
            ("step", "token 1234"),
            ("steps", "token 1234"),
        ]
        assert found[0].detail == found[1].detail  # the same cue
        assert "red" not in str(found)
        assert [change.what for change in memory.changes()] == ["begin", "end"]
        assert memory.verify().ok
    with pytest.raises(SettingsError, match="access_log"):
        Memory.open(file, encoder=None, access_log=False)
    with Memory.open(file, encoder=None, read_only=True) as memory:
        with pytest.raises(ReadOnlyError):
            memory.recall("red door")
        assert len(memory.accesses()) == 4


def test_no_accesses_are_noted_unless_asked_for(told: Memory) -> None:
    told.recall("red door")
    with pytest.raises(InvalidInputError, match="access_log=True"):
        told.accesses()
