"""Stretches of the lexical index: growing as lists, or packed as bytes. Knows no SQL, no texts and no ranking.

A row is position << PASSAGE_BITS | passage. A term is prefixed with the number of its namespace, so that no search of
one namespace can meet another. Packed, the terms stand sorted, and the rows of each as differences of their numbers
within the stretch, seven bits to a byte (as in Manning et al. 2008, "Introduction to Information Retrieval", 5.3).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import accumulate, pairwise

import numpy as np

from ..errors import DamagedError
from ..types import PASSAGE_BITS
from .blocks import compress, decompress

PASSAGES = (1 << PASSAGE_BITS) - 1
SECTIONS = 4
BEGIN = 8  # bytes of a term that are compared first


class Growing:
    """Rows and the terms in them, as they come."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._numbers: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))

    def add(self, position: int, namespace: int, passages: Sequence[tuple[int, str]]) -> None:
        """A record after all the others, with the terms of its passages, single-spaced."""
        numbers = self._numbers[namespace]
        for passage, text in passages:
            number = len(self.rows)
            self.rows.append(position << PASSAGE_BITS | passage)
            for term in set(text.split(" ")):
                numbers[term].append(number)

    def find(self, term: str) -> np.ndarray:
        """The rows that have a prefixed term."""
        namespace, _, bare = term.partition("x")
        terms = self._numbers.get(int(namespace))
        numbers = terms.get(bare, ()) if terms is not None else ()
        return np.array([self.rows[number] for number in numbers], np.int64)

    def pack(self) -> Postings:
        named = sorted(
            (f"{namespace}x{term}".encode(), numbers)
            for namespace, terms in self._numbers.items()
            for term, numbers in terms.items()
        )
        counts = np.array([len(numbers) for _, numbers in named], np.int64)
        flat = np.fromiter((number for _, numbers in named for number in numbers), np.int64, int(counts.sum()))
        return Postings.of([term for term, _ in named], np.array(self.rows, np.int64), counts, flat)


