"""What was crystallized, as bytes: crystals, retirements and codes of one batch, each list in one zstd frame.

Knows no SQL. Numbers lie column by column; a crystal's text is kept as its spans where it is made of them, so that it
costs the marks between them and no more.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from ..errors import DamagedError
from ..index import step_positions
from ..types import Codes, Crystal, Layer, Namespace, Outlines, Span, State
from .blocks import compress, decompress, shuffle, unshuffle

LEVEL = 12
LAYERS = tuple(Layer)
Texts = Mapping[int, str]


# ---- one frame: strings as JSON, then integers column by column, then bytes as they are


def pack_frame(strings: Any, serials: Sequence[int], columns: Sequence[Iterable[int]], raw: bytes = b"") -> bytes:
    arrays = [np.fromiter(column, np.int64) for column in [_steps(serials), *columns]]
    head = json.dumps([strings, [len(a) for a in arrays], len(raw)], ensure_ascii=False, separators=(",", ":")).encode()
    return compress(len(head).to_bytes(4, "little") + head + b"".join(map(shuffle, arrays)) + raw, LEVEL)


def unpack_frame(payload: bytes, what: str) -> tuple[Any, list[int], list[np.ndarray], bytes]:
    data = decompress(payload, what)
    at = 4 + int.from_bytes(data[:4], "little")
    strings, counts, raw = json.loads(data[4:at])
    arrays = []
    for count in counts:
        arrays.append(unshuffle(data[at : at + 8 * count], np.dtype(np.int64), count))
        at += 8 * count
    return strings, np.cumsum(arrays[0]).tolist(), arrays[1:], data[at : at + raw]


def _steps(numbers: Iterable[int]) -> list[int]:
    """Differences: near numbers become small ones."""
    return [b - a for a, b in itertools.pairwise([0, *numbers])]


# ---- texts made of spans


def fold_text(text: str, spans: Sequence[Span], texts: Texts) -> tuple[list[str], list[bool]]:
    """(what stands before, between and after the spans found in `text` in order, which spans were found)."""
    literals, used, at = [], [], 0
    for span in spans:
        piece = texts.get(span.position, "")[span.start : span.end]
        found = text.find(piece, at) if piece else -1
        used.append(found >= 0)
        if found >= 0:
            literals.append(text[at:found])
            at = found + len(piece)
    return [*literals, text[at:]], used


def unfold_text(literals: Sequence[str], used: Sequence[bool], spans: Sequence[Span], texts: Texts) -> str:
    pieces = [texts.get(s.position, "")[s.start : s.end] for s, use in zip(spans, used, strict=True) if use]
    return "".join(itertools.chain.from_iterable(itertools.zip_longest(literals, pieces, fillvalue="")))


# ---- crystals


def span_positions(crystals: Iterable[Crystal]) -> set[int]:
    return {span.position for crystal in crystals for span in crystal.spans}


def pack_crystals(serials: Sequence[int], crystals: Sequence[Crystal], texts: Texts) -> bytes:
    """Crystals of one namespace; `texts` are those of the records their spans point to."""
    literals, used = [], []
    for crystal in crystals:
        parts, flags = fold_text(crystal.text, crystal.spans, texts)
        literals.append(parts)
        used += flags
    spans = [span for crystal in crystals for span in crystal.spans]
    here = {crystal.id: number for number, crystal in enumerate(crystals)}
    strings = [
        [c.id for c in crystals],
        [[here.get(source, source) for source in c.sources] for c in crystals],
        [c.key for c in crystals],
        [c.value for c in crystals],
        literals,
        _digest(crystals),
    ]
    columns: list[Iterable[int]] = [
        [LAYERS.index(c.layer) for c in crystals],
        [len(c.spans) for c in crystals],
        _steps(s.position for s in spans),
        [s.start for s in spans],
        [s.end - s.start for s in spans],
        [int(flag) for flag in used],
        _steps(c.covers[0] for c in crystals),
        [c.covers[1] - c.covers[0] for c in crystals],
        _steps(c.born for c in crystals),
        [-1 if c.retired is None else c.retired for c in crystals],
        [c.tokens for c in crystals],
        [c.source_tokens for c in crystals],
        [c.support for c in crystals],
        np.array([c.salience for c in crystals], np.float64).view(np.int64),
    ]
    return pack_frame(strings, serials, columns)


def _digest(crystals: Sequence[Crystal]) -> str:
    """Over the texts, which are made again from the log when read."""
    return sha256("\0".join(c.text for c in crystals).encode(errors="surrogatepass")).hexdigest()[:32]


def crystal_positions(payload: bytes, what: str) -> set[int]:
    """Positions the spans of packed crystals point to."""
    return set(np.cumsum(unpack_frame(payload, what)[2][2]).tolist())


def unpack_crystals(
    payload: bytes, namespace: Namespace, read: Callable[[set[int]], Texts], what: str
) -> list[tuple[int, Crystal]]:
    """(serial, crystal). Raises DamagedError if a text is not what it was when published."""
    (ids, sources, keys, values, literals, digest), serials, columns, _ = unpack_frame(payload, what)
    layer, counts, where, start, size, used, first, covers, born, retired, tokens, source_tokens, support, salience = (
        column.tolist() for column in [*columns[:13], columns[13].view(np.float64)]
    )
    where, first, born = (list(itertools.accumulate(column)) for column in (where, first, born))
    texts = read({p for p, use in zip(where, used, strict=True) if use})
    spans = [Span(p, s, s + n) for p, s, n in zip(where, start, size, strict=True)]
    crystals, at = [], 0
    for n, count in enumerate(counts):
        mine, flags = spans[at : at + count], [bool(flag) for flag in used[at : at + count]]
        at += count
        crystals.append(
            Crystal.model_construct(
                id=ids[n],
                layer=LAYERS[layer[n]],
                namespace=namespace,
                text=unfold_text(literals[n], flags, mine, texts),
                spans=tuple(mine),
                sources=tuple(ids[s] if isinstance(s, int) else s for s in sources[n]),
                covers=(first[n], first[n] + covers[n]),
                born=born[n],
                retired=None if retired[n] < 0 else retired[n],
                tokens=tokens[n],
                source_tokens=source_tokens[n],
                salience=salience[n],
                key=keys[n],
                value=values[n],
                support=support[n],
            )
        )
    if _digest(crystals) != digest:
        raise DamagedError(f"{what} does not give the texts that were published; discard them and crystallize again")
    return list(zip(serials, crystals, strict=True))


def unpack_outlines(payload: bytes, what: str) -> Outlines:
    """What `unpack_crystals` gives but for words, which alone need the log."""
    (ids, sources, *_), serials, columns, _ = unpack_frame(payload, what)
    layer, spans, where = columns[:3]
    units = (layer == LAYERS.index(Layer.UNIT)).tolist()
    steps = [own if unit else [] for own, unit in zip(sources, units, strict=True)]
    return Outlines(
        serial=np.array(serials, np.int64),
        layer=layer,
        born=np.cumsum(columns[8]),
        tokens=columns[10],
        salience=columns[13].view(np.float64),
        sources=np.array([len(own) for own in steps], np.int64),
        spans=spans,
        steps=step_positions(list(itertools.chain.from_iterable(steps))),
        held=np.cumsum(where),
        ids=ids,
    )


def join_outlines(parts: Sequence[Outlines], after: int) -> Outlines:
    """Several as one, those with serial > after, by serial."""
    none = np.zeros(0, np.int64)
    empty = Outlines(none, none, none, none, np.zeros(0), none, none, none, none, [])
    if not parts:
        return empty
    *columns, steps, held = (np.concatenate(column) for column in list(zip(empty, *parts, strict=True))[:9])
    serial, sources, spans = columns[0], columns[5], columns[6]
    order = np.argsort(serial, kind="stable")
    order = order[serial[order] > after]
    ids = [one for part in parts for one in part.ids]
    inner = steps[_runs_at(sources, order)], held[_runs_at(spans, order)]
    return Outlines._make([*(column[order] for column in columns), *inner, [ids[n] for n in order.tolist()]])


def _runs_at(sizes: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Where the members of runs of these sizes stand, the runs taken in an order."""
    chosen = sizes[order]
    ahead = np.cumsum(chosen) - chosen
    return np.asarray(np.arange(chosen.sum()) + np.repeat((np.cumsum(sizes) - sizes)[order] - ahead, chosen))


