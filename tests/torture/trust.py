"""Drills of trust that others made: two tenants of a memory, erasures, files that mean harm. Knows how each counts."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import hostile_files
import tenants

from agentmem.testing import erasure

SEQUENCES, ERASURES, FILES = 20, 4, 18  # of a part


def two_tenants(seed: int, folder: Path) -> Counter[str]:
    for number in range(SEQUENCES):
        tenants.check(folder, SEQUENCES * seed + number)
    return Counter(sequences=SEQUENCES)


def erase(seed: int, folder: Path) -> Counter[str]:
    done = Counter[str]()
    for number in range(ERASURES * seed, ERASURES * (seed + 1)):
        drill = erasure.Drill(random.Random(f"torture {number}"), number)
        place = folder / str(number)
        place.mkdir()
        drill.run(place)
        assert not drill.failures, (number, drill.name, drill.failures)
        done += Counter({"erasures": 1, **drill.told})
    return done


def files(seed: int, folder: Path) -> Counter[str]:
    kind = ("plain", "plain", "tensors")[seed % 3]
    found = hostile_files.tried(kind, folder, FILES, seed)
    return Counter(found) + Counter(files=FILES)
