"""A clock that jumps: years back, years ahead, and standing still. Order is the log's, whatever it says."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from strategies import Said, all_crystals, long_log, opened

from agentmem import Memory
from agentmem.testing import FakeClock

CUES = ("red door", "Oslo")
JUMPS = (-3.2e9, -86_400.0, -1.0, 0.0, 1e-6, 3_600.0, 3.2e9)


class Jumping:
    """Seconds since 1970, from 1970 to some thousand years later, each answer a jump from the last."""

    def __init__(self, seed: int) -> None:
        self.rng, self.now, self.jumps = random.Random(seed), 1.7e9, 0

    def __call__(self) -> float:
        self.jumps += 1
        self.now = min(max(self.now + self.rng.choice(JUMPS), 0.0), 1e11)
        return self.now


def play(memory: Memory, said: Said) -> None:
    """Log one step, or end its episode."""
    episode = memory.episode(id=said.episode)
    if said.text is None:
        episode.end()
    else:
        episode.log(**said.fields)


def part(seed: int, folder: Path) -> Counter[str]:
    """What is logged under a jumping clock is what is logged under a steady one, but for the times."""
    log = long_log(blocks_=6 + seed % 5, repeat=6)
    clock, memories = Jumping(seed), []
    for name, given in (("steady", FakeClock()), ("jumping", clock)):
        with opened(folder / f"{name}.mem", clock=given) as memory:
            for said in log:
                play(memory, said)
            memory.crystallize()
            steps = [step.model_copy(update={"logged_at": None}) for step in memory.steps()]
            told = [
                memory.recall(cue, 300, as_of=at).text for cue in ("red door", "Oslo") for at in (None, steps[9].id)
            ]
            crystals = [crystal.model_dump(exclude={"created_at"}) for crystal in all_crystals(memory)]
            assert memory.verify().ok
        with opened(folder / f"{name}.mem", clock=given) as memory:
            assert [step.id for step in memory.steps()] == sorted(step.id for step in steps)
        memories.append((steps, told, crystals))
    for what, steady, jumping in zip(("steps", "recalls", "crystals"), *memories, strict=True):
        assert steady == jumping, f"{what} depend on the clock"
    return Counter(jumps=clock.jumps)
