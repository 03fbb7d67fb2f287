"""One recall: from a caller's words to a planning context, with its arguments checked.

Knows the core and the pure recall; writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import View, step_position
from agentmem.memory.core import Core, counted
from agentmem.recall import Line, Match, Query, Weights, concerns, rank, recall, render, sections
from agentmem.records import brief
from agentmem.telemetry import traced
from agentmem.tokens import check_budget, count, truncate
from agentmem.types import CountTokens, Hit, Layer, Namespace, PlanningContext

AsOf = str | datetime | None


def run(
    core: Core, namespaces: Sequence[Namespace], query: Query, as_of: AsOf, sealed: int | None = None
) -> PlanningContext:
    """The planning context of a query over these namespaces, as they are at one moment. sealed: as in `Index.view`;
    with it, recall gives what it gave then, though the log was crystallized further since.
    """
    with traced("search_memory", core.store.path, **_asked(namespaces, query)) as tell:
        context = _run(core, namespaces, query, as_of, sealed)
        hits = context.hits
        tell(count=len(hits), tokens=context.tokens, records=lambda: [(hit.id, hit.text, hit.score) for hit in hits])
    return context


def _asked(namespaces: Sequence[Namespace], query: Query) -> dict[str, object]:
    """What of a query a trace tells."""
    about = {"episode": query.current or query.episode, "agent": query.agent, "budget": query.budget}
    return {"namespace": namespaces[0], "query": query.cue, **about}


def _run(core: Core, namespaces: Sequence[Namespace], query: Query, as_of: AsOf, sealed: int | None) -> PlanningContext:
    query = replace(query, thinned=core.sparing)
    while True:
        generations = {namespace: core.store.version(namespace).generation for namespace in namespaces}
        try:
            seen = look(core, namespaces, query.cue, as_of, sealed)
            lines = recall(query, seen.view, seen.match, seen.similarity, core.read)
        except NotFoundError:
            if core.unchanged(generations):
                raise
            continue  # a step was erased while it was read
        if core.unchanged(generations):
            return _context(core, query, seen, lines)


def ranked(
    core: Core, namespaces: Sequence[Namespace], query: Query, as_of: AsOf, matching: bool = True
) -> Iterator[Hit]:
    """What `run` would choose from, best first; steps that are erased while one looks are left out."""
    query = replace(query, thinned=core.sparing)
    seen = look(core, namespaces, query.cue, as_of, stated=query.weights.state != 0)
    read = core.read if query.layers else core.read_what_is_there
    return rank(query, seen.view, seen.match, seen.similarity, read, matching)


class Seen(NamedTuple):
    """What a recall is computed from."""

    view: View
    match: Match
    similarity: np.ndarray | None
    version: str


def look(
    core: Core, namespaces: Sequence[Namespace], cue: str, as_of: AsOf, sealed: int | None = None, stated: bool = True
) -> Seen:
    """What a recall of a cue is computed from, as of one moment. stated: whether states count."""
    with core.lock:
        position = position_of(core, namespaces, as_of)
        stated = stated and concerns(cue)
        for namespace in namespaces if stated else ():
            core.read_ahead(namespace, position)
        view = core.held_view(namespaces, position, sealed)
        if stated:
            view.stated()  # now: it reads what grows
        match = core.match(cue, namespaces, view)
        similarity = core.similarity(cue, namespaces, view)
        return Seen(view, match, similarity, core.version(namespaces, position, view.sealed))


def _context(core: Core, query: Query, seen: Seen, lines: Sequence[Line]) -> PlanningContext:
    at, known = seen.view.rows(np.array([line.position for line in lines], np.int64))
    ages = np.where(known, seen.view.age[at] if len(seen.view.age) else 0, 0).tolist()
    goal = query.goal if lines else None
    text = render(lines, goal)
    context = PlanningContext(
        text=text,
        sections=dict(sections(lines, goal)),
        tokens=query.count(text) if text else 0,
        budget=query.budget,
        hits=tuple(line.hit.model_copy(update={"age": age}) for line, age in zip(lines, ages, strict=True)),
        store_version=seen.version,
    )
    context._encode = core.encoder.encode if core.encoder is not None else None
    return context


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
) -> Query:
    """The arguments of a recall, checked."""
    if not isinstance(cue, str):
        raise InvalidInputError(f"cue must be str, not {type(cue).__name__}; say in words what is to be recalled")
    check_budget(budget)
    if not isinstance(weights, Weights | None):
        raise InvalidInputError(f"weights {brief(weights)} must be agentmem.recall.Weights, or None")
    counter = counted(count_tokens or count)
    return Query(
        cue=cue,
        budget=budget,
        count=counter,
        layers=layers_of(layers),
        episode=episode,
        agent=agent,
        marks=marks,
        current=current,
        goal=truncate(goal, budget // 4, counter) if goal else None,
        weights=weights or Weights(),
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
            raise NotFoundError(f"as_of {as_of!r} is no step of this memory; its log ends at position {end}")
        return position
    moment = _moment(as_of)
    return max((core.logged_until(namespace, moment) for namespace in namespaces), default=0)


def _moment(as_of: str | datetime) -> float:
    if isinstance(as_of, str):
        try:
            as_of = datetime.fromisoformat(as_of)
        except ValueError:
            raise InvalidInputError(f"as_of {as_of!r} is neither a step id nor an ISO time") from None
    if not isinstance(as_of, datetime):
        raise InvalidInputError(f"as_of must be a step id or a datetime, not {type(as_of).__name__}")
    return (as_of if as_of.tzinfo else as_of.replace(tzinfo=UTC)).timestamp()


def layers_of(layers: Sequence[Layer | str] | None) -> tuple[Layer, ...] | None:
    """Layers by name, checked; None for no choice."""
    if layers is None:
        return None
    if isinstance(layers, str):
        layers = [layers]
    try:
        return tuple(dict.fromkeys(Layer(layer) for layer in layers))
    except ValueError:
        raise InvalidInputError(f"layers {list(layers)!r}: use some of {', '.join(Layer)}") from None


def told(core: Core, namespaces: Sequence[Namespace], hits: Sequence[str]) -> list[tuple[int, str]]:
    """(log position, text) of the steps and crystals with these ids that are still there."""
    with core.lock:
        indexes = [core.index(namespace) for namespace in namespaces]
        found = [(index.crystals[index.by_id[hit]]) for hit in hits for index in indexes if hit in index.by_id]
    texts = [(crystal.covers[0], crystal.text) for crystal in found]
    for position in filter(lambda position: position > 0, map(step_position, hits)):
        with suppress(NotFoundError):  # erased since
            texts += [(record.position, record.text) for record in core.read([position])]
    return texts


def steps_of_hits(hits: Sequence[Hit]) -> list[int]:
    """Log positions of the steps among hits."""
    return [hit.position for hit in hits if hit.layer == "step"]
