"""The files of one memory and what an operating system must do with them: lock, sync, grow or refuse. Knows no SQL."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import apsw

from ..errors import (
    AgentMemError,
    FullError,
    InvalidInputError,
    LockedError,
    NotAMemoryError,
    ReadOnlyError,
    StoreError,
)

logger = logging.getLogger("agentmem")
LOCK_SECONDS = 10.0
YIELDS = 20
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_WRITING = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
fdatasync = getattr(os, "fdatasync", os.fsync)


HEADER = b"SQLite format 3\0"
# A plain file is not read through the layer of SQLite3 Multiple Ciphers, which takes a read that the disk refused for
# one that went well (2.4.0, `mcIoRead`).
PLAIN = apsw.vfs_names()[0].removeprefix("multipleciphers-")
MAGIC = b"agentmem"  # begins an encrypted memory: with 8 random bytes, the salt of its cipher and its id
KEYS = b'{"agentmem":"key'  # begins a key file
KEPT = ("-wal", "-anchor", "-lock", "-reserve")
BESIDE = (*KEPT, "-shm")  # which is shared memory of those that have the memory open


class Files:
    """Names of a memory's files: all start with its path. A private directory stands in for ":memory:"."""

    def __init__(self, path: str) -> None:
        self.shown = path
        self.private: str | None = None
        self.cipher: str | None = None  # key and salt in hex, of an encrypted memory
        if path == ":memory:":
            shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
            self.private = tempfile.mkdtemp(prefix="agentmem-", dir=shm)
            self._remove = weakref.finalize(self, _remove_private, self.private, os.getpid())
            path = os.path.join(self.private, "private.mem")
        self.database = os.path.abspath(path)
        self.wal = self.database + "-wal"
        self.anchor = self.database + "-anchor"
        self.lock = self.database + "-lock"
        self.reserve = self.database + "-reserve"
        self.directory = os.path.dirname(self.database)

    def check(self) -> None:
        if os.path.isdir(self.database):
            raise NotAMemoryError(f"{self.shown} is a directory; give the path of a file in it")
        if not os.path.isdir(self.directory):
            raise InvalidInputError(f"the directory {self.directory} does not exist; create it before {self.shown}")
        if os.path.exists(self.database):
            self._check_header()

    def _check_header(self) -> None:
        """Refuse what is no SQLite file before anything is written beside it."""
        if not os.path.isfile(self.database):
            raise NotAMemoryError(f"{self.shown} is no regular file; give the path of a memory, or a new one")
        start = self.start()
        if start and start != HEADER and not start.startswith(MAGIC):
            raise NotAMemoryError(f"{self.shown} is not a memory file; give the path of one, or a new path")

    def all(self) -> tuple[str, ...]:
        return self.database, *(self.database + one for one in BESIDE)

    def start(self) -> bytes:
        """The first bytes of the database; none if it is not there."""
        with os_errors(self.shown):
            return first_bytes(self.database)

    def restart(self, start: bytes) -> None:
        """Write the first bytes of the database."""
        with _handle(self.database, apsw.SQLITE_OPEN_READWRITE) as file:
            file.xWrite(start, 0)
            file.xSync(apsw.SQLITE_SYNC_NORMAL)

    def empty(self) -> bool:
        return not os.path.exists(self.database) or os.path.getsize(self.database) == 0

    def writable(self) -> bool:
        """Whether the database can be written, or be made where it is not there yet, and its siblings beside it."""
        target = self.database if os.path.exists(self.database) else self.directory
        return os.access(target, os.W_OK) and os.access(self.directory, os.W_OK)

    def make(self) -> None:
        """An empty database, for its owner alone, unless there is one; a warning where others could put another."""
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        mode = os.stat(self.directory).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            text = "%s: everybody can write its directory, and put another file in its place: chmod o-w %s"
            logger.warning(text, self.shown, self.directory)

    def size(self, name: str) -> int:
        return os.path.getsize(name) if os.path.exists(name) else 0

    def sync_directory(self) -> None:
        sync(self.directory)

    def remove_private(self) -> None:
        if self.private is not None:
            self._remove()


def _remove_private(directory: str, pid: int) -> None:
    """Not by a forked child, which shares the directory."""
    if os.getpid() == pid:
        shutil.rmtree(directory, ignore_errors=True)


