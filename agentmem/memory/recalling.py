"""One recall: from a caller's words to a planning context, with its arguments checked.

Knows the core and the pure recall; writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import View, runs_of, step_position, without_states
from agentmem.memory.checks import check_cue, check_several
from agentmem.memory.core import Core, counted
from agentmem.recall import Line, Match, Query, Weights, concerns, rank, recall, render, sections
from agentmem.records import TIME_LIMIT, brief, check_flag
from agentmem.remembered import of_texts
from agentmem.telemetry import traced
from agentmem.tokens import check_budget, count, truncate
from agentmem.trust import SHARE
from agentmem.types import CountTokens, Hit, Layer, Namespace, PlanningContext, Record

usual = of_texts(count)
AsOf = str | datetime | None
Told = list[tuple[int | Sequence[int], str]]
LAYERS = tuple(Layer)
Sealed = int | Sequence[int] | None
"""The log position up to which namespaces count as crystallized, or that of each; None for all that is."""


def run(
    core: Core, namespaces: Sequence[Namespace], query: Query, as_of: AsOf, sealed: Sealed = None
) -> PlanningContext:
    """The planning context of a query over these namespaces, as they are at one moment. With `sealed`, recall gives
    what it gave then, though the log was crystallized further since.
    """
    query = replace(query, cue=core.masked(namespaces[0], query.cue))
    with traced("search_memory", core.store.path, **_told(namespaces, query)) as tell:
        context, _ = explained(core, namespaces, query, as_of, sealed)
        hits = context.hits
        tell(count=len(hits), tokens=context.tokens, records=lambda: [(hit.id, hit.text, hit.score) for hit in hits])
    return context


def _told(namespaces: Sequence[Namespace], query: Query) -> dict[str, object]:
    """What of a query a trace tells."""
    about = {"episode": query.current or query.episode, "agent": query.agent, "budget": query.budget}
    return {"namespace": namespaces[0], "query": query.cue, **about}


def explained(
    core: Core, namespaces: Sequence[Namespace], query: Query, as_of: AsOf, sealed: Sealed = None, most: int = 0
) -> tuple[PlanningContext, list[Hit]]:
    """What `run` gives, and the best `most` of what it chose from, whole, best first."""
    query = replace(query, thinned=core.sparing, untrusted=_share(core, query))
    while True:
        generations = {namespace: core.store.version(namespace).generation for namespace in namespaces}
        try:
            seen = look(core, namespaces, query.cue, as_of, sealed)
            lines = recall(query, seen.view, seen.match, seen.similarity, core.read)
            best = rank(query, seen.view, seen.match, seen.similarity, core.read) if lines and most else ()
            ranked = _with_ages(seen.view, list(islice(best, most))) if most else []
        except NotFoundError:
            if core.unchanged(generations):
                raise
        else:
            if core.unchanged(generations):
                return _context(core, namespaces, query, seen, lines), ranked
        with core.lock:
            core.forget()  # a step was erased while it was read


def _share(core: Core, query: Query) -> float:
    """Of a budget, what untrusted text may take: as the query has it, else as the memory was opened."""
    return core.untrusted if query.untrusted is None else query.untrusted


def ranked(
    core: Core, namespaces: Sequence[Namespace], query: Query, as_of: AsOf, matching: bool = True
) -> Iterator[Hit]:
    """What `run` would choose from, best first; steps that are erased while one looks are left out."""
    query = replace(query, thinned=core.sparing, cue=core.masked(namespaces[0], query.cue))
    stated = bool(query.weights.state or query.weights.date)
    seen = look(core, namespaces, query.cue, as_of, stated=stated)
    read = core.read if query.layers else core.read_what_is_there
    return rank(query, seen.view, seen.match, seen.similarity, read, matching)


class Seen(NamedTuple):
    """What a recall is computed from."""

    view: View
    match: Match
    similarity: np.ndarray | None
    version: str


def look(
    core: Core, namespaces: Sequence[Namespace], cue: str, as_of: AsOf, sealed: Sealed = None, stated: bool = True
) -> Seen:
    """What a recall of a cue is computed from, as of one moment. stated: whether states count; else there are none."""
    with core.lock:
        position = position_of(core, namespaces, as_of)
        read = stated and concerns(cue)
        for namespace in namespaces if read else ():
            core.read_ahead(namespace, position)
        upto = _upto(namespaces, position, sealed)
        view = core.recalled_view(namespaces, position, upto)
        if read:
            view.stated()  # now: it reads what grows
        if not stated:
            view = without_states(view)
        match = core.match(cue, namespaces, view)
        similarity = core.similarity(cue, namespaces, view, upto)
        return Seen(view, match, similarity, core.version(namespaces, position, upto))


def _upto(namespaces: Sequence[Namespace], position: int, sealed: Sealed) -> list[int]:
    """How far each namespace counts as crystallized as of a log position."""
    each = sealed if isinstance(sealed, Sequence) else [position if sealed is None else sealed] * len(namespaces)
    return [min(position, upto) for upto in each]


class Moment(NamedTuple):
    """What a store version says: the log position that recall saw, and of each namespace how far it was crystallized,
    how many codes there were, its generation, and what tells the steps that had expired, 0 for none.
    """

    position: int
    sealed: tuple[int, ...]
    codes: tuple[int, ...]
    generations: tuple[int, ...]
    expiries: tuple[int, ...]


def moment_of(store_version: str) -> Moment:
    """See `Core.version`."""
    position, _, parts = store_version.partition(":")
    each = [(*map(int, part.split(".")), 0)[:4] for part in parts.split("+")]
    return Moment(int(position), *zip(*each, strict=True))


def _context(
    core: Core, namespaces: Sequence[Namespace], query: Query, seen: Seen, lines: Sequence[Line]
) -> PlanningContext:
    goal = query.goal if lines else None
    text = render(lines, goal)
    context = PlanningContext(
        text=text,
        sections=dict(sections(lines, goal)),
        tokens=query.count(text) if text else 0,
        budget=query.budget,
        hits=tuple(_with_ages(seen.view, [line.hit for line in lines])),
        store_version=seen.version,
    )
    context._encode = core.encoder.encode if core.encoder is not None else None
    context._asked = _asked(core, namespaces, query, seen.view)
    return context


def _with_ages(view: View, hits: Sequence[Hit]) -> list[Hit]:
    """Hits with the tokens logged since each."""
    at, known = view.rows(np.array([hit.position for hit in hits], np.int64))
    ages = np.where(known, view.age[at] if len(view.age) else 0, 0).tolist()
    return [hit.model_copy(update={"age": age}) for hit, age in zip(hits, ages, strict=True)]


def _asked(core: Core, namespaces: Sequence[Namespace], query: Query, view: View) -> dict[str, Any]:
    """How a query was put, beside cue and budget, as JSON; only what is not as `Memory.recall` has it by itself.

    current, goal: that the episode and its goal led it. without: [first, last] log positions of runs of steps.
    """
    said = {
        "agent": query.agent,
        "counter": "own" if query.own else None,
        "current": query.current is not None,
        "encoder": core.code_id,
        "episode": query.episode,
        "goal": query.goal is not None,
        "layers": None if query.layers is None else list(query.layers),
        "marks": query.marks,
        "read": [list(namespace) for namespace in namespaces[1:]],
        "untrusted": query.untrusted,
        "without": runs_of(query.without, view.position),
    }
    usual = {"layers": None, "untrusted": SHARE}
    return {name: value for name, value in said.items() if (value != usual[name] if name in usual else value)}


def query_of(
    cue: str,
    budget: int,
    count_tokens: CountTokens | None,
    layers: Sequence[Layer | str] | None,
    episode: str | None,
    agent: str | None,
    marks: bool,
    current: str | None = None,
    goal: str | None = None,
    weights: Weights | None = None,
    untrusted: float | None = None,
) -> Query:
    """The arguments of a recall, checked."""
    check_cue(cue)
    check_budget(budget)
    if not isinstance(weights, Weights | None):
        raise InvalidInputError(f"weights {brief(weights)} must be agentmem.recall.Weights, or None")
    counter = counted(usual if count_tokens is None else count_tokens)
    return Query(
        cue=cue,
        budget=budget,
        count=counter,
        layers=layers_of(layers),
        episode=episode,
        agent=agent,
        marks=check_flag("marks", marks),
        current=current,
        goal=truncate(goal, budget // 4, counter) if goal else None,
        weights=weights or Weights(),
        own=count_tokens is not None,
        untrusted=untrusted,
    )


def position_of(core: Core, namespaces: Sequence[Namespace], as_of: AsOf) -> int:
    """The log position that `as_of` means: a step's, or the last before anything later than it.

    Brings the indexes up to the end of the log. Hold `core.lock`.
    """
    if as_of is None:
        return max((core.index(namespace).head for namespace in namespaces), default=0)
    if isinstance(as_of, str) and (position := step_position(as_of)) >= 0:
        end = core.store.head().position
        for namespace in namespaces:
            core.index(namespace)
        if not 0 < position <= end:
            raise NotFoundError(f"as_of {brief(as_of)} is no step of this memory; give the id of one, or a time")
        return position
    moment = _moment(as_of)
    return max((core.logged_until(namespace, moment) for namespace in namespaces), default=0)


def _moment(as_of: str | datetime) -> float:
    if isinstance(as_of, str):
        try:
            as_of = datetime.fromisoformat(as_of[:TIME_LIMIT])
        except ValueError:
            raise InvalidInputError(f"as_of {brief(as_of)} is neither a step id nor an ISO time") from None
    if not isinstance(as_of, datetime):
        raise InvalidInputError(f"as_of must be a step id or a datetime, not {type(as_of).__name__}")
    return (as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)).timestamp()


def layers_of(layers: Sequence[Layer | str] | None) -> tuple[Layer, ...] | None:
    """Layers by name, checked; None for no choice."""
    if layers is None:
        return None
    if isinstance(layers, str):
        layers = [layers]
    given = list(check_several("layers", layers, "layers"))
    if not all(isinstance(layer, str) and layer in LAYERS for layer in given):
        raise InvalidInputError(f"layers {brief(given)}: use some of {', '.join(Layer)}")
    return tuple(dict.fromkeys(map(Layer, given)))


_PART = r"\d{1,11}\.\d{1,15}\.\d{1,15}(\.\d{1,15})?"
_VERSION = rf"^\d{{1,11}}:{_PART}(\+{_PART})*$"


class Asked(BaseModel):
    """`asked` of a recall record: see `_asked`."""

    model_config = ConfigDict(strict=True)
    agent: str | None = None
    counter: str | None = None
    current: bool = False
    encoder: str | None = None
    episode: str | None = None
    goal: bool = False
    layers: list[Literal["unit", "cluster", "atom"]] | None = None
    marks: bool = False
    read: list[list[str]] = []
    untrusted: float = Field(default=SHARE, ge=0, le=1)
    without: list[tuple[int, int]] = []


class Noted(BaseModel):
    """The body of a recall record from which the recall can be made again; an imported one may say less: `shown_by`."""

    model_config = ConfigDict(strict=True)
    budget: int = Field(ge=0, lt=1 << 62)
    hits: list[str]
    tokens: int
    store_version: str = Field(pattern=_VERSION)
    sha256: str
    asked: Asked = Asked()


class Shown(NamedTuple):
    """What a recall showed: ids of hits, log positions of the steps among them. None: the record does not say."""

    hits: list[str]
    steps: list[int]
    tokens: int | None
    budget: int | None


def shown_by(record: Record) -> Shown:
    """What a recall record says was shown, whoever wrote it."""
    body = json.loads(record.body)
    tokens, budget = (value if type(value) is int else None for value in map(body.get, ("tokens", "budget")))
    return Shown(body.get("hits", []), body.get("steps", []), tokens, budget)


def told(core: Core, namespaces: Sequence[Namespace], hits: Sequence[str]) -> Told:
    """(log position, or those that a crystal quotes, text) of what is still there in these namespaces, by ids."""
    crystals = [hit for hit in hits if step_position(hit) < 0]
    with core.lock:
        held = ((hit, core.holding(one, hit)) for hit in crystals for one in namespaces)
        indexes = [(hit, index) for hit, index in held if index is not None]
        found = [index.crystal(hit) for hit, index in indexes]
    texts: Told = [(sorted({span.position for span in crystal.spans}), crystal.text) for crystal in found]
    for position in filter(lambda position: position > 0, map(step_position, hits)):
        with suppress(NotFoundError):  # erased since
            texts += [(one.position, one.text) for one in core.store.read([position]) if one.namespace in namespaces]
    return texts


def told_by(core: Core, namespaces: Sequence[Namespace], hits: Sequence[Hit]) -> Told:
    """`told`, of hits as they were shown."""
    ids = [hit.id for hit in hits if hit.layer != "step"]
    crystals = told(core, namespaces, ids) if ids else []
    return [*crystals, *((hit.position, hit.text) for hit in hits if hit.layer == "step")]


def steps_of_hits(hits: Sequence[Hit]) -> list[int]:
    """Log positions of the steps among hits."""
    return [hit.position for hit in hits if hit.layer == "step"]
