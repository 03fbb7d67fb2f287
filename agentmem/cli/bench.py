"""`agentmem bench NAME`: the measurements of docs/benchmarks.md. Each is a module of `agentmem.bench` with a `main`."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Literal, get_args

import typer

from agentmem.cli.options import example
from agentmem.cli.stopping import stoppable

Name = Literal[
    "environments",
    "fit",
    "graph",
    "integrations",
    "log",
    "neural",
    "poisoning",
    "recall",
    "redact",
    "rollout",
    "server",
    "speed",
    "stores",
    "view",
]


def register(app: typer.Typer) -> None:
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(
        context_settings=settings,
        epilog=example(
            "agentmem bench log --quick",
            "agentmem bench recall histories.jsonl --out results",
            "agentmem bench fit histories.jsonl --by type --out fitted",
            "agentmem bench speed --sizes 100k,1m --out results",
            "agentmem bench stores --items 10000",
            "agentmem bench integrations locomo10.json --histories 5 --out results",
            "agentmem bench graph --steps 20000",
            "agentmem bench view --runs 5",
            "agentmem bench rollout --ms 0,1,5",
            "agentmem bench server --clients 8",
            "agentmem bench redact histories.jsonl --show password",
            "agentmem bench environments mazes --lengths 100,1000",
            "agentmem bench neural recall --tokens 1m --facts 10k --json",
            "agentmem bench poisoning --seeds 3",
        ),
    )(bench)


def bench(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(get_args(Name))}.")],
) -> None:
    """Measure on this machine what docs/benchmarks.md tabulates.

    What follows NAME goes to the measurement: try `agentmem bench NAME --help`.
    """
    if name in ("-h", "--help"):
        typer.echo(context.get_help())
        raise typer.Exit
    if name not in get_args(Name):
        raise typer.BadParameter(f"{name!r} is unknown; it is one of {', '.join(get_args(Name))}")
    with stoppable("there are no results"):
        import_module(f"agentmem.bench.{name}").main(context.args)
