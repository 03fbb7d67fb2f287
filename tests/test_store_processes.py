"""Many processes and threads on one file."""

from __future__ import annotations

import gc
import multiprocessing
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from agentmem.store import open_store
from agentmem.store.blocks import Block
from agentmem.store.postings import Postings
from agentmem.testing.records import A, batch, crystal, step
from agentmem.types import Span

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def run_all(method: str, target: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=target, args=(*given, queue)) for given in arguments]
    for child in children:
        child.start()
    answers = [queue.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    return answers


def append(path: str, durability: Any, name: str, threads: int, calls: int, queue: Any) -> None:
    logged: list[tuple[int, str]] = []
    try:
        with open_store(path, durability=durability) as store:

            def work(thread: int) -> None:
                for n in range(calls):
                    records = store.append([step(f"{name} {thread} {n} {part}") for part in range(1 + n % 3)])
                    logged.extend((record.position, record.text) for record in records)

            workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        queue.put(logged)
    except BaseException as error:
        queue.put([repr(error)])


def check_appends(path: str, durability: str, processes: int, threads: int, calls: int, method: str = "fork") -> None:
    given = [(path, durability, f"p{n}", threads, calls) for n in range(processes)]
    answers = run_all(method, append, given)
    told = dict(pair for answer in answers for pair in answer)
    with open_store(path) as store:
        there = {record.position: record.text for record in store.scan()}
        assert there == told
        assert sorted(there) == list(range(1, len(there) + 1))
        assert len(there) == processes * threads * sum(1 + n % 3 for n in range(calls))
        assert len(store.columns(A).position) == len(there)
        assert store.verify()[0] == []


@pytest.mark.parametrize("durability", ["power", "process"])
def test_processes_and_threads_append_without_gaps_or_losses(tmp_path: Path, durability: str) -> None:
    check_appends(str(tmp_path / "agent.mem"), durability, processes=4, threads=3, calls=40)


@pytest.mark.slow
def test_spawned_processes_append_without_gaps_or_losses(tmp_path: Path) -> None:
    check_appends(str(tmp_path / "agent.mem"), "process", processes=2, threads=2, calls=30, method="spawn")


def publish(path: str, name: str, queue: Any) -> None:
    won = 0
    try:
        with open_store(path, durability="process") as store:
            for n in range(150):
                version = store.version(A)
                at = version.watermark
                if at >= 60:
                    break
                made = [crystal(f"{name} {n}", [Span(at + 1, 0, 4)], "text")]
                won += store.publish(A, batch(made, at + 1), expected=version)
        queue.put(won)
    except BaseException as error:
        queue.put(repr(error))


def test_two_crystallizers_never_both_publish_a_stretch(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step("text")] * 60)
        answers = run_all("fork", publish, [(path, f"p{n}") for n in range(3)])
        assert sum(answers) == store.watermark(A).position
        assert len(store.crystals(A)) == store.watermark(A).position
        covered = [one.covers[0] for _, one in store.crystals(A)]
        assert covered == list(range(1, len(covered) + 1))


def upkeep(path: str, queue: Any) -> None:
    try:
        with open_store(path, durability="process") as store:
            for n in range(1, 40):
                store.archive(n * 10)
                if n % 10 == 0:
                    store.erase([n])
                if n % 15 == 0:
                    store.rewrite({n + 1: ("short", "{}")})
        queue.put("done")
    except BaseException as error:
        queue.put(repr(error))


def count(path: str, queue: Any) -> None:
    seen = 0
    try:
        with open_store(path, durability="process") as store:
            while seen < 399:
                head = store.head().position
                positions = [record.position for record in store.scan()]
                assert positions == sorted(set(positions))
                assert len(positions) >= head - 4
                seen = head
        queue.put("done")
    except BaseException as error:
        queue.put(repr(error))


def write(path: str, queue: Any) -> None:
    try:
        with open_store(path, durability="process") as store:
            for n in range(400):
                store.append([step(f"text number {n}")])
        queue.put("done")
    except BaseException as error:
        queue.put(repr(error))


def mixed(path: str, work: int, queue: Any) -> None:
    (write, upkeep, count, count)[work](path, queue)


def test_archiving_erasing_and_reading_beside_a_writer_in_other_processes(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    with open_store(path) as store:
        store.append([step(f"before {n}") for n in range(50)])
    assert run_all("fork", mixed, [(path, n) for n in range(4)]) == ["done"] * 4
    with open_store(path) as store:
        assert store.head().position == 450
        assert store.verify()[0] == []


def unpacked(word: bytes) -> list[Block | Postings]:
    """What this process keeps unpacked of a log or of its index that has a word."""
    there = [one for one in gc.get_objects() if isinstance(one, Block | Postings)]
    return [one for one in there if (one.contains(word) if isinstance(one, Block) else word in b" ".join(one.terms()))]


@pytest.mark.slow
def test_what_is_unpacked_is_dropped_once_another_opening_erased_and_when_the_file_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.mem")
    erased, kept = (f"word {word} {n}" for n, word in enumerate(("xylophone", "kettledrum")))
    with open_store(path) as reader, open_store(path) as writer:
        writer.append([step(text) for text in [erased, kept] * 300])
        writer.archive(writer.head().position)
        list(reader.scan())
        reader.postings(A, ["xylophone"])
        held = unpacked(b"xylophone")
        assert {type(one) for one in held} == {Block, Postings}
        gone = [weakref.ref(held.pop()) for _ in range(len(held))]
        writer.erase(list(range(1, 600, 2)))
        reader.version(A)
        assert [one() for one in gone] == [None] * len(gone)
        list(reader.scan())
        gone = [weakref.ref(one) for one in unpacked(b"kettledrum")]
        assert gone
    assert [one() for one in gone] == [None] * len(gone)
