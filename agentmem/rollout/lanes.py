"""Several copies of an environment, stepped together: each lane plays one episode after another, with seeds of ours.

Knows Gymnasium's vector environments; knows no memory and no policy. A lane is never reset by itself, so no dummy step
comes about; one that has nothing left to play stands still.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array, iterate

from agentmem.errors import AgentMemError, InvalidInputError, as_installed
from agentmem.records import brief
from agentmem.rollout.actions import ANY
from agentmem.rollout.raised import Raised, closing, fail, of_others, playing, reward_of
from agentmem.rollout.reading import is_shift

Make = Callable[[], "gymnasium.Env[Any, Any]"]
STAND = "agentmem: stand still"
SLOW = 0.001
"""Seconds a step from which on each lane has a process of its own."""
TRIED = 20
BOX = "boxed"
PACKAGES, ENVS = ("minigrid", "popgym"), "pip install 'agentmem-crystal[envs]'"
"""Modules of environments that the extra brings."""


class Took(NamedTuple):
    """What a step of one lane gave; a reset gives no reward."""

    observation: Any
    reward: float | None
    terminated: bool
    truncated: bool
    info: dict[str, Any]


def name_of(env: str | Make) -> str:
    """What an environment is called in namespaces: its id, or the name of what makes it."""
    if isinstance(env, partial):
        return name_of(env.func)
    if isinstance(env, _Named):
        return env.id
    return env if isinstance(env, str) else getattr(env, "__qualname__", type(env).__name__)


def given_to(env: str | Make, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the environment is made with: options, or what a partial function holds, functions by their names."""
    held: Mapping[str, Any] = options or {}
    if isinstance(env, partial):
        held = {str(place): value for place, value in enumerate(env.args)} | env.keywords
    return {name: name_of(value) if callable(value) else value for name, value in held.items()}


