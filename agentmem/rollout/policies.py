"""Policies without a model, and what a rollout asks of any: to begin an episode, and to act, alone or many at once.

A policy is any object with `act(observation, context)`. It may also have
    begin(seed)   the policy of one episode, with a state of its own; without it the policy has none
    act_many(policies, observations, contexts)   one action each for several episodes, as a torch policy batches them
    informed = True   an oracle: it is given info in place of the context
    name          what tells it from any other policy, its settings too: only so is a rollout gone on with
One that has `begin` acts the same when it sees the same: a resumed rollout has it act again up to where that stopped.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from inspect import getattr_static, iscoroutinefunction
from types import FunctionType, TracebackType
from typing import Any

import numpy as np

from agentmem.errors import AgentMemError, InvalidInputError, PlayError
from agentmem.records import brief
from agentmem.rollout.raised import Raised
from agentmem.types import PlanningContext, Policy

ONE = "a function of observation and context becomes one by agentmem.rollout.ScriptedPolicy(function)"


class ScriptedPolicy:
    """A function of observation and planning context."""

    def __init__(self, function: Callable[[Any, PlanningContext | None], Any]) -> None:
        if not callable(function):
            raise InvalidInputError(f"{brief(function)} is no function of observation and context; give one")
        self.function = function

    @property
    def name(self) -> str | None:
        """Of a function that stands in a module; None of one that was made on the way, such as a lambda."""
        made = getattr(self.function, "__qualname__", "<")
        stands = isinstance(self.function, FunctionType) and "<" not in made
        return f"{self.function.__module__}.{made}" if stands else None

    def act(self, observation: Any, context: PlanningContext | None) -> Any:
        return self.function(observation, context)


class RandomPolicy:
    """Any action of a space, by the episode's seed."""

    name = "random"

    def __init__(self, space: Any, seed: int | None = None) -> None:
        self.space, self.seed = space, seed
        if seed is not None:
            self.space = deepcopy(space)
            self.space.seed(apart(seed))

    def begin(self, seed: int) -> RandomPolicy:
        return RandomPolicy(self.space, seed)

    def act(self, observation: Any, context: PlanningContext | None) -> Any:
        mask = observation.get("action_mask") if isinstance(observation, dict) else None
        return self.space.sample() if mask is None else self.space.sample(mask=mask)


def apart(seed: int) -> int:
    """A seed made of another: whoever draws from an environment's own seed draws what is hidden in it."""
    return int(np.random.SeedSequence((seed, 1)).generate_state(1)[0])


def check_policy(policy: Any, name: str | None = None) -> Any:
    """InvalidInputError for what does not act. name: that it was loaded by."""
    what = brief(policy) if name is None else f"{name!r} makes {brief(policy)}, which"
    if isinstance(policy, type) and isinstance(getattr_static(policy, "act", None), FunctionType):
        raise InvalidInputError(f"policy {what} is a class: give one of it, such as {policy.__name__}()")
    if not callable(getattr(policy, "act", None)):
        raise InvalidInputError(f"policy {what} has no act(observation, context); {ONE}")
    for method in ("act", "act_many"):
        if iscoroutinefunction(getattr(policy, method, None)):
            raise InvalidInputError(f"policy {what} has an async {method}, and nothing awaits it: make it a plain def")
    return policy


def name_of_policy(policy: Any, given: str | None = None) -> str | None:
    """The name that it is given, or else its own; None if it has none."""
    own = given or getattr(policy, "name", None)
    return own if isinstance(own, str) and own else None


def begun(policy: Any, seed: int, name: str) -> Any:
    """The policy of one episode. PlayError for one that does not act."""
    if not hasattr(policy, "begin"):
        return policy
    own = policy.begin(seed)
    if not callable(getattr(own, "act", None)):
        raise PlayError(
            f"policy {name} began an episode with {brief(own)}, which has no act(observation, context): "
            "begin(seed) is to return the policy of the episode, which may be itself"
        )
    return own


