"""Notes: who logs the numbered episodes of a place and with what, so that none takes another's for his own.

A place is the namespace of an environment; each episode has one of its own below it, by its number.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Mapping
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
WAIT_S, AGAIN_S = 60.0, 0.05
"""Seconds in which another has begun to log, and between two tries."""
TAKEN = (errno.EAGAIN, errno.EACCES)
"""What says that another process has a lock."""
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
    if NOTE not in place.attachments() and _write(place, note, by):
        return True
    before = note_at(place)
    if before["by"] != by:
        raise SettingsError(_others(place, f"episodes that {before['by']} logged", by))
    held = "a rollout" if by == BY else f"what {by} logged"
    check_same(before, note, held, "to go on with it, or another memory")
    return False


def note_at(place: Memory) -> dict[str, Any]:
    """What is noted of a place, with who logs there; empty where nobody does."""
    return {"by": BY, **json.loads(place.attachment(NOTE))} if NOTE in place.attachments() else {}


def check_same(before: Mapping[str, Any], note: Mapping[str, Any], held: str, then: str) -> None:
    """SettingsError where a note says something else than was noted before. held: what the memory has; then: for what
    the same is to be given, or what to do instead.
    """
    for what, value in note.items():
        if what != FILES and before.get(what) != value:
            raise SettingsError(
                f"this memory holds {held} with {what} {before.get(what)!r}, not {value!r}: give the same {then}"
            )
    for name, content in note.get(FILES, {}).items():
        if before.get(FILES, {}).get(name, content) != content:  # a memory of an earlier version knows of none
            raise SettingsError(
                f"this memory holds {held} with another content of {name} {note['options'][name]!r}: give the file as "
                f"it was {then}"
            )


def _write(place: Memory, note: Mapping[str, Any], by: str) -> bool:
    """Note it, unless another process or thread does just now."""
    with begins(place):
        if NOTE in place.attachments():
            return False
        if there := numbered(place):
            raise SettingsError(_others(place, f"episodes, such as {there[0]}, that do not say who logged them", by))
        place.attach(NOTE, json.dumps({"by": by, **note}, sort_keys=True).encode())
        return True


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


class Claim:
    """That nobody else logs somewhere, from now until it is closed or its process is killed: he would take what is
    logged now for what was logged before an interruption.

    does: what whoever has it does, in words. wait: seconds. Raises SettingsError where another process or thread has it
    all that time. Of other machines it is known as far as the file system of the memory passes locks on to them.
    """

    def __init__(self, space: Memory, does: str, wait: float = 0.0) -> None:
        store = space._core.store
        self._path, self._kept, self._held = store.path, store.path != ":memory:", False
        of = digest(repr(space.namespace).encode())[:16]
        self._name = f"{os.path.realpath(store.path) if self._kept else id(store)}-rollout-{of}"
        self._file: int | None = None
        until = time.monotonic() + wait
        while other := self._taken():
            if time.monotonic() >= until:
                raise SettingsError(f"another {other} {does} in this memory: wait for its end, or give another memory")
            time.sleep(AGAIN_S)

    def _taken(self) -> str:
        """Take it; who has it, where it cannot be taken."""
        with _GUARD:  # a process has each lock file once, whichever of its threads asks
            if self._name in _CLAIMED:
                return "thread"
            if self._kept:
                with os_errors(self._path):
                    self._file = _locked(self._name)
                if self._file is None:
                    return "process"
            _CLAIMED.add(self._name)
            self._held = True
        return ""

    def close(self) -> None:
        """Let others have it; a second time does nothing."""
        with _GUARD:
            if not self._held:
                return
            self._held = False
            _CLAIMED.discard(self._name)
            if self._file is not None:
                Path(self._name).unlink(missing_ok=True)
                os.close(self._file)

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def begins(place: Memory) -> Claim:
    """What is read of a place and then written there is written by one at a time; for a moment, so others wait."""
    return Claim(place.scoped(*place.namespace, NOTE), f"begins to log {place.namespace[-1]!r}", WAIT_S)


def claimed(place: Memory) -> Claim:
    """All episodes of a place, or, where a number is its last name, one of them."""
    *_, called, last = ("", *place.namespace)
    return Claim(place, f"rolls out episode {last} of {called!r}" if last.isdecimal() else f"rolls out {last!r}")


def _locked(name: str) -> int | None:
    """A lock file, made and locked; None where another process has it. Lanes, which are forked, do not hold it too."""
    while True:
        file = open_private(name)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            if error.errno not in TAKEN:
                raise
            return None
        if os.path.exists(name) and os.path.samestat(os.stat(name), os.fstat(file)):
            return file
        os.close(file)  # whoever had it has just removed it


def _others(place: Memory, held: str, by: str) -> str:
    return f"this memory holds {held} of {place.namespace[-1]!r}; {by} would mix its own with them: give another memory"
