"""EpisodicStore against a dict: whatever is done, by two processes of one file, the same is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import PutOp
from strategies import opened

from agentmem.langchain import EpisodicStore
from agentmem.testing import FakeClock

SPACES = (("a",), ("a", "b"), ("a", "bc"), ("b",))
places = st.tuples(st.sampled_from(SPACES), st.sampled_from("xyz"))
values = st.fixed_dictionaries({"n": st.integers(0, 3), "text": st.sampled_from(["red door", "blue wall", ""])})
ttls = st.sampled_from([None, None, 60])
deeds = st.one_of(
    st.tuples(st.just("put"), places, values, ttls, st.booleans()),
    st.tuples(st.just("delete"), places),
    st.tuples(st.just("batch"), st.lists(st.tuples(places, st.none() | values), max_size=4)),
    st.tuples(st.just("get"), places),
    st.tuples(st.just("pass"), st.sampled_from([10, 40, 70])),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("crystallize"), st.sampled_from(SPACES)),
    st.tuples(st.just("erase"), st.sampled_from(SPACES)),
)


SEARCHES: tuple[tuple[dict[str, Any], Callable[[int], bool]], ...] = (
    ({}, lambda n: True),
    ({"query": "red door"}, lambda n: True),
    ({"filter": {"n": {"$gte": 2}}}, lambda n: n >= 2),
    ({"query": "wall", "filter": {"n": 1}}, lambda n: n == 1),
)


class Model:
    """What there should be: (value, minutes to live, when it ends) by namespace and key. now: in minutes."""

    def __init__(self) -> None:
        self.items: dict[tuple[Any, str], tuple[Any, int | None, float]] = {}
        self.now = 0.0

    def put(self, place: Any, value: Any, ttl: int | None = None) -> None:
        self.items.pop(place, None)
        if value is not None:
            self.items[place] = value, ttl, self.now + ttl if ttl is not None else float("inf")

    def alive(self) -> dict[tuple[Any, str], Any]:
        return {place: value for place, (value, _, ends) in self.items.items() if ends > self.now}

    def get(self, place: Any) -> Any:
        value = self.alive().get(place)
        if value is not None:
            _, ttl, ends = self.items[place]
            self.items[place] = value, ttl, self.now + ttl if ttl is not None else ends
        return value


def do(store: EpisodicStore, model: Model, clock: FakeClock, deed: tuple[Any, ...]) -> None:
    match deed:
        case ("put", (space, key), value, ttl, found):
            store.put(space, key, value, index=None if found else False, ttl=ttl)
            model.put((space, key), value, ttl)
        case ("delete", (space, key)):
            store.delete(space, key)
            model.put((space, key), None)
        case ("batch", puts):
            store.batch([PutOp(*place, value) for place, value in puts])
            for place, value in puts:
                model.put(place, value)
        case ("get", (space, key)):
            item = store.get(space, key)
            assert (item and item.value) == model.get((space, key))
        case ("pass", minutes):
            clock.advance(minutes * 60)
            model.now += minutes
        case ("sweep",):
            ended = len(model.items) - len(model.alive())
            assert store.sweep_ttl() == ended
            model.items = {place: model.items[place] for place in model.alive()}
        case ("crystallize", space):
            store.scoped(*space).crystallize()
        case ("erase", space):
            full = store.scoped(*space)
            full.erase(namespace=full.namespace)
            model.items = {place: item for place, item in model.items.items() if place[0] != space}


def check(store: EpisodicStore, model: Model) -> None:
    alive = model.alive()
    for space in (*SPACES, ()):
        below = {place: value for place, value in alive.items() if place[0][: len(space)] == space}
        for options, fits in SEARCHES:
            items = store.search(space, limit=99, refresh_ttl=False, **options)
            assert len(items) == len({(item.namespace, item.key) for item in items})
            assert {(item.namespace, item.key): item.value for item in items} == {
                place: value for place, value in below.items() if fits(value["n"])
            }
    newest = [(item.namespace, item.key) for item in store.search((), limit=99, refresh_ttl=False)]
    assert newest == [place for place in reversed(model.items) if place in alive]
    assert store.list_namespaces() == sorted({space for space, _ in alive})


@settings(max_examples=20)
@given(st.lists(st.tuples(st.booleans(), deeds), max_size=14))
def test_two_processes_and_a_third_that_comes_late_have_what_a_dict_has(
    path: Callable[[], Path], done: list[tuple[bool, tuple[Any, ...]]]
) -> None:
    file, clock, model = path(), FakeClock(tick=0), Model()
    with opened(file, clock=clock) as one, opened(file, clock=clock) as other:
        stores = tuple(EpisodicStore(memory, ttl={"sweep_interval_minutes": None}) for memory in (one, other))
        for second, deed in done:
            do(stores[second], model, clock, deed)
            if deed[0] in ("delete", "erase", "sweep"):
                check(stores[not second], model)
        for store in stores:
            check(store, model)
        with opened(file, clock=clock) as late:
            check(EpisodicStore(late), model)
            assert late.verify().ok
