"""Refusals of what an environment is told: each names the value, and what may be given. Knows no environment."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from agentmem.errors import InvalidInputError


def one_of(name: str, value: Any, known: tuple[str | None, ...]) -> None:
    if value not in known:
        raise InvalidInputError(f"{name}={value!r}: give one of {', '.join(map(repr, known))}")


def whole(name: str, value: Any, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidInputError(f"{name}={value!r}: give a whole number from 1 to {most:,}")


def switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name}={value!r}: give True or False (on the command line true or false)")


def render_mode(value: Any, metadata: dict[str, Any]) -> None:
    """One that the class of an environment has in its metadata, or None."""
    one_of("render_mode", value, (None, *metadata["render_modes"]))


def begun(is_so: bool, what: str) -> None:
    if not is_so:
        raise InvalidInputError(f"the {what} has not begun: call reset()")


def options(given: Any, known: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Those of a reset, of which an environment knows some: what looks like one of these is refused, and anything else
    is a wrapper's, which hands it on.
    """
    if not isinstance(given, Mapping | None):
        raise InvalidInputError(f"options={given!r}: give a dict")
    for name in given or {}:
        if name not in known and (near := get_close_matches(str(name), known, 1)):
            raise InvalidInputError(f"options={given!r}: no such option {name!r}; did you mean {near[0]!r}?")
    return given or {}
