"""`agentmem bench neural quantisation`: recall by bits of a number, and by bytes of atoms under smaller budgets.

Knows a stream's atoms before they were packed. One stream is written once; the rest is replayed from its atoms.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from agentmem.bench.neural import ages, charts
from agentmem.bench.neural.checkpoint import Measured, budget_of, with_room
from agentmem.bench.neural.replays import Rule, evicted
from agentmem.bench.neural.spread import means, of_seeds
from agentmem.bench.neural.streams import DENSE, SPARSE, tasks, usual_facts
from agentmem.bench.recall.tables import short, table, wrapped
from agentmem.errors import InvalidInputError
from agentmem.neural.measure import Watch, Wide, written
from agentmem.neural.quantise import Precision
from agentmem.neural.settings import ATOM, METADATA, CrystalSettings
from agentmem.neural.tasks.key_value import Facts, RecallTask
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State

BITS: Mapping[Precision, int] = {"sign": 1, "int8": 8, "float": 32}
NAMES: Mapping[Precision, str] = {"sign": "1 bit", "int8": "int8", "float": "fp32"}
PARTS = (1, 2, 4, 8)


def check(options: argparse.Namespace) -> None:
    """Raises InvalidInputError for facts that do not fit, and for streams with too few atoms to cut."""
    _tasks(options)
    least = 2 * PARTS[-1] * CrystalSettings().spans[ATOM]
    if options.tokens < least:
        raise InvalidInputError(f"--tokens {options.tokens} has no two atoms in an eighth; give {least:,} or more")


def _tasks(options: argparse.Namespace) -> list[RecallTask]:
    usual = dict.fromkeys(usual_facts(options.tokens, every) for every in (SPARSE, DENSE))
    return tasks([options.tokens], options.facts or list(usual))


def measure(model: Measured, options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    roomy = with_room(model.model, options.tokens)
    runs = [
        row
        for task in _tasks(options)
        for seed in options.seed
        for row in _run(roomy, task, seed, options.questions, progress)
    ]
    settings = {
        "tokens": options.tokens,
        "questions": options.questions,
        "seeds": options.seed,
        "budget": budget_of(roomy),
    }
    return {"settings": {**model.settings(), **settings}, "rows": list(_means(runs)), "runs": runs}


@torch.no_grad()
def _run(model: TokenModel, task: RecallTask, seed: int, questions: int, progress: Watch) -> Iterator[dict[str, Any]]:
    """The same questions to the same stream, at every precision and budget."""
    stream, facts = task.stream(1, torch.Generator().manual_seed(seed))
    doing = f"{task.facts:,} facts, seed {seed}"
    state, wide = written(model, stream, lambda _, done: progress(doing, done * 0.7))
    about = {"facts": task.facts, "seed": seed}
    for precision in BITS:
        told = _precise(model, state, wide, precision, facts, questions, seed)
        size = _bytes(state.memory.settings, state.memory.atoms.shape[1], BITS[precision])
        yield {**about, "kind": "precision", "name": NAMES[precision], "atom_bytes": size, "exact": _share(told)}
    for number, part in enumerate(PARTS):
        smaller = _cut(state, part)
        told = ages.remembered(model, smaller, facts, questions, torch.Generator().manual_seed(seed))
        row = {"kind": "budget", "name": f"1/{part}" if part > 1 else "all"}
        progress(doing, 0.7 + 0.3 * (number + 1) / len(PARTS))
        yield {**about, **row, "atom_bytes": smaller.memory.atom_bytes, "exact": _share(told)}


def _precise(
    model: TokenModel, state: State, wide: Wide, precision: Precision, facts: Facts, questions: int, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return ages.remembered(model, state, facts, questions, generator, wide.view(state, precision))


def _cut(state: State, part: int) -> State:
    """The stream as it would be with a budget of one part of its atoms' bytes."""
    settings = state.memory.settings
    rule = Rule(state.memory.atom_bytes // part, settings.tau, settings.exponent)
    return replace(state, memory=evicted(state.memory, rule))


def _bytes(settings: CrystalSettings, atoms: int, bits: int) -> int:
    return atoms * (settings.code_bits * bits // 8 + METADATA)


def _share(told: Tensor) -> float:
    return float(told.double().mean())


def _means(runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Over seeds."""
    for key in dict.fromkeys((one["facts"], one["kind"], one["name"]) for one in runs):
        same = [one for one in runs if (one["facts"], one["kind"], one["name"]) == key]
        figures = means(same, ("atom_bytes", "exact"))
        yield dict(zip(("facts", "kind", "name"), key, strict=True)) | figures | {"streams": len(same)}


def markdown(results: Mapping[str, Any]) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    settings = results["settings"]
    yield from ("# Bits, bytes and recall of the neural memory", "")
    yield from wrapped(
        f"{settings['checkpoint']}, {settings['parameters']:,} parameters. Streams of {settings['tokens']:,} tokens, "
        f"{of_seeds(settings['seeds'])}, {settings['questions']} questions to each, or as many as there are facts."
    )
    titles = {"precision": "Bits of a number", "budget": "Bytes of 1-bit atoms, the rest evicted"}
    for kind, title in titles.items():
        rows = [one for one in results["rows"] if one["kind"] == kind]
        yield from ("", f"## {title}", "")
        yield from table(["facts", kind, "atoms, bytes", "exact"], [
            [f"{one['facts']:,}", one["name"], f"{one['atom_bytes']:,.0f}", short(one["exact"])] for one in rows
        ])  # fmt: skip


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"recall-bytes.png": charts.by_bytes(results["rows"])}
