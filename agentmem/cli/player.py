"""The keys and the screen of `agentmem replay` in a terminal: one frame at a time, back and on, or playing.

Knows frames and a terminal of POSIX.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.text import Text

from agentmem.cli import frame, show
from agentmem.replay import Frame, Frames

PACE_S = 0.5
"""Seconds that a frame is shown while playing."""
PAGE = 10
KEYS = {
    b"\x1b[C": "on", b"\x1bOC": "on", b"l": "on", b"n": "on", b"\r": "on", b"\n": "on",
    b"\x1b[D": "back", b"\x1bOD": "back", b"h": "back", b"p": "back",
    b"\x1b[H": "first", b"\x1bOH": "first", b"\x1b[1~": "first", b"g": "first",
    b"\x1b[F": "last", b"\x1bOF": "last", b"\x1b[4~": "last", b"G": "last",
    b"\x1b[6~": "page on", b"\x1b[B": "page on", b"\x1b[5~": "page back", b"\x1b[A": "page back",
    b" ": "play", b"q": "quit", b"\x1b": "quit", b"\x03": "quit",
}  # fmt: skip
HELP = "← → step   ↑ ↓ ten steps   Home End   space plays   q quits"


def keys_in(read: bytes) -> Iterator[str]:
    """What the keys mean that a terminal sent, in order; others are passed over."""
    while read:
        known = max((key for key in KEYS if read.startswith(key)), key=len, default=b"")
        if known == b"\x1b" and len(read) > 1:  # a key of its own, and no Escape
            return
        if known:
            yield KEYS[known]
        read = read[max(1, len(known)) :]


class Player:
    """Plays frames, from the first on."""

    def __init__(self, frames: Frames) -> None:
        self.frames, self.number, self.playing = frames, 0, False

    def press(self, key: str) -> bool:
        """Do what a key means; False to quit."""
        moves = {"on": 1, "back": -1, "page on": PAGE, "page back": -PAGE}
        moves |= {"first": -self.number, "last": len(self.frames)}
        self.playing = not self.playing if key == "play" else False
        self._go(moves.get(key, 0))
        return key != "quit"

    def tick(self) -> None:
        """Half a second went by."""
        if self.playing:
            self._go(1)
            self.playing = self.number < len(self.frames) - 1

    def _go(self, by: int) -> None:
        self.number = min(max(0, self.number + by), len(self.frames) - 1)

    def run(self) -> None:
        """Until q is pressed, or the input ends."""
        source = sys.stdin.fileno()
        with _each_key(source), Live(self.screen(), screen=True, auto_refresh=False, console=show.out()) as live:
            while True:
                ready, _, _ = select.select([source], [], [], PACE_S if self.playing else None)
                read = os.read(source, 64) if ready else b""
                if ready and (not read or not all(map(self.press, keys_in(read)))):
                    return
                if not ready:
                    self.tick()
                live.update(self.screen(), refresh=True)

    def screen(self) -> Layout:
        """The frame as it fills a terminal."""
        made = self.frames[self.number]
        top = Layout(self._title(made), size=2)
        left = Layout(Group(frame.step(made.step), frame.happened(made)), ratio=2)
        right = Layout(_contexts(made), ratio=3)
        middle = Layout()
        middle.split_row(left, right)
        screen = Layout()
        screen.split_column(top, middle, Layout(Text(HELP, style=show.QUIET), size=1))
        return screen

    def _title(self, made: Frame) -> Group:
        share = (self.number + 1) / len(self.frames)
        mark = "▶ playing" if self.playing else "❚❚"
        return Group(Text.assemble(frame.head(made, len(self.frames)), f"  {mark}"), show.bar(share, 80))


def _contexts(made: Frame) -> RenderableType:
    if not made.recalls:
        return Text("nothing was recalled before this step", style=show.QUIET)
    return Group(*map(frame.recall, made.recalls))


@contextmanager
def _each_key(source: int) -> Iterator[None]:
    """Keys come as they are pressed, and are not printed; the terminal is then as it was."""
    import termios
    import tty

    before = termios.tcgetattr(source)
    tty.setcbreak(source)
    try:
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
