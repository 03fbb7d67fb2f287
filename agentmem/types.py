"""The nouns and the roles. Knows no behaviour: storing, condensing and ranking live elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, PrivateAttr

Namespace = tuple[str, ...]
Kind = Literal["observation", "action", "message"]
Trust = Literal["system", "operator", "user", "tool", "web"]
Retain = Literal["keep", "crystals"]
Durability = Literal["power", "process"]
CountTokens = Callable[[str], int]
Condenser = Callable[[Sequence[str]], str]


class Layer(StrEnum):
    """How far a crystal is condensed: 10 tokens of steps to 1 of units, 5 to 1 of clusters, 2 to 1 of atoms."""

    UNIT = "unit"
    CLUSTER = "cluster"
    ATOM = "atom"


RATIOS: dict[Layer, int] = {Layer.UNIT: 10, Layer.CLUSTER: 5, Layer.ATOM: 2}


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Step(Frozen):
    """One observation, action or message, as logged.

    `id` sorts in log order; `position` is its place in the log (gaps are other records). `recalled` holds the
    [start, end) character spans that repeat text recalled earlier in the episode and are not learned again;
    `lost` says that retention dropped part of the text.
    """

    id: str
    position: int
    namespace: Namespace
    episode: str
    kind: Kind
    text: str
    actor: str | None = None
    at: datetime | None = None
    logged_at: datetime
    data: Any = None
    blobs: dict[str, str] = {}
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    key: str | None = None
    reply_to: str | None = None
    subjects: tuple[str, ...] = ()
    trust: Trust | None = None
    recalled: tuple[tuple[int, int], ...] = ()
    lost: bool = False
    tokens: int = 0


class Episode(Frozen):
    """The steps of one run. `ended` is the log position of its end, None while it is open."""

    id: str
    namespace: Namespace
    goal: str | None = None
    agent: str | None = None
    began: int
    ended: int | None = None


class Span(NamedTuple):
    """Characters [start, end) of the text of the step at a log position."""

    position: int
    start: int
    end: int


class Crystal(Frozen):
    """A condensed memory: spans of logged steps, sealed by log position.

    It exists as of t when born <= t and (retired is None or t < retired). `sources` are the ids of the crystals one
    layer below (steps, for a unit); `covers` is the first and last log position it condenses. `text` is the spans'
    text joined by the marks of `agentmem.condense`, unless a condenser of the user's own wrote it. An atom is a claim:
    `key` names what it is about, `value` what it says; a newer value of the key retires it.
    """

    id: str
    layer: Layer
    namespace: Namespace
    text: str
    spans: tuple[Span, ...]
    sources: tuple[str, ...]
    covers: tuple[int, int]
    born: int
    retired: int | None = None
    tokens: int
    source_tokens: int
    salience: float = 1.0
    key: str | None = None
    value: str | None = None
    support: int = 1


class Hit(Frozen):
    """Why something is in a planning context.

    id: a step's or crystal's. span: the part of the step's text that was used. reasons: what each signal added to the
    score. age: tokens logged in the namespace since. sources: of a crystal, one layer below.
    """

    id: str
    layer: Layer | Literal["step"]
    position: int
    score: float
    reasons: dict[str, float]
    span: tuple[int, int] | None
    section: str
    text: str
    tokens: int
    age: int = 0
    sources: tuple[str, ...] = ()


class PlanningContext(Frozen):
    """What recall returns: text within a token budget, and the same memories as vectors.

    text: rendered by the grammar of `agentmem.recall.render`. sections: name -> lines. tokens: of `text`, by the
    caller's counter. hits: in the order of the text. store_version: what this answer is a function of.
    """

    text: str
    sections: dict[str, tuple[str, ...]]
    tokens: int
    budget: int
    hits: tuple[Hit, ...]
    store_version: str
    _encode: Callable[[list[str]], np.ndarray] | None = PrivateAttr(default=None)

    @cached_property
    def vectors(self) -> np.ndarray:
        """float32 [k, d], the encoder's of each hit's text; [k, 0] without an encoder. Made when first read."""
        if self._encode is None or not self.hits:
            return np.zeros((len(self.hits), 0), np.float32)
        return self._encode([hit.text for hit in self.hits])

    @property
    def ages(self) -> np.ndarray:
        """int64 [k], tokens logged in the namespace since each hit."""
        return np.array([hit.age for hit in self.hits], np.int64)

    def __str__(self) -> str:
        return self.text


class LayerReport(Frozen):
    """One layer of a crystallize report or of stats: live crystals, their tokens, and what they were made from."""

    crystals: int
    tokens: int
    source_tokens: int

    @property
    def ratio(self) -> float:
        """Source tokens per token; infinity for an empty layer."""
        return self.source_tokens / self.tokens if self.tokens else float("inf")


class CrystallizeReport(Frozen):
    """What one `crystallize()` did: new crystals per layer, retired ones, steps sealed, seconds."""

    layers: dict[Layer, LayerReport]
    retired: int
    steps: int
    watermark: int
    seconds: float


class Verification(Frozen):
    """`ok`, and every problem found in words."""

    ok: bool
    problems: tuple[str, ...]
    checked: dict[str, int]


class Stats(Frozen):
    """What a memory holds in its namespace; bytes are of all its files, whatever the namespace.

    tokens: of all steps. layers: of the crystals that hold now, beside the whole layer below. bytes: by part, and
    "total"; "wal" is what was written last and is folded into the rest later, so bytes_per_million_tokens leaves it out.
    watermark: log position up to which the log is crystallized.
    """

    steps: int
    episodes: int
    tokens: int
    layers: dict[Layer, LayerReport]
    watermark: int
    bytes: dict[str, int]
    bytes_per_million_tokens: float
    retain: Retain
    encoder: str | None
    store_version: str


class EraseReport(Frozen):
    """What was, or with dry_run would be, erased and rebuilt."""

    dry_run: bool
    steps: int
    crystals: int
    episodes: int
    residue: tuple[str, ...] = ()


# ---- the log as the store sees it --------------------------------------------------------------------------------

RecordType = Literal["step", "begin", "end", "recall", "forget", "restore", "pin"]


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the log: a step, or an event of its episode or memory.

    `body` is canonical JSON of all that is not a column of its own. `terms` is what the lexical index gets: one string
    of space-separated stems per passage (empty for records that are not searched). `position` is 0 until appended.
    """

    type: RecordType
    namespace: Namespace
    episode: str | None = None
    kind: str | None = None
    actor: str | None = None
    text: str = ""
    body: str = "{}"
    key: str | None = None
    logged_at: float = 0.0
    tokens: int = 0
    terms: tuple[str, ...] = ()
    position: int = 0