def maker(env: str | Make, options: Mapping[str, Any] | None = None) -> Make:
    """What makes the environment: of an id with these keywords. Shifts offer candidates.

    Raises InvalidInputError for an id that is not registered, keywords that it does not take and options that are none,
    PlayError where the environment's own code fails.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InvalidInputError(f"options {brief(options)} are no keywords; give a dict, such as {{'length': 100}}")
    if callable(env):
        if options:
            raise InvalidInputError(f"options {brief(dict(options))} go with an id; give them to your function itself")
        return env
    if not isinstance(env, str):
        raise InvalidInputError(f"env {brief(env)} is neither an id nor a function; give one that makes an environment")
    made, mode = _Named(env, dict(options or {})), (options or {}).get("render_mode")
    if not isinstance(mode, str | None):
        raise InvalidInputError(f"render_mode={brief(mode)} is no text; give one that the environment has, or None")
    with playing(env, "as it was made"):
        one = _tried(made, env)
    with closing(one, env):
        return made


def _tried(made: _Named, env: str) -> gymnasium.Env[Any, Any]:
    try:
        return made()
    except AgentMemError:
        raise
    except (gymnasium.error.Error, ModuleNotFoundError, TypeError, ValueError, AssertionError) as error:
        given = f" with {brief(made.options)}" if made.options and _spec(env) else ""
        own = error if isinstance(error, gymnasium.error.Error) else error.__cause__ or error  # told without additions
        why = str(own).rstrip(".")
        raise InvalidInputError(f"environment {env!r} cannot be made{given}: {why}{_remedy(env, error)}") from error


def _remedy(id: str, error: Exception) -> str:
    """What may help where the environment of an id cannot be made."""
    spec, package = _spec(id), id.partition(":")[0]
    if package in PACKAGES and isinstance(error, ModuleNotFoundError):
        return f"; install it: {as_installed(ENVS)}"
    if spec is None:
        return (
            "; name one that is registered, such as agentmem/ShiftShop-Short-v0; if a package brings it, install that "
            "and name its module before the id, as in minigrid:MiniGrid-Empty-5x5-v0"
        )
    if isinstance(error, gymnasium.error.DependencyNotInstalled) or spec.entry_point is None:
        return ""
    made = spec.entry_point if callable(spec.entry_point) else load_env_creator(spec.entry_point)
    return f"; keywords that it takes: {', '.join(_keywords(made)) or 'none'}"


def _spec(id: str) -> Any:
    """What is registered by an id, or module:id; None if nothing is."""
    return gymnasium.registry.get(id.rpartition(":")[2])


def _keywords(made: Any) -> dict[str, None]:
    """The names that a class takes; of classes below, to which it hands the others on, those that it need not give."""
    names: dict[str, None] = {}
    for each in getattr(made, "__mro__", (made,)):
        taken = inspect.signature(each).parameters.values()
        named = [one for one in taken if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        names |= {one.name: None for one in named if each is made or one.default is not one.empty}
        if not any(one.kind is one.VAR_KEYWORD for one in taken):
            break
    return names


class _Named:
    """Makes an environment by its id, in whatever process."""

    def __init__(self, id: str, options: dict[str, Any]) -> None:
        self.id, self.options = id, dict(options)
        self.offers = is_shift(id) and self.options.pop("candidates", True)
        if not isinstance(self.offers, bool):
            raise InvalidInputError(
                f"candidates={brief(self.offers)}: give True or False (on the command line true or false)"
            )

    def __call__(self) -> gymnasium.Env[Any, Any]:
        if self.id.startswith("agentmem/"):
            import agentmem_envs  # noqa: F401
        env = gymnasium.make(self.id, **self.options)
        if self.offers:
            from agentmem_envs.shift.wrapper import Candidates

            return Candidates(env)
        return env


class _Anything(spaces.Space[Any]):
    """Passes on every action as it is, one that is in no space too: the environment is to judge it."""

    def sample(self, mask: Any = None, probability: Any = None) -> Any:
        return None

    def contains(self, x: Any) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Anything)


class _Lane(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps info whole, for a vector environment would spread it over arrays, and stands still when told to. What the
    environment raises is told in place of info: in a process of its own it would be lost, or end that.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], apart: bool) -> None:
        super().__init__(env)
        self.action_space = _Anything()
        self._last: Any = None
        self._apart, self._stands, self._ended = apart, False, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._stands = bool(options and options.get(STAND)) and self._last is not None
        if self._stands:
            return self._last, {BOX: ({},)}
        try:
            self._last, info = self.env.reset(seed=seed)
        except Exception as error:
            return self._seen(), {BOX: (self._raised(error),)}
        return self._last, {BOX: (info,)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._stands:
            return self._last, 0.0, False, False, {BOX: ({},)}
        try:
            self._last, given, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            return self._seen(), 0.0, False, False, {BOX: (self._raised(error),)}
        reward = reward_of(given)
        if isinstance(reward, Raised):
            return self._last, 0.0, False, False, {BOX: (reward,)}
        return self._last, reward, terminated, truncated, {BOX: (info,)}

    def end(self) -> Raised | None:
        """Close the environment, once; what it raised."""
        ended, self._ended = self._ended, True
        try:
            if not ended:
                self.env.close()
        except Exception as error:
            return self._raised(error)
        return None

    def close(self) -> None:
        self.end()

    def _raised(self, error: Exception) -> Raised:
        raised = of_others(error)
        return raised.portable() if self._apart else raised

    def _seen(self) -> Any:
        """The last observation, or one with nothing in it."""
        space = self.observation_space
        nothing = create_empty_array(space, n=1, fn=np.zeros) if self._last is None else None
        return self._last if nothing is None else next(iterate(batch_space(space, 1), nothing))


class _Laned:
    """Makes a lane, in whatever process. Ctrl-C is for the process that began: it ends those of the lanes."""

    def __init__(self, make: Make) -> None:
        self.make, self.process = make, os.getpid()

    def __call__(self) -> _Lane:
        apart = os.getpid() != self.process
        if apart:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return _Lane(self.make(), apart)


def has_text(space: spaces.Space[Any]) -> bool:
    """Whether values of a space hold text: Gymnasium's shared memory would garble it."""
    if isinstance(space, spaces.Dict):
        return any(map(has_text, space.values()))
    if isinstance(space, spaces.Tuple):
        return any(map(has_text, space.spaces))
    return not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiBinary | spaces.MultiDiscrete)


