"""`agentmem rollout ENV`: play an environment with a policy and a memory, and print what came of it. Knows options."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agentmem.bench.arguments import given_options
from agentmem.cli import show
from agentmem.cli.options import BudgetOption, JsonOption, example, other_memory, path_of
from agentmem.cli.playing import PolicyOption, failures, options_of, policy_for, policy_of
from agentmem.cli.stopping import stoppable
from agentmem.errors import InvalidInputError

if TYPE_CHECKING:
    from agentmem.memory import Memory
    from agentmem.rollout import RolloutReport

GOES_ON = "what was logged is kept: run the same command again to go on"
SHARES = {"solved": "tickets", "solved_hidden": "hidden_tickets", "stale": "stale", "needed_fact_recall": "needed"}
"""Of a report, each with the (some, all) of its episodes."""
EVERY_S = 10.0
"""Seconds from one line of progress to the next, where no bar can be drawn."""

Kind = Literal["crystals", "window", "none", "full"]
Split = Literal["train", "test"]
When = Literal["every", "write"]


def register(app: typer.Typer) -> None:
    app.command(
        epilog=example(
            "agentmem rollout agentmem/ShiftShop-Short-v0",
            "agentmem rollout agentmem/ShiftShop-Short-v0 --policy reader --memory window --budget 512",
            "agentmem rollout agentmem/ShiftShop-Short-v0 --policy rule --memory none --set steps=200 --episodes 4",
        )
    )(rollout)


def rollout(
    env: Annotated[str, typer.Argument(metavar="ENV", help="The environment's id, or module:id.")],
    policy: Annotated[str | None, PolicyOption] = None,
    memory: Annotated[
        Kind, typer.Option(metavar="KIND", help="What the policy is shown: crystals, window, none or full.")
    ] = "crystals",
    budget: Annotated[int, BudgetOption] = 1024,
    split: Annotated[
        Split | None, typer.Option(metavar="train|test", help="Of the customers of a shift; test.", show_default=False)
    ] = None,
    episodes: Annotated[int, typer.Option(metavar="N", min=1, help="Episode n has the seed S + n.")] = 1,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Episodes that are played at a time.")] = 1,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Of everything that is drawn.")] = 0,
    recall: Annotated[When, typer.Option(metavar="WHEN", help="every step, or before one that may write.")] = "every",
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=JSON", help="A keyword of the environment: JSON, or text; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="MEMORY",
            parser=path_of,
            help="The memory's file: kept, and gone on with where a run was interrupted.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Play on a Ray cluster: auto, host:port, or local; one actor a worker."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Play episodes of an environment, with a memory that logs every step and shows the policy a planning context."""
    chosen = given_options(given or [])
    policy = policy_for(env, chosen) if policy is None else policy
    options = options_of(env, policy, split, chosen)
    with failures(policy), show.loading(f"{policy} and {env}"):
        from agentmem.rollout import rollout as play
        from agentmem.rollout.policies import name_of_policy

        acting = policy_of(policy, env, options)
        own = name_of_policy(acting)
    settings: dict[str, Any] = {
        "kind": memory, "budget": budget, "episodes": episodes, "seed": seed, "recall": recall, "options": options,
        "name": own or policy,
    }  # fmt: skip
    kept = "nothing was kept; with --out MEMORY the same command goes on" if out is None else GOES_ON
    with stoppable(kept), failures(policy, kept), other_memory(out, "--out"), show.Waiting("episodes") as waiting:
        if ray is None:
            with _memory(out) as opened:
                report = play(env, acting, opened, workers=workers, progress=_Telling(waiting), **settings)
        elif out is None:
            raise InvalidInputError(
                "--ray needs --out FOLDER, which every node sees: the memories of the actors go there"
            )
        else:
            from agentmem.rollout.ray import rollout_on_ray

            report = rollout_on_ray(ray, env, acting, out, actors=workers, progress=waiting, **settings)
    if not waiting.called:
        show.line("was played before: what follows is what came of it then; another --out plays it anew")
    if json:
        show.as_json(report.model_dump(mode="json"))
        return
    show.say(env, f"{policy}, {memory}" + (f" of {budget:,} tokens" if memory in ("crystals", "window") else ""))
    show.out().print(_table(report))
    if out is not None and ray is None:
        show.line(f"the log is in {show.path(out)}: agentmem stats {shlex.quote(str(out))}")


@contextmanager
def _memory(out: Path | None) -> Iterator[Memory]:
    """The memory at a path, or one that is gone afterwards."""
    from agentmem.memory import Memory

    with (
        tempfile.TemporaryDirectory() as scratch,
        Memory.open(out or Path(scratch) / "rollout.mem", durability="process") as memory,
    ):
        yield memory


def _table(report: RolloutReport) -> Any:
    made = show.table("", "value", "", right=("value",))
    for name, counts in SHARES.items():
        value = getattr(report, name)
        some, every = (sum(getattr(each, counts)[part] for each in report.episodes) for part in (0, 1))
        of = () if value is None else (f"{some:,} of {every:,}",)
        made.add_row(name.replace("_", " "), "-" if value is None else f"{value:.1%}", *of)
    for name in ("return_mean", "steps", "context_tokens_mean"):
        value = getattr(report, name)
        made.add_row(name.replace("_", " "), "-" if value is None else f"{value:,.1f}".removesuffix(".0"))
    made.add_row("bytes on disk", show.size(report.bytes))
    return made


class _Telling:
    """Tells how far it is, with the steps that each worker was asked for: by a bar on a terminal, elsewhere by a line
    now and then.
    """

    def __init__(self, waiting: show.Waiting) -> None:
        self.waiting, self.steps, self.told = waiting, 0, 0.0

    def __call__(self, done: float, total: float) -> None:
        self.steps += 1
        made = f"{show.count(self.steps, 'steps')} a worker"
        self.waiting(done, total, f"episodes, {made}")
        passed = self.waiting.passed
        if not self.waiting.bar.console.is_terminal and passed - self.told > EVERY_S:
            self.told = passed
            show.line(f"{done:.1f} of {total:g} episodes, {made}: {passed:.0f} s so far")
