"""What the arguments of benchmarks share: how they are read, where results go, what shows progress."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.errors import InvalidInputError, in_brief

if TYPE_CHECKING:
    from rich.progress import Progress


UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
MOST = 999_999_999
"""Of a whole number."""


def parser_of(name: str, description: str, notes: str) -> argparse.ArgumentParser:
    """Of `agentmem bench NAME`; notes stand below its arguments as they are."""
    shape = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(
        f"agentmem bench {name}", description=description, epilog=notes, formatter_class=shape
    )


def chosen_of(family: str, about: str, known: Mapping[str, Any], words: Sequence[str]) -> str:
    """Which of a family's measurements, each with its `about`, is asked for first; help or an error where none is."""
    if words[:1] and words[0] in known:
        return words[0]
    wide = max(map(len, known))
    notes = "\n".join(f"  {name:{wide}} {one.about}" for name, one in known.items())
    notes += f"\n\n`agentmem bench {family} NAME --help` tells the arguments of each."
    parser = parser_of(family, about, notes)
    parser.add_argument("name", metavar="NAME", choices=tuple(known), help=", ".join(known))
    if not words:
        parser.error(f"NAME is missing: give one of {', '.join(known)}")
    return str(parser.parse_args(words[:1]).name)


def number(text: str) -> int:
    """A whole number, 0 for all."""
    return _whole(text, "0 (all of them) or more")


def positive(text: str) -> int:
    """A whole number that is not 0."""
    if not (said := _whole(text, "1 or more")):
        raise argparse.ArgumentTypeError("0 is too few; give 1 or more")
    return said


def amount(text: str, most: int, least: int = 1) -> int:
    """10k, 1m or 2500."""
    said = re.fullmatch(r"(\d+)([km]?)", text.lower())
    value = _value(said[1]) * UNITS[said[2]] if said else -1
    if value < least:
        raise argparse.ArgumentTypeError(f"{in_brief(text)} is no number of {least} or more; write 100k, 1m or 2500")
    if value > most:
        unit = "m" if most % UNITS["m"] == 0 else "k"
        raise argparse.ArgumentTypeError(f"{in_brief(text)} is too many; {most // UNITS[unit]}{unit} are the most")
    return value


def _whole(text: str, needed: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{in_brief(text)} is no whole number, {needed}")
    if (value := _value(text)) > MOST:
        raise argparse.ArgumentTypeError(f"{in_brief(text)} is too many; {MOST} are the most")
    return value


def _value(digits: str) -> int:
    """Of so many digits that no limit is as great, that of the first of them: Python reads some thousands at most."""
    return int(digits.lstrip("0")[:30] or "0")


def path_of(text: str) -> Path:
    """A path. Path takes the empty text for the current folder, which nobody named."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no path; give the path of a file or a folder")
    return Path(text)


def names(text: str) -> list[str]:
    """With commas between, each once."""
    return list(dict.fromkeys(text.split(",")))


def some_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Reads names that are known."""

    def chosen(text: str) -> list[str]:
        found = names(text)
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is unknown; give some of {', '.join(known)}")
        return found

    return chosen


def given_options(given: Sequence[str]) -> dict[str, Any]:
    """What `--set NAME=JSON` gives, by name; what is no JSON is a word, such as a path."""
    options: dict[str, Any] = {}
    said: dict[str, str] = {}
    for one in given:
        name, found, value = one.partition("=")
        if not found or not name.isidentifier() or not value:
            raise InvalidInputError(
                f"--set {one!r} is no keyword with a value; write it as NAME=JSON, such as length=100, or NAME=text"
            )
        if name in said:
            raise InvalidInputError(f"--set {said[name]} and --set {one}: give one of them")
        said[name] = one
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


@contextmanager
def new_folder(out: Path, inner: str = "") -> Iterator[Path]:
    """The folder that --out names, or one in it; made where it is not there, and gone again where this ends by an error
    or Ctrl-C with nothing in it. Raises InvalidInputError where that cannot be, or nothing can be written in it.
    """
    made = [each for each in (out / inner, *(out / inner).parents) if not each.exists()]
    try:
        yield _folder(out, inner)
    except BaseException:
        for each in made:
            if each.is_dir() and not any(each.iterdir()):
                each.rmdir()
        raise


def _folder(out: Path, inner: str) -> Path:
    try:
        (out / inner).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInputError(f"--out {out} cannot be a folder ({error.strerror}); name another") from error
    if not os.access(out / inner, os.W_OK | os.X_OK):
        raise InvalidInputError(f"--out {out} cannot be written in; name another folder, or chmod u+wx it")
    return out / inner


@contextmanager
def goes_on(folder: Path | None) -> Iterator[None]:
    """Has Ctrl-C say that what is done is kept in a folder, where there is one."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        if folder is None or not folder.is_dir():
            raise
        raise KeyboardInterrupt(f"what is done is kept in {folder}: run the same command again to go on") from stopped


def bars(live: bool = True) -> Progress:
    """Bars on standard error that are gone afterwards. live: drawn anew ten times a second, not at updates alone."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True, auto_refresh=live)
