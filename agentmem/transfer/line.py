"""What a line of an export may hold, and in which shape. Knows no store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.index import hold_of, rules_of
from agentmem.records import brief, check_namespace
from agentmem.redact import check_kind
from agentmem.types import RECORD_TYPES, Record, RecordType

EVENTS = tuple(name for name in RECORD_TYPES if name != "step")
POSITIONS = ("steps", "recalled_from")
"""Fields that are lists of log positions in a record, and of line ids in a line."""
KEYWORDS = ("actor", "at", "data", "blobs", "reward", "terminated", "truncated", "key", "reply_to", "subjects", "trust")
EVENT_FIELDS = ("type", "namespace", "episode", "actor", "text", "logged_at")
_BAR = re.compile("[0-9a-f]{8,128}:[0-9a-f]{32}")
IDS = (*POSITIONS, "hits")
MARKED = ("recalled", "recalled_from", "recalled_trust", "lost", "masked")
STEP_FIELDS = tuple(dict.fromkeys(("id", *EVENT_FIELDS, "kind", *KEYWORDS, *MARKED)))


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def check_fields(line: Mapping[str, Any]) -> None:
    """InvalidInputError for a field that no step has, or a missing text."""
    for name in line:
        if name not in STEP_FIELDS:
            close = get_close_matches(name, STEP_FIELDS, 1)
            meant = f"did you mean {close[0]!r}?" if close else f"the fields of a step are {', '.join(STEP_FIELDS)}"
            raise InvalidInputError(f"field {brief(name)} is unknown; {meant}")
    if "text" not in line:
        raise InvalidInputError("the line has no text; a step's text may be empty but must be there")
    check_shapes(line)


def check_event(type: RecordType, line: Mapping[str, Any]) -> None:
    """InvalidInputError for an event that lacks what its type needs, or has it in another shape."""
    check_shapes(line)
    if type in ("forget", "restore", "pin", "recall", "consent") and "steps" not in line:
        raise InvalidInputError(f"a {type} has no steps; give a list of step ids")
    if type in ("begin", "end", "recall") and not isinstance(line.get("episode"), str):
        raise InvalidInputError(f"a {type} has the episode {brief(line.get('episode'))}; give its id")
    if type == "recall" and "asked" in line:
        if not isinstance(line["asked"], dict):
            raise InvalidInputError(f"asked {brief(line['asked'])} is not an object that says how a recall was put")
        check_shapes({"hits": line["asked"].get("without", [])})
        for namespace in _listed("read", line["asked"].get("read", [])):
            check_namespace(namespace)
    if type in ("erased", "consent") and not all(map(_is_bar, _listed("bars", line.get("bars")))):
        raise InvalidInputError(f"bars {brief(line['bars'])} of {type} are not subjects as an export writes them")
    if type == "consent" and not isinstance(line.get("given"), bool):
        raise InvalidInputError(f"a consent has given {brief(line.get('given'))}; it is true or false")
    if type in ("rules", "hold"):
        _check_kept(type, line)
    for name in ("goal", "agent", "text", "actor", "note", "reason"):
        if not isinstance(line.get(name, ""), str):
            raise InvalidInputError(f"{name} {brief(line[name])} is not a str")


def _check_kept(type: RecordType, line: Mapping[str, Any]) -> None:
    """InvalidInputError for rules or a hold that cannot be read."""
    try:
        if type == "rules":
            rules_of(line)
        elif not isinstance(line["held"], bool) or not isinstance(line["name"], str):
            raise ValueError("name is a str, and held is true or false")
        else:
            hold_of(Record("hold", ()), {**line, "steps": ()})
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidInputError(f"{type} {brief(line)} cannot be read ({error}); give it as an export does") from None


def _is_bar(value: Any) -> bool:
    return isinstance(value, str) and _BAR.fullmatch(value) is not None


def _listed(what: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInputError(f"{what} {brief(value)} is not a list")
    return value


def check_shapes(line: Mapping[str, Any]) -> None:
    """InvalidInputError for a field of another shape than an export gives it."""
    for name in ("namespace", "subjects", "recalled", *IDS):
        if not isinstance(line.get(name, []), list):
            raise InvalidInputError(f"{name} {brief(line[name])} is not a list")
    for name in IDS:
        if not all(isinstance(one, str) for one in line.get(name, ())):
            raise InvalidInputError(f"{name} {brief(line[name])} are not all ids, each a str")
    for name in ("reply_to", "as_of"):
        if not isinstance(line.get(name), str | None):
            raise InvalidInputError(f"{name} {brief(line[name])} is not a str")
    if not isinstance(line.get("blobs", {}), dict):
        raise InvalidInputError(f"blobs {brief(line['blobs'])} is not an object of names and base64")
    for span in line.get("recalled", ()):
        if not _is_span(span, line.get("text")):
            raise InvalidInputError(
                f"recalled has {brief(span)}; give [start, end] with 0 <= start < end <= text's length"
            )
    if not _is_share(line.get("lost", 0)):
        raise InvalidInputError(f"lost {brief(line['lost'])} is no share of the text, from 0 to 1")

    masked = line.get("masked", {})
    if not isinstance(masked, dict) or not all(type(number) is int and number > 0 for number in masked.values()):
        raise InvalidInputError(f"masked {brief(masked)} is not an object of kinds and how many placeholders there are")
    for kind in masked:
        check_kind(kind)


def _is_span(span: Any, text: Any) -> bool:
    """Whether it is [start, end) of a text."""
    if not isinstance(span, list) or [type(side) for side in span] != [int, int]:
        return False
    return not isinstance(text, str) or 0 <= span[0] < span[1] <= len(text)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
