"""`agentmem bench environments shifts`: a policy in shifts, by what it is shown or handed, beside a GRU that is shown
nothing.

Knows rollouts and their reports; knows no network. A row is played once and kept.
"""

from __future__ import annotations

import argparse
import shlex
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.bench.arguments import bars, given_options, new_folder
from agentmem.bench.environments.kept import kept_row, spread
from agentmem.bench.environments.options import BUDGET, DESKS, EPISODES, GRU, NEEDED
from agentmem.errors import InvalidInputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from agentmem.bench.environments.recurrent_choice import RecurrentPolicy
    from agentmem.neural.runs import Command

PERCENT = {
    "solved": "solved", "solved_hidden": "of those that need memory", "stale": "stale",
    "needed_fact_recall": "needed facts in the context",
}  # fmt: skip
NUMBERS = {"context_tokens_mean": ("tokens a decision", 1), "bytes": ("kB kept", 1_000)}
"""Columns of the table, by their names in a row."""
REPORTED = {*PERCENT, "context_tokens_mean", "bytes", "steps"}
"""Of a rollout's report."""


@dataclass(frozen=True)
class Row:
    """memory: what the policy is shown, or GRU. policy: a name that tells it from any other. options: of the shift."""

    environment: str
    memory: str
    seed: int
    budget: int
    policy: str
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{_short(self.environment)}-{self.memory}-{self.seed}"


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Play what the folder has not; before that a GRU is trained, if it is asked for. Raises InvalidInputError for what
    cannot be played or learned from, SettingsError for a folder in use, or with a GRU that was trained otherwise.
    """
    options = {"split": "test", **given_options(asked.given)}
    policies = {env: _policy(asked, env, options) for env in asked.envs}
    if GRU in asked.memory:
        _check_lessons(asked, options)
    with new_folder(asked.out) as folder, bars() as bar:
        gru = _gru(asked, options, folder, bar) if GRU in asked.memory else None
        everything, rows = bar.add_task("rows", total=len(asked.envs) * len(asked.memory) * len(asked.seeds)), []
        for env, memory, seed in product(asked.envs, asked.memory, asked.seeds):
            policy = gru if memory == GRU else policies[env]
            rows.append(_row(Row(env, memory, seed, asked.budget, _name(policy, asked), options), policy, folder, bar))
            bar.advance(everything)
        results = {"rows": rows}
        (folder / "table.md").write_text(markdown(results) + "\n", encoding="utf-8")
    return results


def _policy(asked: argparse.Namespace, env: str, options: Mapping[str, Any]) -> Any:
    """Of an environment, None where the GRU alone plays. Raises InvalidInputError for what cannot be played."""
    from agentmem.policy.fits import check_acts
    from agentmem.rollout.making import about, maker
    from agentmem.rollout.policies import is_trained, load_policy
    from agentmem.rollout.reading import is_shift

    if not is_shift(env):
        raise InvalidInputError(f"--envs {env} is no shift: name one, such as agentmem/ShiftShop-Short-v0")
    said = about(maker(env, options))
    if asked.memory == [GRU]:
        return None
    if asked.policy == "oracle" or asked.policy.startswith("chat:"):
        raise InvalidInputError(
            f"--policy {asked.policy}: an oracle needs no memory, and a chat model is played by `agentmem rollout`: "
            "give shift, reader, rule, random, a .safetensors file or your.module:name"
        )
    policy = load_policy(asked.policy, said.action_space)
    if is_trained(asked.policy):
        check_acts(policy, asked.policy, env, said)
    return policy


def _name(policy: Any, asked: argparse.Namespace) -> str:
    from agentmem.rollout.policies import name_of_policy

    return name_of_policy(policy) or asked.policy


def _check_lessons(asked: argparse.Namespace, options: Mapping[str, Any]) -> None:
    """InvalidInputError where there is nothing that the GRU could learn from."""
    from agentmem.bench.environments.recurrent_training import demonstrations_in
    from agentmem.rollout.making import maker

    if asked.shown is not None:
        demonstrations_in(asked.shown)
        return
    for env in DESKS:
        maker(env, {**options, "split": "train"})


def _gru(asked: argparse.Namespace, options: Mapping[str, Any], folder: Path, bar: Progress) -> RecurrentPolicy:
    """Trained in the folder, on what --shown has, or else on shifts that are played into the folder."""
    from agentmem.bench.environments.recurrent_training import demonstrations_in, trained
    from agentmem.policy.bc import DEMONSTRATIONS, rounds_of
    from agentmem.policy.demonstrations import Choices, kept, read

    task = bar.add_task(GRU, total=1.0)

    def known() -> list[Choices]:
        if asked.shown is not None:
            return [read(file) for file in demonstrations_in(asked.shown)]
        (shifts,) = rounds_of(DESKS, {**options, "split": "train"}, EPISODES, 1, (BUDGET,), 0)
        played = bar.track(shifts, description="shown to it")
        return [kept(shift, folder / DEMONSTRATIONS) for shift in played]

    command = _command(asked, options)
    return trained(folder / GRU, command, asked.seconds, known, lambda done: bar.update(task, completed=done))


def _command(asked: argparse.Namespace, options: Mapping[str, Any]) -> Command:
    """What the training of the GRU depends on."""
    from agentmem.neural.runs import WHAT, Command

    words = ["agentmem bench environments shifts", f"--seconds {asked.seconds}"]
    words += [f"--set {shlex.quote(each)}" for each in asked.given]
    words += [f"--shown {shlex.quote(str(asked.shown))}"] if asked.shown is not None else []
    line = " ".join([*words, f"--out {shlex.quote(str(asked.out))}"])
    shown = str(asked.shown) if asked.shown is not None else None
    return Command(line, {WHAT: GRU, "seconds": asked.seconds, "options": options, "shown": shown})


def _row(one: Row, policy: Any, folder: Path, bar: Progress) -> dict[str, Any]:
    task = bar.add_task(one.name, total=1.0)
    made = kept_row(folder / f"{one.name}.json", asdict(one), lambda: _played(one, policy, partial(bar.update, task)))
    bar.remove_task(task)
    return made


def _played(one: Row, policy: Any, tell: Callable[..., None]) -> dict[str, Any]:
    """A shift, in a memory that is gone afterwards."""
    from agentmem.bench.environments.handed import Handed
    from agentmem.memory import Memory
    from agentmem.rollout import rollout
    from agentmem.rollout.reading import reading_of

    began = time.process_time()
    kind: Any = {GRU: "none", NEEDED: "crystals"}.get(one.memory, one.memory)
    reads = reading_of(one.environment)
    handed = Handed(policy, one.policy, one.seed, reads, one.budget) if one.memory == NEEDED else None
    with (
        tempfile.TemporaryDirectory() as scratch,
        Memory.open(Path(scratch) / "shift.mem", durability="process") as memory,
    ):
        report = rollout(
            one.environment, handed or policy, memory, kind=kind, budget=one.budget, seed=one.seed, options=one.options,
            name=one.policy, recall=handed.asks if handed else "every", progress=lambda done, of: tell(completed=done),
        )  # fmt: skip
    told = handed.told() if handed else {}
    return {**report.model_dump(include=REPORTED), **told, "seconds": round(time.process_time() - began, 1)}


def markdown(results: Mapping[str, Any]) -> str:
    """A line for each shift and memory: means of its seeds, and from where to where."""
    heads = ("shift", "memory", "seeds", *PERCENT.values(), *(head for head, _ in NUMBERS.values()))
    said = [f"| {' | '.join(heads)} |", "|---|---|" + "--:|" * (len(heads) - 2)]
    for (env, memory), group in groupby(results["rows"], key=lambda one: (one["environment"], one["memory"])):
        rows = list(group)
        shares = [spread([one[name] for one in rows], "{:.1%}") for name in PERCENT]
        numbers = [
            spread([one[name] and one[name] / unit for one in rows], "{:,.0f}") for name, (_, unit) in NUMBERS.items()
        ]
        said.append(f"| {' | '.join((_short(env), memory, str(len(rows)), *shares, *numbers))} |")
    return "\n".join(said)


def _short(env: str) -> str:
    return env.rpartition("/")[2].removesuffix("-v0")
