"""Whose memory a run may see: the namespace and the thread, from what the caller set and never from what a model wrote.

Knows LangGraph's runtime and config; that an agent's tools run in its node `tools`, and what they call in a namespace
of checkpoints below it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.config import get_config

from agentmem.errors import InvalidInputError
from agentmem.langchain.items import ROOT
from agentmem.records import brief, check_name, check_namespace
from agentmem.types import Namespace

Scope = Sequence[str] | Callable[[Any], Sequence[str]]
USER, THREAD = "user_id", "thread_id"
CHECKPOINTER = "__pregel_checkpointer"
"""Where LangGraph has the checkpointer among `configurable`."""
TOOLS = re.compile(r"((?:.*\|)?tools(?::[^|]*)?(?:\|\d+)*)\|")
"""The namespace of checkpoints up to the innermost call of a tool that a run is in."""


def check_scope(scope: Scope | None) -> Scope | None:
    """InvalidInputError unless it is None, a function of the runtime, or names of fields."""
    return scope if scope is None or callable(scope) else check_namespace(scope)


def namespace_of(runtime: Any, scope: Scope | None) -> Namespace:
    """The part of the namespace that a run adds to the memory's own.

    scope: fields of the runtime context (or of `configurable`) that all must be there; `thread_id` is the thread's. Or
    a function of the runtime. None: the field `user_id`, if there is one. Raises InvalidInputError for one that lacks.
    """
    found = check_namespace(scope(runtime) if callable(scope) else _of_fields(runtime, scope))
    if ROOT in found:
        raise InvalidInputError(
            f"scope gives {brief(found)}, but under {ROOT!r} lie a store's items; give another name"
        )
    return found


def _of_fields(runtime: Any, scope: Sequence[str] | None) -> Namespace:
    values = {name: field(runtime, name) for name in ((USER,) if scope is None else scope)}
    if scope is None and values[USER] is None:
        return ()
    for name, value in values.items():
        if value is None or not str(value):
            raise InvalidInputError(
                f"the runtime context {brief(runtime.context)} has no {name!r}, which scope {tuple(values)} asks for; "
                f"give it, as in agent.invoke(..., context={{{name!r}: ...}})"
            )
    return tuple(check_name(name, str(value)) for name, value in values.items())


def thread_of(runtime: Any) -> str | None:
    """The `thread_id` that the caller gave, with a checkpointer or without; None for none."""
    found = runtime.execution_info.thread_id if getattr(runtime, "execution_info", None) is not None else None
    return None if found is None else check_name("thread_id", str(found))


def helper_of(runtime: Any) -> str | None:
    """The call of a tool in which an agent asks the one that runs; None if nobody stands between it and the user."""
    info = getattr(runtime, "execution_info", None)
    found = TOOLS.match(info.checkpoint_ns) if info is not None else None
    return found[1] if found is not None else None


def lasts(runtime: Any) -> bool:
    """Whether the run has a checkpointer, so that its messages are there when its thread goes on."""
    return _configurable(runtime).get(CHECKPOINTER) is not None


def field(runtime: Any, name: str) -> Any:
    """A value of the context, or of `configurable` in the config; None where neither has it."""
    if name == THREAD:
        return thread_of(runtime)
    context = getattr(runtime, "context", None)
    found = context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)
    return _configurable(runtime).get(name) if found is None else found


def _configurable(runtime: Any) -> Mapping[str, Any]:
    config = getattr(runtime, "config", None)
    if config is None:
        try:
            config = get_config()
        except RuntimeError:  # outside of a run
            return {}
    return config.get("configurable") or {}
