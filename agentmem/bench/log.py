"""How fast the log is: each figure beside a baseline measured in turns in the same run, so that both meet one load.

    agentmem bench log [--json] [--quick] [--directory DIR]

Knows the store and the memory above it. The directory must be on the disk of interest.
"""

from __future__ import annotations

import argparse
import gzip
import multiprocessing
import os
import random
import shutil
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from agentmem.bench.printed import json_of
from agentmem.memory import EpisodeWriter, Memory
from agentmem.store import SQLiteStore, has_ciphers, open_store
from agentmem.types import Durability, Record

SPACE = ("bench",)
WRITERS = 8
SEALED = "encrypted, about a subject"
BAR = 1.5  # of an append and its fdatasync alone


class Figure(NamedTuple):
    """One line: a value, its unit, the baseline of the same run, and the bar it should pass (`under` or over it)."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    bar: float | None = None
    under: bool = True

    @property
    def passed(self) -> bool | None:
        return None if self.bar is None else (self.value < self.bar) == self.under


def english() -> list[str]:
    """20,000 common English words, the commonest first."""
    table = files("agentmem").joinpath("data", "words.txt.gz").read_bytes()
    return [word for line in gzip.decompress(table).decode().splitlines() for word in line.split()[1:]]


class Steps:
    """Steps of 600 bytes of English words with their natural frequencies, made before anything is timed."""

    def __init__(self, count: int, seed: int = 0) -> None:
        rng = random.Random(seed)
        words = english()
        weights = [1 / (n + 1) for n in range(len(words))]
        self.records = []
        for n in range(count):
            terms = " ".join(rng.choices(words, weights, k=90))
            text = " ".join(rng.choices(words, weights, k=200))[:600]
            self.records.append(
                Record(
                    "step",
                    SPACE,
                    f"e{n // 500}",
                    "observation",
                    None,
                    text,
                    '{"trust":"tool"}',
                    terms=(terms,),
                    tokens=120,
                )
            )


def percentile(seconds: list[float], share: float) -> float:
    """Milliseconds."""
    return float(np.quantile(np.array(seconds), share)) * 1e3


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def store_in(directory: str, durability: Durability) -> Iterator[SQLiteStore]:
    scratch = tempfile.mkdtemp(dir=directory)
    store = open_store(os.path.join(scratch, "bench.mem"), durability)
    try:
        yield store
    finally:
        store.close()
        shutil.rmtree(scratch)


@contextmanager
def plain_sqlite(directory: str) -> Iterator[Callable[[Record], None]]:
    """The baseline of an insert alone: one row of the text, WAL, synchronous=NORMAL, no index, no hash."""
    scratch = tempfile.mkdtemp(dir=directory)
    connection = sqlite3.connect(os.path.join(scratch, "plain.db"), isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE log(position INTEGER PRIMARY KEY, body TEXT, text TEXT)")

    def insert(record: Record) -> None:
        connection.execute("INSERT INTO log(body, text) VALUES(?, ?)", (record.body, record.text))

    try:
        yield insert
    finally:
        connection.close()
        shutil.rmtree(scratch)


# ---- one writer


def single(directory: str, count: int) -> list[Figure]:
    """Appends of one step, in turns with an SQLite insert alone."""
    mine, plain = [], []
    steps = Steps(count).records
    with store_in(directory, "process") as store, plain_sqlite(directory) as insert:
        for record in steps:
            mine.append(timed(lambda record=record: store.append([record])))  # type: ignore[misc]
            plain.append(timed(lambda record=record: insert(record)))  # type: ignore[misc]
    return [
        Figure("append, process, p50", percentile(mine, 0.5), "ms", percentile(plain, 0.5), 0.15),
        Figure("append, process, p99", percentile(mine, 0.99), "ms", percentile(plain, 0.99), 1.5),
    ]


def batches(directory: str, count: int) -> list[Figure]:
    steps = Steps(count * 100).records
    with store_in(directory, "process") as store:
        seconds = [timed(lambda n=n: store.append(steps[n : n + 100])) for n in range(0, len(steps), 100)]  # type: ignore[misc]
    rate = 100 / statistics.median(seconds)
    return [Figure("append of 100, process", rate, "records/s", None, 15_000, under=False)]


def encrypted(directory: str, count: int) -> list[Figure]:
    """Appends of one step to an encrypted file, not about anybody and about one of twenty, in turns with a plain one;
    then bytes once archived. None without ciphers."""
    if not has_ciphers():
        return []
    scratch = tempfile.mkdtemp(dir=directory)
    steps = Steps(count).records
    sealed = [replace(one, body=f'{{"subjects":["user {n % 20}"]}}') for n, one in enumerate(steps)]
    logged = {"plain": steps, "encrypted": steps, SEALED: sealed}
    stores = [SQLiteStore(f"{scratch}/plain", "process")]
    stores += [SQLiteStore(f"{scratch}/{n}", "process", key_file=f"{scratch}/{n}.key") for n in range(2)]
    found: list[list[float]] = [[], [], []]
    for n in range(count):
        for store, records, seconds in zip(stores, logged.values(), found, strict=True):
            seconds.append(timed(lambda store=store, record=records[n]: store.append([record])))  # type: ignore[misc]
    sizes, plain = [_archived_bytes(store, count) for store in stores], percentile(found[0], 0.5)
    shutil.rmtree(scratch)
    figures = []
    for name, seconds, size in list(zip(logged, found, sizes, strict=True))[1:]:
        figures.append(Figure(f"append, process, {name}, p50", percentile(seconds, 0.5), "ms", plain, 0.4))
        figures.append(Figure(f"bytes of a record, archived, {name}", size / count, "bytes", sizes[0] / count))
    return figures


def _archived_bytes(store: SQLiteStore, count: int) -> int:
    store.archive(count)
    store.close()
    return os.path.getsize(store.path)


# ---- many writers


class Bare:
    """The baseline of durability: an append to a file of one's own and its fdatasync."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __call__(self, record: Record) -> None:
        os.write(self._fd, (record.body + record.text).encode())
        os.fdatasync(self._fd)


