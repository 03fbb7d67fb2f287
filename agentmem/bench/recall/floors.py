"""What a memory must beat: whole steps, packed into the same budget in some order of preference.

Newest first, by BM25, by SQLite's FTS5 alone, by the encoder alone, by BM25 and encoder together (verbatim hybrid
retrieval), and at random. Knows histories and token counts; no memory. All floors print a step in one way,
"[time] actor: text", and pack alike, so that they differ in their order alone. Word statistics are of the whole
history, whenever a question is asked.
"""

from __future__ import annotations

import math
import random
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from agentmem.bench.evidence import words
from agentmem.bench.recall.histories import History, Step
from agentmem.bench.recall.system import Build, Built
from agentmem.encode import DEFAULT, resolve
from agentmem.errors import InvalidInputError, MissingExtraError
from agentmem.types import CountTokens

LEFT = 8
"""Tokens left with which packing stops."""
SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def render(step: Step) -> str:
    when = f"[{step.time}] " if step.time else ""
    return f"{when}{step.actor or step.kind}: {step.text}"


class Newest:
    """The floor every agent has: the newest steps that fit. The others change `order` and no more."""

    name = "newest"

    def __init__(self, steps: Sequence[Step], count: CountTokens) -> None:
        self.steps, self.lines, self._count = steps, [render(step) for step in steps], count
        self._costs: dict[int, int] = {}
        self._ordered: tuple[str, int, list[int]] = "", -1, []

    def order(self, cue: str, upto: int) -> Iterable[int]:
        """Places of the first `upto` steps, best first."""
        return range(upto - 1, -1, -1)

    def ranked(self, cue: str, upto: int) -> list[int]:
        """`order`, remembered for the next budget."""
        if self._ordered[:2] != (cue, upto):
            self._ordered = cue, upto, list(self.order(cue, upto))
        return self._ordered[2]

    def recall(self, cue: str, budget: int, upto: int) -> str:
        """Whole lines in log order, at most `budget` tokens with their line breaks."""
        chosen: list[int] = []
        for place in self.ranked(cue, upto):
            if (cost := self._cost(place)) <= budget:
                chosen.append(place)
                budget -= cost
                if budget < LEFT:
                    break
        return "\n".join(self.lines[place] for place in sorted(chosen))

    def _cost(self, place: int) -> int:
        if place not in self._costs:
            self._costs[place] = self._count(self.lines[place]) + 1
        return self._costs[place]

    def kept(self, place: int, upto: int) -> str:
        return self.steps[place].text

    def close(self) -> None:
        pass

    def sizes(self) -> dict[str, int]:
        """Bytes: of the lines as UTF-8, whatever can be made from them again left out."""
        return {"text": sum(len(line.encode("utf-8", "surrogatepass")) for line in self.lines)}


class Random(Newest):
    """Steps in an order that depends on the cue's letters alone: random text of the same size."""

    name = "random"

    def order(self, cue: str, upto: int) -> Iterable[int]:
        return random.Random(cue).sample(range(upto), upto)


class BM25(Newest):
    """Okapi BM25 (Robertson et al. 1994), k1 = 1.2, b = 0.75, over whole steps; only steps that share a word."""

    name = "bm25"

    def __init__(self, steps: Sequence[Step], count: CountTokens) -> None:
        super().__init__(steps, count)
        postings: dict[str, list[tuple[int, int]]] = {}
        bags = [Counter(words(line)) for line in self.lines]
        for place, bag in enumerate(bags):
            for word, times in bag.items():
                postings.setdefault(word, []).append((place, times))
        self._postings = {word: np.array(found) for word, found in postings.items()}
        lengths = np.array([bag.total() for bag in bags], float)
        self._norm = 1.2 * (0.25 + 0.75 * lengths / max(1.0, lengths.mean() if bags else 1.0))

    def order(self, cue: str, upto: int) -> Iterable[int]:
        scores = self.scores(cue)[:upto]
        return [place for place in best_first(scores) if scores[place] > 0]

    def scores(self, cue: str) -> np.ndarray:
        """float [n], 0 for a step without a word of the cue."""
        scores = np.zeros(len(self.lines))
        for word in sorted(set(words(cue)) & self._postings.keys()):
            place, times = self._postings[word].T
            rarity = math.log(1 + (len(scores) - len(place) + 0.5) / (len(place) + 0.5))
            scores[place] += rarity * times * 2.2 / (times + self._norm[place])
        return scores


