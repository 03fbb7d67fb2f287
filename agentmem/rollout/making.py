"""What makes an environment: its id with keywords, or a function; what that is called, and what is made says of itself.

Knows Gymnasium's registry, and that shifts offer candidates; steps nothing.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator

from agentmem.errors import AgentMemError, InvalidInputError, as_installed
from agentmem.records import brief
from agentmem.rollout.raised import closing, playing
from agentmem.rollout.reading import is_shift

Make = Callable[[], "gymnasium.Env[Any, Any]"]
PACKAGES, ENVS = ("minigrid", "popgym"), "pip install 'agentmem-crystal[envs]'"
"""Modules of environments that the extra brings."""


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
