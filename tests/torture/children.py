"""Forked children that tell what they did, line by line, and may be killed meanwhile. Knows no memory."""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable

Say = Callable[[str], None]
PATIENCE = 120.0  # seconds that a child may be silent


class Child:
    """A fork of this process that runs `work`, which is given a function that tells a line."""

    def __init__(self, work: Callable[[Say], None]) -> None:
        self._read, write = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads of the parent are none of the child's
            self.pid = os.fork()
        if not self.pid:
            os.close(self._read)
            _work(work, write)
        os.close(write)
        self._begun = b""
        self.code: int | None = None

    def wait_for_a_word(self) -> None:
        """Until something was told, or the child has gone."""
        assert select.select([self._read], [], [], PATIENCE)[0], f"nothing was told in {PATIENCE:g} s"

    def word(self) -> str:
        """The first line that is told."""
        while b"\n" not in self._begun:
            self.wait_for_a_word()
            data = os.read(self._read, 1 << 16)
            assert data, "the child ended without a word"
            self._begun += data
        return self._begun.split(b"\n")[0].decode()

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def lines(self) -> list[str]:
        """Everything told, once the child has ended; `code` is then its exit code, negative a signal."""
        with os.fdopen(self._read, "rb") as told:
            said = (self._begun + told.read()).decode()
        _, status = os.waitpid(self.pid, 0)
        self.code = os.waitstatus_to_exitcode(status)
        return [line for line in said.split("\n") if line]


def _work(work: Callable[[Say], None], write: int) -> None:
    code = 1
    try:
        work(lambda line: os.write(write, f"{line}\n".encode()) and None)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def killed_after(work: Callable[[Say], None], seconds: float, first: bool = False) -> list[str]:
    """What a child had told when it was killed, some time after it began or, with `first`, after its first word."""
    child = Child(work)
    if first:
        child.wait_for_a_word()
    time.sleep(seconds)
    child.kill()
    told = child.lines()
    assert child.code == -signal.SIGKILL, f"the child ended by itself, with {child.code}"
    return told


def finished(works: list[Callable[[Say], None]]) -> list[list[str]]:
    """What each of some children told that ran at once and all came to their end."""
    children = [Child(work) for work in works]
    told = [child.lines() for child in children]
    assert [child.code for child in children] == [0] * len(children), [child.code for child in children]
    return told
