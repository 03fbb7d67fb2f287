"""The arguments that measurements of the neural memory share, and the checks that come before anything is run.

Knows words of the command line and sizes of the recall task. Knows nothing of models.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from agentmem.bench.arguments import positive
from agentmem.errors import InvalidInputError
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.tasks.layout import KEY
from agentmem.neural.tasks.task import SYMBOLS

UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
KEYS = SYMBOLS**KEY
"""Different keys that facts of one stream can have."""
SPARSE, DENSE = 1_000, 100
"""Tokens to a fact."""


def amount(text: str) -> int:
    """10k, 1m or 2500."""
    said = re.fullmatch(r"(\d{1,9})([km]?)", text.lower())
    if said is None or not int(said[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 1 or more; write 100k, 1m or 2500")
    return int(said[1]) * UNITS[said[2]]


def amounts(text: str) -> list[int]:
    """Amounts with commas between."""
    return [amount(part) for part in text.split(",")]


def one_seed(text: str) -> int:
    """A whole number."""
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; write a whole number of 0 or more")
    return int(text)


def seeds(text: str) -> list[int]:
    """Whole numbers with commas between, each once."""
    return list(dict.fromkeys(map(one_seed, text.split(","))))


def add_common(parser: argparse.ArgumentParser, questions: int, what: str) -> None:
    """Arguments of all measurements. questions: how many by default; what: of what there are so many."""
    add = parser.add_argument
    add("--questions", type=positive, default=questions, metavar="N", help=f"{what}; {questions}")
    add("--seed", type=seeds, default=[0], metavar="S,S", help="of streams and questions, one run each; 0")
    add_files(parser)


def add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="a model that TokenModel.save wrote; the package's own")
    add("--json", action="store_true", help="print results as JSON")
    add("--out", type=Path, metavar="DIR", help="write results.json, results.md and pictures here")


def tasks(tokens: Sequence[int], facts: Sequence[int]) -> list[RecallTask]:
    """One for each pair; a single number on one side goes with all of the other.

    Raises InvalidInputError for numbers that do not pair up, and for facts that do not fit.
    """
    tokens = list(tokens) * len(facts) if len(tokens) == 1 else list(tokens)
    facts = list(facts) * len(tokens) if len(facts) == 1 else list(facts)
    if len(tokens) != len(facts):
        raise InvalidInputError(
            f"{len(tokens)} numbers of tokens and {len(facts)} of facts: give as many of both, or one of either"
        )
    return [task(*pair) for pair in zip(tokens, facts, strict=True)]


def task(tokens: int, facts: int) -> RecallTask:
    """Raises InvalidInputError for facts that do not fit."""
    if facts > KEYS:
        raise InvalidInputError(f"--facts {facts}: there are {KEYS} different keys; give so many or fewer")
    return RecallTask(tokens, facts)


def usual_facts(tokens: int, every: int) -> int:
    """A fact for `every` tokens, as far as there are keys."""
    return min(KEYS, max(1, tokens // every))