class Columns(NamedTuple):
    """The log of one namespace column by column, in log order: all arrays int64 [n].

    type: index into RECORD_TYPES; kind: index into KINDS (-1 for none); episode and actor: store-wide name ids (0 for
    none, see Store.names); tokens: of the text; length: number of terms in the lexical index.
    """

    position: np.ndarray
    type: np.ndarray
    kind: np.ndarray
    episode: np.ndarray
    actor: np.ndarray
    tokens: np.ndarray
    length: np.ndarray


RECORD_TYPES: tuple[str, ...] = ("step", "begin", "end", "recall", "forget", "restore", "pin")
KINDS: tuple[str, ...] = ("observation", "action", "message")
PASSAGE_BITS = 20  # an index row is position << PASSAGE_BITS | passage


@dataclass(frozen=True, slots=True)
class Codes:
    """Binary vectors of one crystal: rows uint8 [k, 96], each for the log positions first[i]..last[i] (int64 [k])."""

    crystal: str
    first: np.ndarray
    last: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, slots=True)
class Batch:
    """What one stretch of crystallizing adds, published in one transaction.

    crystals: new ones. retired: crystal id -> position that retires it. codes: of encoder `encoder` (its id and seed).
    watermark: every record up to this position has been read. state: what the crystallizer needs to go on from there.
    """

    crystals: Sequence[Crystal]
    retired: Mapping[str, int]
    codes: Sequence[Codes]
    encoder: str | None
    watermark: int
    state: bytes


class Watermark(NamedTuple):
    """How far a namespace is crystallized, and the crystallizer's state there (b"" at the start)."""

    position: int
    state: bytes


class Head(NamedTuple):
    """The end of the log: last position, its chain hash, and how often something was erased."""

    position: int
    hash: bytes
    erasures: int


# ---- roles -------------------------------------------------------------------------------------------------------


@runtime_checkable
class Encoder(Protocol):
    """Texts to vectors. sentence-transformers and model2vec models are encoders as they are."""

    def encode(self, sentences: list[str]) -> Any:
        """float array [len(sentences), d]; row i depends on sentences[i] alone."""
        ...


