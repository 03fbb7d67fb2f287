"""What users see: steps, episodes, crystals, planning contexts, reports. Knows no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, PrivateAttr

from agentmem.types.pictured import pictured

Namespace = tuple[str, ...]
Kind = Literal["observation", "action", "message"]
Trust = Literal["system", "operator", "user", "agent", "tool", "web"]
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
    `lost` says that retention dropped part of the text, `masked` how many secrets of each kind
    placeholders stand for. `trust` is who said it, None for the agent itself or nobody
    knows.
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
    masked: dict[str, int] = {}
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
    `key` names what it is about, `value` what it says; a newer value of the key retires it. `trust` is the least of its
    sources', where `Memory.crystals` gives it.
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
    trust: Trust | None = None


class Hit(Frozen):
    """Why something is in a planning context.

    id: a step's or crystal's. span: the part of the step's text that was used. reasons: what each signal added to the
    score. age: tokens logged in the namespace since. sources: of a crystal, one layer below. trust: of a step, or the
    least of those it repeats; of a crystal, the least of its sources'.
    """

    id: str
    layer: Literal["step"] | Layer  # in this order, as most are steps and pydantic tries one after the other
    position: int
    score: float
    reasons: dict[str, float]
    span: tuple[int, int] | None
    section: str
    text: str
    tokens: int
    age: int = 0
    sources: tuple[str, ...] = ()
    trust: Trust | None = None


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
    _asked: dict[str, Any] | None = PrivateAttr(default=None)  # how it was asked for, for the record of it

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

    def _repr_html_(self) -> str:
        return pictured(self)


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

    tokens: of all steps. layers: of the crystals that hold now, beside the whole layer below. bytes: by part, each
    counted once, and "total", their sum; bytes_per_million_tokens leaves out "wal", which is folded into the rest when
    the memory is closed, "reserve", which is kept free where the disk is nearly full, and "attachments". watermark: log
    position up to which the log is crystallized. uncoded: units that have no codes of this encoder until the next
    crystallizing. masked: secrets, by kind, that placeholders took the place of since the namespace began.
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
    uncoded: int
    store_version: str
    masked: dict[str, int] = {}

    def parts(self) -> dict[str, int]:
        """Bytes by part, which add up to the total."""
        return {part: n_bytes for part, n_bytes in self.bytes.items() if part != "total"}

    def comparable(self) -> bool:
        """Whether so much is logged that bytes per million tokens say something."""
        return self.tokens >= 100_000
