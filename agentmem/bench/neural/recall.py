"""`agentmem bench neural recall`: exact answers after long streams, at what bytes and cost, beside peers.

Knows the recall task, the model and peers. A stream is of one task and seed; several are told as means and spread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from math import ceil
from typing import Any

import torch

from agentmem.bench.neural import ages, charts
from agentmem.bench.neural.checkpoint import Measured, budget_of, with_room
from agentmem.bench.neural.options import SECONDS
from agentmem.bench.neural.peer_recall import PeerRecallTraining, peer_recalled
from agentmem.bench.neural.peers import Peer, build
from agentmem.bench.neural.spread import means, spread, with_deviations
from agentmem.bench.neural.streams import DENSE, tasks, usual_facts
from agentmem.bench.recall.tables import short, table, wrapped
from agentmem.errors import InvalidInputError
from agentmem.neural.measure import Watch, written
from agentmem.neural.recalled import recalled
from agentmem.neural.tasks.key_value import LENGTH, RecallTask
from agentmem.neural.train import Trainer, TrainSettings

FIGURES = ("exact", "exact_int8", "exact_fp32", "latest", "earlier")
ASKED = ("asked", "asked_latest", "asked_earlier")
COSTS = ("atom_bytes", "resident_bytes", "memory_bytes", "write_us_per_token", "read_us_per_token")
TRAINED_AT = 903
"""Tokens of the longest streams that peers are trained on, as ours are."""
OF_AN_AGE = 100
"""Questions to each group of ages."""


def check(options: argparse.Namespace) -> None:
    """Raises InvalidInputError for facts that do not fit, and for what belongs to peers without any."""
    if options.seconds and not options.peers:
        raise InvalidInputError(f"--seconds {options.seconds} is for peers to train; name some with --peers")
    _tasks(options)


def measure(model: Measured, options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    """Peers are built before anything is run, so that one that is missing is told at once."""
    wanted = _tasks(options)
    make = {name: partial(_built, model, name) for name in options.peers}
    for each in make.values():
        each()
    runs = [_run(model, each, seed, options.questions, progress) for each in wanted for seed in options.seed]
    peers = list(_raced(make, wanted, options, progress))
    results: dict[str, Any] = {"settings": {**model.settings(), "questions": options.questions, "seeds": options.seed}}
    results |= {"runs": runs, "rows": list(_rows(runs))}
    if peers:
        results["peers"] = peers
    if options.out:
        results["ages"] = _aged(model, wanted, options.seed, progress)
    return {**model.settings(), **runs[0], **results} if len(runs) == 1 else results


def _tasks(options: argparse.Namespace) -> list[RecallTask]:
    return tasks(options.tokens, options.facts or [usual_facts(each, DENSE) for each in options.tokens])


def _run(model: Measured, task: RecallTask, seed: int, questions: int, progress: Watch) -> dict[str, Any]:
    name = f"{task.horizon:,} tokens, {task.facts:,} facts, seed {seed}"
    roomy = with_room(model.model, task.horizon)
    found = recalled(roomy, task, questions, seed, lambda _, done: progress(name, done))
    per_token = found.memory_bytes / task.horizon
    return {**asdict(found), "seed": seed, "bytes_per_token": per_token, "budget": budget_of(roomy)}


# ---- peers


def _built(model: Measured, name: str) -> Peer:
    settings = model.model.settings
    return build(name, settings.vocabulary, model.parameters, settings.transformer.window)


def _raced(
    make: Mapping[str, Callable[[], Peer]],
    wanted: Sequence[RecallTask],
    options: argparse.Namespace,
    progress: Watch,
) -> Iterator[dict[str, Any]]:
    """Each peer, trained once on streams as dense as tasks are, and asked about every task of that density."""
    for shorter in dict.fromkeys(map(_shorter, wanted)):
        for name, fresh in make.items():
            peer, training = _trained(name, fresh(), shorter, options, progress)
            for task in wanted:
                if _shorter(task) == shorter:
                    yield {"peer": name, **training, **_asked(peer, task, options)}


def _shorter(task: RecallTask) -> RecallTask:
    horizon = min(TRAINED_AT, task.horizon)
    as_dense = ceil(task.facts * horizon / task.horizon)
    return replace(task, horizon=horizon, facts=max(1, min(as_dense, horizon // LENGTH)))


def _trained(
    name: str, peer: Peer, task: RecallTask, options: argparse.Namespace, progress: Watch
) -> tuple[Peer, dict[str, Any]]:
    """Also the running share of exact answers when its time was over, and the tokens that it had read."""
    settings = TrainSettings(options.seed[0], options.seconds or SECONDS)
    trainer = Trainer(peer, PeerRecallTraining(task), settings, lambda line: progress(name, line["done"]))
    done = trainer.train()
    return peer, {"exact_in_training": done.exact, "tokens_in_training": done.tokens}


def _asked(peer: Peer, task: RecallTask, options: argparse.Namespace) -> dict[str, Any]:
    """Means over streams, and each stream."""
    runs = [asdict(peer_recalled(peer, task, options.questions, each)) for each in options.seed]
    return {"seconds": options.seconds or SECONDS, **means(runs, list(runs[0])), "runs": runs}


# ---- by age


def _aged(model: Measured, wanted: Sequence[RecallTask], seeds: Sequence[int], progress: Watch) -> dict[str, Any]:
    """Of the longest stream, of every seed."""
    task = max(wanted, key=lambda each: each.horizon)
    roomy, runs = with_room(model.model, task.horizon), []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        stream, facts = task.stream(1, generator)
        doing = f"by age, seed {seed}"
        state, _ = written(roomy, stream, lambda _, done, doing=doing: progress(doing, done))  # type: ignore[misc]
        runs.append(ages.by_age(roomy, state, facts, OF_AN_AGE, generator))
    return {"tokens": task.horizon, "facts": task.facts, "groups": ages.as_json(ages.pooled(runs))}


# ---- told


def _rows(runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Means over seeds, with the standard deviation of figures where there are several; all that were asked."""
    for pair in dict.fromkeys((one["tokens"], one["facts"]) for one in runs):
        same = [one for one in runs if (one["tokens"], one["facts"]) == pair]
        row: dict[str, Any] = {"tokens": pair[0], "facts": pair[1], "streams": len(same)}
        row |= {name: sum(one[name] for one in same) for name in ASKED}
        yield row | with_deviations(same, FIGURES) | means(same, (*COSTS, "bytes_per_token", "budget"))


