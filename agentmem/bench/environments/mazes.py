"""`agentmem bench environments mazes`: a trained policy in T-mazes, by length, beside models that are trained for it.

Knows policies, trainings and the T-maze.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from itertools import groupby, product
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import gymnasium

import agentmem_envs  # noqa: F401
from agentmem.bench.arguments import bars, new_folder
from agentmem.bench.environments.ahead import Ended, played
from agentmem.bench.environments.kept import check_kept, spread
from agentmem.bench.environments.options import IMITATION, MAZE, MAZES, OURS
from agentmem.bench.environments.peers import bytes_of_state
from agentmem.bench.environments.row import Row, made_once, trained
from agentmem.errors import InvalidInputError
from agentmem.policy import PolicyLM, load_trained
from agentmem.policy.fits import check_acts
from agentmem.policy.step_network import StepNetwork
from agentmem.rollout.making import about, maker

if TYPE_CHECKING:
    from rich.progress import Progress

ENV = MAZES[MAZE].env


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Raises InvalidInputError for a policy that is none of steps, or of another environment, and as `row`."""
    policy = _policy(asked)
    if asked.models and not asked.out:
        raise InvalidInputError(f"--models {','.join(asked.models)}: give --out DIR too, where results are kept")
    wanted = [Row(MAZE, model, IMITATION, seed, asked.steps) for model, seed in product(asked.models, asked.seeds)]
    for each in wanted:
        check_kept(each.file(asked.out), {**asdict(each), **_played_of(asked)})
    with new_folder(asked.out) if wanted else nullcontext(), bars() as bar:
        rows = [{"model": asked.policy, **one} for one in _rows(policy, asked, bar)]
        for each in wanted:
            rows += _trained_rows(each, asked, bar)
    return {"policy": asked.policy, "rows": rows}


def _policy(asked: argparse.Namespace) -> PolicyLM:
    policy = load_trained(asked.policy)
    if not isinstance(policy, PolicyLM):
        raise InvalidInputError(f"--policy {asked.policy} chooses calls and walks no maze: name one of steps, as tmaze")
    check_acts(policy, asked.policy, ENV, about(maker(ENV, {"length": asked.lengths[0]})))
    return policy


def _trained_rows(each: Row, asked: argparse.Namespace, bar: Progress) -> list[dict[str, Any]]:
    def result(unfinished: Path) -> dict[str, Any]:
        task = bar.add_task(f"{each.name}, training", total=1.0)
        model, figures = trained(each, unfinished, lambda done: bar.update(task, completed=done))
        bar.remove_task(task)
        return {**figures, "rows": _rows(model, asked, bar)}

    made = made_once(each, _played_of(asked), asked.out, result)
    same = {name: made[name] for name in ("model", "seed", "steps")}
    return [{**same, "training_seconds": made["seconds"], **one} for one in made["rows"]]


def _played_of(asked: argparse.Namespace) -> dict[str, Any]:
    return {"lengths": list(asked.lengths), "episodes": asked.episodes}


def _rows(network: StepNetwork, asked: argparse.Namespace, bar: Progress) -> list[dict[str, Any]]:
    return [_row(network, length, asked.episodes, bar) for length in asked.lengths]


def _row(network: StepNetwork, length: int, episodes: int, bar: Progress) -> dict[str, Any]:
    ended: dict[str, Ended] = {}
    began = time.process_time()
    env = gymnasium.make(ENV, length=length).unwrapped
    arms = [str(env.reset(seed=seed)[0].tolist()) for seed in range(episodes)]
    task = bar.add_task(f"{length:,} steps", total=length * len(set(arms)))
    for arm in dict.fromkeys(arms):
        ended[arm] = played(network, env, arms.index(arm), partial(_shown, bar, task, len(ended) * length))
    bar.remove_task(task)
    returns = [ended[arm].reward for arm in arms]
    return {
        "length": length, "n": episodes, "return_mean": sum(returns) / episodes,
        "solved": sum(each == 1 for each in returns) / episodes, "episodes_played": len(ended),
        "bytes": max(bytes_of_state(each.state) for each in ended.values()),
        "seconds": round(time.process_time() - began, 1),
    }  # fmt: skip


def _shown(bar: Any, task: Any, before: int, steps: int) -> None:
    bar.update(task, completed=before + steps)


def markdown(results: Mapping[str, Any]) -> str:
    """A line for each length and model, means and ranges of its trainings."""
    models = list(dict.fromkeys(one["model"] for one in results["rows"]))
    ordered = sorted(results["rows"], key=lambda one: (one["length"], models.index(one["model"])))
    said = [
        "| corridor | model | trainings | n | solved | return | bytes | processor-seconds |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for _, group in groupby(ordered, key=lambda one: (one["length"], one["model"])):
        said.append(_line(list(group)))
    return "\n".join(said)


def _line(rows: Sequence[Mapping[str, Any]]) -> str:
    one = rows[0]
    model = f"**{one['model']}**" if one["model"] == OURS else one["model"]
    solved, returned = (spread([each[name] for each in rows], "{:.3f}") for name in ("solved", "return_mean"))
    size, seconds = max(each["bytes"] for each in rows), mean(each["seconds"] for each in rows)
    told = f"{one['length']:,} | {model} | {len(rows)} | {one['n']} | {solved} | {returned}"
    return f"| {told} | {size:,} | {seconds:,.1f} |"
