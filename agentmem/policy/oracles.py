"""Who knows the right action, of environments that can be looked into. Each is made anew for an episode, after reset.

Knows the insides of environments; knows no policy. It also says which earlier steps showed what the action turns on;
`needs` in an environment's info says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import gymnasium

from agentmem.errors import InvalidInputError
from agentmem.rollout.raised import called

NEAR = 2
"""Columns from the wall: so the object is seen at one place of the view, which is quicker to learn from than many."""
Right = tuple[int, Sequence[int]]
"""The right action, and the numbers of the steps that showed what it turns on; none where the environment tells."""
Oracle = Callable[[Any], Right]
"""Says what is right, given the observation; is asked at each step once."""


def t_maze(env: Any) -> Oracle:
    return lambda seen: (0 if env._x < env.length else 1 if env._goal > 0 else 3, ())


def repeat_first(env: Any) -> Oracle:
    return lambda seen: (int(env.card), (0,))


def repeat_previous(env: Any) -> Oracle:
    def right(seen: Any) -> Right:
        hand = env.deck["player"]
        step = len(hand) - env.k
        return (int(env.deck.suits_idx[hand[step]]), (step,)) if step >= 0 else (0, ())

    return right


def autoencode(env: Any) -> Oracle:
    def right(seen: Any) -> Right:
        cards = env.deck["system"]
        return (0, ()) if int(seen[0]) else (int(env.deck.suits_idx[cards[-1]]), (len(cards) - 1,))

    return right


def count_recall(env: Any) -> Oracle:
    counts: dict[int, int] = {}

    def right(seen: Any) -> Right:
        dealt, asked = int(seen[0]), int(seen[1])
        counts[dealt] = counts.get(dealt, 0) + 1
        return counts.get(asked, 0), ()

    return right


def concentration(env: Any) -> Oracle:
    """Turns up a pair that was seen, the first of them; else the first card that was not."""
    values: dict[int, tuple[int, int]] = {}  # of a place: what lies there, and the step that showed it
    steps = count()

    def right(seen: Any) -> Right:
        if step := next(steps):
            turned = env.last_in_play_idx[-1]  # which another may have chosen
            values.setdefault(turned, (int(seen[turned]), step))
        return _turn(values, env.deck["face_up_idx"], env.deck["in_play_idx"], len(seen))

    return right


def _turn(values: dict[int, tuple[int, int]], up: Sequence[int], first: Sequence[int], places: int) -> Right:
    down = {place: value for place, value in sorted(values.items()) if place not in up}
    for place in first or down:
        for other in down:
            if other != place and down[other][0] == down[place][0]:
                return (other, (down[other][1],)) if first else (place, (down[place][1], down[other][1]))
    return next(place for place in range(places) if place not in values), ()


def minigrid_memory(env: Any) -> Oracle:
    """Goes left until it has seen the object in the first room from near, then to the one that is alike."""
    shown: list[int] = []
    steps: Iterator[int] = iter(range(env.max_steps + 1))

    def right(seen: Any) -> Right:
        step, (x, y), (goal, target), middle = next(steps), env.agent_pos, env.success_pos, env.height // 2
        if not shown and x <= NEAR and env.agent_sees(1, middle - 1):
            shown.append(step)
        if x != goal and y != middle:
            return _towards(env.agent_dir, 1 if middle > y else 3), shown
        if not shown:
            return _towards(env.agent_dir, 2), ()
        if x != goal:
            return _towards(env.agent_dir, 0), shown
        return _towards(env.agent_dir, 1 if target > y else 3), shown

    return right


def _towards(facing: int, wanted: int) -> int:
    """Turn left (0), right (1), or go on (2)."""
    return 2 if facing == wanted else 1 if (wanted - facing) % 4 == 1 else 0


ORACLES: dict[str, Callable[[Any], Oracle]] = {
    "agentmem/TMaze": t_maze,
    "popgym-RepeatFirst": repeat_first,
    "popgym-RepeatPrevious": repeat_previous,
    "popgym-Autoencode": autoencode,
    "popgym-Concentration": concentration,
    "popgym-CountRecall": count_recall,
    "MiniGrid-Memory": minigrid_memory,
}


def oracle_of(env: gymnasium.Env[Any, Any]) -> Oracle:
    """The oracle of an environment that was reset. Raises InvalidInputError where none is known."""
    name = called(env)
    for known, make in ORACLES.items():
        if name.startswith(known):
            return make(env.unwrapped)
    raise InvalidInputError(
        f"no oracle of {name} is known, there are some of {', '.join(ORACLES)}; learn from rewards, by --algo ppo"
    )
