"""When to recall: at which calls of the model a planning context is made anew.

Knows what a call looks like; knows no memory. The default was chosen by measurement: docs/decisions/0013-langchain.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from langchain_core.messages import BaseMessage, ToolMessage

from agentmem.errors import InvalidInputError
from agentmem.langchain.messages import failed, turn_of
from agentmem.records import brief, iterates

FAILURES = 2
"""Failed calls in a row after which recalling is due."""


@dataclass(frozen=True)
class Call:
    """A call of the model that is about to be made.

    results: of tools since the user's last message; 0 as a task starts. failures: failed ones in a row, up to now.
    trimmed: messages that gave way and are not in the prompt.
    """

    results: int
    failures: int
    trimmed: int


START = "start"
When = str | Sequence[str] | Callable[[Call], bool]
RULES: dict[str, Callable[[Call], bool]] = {
    "always": lambda call: True,
    START: lambda call: call.results == 0,
    "trimmed": lambda call: call.trimmed > 0,
    "failures": lambda call: call.failures >= FAILURES,
}
DEFAULT = (START, "trimmed")


def call_of(messages: Sequence[BaseMessage], trimmed: int) -> Call:
    """What is about to be called for, after these messages of the state."""
    results = [message for message in messages[turn_of(messages) :] if isinstance(message, ToolMessage)]
    failures = len(list(takewhile(failed, reversed(results))))
    return Call(len(results), failures, trimmed)


def rules_of(when: When) -> tuple[Callable[[Call], bool], bool]:
    """Whether recalling is due at a call; and whether what was recalled as a task started is to be there all along."""
    if callable(when):
        return when, False
    names: list[str] = [when] if isinstance(when, str) or not iterates(when) else list(when)  # type: ignore[list-item]
    if not names or (unknown := [name for name in names if name not in list(RULES)]):
        raise InvalidInputError(
            f"when {brief(when)} has {unknown if names else 'no rule'}; use some of {', '.join(RULES)}, or a function "
            "of agentmem.langchain.Call"
        )
    rules = [RULES[name] for name in names]
    return (lambda call: any(rule(call) for rule in rules)), START in names
