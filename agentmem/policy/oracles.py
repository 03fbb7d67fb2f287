"""Who knows the right action, of environments that can be looked into. Each is made anew for an episode, after reset.

Knows the insides of environments; knows no policy. `needs` in info tells more: which earlier step an action needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium

from agentmem.errors import InvalidInputError

Right = Callable[[Any], int]
"""The right action, given the observation."""


def t_maze(env: Any) -> Right:
    return lambda seen: 0 if env._x < env.length else 1 if env._goal > 0 else 3


def repeat_first(env: Any) -> Right:
    return lambda seen: int(env.card)


def repeat_previous(env: Any) -> Right:
    def right(seen: Any) -> int:
        hand = env.deck["player"]
        return int(env.deck.suits_idx[hand[-env.k]]) if len(hand) >= env.k else 0

    return right


def autoencode(env: Any) -> Right:
    return lambda seen: 0 if int(seen[0]) else int(env.deck.suits_idx[env.deck["system"][-1]])


def count_recall(env: Any) -> Right:
    counts: dict[int, int] = {}

    def right(seen: Any) -> int:
        dealt, asked = int(seen[0]), int(seen[1])
        counts[dealt] = counts.get(dealt, 0) + 1
        return min(counts.get(asked, 0), int(env.action_space.n) - 1)

    return right


def minigrid_memory(env: Any) -> Right:
    """Goes left until it has seen the object in the first room, then to the one that is alike."""
    looked = False

    def right(seen: Any) -> int:
        nonlocal looked
        (x, _), (goal, target) = env.agent_pos, env.success_pos
        looked = looked or x <= 2
        if not looked:
            return _towards(env.agent_dir, 2)
        if x != goal:
            return _towards(env.agent_dir, 0)
        return _towards(env.agent_dir, 1 if target > env.agent_pos[1] else 3)

    return right


def _towards(facing: int, wanted: int) -> int:
    """Turn left (0), right (1), or go on (2)."""
    return 2 if facing == wanted else 1 if (wanted - facing) % 4 == 1 else 0


ORACLES: dict[str, Callable[[Any], Right]] = {
    "agentmem/TMaze": t_maze,
    "popgym-RepeatFirst": repeat_first,
    "popgym-RepeatPrevious": repeat_previous,
    "popgym-Autoencode": autoencode,
    "popgym-CountRecall": count_recall,
    "MiniGrid-Memory": minigrid_memory,
}


def oracle_of(env: gymnasium.Env[Any, Any]) -> Right:
    """The oracle of an environment that was reset. Raises InvalidInputError where none is known."""
    name = env.spec.id if env.spec else type(env.unwrapped).__name__
    for known, make in ORACLES.items():
        if name.startswith(known):
            return make(env.unwrapped)
    raise InvalidInputError(f"no oracle of {name} is known; there are some of {', '.join(ORACLES)}")
