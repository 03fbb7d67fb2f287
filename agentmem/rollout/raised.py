"""What the code of others raised, told in one line: what it was, where it was, and at which line of its own.

Knows tracebacks, and which frames are ours or Gymnasium's; knows no rollout.
"""

from __future__ import annotations

import math
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

import gymnasium

from agentmem.errors import AgentMemError, PlayError
from agentmem.records import brief

MOST = 400
"""Characters of what was raised."""
_OF_GYMNASIUM = os.path.dirname(gymnasium.__file__)
_OTHERS = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    *(
        os.path.join(_OF_GYMNASIUM, part)
        for part in ("core.py", f"wrappers{os.sep}", f"utils{os.sep}", f"vector{os.sep}")
    ),
    os.path.join(_OF_GYMNASIUM, "envs", "registration.py"),
)
"""How the files of code begin that only hands on to what others wrote."""


class Raised(NamedTuple):
    """What was raised, in words; the part of its traceback that is its own code; and the error itself, if it is one."""

    said: str
    trace: str
    error: Exception | None

    @classmethod
    def of(cls, error: Exception, own: TracebackType | None) -> Raised:
        where = f" at {own.tb_frame.f_code.co_filename}:{own.tb_lineno}" if own else ""
        why = f": {said}" if (said := str(error)[:MOST]) else ""
        lines = traceback.format_exception(type(error), error, own)
        return cls(f"raised {type(error).__name__}{where}{why}", "".join(lines), error)

    def told(self, of: str, then: str = "") -> PlayError:
        """As an error of ours."""
        return PlayError(f"{of} {self.said}; mend it", self.trace, then)

    def portable(self) -> Raised:
        """The same for another process, which cannot have the traceback, nor every kind of error."""
        assert self.error is not None
        try:
            error = copy(self.error)  # as it is made again there
            ForkingPickler.dumps(error)
        except Exception:  # whatever its class makes of it; `said` has its name and text
            error = RuntimeError(self.said)
        error.add_note(self.trace)
        return self._replace(error=error)


def of_others(error: Exception) -> Raised:
    """What an environment raised, or another function that was given."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OTHERS):
        frames = frames.tb_next
    return Raised.of(error, frames)


def fail(env: str, where: str, raised: Raised) -> NoReturn:
    """Raise it as PlayError, from what it is; an error of ours as it is. where: such as "in step 3 of episode 0"."""
    if isinstance(raised.error, AgentMemError):
        raise raised.error
    raise raised.told(f"environment {env}, {where},") from raised.error


@contextmanager
def playing(env: str | gymnasium.Env[Any, Any], where: str) -> Iterator[None]:
    """Raises what the environment raises meanwhile as `fail` does."""
    try:
        yield
    except Exception as error:
        fail(env if isinstance(env, str) else called(env), where, of_others(error))


@contextmanager
def closing(env: gymnasium.Env[Any, Any], name: str = "") -> Iterator[gymnasium.Env[Any, Any]]:
    """Closes an environment at the end; PlayError where it cannot be. An error meanwhile is told, and not what closing
    raises then. name: by default its id.
    """
    try:
        yield env
    except BaseException:
        with suppress(Exception):
            env.close()
        raise
    with playing(name or env, "in close"):
        env.close()


def at_step(step: int, episode: object) -> str:
    """Where an environment is in an episode, such as "episode 3"; step: 0 for its reset."""
    return f"in step {step} of {episode}" if step else f"in the reset of {episode}"


def called(env: gymnasium.Env[Any, Any]) -> str:
    """The id of an environment, or the name of its class."""
    return env.spec.id if env.spec else type(env.unwrapped).__name__


def reward_of(given: Any) -> float | Raised:
    """What a step gave as its reward, as a number; what is wrong with it if it is none, or not finite."""
    try:
        reward = float(given)
    except (TypeError, ValueError, OverflowError):
        reward = math.nan
    return (
        reward
        if math.isfinite(reward)
        else Raised(f"gave the reward {brief(given)}, which is no finite number", "", None)
    )
