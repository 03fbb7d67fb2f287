"""Frames as plain JSON values, which a page or another program reads: version 1, described in docs/replay.md.

Bounded: a long text is cut and its length told, a long list is cut and the number told, so a frame of any log stays
below a few megabytes. Knows frames; reads nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentmem.records import to_json as compact
from agentmem.types import Crystal, Hit, Step

if TYPE_CHECKING:
    from agentmem.replay.between import Event, Retired
    from agentmem.replay.frames import Frame, Frames, Tail
    from agentmem.replay.recalled import Ranked, Recall

VERSION = 1
TEXT, SHORT = 20_000, 2_000
"""Characters of a step or planning context, and of anything else."""
LIST = 100
"""Members of a list."""
RECALLS = 8
FIELDS = ("id", "position", "episode", "kind", "actor", "reward", "terminated", "truncated", "reply_to", "trust")


def to_json(value: Mapping[str, Any]) -> str:
    """One line of JSON in ASCII without "<", sorted by name."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def header(frames: Frames) -> dict[str, Any]:
    """What is played."""
    episode = frames.episode
    about = {} if episode is None else {"goal": episode.goal, "agent": episode.agent, "ended": episode.ended}
    return {
        "version": VERSION,
        "namespace": list(frames.memory.namespace),
        "episode": None if episode is None else episode.id,
        **{name: text(value, SHORT) if isinstance(value, str) else value for name, value in about.items()},
        "frames": len(frames),
        "recalls": frames.recalls,
        "crystallized_upto": frames.watermark,
        "end": frames.end,
    }


def frame(made: Frame) -> dict[str, Any]:
    """See docs/replay.md."""
    return {
        "version": VERSION,
        "number": made.number,
        "step": step(made.step),
        "recalls": several(made.recalls, recall, RECALLS),
        "formed": several(made.formed, crystal),
        "retired": several(made.retired, retired),
        "crystallized": made.crystallized,
        "events": several(made.events, event),
        "erased": made.erased,
    }


def tail(last: Tail) -> dict[str, Any]:
    """What came after the last step."""
    return {
        "recalls": several(last.recalls, recall, RECALLS),
        "formed": several(last.formed, crystal),
        "retired": several(last.retired, retired),
        "events": several(last.events, event),
    }


def text(said: str, most: int = TEXT) -> dict[str, Any]:
    """A text and how many characters it has, of which it may show the first alone."""
    return {"text": said[:most], "characters": len(said)}


def several(values: Sequence[Any], each: Callable[[Any], Any], most: int = LIST) -> dict[str, Any]:
    """The first of some values, and how many there are."""
    return {"first": [each(value) for value in values[:most]], "count": len(values)}


def step(one: Step) -> dict[str, Any]:
    """A step; `data` is left out where it is longer than its limit, and its length told."""
    data = compact(one.data)
    return {
        **{name: getattr(one, name) for name in FIELDS},
        **text(one.text),
        "namespace": list(one.namespace),
        "tokens": one.tokens,
        "at": one.at.isoformat() if one.at else None,
        "logged_at": one.logged_at.isoformat(),
        "data": one.data if len(data) <= TEXT else None,
        "data_characters": len(data),
        "blobs": dict(sorted(one.blobs.items())[:LIST]),
        "subjects": several(one.subjects, str),
        "recalled": several(one.recalled, list),
        "lost": one.lost,
    }


def recall(one: Recall) -> dict[str, Any]:
    """A planning context, with what is known of what was shown."""
    return {
        "position": one.position,
        "cue": text(one.cue, SHORT),
        "budget": one.budget,
        "as_of": one.as_of,
        "settings": settings(one.settings),
        "same": one.same,
        "why": one.why[:SHORT],
        "shown": {"tokens": one.tokens, "sha256": one.sha256[:SHORT]} if one.position is not None else None,
        "recorded": several(one.recorded, recorded),
        "context": {**text(one.context.text), "tokens": one.context.tokens, "store_version": one.context.store_version},
        "hits": several(one.ranked, ranked),
        "missed": several(one.missed, ranked),
    }


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """How a recall was put; of the steps it was to leave out only how many runs they are."""
    kept = {name: value for name, value in given.items() if name != "without" and len(compact(value)) <= SHORT}
    return kept | ({"without": len(given["without"])} if "without" in given else {})


def recorded(one: tuple[str, str | None]) -> dict[str, Any]:
    """What was shown by the record: its text now, if it is in the log."""
    id, said = one
    return {"id": id[:SHORT], **({"text": None, "characters": 0} if said is None else text(said, SHORT))}


def ranked(one: Ranked) -> dict[str, Any]:
    return {"rank": one.rank, **hit(one.hit)}


def hit(one: Hit) -> dict[str, Any]:
    """What stands in a planning context, or could have."""
    return {
        "id": one.id,
        "layer": str(one.layer),
        "position": one.position,
        "score": one.score,
        "reasons": one.reasons,
        "section": one.section,
        "span": list(one.span) if one.span else None,
        "tokens": one.tokens,
        "age": one.age,
        **({"trust": one.trust} if one.trust else {}),
        **text(one.text, SHORT),
    }


def crystal(one: Crystal) -> dict[str, Any]:
    """A crystal as it was born."""
    return {
        "id": one.id,
        "layer": str(one.layer),
        "born": one.born,
        "covers": list(one.covers),
        "tokens": one.tokens,
        "source_tokens": one.source_tokens,
        "salience": one.salience,
        "key": None if one.key is None else one.key[:SHORT],
        "value": None if one.value is None else one.value[:SHORT],
        "support": one.support,
        "sources": several(one.sources, str),
        **text(one.text, SHORT),
    }


def retired(one: Retired) -> dict[str, Any]:
    """A crystal that ceased to hold, and the one that took its place."""
    return {**crystal(one.crystal), "by": one.by}


def event(one: Event) -> dict[str, Any]:
    return {"position": one.position, "what": one.what, "steps": several(one.steps, str)}
