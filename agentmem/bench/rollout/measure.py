"""Times the same steps bare and logged, in turns."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from agentmem.memory import Memory
from agentmem.rollout import ScriptedPolicy, rollout

SAYINGS = (
    "Hello, I am customer {n}, postcode {m}.",
    "There are {m} of the door mat. Close it with code QE-{n}.",
    "For order S{m} I would rather have the bird feeder V{n}; let me sleep on it.",
    "Send order S{n} to the new place that I told you about.",
)


Times = tuple[float, float]
"""Seconds by the clock, and of this process's CPU."""


def now() -> Times:
    return time.perf_counter(), time.process_time()


class Waits(gymnasium.Env[Any, Any]):
    """Waits at every step, as one that works would, and says something new."""

    def __init__(self, seconds: float, steps: int) -> None:
        self.seconds, self.steps = seconds, steps
        text = spaces.Text(200, min_length=0)
        self.observation_space = spaces.Dict({"text": text, "at": spaces.Box(0, np.inf, (1,), np.float32)})
        self.action_space = spaces.Discrete(8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass
        self._at += 1
        return self._seen(), 0.0, False, self._at >= self.steps, {"right": True}

    def _seen(self) -> dict[str, Any]:
        said = SAYINGS[self._at % len(SAYINGS)].format(n=self._at, m=self._at * 7919 % 100_003)
        return {"text": said, "at": np.array([self._at], np.float32)}


def measure(
    seconds: float, steps: int, workers: int, apart: bool, rounds: int, done: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Steps per second of all workers together, bare and logged; milliseconds that logging adds to each step, by the
    clock and of this process's CPU, which other work on the machine does not lengthen. done: called after each run.
    """
    each = steps // workers or 1
    bare, logged = list[Times](), list[Times]()
    for _ in range(rounds):
        for runs, run in ((bare, _bare), (logged, _logged)):
            runs.append(run(seconds, each, workers, apart))
            done()
    slow, fast = (median(wall for wall, _ in runs) for runs in (logged, bare))
    cpu = median(used for _, used in logged) - median(used for _, used in bare)
    total = each * workers
    return {
        "ms": seconds * 1000,
        "steps": total,
        "workers": workers,
        "apart": apart,
        "bare_steps_s": total / fast,
        "logged_steps_s": total / slow,
        "share": fast / slow,
        "logging_ms": (slow - fast) / total * 1000,
        "logging_cpu_ms": cpu / total * 1000,
    }


def _bare(seconds: float, steps: int, workers: int, apart: bool) -> Times:
    make = lambda: Waits(seconds, steps)  # noqa: E731
    kind: Any = AsyncVectorEnv if apart else SyncVectorEnv
    settings = {"shared_memory": False} if apart else {}
    env = kind([make] * workers, autoreset_mode=AutoresetMode.DISABLED, **settings)
    env.reset(seed=0)
    actions = np.zeros(workers, np.int64)
    began = now()
    for _ in range(steps):
        env.step(actions)
    ended = now()
    env.close()
    return ended[0] - began[0], ended[1] - began[1]


def _logged(seconds: float, steps: int, workers: int, apart: bool) -> Times:
    """From the first step until all is logged, so that making environments does not count."""
    told: list[Times] = []
    policy = ScriptedPolicy(_First(told))
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "rollout.mem", durability="process", encoder=None) as memory,
    ):
        rollout(
            lambda: Waits(seconds, steps), policy, memory, kind="none", episodes=workers, workers=workers,
            apart=apart, progress=lambda done, of: told.append(now()),
        )  # fmt: skip
        return told[-1][0] - told[0][0], told[-1][1] - told[0][1]


class _First:
    """Notes when it is first asked."""

    def __init__(self, told: list[Times]) -> None:
        self.told = told

    def __call__(self, observation: Any, context: Any) -> int:
        if not self.told:
            self.told.append(now())
        return 0
