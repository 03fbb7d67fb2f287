"""How a rollout reads an environment: which texts are logged of an observation, under which episode, and what is asked.

Knows observations and actions as values; knows no memory. A reading of your own is a `Reading` with other functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentmem.ingest.values import candidates_of, described, own_values, text_of

WRITES = "writes"
"""Where an observation tells whether the coming action may change something."""
CALLS = "calls"
_HEAD = re.compile(r"\[(?P<id>\S+) (?P<name>[^\]]+)\] ?")
_SENTENCE = re.compile(r"(?<=[.?!])\s+|\n\s*")


def act_of(observation: Any, action: Any) -> str:
    """The action in words; of one that chooses among candidates the chosen line."""
    if isinstance(action, str):
        return action
    lines = candidates_of(observation)
    if lines and not isinstance(action, bool) and hasattr(action, "__index__") and 0 <= int(action) < len(lines):
        return lines[int(action)]
    return described(action)


def may_write(observation: Any) -> bool:
    """Whether the coming action may change something, as the observation tells; True where it does not."""
    return not isinstance(observation, Mapping) or bool(np.any(observation.get(WRITES, True)))


@dataclass(frozen=True)
class Reading:
    """What of an environment is logged, and what memory is asked before an action.

    texts: an observation's, each logged as a step of its own. thread: the episode they are logged to; "" is the run's
    own. act: an action's text, given what it answers. acts: the episode of actions, None for the observation's.
    cue: what is asked of memory. writes: whether the coming action may change something.
    """

    texts: Callable[[Any], Sequence[str]] = lambda observation: (text_of(observation),)
    thread: Callable[[Any], str] = lambda observation: ""
    act: Callable[[Any, Any], str] = act_of
    acts: str | None = None
    cue: Callable[[Any], str] = text_of
    writes: Callable[[Any], bool] = may_write


def _parted(observation: Any) -> tuple[str, list[str]]:
    """Who a shift's text is about, and its sentences; each line of a document is one too."""
    text = text_of(observation)
    head = _HEAD.match(text)
    body = text[head.end() :] if head else text
    return (head["name"] if head else ""), [part for part in _SENTENCE.split(body) if part]


def _asked(observation: Any) -> str:
    """Who, and what is asked, not what he says beside it; and between which values the choice is."""
    name, parts = _parted(observation)
    own = [part for part in parts if not part.startswith(f"{name}:")] or parts
    offered = dict.fromkeys(value for values in own_values(candidates_of(observation)) for value in values)
    said = [*own, *(f'"{value}"' for value in offered)]
    return " ".join([f"{name}:", *said] if name else said)


def _compact(observation: Any, action: Any) -> str:
    """A call as its tool and values."""
    text = act_of(observation, action)
    try:
        call = json.loads(text)
        return " ".join(map(str, (call["tool"], *call["args"].values())))
    except (ValueError, TypeError, KeyError, AttributeError):
        return text


SHIFT = Reading(
    texts=lambda observation: _parted(observation)[1],
    thread=lambda observation: _parted(observation)[0],
    act=_compact,
    acts=CALLS,
    cue=_asked,
)
"""Of a shift: each sentence is a step, in an episode of whom it is about. See docs/decisions/0011-rollouts.md."""


def is_shift(env_id: str) -> bool:
    """Of an id, or module:id."""
    return env_id.rpartition(":")[2].startswith("agentmem/Shift")


def may_tell(env_id: str) -> bool:
    """Whether the environment of an id tells the right call if it is made privileged."""
    return is_shift(env_id) or env_id.rpartition(":")[2].startswith("agentmem/Workflow")


def reading_of(env_id: str) -> Reading:
    """The reading that suits an environment."""
    return SHIFT if is_shift(env_id) else Reading()
