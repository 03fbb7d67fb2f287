"""Attachments of a Memory: whose they are, who sees them, what takes them away, and what a changed byte does."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from strategies import SECRET, chat, opened

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.errors import ClosedError, DamagedError, FullError, ReadOnlyError, TooLargeError
from agentmem.ingest import ingest
from agentmem.memory import retention
from agentmem.store import open_store

OLD = Path(__file__).parent / "data" / "stores"
STATE = bytes(range(256)) * 40


def anywhere(file: Path, needle: bytes) -> list[str]:
    """Names of the memory's files that hold these bytes."""
    return [name for name in os.listdir(file.parent) if needle in (file.parent / name).read_bytes()]


# ---- whose


def test_what_is_attached_is_there_when_the_memory_is_opened_again(file: Path) -> None:
    with opened(file) as memory:
        memory.attach("state", STATE)
        memory.attach("notes", bytearray(b"text"))
        assert memory.attachments() == {"notes": 4, "state": len(STATE)}
    with opened(file) as memory:
        assert memory.attachment("state") == STATE
        assert memory.attachment("notes") == b"text"
        memory.detach("notes")
        assert memory.attachments() == {"state": len(STATE)}


def test_a_view_sees_the_attachments_of_its_own_namespace_alone(memory: Memory) -> None:
    alice, bob = memory.scoped("acme", "alice"), memory.scoped("acme", "bob", read=[("acme", "alice"), ()])
    memory.attach("state", b"of all")
    alice.attach("state", b"of alice")
    assert (memory.attachment("state"), alice.attachment("state")) == (b"of all", b"of alice")
    assert bob.attachments() == memory.scoped("acme").attachments() == {}
    with pytest.raises(NotFoundError, match="no attachment 'state' in namespace .*bob.*; there is none yet"):
        bob.attachment("state")
    with pytest.raises(NotFoundError, match="no attachment 'state' to detach"):
        bob.detach("state")
    alice.detach("state")
    assert memory.attachments() == {"state": 6}


def test_what_cannot_be_attached_is_refused_with_what_to_give(memory: Memory) -> None:
    memory.attach("state", STATE)
    with pytest.raises(NotFoundError, match="'stat'; did you mean 'state'"):
        memory.attachment("stat")
    for name, content, said in (("", b"x", "name '' must be"), (1, b"x", "name 1 must"), ("n", "x", "a str; give")):
        with pytest.raises(InvalidInputError, match=said):
            memory.attach(name, content)  # type: ignore[arg-type]
    with pytest.raises(TooLargeError, match="over the limit"):
        memory.attach("n" * 1_001, b"x")
    assert memory.attachments() == {"state": len(STATE)}


# ---- who sees them


CHILD = """
import sys
from agentmem import Memory
with Memory.open(sys.argv[1], encoder=None, read_only=sys.argv[2] == "reads") as memory:
    print(memory.scoped("acme").attachment("state").decode())
    if sys.argv[2] == "writes":
        memory.scoped("acme").attach("state", b"from the child")
        memory.scoped("acme").attach("other", b"too")
"""


def test_two_processes_see_what_the_other_attached(memory: Memory, file: Path) -> None:
    scoped = memory.scoped("acme")
    scoped.attach("state", b"from the parent")
    for what in ("reads", "writes"):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, str(file), what], capture_output=True, text=True, check=True
        )
        assert done.stdout == "from the parent\n"
    assert scoped.attachment("state") == b"from the child"
    scoped.detach("other")
    assert scoped.attachments() == {"state": 14}
    assert memory.verify().ok


def test_a_memory_opened_read_only_reads_attachments_and_refuses_others(file: Path) -> None:
    with opened(file) as memory:
        memory.attach("state", STATE)
    with opened(file, read_only=True) as memory:
        assert memory.attachment("state") == STATE
        for write in (lambda: memory.attach("state", b"x"), lambda: memory.detach("state")):
            with pytest.raises(ReadOnlyError):
                write()
    with pytest.raises(ClosedError):
        memory.attachments()


def test_a_full_disk_leaves_what_was_attached(memory: Memory) -> None:
    memory.attach("state", STATE)
    connection = memory._core.store._writer.connection  # type: ignore[attr-defined]
    connection.execute("PRAGMA max_page_count=80").fetchall()
    with pytest.raises(FullError, match="space"):
        memory.attach("state", STATE * 20)
    assert memory.attachment("state") == STATE
    connection.execute("PRAGMA max_page_count=1000000").fetchall()
    memory.attach("state", STATE * 20)
    assert memory.verify().ok


# ---- copies


