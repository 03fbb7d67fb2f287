"""What the commands take: the options that several share, and the words for a value that is no option's.

Knows how a namespace is written on the command line; knows no memory.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from rich.markup import escape

from agentmem.bench import arguments as bench
from agentmem.errors import InvalidInputError, NotFoundError, SettingsError, TooLargeError
from agentmem.records import brief
from agentmem.types import Layer, Namespace

MOST = 16 << 20  # bytes of a certificate, or of rules
_PART = re.compile(r"(?:[^\\/]|\\.|\\$)*", re.DOTALL)


_key_file: ContextVar[Path | None] = ContextVar("key_file", default=None)


def key_file() -> Path | None:
    """What the command that runs was given as --key-file."""
    return _key_file.get()


def with_key_file(command: Callable[..., Any], makes: bool) -> Callable[..., Any]:
    """A command that opens a memory also takes --key-file; others are left as they are. makes: it makes one as well."""
    hints = get_type_hints(command, include_extras=True)
    if MemoryPath not in hints.values():
        return command

    @wraps(command)
    def keyed(*arguments: Any, key_file: Path | None = None, **options: Any) -> Any:
        token = _key_file.set(key_file)
        try:
            return command(*arguments, **options)
        finally:
            _key_file.reset(token)

    option = MadeKeyFileOption if makes else KeyFileOption
    own = signature(command).parameters.values()
    taken = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]
    taken.append(Parameter("key_file", Parameter.KEYWORD_ONLY, default=None, annotation=option))
    keyed.__signature__ = Signature(taken)  # type: ignore[attr-defined]
    keyed.__annotations__ = {**hints, "key_file": option}
    return keyed


def example(*lines: str) -> str:
    """What stands below a command's help."""
    return "\n\n".join(f"  [bright_black]$[/] {escape(line)}" for line in lines)


def flag(name: str, help: str, *more: str) -> Any:
    """An option that is there or not."""
    return typer.Option(name, *more, help=help, metavar="", show_default=False)


def typed(context: typer.Context, *names: str) -> list[str]:
    """Those of some options that stand on the command line, by their names; not what the environment gives."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return [f"--{name.replace('_', '-')}" for name, one in sources.items() if one and one.name == "COMMANDLINE"]


def finite(number: float) -> float:
    """A number that is neither inf nor nan."""
    if not math.isfinite(number):
        raise typer.BadParameter(f"{number} is no number to count up to; give a finite one")
    return number


def tokens(text: str | int) -> int:
    """A budget."""
    from agentmem.tokens import check_budget

    said = int(text) if re.fullmatch(r"-?[0-9]{1,30}", str(text)) else text
    try:
        check_budget(said)
    except InvalidInputError as error:
        raise typer.BadParameter(str(error)) from error
    return int(said)


@contextmanager
def other_memory(path: Path | None, option: str) -> Iterator[None]:
    """Has what a memory at a path refuses name it, and the option that gives another; None is left as it is."""
    try:
        yield
    except SettingsError as error:
        if path is None:
            raise
        raise SettingsError(f"{path}: {error}, such as {option} other{path.suffix}") from error


def path_of(text: str) -> Path:
    """A path that is given as an option, or in the place of one; not the empty text."""
    try:
        return bench.path_of(text)
    except ArgumentTypeError as error:
        raise typer.BadParameter(str(error)) from error


def layer_of(text: str) -> Layer:
    """The layer of a name."""
    if text not in list(Layer):
        raise typer.BadParameter(f"{text!r} is no layer; give {', '.join(list(Layer)[:-1])} or {list(Layer)[-1]}")
    return Layer(text)


def namespace_of(text: str) -> Namespace:
    r""" "acme/alice" -> ("acme", "alice"); "" -> (); r"a\/b" -> ("a/b",)"""
    if not text:
        return ()
    parts, at = [], -1
    while at < len(text):
        found = _PART.match(text, at + 1)
        assert found is not None
        parts.append(re.sub(r"\\(.)", r"\1", found[0], flags=re.DOTALL))
        at = found.end()
    if "" in parts:
        typed = repr(text).replace("\\\\", "\\")
        raise InvalidInputError(rf"namespace {typed} has an empty part; write A/B for two parts, and A\/B for one")
    return tuple(parts)


def small_file(path: Path) -> bytes:
    """What is in a file that an option names; no more of it than such a file has, nor of what never ends."""
    if not path.is_file():
        raise NotFoundError(f"{brief(str(path))} is no file; give the path of one")
    with path.open("rb") as file:
        found = file.read(MOST + 1)
    if len(found) > MOST:
        raise TooLargeError(f"{brief(str(path))} has more than {MOST:,} bytes; give the file that is meant")
    return found


def written(namespace: Namespace) -> str:
    """A namespace as `namespace_of` reads it."""
    return "/".join(re.sub(r"([\\/])", r"\\\1", part) for part in namespace)


MemoryPath = Annotated[str, typer.Argument(metavar="MEMORY", help="The memory's file.", show_default=False)]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", metavar="A/B", help=r"The namespace: A/B has two parts, A\/B is one.")
]
ReadOption = Annotated[
    list[str] | None,
    typer.Option(metavar="A/B", help="Another namespace that its recalls read, and so does the replay; repeatable."),
]
JsonOption = Annotated[bool, flag("--json", "Print one JSON document for machines.")]
BudgetOption = typer.Option("--budget", "-b", metavar="TOKENS", parser=tokens, help="Tokens, at most.")
AsOfOption = Annotated[
    str | None, typer.Option(metavar="STEP|TIME", help="As memory was at a step's id, or an ISO time of logging.")
]
OneEpisodeOption = Annotated[str | None, typer.Option("--episode", metavar="ID", help="Only this episode.")]


def _key_file_option(help: str) -> Any:
    return typer.Option(
        "--key-file", metavar="FILE", parser=path_of, envvar="AGENTMEM_KEY_FILE", help=help, show_default=False
    )


KeyFileOption = Annotated[Path | None, _key_file_option("The memory's key file, if it is encrypted.")]
MadeKeyFileOption = Annotated[
    Path | None, _key_file_option("The memory's key file, if it is encrypted; a new memory is, and makes it.")
]
OneAgentOption = Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Only episodes of this agent.")]