class Lanes:
    """`count` copies of an environment. `apart`: each in a process of its own; None: if a step takes over 1 ms. seed:
    that of episode 0. What the environment raises is raised as PlayError, from it. As a context it closes at the end.
    """

    def __init__(self, make: Make, count: int, apart: bool | None = None, seed: int = 0) -> None:
        self.name, self.seed = name_of(make), seed
        with playing(self.name, "as it was made"):
            probe = make()
        if not isinstance(probe, gymnasium.Env):
            raise InvalidInputError(f"{brief(probe)} is no gymnasium.Env; give a function that makes one")
        self.observation_space, self.action_space = probe.observation_space, probe.action_space
        self.steps = _most_steps(probe)
        self.any_action = probe.has_wrapper_attr(ANY) and bool(probe.get_wrapper_attr(ANY))
        with closing(probe, self.name):
            if apart is None:
                apart = count > 1 and seconds_a_step(probe, seed) > SLOW
        self.count, self.apart = count, apart
        self._seeds, self._made = [seed] * count, [0] * count
        self._vector = self._joined(_Laned(make))
        self._space = self._vector.observation_space

    def _joined(self, make: Make) -> SyncVectorEnv | AsyncVectorEnv:
        each = [make] * self.count
        if not self.apart:
            return SyncVectorEnv(each, autoreset_mode=AutoresetMode.DISABLED)
        shared = not has_text(self.observation_space)
        return AsyncVectorEnv(each, shared_memory=shared, autoreset_mode=AutoresetMode.DISABLED)

    def begin(self, seeds: Sequence[int | None]) -> dict[int, Took]:
        """Begin an episode in each lane that has a seed here; [count] seeds."""
        chosen = np.array([seed is not None for seed in seeds])
        given: Any = list(seeds)  # Gymnasium's base class knows one seed alone, its environments take several
        observations, infos = self._vector.reset(seed=given, options={"reset_mask": chosen})
        for lane, seed in enumerate(seeds):
            if seed is not None:
                self._seeds[lane], self._made[lane] = seed, 0
        return {
            lane: Took(one, None, False, False, info) for lane, one, info in self._parts(observations, infos, chosen)
        }

    def stand(self, lanes: Sequence[int]) -> None:
        """Have these lanes stand still from now on."""
        chosen = np.isin(np.arange(self.count), lanes)
        self._vector.reset(options={"reset_mask": chosen, STAND: True})

    def step(self, actions: Mapping[int, Any]) -> dict[int, Took]:
        """Step each lane that has an action here; the others must stand still."""
        given = tuple(actions.get(lane) for lane in range(self.count))
        observations, rewards, ended, cut, infos = self._vector.step(given)
        for lane in actions:
            self._made[lane] += 1
        chosen = np.array([lane in actions for lane in range(self.count)])
        return {
            lane: Took(one, float(rewards[lane]), bool(ended[lane]), bool(cut[lane]), info)
            for lane, one, info in self._parts(observations, infos, chosen)
        }

    def _parts(self, observations: Any, infos: dict[str, Any], chosen: np.ndarray) -> Any:
        for lane, one in enumerate(iterate(self._space, observations)):
            if chosen[lane]:
                info = infos[BOX][lane][0]
                if isinstance(info, Raised):
                    fail(self.name, self._place(lane), info)
                yield lane, one, info

    def _place(self, lane: int) -> str:
        made, episode = self._made[lane], self._seeds[lane] - self.seed
        return f"in step {made} of episode {episode}" if made else f"in the reset of episode {episode}"

    def close(self) -> None:
        for raised in self._vector.call("end"):
            if raised is not None:
                self._vector.close()
                fail(self.name, "in close", raised)
        self._vector.close()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:  # which is told, rather than what closing raises
            self._vector.close()


def _most_steps(env: gymnasium.Env[Any, Any]) -> int | None:
    """The steps of an episode, at most, where the environment says so."""
    limit = env.spec.max_episode_steps if env.spec else None
    steps = limit or getattr(env.unwrapped, "steps", None)
    return steps if isinstance(steps, int) else None


def seconds_a_step(env: gymnasium.Env[Any, Any], seed: int) -> float:
    """Of the first steps with random actions, and of the resets between them: as many as it takes to tell whether that
    is SLOW.

    An environment may refuse such actions: that ends the trial, and where it is at fault, an episode meets it again.
    """
    made, passed = 0, 0.0
    with suppress(Exception):
        env.reset(seed=seed)  # which may load what all steps share
        env.action_space.seed(seed)
        began = time.perf_counter()
        while made < TRIED and passed <= TRIED * SLOW:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
            made, passed = made + 1, time.perf_counter() - began
    return passed / max(made, 1)


class About(NamedTuple):
    """What an environment says of itself: its spaces, the first observation, what it is for, and its tools, as JSON, if
    it has some.
    """

    observation_space: spaces.Space[Any]
    action_space: spaces.Space[Any]
    first: Any
    goal: str
    tools: str


def about(make: Make) -> About:
    """Of an environment, after a reset."""
    name = name_of(make)
    with playing(name, "as it was made"):
        env = make()
    with closing(env, name):
        with playing(name, "in reset"):
            first, info = env.reset(seed=0)
        goal, tools = info.get("goal") or "", info.get("tools") or getattr(env.unwrapped, "schema", None)
        tools = json.dumps(tools, default=str) if tools else ""
        return About(env.observation_space, env.action_space, first, str(goal), tools)
