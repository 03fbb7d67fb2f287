"""The application itself: its errors, its version, and how a command opens a memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

import agentmem
from agentmem.cli import show
from agentmem.errors import AgentMemError, NotFoundError

if TYPE_CHECKING:
    from agentmem.memory import Memory


class Group(TyperGroup):
    """Turns an error of ours into one red line and exit code 1; others keep their traceback, for they are bugs."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AgentMemError as error:
            show.err().print(Text.assemble(("error: ", "bold red"), (" ".join(str(error).split()), "red")))
            raise typer.Exit(1) from error
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Group,
    name="agentmem",
    help="Compressive episodic memory for agents: log, crystallize, recall.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"agentmem {agentmem.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


MemoryPath = Annotated[str, typer.Argument(metavar="MEMORY", help="The memory's file.", show_default=False)]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", metavar="A/B", help="The namespace, its parts joined by /.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document for machines.")]


def namespace_of(text: str) -> tuple[str, ...]:
    """ "acme/alice" -> ("acme", "alice"); "" -> ()"""
    return tuple(text.split("/")) if text else ()


def open_memory(path: str, namespace: str = "", *, create: bool = False, read_only: bool = False) -> Memory:
    """The memory at a path; one that is not there is an error unless the command may create it."""
    from agentmem.memory import Memory

    if not create and "://" not in path and not Path(path).exists():
        raise NotFoundError(f"there is no memory at {path}: make one with `agentmem ingest {path} FILE`")
    return Memory.open(path, namespace=namespace_of(namespace), read_only=read_only)
