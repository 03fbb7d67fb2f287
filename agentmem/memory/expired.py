"""Which steps have expired: tells an index what rules and holds ask of its steps. Knows a store; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentmem.errors import NotFoundError
from agentmem.index import Index
from agentmem.types import Rule, Store


def hold_out(store: Store, index: Index) -> None:
    """Hold out of recall what has expired by the rules of a namespace, as of the newest time in its log."""
    seen = index.head, len(index.crystals), index.ruled.last(None)
    if index.ruled.rules and index.ruled.seen != seen:
        index.expire(expired(store, index, index.ruled.rules))
        index.ruled.seen = seen
    elif not index.ruled.rules and len(index.expired):
        index.expire(index.expired[:0])


def expired(store: Store, index: Index, rules: Sequence[Rule], now: float | None = None) -> np.ndarray:
    """Sorted log positions of the steps that have expired by rules at a time, or at the newest time in the log."""
    tell(store, index, rules)
    newest = float(index.ruled.times.max(initial=0.0))
    return index.ruled.expired(index, rules, newest if now is None else now)


def tell(store: Store, index: Index, rules: Sequence[Rule] = ()) -> None:
    """Tell an index what rules, and its holds, ask of its steps. NotFoundError for what was erased meanwhile."""
    ruled, position = index.ruled, index.positions()
    if len(ruled.times) < len(position):
        after = int(position[len(ruled.times) - 1]) if len(ruled.times) else 0
        times = store.times(index.namespace, after)[: len(position) - len(ruled.times)]
        if len(ruled.times) + len(times) < len(position):
            raise NotFoundError(f"records of namespace {index.namespace} were erased while they were read")
        ruled.times = np.concatenate([ruled.times, times])
    if ruled.asks(rules) and ruled.told_upto < index.head:
        for record in store.scan(index.namespace, ruled.told_upto, index.head, types=["step"]):
            ruled.tell(record)
        ruled.told_upto = index.head
