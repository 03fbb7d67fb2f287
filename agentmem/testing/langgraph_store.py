"""What every store of LangGraph must do, as tests to inherit. Knows nothing of how one does it.

class TestMyStore(LangGraphStoreContract):
    def make_store(self, index=None, ttl=None):
        return MyStore(index=index, ttl=ttl)

Every case runs twice, by the store's own methods and by those that are awaited.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from langgraph.store.base import BaseStore, GetOp, InvalidNamespaceError, ListNamespacesOp, PutOp, SearchOp

from agentmem.testing.langgraph_store_search import SearchContract
from agentmem.testing.langgraph_store_ttl import TTLContract

ANN = ("users", "ann")
VALUES: Mapping[str, dict[str, Any]] = {
    "empty": {},
    "nested": {"a": {"b": {"c": [1, {"d": "e"}]}}},
    "nothing and truth": {"none": None, "yes": True, "no": False},
    "numbers": {"zero": 0, "minus": -17, "large": 2**53, "half": 0.5, "tiny": 1e-12},
    "lists": {"empty": [], "mixed": [1, "a", None, [2, [3]]]},
    "letters": {"text": "ünïcödé 🜛 \U0010ffff", "quotes": 'it\'s "so" \\ and %_*?', "lines": "a\r\nb\n\tc"},
    "names": {"a.b": 1, "$": 2, "": 3, "key": 4, "value": 5, "with space": 6, "ttl": 7},
    "long": {"text": "word " * 20_000},
}
KEYS = ("", " ", "a.b", "a/b", "ünï 🜛", "users", "*", "%", "_", "'; DROP TABLE store; --", '"', "None", "x" * 900)
APART = (
    (("us",), ("users",)),
    (("a", "b"), ("a",)),
    (("a", "b"), ("ab",)),
    (("a", "b"), ("a", "bc")),
    (("a", "b"), ("b", "a")),
    (("a", "*"), ("a", "b")),
    (("a", "%"), ("a", "b")),
    (("a", "_"), ("a", "b")),
    (("a", "[b]"), ("a", "b")),
    (("A",), ("a",)),
    (("a/b",), ("a", "b")),
    (('a","b',), ("a", "b")),
    (("a\\", "b"), ("a", "\\b")),
    (("ä",), ("a",)),
)
BAD = ((), ("",), ("a", ""), ("a.b",), ("a", "b.c"), ("langgraph",), ("langgraph", "a"), (1,), ("a", None))


class Calls:
    """A store by its own methods, or by those that are awaited."""

    def __init__(self, store: BaseStore, awaited: bool) -> None:
        self.store, self._awaited = store, awaited
        self._loop = asyncio.new_event_loop() if awaited else None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._loop is None:
            method: Callable[..., Any] = getattr(self.store, name)
            return method
        loop, awaitable = self._loop, getattr(self.store, f"a{name}")
        return lambda *args, **options: loop.run_until_complete(awaitable(*args, **options))

    def close(self) -> None:
        if self._loop is not None:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


class LangGraphStoreContract(SearchContract, TTLContract, ABC):
    """Subclass it, implement `make_store`, and pytest runs it.

    make_store: a new, empty store. index: None, or an IndexConfig with `fields` alone, to be completed with what yours
    embeds by. ttl: None, or a TTLConfig. pass_time: lets minutes go by for the stores made; those that keep no time to
    live need none. differs: test -> why yours does otherwise; such a test must fail.
    """

    differs: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def make_store(self, index: Any = None, ttl: Any = None) -> BaseStore:
        """See the class."""

    def close_store(self, store: BaseStore) -> None:
        """Let go of a store that was made."""

    @pytest.fixture(autouse=True)
    def _as_it_differs(self, request: pytest.FixtureRequest) -> None:
        why = self.differs.get(request.node.name) or self.differs.get(request.node.originalname)
        if why is not None:
            request.applymarker(pytest.mark.xfail(reason=why, strict=True))

    @pytest.fixture(params=["called", "awaited"])
    def make(self, request: pytest.FixtureRequest) -> Iterator[Callable[..., Calls]]:
        made: list[Calls] = []

        def make(**options: Any) -> Calls:
            made.append(Calls(self.make_store(**options), request.param == "awaited"))
            return made[-1]

        yield make
        for calls in made:
            calls.close()
            self.close_store(calls.store)

    @pytest.fixture
    def store(self, make: Callable[..., Calls]) -> Calls:
        return make(index={"fields": ["$"]})

    # ---- putting and getting

    def test_an_item_comes_back_with_its_place_and_times(self, store: Calls) -> None:
        store.put(ANN, "food", {"likes": "pizza"})
        item = store.get(ANN, "food")
        assert (item.namespace, item.key, item.value) == (ANN, "food", {"likes": "pizza"})
        assert item.updated_at - item.created_at < timedelta(seconds=1)
        assert item.created_at.tzinfo is not None
        assert item.dict()["namespace"] == ["users", "ann"]

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
    def test_a_value_comes_back_as_it_was_put(self, store: Calls, value: dict[str, Any]) -> None:
        store.put(ANN, "k", deepcopy(value))
        assert store.get(ANN, "k").value == value
        assert [item.value for item in store.search(ANN)] == [value]

    @pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
    def test_a_key_is_any_text(self, store: Calls, key: str) -> None:
        store.put(ANN, key, {"n": 1})
        store.put(ANN, f"{key}x", {"n": 2})
        assert store.get(ANN, key).key == key
        assert store.get(ANN, key).value == {"n": 1}
        store.delete(ANN, key)
        assert store.get(ANN, key) is None
        assert store.get(ANN, f"{key}x").value == {"n": 2}

    def test_what_was_never_put_is_none(self, store: Calls) -> None:
        assert store.get(ANN, "food") is None
        store.put(ANN, "food", {"likes": "pizza"})
        assert store.get(ANN, "drink") is None
        assert store.get(("users", "bob"), "food") is None
        assert store.get(("users",), "food") is None

    def test_a_value_put_again_takes_the_place_of_the_one_before(self, store: Calls) -> None:
        store.put(ANN, "food", {"likes": "pizza", "since": 1990})
        first = store.get(ANN, "food")
        store.put(ANN, "food", {"likes": "pasta"})
        item = store.get(ANN, "food")
        assert item.value == {"likes": "pasta"}
        assert item.updated_at >= first.updated_at
        assert len(store.search(ANN)) == 1

    def test_when_an_item_was_first_put_stays(self, store: Calls) -> None:
        store.put(ANN, "food", {"likes": "pizza"})
        first = store.get(ANN, "food")
        self.pass_time(1 / 6_000)
        store.put(ANN, "food", {"likes": "pasta"})
        item = store.get(ANN, "food")
        assert item.created_at == first.created_at
        assert item.updated_at > item.created_at

    def test_what_is_done_to_a_value_later_does_not_change_the_item(self, store: Calls) -> None:
        value = {"list": [1], "inner": {"a": 1}}
        store.put(ANN, "k", value)
        value["list"].append(2)  # type: ignore[attr-defined]
        value["new"] = {}
        assert store.get(ANN, "k").value == {"list": [1], "inner": {"a": 1}}

    def test_what_is_done_to_what_was_got_does_not_change_the_item(self, store: Calls) -> None:
        store.put(ANN, "k", {"list": [1]})
        store.get(ANN, "k").value["list"].append(2)
        store.search(ANN)[0].value["more"] = True
        assert store.get(ANN, "k").value == {"list": [1]}

    # ---- deleting

    def test_what_was_deleted_is_gone(self, store: Calls) -> None:
        store.put(ANN, "food", {"likes": "pizza"})
        store.put(ANN, "town", {"lives": "Bern"})
        store.delete(ANN, "food")
        assert store.get(ANN, "food") is None
        assert [item.key for item in store.search(ANN)] == ["town"]
        assert [item.key for item in store.search(ANN, query="pizza")] == ["town"]

    def test_deleting_what_is_not_there_is_no_error(self, store: Calls) -> None:
        store.delete(ANN, "food")
        store.put(ANN, "food", {})
        store.delete(ANN, "food")
        store.delete(ANN, "food")
        assert store.search(()) == []

    def test_what_was_deleted_can_be_put_again(self, store: Calls) -> None:
        store.put(ANN, "food", {"likes": "pizza"})
        store.delete(ANN, "food")
        store.put(ANN, "food", {"likes": "pasta"})
        item = store.get(ANN, "food")
        assert item.value == {"likes": "pasta"}
        assert item.updated_at - item.created_at < timedelta(seconds=1)

    def test_deleting_takes_the_item_of_that_namespace_alone(self, store: Calls) -> None:
        for namespace in (ANN, ("users", "bob"), ("users",), ("users", "ann", "old")):
            store.put(namespace, "food", {"of": "/".join(namespace)})
        store.delete(ANN, "food")
        assert {item.value["of"] for item in store.search(())} == {"users/bob", "users", "users/ann/old"}

    # ---- namespaces

    @pytest.mark.parametrize(("one", "other"), APART, ids=range(len(APART)))
    def test_namespaces_are_exact(self, store: Calls, one: tuple[str, ...], other: tuple[str, ...]) -> None:
        store.put(one, "k", {"secret": "blue whale"})
        assert store.get(other, "k") is None
        assert store.get(one, "k").namespace == one
        if one[: len(other)] != other:
            assert store.search(other) == []
            assert store.search(other, query="blue whale") == []
        store.put(other, "k", {"own": 1})
        assert store.get(one, "k").value == {"secret": "blue whale"}
        assert store.get(other, "k").value == {"own": 1}
        assert set(store.list_namespaces()) == {one, other}
        store.delete(other, "k")
        assert store.get(one, "k").value == {"secret": "blue whale"}

    @pytest.mark.parametrize("namespace", BAD, ids=range(len(BAD)))
    def test_a_namespace_that_cannot_be_is_refused(self, store: Calls, namespace: Any) -> None:
        with pytest.raises(InvalidNamespaceError):
            store.put(namespace, "k", {"n": 1})
        assert store.search(()) == []

    # ---- batches

    def test_results_stand_in_the_order_of_the_operations(self, store: Calls) -> None:
        store.put(ANN, "a", {"n": 1})
        store.put(ANN, "b", {"n": 2})
        got, nothing, found, spaces, missing, other = store.batch(
            [
                GetOp(ANN, "a"), PutOp(ANN, "c", {"n": 3}), SearchOp(ANN), ListNamespacesOp(), GetOp(ANN, "z"),
                GetOp(ANN, "b"),
            ]
        )  # fmt: skip
        assert (got.value, nothing, missing, other.value) == ({"n": 1}, None, None, {"n": 2})
        assert {item.key for item in found} == {"a", "b"}
        assert spaces == [ANN]
        assert store.get(ANN, "c").value == {"n": 3}

    def test_reads_of_a_batch_see_what_was_before_it(self, store: Calls) -> None:
        store.put(ANN, "a", {"n": 1})
        results = store.batch([PutOp(ANN, "a", {"n": 2}), GetOp(ANN, "a"), PutOp(ANN, "b", {}), GetOp(ANN, "b")])
        assert results[1].value == {"n": 1}
        assert results[3] is None
        assert store.get(ANN, "a").value == {"n": 2}

    def test_the_last_of_several_puts_of_a_key_counts(self, store: Calls) -> None:
        store.batch([PutOp(ANN, "a", {"n": n}) for n in range(5)])
        assert store.get(ANN, "a").value == {"n": 4}
        store.batch([PutOp(ANN, "a", None), PutOp(ANN, "a", {"n": 5}), PutOp(ANN, "b", {}), PutOp(ANN, "b", None)])
        assert store.get(ANN, "a").value == {"n": 5}
        assert store.get(ANN, "b") is None
        assert len(store.search(ANN)) == 1

    def test_a_batch_puts_and_deletes_in_many_namespaces(self, store: Calls) -> None:
        places = [(("n", str(n % 7)), f"k{n}") for n in range(40)]
        assert store.batch([PutOp(*place, {"n": n}) for n, place in enumerate(places)]) == [None] * 40
        got = store.batch([GetOp(*place) for place in places])
        assert [item.value["n"] for item in got] == list(range(40))
        store.batch([PutOp(*place, None) for place in places[::2]])
        assert {item.key for item in store.search((), limit=100)} == {key for _, key in places[1::2]}

    def test_an_empty_batch_and_one_that_is_no_list_are_batches(self, store: Calls) -> None:
        assert store.batch([]) == []
        assert store.batch(iter([PutOp(ANN, "a", {"n": 1}), GetOp(ANN, "a")])) == [None, None]
        assert store.get(ANN, "a").value == {"n": 1}

    def test_what_is_no_operation_is_refused(self, store: Calls) -> None:
        with pytest.raises((ValueError, TypeError)):
            store.batch([("get", ANN, "a")])

    # ---- many at once

    def test_threads_put_and_get_side_by_side(self) -> None:
        store = self.make_store()
        failed: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for n in range(10):
                    store.put(("threads", str(number)), str(n), {"n": n})
                    item = store.get(("threads", str(number)), str(n))
                    assert item is not None
                    assert item.value == {"n": n}
                    store.put(("threads", "all"), "last", {"by": number})
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(store.search(("threads",), limit=100)) == 41
        self.close_store(store)

    def test_many_are_awaited_together(self) -> None:
        store = self.make_store()

        async def work() -> list[Any]:
            await asyncio.gather(*(store.aput(ANN, str(n), {"n": n}) for n in range(20)))
            return await asyncio.gather(*(store.aget(ANN, str(n)) for n in range(20)))

        assert [item.value["n"] for item in asyncio.run(work())] == list(range(20))
        self.close_store(store)
