"""How the command line looks: tables, bars, progress, numbers. Knows no memory."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from rich import box
from rich.bar import Bar
from rich.columns import Columns
from rich.console import Console, Group
from rich.progress import BarColumn, Progress, Task, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from agentmem.bench.printed import json_of

ACCENT, QUIET, GOOD, BAD = "cyan", "bright_black", "green", "red"
PATIENCE_S = 2.0
TENTH = 10  # per cent


def out() -> Console:
    return Console(highlight=False, soft_wrap=False)


def err() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def line(text: str) -> None:
    """A quiet remark for people, kept out of standard output."""
    err().print(Text(safe(text), style=QUIET))


def as_json(value: Any) -> None:
    """One JSON document and nothing else on standard output."""
    sys.stdout.write(json_of(value, ensure_ascii=False, default=str) + "\n")


def table(*columns: str, right: Iterable[str] = (), title: str | None = None) -> Table:
    """An airy table; the columns named in `right` are numbers."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", header_style=QUIET)
    numbers = set(right)
    for column in columns:
        number = column in numbers
        made.add_column(column, justify="right" if number else "left", no_wrap=number, min_width=len(column))
    return made


def bar(share: float, width: int = 32) -> Bar:
    return Bar(size=1.0, begin=0.0, end=share, width=width, color=ACCENT)


def say(done: str, what: str = "", remark: str = "", style: str = "bold") -> None:
    """One line of result: what was done, to what, and a quiet remark. Never wrapped."""
    parts = [(done, style), (what, ""), (remark, QUIET)]
    out().print(Text("  ").join(Text(safe(part), style) for part, style in parts if part), soft_wrap=True)


def count(value: int, things: str) -> str:
    """3, "steps" -> 3 steps; 1, "steps" -> 1 step"""
    return f"{number(value)} {things.removesuffix('s') if value == 1 else things}"


def number(value: float) -> str:
    return f"{value:,.0f}"


def ratio(value: float) -> str:
    return "-" if value in (0, float("inf")) else f"{value:.1f} : 1"


def size(n_bytes: float) -> str:
    """1,234 -> 1.2 kB"""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            break
        n_bytes /= 1000
    return f"{n_bytes:.0f} {unit}" if unit == "B" or n_bytes >= 100 else f"{n_bytes:.1f} {unit}"


_UNSEEN = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n"} | {127: "␡"}
_UNSEEN |= dict.fromkeys(
    (*range(0x80, 0xA0), *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�"
)


def safe(text: str) -> str:
    """A text that cannot steer a terminal, nor turn the direction of what stands around it."""
    return text.translate(_UNSEEN)


def text(value: str) -> None:
    """A text on standard output: exact for a pipe or file, `safe` for a terminal."""
    sys.stdout.write((safe(value) if sys.stdout.isatty() else value) + "\n")


def path(file: str | Path) -> str:
    """A path as it can be printed, whatever bytes its name is made of."""
    return str(file).encode("utf-8", "backslashreplace").decode()


def program() -> str:
    """How the command line is called from here: by its path where it has that name and no shell finds it by this."""
    called = sys.argv[0]
    return shlex.quote(called) if Path(called).name == "agentmem" and not shutil.which("agentmem") else "agentmem"


def clip(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: max(0, width - 1)].rstrip() + "…"


def signals(scores: dict[str, float]) -> list[str]:
    """Each signal with what it added to the score, in order of that; those that added nothing left out."""
    loudest = sorted(scores.items(), key=lambda pair: -pair[1])
    return [f"{name} {value:+.2f}" for name, value in loudest if f"{value:.2f}" not in ("0.00", "-0.00")]


def entries(heads: Iterable[tuple[str, Text, list[str], str]]) -> Table:
    """A list to read at any width: a number, a head, quiet remarks side by side, and the beginning of a text."""
    made = Table.grid(padding=(0, 2), pad_edge=True)
    made.add_column(justify="right", no_wrap=True)
    made.add_column(ratio=1)
    for figure, head, remarks, text in heads:
        quiet = Columns([Text(remark, style=QUIET) for remark in remarks], padding=(0, 2))
        begins = Text(safe(" ".join(text.split())), no_wrap=True, overflow="ellipsis")
        made.add_row(Text(figure), Group(head, quiet, begins, ""))
    return made


class _Time(TimeRemainingColumn):
    """Time that is left; before a tenth is done it could only be guessed, and the time that has passed is told."""

    def render(self, task: Task) -> Text:
        if task.percentage >= TENTH:
            return super().render(task)
        return Text(f"{timedelta(seconds=int(task.elapsed or 0))} so far", style="progress.elapsed")


def loading(what: str) -> AbstractContextManager[Any]:
    """Says on a terminal that something is being loaded, until it is."""
    return err().status(Text(f"loading {what}", style=QUIET))


class Waiting:
    """A progress bar on standard error, for people only, that shows itself after two seconds.

    Call it (done, total), and with a label to have another from then on; `called` says whether it was.
    """

    def __init__(self, label: str) -> None:
        self.label, self.called = label, False
        self.began = time.monotonic()
        self.bar = Progress(
            TextColumn("[progress.description]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            _Time(),
            console=err(),
            transient=True,
        )
        self.task: TaskID | None = None

    @property
    def shown(self) -> bool:
        return self.task is not None

    @property
    def passed(self) -> float:
        """Seconds since it was made."""
        return time.monotonic() - self.began

    def __call__(self, done: float, total: float | None = None, label: str | None = None) -> None:
        self.label, self.called = label or self.label, True
        if self.task is None and self.bar.console.is_terminal and self.passed > PATIENCE_S:
            self.bar.start()
            self.task = self.bar.add_task(self.label, total=total)
        if self.task is None:
            return
        if total != self.bar.tasks[0].total:  # other things are counted from now on, and at another speed
            self.bar.reset(self.task, total=total)
        self.bar.update(self.task, completed=done, total=total, description=self.label)

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.task is not None:
            self.bar.stop()