class Policy(Protocol):
    """Chooses the next action."""

    def act(self, observation: Any, context: PlanningContext | None) -> Any: ...


class Store(Protocol):
    """Keeps the log and what was made from it. One writer at a time, any number of readers, many processes.

    Every method is atomic and thread-safe. The contract is `agentmem.testing.StoreContract`.
    """

    path: str

    def append(self, records: Sequence[Record], blobs: Mapping[str, bytes] | None = None) -> list[Record]:
        """Log records in one transaction and return them with their positions; they are durable on return.

        A record whose (namespace, key) is already logged with the same content is returned as it was first logged, and
        nothing is added; other content, or a key that was erased, raises KeyConflictError. blobs: sha256 hex -> bytes.
        """
        ...

    def head(self) -> Head: ...

    def read(self, positions: Sequence[int]) -> list[Record]:
        """The records at these positions, in the order asked; NotFoundError names a position that is not there."""
        ...

    def scan(
        self,
        namespace: Namespace | None = None,
        after: int = 0,
        upto: int | None = None,
        episode: str | None = None,
        types: Sequence[str] | None = None,
    ) -> Iterator[Record]:
        """Records with after < position <= upto in log order, of one namespace or (None) of all. `terms` is not
        filled.
        """
        ...

    def keyed(self, namespace: Namespace, key: str) -> Record | None: ...

    def blob(self, digest: str) -> bytes: ...

    def namespaces(self) -> list[Namespace]: ...

    def names(self) -> dict[int, str]:
        """Name ids of Columns.episode and Columns.actor -> the name."""
        ...

    def columns(self, namespace: Namespace, after: int = 0) -> Columns: ...

    def postings(self, namespace: Namespace, terms: Iterable[str], after: int = 0) -> dict[str, np.ndarray]:
        """term -> sorted int64 index rows (position << PASSAGE_BITS | passage) with position > after; absent terms
        left out.
        """
        ...

    def watermark(self, namespace: Namespace) -> Watermark: ...

    def publish(self, namespace: Namespace, batch: Batch, expected: int) -> bool:
        """Store a batch and its watermark together; False, and nothing stored, if the watermark is no longer
        `expected`.
        """
        ...

    def crystals(self, namespace: Namespace, after: int = 0) -> list[tuple[int, Crystal]]:
        """(serial, crystal) in the order published, serial > after. See `generation` for when to start again."""
        ...

    def retirements(self, namespace: Namespace, after: int = 0) -> list[tuple[int, str, int]]:
        """(serial, crystal id, position) of retirements, in the order published."""
        ...

    def codes(self, namespace: Namespace, encoder: str, after: int = 0) -> list[tuple[int, Codes]]: ...

    def encoders(self, namespace: Namespace) -> list[str]:
        """Ids of the encoders that have codes here."""
        ...

    def add_codes(self, namespace: Namespace, encoder: str, codes: Sequence[Codes]) -> None:
        """Codes of crystals already published, by another encoder; replaces that encoder's codes of the same
        crystals.
        """
        ...

    def discard(self, namespace: Namespace) -> None:
        """Drop every crystal, code and watermark of a namespace; the log stays. Bumps its generation."""
        ...

    def generation(self, namespace: Namespace) -> int:
        """Rises whenever something other than appending happened to what a reader may have cached."""
        ...

    def archive(self, upto: int) -> int:
        """Move records up to a position into compressed blocks; returns how many moved. Reading does not change."""
        ...

    def rewrite(self, texts: Mapping[int, tuple[str, str]]) -> None:
        """Replace text and body of logged steps: retention's way to let go of text. Positions, keys and order stay."""
        ...

    def erase(self, positions: Sequence[int]) -> None:
        """Physically remove records, their lexical rows, unshared blobs and every crystal of their namespaces."""
        ...

    def residue(self, needles: Sequence[bytes]) -> list[str]:
        """Where any of these byte strings still stands in the store's files, in words; [] if nowhere."""
        ...

    def setting(self, name: str) -> str | None: ...

    def verify(self) -> tuple[list[str], dict[str, int]]:
        """Every problem found, and counts of what was checked."""
        ...

    def sizes(self) -> dict[str, int]:
        """Bytes by part, and `total` of all its files."""
        ...

    def backup(self, path: str) -> None:
        """A consistent copy at a path that does not exist yet, while others go on writing."""
        ...

    def close(self) -> None: ...