# ---- retirements and codes


def pack_retired(serials: Sequence[int], retired: Sequence[tuple[str, int]]) -> bytes:
    return pack_frame([crystal for crystal, _ in retired], serials, [_steps(position for _, position in retired)])


def unpack_retired(payload: bytes, what: str) -> list[tuple[int, tuple[str, int]]]:
    ids, serials, (positions,), _ = unpack_frame(payload, what)
    return list(zip(serials, zip(ids, np.cumsum(positions).tolist(), strict=True), strict=True))


def pack_states(serials: Sequence[int], states: Sequence[State]) -> bytes:
    keys, values = (list(dict.fromkeys(column)) for column in ([s[1:3] for s in states], [s.value for s in states]))
    key, value = ({item: number for number, item in enumerate(items)} for items in (keys, values))
    columns = [
        _steps(state.position for state in states),
        [key[state[1:3]] for state in states],
        [value[state.value] for state in states],
    ]
    return pack_frame([keys, values], serials, columns)


def unpack_states(payload: bytes, what: str) -> list[tuple[int, State]]:
    (keys, values), serials, (positions, key, value), _ = unpack_frame(payload, what)
    rows = zip(np.cumsum(positions).tolist(), key.tolist(), value.tolist(), strict=True)
    return list(zip(serials, (State(at, keys[k][0], keys[k][1], values[v]) for at, k, v in rows), strict=True))


def pack_codes(serials: Sequence[int], codes: Sequence[Codes]) -> bytes:
    rows = [np.ascontiguousarray(c.rows, np.uint8) for c in codes]
    firsts = np.concatenate([np.asarray(c.first, np.int64) for c in codes])
    lasts = np.concatenate([np.asarray(c.last, np.int64) for c in codes])
    columns = [[len(r) for r in rows], [r.shape[1] for r in rows], _steps(firsts.tolist()), (lasts - firsts).tolist()]
    return pack_frame([c.crystal for c in codes], serials, columns, b"".join(r.tobytes() for r in rows))


def unpack_codes(payload: bytes, what: str) -> list[tuple[int, Codes]]:
    ids, serials, (counts, widths, firsts, spans), raw = unpack_frame(payload, what)
    firsts = np.cumsum(firsts)
    lasts, codes, at, byte = firsts + spans, [], 0, 0
    for crystal, count, width in zip(ids, counts.tolist(), widths.tolist(), strict=True):
        rows = np.frombuffer(raw, np.uint8, count * width, byte).reshape(count, width)
        codes.append(Codes(crystal, firsts[at : at + count], lasts[at : at + count], rows))
        at, byte = at + count, byte + count * width
    return list(zip(serials, codes, strict=True))