def markdown(results: Mapping[str, Any]) -> str:
    return "\n".join([*_head(results), *_answers(results), *_costs(results), *_peers(results), *_ages(results)]) + "\n"


def _head(results: Mapping[str, Any]) -> Iterator[str]:
    settings, streams = results["settings"], len(results["settings"]["seeds"])
    yield from ("# Recall by the neural memory", "")
    yield from wrapped(
        f"{settings['checkpoint']}, {settings['parameters']:,} parameters, made by `{settings['made_by']}`. "
        f"{settings['questions']} questions of each kind, or as many as there are facts, to each of {streams} "
        f"{'stream' if streams == 1 else 'streams'} of every size"
        f"{', ± standard deviation between streams' if streams > 1 else ''}. Chance is 1 in 4,096."
    )


def _answers(results: Mapping[str, Any]) -> Iterator[str]:
    titles = ("exact", "int8", "fp32", "latest", "earlier")
    yield from ("", "## Exact answers", "")
    yield from table(
        ["tokens", "facts", "asked", *titles],
        [[f"{row['tokens']:,}", f"{row['facts']:,}", " + ".join(f"{row[name]:,}" for name in ASKED),
          *(spread(row, name) for name in FIGURES)] for row in results["rows"]],
    )  # fmt: skip
    yield ""
    yield from wrapped(
        "exact: of 1-bit atoms, as they are kept; int8, fp32: of the same atoms with 8 and 32 bits a number. latest: "
        "the newest value of keys set anew, in a second stream; earlier: the value before, asked as of then. asked: "
        "questions of exact, of latest and of earlier; no fact is asked for twice."
    )


def _costs(results: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## What it costs", "")
    columns = ["tokens", "atoms, bytes", "budget", "resident", "bytes a token", "write µs a token", "read µs"]
    yield from table(columns, [
        [*(f"{row[name]:,.0f}" for name in ("tokens", "atom_bytes", "budget", "resident_bytes")),
         f"{row['bytes_per_token']:.2f}", f"{row['write_us_per_token']:.1f}", f"{row['read_us_per_token']:,.0f}"]
        for row in results["rows"]
    ])  # fmt: skip
    yield ""
    yield from wrapped(
        "Processor time on one thread. resident: atoms, recent crystals and open states; bytes a token: these and "
        "the transformer's windows. read: a token of a question, read with all of the memory in reach."
    )


def _peers(results: Mapping[str, Any]) -> Iterator[str]:
    if "peers" not in results:
        return
    seconds = results["peers"][0]["seconds"]
    yield from ("", f"## Beside peers, each trained for {seconds} processor-seconds", "")
    ours = [{"peer": "agentmem", **row} for row in results["rows"]]
    columns = ["", "tokens", "facts", "exact", "in training", "bytes a token", "write µs a token", "read µs"]
    yield from table(columns, [
        [one["peer"], f"{one['tokens']:,.0f}", f"{one['facts']:,.0f}", short(one["exact"]),
         short(one["exact_in_training"]) if "exact_in_training" in one else "-", f"{one['bytes_per_token']:.2f}",
         f"{one['write_us_per_token']:.1f}", f"{one['read_us_per_token']:,.0f}"]
        for one in [*ours, *results["peers"]]
    ])  # fmt: skip
    yield ""
    yield from wrapped(
        f"As many parameters and as long a window each. in training: the running share of exact answers when it ended, "
        f"on streams of {TRAINED_AT:,} tokens or fewer. agentmem is the checkpoint, trained by its own command."
    )


def _ages(results: Mapping[str, Any]) -> Iterator[str]:
    if "ages" not in results:
        return
    told = results["ages"]
    yield from ("", f"## By age of the fact, after {told['tokens']:,} tokens with {told['facts']:,} facts", "")
    yield from table(
        ["tokens before", "exact", "asked"],
        [[f"{one['above']:,} - {one['upto']:,}", short(one["exact"]), str(one["asked"])] for one in told["groups"]],
    )
    yield ""
    yield from wrapped(f"Questions of their own: {OF_AN_AGE} of each group and stream, or as many as it has facts.")


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {"recall-age.png": charts.by_age(results["settings"]["checkpoint"], results["ages"])}