def test_a_backup_holds_the_attachments_of_its_moment(memory: Memory, tmp_path: Path) -> None:
    memory.scoped("acme").attach("state", STATE)
    memory.backup(tmp_path / "copy.mem")
    memory.scoped("acme").attach("state", b"newer")
    with opened(tmp_path / "copy.mem") as copy:
        assert copy.scoped("acme").attachment("state") == STATE
        assert copy.verify().checked["attachments"] == 1


def test_attachments_travel_with_a_derived_export_alone(memory: Memory, tmp_path: Path) -> None:
    acme = memory.scoped("acme")
    with acme.episode(id="door") as episode:
        episode.observe("The red door is locked.")
    acme.attach("state", STATE)
    memory.attach("state", b"of another namespace")
    acme.export(tmp_path / "log.jsonl")
    assert b"attachment" not in (tmp_path / "log.jsonl").read_bytes()
    acme.export(tmp_path / "all.jsonl", derived=True)
    with opened() as copy:
        for _ in range(2):
            ingest(copy, tmp_path / "all.jsonl")
        assert copy.attachments() == {}
        assert copy.scoped("acme").attachment("state") == STATE
        copy.scoped("acme").export(tmp_path / "again.jsonl", derived=True)
    attached = [line for line in (tmp_path / "again.jsonl").read_text().split("\n") if '"attachment"' in line]
    assert attached == [line for line in (tmp_path / "all.jsonl").read_text().split("\n") if '"attachment"' in line]


def test_an_import_replaces_no_attachment_and_tells_bad_lines(memory: Memory, tmp_path: Path) -> None:
    def line(**fields: object) -> str:
        return json.dumps({"type": "attachment", "name": "state", "content": "", **fields}) + "\n"

    memory.attach("state", STATE)
    good = line(name="other", content=base64.b64encode(b"new").decode())
    lines = [line(content="eA=="), line(content="ß"), line(content=None), line(name=""), good, line(name="other"), good]
    (tmp_path / "some.jsonl").write_text("".join(lines))
    dry = ingest(memory, tmp_path / "some.jsonl", skip_bad=True, dry_run=True)
    assert memory.attachments() == {"state": len(STATE)}
    report = ingest(memory, tmp_path / "some.jsonl", skip_bad=True)
    assert report.bad == dry.bad
    assert [(bad.number, bad.problem.split(";")[0]) for bad in report.bad] == [
        (1, "attachment 'state' of namespace () is there with other content"),
        (2, "the content of attachment 'state' is not base64"),
        (3, "the content of attachment 'state' is not base64"),
        (4, "name '' must be a non-empty str"),
        (6, "attachment 'other' of namespace () is there with other content"),
    ]
    assert (memory.attachment("state"), memory.attachment("other")) == (STATE, b"new")


# ---- what takes them away


@pytest.mark.parametrize("given", [{"subject": "ann"}, {"episode": "house"}, {"steps": 1}, {"namespace": ()}], ids=str)
def test_erasing_takes_the_attachments_that_may_hold_what_is_erased(
    memory: Memory, file: Path, given: dict[str, object]
) -> None:
    with memory.episode(id="house") as episode:
        step = episode.log(SECRET, subjects=["ann"])
    reader, other = memory.scoped("bob", read=[()]), memory.scoped("carl")
    with reader.episode() as episode:
        assert SECRET in episode.recall("vault").text
    canary = b"a state that has read of the vault"
    for one, name in ((memory, "state"), (memory, "older"), (reader, "state"), (other, "state")):
        one.attach(name, canary * 100 if one is not other else b"x")
    chosen = {"steps": [step.id]} if "steps" in given else given
    dry = memory.erase(**chosen, dry_run=True)  # type: ignore[arg-type]
    assert dry.attachments == (((), "older"), ((), "state"), (("bob",), "state"))
    assert memory.attachment("state") == canary * 100
    report = memory.erase(**chosen)  # type: ignore[arg-type]
    assert report.attachments == dry.attachments
    assert memory.attachments() == reader.attachments() == {}
    assert other.attachments() == {"state": 1}
    assert anywhere(file, canary) == []
    assert memory.verify().ok


def test_erasing_nothing_takes_no_attachment(memory: Memory) -> None:
    memory.attach("state", STATE)
    memory.scoped("acme").attach("state", STATE)
    assert memory.erase(subject="nobody").attachments == ()
    assert memory.erase(namespace=("nowhere",)).attachments == ()
    assert memory.attachments() == memory.scoped("acme").attachments() == {"state": len(STATE)}


def test_a_namespace_that_has_attachments_alone_is_erased_with_its_name(memory: Memory, file: Path) -> None:
    memory.scoped("acme", "zoe").attach("state", b"a canary " * 500)
    dry = memory.erase(namespace=("acme", "zoe"), dry_run=True)
    assert (dry.steps, dry.attachments) == (0, ((("acme", "zoe"), "state"),))
    assert memory.erase(namespace=("acme", "zoe")).attachments == dry.attachments
    assert anywhere(file, b"a canary ") == anywhere(file, b"zoe") == []
    assert memory.verify().ok


