"""Deeds: actions that change something, and what an action took or let go of."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentmem.types import Record, State

_READ = 4_000  # characters of an action that are looked through
_CHANGE = frozenset(
    "add append apply approve assign book buy cancel close commit create delete disable edit enable exchange insert "
    "install modify move patch pay post push put refund register reject remove rename replace reset return save "
    "schedule send set submit transfer update upgrade write".split()
)
_TAGGED = ("write", "edit")
_VERB = re.compile(r"(?:^|\n|`)[ \t]*(?:\[(?P<tag>\w+)\][ \t]*)?(?P<verb>[A-Za-z]\w*)")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|_")
_NOT = re.compile(
    r"\b(?:can(?:no|')t|cannot|don't|doesn't|won't|isn't|aren't|not|no|unable|fail\w*|already|error|invalid|nothing|"
    r"impossible|refuse\w*)\b",
    re.I,
)
_TAKE = re.compile(r"\A\W*(?:take|get|pick up|grab|buy|steal|acquire|collect|remove)\s+(?P<what>[^\n.]{2,60})", re.I)
_LEAVE = re.compile(
    r"\A\W*(?:drop|put|give|throw|insert|place|hang|hand|feed|offer|leave|sell|eat|drink|burn|plug|discard|toss|pour|"
    r"deposit)\s+(?P<what>[^\n.]{2,60})",
    re.I,
)
_REST = re.compile(
    r"\s+(?:from|in|into|on|onto|to|under|with|at|inside|through|over|off|down|up|out|behind|except)\b.*\Z", re.I
)
_DONE = re.compile(r"^(?P<what>[\w'’\" \-]{2,40}): (?:done|ok|taken|dropped|removed)\b", re.I | re.M)
_ARTICLE = re.compile(r"\A(?:the|an?|your|my|some)\s+", re.I)
_LISTED = re.compile(
    r"\b(?:you(?: are|['’]re)(?: now| currently)? (?:carrying|holding)|(?:your )?inventory(?= ?:|\n)|"
    r"in your inventory|empty[- ]handed)\b",
    re.I,
)
_NOTHING = re.compile(r"\A\W*(?:nothing|empty)|empty[- ]handed|(?:carrying|holding) ?(?:nothing|no)", re.I)
_LIST = 200  # characters of a list that are its value
_NO_THING = frozenset("it them all everything that this up off out one".split())


def changes(step: Record) -> Iterator[State]:
    """Calls and commands of an action whose verb changes something: `update_order(...)`, `edit 3:5`, `[write] Edit`."""
    for match in _VERB.finditer(step.text[:_READ]):
        first = _HUMP.split(match["verb"])[0].casefold()
        if first in _CHANGE if match["tag"] is None else match["tag"].casefold() in _TAGGED:
            yield State(step.position, "deed", match["verb"].casefold(), "done")


def handled(step: Record, deed: str) -> Iterator[State]:
    """What the action before an observation took or let go of, unless the observation says that it did not."""
    for pattern, value in ((_TAKE, "carried"), (_LEAVE, "left")):
        if match := pattern.search(deed):
            for what in _things(step.text, match["what"]):
                yield State(step.position, "thing", f"carrying {what}", value)


def listed(step: Record) -> Iterator[State]:
    """What an observation lists as carried, all of it."""
    if match := _LISTED.search(step.text):
        what = " ".join(step.text[match.end() : match.end() + _LIST].casefold().split())
        yield State(step.position, "inventory", "inventory", "nothing" if _NOTHING.search(match[0] + what) else what)


def _things(answer: str, asked: str) -> list[str]:
    done = [match["what"] for match in _DONE.finditer(answer)]
    if not done and not _NOT.search(answer[:200]):
        done = [_REST.sub("", part) for part in re.split(r" and |, ", asked)]
    bare = [_ARTICLE.sub("", what.strip()).casefold() for what in done]
    return [what for what in bare if what and what.split()[0] not in _NO_THING]
