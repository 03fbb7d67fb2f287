"""What stays on disk: when the log moves into compressed blocks, and what `retain="crystals"` lets go of.

Retention is stated in bytes. Under "crystals" all files together may take FIXED bytes and RATE per token; the lexical
index is not stored, blocks are large, one code stands for a whole unit, and only where that is not enough is text let
go: beyond the horizon, old before new, the least salient first, never a word that a crystal holds or a pinned step, and
never before the unit that covers it is found by a probe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from agentmem.condense import MARK, Salience, Source, select
from agentmem.index import STEP, Index, View
from agentmem.memory.core import Core
from agentmem.recall import Query, recall
from agentmem.records import to_json
from agentmem.tokens import count
from agentmem.types import Crystal, Layer, LayerReport, Namespace, Record, Stats
from agentmem.words import stems

HOT = 8_000  # newest tokens that stay rows of their own under "keep"
MOVE = {"keep": 40_000, "crystals": 20_000}  # tokens that are worth moving into blocks at once
FIXED = 200_000  # bytes
RATE = 1.0  # bytes per token
SHARES = (0.75, 0.5, 0.3, 0.15, 0.05)  # of a step's tokens that stay, round by round
SPARE = 1.15  # what is let go, over what should be needed
RANK = 5  # a unit must be among so many when asked for by its own rarest words
RAREST = 8


def settle(core: Core, namespace: Namespace) -> None:
    """Archive what is old enough, and let go of what retention does not cover. Called after crystallizing."""
    if core.read_only:
        return
    retain = core.store.setting("retain") or "keep"
    with core.lock:
        index = core.index(namespace)
        upto = _archivable(core, index, HOT if retain == "keep" else 0, MOVE[retain])
        if upto is None:
            return
        core.store.archive(upto)
        core.archived = upto
        if retain == "crystals":
            _let_go(core, namespace)


def _archivable(core: Core, index: Index, hot: int, least: int) -> int | None:
    """The position up to which to archive; None while too little has come in."""
    positions, tokens = index.columns.position, index.columns.tokens
    if tokens[positions > core.archived].sum() < least + hot:
        return None
    since = tokens[::-1].cumsum()[::-1]
    return int(positions[since > hot][-1])


# ---- letting go ------------------------------------------------------------------------------------------------------


def _let_go(core: Core, namespace: Namespace) -> None:
    """Thin the text of old steps until all files fit what they are allowed."""
    for share in SHARES:
        excess = core.store.sizes()["total"] - allowance(core)
        if excess <= 0:
            return
        rewritten = {}
        for record in _thinnable(core, namespace, share):
            kept = _thinned(record, share, _held(core.index(namespace), record.position))
            if len(kept) < len(record.text):
                rewritten[record.position] = (kept, _marked(record))
                excess -= int(_bytes_per_character(core) * (len(record.text) - len(kept)) / SPARE)
            if excess <= 0:
                break
        if rewritten:
            core.store.rewrite(rewritten)
            core.forget(namespace)


def allowance(core: Core) -> int:
    """Bytes that all files may take under retain="crystals"."""
    logged = sum(int(core.index(namespace).columns.tokens.sum()) for namespace in core.store.namespaces())
    return int(FIXED + RATE * logged)


def _bytes_per_character(core: Core) -> float:
    """How much a character of archived text takes on disk."""
    return core.store.sizes()["archive"] / max(
        1, sum(len(record.text) for record in core.store.scan(upto=core.archived))
    )


def _thinnable(core: Core, namespace: Namespace, share: float) -> Iterator[Record]:
    """Steps beyond the horizon, oldest first, whose unit is found by a probe and which still hold more than the
    share.
    """
    horizon = int(core.store.setting("horizon") or 0)
    index = core.index(namespace)
    view = index.view(index.head)
    old = np.flatnonzero((view.age > horizon) & (view.unit >= 0) & ~view.pinned)
    found: dict[int, bool] = {}
    for row in old:
        unit = int(view.unit[row])
        if unit not in found:
            found[unit] = _probe(core, namespace, view, view.crystals[unit])
        if found[unit]:
            yield core.store.read([int(view.position[row])])[0]


def _probe(core: Core, namespace: Namespace, view: View, unit: Crystal) -> bool:
    """Whether a unit ranks among the first RANK units for its own rarest words."""
    own = list(dict.fromkeys(stems(unit.text)))
    match = core.match(" ".join(own), [namespace], view)
    rarest = sorted(match.counts, key=lambda term: (len(match.counts[term][0]), term))[:RAREST]
    cue = " ".join(rarest)
    query = Query(cue, 100_000, count, layers=(Layer.UNIT,))
    lines = recall(query, view, core.match(cue, [namespace], view), None, core.read)
    best = sorted(lines, key=lambda line: -line.hit.score)[:RANK]
    return any(line.hit.id == unit.id for line in best)


def _held(index: Index, position: int) -> list[str]:
    """The words of a step that crystals hold, fragment by fragment."""
    fragments = []
    for crystal in index.crystals:
        if crystal.id not in index.retired and any(span.position == position for span in crystal.spans):
            fragments += [part for line in crystal.text.split("\n") for part in line.split(MARK)]
    return fragments


def _thinned(record: Record, share: float, held: Sequence[str]) -> str:
    """A step's text reduced to its most salient spans and what crystals hold, with marks where something is gone."""
    source = Source(record.position, record.kind or "", record.actor, record.text)
    original = json.loads(record.body).get("lost", record.tokens)
    spans = [(s.start, s.end) for s in select([source], int(original * share), Salience())]
    for fragment in held:
        at = record.text.find(fragment) if fragment else -1
        if at >= 0:
            spans.append((at, at + len(fragment)))
    merged: list[list[int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return MARK.join(record.text[start:end] for start, end in merged)


def _marked(record: Record) -> str:
    """The body of a step that lost text: "lost" is how many tokens it had."""
    body = json.loads(record.body)
    return to_json({"lost": record.tokens} | body)


# ---- what there is ---------------------------------------------------------------------------------------------------


def _layers(live: Sequence[Crystal], logged: int) -> dict[Layer, LayerReport]:
    """Each layer beside the whole of the layer below it."""
    reports, below = {}, logged
    for layer in Layer:
        own = [crystal.tokens for crystal in live if crystal.layer is layer]
        reports[layer] = LayerReport(crystals=len(own), tokens=sum(own), source_tokens=below)
        below = sum(own)
    return reports


def stats(core: Core, namespace: Namespace) -> Stats:
    """See `Memory.stats`. Hold `core.lock`."""
    index = core.index(namespace)
    columns = index.columns
    steps = columns.type == STEP
    live = [crystal for crystal in index.crystals if index.exists(crystal, index.head)]
    sizes = core.store.sizes()
    logged = sum(int(core.index(other).columns.tokens.sum()) for other in core.store.namespaces())
    return Stats(
        steps=int(steps.sum()),
        episodes=len(index.episodes),
        tokens=int(columns.tokens[steps].sum()),
        layers=_layers(live, int(columns.tokens[steps].sum())),
        watermark=core.store.watermark(namespace).position,
        bytes=sizes,
        bytes_per_million_tokens=(sizes["total"] - sizes["wal"]) / max(1, logged) * 1e6,
        retain="crystals" if core.store.setting("retain") == "crystals" else "keep",
        encoder=core.encoder.id if core.encoder is not None else None,
        store_version=core.version([namespace], index.head),
    )
