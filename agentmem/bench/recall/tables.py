"""Figures, paragraphs and tables as Markdown whose source reads well too. Knows strings; not what they tell."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

WIDTH = 100


def short(value: float) -> str:
    """.650, 1.000, -.012"""
    rounded = round(value, 3) + 0.0  # no -.000
    return f"{rounded:.3f}".replace("0.", ".", 1) if abs(rounded) < 1 else f"{rounded:.3f}"


def wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table whose source is aligned too: names to the left, figures to the right."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(columns))]
    text = [all(not _is_figure(line[column]) for line in lines[1:]) for column in range(len(columns))]
    rule = ["-" * width if left else "-" * (width - 1) + ":" for width, left in zip(widths, text, strict=True)]
    for line in (lines[0], rule, *lines[1:]):
        cells = (c.ljust(w) if left else c.rjust(w) for c, w, left in zip(line, widths, text, strict=True))
        yield f"| {' | '.join(cells)} |"


def _is_figure(cell: str) -> bool:
    return cell == "-" or cell.lstrip("-.")[:1].isdigit()
