"""`agentmem bench neural decay`: which atoms to evict, by which importance and which decay, at equal bytes.

Knows streams, rules of eviction and what is recalled after them. Decay is fitted on one stream and told of others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from agentmem.bench.neural import ages, charts
from agentmem.bench.neural.ages import Age
from agentmem.bench.neural.checkpoint import Measured, with_room
from agentmem.bench.neural.histories import BY_READING, IMPORTANCES, History, after, history
from agentmem.bench.neural.options import EXPONENTS, TAUS
from agentmem.bench.neural.replays import Rule
from agentmem.bench.neural.spread import means, of_seeds
from agentmem.bench.neural.streams import task, usual_facts
from agentmem.bench.recall.tables import short, table, wrapped
from agentmem.errors import InvalidInputError
from agentmem.neural.measure import Watch
from agentmem.neural.settings import ATOM, CrystalSettings
from agentmem.neural.tasks.key_value import RecallTask
from agentmem.neural.tokens import TokenModel

PART = 4
"""Of the stream's atoms, one in so many is kept."""
FEWEST = 4
DECAYS = ("none", "fixed", "fitted")


def check(options: argparse.Namespace) -> None:
    """Raises InvalidInputError for facts that do not fit, too short streams, and a seed for two things."""
    if options.fit_on in options.seed:
        raise InvalidInputError(f"--fit-on {options.fit_on} is among the seeds that are told; give another")
    least = 2 * PART * CrystalSettings().spans[ATOM]
    if options.tokens < least:
        raise InvalidInputError(f"--tokens {options.tokens} has no two atoms in a quarter; give {least:,} or more")
    if _task(options).facts < FEWEST:
        raise InvalidInputError(f"--facts {options.facts}: {FEWEST} or more are needed, two of them in the first half")


def _task(options: argparse.Namespace) -> RecallTask:
    return task(options.tokens, options.facts or max(FEWEST, usual_facts(options.tokens, PART * 100)))


