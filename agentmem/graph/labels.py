"""Labels that lie on nothing else. Knows a matplotlib axis, and how wide characters are about."""

from __future__ import annotations

import unicodedata
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

LENGTHS = (40, 26, 15)  # characters that are tried
WIDE = 1.75  # times as wide as a letter
LETTER, LINE = 0.56, 1.25  # of the size of the font
BOLD = 1.15  # times as wide
GAP = 0.8  # of a letter, from the end of a label to the next
POINTS = 72  # to an inch
VEIL = {"facecolor": "#fafafa", "alpha": 0.7, "linewidth": 0, "pad": 0.4}  # so that lines do not strike letters out


def drawable(text: str) -> str:
    """Without characters that the font lacks, each of which is shown as a square."""
    has = _font().get_char_index
    return "".join(char if char.isspace() or has(ord(char)) else "□" for char in text)


@cache
def _font() -> Any:
    manager = import_module("matplotlib.font_manager")
    return manager.get_font(manager.findfont("DejaVu Sans"))


class Board:
    """The room on an axis, in its own units. font: size of labels, in points."""

    def __init__(self, figure: Any, axis: Any, font: float) -> None:
        self._axis, self._font = axis, font
        (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
        width, height = figure.get_size_inches()
        self._right = right
        self._x, self._y = (right - left) / width / POINTS, (top - bottom) / height / POINTS  # of a point
        self._boxes: list[tuple[float, float, float, float]] = []

    def take(self, x: float, y: float, size: float) -> None:
        """Something of so many points stands here."""
        half = size / 2
        self._boxes.append((x - half * self._x, y - half * self._y, x + half * self._x, y + half * self._y))

    def write(self, text: str, x: float, y: float, beside: float, **style: Any) -> None:
        """A label beside a mark of so many points: right of it, above or below, shorter if need be; or none."""
        for length in LENGTHS if len(text) > LENGTHS[-1] else LENGTHS[-1:]:
            short = text if len(text) <= length else text[: length - 1].rstrip() + "…"
            wide, high = self._size(short, style.get("fontweight") == "bold")
            for left, bottom in self._spots(x, y, beside, high):
                box = (left, bottom, left + wide, bottom + high)
                if box[2] <= self._right and not self._meets(box):
                    self._boxes.append(box)
                    look = style | {"fontsize": self._font, "va": "center", "zorder": 4, "bbox": VEIL}
                    self._axis.text(left, bottom + high / 2, short, parse_math=False, **look)
                    return

    def _size(self, text: str, bold: bool) -> tuple[float, float]:
        letters = GAP + sum(WIDE if unicodedata.east_asian_width(char) in "WF" else 1.0 for char in text)
        return letters * (BOLD if bold else 1.0) * LETTER * self._font * self._x, LINE * self._font * self._y

    def _spots(self, x: float, y: float, beside: float, high: float) -> list[tuple[float, float]]:
        """Left bottom corners."""
        away = (beside / 2 + 4) * self._x
        up = (beside / 2 + 1) * self._y
        back = beside / 2 * self._x
        return [(x + away, y - high / 2), (x - back, y + up), (x - back, y - up - high)]

    def _meets(self, box: tuple[float, float, float, float]) -> bool:
        taken = np.array(self._boxes).reshape(-1, 4)
        apart = (taken[:, 0] >= box[2]) | (taken[:, 2] <= box[0]) | (taken[:, 1] >= box[3]) | (taken[:, 3] <= box[1])
        return not bool(apart.all())
