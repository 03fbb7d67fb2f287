"""Whose memory a run may see: the namespace and the thread, from what the caller set and never from what a model wrote.

Knows LangGraph's runtime and config.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langgraph.config import get_config

from agentmem.errors import InvalidInputError
from agentmem.records import brief, check_name, check_namespace
from agentmem.types import Namespace

Scope = Sequence[str] | Callable[[Any], Sequence[str]]
USER, THREAD = "user_id", "thread_id"


def check_scope(scope: Scope | None) -> Scope | None:
    """InvalidInputError unless it is None, a function of the runtime, or names of fields."""
    return scope if scope is None or callable(scope) else check_namespace(scope)


def namespace_of(runtime: Any, scope: Scope | None) -> Namespace:
    """The part of the namespace that a run adds to the memory's own.

    scope: fields of the runtime context (or of `configurable`) that all must be there; `thread_id` is the thread's. Or
    a function of the runtime. None: the field `user_id`, if there is one. Raises InvalidInputError for one that lacks.
    """
    if callable(scope):
        return check_namespace(scope(runtime))
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
    """The id of the thread; None without a checkpointer."""
    info = getattr(runtime, "execution_info", None)
    found = info.thread_id if info is not None else None
    return None if found is None else check_name("thread_id", str(found))


def field(runtime: Any, name: str) -> Any:
    """A value of the context, or of `configurable` in the config; None where neither has it."""
    if name == THREAD:
        return thread_of(runtime)
    context = getattr(runtime, "context", None)
    found = context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)
    if found is None:
        config = getattr(runtime, "config", None) or _config()
        found = (config.get("configurable") or {}).get(name)
    return found


def _config() -> Mapping[str, Any]:
    try:
        return get_config()
    except RuntimeError:  # outside of a run
        return {}
