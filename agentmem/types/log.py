"""The log and what is made of it, as the store sees them: records, columns, codes, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from agentmem.types.nouns import Crystal, Namespace

RecordType = Literal["step", "begin", "end", "recall", "forget", "restore", "pin", "erased", "consent", "rules", "hold"]


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


RECORD_TYPES: tuple[str, ...] = get_args(RecordType)
KINDS: tuple[str, ...] = ("observation", "action", "message")
PASSAGE_BITS = 20  # an index row is position << PASSAGE_BITS | passage


@dataclass(frozen=True, slots=True)
class Codes:
    """Binary vectors of one crystal: rows uint8 [k, 96], each for the log positions first[i]..last[i] (int64 [k])."""

    crystal: str
    first: np.ndarray
    last: np.ndarray
    rows: np.ndarray


class Outlines(NamedTuple):
    """Crystals without their words, column by column in the order published: arrays [n].

    serial, layer (index into Layer), born, tokens: int64; salience: float64. sources, spans: how many log positions of
    `steps`, and of `held`, are each one's: `steps` are the steps that units condense, `held` is where spans point.
    """

    serial: np.ndarray
    layer: np.ndarray
    born: np.ndarray
    tokens: np.ndarray
    salience: np.ndarray
    sources: np.ndarray
    spans: np.ndarray
    steps: np.ndarray
    held: np.ndarray
    ids: list[str]


class State(NamedTuple):
    """That `key` has `value` from the step at a log position on. form: what kind of state, one of STATE_FORMS."""

    position: int
    form: str
    key: str
    value: str


STATE_FORMS: tuple[str, ...] = ("place", "thing", "reading", "file", "outcome", "deed", "total", "date", "inventory")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one stretch of crystallizing adds, published in one transaction.

    crystals: new ones. retired: crystal id -> position that retires it. codes: of encoder `encoder` (its id and seed).
    watermark: every record up to this position has been read. state: what the crystallizer needs to go on from there.
    states: those of the records read, by position.
    """

    crystals: Sequence[Crystal]
    retired: Mapping[str, int]
    codes: Sequence[Codes]
    encoder: str | None
    watermark: int
    state: bytes
    states: Sequence[State] = ()


class Watermark(NamedTuple):
    """How far a namespace is crystallized, and the crystallizer's state there (b"" at the start)."""

    position: int
    state: bytes


class Note(NamedTuple):
    """A row of the ledger: something done with the memory that is no event of its log. Holds no content.

    number: 1, 2, 3 ... position: where the log ended. at: seconds since 1970. chain: sha256 over the row and the one
    before.
    """

    number: int
    position: int
    at: float
    what: str
    who: str | None
    namespace: Namespace | None
    detail: Mapping[str, Any]
    chain: bytes


class Version(NamedTuple):
    """What is made of a namespace: `generation` rises whenever something other than appending or publishing happened to
    what a reader may have cached; `watermark` is how far it is crystallized.
    """

    generation: int
    watermark: int


class Head(NamedTuple):
    """The end of the log: last position, its chain hash, and how often something was erased."""

    position: int
    hash: bytes
    erasures: int
