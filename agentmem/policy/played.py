"""Episodes played side by side by a step network, kept as tensors.

Knows environments and a network; knows no optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from agentmem.errors import PlayError
from agentmem.neural.shapes import GREATEST
from agentmem.policy.spaces import seen
from agentmem.policy.step_network import StepNetwork, Steps, stacked
from agentmem.rollout.raised import Raised, at_step, called, fail, playing, reward_of


@dataclass(frozen=True)
class Played:
    """Episodes that were played: steps [B, T]; actions int64, and rewards, values and log probabilities of the actions
    when they were made, float [B, T]; real: bool [B, T], false behind the end. after: float [B], the value of what
    follows the last step, 0 where the episode is over.
    """

    steps: Steps
    actions: Tensor
    rewards: Tensor
    values: Tensor
    chances: Tensor
    real: Tensor
    after: Tensor

    def part(self, rows: Tensor) -> Played:
        return Played.of({name: each[rows] for name, each in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        rest = {name: each for name, each in vars(self).items() if name != "steps"}
        return {**vars(self.steps), **rest}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Played:
        """From what `tensors` gave."""
        rest = {name: each for name, each in tensors.items() if name not in ("ids", "floats", "before")}
        return cls(Steps(tensors["ids"], tensors["floats"], tensors["before"]), **rest)


@torch.no_grad()
def play(
    model: StepNetwork,
    envs: Sequence[gymnasium.Env[Any, Any]],
    seeds: Sequence[int],
    generator: torch.Generator | None = None,
    most: int | None = None,
) -> Played:
    """One episode of each environment. generator: draws actions as the network has it; without one, the likeliest are
    made. most: steps of an episode; a longer one is cut. Raises PlayError where an environment fails, and for an
    observation or a reward that cannot be learned from.
    """
    now = [_begun(model, env, seed) for env, seed in zip(envs, seeds, strict=True)]
    before, state, over = [0] * len(envs), None, [False] * len(envs)
    rows: list[list[Any]] = [[] for _ in envs]
    after, goes_on = torch.zeros(len(envs)), list[int]()
    while True:
        steps = Steps.of(now, before)
        decided, state = model(steps, state)
        after[goes_on], goes_on = decided.values[goes_on, 0], []
        if all(over):
            return _joined(rows, after)
        chances = F.log_softmax(decided.logits[:, 0].float(), -1)
        actions = _chosen(chances, generator)
        features = steps.ids[:, 0].numpy(), steps.floats[:, 0].numpy()
        for lane in [each for each, ended in enumerate(over) if not ended]:
            action, where = actions[lane], at_step(len(rows[lane]) + 1, f"the episode with seed {seeds[lane]}")
            observation, reward, terminated, truncated = _stepped(envs[lane], action, where)
            told = float(decided.values[lane, 0]), float(chances[lane, action])
            rows[lane].append((*(each[lane] for each in features), action, reward, *told))
            now[lane] = seen(model.features, observation, envs[lane], where)
            over[lane] = terminated or truncated or len(rows[lane]) == most
            goes_on += [lane] if over[lane] and not terminated else []
        before = [action + 1 for action in actions]


def _begun(model: StepNetwork, env: gymnasium.Env[Any, Any], seed: int) -> tuple[np.ndarray, np.ndarray]:
    where = at_step(0, f"the episode with seed {seed}")
    with playing(env, where):
        observation, _ = env.reset(seed=seed)
    return seen(model.features, observation, env, where)


def _stepped(env: gymnasium.Env[Any, Any], action: int, where: str) -> tuple[Any, float, bool, bool]:
    with playing(env, where):
        observation, given, terminated, truncated, _ = env.step(action)
    if isinstance(reward := reward_of(given), Raised):
        fail(called(env), where, reward)
    if abs(reward) > GREATEST:
        raise PlayError(
            f"environment {called(env)}, {where}, gave the reward {reward:g}; numbers up to {GREATEST:g} are needed: "
            "mend it by a wrapper, such as gymnasium.wrappers.TransformReward"
        )
    return observation, reward, terminated, truncated


def _chosen(chances: Tensor, generator: torch.Generator | None) -> list[int]:
    if generator is None:
        return chances.argmax(-1).tolist()
    return torch.multinomial(chances.exp(), 1, generator=generator).squeeze(-1).tolist()


def _joined(rows: Sequence[Sequence[Any]], after: Tensor) -> Played:
    parts = [[np.stack(part) for part in zip(*episode, strict=True)] for episode in rows]
    longest = max(len(actions) for _, _, actions, *_ in parts)
    actions, rewards, values, chances, real = (torch.zeros(len(rows), longest) for _ in range(5))
    for lane, (_, _, acted, got, worth, chance) in enumerate(parts):
        for to, each in ((actions, acted), (rewards, got), (values, worth), (chances, chance)):
            to[lane, : len(acted)] = torch.from_numpy(each).float()
        real[lane, : len(acted)] = 1
    steps = stacked([(ids, floats, acted) for ids, floats, acted, *_ in parts])
    return Played(steps, actions.long(), rewards, values, chances, real.bool(), after)
