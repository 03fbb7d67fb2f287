"""`agentmem bench environments tasks`: the rows that are asked for, and their table. Knows rows; knows no model."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from statistics import mean
from typing import Any

from agentmem.bench.arguments import bars, new_folder
from agentmem.bench.environments import recurrent_ppo
from agentmem.bench.environments.kept import check_kept, spread
from agentmem.bench.environments.options import IMITATION, OURS, RECURRENT_PPO
from agentmem.bench.environments.row import Row, maker_of, row
from agentmem.errors import InvalidInputError

HEAD = "| task | model | protocol | seeds | return | above 0 | steps | processor-seconds | parameters | bytes |"


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Train what the folder has not, task by task. Raises InvalidInputError as `row`, and before anything is trained
    where nothing can be.
    """
    models = [each for each in asked.models if each != RECURRENT_PPO or asked.by != IMITATION]
    if not models:
        raise InvalidInputError(f"--models {RECURRENT_PPO} imitates nobody: give --by ppo, or other models")
    for task in asked.tasks:
        maker_of(task)().close()
    if RECURRENT_PPO in models:
        recurrent_ppo.learner()
    wanted = [
        Row(task, model, asked.by, seed, asked.steps)
        for task in asked.tasks
        for seed in asked.seeds
        for model in models
    ]
    for each in wanted:
        check_kept(each.file(asked.out), asdict(each))
    with new_folder(asked.out) as folder, bars() as bar:
        everything = bar.add_task("rows", total=len(wanted))
        rows = []
        for each in wanted:
            task = bar.add_task(each.name, total=1.0)
            rows.append(row(each, folder, lambda done, task=task: bar.update(task, completed=done)))  # type: ignore[misc]
            bar.remove_task(task)
            bar.advance(everything)
        results = {"rows": rows}
        (folder / "table.md").write_text(markdown(results) + "\n", encoding="utf-8")
    return results


def markdown(results: Mapping[str, Any]) -> str:
    """A line for each task and model, means and ranges of its seeds."""
    place = {name: number for number, name in enumerate(dict.fromkeys(one["task"] for one in results["rows"]))}
    models = {name: number for number, name in enumerate(dict.fromkeys(one["model"] for one in results["rows"]))}
    ordered = sorted(results["rows"], key=lambda one: (place[one["task"]], models[one["model"]], one["seed"]))
    said = [HEAD, "|---|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for _, group in groupby(ordered, key=lambda one: (one["task"], one["model"])):
        said.append(_line(list(group)))
    return "\n".join(said)


def _line(rows: Sequence[Mapping[str, Any]]) -> str:
    one = rows[0]
    model = f"**{one['model']}**" if one["model"] == OURS else one["model"]
    seconds = mean(each["seconds"] for each in rows)
    returned, above = (spread([each[name] for each in rows], "{:.3f}") for name in ("return_mean", "above_0"))
    told = f"{len(rows)} | {returned} | {above} | {one['steps']:,}"
    size = f"{seconds:,.0f} | {one['parameters']:,} | {max(each['bytes'] for each in rows):,}"
    return f"| {one['task']} | {model} | {one['protocol']} | {told} | {size} |"
