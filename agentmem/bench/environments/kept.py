"""Rows of a table, each kept as a file: one that is there is not measured again; and how several are told as one.

Knows files and a lock; knows nothing of what is measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.neural.files import held, write


def spread(values: Sequence[float | None], form: str) -> str:
    """The mean, and from where to where; - where there is nothing to tell."""
    there = [each for each in values if each is not None]
    if not there:
        return "-"
    middle, low, high = (form.format(each).removesuffix("%") for each in (mean(there), min(there), max(there)))
    return middle if low == high else f"{middle} ({low} to {high})"


def kept_row(file: Path, asked: Mapping[str, Any], make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """What is asked, as JSON has it, and what came of it: from the file, or made and kept there.

    Raises InvalidInputError where the file is of something else or holds no row, SettingsError while another process
    makes it.
    """
    if not file.is_file():
        lock = file.with_suffix(".lock")
        with held(lock):
            if not file.is_file():
                write(file, json.dumps({**asked, **make()}).encode())
        lock.unlink(missing_ok=True)
    return _row_of(file, asked)


def check_kept(file: Path, asked: Mapping[str, Any]) -> None:
    """Raises InvalidInputError for a file that is there and not of what is asked, before hours are spent beside it."""
    if file.is_file():
        _row_of(file, asked)


def _row_of(file: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    there = _read(file)
    for name, value in asked.items():
        if there.get(name) != value:
            raise InvalidInputError(f"{file} is of {name} {there.get(name)}, not {value}: name another folder")
    return there


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{file} holds no row ({error}): remove it, and it is measured again") from error
