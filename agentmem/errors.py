"""Every error agentmem raises, in one tree.

    AgentMemError
    ├── InvalidInputError          a value refused before anything was written (also a ValueError)
    │   ├── TooLargeError          a text, batch, blob or attachment over its limit
    │   ├── KeyConflictError       an idempotency key met again with other content, or after an erasure
    │   ├── ErasedError            something about a subject, or of an episode, that was erased
    │   ├── ConsentError           a step about a subject whose consent was withdrawn
    │   ├── HeldError              an erasure of steps that are under a hold
    │   ├── PathError              a file of weights that cannot be read or written there (also an OSError)
    │   ├── SettingsError          settings that contradict the file's own
    │   └── RefusedError           a text or name with a secret that the memory's redaction keeps out
    ├── NotFoundError              no such step, episode, crystal, blob or attachment (also a LookupError)
    │   └── NoFileError            no such file of weights (also a FileNotFoundError)
    ├── EncoderError               an encoder that failed, or is not the one the codes were made with
    ├── CondenseError              a condenser that failed; the log is safe
    ├── PlayError                  an environment or a policy that failed while it was played; what was logged is safe
    ├── MissingExtraError          an optional part is not installed (also an ImportError)
    └── StoreError                 the file or server behind a memory
        ├── NotAMemoryError        the file is something else
        ├── NewerFormatError       written by a newer agentmem
        ├── LockedError            another process kept the write lock too long
        ├── ReadOnlyError          opened, or mounted, read-only
        ├── FullError              the disk, or a quota, is full
        ├── DamagedError           stored bytes changed, or acknowledged steps are missing
        ├── KeyFileError           a memory's key file is missing, locked, cut short or another memory's
        └── ClosedError            the memory was closed

A message says what happened, with the values, and then what to do.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import unquote, urlsplit

_SAID = {"missing": "is missing; give it", "extra_forbidden": "is not known here; leave it out"}
"""In place of pydantic's messages, by their types."""
_SHOULD = "Input should be "
_CHOICES = ("literal_error", "enum")
_RANGE = {
    "le": ("over", "at most"),
    "ge": ("under", "at least"),
    "lt": ("not under", "less than"),
    "gt": ("not over", "more than"),
    "max_length": ("over", "at most"),
    "min_length": ("under", "at least"),
}
"""Of pydantic's limits: what a value beyond them is, and what to give."""
FEW = 500  # values in a value, or characters in one of them, that a message shows
_EXTRA = re.compile(r"(pip install )'agentmem-crystal\[([a-z]+)\]'")


class AgentMemError(Exception):
    """Base of every error agentmem raises."""


class InvalidInputError(AgentMemError, ValueError):
    """A value was refused; nothing was written."""


class TooLargeError(InvalidInputError):
    """A text, batch, blob or attachment is over its limit."""


class KeyConflictError(InvalidInputError):
    """An idempotency key was met again with other content, or after its step was erased."""


class ErasedError(InvalidInputError):
    """A step is about a subject, or of an episode, that was erased, or a line is of what was erased; consent given
    again lets the subject in.
    """


class ConsentError(InvalidInputError):
    """A step is about a subject whose consent was withdrawn."""


class HeldError(InvalidInputError):
    """What is to be erased is under a hold, or the name of a hold is on something else; lift it first."""


class PathError(InvalidInputError, OSError):
    """A file of weights cannot be read or written where it should be, such as a folder."""


class SettingsError(InvalidInputError):
    """A setting contradicts the file's own."""


class RefusedError(InvalidInputError):
    """A text or name holds what the redaction of its namespace keeps out of the log."""


class NotFoundError(AgentMemError, LookupError):
    """No such step, episode, crystal, blob or attachment."""


class NoFileError(NotFoundError, FileNotFoundError):
    """No such file of weights."""


class EncoderError(AgentMemError):
    """An encoder failed, or is not the one the stored codes were made with."""


class CondenseError(AgentMemError):
    """A condenser failed; what was logged is safe and crystallize can be run again."""


class PlayError(AgentMemError):
    """An environment or a policy failed while it was played; what was logged is safe. trace: the part of the traceback
    that is its own. then: what is kept, and how to go on.
    """

    def __init__(self, message: str, trace: str = "", then: str = "") -> None:
        super().__init__(f"{message}; {then}" if then else message)
        self.trace, self.then = trace, then


