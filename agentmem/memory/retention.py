"""What stays on disk: when the log moves into compressed blocks, and what `retain="crystals"` lets go of.

Retention is stated in bytes. Under "crystals" all files together, attachments and a log of accesses apart, may take
FIXED bytes and RATE per token; the lexical index and the codes are not stored but made again at the first recall,
blocks are large, and only where that is not enough is text let go: beyond the horizon, old before new, the least
salient first, never a word that a crystal holds, a pinned step or one under a hold, and never before the unit that
covers it is found by a probe.

A hole in a text is "…" and as many spaces as characters are gone, so that every span of the text still stands where it
stood; spaces cost nothing once they are compressed, and recall folds them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agentmem.condense import Salience, select
from agentmem.index import STEP, Index, step_position
from agentmem.memory.core import Core
from agentmem.memory.holding import held
from agentmem.recall import Weights
from agentmem.recall.layers import crystal_signals, steps_of
from agentmem.recall.signals import weigh
from agentmem.records import to_json
from agentmem.sources import source_of
from agentmem.types import Crystal, Layer, LayerReport, Namespace, Record, Span, Stats
from agentmem.words import STOPWORDS, stems, words

HOT = 4_000  # newest tokens that stay rows of their own under "keep"
MOVE = {"keep": 8_000, "crystals": 4_000}  # tokens that are worth moving into blocks at once
FIXED = 200_000  # bytes
RATE = 1.0  # bytes per token
SHARES = (0.85, 0.7, 0.55, 0.4, 0.25, 0.1, 0.0)  # of a unit's tokens that stay beside its crystals, round by round
SLACK = 0.05  # of the allowance freed beyond what is over it, so that not every crystallizing has to let go
SPARE = 1.5  # characters let go over what should be needed: those that tell least also compress best
GAP = "…"
LEAST = 4  # characters that are worth a hole
RANK = 5  # a unit must be among so many when asked for by its own rarest words
RAREST = 8


def settle(core: Core) -> None:
    """Archive what is old enough, and let go of what retention does not cover. Called after crystallizing."""
    if core.read_only:
        return
    with core.lock:
        if not core.sparing:
            _archive(core, HOT, MOVE["keep"])
            return
        _archive(core, 0, MOVE["crystals"])
        core.store.archive(core.archived)  # which also returns what is free in the files
        allowance = FIXED + RATE * core.store.tokens()
        if _files(core) > allowance:
            _let_go(core, allowance)


def _files(core: Core) -> int:
    """Bytes of all files once closed, without attachments and a log of accesses."""
    sizes = core.store.sizes()
    return closed(sizes) - sizes["attachments"] - (sizes["ledger"] if core.keeps_accesses else 0)


def closed(sizes: Mapping[str, int]) -> int:
    """Bytes of all files once closed: the write-ahead log is folded in, of which the parts tell already."""
    return sizes["total"] - sizes["wal"] - sizes["reserve"]


def _archive(core: Core, hot: int, least: int) -> None:
    """Archive all but the newest `hot` tokens of the file, if that moves `least` tokens or more."""
    columns = core.store.columns(None, after=core.archived)
    if columns.tokens.sum() < least + hot:
        return
    since = columns.tokens[::-1].cumsum()[::-1]
    old = since > hot
    core.store.archive(int(columns.position[old][-1]))
    core.archived = int(columns.position[old][-1])


# ---- letting go ------------------------------------------------------------------------------------------------------


@dataclass
class _Old:
    """A unit beyond the horizon: its steps that may lose text, the spans of each that crystals hold, what is left."""

    born: int
    steps: list[Record]
    held: list[list[tuple[int, int]]]
    share: float


def _let_go(core: Core, allowance: float) -> None:
    """Thin the text of old units, round by round, until all files fit what they are allowed."""
    edge = _horizon(core)
    namespaces = core.store.namespaces()
    units = [unit for namespace in namespaces for unit in _old_units(core, core.index(namespace), edge)]
    units.sort(key=lambda unit: unit.born)
    dense = core.store.sizes()["archive"] / max(1, sum(map(_written, core.store.scan(upto=core.archived))))
    for share in SHARES:
        excess = _files(core) - (1 - SLACK) * allowance
        if excess <= 0.5 * SLACK * allowance:
            return
        _round(core, [unit for unit in units if share < unit.share], share, excess * SPARE / dense)


def _horizon(core: Core) -> int:
    """The first position of the newest tokens that are kept whole."""
    columns = core.store.columns(None)
    since = columns.tokens[::-1].cumsum()[::-1] - columns.tokens
    inside = columns.position[since < int(core.store.setting("horizon") or 0)]
    return int(inside[0]) if len(inside) else int(columns.position[-1]) + 1


def _round(core: Core, units: Sequence[_Old], share: float, needed: float) -> None:
    """Let go of `needed` characters if units thinned to a share of their tokens give that many."""
    rewritten: dict[int, tuple[str, str]] = {}
    for unit in units:
        if needed <= 0:
            break
        texts, unit.share = _thinned(unit, share), share
        for number, (step, text) in enumerate(zip(unit.steps, texts, strict=True)):
            if text != step.text:
                needed -= _written(step)
                unit.steps[number] = step = _with(step, text, share)
                needed += _written(step)
                rewritten[step.position] = (text, step.body)
    if rewritten:
        core.store.rewrite(rewritten)
        core.store.note(core.clock(), "let go", None, None, {"steps": len(rewritten), "share": share})
        core.store.archive(core.archived)
        core.forget()


def _written(record: Record) -> int:
    """Characters of a text that take room."""
    return len(record.text) - record.text.count("  ")


def _with(step: Record, text: str, share: float) -> Record:
    """A step that lost text, and says so: "lost" is the share of its unit's tokens that could not stay."""
    body = json.loads(step.body) | {"lost": round(1 - share, 2)}
    return Record(
        step.type, step.namespace, step.episode, step.kind, step.actor, text, to_json(body), step.key, step.logged_at,
        step.tokens, (), step.position,
    )  # fmt: skip


