"""How a command is stopped: SIGTERM ends it as Ctrl-C does, tidily and with a line that says what is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from agentmem.cli import show

WORDS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_HEARD: list[int] = []
"""The signals that ask this process to stop, other than a Ctrl-C that Python itself heard."""


def heed_sigterm() -> None:
    """From now on SIGTERM raises KeyboardInterrupt; a process that is forked from this one ends at it at once."""
    if signal.getsignal(signal.SIGTERM) == signal.SIG_IGN:  # as whoever began this process wants
        return
    signal.signal(signal.SIGTERM, _stop)
    os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))


def _stop(number: int, frame: object) -> None:
    _HEARD.append(number)
    raise KeyboardInterrupt


@contextmanager
def stoppable(then: str = "") -> Iterator[None]:
    """Ends the command where it is stopped, with a line on standard error; then: what is kept, and how to go on, unless
    that was said within.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        said = str(stopped) or then
        raise ended(f"; {said}" if said else "") from None


@contextmanager
def pressed(then: str) -> Iterator[Callable[[], bool]]:
    """Gives what tells whether to stop, to be looked at where that is safe; asked a second time, it stops at once.

    then: what is kept, and how to go on.
    """
    asked: list[int] = []
    _HEARD.clear()

    def press(number: int, frame: object) -> None:
        _HEARD.append(number)
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, press) for number in WORDS}
    try:
        yield lambda: bool(asked)
    except KeyboardInterrupt:
        raise ended(f" at once; {then}") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ended(then: str = "") -> typer.Exit:
    """What ends the command, once it is said by what it was stopped, and what is to be said then."""
    number = signal.Signals(_HEARD.pop() if _HEARD else signal.SIGINT)
    show.line(f"stopped by {WORDS[number]}{then}")
    return typer.Exit(128 + number)
