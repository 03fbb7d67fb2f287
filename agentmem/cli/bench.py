"""`agentmem bench NAME`: the measurements of docs/benchmarks.md. Each is a module of `agentmem.bench` with a `main`."""

from __future__ import annotations

import typer

group = typer.Typer(help="Measure this machine: the tables of docs/benchmarks.md.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(group, name="bench")
