"""What LangGraph's operations, and the index and ttl of a store, may be. Knows no store and no memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, Op, PutOp, SearchOp

from agentmem.errors import InvalidInputError
from agentmem.langchain.matching import check_filter
from agentmem.records import brief, iterates

MOST = 1_000_000_000
"""Items that are asked for at once, and minutes that one lives."""
OTHERS = ("dims", "ann_index_config", "distance_type")
"""What only other stores need to know of an index: of its vectors; they keep notes of their own there as `__name`."""


def check_index(index: object) -> None:
    """InvalidInputError for what is no IndexConfig of LangGraph's, with what one may have."""
    for name, value in _settings("index", index, ("fields", "embed", *OTHERS)).items():
        if name == "fields" and value is not None and not _are_fields(value):
            such = [value] if isinstance(value, str) else ["text"]
            raise InvalidInputError(f"fields {brief(value)} of index: give a list of paths, such as {brief(such)}")
        if name == "embed" and not (value is None or callable(value) or isinstance(value, str | Embeddings)):
            raise InvalidInputError(
                f"embed {brief(value)} of index is no encoder; give LangChain's Embeddings, a function from a list of "
                "texts to vectors, or a name as provider:model"
            )


def check_ttl(ttl: object) -> None:
    """InvalidInputError for what is no TTLConfig of LangGraph's, with what one may have."""
    for name, value in _settings("ttl", ttl, tuple(TTL)).items():
        fits, remedy = TTL[name]
        if not fits(value):
            raise InvalidInputError(f"{name} {brief(value)} of ttl: give {remedy}")


def _settings(what: str, given: object, known: Sequence[str]) -> Mapping[str, Any]:
    """A config; InvalidInputError unless it is a mapping of what is known."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"{what} {brief(given)} is no mapping; give one of some of {', '.join(known)}, or None")
    if unknown := [name for name in given if name not in known and not str(name).startswith("__")]:
        raise InvalidInputError(f"{what} has {brief(unknown[0])}, which is unknown; it may have {', '.join(known)}")
    return {name: value for name, value in given.items() if name in known}


def _are_fields(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(field, str) for field in value)


def _are_minutes(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST


TTL: dict[str, tuple[Callable[[Any], bool], str]] = {
    "default_ttl": (
        lambda value: value is None or (_are_minutes(value) and value > 0),
        f"minutes over 0, up to {MOST:,}, or None for ever",
    ),
    "refresh_on_read": (lambda value: isinstance(value, bool), "True or False"),
    "omit_expired": (lambda value: isinstance(value, bool), "True or False"),
    "sweep_interval_minutes": (
        lambda value: value is None or _are_minutes(value),
        f"minutes from 0 to {MOST:,}, or None for never",
    ),
}
"""What a ttl may have: which values, and how they are told."""


def check_operation(op: Op) -> None:
    """InvalidInputError, or LangGraph's InvalidNamespaceError, for what cannot be done."""
    if not isinstance(op, GetOp | SearchOp | PutOp | ListNamespacesOp):
        raise InvalidInputError(f"operation {brief(op)} is unknown; give GetOp, SearchOp, PutOp or ListNamespacesOp")
    for labels in _labels(op):
        _check_labels(labels)
    if isinstance(op, SearchOp | ListNamespacesOp):
        for name, number in (("limit", op.limit), ("offset", op.offset)):
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST:
                raise InvalidInputError(f"{name} {brief(number)} must be a whole number from 0 to {MOST:,}")
    elif not isinstance(op.key, str):
        raise InvalidInputError(f"key {brief(op.key)} must be a str")
    if isinstance(op, SearchOp):
        if not isinstance(op.filter, Mapping | None):
            raise InvalidInputError(f"filter {brief(op.filter)} must be a mapping of fields to values, or None")
        if not isinstance(op.query, str | None):
            raise InvalidInputError(f"query {brief(op.query)} must be a str, or None")
        check_filter(op.filter)
    elif isinstance(op, PutOp):
        _check_put(op)


def _labels(op: Op) -> list[Sequence[Any]]:
    """Every name, or pattern, of a namespace in an operation."""
    if isinstance(op, ListNamespacesOp):
        return [condition.path for condition in op.match_conditions or ()]
    return [op.namespace_prefix if isinstance(op, SearchOp) else op.namespace]


def _check_labels(labels: Sequence[Any]) -> None:
    """As LangGraph's own methods check them, for operations that are given to `batch`."""
    if isinstance(labels, str) or not iterates(labels):
        raise InvalidNamespaceError(f"namespace {brief(labels)}: give a tuple of labels, such as ({brief(labels)},)")
    for label in labels:
        if not isinstance(label, str) or not label or "." in label or "\0" in label:
            raise InvalidNamespaceError(
                f"label {brief(label)} of namespace {brief(labels)} must be a str without dots and NULs, and not empty"
            )


def _check_put(op: PutOp) -> None:
    if not op.namespace:
        raise InvalidNamespaceError("an item needs a namespace, such as ('users', 'ann')")
    if not isinstance(op.value, Mapping | None):
        raise InvalidInputError(f"value {brief(op.value)} must be a mapping, or None to delete the item")
    fits, remedy = TTL["default_ttl"]
    if not fits(op.ttl):
        raise InvalidInputError(f"ttl {brief(op.ttl)} must be {remedy}")
    if not (op.index is None or op.index is False or _are_fields(op.index)):
        raise InvalidInputError(f"index {brief(op.index)} must be False, None or a list of fields, each a str")
