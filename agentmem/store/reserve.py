"""Room on a disk that is nearly full, kept so that a memory can still be erased from when nothing else fits.

An erasure chains the log anew, which takes as much room as the log does for as long as it lasts. While a file system
has plenty of room nothing is kept; when it has little, a file beside the memory holds as much as an erasure needs.
"""

from __future__ import annotations

import logging
import os

from .files import NO_SPACE, Files, open_private

LITTLE = 1 << 30  # bytes that are free, under which room is kept
SPARE = 128 << 10  # bytes beyond those of the memory's own files
EVERY = 64  # pages of the write-ahead log from one look at the disk to the next
logger = logging.getLogger("agentmem")


class Reserve:
    """The file of one memory that holds room."""

    def __init__(self, paths: Files) -> None:
        self._files, self._pages = paths, 0

    def grown(self, pages: int) -> None:
        """Look at the disk again if the write-ahead log, now of so many pages, has grown much, or began anew."""
        if not 0 <= pages - self._pages < EVERY:
            self._pages = pages
            self.keep()

    def keep(self) -> None:
        """Hold as much room as is needed, or none while there is plenty."""
        paths = self._files
        if paths.private:
            return
        disk = os.statvfs(paths.directory)
        have = paths.size(paths.reserve)
        if disk.f_bavail * disk.f_frsize >= LITTLE:
            self.give_up()
        elif have < (wanted := paths.size(paths.database) + paths.size(paths.wal) + SPARE):
            self._grow(have, wanted)

    def _grow(self, have: int, wanted: int) -> None:
        file = open_private(self._files.reserve)
        try:
            _allocate(file, have, wanted)
        except OSError as error:
            os.ftruncate(file, have)
            if error.errno not in NO_SPACE:
                raise
            logger.warning("%s: no room to keep for an erasure (%s)", self._files.shown, error.strerror)
        finally:
            os.close(file)

    def give_up(self) -> bool:
        """Let the room go; whether there was any."""
        try:
            os.remove(self._files.reserve)
        except FileNotFoundError:
            return False
        return True


def _allocate(file: int, have: int, wanted: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, have, wanted - have)
    else:
        os.pwrite(file, bytes(wanted - have), have)