def _thinned(unit: _Old, share: float) -> list[str]:
    """The texts of a unit's steps with the least salient parts gone."""
    sources = [source_of(step) for step in unit.steps]
    budget = int(share * sum(step.tokens for step in unit.steps))
    kept = {source.position: list(held) for source, held in zip(sources, unit.held, strict=True)}
    for span in select(sources, budget, Salience()):
        kept[span.position].append((span.start, span.end))
    return [_holed(step.text, kept[step.position]) for step in unit.steps]


def _holed(text: str, kept: Sequence[tuple[int, int]]) -> str:
    """A text of the same length in which nothing but spans of it stands."""
    parts, at = list[str](), 0
    for start, end in [*sorted(kept), (len(text), len(text))]:
        if start > at:
            gone = text[at:start]
            small = start - at < LEAST or not gone.strip(GAP + " ")
            parts.append(gone if small else GAP + " " * (start - at - 1))
        parts.append(text[max(at, start) : end])
        at = max(at, end)
    return "".join(parts)


# ---- what may be let go ------------------------------------------------------------------------------------------


def _old_units(core: Core, index: Index, edge: int) -> list[_Old]:
    """The units of a namespace whose steps all lie before a position, and that a probe has found."""
    view = index.view(index.head)
    whole = set(view.position[view.pinned].tolist()) | held(core, index.namespace)
    quoted = _held(index.crystals)
    probe = _Probe(core, index)
    old = []
    for number in probe.numbers:
        unit = view.crystals[number]
        positions = [position for position in map(step_position, unit.sources) if position not in whole]
        if unit.covers[1] < edge and positions:
            steps = core.store.read(positions)
            lost = max(json.loads(step.body).get("lost", 0.0) for step in steps)
            if lost or probe.finds(number):
                spans = [_spans(step.text, quoted.get(step.position, ())) for step in steps]
                old.append(_Old(unit.born, steps, spans, 1 - lost))
    return old


def _held(crystals: Sequence[Crystal]) -> dict[int, list[tuple[Span, str]]]:
    """Log position -> what crystals point to there, with the text of the crystal."""
    held: dict[int, list[tuple[Span, str]]] = {}
    for crystal in crystals:
        for span in crystal.spans:
            held.setdefault(span.position, []).append((span, crystal.text))
    return held


def _spans(text: str, held: Sequence[tuple[Span, str]]) -> list[tuple[int, int]]:
    """The spans whose words a crystal holds; not those of a crystal that a condenser of the user's own wrote."""
    return [(span.start, span.end) for span, said in held if text[span.start : span.end] in said]


class _Probe:
    """Asks for units by their own rarest words, as recall would rank them."""

    def __init__(self, core: Core, index: Index) -> None:
        self.core, self.namespace, self.view = core, index.namespace, index.view(index.head)
        live = np.flatnonzero(self.view.live).tolist()
        self.numbers = [number for number in live if self.view.crystals[number].layer is Layer.UNIT]
        self._place = {number: place for place, number in enumerate(self.numbers)}
        self._groups = steps_of(self.view, self.numbers)
        texts = (self.view.crystals[number].text for number in self.numbers)
        self._units_with = Counter(stem for text in texts for stem in set(stems(text)))

    def finds(self, number: int) -> bool:
        """Whether a unit ranks among the first RANK units for its rarest words."""
        own = {word: stems(word) for word in words(self.view.crystals[number].text) if word not in STOPWORDS}
        rarest = sorted(own, key=lambda word: (min(map(self._units_with.__getitem__, own[word]), default=0), word))
        match = self.core.match(" ".join(rarest[:RAREST]), [self.namespace], self.view)
        score = weigh(crystal_signals(self.view, self.numbers, match, None, self._groups), Weights())
        return bool(rarest) and int((score > score[self._place[number]]).sum()) < RANK


# ---- what there is ---------------------------------------------------------------------------------------------------


def stats(core: Core, namespace: Namespace) -> Stats:
    """See `Memory.stats`. Hold `core.lock`."""
    index = core.index(namespace)
    steps = index.columns.type == STEP
    tokens = int(index.columns.tokens[steps].sum())
    sizes = core.store.sizes()
    made_of_log = closed(sizes) - sizes["attachments"]
    return Stats(
        steps=int(steps.sum()),
        episodes=len(index.episodes),
        tokens=tokens,
        layers=_layers(index, tokens),
        watermark=index.watermark,
        bytes=sizes,
        bytes_per_million_tokens=made_of_log / max(1, core.store.tokens()) * 1e6,
        retain="crystals" if core.sparing else "keep",
        encoder=core.encoder.id if core.encoder is not None else None,
        uncoded=len(index.uncoded()) if core.encoder is not None and not core.sparing else 0,
        store_version=core.version([namespace], index.head, [index.head]),
        masked=core.store.masked(namespace),
    )


def _layers(index: Index, logged: int) -> dict[Layer, LayerReport]:
    """Each layer beside the whole of the layer below it."""
    reports, below = {}, logged
    for layer in Layer:
        own = index.tokens(layer)
        reports[layer] = LayerReport(crystals=len(own), tokens=int(own.sum()), source_tokens=below)
        below = int(own.sum())
    return reports
