"""Notes: who logs the numbered episodes of a place and with what, so that none takes another's for his own.

A place is the namespace of an environment; each episode has one of its own below it, by its number.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any

from agentmem.errors import SettingsError
from agentmem.memory import Memory
from agentmem.records import digest
from agentmem.store.files import open_private, os_errors

NOTE = "rollout"
"""The attachment of a place that says what its episodes are of, and, of an episode, what came of it."""
BY = "rollout()"
FILES = "files"
"""In a note, digests of the files that options name; a note of an earlier version has none."""
_CLAIMED: set[str] = set()
_GUARD = Lock()


def numbered(place: Memory) -> list[int]:
    """The numbers of the episodes at a place."""
    spaces = place._core.store.namespaces()
    return sorted(int(space[-1]) for space in spaces if space[:-1] == place.namespace and space[-1].isdecimal())


def take(place: Memory, note: Mapping[str, Any], by: str = BY) -> bool:
    """Note who logs episodes at a place and with what; False if that was noted before.

    SettingsError where others log there, or with something else, before anything is written.
    """
    if NOTE not in place.attachments():
        if there := numbered(place):
            raise SettingsError(_others(place, f"episodes, such as {there[0]}, that do not say who logged them", by))
        place.attach(NOTE, json.dumps({"by": by, **note}, sort_keys=True).encode())
        return True
    before = {"by": BY, **json.loads(place.attachment(NOTE))}
    if before["by"] != by:
        raise SettingsError(_others(place, f"episodes that {before['by']} logged", by))
    held = "a rollout" if by == BY else f"what {by} logged"
    for what, value in note.items():
        if what != FILES and before.get(what) != value:
            raise SettingsError(
                f"this memory holds {held} with {what} {before.get(what)!r}, not {value!r}: "
                "give the same to go on with it, or another memory"
            )
    for name, content in note.get(FILES, {}).items():
        if before.get(FILES, {}).get(name, content) != content:  # a memory of an earlier version knows of none
            raise SettingsError(
                f"this memory holds {held} with another content of {name} {note['options'][name]!r}: give the file as "
                "it was to go on with it, or another memory"
            )
    return False


def files_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Of values that are paths of files, digests of what is in these: an environment reads them when it is made."""
    return {name: _digest(value) for name, value in given.items() if isinstance(value, str | Path) and _is_file(value)}


def _is_file(path: str | Path) -> bool:
    """A plain word is none, such as split="test", also where a file is called so."""
    written = isinstance(path, Path) or os.path.dirname(path) or os.path.splitext(path)[1]
    return bool(written) and os.path.isfile(path) and os.access(path, os.R_OK)


def _digest(name: str | Path) -> str:
    with open(name, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def claimed(place: Memory) -> Iterator[None]:
    """Let nobody else roll out at a place until the end, or a kill: he would take what is logged now for what was
    logged before an interruption. SettingsError while another process or thread does.
    """
    store = place._core.store
    kept = store.path != ":memory:"
    of = digest(repr(place.namespace).encode())[:16]
    name = f"{os.path.realpath(store.path) if kept else id(store)}-rollout-{of}"
    with _in_process(name, place), _among_processes(name, place) if kept else nullcontext():
        yield


@contextmanager
def _in_process(name: str, place: Memory) -> Iterator[None]:
    """A process has each lock file once, whichever of its threads asks."""
    with _GUARD:
        if name in _CLAIMED:
            raise SettingsError(_claimed_by("thread", place))
        _CLAIMED.add(name)
    try:
        yield
    finally:
        _CLAIMED.discard(name)


@contextmanager
def _among_processes(name: str, place: Memory) -> Iterator[None]:
    with os_errors(place._core.store.path):
        file = _locked(name)
    if file is None:
        raise SettingsError(_claimed_by("process", place))
    try:
        yield
    finally:
        os.unlink(name)
        os.close(file)


def _claimed_by(other: str, place: Memory) -> str:
    return f"another {other} rolls out {place.namespace[-1]!r} in this memory: wait for its end, or give another memory"


def _locked(name: str) -> int | None:
    """A lock file, made and locked; None where another process has it. Lanes, which are forked, do not hold it too."""
    while True:
        file = open_private(name)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        if os.path.exists(name) and os.path.samestat(os.stat(name), os.fstat(file)):
            return file
        os.close(file)  # whoever had it has just removed it


def _others(place: Memory, held: str, by: str) -> str:
    return f"this memory holds {held} of {place.namespace[-1]!r}; {by} would mix its own with them: give another memory"
