"""Does a text hold the evidence, and the answer? Were the right sessions found? Words and ranks alone, no model judges.

Knows texts, word 3-grams and ranked names; nothing of where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import NamedTuple

from agentmem.bench.evidence import grams, words

SURVIVES = 0.8
"""The share of a step's word 3-grams that must stand in a text for the step to count as recalled."""
SHORT = 3
"""Steps of fewer words are no evidence: they stand in any text."""


class Text:
    """A text as it is searched."""

    def __init__(self, text: str) -> None:
        self.words = words(text)

    @cached_property
    def grams(self) -> set[tuple[str, ...]]:
        return grams(self.words)

    @cached_property
    def run(self) -> str:
        """All words between single spaces, so that a run of words is found only whole."""
        return f" {' '.join(self.words)} "

    @property
    def counts(self) -> bool:
        """Whether a step of this text can be evidence."""
        return len(self.words) >= SHORT

    def says(self, answer: Sequence[str]) -> bool:
        """Whether these words stand in the text in a row."""
        return f" {' '.join(answer)} " in self.run

    def holds(self, step: Text) -> bool:
        """Whether at least `SURVIVES` of the step's word 3-grams stand in the text."""
        return len(step.grams & self.grams) / len(step.grams) >= SURVIVES


class Asked(NamedTuple):
    """What a question wants: the evidence steps long enough to count, and the answer's words if a step states them."""

    evidence: Sequence[Text]
    answer: Sequence[str]

    @classmethod
    def of(cls, answer: str, evidence: Sequence[Text]) -> Asked:
        said = words(answer)
        stated = bool(said) and any(step.says(said) for step in evidence)
        return cls([step for step in evidence if step.counts], said if stated else ())

    def scores(self, text: Text, previous: Text | None) -> dict[str, float]:
        """evidence: share of the steps that the text holds; all: whether it holds every one; exact: whether it says the
        answer; luck: whether the previous question's text says it too. What cannot be asked is left out.
        """
        found: dict[str, float] = {}
        if self.evidence:
            share = sum(text.holds(step) for step in self.evidence) / len(self.evidence)
            found |= {"evidence": share, "all": float(share == 1)}
        if self.answer:
            found["exact"] = float(text.says(self.answer))
            if previous is not None:
                found["luck"] = float(previous.says(self.answer))
        return found


def session_scores(ranked: Sequence[str], corpus: Sequence[str], targets: Collection[str]) -> dict[str, float]:
    """recall_all@5, recall_any@5 and ndcg_any@10 as LongMemEval's src/retrieval/eval_utils.py defines them.

    ranked: sessions, best first. corpus: all of them. The gain is 1 for a target; the first two ranks are not
    discounted, rank r > 2 by log2 r.
    """
    first = ranked[:5]
    gains = [float(name in targets) for name in ranked[:10]]
    ideal = sorted((float(name in targets) for name in corpus), reverse=True)[:10]
    return {
        "recall_all@5": float(all(target in first for target in targets)),
        "recall_any@5": float(any(target in first for target in targets)),
        "ndcg_any@10": _gain(gains) / _gain(ideal) if any(ideal) else 0.0,
    }


def _gain(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(max(2, rank)) for rank, gain in enumerate(gains, 1))
