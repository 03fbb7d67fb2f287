"""What all views of one open memory share: its store, its encoder, and an index of each namespace read so far.

Knows how to bring an index up to date and how to ask it; knows nothing of episodes or of what callers see.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from agentmem import remembered
from agentmem.codes import Coder, coder_id, similarity
from agentmem.crystallize import runs_of
from agentmem.encode import CheckedEncoder
from agentmem.errors import DamagedError, EncoderError, InvalidInputError, NotFoundError
from agentmem.index import STEP, Index, View, join
from agentmem.memory.checks import nonsense, tokens_counted
from agentmem.memory.coding import codes_of
from agentmem.memory.expired import hold_out
from agentmem.memory.held import Held
from agentmem.memory.matching import Pairs, counted_rows
from agentmem.memory.redacting import SETTING, Admission
from agentmem.memory.rollback import Rollbacks
from agentmem.memory.tail import Tail
from agentmem.recall import Match, cue_terms
from agentmem.records import brief
from agentmem.sources import source_of
from agentmem.states import Runs
from agentmem.trust import SHARE
from agentmem.types import Codes, Columns, CountTokens, Namespace, Record, Store

SLICE = 500  # records that are read ahead at once
UNITS = 200  # units that are encoded at once
TAIL = 20_000  # steps not in a unit yet that are encoded at recall, newest first


@dataclass
class Core:
    """Shared by the views that `scoped` makes; `lock` guards the indexes."""

    store: Store
    encoder: CheckedEncoder | None
    clock: Callable[[], float]
    read_only: bool = False
    untrusted: float = SHARE
    admission: Admission = field(default_factory=Admission)
    archived: int = 0  # the position up to which the log was archived, as far as this process knows
    crystallizing: threading.RLock = field(default_factory=threading.RLock)  # taken before `lock`
    lock: threading.RLock = field(default_factory=threading.RLock)
    _indexes: dict[Namespace, Index] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _tail: Tail = field(default_factory=lambda: Tail(2 * TAIL))
    _held: Held = field(default_factory=Held)
    _pairs: dict[Namespace, Pairs] = field(default_factory=dict)
    _rollbacks: Rollbacks = field(default_factory=Rollbacks)
    _coder: Coder | None = None

    # ---- indexes -------------------------------------------------------------------------------------------------

    def index(self, namespace: Namespace) -> Index:
        """The index of a namespace, brought up to the end of the log and of one moment. Hold `lock`.

        NotFoundError where an event is missing that nobody erased.
        """
        version = self.store.version(namespace)
        while True:
            index = self._indexes.get(namespace)
            if index is not None and index.generation != version.generation:
                self.forget()
                index = None
            if index is None:
                index = self._indexes[namespace] = self._begin_index(namespace, version.generation)
            try:
                self._extend(index, version.watermark)
                hold_out(self.store, index)
            except NotFoundError:
                if self.store.version(namespace) == version:  # else it was erased in between
                    self.forget()
                    raise
            before, version = version, self.store.version(namespace)
            if version == before:
                index.watermark = version.watermark
                return index

    def held(self, namespace: Namespace) -> Index:
        """The index of a namespace as it stands; brought up to the end of the log if there is none. Hold `lock`."""
        return self._indexes.get(namespace) or self.index(namespace)

    def recalled(self, namespace: Namespace, as_of: int) -> Index:
        """The index that a recall as of a log position reads: without what is rolled back as of then. Hold `lock`."""
        index = self.held(namespace)
        if not (gone := index.rolled_back(as_of)):
            return index
        apart = self._rollbacks.index(self, index, gone)
        apart.expire(index.expired)
        return apart

    def holding(self, namespace: Namespace, crystal_id: str) -> Index | None:
        """The index that has a crystal, which may be of a recall without what is rolled back. Hold `lock`."""
        there = [self.index(namespace), *self._rollbacks.of(namespace)]
        return next((index for index in there if crystal_id in index.by_id), None)

    def _begin_index(self, namespace: Namespace, generation: int) -> Index:
        return Index(namespace, generation, self._names, lambda after: self.store.crystals(namespace, after))

    def _extend(self, index: Index, watermark: int) -> None:
        """Retirements are read before crystals, and these before the log, so that what is spoken of is known."""
        retired = self.store.retirements(index.namespace, after=index.retired_serial)
        outlines = self.store.outlines(index.namespace, after=index.serial)
        states = self.store.states(index.namespace, after=index.states_serial)
        columns = self.store.columns(index.namespace, after=index.head)
        if len(columns.position):
            self._name(columns)
            index.extend(columns, self.store.read(columns.position[columns.type != STEP].tolist()))
        index.add_crystals(outlines, retired)
        index.add_states(states, watermark)
        if self.code_id is not None and not self.sparing:
            index.add_codes(self.store.codes(index.namespace, self.code_id, after=index.codes_serial))

    def _name(self, columns: Columns) -> None:
        """Learn the names that columns speak of."""
        known = max(self._names, default=0)
        if max(columns.episode.max(), columns.actor.max()) > known:
            self._names.update(self.store.names(after=known))
        if wrong := nonsense(columns, max(self._names, default=0)):
            raise DamagedError(
                f"{self.store.path}: the columns of the log make no sense ({wrong}); verify() the memory"
            )

    def logged_until(self, namespace: Namespace, moment: float) -> int:
        """The last position of a namespace before anything that was logged after a time; 0 for none. Hold `lock`.

        What is logged later was not known then, whatever a clock that was set back, or an import, says of it.
        """
        index = self.index(namespace)
        while len(index.latest) < len(position := index.positions()):
            after = int(position[len(index.latest) - 1]) if len(index.latest) else 0
            times = self.store.times(namespace, after)[: len(position) - len(index.latest)]
            index = self.index(namespace)
            if index.generation == self.store.version(namespace).generation:
                index.latest = np.maximum.accumulate(np.concatenate([index.latest, times]))
        before = int(np.searchsorted(index.latest, moment, "right"))
        return int(position[before - 1]) if before else 0

    def unchanged(self, generations: Mapping[Namespace, int]) -> bool:
        """Whether nothing was erased or rewritten since these generations."""
        return all(self.store.version(namespace).generation == known for namespace, known in generations.items())

    def forget(self, erased: Sequence[int] | None = None) -> None:
        """Drop what is cached of the log: something was rewritten, or erased, and nothing but the records at these log
        positions, if they are given. Hold `lock`."""
        self._indexes.clear()
        self._tail.clear() if erased is None else self._tail.drop(erased)
        self._held.clear()
        self._pairs.clear()
        self._rollbacks.clear()
        self._names = {}
        remembered.forget()

    def read_ahead(self, namespace: Namespace, as_of: int) -> None:
        """Read the states up to a log position that are not crystallized yet, if they are not too many. Hold `lock`."""
        index = self.recalled(namespace, as_of)
        while len(unread := index.unread(as_of)):
            if index.runs is None and not self._begin_runs(index):
                self.index(namespace)  # crystallized further meanwhile
                index = self.recalled(namespace, as_of)
                continue
            runs, rows = Runs(index.runs, self.sparing), unread[:SLICE]  # a copy: what is interrupted has read nothing
            steps = index.columns.position[rows[index.columns.type[rows] == STEP]].tolist()
            found = [state for step in self.read(steps) for state in runs.read(step, source_of(step))]
            index.read_ahead(found, int(index.columns.position[rows[-1]]), runs.to_state())

    def _begin_runs(self, index: Index) -> bool:
        """Take up what states depend on from where the log is crystallized; False if it is so further by now."""
        mark = self.store.watermark(index.namespace)
        index.runs = runs_of(zlib.decompress(mark.state)) if mark.state else {}
        return mark.position == index.sealed_upto

    @cached_property
    def sparing(self) -> bool:
        """Whether every byte counts."""
        return self.store.setting("retain") == "crystals"

    @cached_property
    def keeps_accesses(self) -> bool:
        """Whether recalls and reads are noted."""
        return self.store.setting("access_log") == "True"

    def view(self, namespaces: Sequence[Namespace], as_of: int) -> View:
        """The steps of these namespaces as of a log position. Hold `lock`."""
        for namespace in namespaces:
            self.index(namespace)
        return self.held_view(namespaces, as_of)

    def held_view(self, namespaces: Sequence[Namespace], as_of: int, sealed: Sequence[int] | None = None) -> View:
        """`view`, of the indexes as they stand; sealed: of each namespace, as in `Index.view`. Hold `lock`."""
        each = sealed or [as_of] * len(namespaces)
        return _joined(
            [self.held(namespace).view(as_of, upto) for namespace, upto in zip(namespaces, each, strict=True)]
        )

    def recalled_view(self, namespaces: Sequence[Namespace], as_of: int, sealed: Sequence[int]) -> View:
        """`held_view` without what is rolled back. Hold `lock`."""
        indexes = [self.recalled(namespace, as_of) for namespace in namespaces]
        return _joined([index.view(as_of, upto) for index, upto in zip(indexes, sealed, strict=True)])

    # ---- lexical and dense ---------------------------------------------------------------------------------------

    def match(self, cue: str, namespaces: Sequence[Namespace], view: View) -> Match:
        """Where the cue's stems stand in a view."""
        terms = cue_terms(cue)
        rows: dict[str, list[np.ndarray]] = {term: [] for term in terms}
        for namespace in namespaces:
            for term, found in self.store.postings(namespace, terms).items():
                rows[term].append(found)
        return Match(terms, counted_rows({term: parts for term, parts in rows.items() if parts}, view))

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

    def similarity(
        self, cue: str, namespaces: Sequence[Namespace], view: View, sealed: Sequence[int]
    ) -> np.ndarray | None:
        """Estimated cosine of the cue to each step of a view, float [n]; None without an encoder. sealed: as in
        `held_view`. Hold `lock`."""
        if self.encoder is None or not len(view.position):
            return None
        code = self.coder.encode(self.encoder.encode([cue]))[0]
        best = np.full(len(view.position), -1.0)
        for namespace, upto in zip(namespaces, sealed, strict=True):
            self._sealed_similarity(namespace, code, view, upto, best)
        self._tail_similarity(code, namespaces, view, best)
        return np.asarray(np.maximum(best, 0.0))

    def codes(self, units: Sequence[tuple[str, Sequence[Record]]]) -> list[Codes]:
        """Codes of units, each an id and its steps; none without an encoder."""
        return codes_of(units, self.encoder, self.coder) if self.encoder is not None else []

    def read_codes(self, units: Sequence[tuple[str, Sequence[int]]]) -> list[Codes]:
        """Codes of units, each an id and the log positions of its steps."""
        return self.codes([(unit, self.store.read(positions)) for unit, positions in units])

    def _sealed_similarity(
        self, namespace: Namespace, code: np.ndarray, view: View, sealed: int, best: np.ndarray
    ) -> None:
        index = self.recalled(namespace, view.as_of)
        if self.sparing:  # codes are not stored
            missing = index.uncoded()
            for start in range(0, len(missing), UNITS):
                made = self.read_codes(missing[start : start + UNITS])
                index.add_codes([(0, one) for one in made])
        dense = index.dense()
        pairs = self._pairs.get(namespace)
        if pairs is None or not pairs.hold(dense, view, sealed):
            pairs = self._pairs[namespace] = Pairs.of(dense, view, sealed)
        if len(dense.rows):
            pairs.best(similarity(code, dense.rows), best)

    def _tail_similarity(self, code: np.ndarray, namespaces: Sequence[Namespace], view: View, best: np.ndarray) -> None:
        rows = np.flatnonzero(best <= -1.0)
        if len(rows) > TAIL:
            self._refuse_foreign(namespaces)
        rows = rows[-TAIL:]
        if len(rows):
            best[rows] = similarity(code, self._tail.codes(view.position[rows], self._coded))

    def _coded(self, positions: Sequence[int]) -> np.ndarray:
        assert self.encoder is not None
        return self.coder.encode(self.encoder.encode([record.text for record in self.read(positions)]))

    def _refuse_foreign(self, namespaces: Sequence[Namespace]) -> None:
        """EncoderError where codes are another encoder's: what is older than the newest TAIL would not be found."""
        for namespace in namespaces:
            others = [name for name in self.store.encoders(namespace) if name != self.code_id]
            if others and not self._indexes[namespace].coded.units:
                raise EncoderError(
                    f"the codes of namespace {namespace} are of encoder {others[0]}, not {self.code_id}; "
                    "crystallize() to encode it again, or open the memory with the encoder that it has"
                )

    # ---- small things --------------------------------------------------------------------------------------------

    def masked(self, namespace: Namespace, text: str) -> str:
        """A text, such as a cue, as a namespace would log it, and with what it refuses masked."""
        return self.admission.masked(text, self.store.inherited(SETTING, namespace))

    def read(self, positions: Sequence[int]) -> list[Record]:
        """Records for a recall, perhaps as they were read before: its index must be that of the newest generation."""
        return self._held.read(positions, self.store.read)

    def kept(self) -> list[int]:
        """Log positions of the records that are kept here to be quick."""
        return self._held.positions()

    def read_what_is_there(self, positions: Sequence[int]) -> list[Record]:
        """Those of the records at these positions that were not erased."""
        with suppress(NotFoundError):
            return self.store.read(positions)
        found = []
        for position in positions:
            with suppress(NotFoundError):
                found += self.store.read([position])
        return found

    def blob(self, namespace: Namespace, digest: str) -> bytes:
        """The content of a blob that a step of this namespace has; NotFoundError for any other."""
        with self.lock:
            mine = self.index(namespace).positions()
        if not np.isin(self.store.blob_uses(digest), mine).any():
            raise NotFoundError(f"no step of namespace {namespace} has the blob {digest[:80]!r}; see Step.blobs")
        return self.store.blob(digest)

    def version(self, namespaces: Sequence[Namespace], as_of: int, sealed: Sequence[int]) -> str:
        """What a recall as of a position is a function of: the log up to it and, of each namespace, how far it is
        crystallized, at most to `sealed`, how many codes there are, what was erased, and what has expired. Of the
        indexes as they stand; hold `lock`. `agentmem.memory.recalling.moment_of` reads it.
        """
        parts = []
        for namespace, upto in zip(namespaces, sealed, strict=True):
            index = self._indexes[namespace]
            codes = 0 if self.sparing else int((index.dense().born <= upto).sum())
            expired = f".{index.expiry}" if len(index.expired) else ""
            parts.append(f"{min(index.watermark, index.last(upto))}.{codes}.{index.generation}{expired}")
        return f"{as_of}:{'+'.join(parts)}"


def _joined(views: Sequence[View]) -> View:
    return views[0] if len(views) == 1 else join(views)


def counted(count: CountTokens) -> CountTokens:
    """A caller's counter whose answers are remembered for the length of one recall."""
    known: dict[str, int] = {}
    if not callable(count):
        raise InvalidInputError(
            f"count_tokens {brief(count)} is no function; give one from text to tokens, such as len"
        )

    def counting(text: str) -> int:
        if text not in known:
            known[text] = tokens_counted(count(text))
        return known[text]

    return counting