def test_residue_is_looked_for_in_the_attachments_that_stay(memory: Memory) -> None:
    step = memory.episode(id="one").log(SECRET)
    memory.scoped("notes").attach("copy", b"x" * 5_000 + SECRET.encode() + b"x" * 5_000)
    assert any("attachment copy" in place for place in memory.erase(steps=step.id).residue)


def test_forgetting_and_crystallizing_leave_attachments_alone(memory: Memory) -> None:
    with memory.episode(id="chat") as episode:
        episode.log_many(chat(60))
    memory.attach("state", STATE)
    memory.forget(episode="chat")
    memory.crystallize()
    memory._core.store.discard(())
    assert memory.attachment("state") == STATE


def test_no_text_is_let_go_for_an_attachment(file: Path) -> None:
    with opened(file, retain="crystals", horizon=0) as memory:
        memory.attach("state", os.urandom(2_000_000))
        with memory.episode() as episode:
            episode.log_many(chat(200))
        memory.crystallize()
        stats = memory.stats()
        assert stats.bytes["attachments"] > 2_000_000 > retention.FIXED
        assert stats.bytes_per_million_tokens < 2_000_000 / stats.tokens * 1e6
        assert not any(step.lost for step in memory.steps())
        assert memory.verify().ok


# ---- damage, and older files


def change(file: Path, sql: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE attachments SET data = CAST(x'00' || substr(data, 2) AS BLOB)", "'state' was changed"),
        ("UPDATE attachments SET data = 'text'", "'state' was changed"),
        ("UPDATE attachments SET digest = zeroblob(32)", "list of attachments"),
        ("UPDATE attachments SET name = 'stale'", "list of attachments"),
        ("UPDATE attachments SET size = 7", "list of attachments"),
        ("UPDATE attachments SET namespace = 9", "list of attachments"),
        ("DELETE FROM attachments", "list of attachments"),
        ("DELETE FROM seals WHERE name LIKE 'attach%'", "list of attachments"),
    ],
)
def test_what_was_changed_is_told_and_never_served(file: Path, sql: str, said: str) -> None:
    with opened(file) as memory:
        memory.attach("state", b"\x01" + STATE)
    change(file, sql)
    with opened(file) as memory:
        with pytest.raises(DamagedError, match=said):
            memory.attachment("state")
        assert any(said in problem for problem in memory.verify().problems)
        with pytest.raises(DamagedError, match=said):
            memory.export(file.with_suffix(".jsonl"), derived=True)


def test_an_attachment_that_was_changed_can_be_attached_again(file: Path) -> None:
    with opened(file) as memory:
        memory.attach("state", b"\x01" + STATE)
    change(file, "UPDATE attachments SET data = CAST(x'00' || substr(data, 2) AS BLOB)")
    with opened(file) as memory:
        memory.attach("state", STATE)
        assert memory.attachment("state") == STATE
        assert memory.verify().ok


@pytest.mark.parametrize("retain", ["keep", "crystals"])
def test_a_file_of_format_2_opens_as_it_was_and_takes_attachments(file: Path, retain: str) -> None:
    for end in ("", "-anchor"):
        shutil.copy(OLD / f"format-2-{retain}{end}", f"{file}{end}")
    with pytest.raises(ReadOnlyError, match="older format 2"):
        open_store(str(file), read_only=True)
    for _ in range(2):
        with opened(file) as memory:
            alice = memory.scoped("acme", "alice")
            assert memory.stats().retain == retain
            assert [len(list(one.steps())) for one in (memory, alice)] == [62, 62]
            assert len(alice.crystals()) == 3
            first = next(alice.steps())
            assert alice.blob(first.blobs["frame"]) == b"\x00frame"
            assert "brass key" in alice.recall("which key?", 60).text
            alice.attach("state", STATE)
            assert memory.verify().ok, memory.verify().problems
    with opened(file, read_only=True) as memory:
        assert memory.scoped("acme", "alice").attachment("state") == STATE


def test_a_process_that_knew_a_namespace_attaches_to_it_again_after_another_erased_it(file: Path) -> None:
    with opened(file) as one, opened(file) as other:
        for memory in (one, other):
            memory.scoped("zoe").attach(f"of {id(memory)}", STATE)
        assert len(one.erase(namespace=("zoe",)).attachments) == 2
        one.scoped("new").attach("state", b"another namespace, which may get its number")
        other.scoped("zoe").attach("state", STATE)
        assert one.scoped("zoe").attachments() == {"state": len(STATE)}
        assert one.verify().ok