def open_private(path: str) -> int:
    """A file of a memory, made if it is not there, that is its owner's alone; OSError for a link, which leads away.

    SQLite gives -wal and -shm the permissions of the database.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextlib.contextmanager
def _handle(path: str, flag: int) -> Iterator[apsw.VFSFile]:
    """A database as SQLite opens it. A descriptor of our own drops, when it is closed, the locks that all connections
    of this process have on the file (fcntl(2)), and others then take it for one that nobody has open. Raises OSError.
    """
    try:
        file = apsw.VFSFile(PLAIN, path, [flag | apsw.SQLITE_OPEN_MAIN_DB, 0])
        try:
            yield file
        finally:
            file.xClose()
    except apsw.Error as error:
        raise OSError(errno.EIO, str(error), path) from error


def first_bytes(path: str) -> bytes:
    """As many as say what a file is; none if it is not there. Raises OSError."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return b""
    if not os.access(path, os.R_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    with _handle(path, apsw.SQLITE_OPEN_READONLY) as file:
        return file.xRead(min(len(HEADER), os.path.getsize(path)), 0)


@contextlib.contextmanager
def _looking(path: str | Path) -> Iterator[None]:
    """What may not be looked at, by who runs this, becomes an error of the tree."""
    try:
        yield
    except OSError as error:
        then = "give another path, or let whoever runs this search its directory and read it"
        raise InvalidInputError(f"{path} cannot be looked at ({error.strerror}); {then}") from error


def check_target(path: Path, memory: str | None = None) -> None:
    """InvalidInputError where a directory, a device, a pipe, a memory, a file of one or a key file stands, or where it
    cannot be seen what does: nothing may be written there.

    memory: beside which whatever begins with its name is its own.
    """
    with _looking(path):
        _check_free(path, memory)


def _check_free(path: Path, memory: str | None) -> None:
    if path.is_dir():
        raise InvalidInputError(f"{path} is a directory; give the path of a file in it")
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"{path} is a device or a pipe, which a file would replace; give the path of a file")
    there = Path(os.path.realpath(path))  # Path.resolve has an error of its own for links in a circle
    of = Path(os.path.realpath(memory)) if memory is not None else None
    own = of is not None and there.name.startswith(of.name) and there.parent == of.parent
    if (path.is_file() and own) or any(_begins(one, HEADER, MAGIC) for one in (there, *_bases(there))):
        raise InvalidInputError(f"{path} is a memory, or belongs to one; give a path of its own")
    if _begins(there, KEYS):
        raise InvalidInputError(f"{path} is a key file, without which its memory cannot be read; give another path")


def check_new(path: Path, memory: str) -> None:
    """InvalidInputError where a file cannot be made, or something stands already; see `check_target`."""
    check_target(path, memory)
    if os.path.lexists(path):
        raise InvalidInputError(f"{path} already exists; give a path where nothing stands")
    if not path.absolute().parent.is_dir():
        raise InvalidInputError(f"the directory of {path} does not exist; create it first")
    if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
        raise InvalidInputError(f"the directory of {path} cannot be written; give a path in another")


def _bases(path: Path) -> Iterator[Path]:
    """The memory that a file would be of by its name."""
    for suffix in BESIDE:
        if path.name.endswith(suffix) and path.name != suffix:
            yield path.with_name(path.name.removesuffix(suffix))


def _begins(path: Path, *starts: bytes) -> bool:
    return path.is_file() and first_bytes(str(path)).startswith(starts)


class FileLock:
    """An exclusive lock between processes, taken by polling so that it can give up."""

    def __init__(self, path: str, seconds: float = LOCK_SECONDS) -> None:
        self._path, self._seconds = path, seconds
        self._fd = open_private(path)

    def __enter__(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._poll()

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _poll(self) -> None:
        """Mostly the lock is free again in less time than the shortest sleep takes: first only let others run."""
        start, pause, tries = time.monotonic(), 0.00005, 0
        while time.monotonic() - start < self._seconds:
            tries += 1
            if tries <= YIELDS:
                os.sched_yield()
            else:
                time.sleep(pause)
                pause = min(pause * 1.2, 0.0005)
            with contextlib.suppress(BlockingIOError):
                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise LockedError(
            f"{self._path} was held by another process for {self._seconds:g} s; try again when it has finished writing"
        )

    def close(self) -> None:
        os.close(self._fd)


def translate_os(error: OSError, path: str) -> AgentMemError:
    """The error of the tree for what the operating system said about a memory's file."""
    if error.errno in NO_SPACE:
        return FullError(
            f"no space left for {path} ({error.strerror}); free some and try again: nothing was half-written"
        )
    if error.errno in NO_WRITING:
        return ReadOnlyError(f"{path} cannot be written ({error.strerror}); check its permissions or open it read-only")
    if error.errno == errno.ELOOP:
        return StoreError(f"{path}: {error.filename} is a link, which may lead anywhere; remove it")
    return StoreError(f"{path}: {error}; check the disk, then open the memory again")


class os_errors:
    """Errors of the operating system in the body become those of the tree."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, AgentMemError):
            raise translate_os(error, self.path) from error


def refuse_existing(path: str) -> None:
    """Nothing may stand where a new memory and its siblings will."""
    for name in (path, path + "-wal", path + "-anchor", path + "-partial"):
        if os.path.lexists(name):
            raise InvalidInputError(f"{name} already exists; choose a path where nothing stands")
    with _looking(path):
        there = Path(path).absolute().parent.is_dir()
    if not there:
        raise InvalidInputError(f"the directory of {path} does not exist; create it first")


def sync(path: str) -> None:
    """Have the disk keep a file or a directory as it is now."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
