"""Files that people name, written whole: a kill, a power cut or a full disk meanwhile leaves the old one or the new.

Knows paths and what an operating system refuses; knows nothing of memories.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from ..errors import StoreError
from .files import NO_SPACE, translate_os

_PART = ".part"  # ends the name of a file that is being written
PARTS = f"*.{'?' * 8}{_PART}"  # the names of those that a kill left, as `glob` takes them
_SHOWN = 60  # characters of the name in that of its part, which may be no longer than a name may


@contextmanager
def replaced(path: str | Path) -> Iterator[BinaryIO]:
    """What is written in the body takes the place of a file at its end, with its permissions; after an error nothing
    is there that was not. A link stays one: what it leads to is replaced. Raises OSError, also for a file that is
    there and may not be written.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f"{target.name[:_SHOWN]}.{token_hex(4)}{_PART}")  # others may be writing the same file
    mode = _mode(target)
    try:
        with open(part, "xb", opener=partial(os.open, mode=0o666 if mode is None else mode)) as out:
            if mode is not None:
                os.fchmod(out.fileno(), mode)  # of which the umask took some
            yield out
            out.flush()
            os.fsync(out.fileno())  # before it has the name: a machine that stops keeps the name, and then no content
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int | None:
    """The permissions of a file that is to be replaced; None if it is not there."""
    try:
        mode = os.stat(target).st_mode & 0o777
    except FileNotFoundError:
        return None
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return mode


@contextmanager
def created(path: Path) -> Iterator[BinaryIO]:
    """`replaced`, where nothing may stand: an empty file holds the place meanwhile, so that of two who write at once
    one is refused. Raises OSError.
    """
    path.open("xb").close()
    try:
        with replaced(path) as out:
            yield out
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


@contextmanager
def put(path: Path, what: str) -> Iterator[BinaryIO]:
    """`replaced`, of a file that is told as what it is. Raises FullError for a full disk, StoreError for what else
    stops it.
    """
    try:
        with replaced(path) as out:
            yield out
    except OSError as error:
        if error.errno in NO_SPACE:
            raise translate_os(error, str(path)) from error
        raise StoreError(f"cannot write the {what} to {path}: {error.strerror}; choose another place") from error
