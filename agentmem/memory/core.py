"""What all views of one open memory share: its store, its encoder, and an index of each namespace read so far.

Knows how to bring an index up to date and how to ask it; knows nothing of episodes or of what callers see.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from agentmem.codes import Coder, coder_id, similarity
from agentmem.encode import CheckedEncoder
from agentmem.index import STEP, Dense, Index, View, join
from agentmem.recall import Match, cue_terms
from agentmem.types import PASSAGE_BITS, CountTokens, Namespace, Record, Store

TAIL = 20_000  # steps not in a unit yet that are encoded at recall, newest first


@dataclass
class Core:
    """Shared by the views that `scoped` makes; `lock` guards the indexes."""

    store: Store
    encoder: CheckedEncoder | None
    clock: Callable[[], float]
    read_only: bool = False
    archived: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    _indexes: dict[Namespace, Index] = field(default_factory=dict)
    _coder: Coder | None = None

    # ---- indexes -------------------------------------------------------------------------------------------------

    def index(self, namespace: Namespace) -> Index:
        """The index of a namespace, brought up to the end of the log. Hold `lock`."""
        generation = self.store.generation(namespace)
        index = self._indexes.get(namespace)
        if index is None or index.generation != generation:
            index = self._indexes[namespace] = Index(namespace, generation)
        columns = self.store.columns(namespace, after=index.head)
        events = columns.position[columns.type != STEP]
        if len(columns.position):
            index.extend(columns, self.store.read(events.tolist()), self.store.names())
        index.add_crystals(
            self.store.crystals(namespace, after=index.serial),
            self.store.retirements(namespace, after=index.retired_serial),
        )
        if self.code_id is not None:
            index.add_codes(self.store.codes(namespace, self.code_id, after=index.codes_serial))
        return index

    def forget(self, namespace: Namespace) -> None:
        """Drop what is cached of a namespace. Hold `lock`."""
        self._indexes.pop(namespace, None)

    def view(self, namespaces: Sequence[Namespace], as_of: int) -> View:
        """The steps of these namespaces as of a log position. Hold `lock`."""
        views = [self.index(namespace).view(as_of) for namespace in namespaces]
        return views[0] if len(views) == 1 else join(views)

    # ---- lexical and dense ---------------------------------------------------------------------------------------

    def match(self, cue: str, namespaces: Sequence[Namespace], view: View) -> Match:
        """Where the cue's stems stand in a view."""
        terms = cue_terms(cue)
        rows: dict[str, list[np.ndarray]] = {term: [] for term in terms}
        for namespace in namespaces:
            for term, found in self.store.postings(namespace, terms).items():
                rows[term].append(found)
        counts = {}
        for term, parts in rows.items():
            if parts:
                positions, passages = np.unique(np.concatenate(parts) >> PASSAGE_BITS, return_counts=True)
                at, known = view.rows(positions)
                if known.any():
                    counts[term] = (at[known], passages[known].astype(float))
        return Match(terms, counts)

    @property
    def coder(self) -> Coder:
        """Makes the codes of this memory's encoder."""
        if self._coder is None:
            self._coder = Coder.of(self.encoder)
        return self._coder

    @property
    def code_id(self) -> str | None:
        """What the codes of this memory's encoder are stored under; None without one."""
        return coder_id(self.encoder.id) if self.encoder is not None else None

    def similarity(self, cue: str, namespaces: Sequence[Namespace], view: View) -> np.ndarray | None:
        """Estimated cosine of the cue to each step of a view, float [n]; None without an encoder. Hold `lock`."""
        if self.encoder is None or not len(view.position):
            return None
        code = self.coder.encode(self.encoder.encode([cue]))[0]
        best = np.full(len(view.position), -1.0)
        for namespace in namespaces:
            self._sealed_similarity(self._indexes[namespace].dense(), code, view, best)
        self._tail_similarity(namespaces, code, view, best)
        return np.asarray(np.maximum(best, 0.0))

    def _sealed_similarity(self, dense: Dense, code: np.ndarray, view: View, best: np.ndarray) -> None:
        if not len(dense.rows):
            return
        alike = similarity(code, dense.rows)
        at, known = view.rows(dense.position)
        known &= (dense.born <= view.as_of)[dense.owner]
        np.maximum.at(best, at[known], alike[dense.owner[known]])

    def _tail_similarity(self, namespaces: Sequence[Namespace], code: np.ndarray, view: View, best: np.ndarray) -> None:
        rows = np.flatnonzero(best <= -1.0)[-TAIL:]
        if not len(rows):
            return
        tail = self._indexes[namespaces[0]].tail_codes
        positions = view.position[rows].tolist()
        missing = [position for position in positions if position not in tail]
        if missing:
            assert self.encoder is not None
            codes = self.coder.encode(self.encoder.encode([record.text for record in self.store.read(missing)]))
            tail.update(zip(missing, codes, strict=True))
        best[rows] = similarity(code, np.stack([tail[position] for position in positions]))

    # ---- small things --------------------------------------------------------------------------------------------

    def read(self, positions: Sequence[int]) -> list[Record]:
        return self.store.read(positions)

    def version(self, namespaces: Sequence[Namespace], as_of: int) -> str:
        """What a recall as of a position is a function of: the log up to it, what is crystallized, and what was
        erased.
        """
        marks = [min(self.store.watermark(namespace).position, as_of) for namespace in namespaces]
        generations = sum(self.store.generation(namespace) for namespace in namespaces)
        return f"{as_of}.{max(marks, default=0)}.{generations}"


def counted(count: CountTokens) -> CountTokens:
    """A caller's counter whose answers are remembered for the length of one recall."""
    known: dict[str, int] = {}

    def counting(text: str) -> int:
        if text not in known:
            known[text] = count(text)
        return known[text]

    return counting