class MissingExtraError(AgentMemError, ImportError):
    """An optional dependency is not installed; the message is the line that installs it, from where agentmem came."""

    def __init__(self, message: str) -> None:
        super().__init__(as_installed(message))


def as_installed(message: str) -> str:
    """A message whose `pip install 'agentmem-crystal[extra]'` installs from where this agentmem was installed from."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        origin = json.loads(distribution("agentmem-crystal").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        return message
    return _EXTRA.sub(lambda found: found[1] + _requirement(found[2], origin), message)


def _requirement(extra: str, origin: dict[str, Any]) -> str:
    """What pip is to be given. origin: a direct_url.json (PEP 610); empty for a package from an index."""
    name, url = f"agentmem-crystal[{extra}]", origin.get("url")
    if not url:
        return f"'{name}'"
    if "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return editable + shlex.quote(f"{unquote(urlsplit(url).path)}[{extra}]")
    vcs = origin.get("vcs_info")
    return shlex.quote(f"{name} @ {vcs['vcs']}+{url}@{vcs['commit_id']}" if vcs else f"{name} @ {url}")


class StoreError(AgentMemError):
    """The file or server behind a memory failed."""


class NotAMemoryError(StoreError):
    """The file exists and is not an agentmem file."""


class NewerFormatError(StoreError):
    """The file was written by a newer agentmem."""


class LockedError(StoreError):
    """Another process kept the write lock for too long."""


class ReadOnlyError(StoreError):
    """The memory was opened, or is mounted, read-only."""


class FullError(StoreError):
    """The disk or a quota is full; reading still works."""


class DamagedError(StoreError):
    """Stored bytes changed, or acknowledged steps are missing."""


class KeyFileError(StoreError):
    """The key file of an encrypted memory is missing, locked by a passphrase, changed, or another memory's."""


class ClosedError(StoreError):
    """The memory was closed."""


@contextmanager
def exit_with_message() -> Iterator[None]:
    """Ends a script at an error of ours with its message in a line, and no traceback; others are bugs, and keep it."""
    try:
        yield
    except AgentMemError as error:
        raise SystemExit(f"error: {' '.join(str(error).split())}") from error


def in_brief(value: object, most: int = 80) -> str:
    """A value in a message, in at most so many characters; what is large, deep or has no repr, by its type."""
    try:
        in_part = isinstance(value, str | bytes | bytearray)
        text = repr(value[: most + 1]) if in_part else repr(value) if _few(value) else _named(value)  # type: ignore[index]
    except (ValueError, RecursionError):  # a number of thousands of digits, or what holds itself
        text = _named(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _few(value: object) -> bool:
    """Whether little is in a list or mapping, and in those in it."""
    left, seen = [value], 0
    while left and seen < FEW:
        one = left.pop()
        seen += 1 + (len(one) // FEW if isinstance(one, str | bytes | bytearray) else 0)
        if isinstance(one, list | tuple | set | frozenset):
            left += islice(one, FEW)
        elif isinstance(one, dict):
            left += islice(one.items(), FEW)
    return not left


def _named(value: object) -> str:
    kind = type(value).__name__
    return f"<{kind} of {len(value):,}>" if isinstance(value, Sized) else f"<{kind}>"


def said_of(problem: Mapping[str, Any], shown: Callable[[object], str]) -> str:
    """What pydantic found wrong with a value, in words, and what to give; of what is out of range, the limit too.

    shown: the value as the message may show it, such as `records.brief`, without secrets.
    """
    limits, given = problem.get("ctx", {}), problem["input"]
    for name, (words, give) in _RANGE.items():
        if name in limits:
            limit = f"{limits[name]:,}" if isinstance(limits[name], int | float) else str(limits[name])
            came = f"a length of {len(given):,}" if name.endswith("length") else shown(given).strip("'")
            return f"{came} is {words} {limit}; give {give} {limit}"
    said = _SAID.get(problem["type"], str(problem["msg"])).removeprefix("Value error, ")
    if not said.startswith(_SHOULD):
        return said
    fit = said.removeprefix(_SHOULD)
    if problem["type"] not in _CHOICES:
        fit = fit.partition(", ")[0]  # why it does not fit follows
    came = shown(given) if isinstance(given, str | int | float | None) else f"a {type(given).__name__}"
    return f"give {fit}, not {came}"
