"""A recall of the log made again: of the log as it was then, as far crystallized as it was then, put as it was then.

Knows recall records and how memory recalls; writes nothing. What it gives is checked against the digest of the text
that was shown; where that cannot come out the same any more, it says why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from agentmem.index import STEP, in_runs, step_id
from agentmem.memory import Memory
from agentmem.memory.core import Core
from agentmem.memory.recalling import Noted, explained, moment_of, query_of, told
from agentmem.recall import Query
from agentmem.records import digest
from agentmem.types import CountTokens, Frozen, Hit, Namespace, PlanningContext, Record

RANKED = 64
"""Candidates, best first, whose rank is told."""
MISSED = 5
"""Of the next candidates that did not get in, so many are told."""
EMPTY = PlanningContext(text="", sections={}, tokens=0, budget=0, hits=(), store_version="")


class Ranked(NamedTuple):
    """A hit and its rank among what recall chose from, the best being 1; None for one beyond RANKED, or that came along
    with another: the other half of an action and its observation, the step that says where it was.
    """

    rank: int | None
    hit: Hit


class Recall(Frozen):
    """A planning context of a frame.

    position: of the recall record; None for what was never shown, but would have been. as_of: the log position of what
    memory knew. context: recalled now, as of then. ranked: its hits. missed: the next candidates, whole, best first.
    same: whether that is what was shown; None for what was never shown. why: where it is not the same, the reason.
    recorded: of what was shown then, by the record, (id, text; None if that is not in the log any more).
    tokens, sha256: of the text that was shown. settings: how it was put beside cue and budget, see the docs.
    """

    position: int | None
    cue: str
    budget: int
    as_of: int
    context: PlanningContext
    ranked: tuple[Ranked, ...] = ()
    missed: tuple[Ranked, ...] = ()
    same: bool | None = None
    why: str = ""
    recorded: tuple[tuple[str, str | None], ...] = ()
    tokens: int = 0
    sha256: str = ""
    settings: Mapping[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Put:
    """How a recall was put, and to what: all that it needs to be made again. unread: what else it read, by its record,
    and the view must not.
    """

    namespaces: tuple[Namespace, ...]
    query: Query
    as_of: int
    sealed: tuple[int, ...] | None
    encoder: str | None
    unread: tuple[Namespace, ...] = ()


class Recaller:
    """Makes recalls of one episode again. goal: the episode's. count_tokens: in place of the default where a recall was
    counted by a counter of the caller's own.
    """

    def __init__(self, memory: Memory, count_tokens: CountTokens | None) -> None:
        self.memory, self.count_tokens = memory, count_tokens
        self._core: Core = memory._core
        self._lexical: Core | None = None

    def again(self, record: Record, goal: str | None) -> Recall:
        """What a record says was recalled."""
        try:
            noted = Noted.model_validate_json(record.body)
        except ValidationError as error:
            return _broken(record, error)
        put = self._put(record, noted, goal)
        return self._checked(record, noted, put, self.run(put))

    def run(self, put: Put) -> Recall:
        """What memory gives when it is asked like this."""
        found = Recall(position=None, cue=put.query.cue, budget=put.query.budget, as_of=put.as_of, context=EMPTY)
        if not 0 < put.as_of <= self._core.store.head().position:
            return found
        core = self._core_of(put)
        context, best = explained(core, put.namespaces, put.query, step_id(put.as_of), put.sealed, RANKED)
        place = {hit.id: rank for rank, hit in enumerate(best, 1)}
        ranked = tuple(Ranked(place.get(hit.id), hit) for hit in context.hits)
        return found.model_copy(update={"context": context, "ranked": ranked, "missed": _missed(context, best)})

    def _core_of(self, put: Put) -> Core:
        """The memory's own core, or one without an encoder where none was used then."""
        if put.encoder is not None or self._core.encoder is None:
            return self._core
        if self._lexical is None:
            self._lexical = Core(self._core.store, None, self._core.clock, True, self._core.untrusted)
        return self._lexical

    # ---- how it was put ------------------------------------------------------------------------------------------

    def put_of(self, record: Record, goal: str | None) -> Put | None:
        """How a recorded recall was put; None if the record does not say."""
        try:
            return self._put(record, Noted.model_validate_json(record.body), goal)
        except ValidationError:
            return None

    def _put(self, record: Record, noted: Noted, goal: str | None) -> Put:
        asked, moment = noted.asked, moment_of(noted.store_version)
        told = (record.namespace, *map(tuple, asked.read))
        readable = [number for number, one in enumerate(told) if one in self.memory.namespaces]
        namespaces = tuple(told[number] for number in readable)
        whole = len(moment.sealed) == len(told)
        sealed = tuple(moment.sealed[number] for number in readable) if whole else None
        query = query_of(
            record.text, noted.budget, self.count_tokens if asked.counter else None, asked.layers, asked.episode,
            asked.agent, asked.marks, current=record.episode if asked.current else None,
            goal=goal if asked.goal else None, untrusted=asked.untrusted,
        )  # fmt: skip
        query = replace(query, without=frozenset(self._steps_in(asked.without, namespaces, moment.position)))
        unread = tuple(one for one in told if one not in namespaces)
        return Put(namespaces, query, moment.position, sealed, asked.encoder, unread)

    def _steps_in(self, runs: Sequence[Sequence[int]], namespaces: Sequence[Namespace], as_of: int) -> list[int]:
        if not runs:
            return []
        found = []
        with self._core.lock:
            for namespace in namespaces:
                columns = self._core.index(namespace).columns
                found += in_runs(runs, columns.position[(columns.type == STEP) & (columns.position <= as_of)])
        return found

    # ---- whether it is the same ----------------------------------------------------------------------------------

    def _checked(self, record: Record, noted: Noted, put: Put, found: Recall) -> Recall:
        same = digest(found.context.text.encode()) == noted.sha256
        said = {
            "position": record.position,
            "same": same,
            "why": "" if same else self._why(noted, put),
            "recorded": () if same else tuple((hit, self._text_of(put, hit)) for hit in noted.hits),
            "tokens": noted.tokens,
            "sha256": noted.sha256,
            "settings": json.loads(record.body).get("asked", {}),
        }
        return found.model_copy(update=said)

    def _text_of(self, put: Put, hit: str) -> str | None:
        """What a hit says; None if it is not in the log any more."""
        return next((text for _, text in told(self._core, put.namespaces, [hit])), None)

    def _why(self, noted: Noted, put: Put) -> str:
        """Why a context is not the one that was shown, as far as that can be known."""
        store, asked, moment = self._core.store, noted.asked, moment_of(noted.store_version)
        own = self._core.code_id
        if moment.position > store.head().position:
            return "it was logged in another memory, and imported"
        if put.unread:
            return f"it also read {', '.join(map(str, put.unread))}: give the view read="
        if asked.counter and self.count_tokens is None:
            return "its tokens were counted by a counter of the caller's own: give count_tokens to replay"
        if asked.encoder is not None and asked.encoder != own:
            return f"it was recalled with encoder {asked.encoder}, and the memory is open with {own or 'none'}"
        if moment.generations != tuple(store.version(namespace).generation for namespace in put.namespaces):
            if store.head().erasures:
                return "something was erased from the memory since"
            if self._core.sparing:
                return "texts were let go of since, as retain='crystals' does"
            return "the log was written anew since, by an import or another version of agentmem"
        if moment.expiries != self._expiries(put.namespaces):
            return "steps expired since, by the rules of their namespace"
        if asked.counter:
            return "its tokens were counted by another counter than the count_tokens that was given"
        return "another version of agentmem recalled it, or it was logged in another memory and imported"

    def _expiries(self, namespaces: Sequence[Namespace]) -> tuple[int, ...]:
        with self._core.lock:
            return tuple(self._core.index(namespace).expiry for namespace in namespaces)


def _missed(context: PlanningContext, best: Sequence[Hit]) -> tuple[Ranked, ...]:
    """The best candidates that are not told, and say what no line tells already."""
    chosen = {hit.id for hit in context.hits}
    shown = {hit.text for hit in context.hits}
    left = [Ranked(rank, hit) for rank, hit in enumerate(best, 1) if hit.id not in chosen and hit.text not in shown]
    return tuple(left[:MISSED])


def _broken(record: Record, error: ValidationError) -> Recall:
    """Of a record that says too little, or something else, to be made again."""
    what = error.errors()[0]
    where = ".".join(map(str, what["loc"]))
    return Recall(
        position=record.position,
        cue=record.text,
        budget=0,
        as_of=0,
        context=EMPTY,
        same=False,
        why=f"the record of it is not as agentmem writes it ({where}: {what['msg']})",
    )
