"""Files that people name, written whole: a reader, a kill or a full disk meanwhile leaves the old one or the new one.

Knows paths and what an operating system refuses; knows nothing of memories.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

from ..errors import AgentMemError, StoreError
from .files import NO_SPACE, translate_os

PART = ".part"  # ends the name of a file that is being written
_SHOWN = 60  # characters of the name in that of its part, which may be no longer than a name may


@contextmanager
def replaced(path: str | Path) -> Iterator[BinaryIO]:
    """What is written in the body takes the place of a file at its end, with its permissions; after an error nothing
    is there that was not. A link stays one: what it leads to is replaced. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f"{target.name[:_SHOWN]}.{token_hex(4)}{PART}")  # others may be writing the same file
    try:
        with part.open("xb") as out:
            with suppress(FileNotFoundError):
                os.fchmod(out.fileno(), os.stat(target).st_mode & 0o777)
            yield out
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


@contextmanager
def created(path: Path) -> Iterator[BinaryIO]:
    """`replaced`, where nothing may stand. Raises OSError."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with replaced(path) as out:
        yield out


@contextmanager
def put(path: Path, what: str) -> Iterator[BinaryIO]:
    """`replaced`, of a file that is told as what it is. Raises FullError for a full disk, StoreError for what else
    stops it.
    """
    try:
        with replaced(path) as out:
            yield out
    except OSError as error:
        raise unwritten(error, path, what) from error


def unwritten(error: OSError, path: Path, what: str) -> AgentMemError:
    """The error of the tree for what stopped the writing of such a file."""
    if error.errno in NO_SPACE:
        return translate_os(error, str(path))
    return StoreError(f"cannot write the {what} to {path}: {error.strerror}; choose another place")
