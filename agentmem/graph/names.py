"""Names and texts of nodes, so that every format can hold them; what is no graph. Knows no memory."""

from __future__ import annotations

import re

import networkx

from agentmem.errors import InvalidInputError
from agentmem.records import brief

KINDS = ("step", "unit", "cluster", "atom", "recall", "episode", "entity")
TEXT, LABEL = 200, 48  # characters
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ESCAPED = re.compile("[\x00-\x1f\\\\\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def recall_id(position: int) -> str:
    """The node of the recall at a log position; like ids of steps, they sort."""
    return f"r{position:011d}"


def episode_id(name: str) -> str:
    return f"episode:{_escaped(name)}"


def entity_id(name: str) -> str:
    """One node for all writings of a name that differ in case and spaces alone, as keys of claims are written."""
    return f"entity:{_escaped(folded(name))}"


def folded(name: str) -> str:
    return " ".join(name.casefold().split()) or name


def plain(text: str, most: int = TEXT) -> str:
    """The beginning of a text, in characters that XML can hold."""
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", shortened(text[: 2 * most].replace("\r\n", "\n"), most))


def label(text: str) -> str:
    """The beginning of a text in one line."""
    return plain(" ".join(text[: 4 * TEXT].split()), LABEL)


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _escaped(name: str) -> str:
    """A name without control characters, two of which never come to be one."""
    return _ESCAPED.sub(lambda found: "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}", name)


def check_graph(graph: object) -> networkx.DiGraph:
    """InvalidInputError for what is no graph."""
    if not isinstance(graph, networkx.Graph):
        raise InvalidInputError(f"graph {brief(graph)} is no graph; make one: memory_graph(memory)")
    return graph
