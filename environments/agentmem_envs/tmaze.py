"""The passive T-maze of Ni et al. 2023: one cue at the first step, needed when the corridor ends."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from agentmem.errors import InvalidInputError
from agentmem_envs import settings

LONGEST = 1_000_000
MOVES = ((1, 0), (0, 1), (-1, 0), (0, -1))
"""By action: right, up, left, down, as (x, y)."""
COLUMNS = 60  # of a picture; a longer corridor is drawn to scale
PIXELS = 8  # of a cell
WALL, FLOOR, ORACLE, GOAL, AGENT = ((40, 40, 48), (225, 225, 220), (235, 180, 60), (80, 170, 90), (60, 90, 200))

Observation = NDArray[np.float32]


class TMaze(gymnasium.Env[Observation, Any]):
    """
    ## Description

    A corridor ends in a junction with one arm up and one arm down. The goal is at the end of one of the two. Which one
    is shown at the first step, at the oracle in the corridor's first cell, and never again, not even on coming back.
    The corridor looks the same all along, so the agent must carry one bit for `length` steps.

    This is `TMazeClassicPassive` of Ni et al. 2023, "When Do Transformers Shine in RL? Decoupling Memory from Credit
    Assignment" (arXiv:2307.03864), as their code has it (github.com/twni2016/Memory-RL, envs/tmaze.py) with the penalty
    of their configuration (configs/envs/tmaze_passive.py); most later results on T-mazes use it. The penalty makes
    walking the corridor easy to learn, so that what is measured is memory.

    ## Action Space

    `Discrete(4)`. A move into a wall leaves the agent where it is.

    | Num | Name  | Action                             |
    |-----|-------|------------------------------------|
    | 0   | right | Move one cell towards the junction |
    | 1   | up    | Move up; free at the junction only |
    | 2   | left  | Move one cell back                 |
    | 3   | down  | Move down; as up                   |

    ## Observation Space

    `Box(-1, 1, (2,), float32)`.

    | Where                       | Observation                                |
    |-----------------------------|--------------------------------------------|
    | the oracle, at step 0       | `[0, 1]`: goal up, `[0, -1]`: goal down    |
    | the oracle later, corridor  | `[0, 0]`                                   |
    | junction, upper, lower arm  | `[1, 0]`, `[1, 1]`, `[1, -1]`              |

    ## Rewards

    Before the last step: -1 / `length` if after t steps the agent is less than t cells along the corridor, else 0.
    At the last step: 1 in the arm with the goal, else 0. So the best return is 1, always right and then an arm at
    random 0.5 on average, never moving -1; one wasted step makes the goal unreachable, and costs 1 / `length` then and
    at each later step but the last.

    ## Info

    `needs`: at the junction the fact that the choice needs and the step that showed it, `[{"id": "goal", "kind":
    "oracle", "shown": 0, "stale": None}]`; elsewhere `[]`. `results`: at the end `[{"id": "goal", "kind": "oracle",
    "hidden": True, "solved": ...}]`; until then `[]`.

    ## Termination

    After `length` + 1 steps, which is what the right way takes. It is never truncated.

    ## Arguments

    `length`: cells from the oracle to the junction, 1 to 1,000,000 (default 10). `render_mode`: "ansi" or "rgb_array".
    InvalidInputError: another length or render mode, an action outside the space, a step outside of an
    episode.

    ## Registered Configurations

    - `agentmem/TMaze-v0`

    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 10}

    def __init__(self, length: int = 10, render_mode: str | None = None) -> None:
        if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= LONGEST:
            raise InvalidInputError(f"length={length!r}: give a whole number of cells from 1 to {LONGEST:,}")
        settings.render_mode(render_mode, self.metadata)
        self.length, self.render_mode = length, render_mode
        self.action_space = Discrete(4)
        self.observation_space = Box(-1.0, 1.0, (2,), np.float32)
        self._penalty = -1.0 / length
        self._x = self._y = self._goal = 0
        self._at = length + 1  # no episode has begun

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        settings.options(options)
        super().reset(seed=seed)
        self._at = self._x = self._y = 0
        self._goal = 1 if self.np_random.random() < 0.5 else -1
        return np.array((0, self._goal), np.float32), {"needs": [], "results": []}

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        if not self.action_space.contains(action):
            raise InvalidInputError(f"action {action!r}: give 0 (right), 1 (up), 2 (left) or 3 (down)")
        if self._at > self.length:
            raise InvalidInputError(f"the episode is over or has not begun, of {self._at:,} steps; call reset")
        self._move(*MOVES[action])
        self._at += 1
        done = self._at > self.length
        late = self._penalty if self._x < self._at else 0.0
        reward = float(self._y == self._goal) if done else late
        junction = self._x == self.length
        observation = np.array((junction, self._y), np.float32)
        return observation, reward, done, False, self._info(junction, done, reward)

    def _info(self, junction: bool, done: bool, reward: float) -> dict[str, Any]:
        if done:
            result = {"id": "goal", "kind": "oracle", "hidden": True, "solved": reward == 1.0}
            return {"needs": [], "results": [result]}
        needs = [{"id": "goal", "kind": "oracle", "shown": 0, "stale": None}] if junction else []
        return {"needs": needs, "results": []}

    def _move(self, right: int, up: int) -> None:
        """One cell, unless a wall is there: the corridor is at y = 0, the arms are at its end."""
        x, y = self._x + right, self._y + up
        if (y == 0 and 0 <= x <= self.length) or (x == self.length and abs(y) == 1):
            self._x, self._y = x, y

    def render(self) -> Any:
        """The maze as text (`ansi`), as an array [height, width, 3] of uint8 (`rgb_array`), or None without a mode."""
        if self.render_mode is None:
            return None
        settings.begun(self._goal != 0, "episode")
        return self._text() if self.render_mode == "ansi" else self._picture()

    def _column(self, x: int) -> int:
        """Where a cell is drawn; the ends are the ends."""
        last = min(self.length, COLUMNS - 1)
        return x if last == self.length else last if x == self.length else min(last - 1, x * last // self.length)

    def _text(self) -> str:
        rows = [[" "] * self._column(self.length) for _ in range(2)]
        rows.insert(1, ["o", *"." * (self._column(self.length) - 1)])
        for y, row in zip((1, 0, -1), rows, strict=True):
            row.append("+" if y == 0 else "G" if y == self._goal else ".")
        rows[1 - self._y][self._column(self._x)] = "@"
        drawn = "\n".join("".join(row) for row in rows)
        return f"step {self._at:,} of {self.length + 1:,}, cell {self._x:,} of {self.length:,}\n{drawn}"

    def _picture(self) -> NDArray[np.uint8]:
        last = self._column(self.length)
        cells = np.full((5, last + 3, 3), WALL, np.uint8)
        cells[2, 1 : last + 2] = FLOOR
        cells[[1, 3], last + 1] = FLOOR
        cells[2, 1] = ORACLE
        cells[2 - self._goal, last + 1] = GOAL
        picture = cells.repeat(PIXELS, 0).repeat(PIXELS, 1)
        top, left = (2 - self._y) * PIXELS, (self._column(self._x) + 1) * PIXELS
        picture[top + 1 : top + PIXELS - 1, left + 1 : left + PIXELS - 1] = AGENT
        return picture
