"""`agentmem bench neural cost`: what a token costs as the memory grows: written, read, and stepped one by one.

Knows a model and a stream. All sizes are measured in turns, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from agentmem.bench.neural import charts
from agentmem.bench.neural.checkpoint import Measured, any_measured, budget_of, with_room
from agentmem.bench.neural.streams import DENSE, task, usual_facts
from agentmem.bench.printed import told
from agentmem.bench.recall.tables import table, wrapped
from agentmem.neural.measure import CHUNK, TOGETHER, Watch
from agentmem.neural.tasks.key_value import Facts, RecallTask
from agentmem.neural.tasks.task import Questions
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State

KINDS = ("write", "read", "step")
STEPS = 10
"""Tokens stepped in a turn: a unit is made at one of them."""


load = any_measured


@dataclass(frozen=True)
class Reached:
    """A stream after so many tokens, and what comes next."""

    tokens: int
    state: State
    following: Tensor
    asked: Questions


def check(options: argparse.Namespace) -> None:
    """Raises InvalidInputError for a stream that cannot be."""
    _task(options)


def _task(options: argparse.Namespace) -> RecallTask:
    """A stream for the greatest size and what comes next, dense with facts."""
    tokens = max(options.sizes) + max(options.chunk, STEPS)
    return task(tokens, usual_facts(tokens, DENSE))


@torch.no_grad()
def measure(model: Measured, options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    roomy = with_room(model.model, _task(options).horizon)
    reached = _written(roomy, options, progress)
    taken: dict[tuple[int, str], list[float]] = {(each.tokens, kind): [] for each in reached for kind in KINDS}
    for turn in range(options.repeats + 1):
        for one in reached:
            for kind, times in _turn(roomy, one, options.chunk).items():
                taken[one.tokens, kind] += times if turn else []  # the first warms up
        progress("measuring", (turn + 1) / (options.repeats + 1))
    settings = {"repeats": options.repeats, "seed": options.seed, "chunk": options.chunk}
    settings["budget"] = budget_of(roomy)
    return {"settings": {**model.settings(), **settings}, "sizes": _rows(reached, taken)}


def _written(model: TokenModel, options: argparse.Namespace, progress: Watch) -> list[Reached]:
    """States are values: what is written after one leaves it as it is."""
    generator = torch.Generator().manual_seed(options.seed)
    stream, facts = _task(options).stream(1, generator)
    sizes, state, reached = sorted(set(options.sizes)), model.transformer.start(1), []
    ahead = max(options.chunk, STEPS)
    for size in sizes:
        for chunk in stream[:, state.position : size].split(CHUNK, 1):
            state = model.remember(chunk, state)
            progress("writing", state.position / sizes[-1])
        reached.append(Reached(size, state, stream[:, size : size + ahead], _asked(options, facts, generator)))
    return reached


def _asked(options: argparse.Namespace, facts: Facts, generator: torch.Generator) -> Questions:
    wanted = _task(options)
    return wanted.questions(facts, min(TOGETHER, wanted.askable), generator)


def _turn(model: TokenModel, one: Reached, chunk: int) -> dict[str, list[float]]:
    """Microseconds of each kind, once; of every step."""
    written, tokens = one.following[:, :chunk], one.asked.tokens
    steps, state = [], one.state
    for token in one.following[:, :STEPS].split(1, 1):
        begun = time.process_time()
        state = model.step(token, state)[1]
        steps.append((time.process_time() - begun) * 1e6)
    return {
        "write": [_took(lambda: model.remember(written, one.state)) / written.shape[1]],
        "read": [_took(lambda: model.ask(tokens, one.state)) / tokens.shape[1]],
        "step": steps,
    }


def _took(action: Callable[[], object]) -> float:
    begun = time.process_time()
    action()
    return (time.process_time() - begun) * 1e6


def _rows(reached: Sequence[Reached], taken: Mapping[tuple[int, str], list[float]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for one in reached:
        row: dict[str, Any] = {"tokens": one.tokens, "atom_bytes": one.state.memory.atom_bytes}
        for kind in KINDS:
            row[f"{kind}_us"] = told(median(taken[one.tokens, kind]))
            row[f"{kind}_ratio"] = row[f"{kind}_us"] / (rows or [row])[0][f"{kind}_us"]
        rows.append(row)
    return rows


def markdown(results: Mapping[str, Any]) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    settings = results["settings"]
    yield from ("# What a token costs as the neural memory grows", "")
    yield from wrapped(
        f"{settings['checkpoint']}, {settings['parameters']:,} parameters. Medians of {settings['repeats']} turns that "
        f"visit all sizes, processor time on one thread; chunks of {settings['chunk']:,} tokens; room for every atom."
    )
    yield ""
    columns = ["tokens before", "atoms, bytes", "write µs a token", "x", "read µs a token", "x", "step µs", "x"]
    yield from table(columns, [
        [f"{one['tokens']:,}", f"{one['atom_bytes']:,}",
         *(cell for kind in KINDS for cell in (f"{one[f'{kind}_us']:,.1f}", f"{one[f'{kind}_ratio']:.2f}"))]
        for one in results["sizes"]
    ])  # fmt: skip
    yield ""
    yield from wrapped(
        "read: ten questions at once, with all of the memory in reach. step: one token alone, written and read. "
        "x: of what it costs at the smallest size."
    )


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"cost-size.png": charts.by_size(results["sizes"])}