@torch.no_grad()
def measure(model: Measured, options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    roomy = with_room(model.model, options.tokens)
    fitted = _fitted(roomy, options, progress)
    told = []
    for seed in options.seed:
        doing = f"seed {seed}"
        one = history(roomy, _task(options), seed, options.questions, lambda _, d: progress(doing, d / 2))  # noqa: B023
        for number, importance in enumerate(IMPORTANCES):
            rules = _rules(roomy, one, fitted[importance])
            told += [_row(roomy, one, importance, decay, rule, options.questions) for decay, rule in rules.items()]
            progress(doing, 0.5 + 0.5 * (number + 1) / len(IMPORTANCES))
    wanted = _task(options)
    settings = {"tokens": wanted.horizon, "facts": wanted.facts, "questions": options.questions}
    settings |= {"seeds": options.seed, "fit_on": options.fit_on, "budget_bytes": told[0]["atom_bytes"]}
    return {"settings": {**model.settings(), **settings}, "rows": list(_means(told)), "runs": told}


def _fitted(model: TokenModel, options: argparse.Namespace, progress: Watch) -> dict[str, Rule]:
    """For each importance the rule of the grid that recalls most, of late, on a stream that is not told of."""
    one = history(model, _task(options), options.fit_on, options.questions, lambda _, d: progress("fitting", d / 4))
    grid = [Rule(_budget(one), tau, exponent) for tau in TAUS for exponent in EXPONENTS]
    best = {}
    for number, importance in enumerate(IMPORTANCES):
        scores = []
        for place, rule in enumerate(grid):
            scores.append(ages.of_late(_aged(model, one, importance, rule, options.questions)))
            progress("fitting", 0.25 + 0.75 * (number + (place + 1) / len(grid)) / len(IMPORTANCES))
        best[importance] = grid[scores.index(max(scores))]
    return best


def _rules(model: TokenModel, one: History, fitted: Rule) -> dict[str, Rule]:
    crystal = model.settings.transformer.crystal
    fixed = Rule(_budget(one), crystal.tau, crystal.exponent)
    return dict(zip(DECAYS, (Rule(_budget(one), crystal.tau, 0.0), fixed, fitted), strict=True))


def _budget(one: History) -> int:
    """A quarter of the atoms, in bytes."""
    memory = one.state.memory
    return memory.atoms.shape[1] // PART * memory.settings.atom_bytes


def _aged(model: TokenModel, one: History, importance: str, rule: Rule, questions: int) -> list[Age]:
    state = after(model, one, importance, rule)
    return ages.by_age(model, state, one.facts, questions, torch.Generator().manual_seed(one.seed))


def _row(model: TokenModel, one: History, importance: str, decay: str, rule: Rule, questions: int) -> dict[str, Any]:
    state = after(model, one, importance, rule)
    generator = torch.Generator().manual_seed(one.seed)
    found = ages.by_age(model, state, one.facts, questions, generator)
    row: dict[str, Any] = {"importance": importance, "decay": decay, "seed": one.seed}
    row |= {"tau": rule.tau, "exponent": rule.exponent, "atom_bytes": state.memory.atom_bytes}
    row |= {"all": ages.of_all(found), "late": ages.of_late(found)}
    for name, which in (("asked", one.asked), ("unasked", one.unasked)):
        told = ages.remembered(model, state, ages.chosen(one.facts, which), questions, generator)
        row[name] = float(told.double().mean())
    return {**row, "ages": ages.as_json(found)}


def _means(told: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Over seeds."""
    for key in dict.fromkeys((one["importance"], one["decay"]) for one in told):
        same = [one for one in told if (one["importance"], one["decay"]) == key]
        row = {name: same[0][name] for name in ("importance", "decay", "tau", "exponent")}
        row |= means(same, ("atom_bytes", "all", "late", "asked", "unasked"))
        pooled = ages.pooled([[Age(**each) for each in one["ages"]] for one in same])
        yield {**row, "streams": len(same), "ages": ages.as_json(pooled)}


def markdown(results: Mapping[str, Any]) -> str:
    return "\n".join([*_head(results), *_rows(results), *_by_age(results), *_reading(results)]) + "\n"


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    settings = results["settings"]
    yield from ("# What the neural memory should evict", "")
    yield from wrapped(
        f"{settings['checkpoint']}, {settings['parameters']:,} parameters. Streams of {settings['tokens']:,} tokens "
        f"with {settings['facts']:,} facts, {of_seeds(settings['seeds'])}; "
        f"{settings['budget_bytes']:,} bytes of atoms, a quarter of all. Decay was fitted on seed {settings['fit_on']}."
    )


def _rows(results: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Exact answers", "")
    yield from table(["importance", "decay", "tau", "exponent", "all", "late"], [
        [one["importance"], one["decay"], f"{one['tau']:,.0f}" if one["exponent"] else "-",
         f"{one['exponent']:g}" if one["exponent"] else "-", short(one["all"]), short(one["late"])]
        for one in results["rows"]
    ])  # fmt: skip
    yield ""
    yield from wrapped(
        "all: every fact as likely to be asked for. late: every group of ages as likely, so that a fact's odds fall "
        "about as 1 / age; decay is fitted to this. surprise is the model's -log p without memory, by rank."
    )


def _by_age(results: Mapping[str, Any]) -> Iterator[str]:
    upto = [one["upto"] for one in results["rows"][0]["ages"]]
    yield from ("", "## By age of the fact, up to so many tokens", "")
    yield from table(["importance", "decay", *(f"{each:,}" for each in upto)], [
        [one["importance"], one["decay"], *(short(each["exact"]) for each in one["ages"])] for one in results["rows"]
    ])  # fmt: skip


def _reading(results: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Facts of the first half: those that were asked for half way, and the others", "")
    rows = [one for one in results["rows"] if one["importance"] in ("learned", BY_READING)]
    yield from table(["importance", "decay", "asked", "others"], [
        [one["importance"], one["decay"], short(one["asked"]), short(one["unasked"])] for one in rows
    ])  # fmt: skip
    yield ""
    yield from wrapped("Reading reinforces in the rows of `read` alone; the facts are the same in both.")


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"decay.png": charts.by_rule(results["rows"], DECAYS)}
