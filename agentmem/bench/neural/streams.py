"""The streams of the recall task that arguments ask for, checked before anything is run.

Knows sizes of the recall task. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks.key_value import LENGTH, RecallTask
from agentmem.neural.tasks.layout import KEY
from agentmem.neural.tasks.task import SYMBOLS

KEYS = SYMBOLS**KEY
"""Different keys that facts of one stream can have."""
SPARSE, DENSE = 1_000, 100
"""Tokens to a fact."""


def tasks(tokens: Sequence[int], facts: Sequence[int]) -> list[RecallTask]:
    """One for each pair, each once; a single number on one side goes with all of the other.

    Raises InvalidInputError for numbers that do not pair up, and for facts that do not fit.
    """
    tokens = list(tokens) * len(facts) if len(tokens) == 1 else list(tokens)
    facts = list(facts) * len(tokens) if len(facts) == 1 else list(facts)
    if len(tokens) != len(facts):
        raise InvalidInputError(
            f"{len(tokens)} numbers of tokens and {len(facts)} of facts: give as many of both, or one of either"
        )
    return [task(*pair) for pair in dict.fromkeys(zip(tokens, facts, strict=True))]


def task(tokens: int, facts: int) -> RecallTask:
    """Raises InvalidInputError for facts that do not fit, and for a stream that is too short for one."""
    most = tokens // LENGTH
    if most < 1:
        raise InvalidInputError(f"--tokens {tokens}: a fact has {LENGTH} tokens; give so many or more")
    if facts > KEYS <= most:
        raise InvalidInputError(f"--facts {facts}: there are {KEYS:,} different keys; give so many or fewer")
    if facts > most:
        longer = f", or --tokens {facts * LENGTH} or more" if facts <= KEYS else ""
        raise InvalidInputError(
            f"--facts {facts}: {facts:,} facts of {LENGTH} tokens do not fit into --tokens {tokens}, "
            f"{most:,} are the most; give so many or fewer{longer}"
        )
    return RecallTask(tokens, facts)


def usual_facts(tokens: int, every: int) -> int:
    """A fact for `every` tokens, as far as there are keys."""
    return min(KEYS, max(1, tokens // every))
