"""A process that is killed at any call of the system while it brings a file of an older format to today's.

The files of every format there was are in tests/data/stores, each as the version that wrote it left it.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections import Counter
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from strategies import all_crystals, opened

from torture.calls import KILL, Calls
from torture.children import Child, Say

STORES = Path(__file__).parent.parent / "data" / "stores"
FILES = sorted(file for file in STORES.iterdir() if not file.name.endswith("-anchor"))
KILLS = 20  # of a part
STRIDE = 7  # so that the first parts see all of a migration


def put(file: Path, folder: Path) -> Path:
    """A fresh copy of one of the stores."""
    for old in folder.glob("agent.mem*"):
        old.unlink()
    for end in ("", "-anchor"):
        shutil.copy(f"{file}{end}", folder / f"agent.mem{end}")
    return folder / "agent.mem"


def migrate(path: Path, at: int, say: Say) -> None:
    calls = Calls(at, KILL)
    with opened(path):
        say(str(calls.made))
    say(str(calls.made))


def everything(path: Path) -> Any:
    with opened(path) as memory:
        alice = memory.scoped("acme", "alice")
        verified = memory.verify()
        assert verified.ok, verified.problems
        return [
            (list(one.steps()), one.episodes(), all_crystals(one), one.recall("which key?", 60).text)
            for one in (memory, alice)
        ]


@cache
def known(file: Path) -> tuple[int, Any]:
    """How many calls of the system bringing a store to today's format takes, and what is then in it."""
    folder = Path(mkdtemp(prefix="agentmem-formats-"))
    path = put(file, folder)
    made = int(Child(partial(migrate, path, -1)).lines()[-1])
    found = everything(path)
    shutil.rmtree(folder)
    assert sum(len(steps) for steps, *_ in found) > 100
    return made, found


def part(seed: int, folder: Path) -> Counter[str]:
    file = FILES[seed % len(FILES)]
    made, expected = known(file)
    done = Counter[str]()
    for number in range(KILLS):
        at = 1 + (STRIDE * (KILLS * (seed // len(FILES)) + number)) % made
        path = put(file, folder)
        again = random.Random(f"{seed} {number}").random() < 0.3
        for _ in range(1 + again):  # killed once more while it goes on
            child = Child(partial(migrate, path, at))
            told = child.lines()
            assert child.code == -signal.SIGKILL or again or len(told) == 2, f"ended with {child.code}"
        assert everything(path) == expected, f"{file.name} killed at call {at} of {made} is not what it was"
        done += Counter({"kills": 1, file.name.rpartition("-")[0]: 1})
    return done
