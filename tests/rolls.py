"""What the tests of rollouts share: short environments, memories that differ in nothing but the run, policies."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agentmem import Memory
from agentmem.rollout import RolloutReport, load_policy, rollout

SHOP = "agentmem/ShiftShop-Short-v0"
SHORT: dict[str, Any] = {"split": "test", "steps": 40, "delay": 10, "privileged": True}


class Pressing:
    """Presses Ctrl-C at its fifth step."""

    steps = 0

    def act(self, observation: Any, context: Any) -> int:
        Pressing.steps += 1
        if Pressing.steps == 5:
            signal.raise_signal(signal.SIGINT)
        return 0


class Clock:
    """Every moment is the same, so that runs differ in nothing but what happened."""

    def __call__(self) -> float:
        return 1_000_000.0


def memory_at(path: str | Path = ":memory:") -> Memory:
    return Memory.open(path, encoder=None, durability="process", clock=Clock())


def shop(memory: Memory, policy: Any = None, **settings: Any) -> RolloutReport:
    """A short shift at the small shop, played by the oracle."""
    options = {**SHORT, **settings.pop("options", {})}
    defaults: dict[str, Any] = {"budget": 200, "episodes": 2, "workers": 2, "apart": False}
    return rollout(SHOP, policy or load_policy("oracle", None), memory, options=options, **{**defaults, **settings})


class Counting(gymnasium.Env[Any, Any]):
    """Says how many steps it has made, and ends after `seed % 3 + 2` of them; counts every step of every episode."""

    made = 0

    def __init__(self, words: bool = False) -> None:
        self.words = words
        self.observation_space = (
            spaces.Dict({"text": spaces.Text(40), "at": spaces.Box(0, 1e9, (2,), np.float32)})
            if words
            else spaces.Box(0, 1e9, (2,), np.float32)
        )
        self.action_space = spaces.Discrete(5)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._seed, self._at = seed or 0, 0
        return self._seen(), {"seed": self._seed}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        Counting.made += 1
        self._at += 1
        return self._seen(), float(action), self._at > self._seed % 3 + 1, False, {"at": self._at, "mixed": 0.5}

    def _seen(self) -> Any:
        at = np.array([self._seed, self._at], np.float32)
        return {"text": f"run {self._seed} step {self._at}", "at": at} if self.words else at


class Closing(Counting):
    """Takes any action; knows how many of its kind are open."""

    any_action = True
    opened = 0

    def __init__(self) -> None:
        super().__init__()
        Closing.opened += 1

    def close(self) -> None:
        Closing.opened -= 1


class Faulty(gymnasium.Env[Any, Any]):
    """Six steps of one reward, whatever it is. Raises where it is told to: in its reset, its third step, or when it is
    closed behind its last one.
    """

    observation_space, action_space = spaces.Box(0, 9, (1,), np.float32), spaces.Discrete(4)

    def __init__(self, fails: str = "", reward: Any = 1.0) -> None:
        self.fails, self.reward, self._at = fails, reward, 0

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        self._fail("reset")
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self._at += 1
        if self._at == 3:
            self._fail("step")
        return self._seen(), self.reward, self._at == 6, False, {}

    def close(self) -> None:
        if self._at == 6:
            self._fail("close")

    def _fail(self, where: str) -> None:
        if self.fails == where:
            raise KeyError("a gear is lost")

    def _seen(self) -> Any:
        return np.array([self._at], np.float32)


FAULTY = "rolls:Faulty-v0"
gymnasium.register("Faulty-v0", entry_point="rolls:Faulty")


def logged(memory: Memory, *namespace: str) -> list[tuple[str, str, str, float | None, bool]]:
    """What a rollout logged of one episode, without where it stands."""
    steps = memory.scoped(*namespace).steps()
    return [(step.episode, step.kind, step.text, step.reward, step.terminated) for step in steps]


class Stopped(Exception):
    """Stands for whatever may end a run."""


def stop_after(turns: int) -> Any:
    """A progress that ends the run after so many turns."""
    left = [turns]

    def told(done: float, of: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise Stopped

    return told