def _rounds(write: Callable[[Record], object], records: list[Record]) -> list[float]:
    return [timed(lambda record=record: write(record)) for record in records]  # type: ignore[misc]


def _in_threads(writers: list[Callable[[Record], object]], records: list[Record]) -> list[float]:
    found: list[float] = []
    threads = [threading.Thread(target=lambda w=w: found.extend(_rounds(w, records))) for w in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def threads(directory: str, rounds: int, calls: int) -> list[Figure]:
    """Eight threads of one store at "power", in turns with eight that each sync a file of their own, or one shared."""
    mine: list[float] = []
    own: list[float] = []
    shared: list[float] = []
    records = Steps(calls).records
    with store_in(directory, "power") as store:
        beside = store._files.directory
        files: list[Callable[[Record], object]] = [Bare(os.path.join(beside, f"own{n}")) for n in range(WRITERS)]
        one: list[Callable[[Record], object]] = [Bare(os.path.join(beside, "shared"))] * WRITERS
        for _ in range(rounds):
            mine += _in_threads([lambda record: store.append([record])] * WRITERS, records)
            own += _in_threads(files, records)
            shared += _in_threads(one, records)
    return _against(f"append, power, {WRITERS} threads", mine, own, shared)


def _against(name: str, mine: list[float], own: list[float], shared: list[float]) -> list[Figure]:
    """Our times beside those of writers that sync files of their own, and of writers that sync one shared file."""
    figures = []
    for label, at, bar in (("p50", 0.5, BAR), ("p99", 0.99, None)):
        ours, theirs, together = (percentile(seconds, at) for seconds in (mine, own, shared))
        figures.append(Figure(f"{name}, {label}", ours, "ms", theirs))
        figures.append(Figure(f"{name}, {label}, over files of their own", ours / theirs, "x", theirs, bar))
        figures.append(Figure(f"{name}, {label}, over one shared file", ours / together, "x", together, bar))
    return figures


def _process(path: str, number: int, rounds: int, calls: int, barrier: Any, queue: Any) -> None:
    records = Steps(calls, number).records
    files = Bare(f"{path}-own{number}"), Bare(f"{path}-shared")
    with open_store(path, "power") as store:
        writes: list[Callable[[Record], object]] = [lambda record: store.append([record]), *files]
        found: list[list[float]] = [[], [], []]
        for _ in range(rounds):
            for seconds, write in zip(found, writes, strict=True):
                barrier.wait()
                seconds += _rounds(write, records)
    queue.put(found)


def processes(directory: str, rounds: int, calls: int) -> list[Figure]:
    """The same with eight processes on one file."""
    scratch = tempfile.mkdtemp(dir=directory)
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(WRITERS), context.Queue()
    path = os.path.join(scratch, "bench.mem")
    children = [context.Process(target=_process, args=(path, n, rounds, calls, barrier, queue)) for n in range(WRITERS)]
    for child in children:
        child.start()
    answers = [queue.get() for _ in children]
    for child in children:
        child.join()
    shutil.rmtree(scratch)
    joined = [[second for answer in answers for second in answer[kind]] for kind in range(3)]
    return _against(f"append, power, {WRITERS} processes", *joined)


# ---- reading


def reading(directory: str, count: int) -> list[Figure]:
    """Columns and postings of a log of `count` records, hot and archived; the best of five."""
    figures = []
    records = Steps(2000).records
    with store_in(directory, "process") as store:
        for n in range(0, count, len(records)):
            store.append(records[: count - n])
        term = "the"
        found = len(store.postings(SPACE, [term])[term])

        def best(work: Callable[[], object]) -> float:
            return min(timed(work) for _ in range(5)) * 1e3

        scale = 100_000 / count
        figures.append(
            Figure(f"columns of {count} hot records", best(lambda: store.columns(SPACE)), "ms", None, 150 / scale)
        )
        figures.append(
            Figure(
                f"postings, {found} rows", best(lambda: store.postings(SPACE, [term])), "ms", None, 30 * found / 100_000
            )
        )
        moved = timed(lambda: store.archive(count))
        figures.append(Figure("archive", count / moved, "records/s"))
        archived = best(lambda: store.columns(SPACE))
        figures.append(Figure(f"columns of {count} archived records", archived, "ms", None, 150 / scale))
        spread = list(range(1, count, max(count // 50, 1)))[:50]
        figures.append(Figure("read 50 spread records, archived", best(lambda: store.read(spread)), "ms"))
    return figures


def memory_level(directory: str, count: int) -> list[Figure]:
    """`episode.observe` of the same texts, in turns by memories that redact nothing, that do as they come, and that
    are encrypted as well, the last with steps about one of twenty people; then `log_many`. Without ciphers the first
    two alone."""
    scratch = tempfile.mkdtemp(dir=directory)
    texts = [record.text for record in Steps(count).records]
    files: dict[str, dict[str, Any]] = {"unredacted": {}, "plain": {}}
    if has_ciphers():
        files |= {name: {"key_file": f"{scratch}/{name}.key"} for name in ("encrypted", SEALED)}
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch)
        opened = {n: Memory.open(f"{scratch}/{n}.mem", durability="process", **given) for n, given in files.items()}
        for memory in opened.values():
            stack.enter_context(memory)
        unredacted: Any = opened["unredacted"]._core.store
        unredacted._admit = None
        episodes = {name: memory.episode(goal="bench") for name, memory in opened.items()}
        for episode in episodes.values():
            episode.log_many(texts[: count // 2])  # words met once are not looked up again
        times = _turns(episodes, texts)
        groups = [texts[start : start + 100] for start in range(0, len(texts), 100)]
        seconds = [timed(partial(episodes["plain"].log_many, group)) for group in groups]
    many = 100 / statistics.median(seconds)
    return [*_observed(times), Figure("episode.log_many of 100, process", many, "steps/s", None, 10_000, False)]


def _turns(episodes: dict[str, EpisodeWriter], texts: Sequence[str]) -> dict[str, list[float]]:
    """Seconds of each `observe`. Whoever comes first meets a text that is in no cache of the processor, so all do."""
    times: dict[str, list[float]] = {name: [] for name in episodes}
    names = list(episodes)
    for number, text in enumerate([*texts, *texts]):
        turn = (number + number // len(texts)) % len(names)
        for name in names[turn:] + names[:turn]:
            about = [f"user {number % 20}"] if name == SEALED else []
            times[name].append(timed(partial(episodes[name].observe, text, subjects=about)))
    return times


def _observed(times: dict[str, list[float]]) -> list[Figure]:
    figures = []
    for at, bar in ((0.5, 0.3), (0.99, 2)):
        plain, without = (percentile(times[name], at) for name in ("plain", "unredacted"))
        figures.append(Figure(f"episode.observe, process, p{100 * at:.0f}", plain, "ms", without, bar))
    plain = percentile(times["plain"], 0.5)
    for name in list(times)[2:]:
        figures.append(Figure(f"episode.observe, process, {name}, p50", percentile(times[name], 0.5), "ms", plain, 0.4))
    return figures


# ---- all of it


def measure(directory: str, quick: bool = False) -> list[Figure]:
    size = 1 if quick else 10
    return [
        *single(directory, 400 * size),
        *batches(directory, 5 * size),
        *encrypted(directory, 200 * size),
        *threads(directory, size, 20),
        *processes(directory, size, 20),
        *reading(directory, 10_000 * size),
        *memory_level(directory, 200 * size),
    ]


def show(figures: list[Figure]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "measured", "baseline", "bar", "")
    for figure in figures:
        sign = "<" if figure.under else ">"
        table.add_row(
            figure.name,
            f"{figure.value:,.3f} {figure.unit}" if figure.value < 100 else f"{figure.value:,.0f} {figure.unit}",
            "" if figure.baseline is None else f"{figure.baseline:,.3f}",
            "" if figure.bar is None else f"{sign} {figure.bar:,.3f}",
            {True: "ok", False: "MISSED", None: ""}[figure.passed],
        )
    Console().print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="agentmem bench log", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--directory", default=".", help="where to write, on the disk to measure")
    options = parser.parse_args(arguments)
    figures = measure(options.directory, options.quick)
    if options.json:
        print(json_of([{**figure._asdict(), "passed": figure.passed} for figure in figures], indent=1))
    else:
        show(figures)