def acts(
    policy: Any, policies: Sequence[Any], observations: Sequence[Any], shown: Sequence[Any], name: str
) -> list[Any]:
    """An action for each; shown: contexts, or infos for one that is informed. PlayError for fewer or more."""
    if not hasattr(policy, "act_many"):
        return [one.act(seen, told) for one, seen, told in zip(policies, observations, shown, strict=True)]
    given = policy.act_many(policies, observations, shown)
    if not isinstance(given, Iterable) or len(actions := list(given)) != len(policies):
        raise PlayError(
            f"policy {name} gave {brief(given)} by act_many, and a list of {len(policies)} is needed: an action for "
            "each policy that it was given"
        )
    return actions


def load_policy(name: str, action_space: Any) -> Policy:
    """A policy by name: oracle, reader, rule, random; a trained one that comes with the package, shift, or a file of
    one, .safetensors; or module:attribute of your own, a policy or what makes one.

    Raises InvalidInputError for an unknown name, NotFoundError for a file that is not there; what the code of such a
    module or class raises is raised as it is.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"policy {brief(name)} is no name; give one, or a policy itself to rollout()")
    if name in ("random", *SHIFTS):
        return RandomPolicy(action_space) if name == "random" else _shift(name)
    if is_trained(name):
        trained = importlib.import_module("agentmem.policy")  # above this layer, and it needs torch
        return trained.load_trained(name)  # type: ignore[no-any-return]
    module, found, attribute = name.partition(":")
    if not found:
        what = "a folder" if os.path.isdir(name) else "unknown"
        raise InvalidInputError(
            f"policy {name!r} is {what}; give random, {', '.join((*SHIFTS, *TRAINED))}, a .safetensors file of a "
            "trained policy, chat:MODEL or your.module:name"
        )
    return check_policy(_made(name, module, attribute), name)  # type: ignore[no-any-return]


def _made(name: str, module: str, attribute: str) -> Any:
    made = _named(name, module, attribute)
    if not isinstance(made, type) and hasattr(made, "act"):
        return made
    try:
        return made()
    except TypeError as error:
        if own_frames(error.__traceback__)[1]:
            raise
        raise InvalidInputError(
            f"policy {name!r} cannot be made ({error}); name a policy, or what makes one from no arguments; {ONE}"
        ) from error


def _named(name: str, module: str, attribute: str) -> Any:
    try:
        found = importlib.import_module(module)
    except (ImportError, ValueError, TypeError) as error:
        if own_frames(error.__traceback__)[1]:
            raise
        raise _not_there(name, error) from error
    try:
        return getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        raise _not_there(name, error) from error


def _not_there(name: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(f"policy {name!r} is not there ({error}); give the module and the name in it")


def error_of(name: str, error: Exception, then: str = "") -> PlayError | None:
    """An error of a policy's own code, or of an environment's, as one of ours that says where; None for any other, and
    for one that says what is kept. then: that.
    """
    if isinstance(error, PlayError):
        return None if error.then else PlayError(str(error), error.trace, then)
    within, own = own_frames(error.__traceback__)
    return (
        None if isinstance(error, AgentMemError) or not within else Raised.of(error, own).told(f"policy {name}", then)
    )


def own_frames(frames: TracebackType | None) -> tuple[bool, TracebackType | None]:
    """Whether an error came out of a policy, and the frames of that policy's own code."""
    within, own = False, None
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if file == __file__:
            within, own = True, None
        elif within and own is None and file != importlib.__file__ and not file.startswith("<frozen importlib"):
            own = frames
        frames = frames.tb_next
    return within, own


SHIFTS = ("oracle", "reader", "rule")
TRAINED = ("shift", "tmaze")


def is_trained(name: str) -> bool:
    """Whether a name is of a trained policy: one that comes with the package, or a file."""
    return name in TRAINED or name.endswith(".safetensors")


def _shift(name: str) -> Policy:
    from agentmem_envs.shift import policies

    made: Policy = getattr(policies, name.capitalize())()
    return made
