"""The application itself: its errors, its version, and how a command opens a memory."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption

import agentmem
from agentmem.cli import show
from agentmem.cli.options import example, key_file, namespace_of, written
from agentmem.cli.stopping import stoppable
from agentmem.errors import AgentMemError, InvalidInputError, NotFoundError, PlayError, StoreError, said_of
from agentmem.records import brief, check_path
from agentmem.types import Namespace

if TYPE_CHECKING:
    from agentmem.memory import Memory


class Commands(TyperGroup):
    """Says of a command that is none which ones there are."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        known = name in self.commands or get_close_matches(name, self.commands)  # which are then suggested
        if not (known or name.startswith("-") or ctx.resilient_parsing):
            ctx.fail(f"No such command {show.safe(name)!r}; give one of {', '.join(sorted(self.commands))}.")
        return super().resolve_command(ctx, args)


class Group(Commands):
    """Turns an error of ours, or of a path that was given, into one red line and exit code 1; others keep their
    traceback, for they are bugs.

    Ctrl-C is exit code 130, SIGTERM 143.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            with stoppable():
                return super().invoke(ctx)
        except AgentMemError as error:
            if isinstance(error, PlayError):
                sys.stderr.write(show.safe(error.trace))
            show.err().print(Text.assemble(("error: ", "bold red"), (show.safe(" ".join(str(error).split())), "red")))
            raise typer.Exit(1) from error
        except typer.BadParameter as error:
            raise _with_value(error) from error.__cause__
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        except OSError as error:
            if error.filename is None:
                raise
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            then = "free some and run the command again" if full else "give another path, or mend what is there"
            told = f"{str(error.filename)!r}: {error.strerror}; {then}"
            show.err().print(Text.assemble(("error: ", "bold red"), (told, "red")))
            raise typer.Exit(1) from error


class Once(TyperCommand):
    """A command that refuses an option with one value that is given twice, where the first would be lost unseen."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = self.make_parser(ctx).parse_args(args=list(args))[2]
        for one in given:
            if isinstance(one, TyperOption) and not (one.multiple or one.is_flag) and given.count(one) > 1:
                name = max(one.opts, key=len)
                raise typer.BadParameter(f"{name} was given more than once, and takes one; run the command for each")
        return super().parse_args(ctx, args)


def _with_value(error: typer.BadParameter) -> typer.BadParameter:
    """What typer refuses, with the value."""
    if isinstance(error.__cause__, ValidationError):
        problem = error.__cause__.errors(include_url=False)[0]
        said, given = said_of(problem, brief), brief(problem["input"])
        error.message = said if given.strip("'") in said else f"{given}: {said}"
    return error


app = typer.Typer(
    cls=Group,
    name="agentmem",
    help="Compressive episodic memory for agents: log, crystallize, recall.",
    epilog=example("agentmem ingest agent.mem history.jsonl", 'agentmem recall agent.mem "what did I promise?"'),
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
        bool,
        typer.Option("--version", metavar="", callback=_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def open_memory(path: str, namespace: str = "", *, read_only: bool = False, every: bool = False) -> Memory:
    """The memory at a path, seen from a namespace that is there. every: without one the command takes all of them."""
    check_memory_path(path)
    if "://" not in path and not Path(path).exists():
        raise NotFoundError(f"there is no memory at {path}: make one with `agentmem ingest {shlex.quote(path)} FILE`")
    if _is_empty(path):
        raise NotFoundError(f"{path} is empty: make a memory of it with `agentmem ingest {shlex.quote(path)} FILE`")
    memory = _opened(path, namespace, read_only)
    try:
        _check_namespace(memory, path, namespace, every)
    except BaseException:
        memory.close()
        raise
    return memory


def _is_empty(path: str) -> bool:
    """Whether a file is there in which nothing is, nor beside it."""
    return os.path.isfile(path) and not os.path.getsize(path) and not os.path.exists(path + "-wal")


def reading(memory: Memory, others: list[str] | None, path: str) -> Memory:
    """The same namespace of a memory, whose recalls also read others that are there, as --read names them."""
    spaces = memory._core.store.namespaces()
    for other in others or ():
        if namespace_of(other) not in spaces:
            raise _no_namespace(other, spaces, path, "--read")
    return memory.scoped(*memory.namespace, read=[namespace_of(other) for other in others or ()])


def writable(path: str) -> bool:
    """Whether what is done with a memory can be noted in it."""
    return os.access(path, os.W_OK) and os.access(os.path.dirname(os.path.abspath(path)), os.W_OK)


def serves_writes(memory: Memory, path: str) -> bool:
    """Whether a server of a memory can write it; where not, that is said before the first request finds out."""
    file = memory._core.store.path
    able = not memory._core.read_only and ("://" in file or writable(file))
    if not able:
        noting = memory._core.keeps_accesses
        what = "no access can be noted and nothing is read" if noting else "what reads is answered and all else refused"
        show.line(
            f"read-only: {show.path(path)} or its folder cannot be written, so {what}; give "
            "whoever runs this the right to write there, and start again"
        )
    return able


def make_memory(path: str, namespace: str = "") -> Memory:
    """The memory at a path, made if it is not there."""
    check_memory_path(path)
    return _opened(path, namespace, read_only=False)


def _opened(path: str, namespace: str, read_only: bool) -> Memory:
    from agentmem.memory import Memory

    try:
        memory = Memory.open(path, namespace=namespace_of(namespace), key_file=key_file(), read_only=read_only)
        if read_only and memory._core.keeps_accesses and writable(path):  # so that what is read is noted
            memory.close()
            memory = Memory.open(path, namespace=namespace_of(namespace), key_file=key_file())
        return memory.acting(f"cli {os.environ.get('USER', os.getuid())}")
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and not Path(path).exists():
            raise StoreError(f"{path} cannot be made ({error.__cause__.strerror}); choose another place") from error
        raise


def check_memory_path(path: str) -> None:
    """InvalidInputError for what is no path of a memory."""
    if not path.strip():
        raise InvalidInputError(f"{path!r} is no path of a memory; give the path of its file")
    check_path("MEMORY", path)
    if path == ":memory:":
        raise InvalidInputError("':memory:' is gone when a command ends; give the path of a file")


def _check_namespace(memory: Memory, path: str, given: str, every: bool) -> None:
    from agentmem.memory.checks import instead

    spaces = memory._core.store.namespaces()
    if memory.namespace in spaces or (not given and (every or not spaces)):
        return
    if given:
        raise _no_namespace(given, spaces, path, "--namespace")
    hint = instead("", [written(space) for space in spaces if space], _typed)
    raise NotFoundError(f"all of {path} is in namespaces; choose one with --namespace: {hint}")


def _no_namespace(given: str, spaces: Sequence[Namespace], path: str, option: str) -> NotFoundError:
    from agentmem.memory.checks import instead

    names = [written(space) for space in spaces if space]
    hint = instead(given, names, _typed) if names else f"nothing of it is in a namespace: leave {option} out"
    return NotFoundError(f"there is no namespace {_typed(given)} in {path}; {hint}")


def _typed(name: str) -> str:
    """A written namespace in quotes, as it can be typed: repr doubles a backslash."""
    return repr(name).replace("\\\\", "\\")
