"""Several copies of an environment, stepped together: each lane plays one episode after another, with seeds of ours.

Knows Gymnasium's vector environments; knows no memory and no policy. A lane is never reset by itself, so no dummy step
comes about; one that has nothing left to play stands still.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.vector.async_vector_env import _async_worker
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate

from agentmem.errors import InvalidInputError, PlayError
from agentmem.records import brief
from agentmem.rollout.actions import ANY, needed
from agentmem.rollout.making import Make, name_of
from agentmem.rollout.raised import Raised, at_step, closing, fail, of_others, playing, reward_of

STAND = "agentmem: stand still"
RESULTS = "results"
"""What info tells of the whole episode, at its end; an environment may also have it as an attribute, at any time."""
SLOW = 0.001
"""Seconds a step from which on each lane has a process of its own."""
TRIED = 20
BOX = "boxed"
LOST = 5.0
"""Seconds in which a process whose pipe is closed ends."""


class Took(NamedTuple):
    """What a step of one lane gave; a reset gives no reward."""

    observation: Any
    reward: float | None
    terminated: bool
    truncated: bool
    info: dict[str, Any]


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
    environment raises is told in place of info, and an observation that is none: in a process of its own it would be
    lost, or end that.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], apart: bool) -> None:
        super().__init__(env)
        self.action_space = _Anything()
        self._last: Any = None
        self._room: Any = create_empty_array(env.observation_space, n=1, fn=np.zeros)
        self._apart, self._stands, self._ended = apart, False, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._stands = bool(options and options.get(STAND)) and self._last is not None
        if self._stands:
            return self._last, {BOX: ({},)}
        try:
            seen, info = self.env.reset(seed=seed)
        except Exception as error:
            return self._seen(), {BOX: (self._raised(error),)}
        wrong = self._take(seen)
        return self._seen(), {BOX: (wrong or info,)}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        if self._stands:
            return self._last, 0.0, False, False, {BOX: ({},)}
        try:
            seen, given, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            return self._failed(self._raised(error))
        if isinstance(reward := reward_of(given), Raised):
            return self._failed(reward)
        if wrong := self._take(seen):
            return self._failed(wrong)
        told = _with_results(self.env, info) if truncated else info
        return self._last, reward, terminated, truncated, {BOX: (told,)}

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

    def _failed(self, raised: Raised) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self._seen(), 0.0, False, False, {BOX: (raised,)}

    def _take(self, observation: Any) -> Raised | None:
        """Keep an observation, if it has its place beside those of other lanes; else what is wrong with it."""
        space = self.observation_space
        try:
            concatenate(space, [observation], self._room)
        except Exception as error:  # whatever the values are of
            said = f"gave the observation {brief(observation)}, which is none of {needed(space)} ({error})"
            return Raised(said, "", None)
        self._last = observation
        return None

    def _seen(self) -> Any:
        """The last observation, or one with nothing in it."""
        if self._last is not None or self._room is None:  # of a space that Gymnasium knows nothing of
            return self._last
        return next(iterate(batch_space(self.observation_space, 1), self._room))


def _worker(*given: Any) -> None:
    """Gymnasium's, which ends without a word where the process that began it was killed."""
    parent = os.getppid()
    try:
        _async_worker(*given)
    except (EOFError, ConnectionError):
        if os.getppid() == parent:
            raise


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
        with playing(self.name, "as it was made"):
            self._vector = self._joined(_Laned(make))
        self._space = self._vector.observation_space

    def _joined(self, make: Make) -> SyncVectorEnv | AsyncVectorEnv:
        each = [make] * self.count
        if not self.apart:
            return SyncVectorEnv(each, autoreset_mode=AutoresetMode.DISABLED)
        shared = not has_text(self.observation_space)
        return AsyncVectorEnv(each, shared_memory=shared, worker=_worker, autoreset_mode=AutoresetMode.DISABLED)

    def begin(self, seeds: Sequence[int | None]) -> dict[int, Took]:
        """Begin an episode in each lane that has a seed here; [count] seeds."""
        chosen = np.array([seed is not None for seed in seeds])
        given: Any = list(seeds)  # Gymnasium's base class knows one seed alone, its environments take several
        for lane, seed in enumerate(seeds):
            if seed is not None:
                self._seeds[lane], self._made[lane] = seed, 0
        with self._asking():
            observations, infos = self._vector.reset(seed=given, options={"reset_mask": chosen})
        return {
            lane: Took(one, None, False, False, info) for lane, one, info in self._parts(observations, infos, chosen)
        }

    def stand(self, lanes: Sequence[int]) -> None:
        """Have these lanes stand still from now on."""
        chosen = np.isin(np.arange(self.count), lanes)
        with self._asking():
            self._vector.reset(options={"reset_mask": chosen, STAND: True})

    def step(self, actions: Mapping[int, Any]) -> dict[int, Took]:
        """Step each lane that has an action here; the others must stand still."""
        given = tuple(actions.get(lane) for lane in range(self.count))
        for lane in actions:
            self._made[lane] += 1
        with self._asking():
            observations, rewards, ended, cut, infos = self._vector.step(given)
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
        return at_step(self._made[lane], f"episode {self._seeds[lane] - self.seed}")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """PlayError where a process has ended by itself: it was killed, or what it plays left Python."""
        try:
            yield
        except (EOFError, ConnectionError) as error:
            lane, code = self._abandoned()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise PlayError(
                f"environment {self.name}, {self._place(lane)}: its process {how}; mend it, or give fewer workers if "
                "memory ran out"
            ) from error

    def _abandoned(self) -> tuple[int, int]:
        """End all processes, since one is lost: its lane, and its exit code."""
        assert isinstance(self._vector, AsyncVectorEnv)
        processes: list[Any] = self._vector.processes
        ended = wait([each.sentinel for each in processes], timeout=LOST)
        lost = next((lane for lane, each in enumerate(processes) if each.sentinel in ended), 0)
        for pipe, process in zip(self._vector.parent_pipes, processes, strict=True):
            pipe.close()
            process.terminate()
            process.join()
        self._vector.closed = True  # Gymnasium's close would wait for the answer that will not come
        return lost, processes[lost].exitcode

    def close(self) -> None:
        with self._asking():
            told = self._vector.call("end")
        self._vector.close()
        for raised in told:
            if raised is not None:
                fail(self.name, "in close", raised)

    def __enter__(self) -> Lanes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if kind is None:
            self.close()
        elif isinstance(self._vector, AsyncVectorEnv):  # what is raised is told, rather than what closing raises
            self._stop(self._vector)
        else:
            self._vector.close()

    def _stop(self, vector: AsyncVectorEnv) -> None:
        """End the processes once they have made the step that they are in. Who interrupts it may have had the answers
        of some and not of others: Gymnasium's close would wait for those of all.
        """
        if vector.closed:
            return
        for pipe in vector.parent_pipes:
            with suppress(OSError):
                pipe.send(("close", None))
        for pipe, process in zip(vector.parent_pipes, vector.processes, strict=True):
            with suppress(Exception):  # an answer that was read in part is no answer
                while pipe.recv() != (None, True):  # which answers "close"
                    pass
            pipe.close()
            process.join(LOST)
            process.terminate()
        vector.closed = True


def _with_results(env: gymnasium.Env[Any, Any], info: dict[str, Any]) -> dict[str, Any]:
    """Info of an episode that a time limit has cut, with what came of it by then: its environment knew of no end."""
    results = getattr(env.unwrapped, RESULTS, None)
    return {**info, RESULTS: results} if isinstance(results, list) and not info.get(RESULTS) else info


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
