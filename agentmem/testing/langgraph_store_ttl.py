"""What every store of LangGraph must do whose items have a time to live, as tests; a part of its contract."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

ANN = ("users", "ann")
CONFIG = {"default_ttl": None, "refresh_on_read": True, "omit_expired": True}


class TTLContract:
    """See `LangGraphStoreContract`. Times to live are of hours, so that clocks of whole seconds will do."""

    def pass_time(self, minutes: float) -> None:
        """Let so much time go by, for the stores that were made."""
        time.sleep(minutes * 60)

    @pytest.fixture
    def ending(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Makes a store with a TTLConfig, or skips."""

        def ending(**config: Any) -> Any:
            calls = make(ttl=CONFIG | config)
            if not calls.store.supports_ttl:
                pytest.skip("it keeps no time to live")
            return calls

        return ending

    def test_an_item_ends(self, ending: Callable[..., Any]) -> None:
        store = ending(refresh_on_read=False)
        store.put(ANN, "short", {"n": 1}, ttl=60)
        store.put(ANN, "long", {"n": 2}, ttl=600)
        store.put(ANN, "for ever", {"n": 3})
        assert len(store.search(ANN)) == 3
        self.pass_time(61)
        assert store.get(ANN, "short") is None
        assert {item.key for item in store.search(ANN)} == {"long", "for ever"}
        assert store.get(ANN, "long").value == {"n": 2}

    def test_an_ended_item_is_found_by_nothing(self, ending: Callable[..., Any]) -> None:
        store = ending(refresh_on_read=False)
        store.put(("a",), "k", {"text": "pizza"}, ttl=60)
        store.put(("b",), "k", {"text": "pasta"})
        self.pass_time(61)
        assert [item.namespace for item in store.search((), query="pizza")] == [("b",)]
        assert store.search((), filter={"text": "pizza"}) == []
        assert store.list_namespaces() == [("b",)]

    def test_getting_keeps_an_item_alive(self, ending: Callable[..., Any]) -> None:
        store = ending()
        store.put(ANN, "k", {"n": 1}, ttl=60)
        for _ in range(4):
            self.pass_time(40)
            assert store.get(ANN, "k").value == {"n": 1}
        self.pass_time(61)
        assert store.get(ANN, "k") is None

    def test_finding_keeps_an_item_alive(self, ending: Callable[..., Any]) -> None:
        store = ending()
        store.put(ANN, "k", {"n": 1}, ttl=60)
        for _ in range(3):
            self.pass_time(40)
            assert len(store.search(ANN)) == 1
        self.pass_time(61)
        assert store.search(ANN) == []

    def test_reading_can_leave_the_end_where_it_is(self, ending: Callable[..., Any]) -> None:
        store = ending()
        store.put(ANN, "k", {"n": 1}, ttl=60)
        self.pass_time(40)
        assert store.get(ANN, "k", refresh_ttl=False) is not None
        assert len(store.search(ANN, refresh_ttl=False)) == 1
        self.pass_time(21)
        assert store.get(ANN, "k") is None

    def test_putting_again_begins_anew(self, ending: Callable[..., Any]) -> None:
        store = ending(refresh_on_read=False)
        store.put(ANN, "k", {"n": 1}, ttl=60)
        self.pass_time(40)
        store.put(ANN, "k", {"n": 2}, ttl=60)
        self.pass_time(40)
        assert store.get(ANN, "k").value == {"n": 2}
        store.put(ANN, "k", {"n": 3})
        self.pass_time(100)
        assert store.get(ANN, "k").value == {"n": 3}

    def test_items_have_the_stores_own_time_if_none_is_given(self, ending: Callable[..., Any]) -> None:
        store = ending(default_ttl=60, refresh_on_read=False)
        store.put(ANN, "usual", {"n": 1})
        store.put(ANN, "longer", {"n": 2}, ttl=600)
        store.put(ANN, "for ever", {"n": 3}, ttl=None)
        self.pass_time(61)
        assert {item.key for item in store.search(ANN)} == {"longer", "for ever"}

    def test_the_sweep_deletes_what_has_ended(self, ending: Callable[..., Any]) -> None:
        store = ending(refresh_on_read=False, omit_expired=False)
        for n in range(5):
            store.put(ANN, str(n), {"n": n}, ttl=60 if n % 2 else 600)
        self.pass_time(61)
        assert store.store.sweep_ttl() == 2
        assert {item.key for item in store.search(ANN)} == {"0", "2", "4"}
        assert store.store.sweep_ttl() == 0

    def test_an_ended_item_can_be_put_again(self, ending: Callable[..., Any]) -> None:
        store = ending(refresh_on_read=False)
        store.put(ANN, "k", {"n": 1}, ttl=60)
        self.pass_time(61)
        store.put(ANN, "k", {"n": 2}, ttl=60)
        item = store.get(ANN, "k")
        assert item.value == {"n": 2}
        assert (item.updated_at - item.created_at).total_seconds() < 60
