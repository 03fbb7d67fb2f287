"""`agentmem bench neural task --checkpoint FILE`: answers to the questions of the task that a model was trained on.

Knows which task that is, from the file. A stream is of one seed; several are told as means and spread.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from statistics import mean
from typing import Any

from agentmem.bench.neural import charts
from agentmem.bench.neural.checkpoint import Measured, with_room
from agentmem.bench.neural.spread import means, of_seeds, spread, with_deviations
from agentmem.bench.neural.streams import DENSE
from agentmem.bench.recall.tables import short, table, wrapped
from agentmem.errors import InvalidInputError
from agentmem.neural.answered import answered
from agentmem.neural.files import load as read
from agentmem.neural.measure import Watch
from agentmem.neural.tasks.named import NamedTask, named
from agentmem.neural.text import documents
from agentmem.neural.tokens import KIND, TokenModel

MOST_STREAMS = 20
"""Of a seed, for tasks with few questions to a stream."""


def check(options: argparse.Namespace) -> None:
    """Nothing that can be known before the model is; what can be then is refused before anything is written."""


@dataclass(frozen=True)
class Trained(Measured):
    """A model and the task it was trained on. words: see NamedTask."""

    task: str
    words: tuple[str, ...]

    def named(self, options: argparse.Namespace) -> NamedTask:
        if self.words and not options.text:
            raise InvalidInputError(f"{self.task} are told between the sentences of books: name some with --text")
        return named(self.task, [each.text for each in documents(options.text)], self.words)


def load(file: Path | None) -> Trained:
    """Raises InvalidInputError for no model, of which the package has none of its own, and for one of anything else."""
    if file is None or not file.is_file():
        what = "is missing" if file is None else f"{file} is no file"
        raise InvalidInputError(f"--checkpoint {what}: name a model that `agentmem train neural task` made")
    saved = read(file, KIND)
    if "task" not in saved.notes:
        raise InvalidInputError(f"{file} was not made by `agentmem train neural task`; name a model that was")
    model = TokenModel.of(saved).eval()
    return Trained(model, file, saved.command, saved.notes["task"], tuple(saved.notes["words"]))


def measure(model: Trained, options: argparse.Namespace, progress: Watch) -> dict[str, Any]:
    named, runs = model.named(options), []
    tasks = {tokens: named.sized(tokens, max(1, tokens // DENSE)) for tokens in options.tokens}
    for tokens, task in tasks.items():
        roomy = with_room(model.model, tokens)
        streams = min(MOST_STREAMS, ceil(options.questions / task.askable))
        for seed in options.seed:
            doing = f"{tokens:,} tokens, seed {seed}"
            watch = partial(_watch, progress, doing)
            found = answered(roomy, task, streams, options.questions, seed, progress=watch)
            runs.append({**asdict(found), "seed": seed})
    settings = {**model.settings(), "task": model.task, "questions": options.questions, "seeds": options.seed}
    return {"settings": settings, "rows": list(_rows(runs)), "runs": runs}


def _watch(progress: Watch, doing: str, _: str, done: float) -> None:
    progress(doing, done)


def _rows(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Means over seeds, with the standard deviation where there are several."""
    for tokens in dict.fromkeys(one["tokens"] for one in runs):
        same = [one for one in runs if one["tokens"] == tokens]
        row: dict[str, Any] = {"tokens": tokens, "asked": sum(one["asked"] for one in same)}
        row["by_place"] = [mean(places) for places in zip(*(one["by_place"] for one in same), strict=False)]
        yield row | with_deviations(same, ["exact"]) | means(same, ["atom_bytes"])


def markdown(results: Mapping[str, Any]) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    settings = results["settings"]
    yield from (f"# The neural memory on {settings['task']}", "")
    yield from wrapped(
        f"{settings['checkpoint']}, {settings['parameters']:,} parameters, made by `{settings['made_by']}`. Streams of "
        f"{of_seeds(settings['seeds'])} of every size."
    )
    yield ""
    yield from table(["tokens", "questions", "exact", "token by token", "atoms, bytes"], [
        [f"{row['tokens']:,}", f"{row['asked']:,}", spread(row, "exact"), " ".join(map(short, row["by_place"])),
         f"{row['atom_bytes']:,.0f}"]
        for row in results["rows"]
    ])  # fmt: skip


def draw(results: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{results['settings']['task']}.png": charts.by_tokens(results["settings"]["task"], results["rows"])}
