"""RecurrentPPO of sb3-contrib, unmodified and with its own sizes, as a row of the table of tasks.

Knows Stable-Baselines3. It sees an observation's features as a vector, with the action before where an environment asks
that it is told; the number of the step, which the others are told, it can count itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from agentmem.errors import MissingExtraError
from agentmem.policy.reference import actions_of, is_told
from agentmem.policy.spaces import Features

if TYPE_CHECKING:
    from agentmem.bench.environments.row import Row

LANES, STEPS, BATCH = 16, 128, 256
"""Episodes side by side, steps of each from one update to the next, and steps of a batch."""
TRACE = 0.5
"""Of advantages, in all models: in these tasks an action is rewarded at once, and what comes later is noise to it."""
Make = Callable[[], gymnasium.Env[Any, Any]]


class Flat(gymnasium.Wrapper[np.ndarray, Any, Any, Any]):
    """Observations, and the action before where it is told, as float32 vectors of 0 and 1."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.features = Features.of(env.observation_space)
        self.actions = actions_of(env) if is_told(env) else 0
        size = self.features.rows + self.features.floats + self.actions
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)

    def reset(self, **keywords: Any) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(**keywords)
        return self._flat(observation, None), info

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        observation, *rest = self.env.step(int(action))
        return self._flat(observation, int(action)), *rest  # type: ignore[return-value]

    def _flat(self, observation: Any, before: int | None) -> np.ndarray:
        ids, floats = self.features(observation)
        there, acted = np.zeros(self.features.rows, np.float32), np.zeros(self.actions, np.float32)
        there[ids] = 1
        if before is not None and self.actions:
            acted[before] = 1
        return np.concatenate((there, floats, acted))


def learner() -> Any:
    """The class. Raises MissingExtraError without sb3-contrib."""
    try:
        from sb3_contrib import RecurrentPPO
    except ImportError as error:
        raise MissingExtraError("recurrent-ppo needs sb3-contrib: pip install 'agentmem-crystal[rivals]'") from error
    return RecurrentPPO


def result(asked: Row, make: Make, episodes: int, first: int, tell: Callable[[float], None]) -> dict[str, Any]:
    """Train on the row's steps, and those that its last update has beyond them, then play.

    Raises MissingExtraError without sb3-contrib.
    """
    made = learner()
    from stable_baselines3.common.logger import Logger
    from stable_baselines3.common.vec_env import DummyVecEnv

    envs = DummyVecEnv([lambda: Flat(make()) for _ in range(LANES)])
    sizes = {"n_steps": STEPS, "batch_size": BATCH, "gae_lambda": TRACE}
    model = made("MlpLstmPolicy", envs, seed=asked.seed, device="cpu", verbose=0, **sizes)
    model.set_logger(Logger(folder=None, output_formats=[]))  # its own makes a folder
    began = time.process_time()
    model.learn(asked.steps, callback=_telling(lambda steps: tell(min(1.0, steps / asked.steps))))
    seconds = time.process_time() - began
    envs.close()
    returns = [_return(model, Flat(make()), first + number) for number in range(episodes)]
    lstm: Any = model.policy.lstm_actor
    return {
        "env_steps": model.num_timesteps, "updates": model._n_updates, "seconds": seconds, "returns": returns,
        "parameters": sum(each.numel() for each in model.policy.parameters()),
        "bytes": 2 * 4 * lstm.hidden_size * lstm.num_layers,
    }  # fmt: skip


def _telling(tell: Callable[[int], None]) -> Any:
    """A callback that tells the steps made."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Telling(BaseCallback):
        def _on_step(self) -> bool:
            tell(self.num_timesteps)
            return True

    return Telling()


def _return(model: Any, env: Flat, seed: int) -> float:
    state, first, total, over = None, True, 0.0, False
    with env:
        seen = env.reset(seed=seed)[0]
        while not over:
            action, state = model.predict(seen[None], state, np.array([first]), deterministic=True)
            seen, reward, terminated, truncated, _ = env.step(action[0])
            first, over, total = False, terminated or truncated, total + float(reward)
    return total
