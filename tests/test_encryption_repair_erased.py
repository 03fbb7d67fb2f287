"""Repair of a copy of an encrypted memory that is older than an erasure: what was erased since goes from it too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import sleep

import pytest
from keyed import about, opened
from test_encryption_repair import PAGE, copied, flip, keys, original, repaired

from agentmem.errors import KeyConflictError
from agentmem.store import has_ciphers
from agentmem.store.files import FileLock
from agentmem.store.keyfile import KeyFile
from agentmem.store.sealing import group_of

pytest.importorskip("cryptography")
pytestmark = pytest.mark.skipif(not has_ciphers(), reason="the SQLite that is installed has no ciphers")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return copied(tmp_path)


def key_of_bob(held: KeyFile) -> str:
    group = group_of(about("", "bob", namespace=()))
    assert group is not None
    key = held.key_of(group)
    assert key is not None
    return key


def test_what_an_erasure_elsewhere_condemned_or_marked_does_not_come_back_in_a_repaired_copy(path: Path) -> None:
    """Also a step of no subject, and one whose erasure was interrupted before its key was removed."""
    pages, old = original()[2], path.read_bytes()
    anchor = Path(f"{path}-anchor").read_bytes()
    with opened(path, keys(path)) as memory:
        plain = next(step for step in memory.steps() if not step.subjects)
        memory.erase(steps=[plain.id])
    path.write_bytes(old)
    Path(f"{path}-anchor").write_bytes(anchor)
    held = KeyFile(str(keys(path)))
    held.condemn([key_of_bob(held)], [])
    flip(path, PAGE * pages["postings"][-1] + 300)
    report = repaired(path)
    assert report.problems
    assert [loss for loss in report.lost if loss.first] == []
    with opened(path, keys(path), read_only=True) as memory:
        there = list(memory.steps())
        assert plain.id not in {step.id for step in there}
        assert ("bob",) not in [step.subjects for step in there]
        assert len(there) == len(original()[1]) - 13
        assert memory.attachments() == {}
    with opened(path, keys(path)) as memory:
        with memory.episode(id="e0") as episode, pytest.raises(KeyConflictError, match="erased"):
            episode.observe("Door 1 of house 0 is red.", subjects=["bob"], key="0/1")
        assert memory.verify().ok


def test_what_is_erased_while_a_repair_waits_is_not_brought_back_by_it(path: Path) -> None:
    flip(path, PAGE * original()[2]["postings"][-1] + 300)
    held, lock = KeyFile(str(keys(path))), FileLock(f"{path}-lock")
    with ThreadPoolExecutor(1) as pool:
        with closing(lock), lock:
            waiting = pool.submit(repaired, path)
            while not waiting.running():
                sleep(0.01)
            sleep(0.5)
            held.condemn([key_of_bob(held)], [])
        waiting.result()
    with opened(path, keys(path), read_only=True) as memory:
        assert ("bob",) not in [step.subjects for step in memory.steps()]
