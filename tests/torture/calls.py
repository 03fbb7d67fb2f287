"""The system calls by which a memory reaches the disk, counted, and made to fail or to kill at the n-th of them.

SQLite's go through its own table of calls, in which each may be replaced; Python's are replaced by name. To be used in
a forked child, which ends with them: nothing is put back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable
from typing import Any

import apsw

from agentmem.store import files

KILL = 0
"""In the place of an error: the process is killed before the call."""
NAMES = {errno.ENOSPC: "ENOSPC", errno.EIO: "EIO", errno.ENOMEM: "ENOMEM", KILL: "SIGKILL"}
_INT, _POINTER, _SIZE, _LONG, _TEXT = ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, ctypes.c_char_p
_CALLS: dict[str, tuple[Any, ...]] = {
    "pwrite64": (ctypes.c_ssize_t, _INT, _POINTER, _SIZE, _LONG),
    "write": (ctypes.c_ssize_t, _INT, _POINTER, _SIZE),
    "ftruncate": (_INT, _INT, _LONG),
    "open": (_INT, _TEXT, _INT, _INT),
    "unlink": (_INT, _TEXT),
    "mmap": (_POINTER, _POINTER, _SIZE, _INT, _INT, _INT, _LONG),
}
READS: dict[str, tuple[Any, ...]] = {"pread64": (ctypes.c_ssize_t, _INT, _POINTER, _SIZE, _LONG)}


class Calls:
    """Counts calls from now on. At number `at`, and with `lasting` at all after it, they fail with `error`."""

    def __init__(self, at: int = -1, error: int = KILL, lasting: bool = False, reads: bool = False) -> None:
        self.made, self.at, self.error, self.lasting = 0, at, error, lasting
        self.failed: str | None = None
        self._vfs = apsw.VFS("torture", "unix")
        self._kept: list[Any] = []
        for name, types in (_CALLS | (READS if reads else {})).items():
            self._replace(name, types)
        os.pwrite = self._python("pwrite of the anchor", os.pwrite)  # type: ignore[assignment]
        os.fsync = self._python("fsync", os.fsync)
        files.fdatasync = self._python("fdatasync", files.fdatasync)

    def _replace(self, name: str, types: tuple[Any, ...]) -> None:
        kind = ctypes.CFUNCTYPE(*types, use_errno=True)
        real = kind(self._vfs.xGetSystemCall(name))

        def call(*given: Any) -> Any:
            if self._fails(name):
                ctypes.set_errno(self.error)
                return -1
            return real(*given)

        mine = kind(call)
        self._kept += [mine, real]
        assert self._vfs.xSetSystemCall(name, ctypes.cast(mine, _POINTER).value)

    def _python(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            if self._fails(name):
                raise OSError(self.error, os.strerror(self.error))
            return real(*given)

        return call

    def _fails(self, name: str) -> bool:
        self.made += 1
        if self.made != self.at and not (self.lasting and self.made > self.at > 0):
            return False
        if self.error == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        self.failed = self.failed or name
        return True
