"""No tenant of a memory learns anything of another: whatever both do, each gets what it would get alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tenants import OF_THE_FILE, OTHERWISE, VERBS, Tenant

from agentmem import Memory
from agentmem.memory import EpisodeWriter
from agentmem.testing import HashEncoder

NAMES = [
    (("acme", "ann"), ("acme", "bob")),
    (("acme",), ("acme", "ann")),
    ((), ("a",)),
    (("a",), ("A",)),
    (("%",), ("a",)),
]
NEEDLES = "quokka", "numbat"
TURNS = 14


def told(folder: Path, seed: int, together: bool) -> tuple[Tenant, Tenant]:
    """Two tenants after their turns, which the first has in one memory with the other, or in one of its own."""
    order, now = random.Random(seed), [0.0]
    path, other = folder / f"{seed}-{together}.mem", folder / f"{seed}-other.mem"
    encoder = HashEncoder() if seed % 2 else None
    retain = ("keep", "crystals")[seed % 3 == 0]
    mine, theirs = NAMES[seed % len(NAMES)]

    def opened(path: Path) -> Memory:
        return Memory.open(path, encoder=encoder, clock=lambda: now[0], durability="process", retain=retain, horizon=50)

    with opened(path) as memory, opened(other) as apart:
        one = Tenant(memory, mine, f"{seed} one", NEEDLES[0], folder)
        two = Tenant(memory if together else apart, theirs, f"{seed} two", NEEDLES[1], folder)
        for turn in range(2 * TURNS):
            now[0] = 1.7e9 + turn
            if order.random() < 0.5:
                one.act(two if together else None)
            else:
                two.act(one if together else None)
    other.unlink()
    return one, two


def check(folder: Path, seed: int) -> set[str]:
    """The verbs that were tried."""
    together, (alone, _) = told(folder, seed, True), told(folder, seed, False)
    for one, other in zip(together, reversed(NEEDLES), strict=True):
        assert not any(other in answer for _, answer in one.told), seed
    for place, (shared, by_itself) in enumerate(zip(together[0].told, alone.told, strict=True)):
        assert shared == by_itself, (seed, place)
    return alone.tried


def test_a_tenant_gets_what_it_would_get_alone(tmp_path: Path) -> None:
    tried = set().union(*(check(tmp_path, seed) for seed in range(24)))
    assert tried == set(VERBS)


@pytest.mark.slow
def test_thousands_of_tenants_get_what_they_would_get_alone(tmp_path: Path) -> None:
    for seed in range(24, 3_024):
        check(tmp_path, seed)


def test_every_public_verb_is_tried(tmp_path: Path) -> None:
    public = {name for kind in (Memory, EpisodeWriter) for name in dir(kind) if not name.startswith("_")}
    listed = {
        "steps",
        "episodes",
        "crystals",
        "attachments",
        "certificates",
        "accesses",
        "forgotten",
        "rules",
        "holds",
    }  # tried as one
    unknown = public - set(VERBS) - OF_THE_FILE - OTHERWISE - listed - {"episode"}
    assert not unknown, "try them in tenants.py, or say there why not"