class Postings:
    """A packed stretch. rows: int64 [rows], ascending; the numbers of each term lie in `_stream` at its place."""

    def __init__(self, rows: np.ndarray, terms: bytes, counts: np.ndarray, stream: np.ndarray) -> None:
        self.rows, self._terms, self._counts, self._stream = rows, terms, counts.astype(np.uint32), stream
        breaks = np.flatnonzero(np.frombuffer(terms, np.uint8) == ord("\n")).astype(np.uint32)
        self._breaks = np.concatenate((np.zeros(1, np.uint32), breaks + 1))
        self._begins = _begins(self.terms())
        ends = np.flatnonzero(stream < 128)[np.cumsum(counts) - 1] + 1
        self._ends = np.concatenate((np.zeros(1, np.uint32), ends.astype(np.uint32)))

    @classmethod
    def of(cls, terms: Sequence[bytes], rows: np.ndarray, counts: np.ndarray, numbers: np.ndarray) -> Postings:
        """terms: sorted; counts: rows of each; numbers: the numbers of these rows, term by term and ascending."""
        gaps = np.diff(numbers, prepend=0)
        first = np.cumsum(counts) - counts
        gaps[first] = numbers[first]
        return cls(rows, b"".join(term + b"\n" for term in terms), counts, _packed(gaps))

    @property
    def nbytes(self) -> int:
        arrays = self.rows, self._counts, self._breaks, self._begins, self._stream, self._ends
        return sum(array.nbytes for array in arrays) + len(self._terms)

    def __len__(self) -> int:
        """How many postings: rows summed over terms."""
        return int(self._counts.sum(dtype=np.int64))

    def terms(self) -> list[bytes]:
        """All prefixed terms, sorted."""
        return self._terms.split(b"\n")[:-1]

    def find(self, term: bytes) -> np.ndarray | None:
        """The rows that have a prefixed term."""
        (found,) = find_all([self], [term])
        return found[0] if found else None

    def places(self, terms: Sequence[bytes], begins: np.ndarray) -> Iterator[tuple[int, int]]:
        """(number, place here) of those of some terms, which begin so, that are here."""
        first, last = (np.searchsorted(self._begins, begins, side).tolist() for side in ("left", "right"))
        for number, (low, high) in enumerate(zip(first, last, strict=True)):
            if low < high:
                place = bisect_left(range(high), terms[number], low, key=self._term)
                if place < high and self._term(place) == terms[number]:
                    yield number, place

    def part(self, place: int) -> tuple[np.ndarray, int]:
        """(the numbers of the rows of a term, as they lie in the stream; how many)."""
        return self._stream[self._ends[place] : self._ends[place + 1]], int(self._counts[place])

    def _term(self, place: int) -> bytes:
        return self._terms[self._breaks[place] : self._breaks[place + 1] - 1]

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows of each term, the numbers of these rows term by term)."""
        counts = self._counts.astype(np.int64)
        gaps = np.cumsum(_unpacked(self._stream))
        first = np.cumsum(counts) - counts
        before = np.where(first > 0, gaps[first - 1], 0)
        return counts, gaps - np.repeat(before, counts)

    # ---- as bytes

    def pack(self, level: int) -> bytes:
        positions = _packed(np.diff(self.rows >> PASSAGE_BITS, prepend=0))
        passages, counts = _packed(self.rows & PASSAGES), _packed(self._counts.astype(np.int64))
        parts = [positions.tobytes(), passages.tobytes(), self._terms, counts.tobytes(), self._stream.tobytes()]
        sizes = np.array([len(part) for part in parts[:SECTIONS]], "<u4").tobytes()
        return compress(b"".join([sizes, *parts]), level)

    @classmethod
    def unpack(cls, data: bytes, what: str) -> Postings:
        """Raises DamagedError."""
        raw = decompress(data, what)
        try:
            sizes = np.frombuffer(raw, "<u4", SECTIONS).tolist()
            ends = [*accumulate(sizes, initial=4 * SECTIONS), len(raw)]
            positions, passages, terms, counts, stream = (raw[start:end] for start, end in pairwise(ends))
            rows = np.cumsum(_numbers(positions)) << PASSAGE_BITS | _numbers(passages)
            return cls(rows, terms, _numbers(counts), np.frombuffer(stream, np.uint8))
        except (ValueError, IndexError) as error:
            raise DamagedError(f"{what} makes no sense ({error}); restore it from a backup") from error


def find_all(parts: Sequence[Postings], terms: Sequence[bytes]) -> list[list[np.ndarray]]:
    """Of each prefixed term the rows that have it, stretch by stretch; unpacked at once, as that costs by the call."""
    begins = _begins(terms)
    found = [(part, *where) for part in parts for where in part.places(terms, begins)]
    rows: list[list[np.ndarray]] = [[] for _ in terms]
    if not found:
        return rows
    streams, counts = zip(*(part.part(place) for part, _, place in found), strict=True)
    totals = np.cumsum(_unpacked(np.concatenate(streams)))
    before = start = 0
    for (part, number, _), count in zip(found, counts, strict=True):
        numbers = totals[start : start + count]
        rows[number].append(part.rows[numbers - before])
        start, before = start + count, int(numbers[-1])
    return rows


def _begins(terms: Sequence[bytes]) -> np.ndarray:
    """The first bytes of terms, which are made as long by zeros, as numbers, which sort as they do: uint64."""
    return np.array(terms, f"S{BEGIN}").view(f">u{BEGIN}").astype(np.uint64)


def newer(found: Mapping[str, Sequence[np.ndarray]], after: int) -> dict[str, np.ndarray]:
    """What is found of each term in one array, after a log position; without the terms that are in none."""
    joined = {term: np.concatenate(parts) for term, parts in found.items()}
    bound = (after + 1) << PASSAGE_BITS
    return {term: rows for term, rows in ((t, rows[rows >= bound]) for t, rows in joined.items()) if len(rows)}


def merged(parts: Sequence[Postings], without: Set[int] = frozenset()) -> Postings:
    """The postings of all stretches in one, but for some log positions."""
    known = sorted(set().union(*(part.terms() for part in parts)))
    places = {term: place for place, term in enumerate(known)}
    rows = np.concatenate([part.rows for part in parts])
    ids, numbers, before = [], [], 0
    for part in parts:
        counts, own = part.numbers()
        ids.append(np.repeat(np.array([places[term] for term in part.terms()], np.int64), counts))
        numbers.append(own + before)
        before += len(part.rows)
    return _sorted(known, rows, np.concatenate(ids), np.concatenate(numbers), without)


def _sorted(terms: list[bytes], rows: np.ndarray, ids: np.ndarray, numbers: np.ndarray, without: Set[int]) -> Postings:
    """Of (term, row) pairs in any order, by their numbers."""
    kept = ~np.isin(rows >> PASSAGE_BITS, list(without)) if without else np.ones(len(rows), bool)
    order = np.flatnonzero(kept)[np.argsort(rows[kept], kind="stable")]
    renumbered = np.full(len(rows), -1, np.int64)
    renumbered[order] = np.arange(len(order))
    numbers = renumbered[numbers]
    pairs = np.sort(((ids << 32) | numbers)[numbers >= 0])
    counts = np.bincount(pairs >> 32, minlength=len(terms))
    left = [term for term, count in zip(terms, counts.tolist(), strict=True) if count]
    return Postings.of(left, rows[order], counts[counts > 0], pairs & 0xFFFFFFFF)


# ---- numbers as bytes, seven bits each, the last without its eighth


def _packed(numbers: np.ndarray) -> np.ndarray:
    sizes = np.ones(len(numbers), np.int64)
    for bits in range(7, 64, 7):
        longer = numbers >= 1 << bits
        if not longer.any():
            break
        sizes += longer
    starts = np.cumsum(sizes) - sizes
    out = np.zeros(int(sizes.sum()), np.uint8)
    for place in range(int(sizes.max(initial=0))):
        some = sizes > place
        more = np.where(sizes[some] > place + 1, 128, 0)
        out[starts[some] + place] = (numbers[some] >> 7 * place & 127) | more
    return out


def _numbers(data: bytes) -> np.ndarray:
    return _unpacked(np.frombuffer(data, np.uint8))


def _unpacked(data: np.ndarray) -> np.ndarray:
    ends = np.flatnonzero(data < 128)
    if len(ends) == len(data):
        return data.astype(np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    sizes = ends - starts + 1
    numbers = (data[starts] & 127).astype(np.int64)
    for place in range(1, int(sizes.max())):
        some = sizes > place
        numbers[some] |= (data[starts[some] + place] & 127).astype(np.int64) << 7 * place
    return numbers
