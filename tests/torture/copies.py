"""Backups while others log, crystallize and erase; each is opened, checked, and gone on with."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path

from strategies import all_crystals, opened

from agentmem.errors import StoreError
from torture.children import Child, Say
from torture.memory_kills import check, message

COPIES, WRITERS = 5, 2


def write(file: Path, first: int, stop: Path, say: Say) -> None:
    """Log, and now and then crystallize or erase, until there is a file `stop`."""
    with opened(file) as memory:
        episode, number = memory.episode(id=f"run {first}"), first
        while not stop.exists():
            number += 1
            step = episode.log(**message(number))
            if number % 20 == 7:
                gone(partial(memory.erase, steps=[step.id]))
            else:
                say(f"{number} {episode.id}")
            if number % 25 == 0:
                memory.crystallize()


def gone(erase: partial[object]) -> None:
    """An erasure that a reader keeps from emptying the write-ahead log is done all the same."""
    try:
        erase()
    except StoreError as error:
        if "erased" not in str(error):
            raise


def part(seed: int, folder: Path) -> Counter[str]:
    file, stop = folder / "agent.mem", folder / "stop"
    opened(file).close()
    writers = [Child(partial(write, file, 1_000_000 * seed + 10_000 * n, stop)) for n in range(WRITERS)]
    for writer in writers:
        writer.wait_for_a_word()
    copies = [folder / f"copy {n}.mem" for n in range(COPIES)]
    heads = []
    with opened(file) as memory:
        for copy in copies:
            heads.append(memory.head().position)
            memory.backup(copy)
    stop.touch()
    told = {int(n): name for writer in writers for n, name in (line.split(" ", 1) for line in writer.lines())}
    assert [writer.code for writer in writers] == [0] * WRITERS, "a writer failed"
    with opened(file) as memory:
        check(memory, told)
        whole = {step.id: step for step in memory.steps()}
    for copy, head in zip(copies, heads, strict=True):
        restore(copy, head, whole)
    return Counter(backups=COPIES, steps=len(told))


def restore(copy: Path, head: int, whole: dict[str, object]) -> None:
    """A copy holds what was logged before it was begun, and can be gone on with."""
    with opened(copy) as memory:
        assert memory.verify().ok
        steps = {step.id: step for step in memory.steps()}
        erased = set(steps) - set(whole)
        assert {id: step for id, step in steps.items() if id not in erased} == {
            id: step for id, step in whole.items() if id in steps
        }
        upto = memory.head().position
        assert upto >= head, f"a backup begun at {head} ends at {upto}"
        assert {id for id in whole if int(id[1:]) <= upto} <= set(steps), "a backup lacks a step of before its end"
        memory.crystallize()
        assert all(crystal.born <= upto for crystal in all_crystals(memory))
        memory.episode(id="after").log("after the copy")
        assert memory.verify().ok
    os.remove(copy)