class FTS5(Newest):
    """SQLite's FTS5 as it comes: its bm25(), its Porter stemmer, any word of the cue."""

    name = "fts5"

    def __init__(self, steps: Sequence[Step], count: CountTokens) -> None:
        super().__init__(steps, count)
        self._file = sqlite3.connect(":memory:")
        try:
            self._file.execute("CREATE VIRTUAL TABLE steps USING fts5(text, tokenize='porter unicode61')")
        except sqlite3.OperationalError as error:
            raise InvalidInputError(
                f"this Python's SQLite has no FTS5 ({error}); leave fts5 out of --systems"
            ) from error
        rows = enumerate(line.encode("utf-8", "replace").decode() for line in self.lines)
        self._file.executemany("INSERT INTO steps(rowid, text) VALUES(?, ?)", rows)

    def order(self, cue: str, upto: int) -> Iterable[int]:
        wanted = " OR ".join(f'"{word}"' for word in dict.fromkeys(words(cue)))
        sql = "SELECT rowid FROM steps WHERE steps MATCH ? AND rowid < ? ORDER BY bm25(steps), rowid"
        return [place for (place,) in self._file.execute(sql, (wanted, upto))] if wanted else []

    def sizes(self) -> dict[str, int]:
        pages, size = (self._file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return {"database": pages * size}

    def close(self) -> None:
        self._file.close()


class Dense(Newest):
    """Cosine of the memory's own default encoder, whole steps, float32; no codes."""

    name = "dense"

    def __init__(self, steps: Sequence[Step], count: CountTokens) -> None:
        super().__init__(steps, count)
        encoder = resolve(DEFAULT)
        if encoder is None:
            raise MissingExtraError("the default encoder is not installed: pip install wordllama")
        self._encoder, self._vectors = encoder, unit(encoder.encode(self.lines))

    def order(self, cue: str, upto: int) -> Iterable[int]:
        return best_first(self.scores(cue)[:upto])

    def scores(self, cue: str) -> np.ndarray:
        return np.asarray(self._vectors @ unit(self._encoder.encode([cue]))[0], float)

    def sizes(self) -> dict[str, int]:
        return super().sizes() | {"vectors": self._vectors.nbytes}


class Hybrid(Newest):
    """Verbatim hybrid retrieval: the sum of the z-scores of `BM25` and `Dense` over the steps known by then."""

    name = "hybrid"

    def __init__(self, steps: Sequence[Step], count: CountTokens) -> None:
        super().__init__(steps, count)
        self._parts = BM25(steps, count), Dense(steps, count)

    def order(self, cue: str, upto: int) -> Iterable[int]:
        return best_first(sum((zscore(part.scores(cue)[:upto]) for part in self._parts), np.zeros(upto)))

    def sizes(self) -> dict[str, int]:
        return self._parts[1].sizes()


class Sampled(BM25):
    """`BM25` over a random share of the log's sentences: what crystals of the same size must beat."""

    share = 0.1
    seed = 7

    def __init__(self, steps: Sequence[Step], count: CountTokens) -> None:
        rng = random.Random(self.seed)
        super().__init__([step._replace(text=self._some(step.text, rng)) for step in steps], count)

    def _some(self, text: str, rng: random.Random) -> str:
        return " ".join(part for part in SENTENCE.split(text) if part.strip() and rng.random() < self.share)


class Random10(Sampled):
    name = "random10"


class Random2(Sampled):
    name, share = "random2", 0.02


class Random1(Sampled):
    name, share = "random1", 0.01


FLOORS: dict[str, type[Newest]] = {
    kind.name: kind for kind in (Newest, BM25, FTS5, Dense, Hybrid, Random, Random10, Random2, Random1)
}
SIZED = {"unit": "random10", "cluster": "random2", "atom": "random1"}
"""layer -> the random text that is about as long."""


def builder(name: str) -> Build:
    """Builds the floor of a name in memory; its bytes are what it would have to store."""

    def build(history: History, folder: Path, count: CountTokens) -> Built:
        began = time.perf_counter()
        floor = FLOORS[name](history.steps, count)
        seconds = time.perf_counter() - began

        def close() -> Mapping[str, Mapping[str, int]]:
            sizes = floor.sizes()
            floor.close()
            return {name: sizes}

        return Built([floor], {"build": seconds}, close)

    return build


def best_first(scores: np.ndarray) -> list[int]:
    """Places by falling score, equal ones in log order."""
    order: list[int] = np.argsort(-scores, kind="stable").tolist()
    return order


def unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def zscore(values: np.ndarray) -> np.ndarray:
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))
