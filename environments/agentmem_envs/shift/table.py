"""A table whose rows are copied when they are first asked for, so that a database is reset in milliseconds."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

from pydantic import BaseModel

Row = TypeVar("Row")
ATOMS = (str, int, float, bool, type(None))


class Table(dict[str, Row]):
    """Copies a row the first time a tool asks for it by its key; the shared base never changes.

    `items` and `values` give rows to read: one that nobody asked for by key is the base's own.
    """

    def __init__(self, base: Mapping[str, Row]) -> None:
        super().__init__(base)
        self._base = base

    def __getitem__(self, key: str) -> Row:
        row = super().__getitem__(key)
        if row is self._base.get(key):
            row = copied(row)
            super().__setitem__(key, row)
        return row

    def peek(self, key: str) -> Row | None:
        """The row as it stands, to read; None where there is none."""
        return super().get(key)


def copied(value: Any) -> Any:
    """`deepcopy` of what was read from JSON, in which nothing stands twice: several times as quick."""
    if type(value) in ATOMS:
        return value
    if type(value) is dict:
        return {key: copied(each) for key, each in value.items()}
    if type(value) is list:
        return [copied(each) for each in value]
    if not isinstance(value, BaseModel) or value.__pydantic_extra__:
        return deepcopy(value)
    made = value.model_copy()
    made.__dict__.update({name: copied(each) for name, each in value.__dict__.items()})
    return made
