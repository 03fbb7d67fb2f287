"""What every store of LangGraph must do when it is searched and listed, as tests; a part of its contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition, SearchOp

BOOKS = ("books",)
SHELF: Mapping[str, dict[str, Any]] = {
    "emma": {"title": "Emma", "year": 1815, "price": 9.5, "lent": True, "tags": ["novel"], "by": {"name": "Austen"}},
    "dune": {"title": "Dune", "year": 1965, "price": 12, "lent": False, "tags": ["novel", "far"], "by": {"name": "A"}},
    "cosmos": {"title": "Cosmos", "year": 1980, "price": 20.0, "lent": False, "tags": [], "by": {"name": "Sagan"}},
    "untitled": {"year": None, "lent": False},
}  # fmt: skip
FILTERS: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, {"emma", "dune", "cosmos", "untitled"}),
    "a text": ({"title": "Dune"}, {"dune"}),
    "a number": ({"year": 1815}, {"emma"}),
    "the same number as a float": ({"price": 20}, {"cosmos"}),
    "true": ({"lent": True}, {"emma"}),
    "false": ({"lent": False}, {"dune", "cosmos", "untitled"}),
    "none": ({"year": None}, {"untitled"}),
    "two fields": ({"lent": False, "year": 1980}, {"cosmos"}),
    "two that exclude each other": ({"lent": True, "year": 1980}, set()),
    "a list": ({"tags": ["novel", "far"]}, {"dune"}),
    "part of a list": ({"tags": ["far"]}, set()),
    "an inner field": ({"by": {"name": "Sagan"}}, {"cosmos"}),
    "a field nobody has": ({"colour": "red"}, set()),
    "a pattern": ({"title": "%"}, set()),
    "equal": ({"title": {"$eq": "Emma"}}, {"emma"}),
    "not equal": ({"title": {"$ne": "Emma"}}, {"dune", "cosmos", "untitled"}),
}
COMPARED: Mapping[str, tuple[dict[str, Any], set[str]]] = {
    "greater": ({"year": {"$gt": 1965}}, {"cosmos"}),
    "greater or equal": ({"year": {"$gte": 1965}}, {"dune", "cosmos"}),
    "less": ({"year": {"$lt": 1965}}, {"emma"}),
    "less or equal": ({"year": {"$lte": 1965}}, {"emma", "dune"}),
    "between": ({"year": {"$gt": 1815, "$lt": 1980}}, {"dune"}),
    "a float": ({"price": {"$gt": 9.4, "$lte": 12.0}}, {"emma", "dune"}),
    "compared and equal": ({"year": {"$gte": 1900}, "lent": False}, {"dune", "cosmos"}),
}
TREE = (("a", "x", "1"), ("a", "x", "2"), ("a", "y", "1"), ("b", "x", "1"), ("b",), ("ab", "x"))
LISTED: Mapping[str, tuple[dict[str, Any], set[tuple[str, ...]]]] = {
    "all": ({}, set(TREE)),
    "a prefix": ({"prefix": ("a",)}, {("a", "x", "1"), ("a", "x", "2"), ("a", "y", "1")}),
    "a longer prefix": ({"prefix": ("a", "x")}, {("a", "x", "1"), ("a", "x", "2")}),
    "a whole one": ({"prefix": ("b",)}, {("b",), ("b", "x", "1")}),
    "a suffix": ({"suffix": ("1",)}, {("a", "x", "1"), ("a", "y", "1"), ("b", "x", "1")}),
    "a longer suffix": ({"suffix": ("x", "1")}, {("a", "x", "1"), ("b", "x", "1")}),
    "both": ({"prefix": ("a",), "suffix": ("1",)}, {("a", "x", "1"), ("a", "y", "1")}),
    "any label in front": ({"prefix": ("*", "x")}, {("a", "x", "1"), ("a", "x", "2"), ("b", "x", "1"), ("ab", "x")}),
    "any label behind": ({"suffix": ("x", "*")}, {("a", "x", "1"), ("a", "x", "2"), ("b", "x", "1")}),
    "any label between": ({"prefix": ("a", "*", "1")}, {("a", "x", "1"), ("a", "y", "1")}),
    "a part of a label": ({"prefix": ("a*",)}, set()),
    "longer than any": ({"prefix": ("a", "x", "1", "z")}, set()),
    "one deep": ({"max_depth": 1}, {("a",), ("b",), ("ab",)}),
    "two deep": ({"max_depth": 2}, {("a", "x"), ("a", "y"), ("b", "x"), ("b",), ("ab", "x")}),
    "two deep below": ({"prefix": ("a",), "max_depth": 2}, {("a", "x"), ("a", "y")}),
}
SAID = {
    "pizza": {"text": "Ann likes pizza with mushrooms on Fridays"},
    "bern": {"text": "Bob works at the railway station in Bern"},
    "cat": {"text": "The neighbours have a black cat called Minka"},
}


class SearchContract:
    """See `LangGraphStoreContract`."""

    @pytest.fixture
    def shelf(self, store: Any) -> Any:
        for key, value in SHELF.items():
            store.put(BOOKS, key, value)
        return store

    @pytest.fixture
    def said(self, store: Any) -> Any:
        for key, value in SAID.items():
            store.put(("said", key), key, value)
        return store

    # ---- by namespace and in pages

    def test_a_search_is_of_a_namespace_and_all_below_it(self, store: Any) -> None:
        for namespace in TREE:
            store.put(namespace, "k", {"of": "/".join(namespace)})
        assert {item.namespace for item in store.search(())} == set(TREE)
        assert {item.namespace for item in store.search(("a",))} == {one for one in TREE if one[0] == "a"}
        assert {item.namespace for item in store.search(("a", "x"))} == {("a", "x", "1"), ("a", "x", "2")}
        assert [item.namespace for item in store.search(("a", "x", "2"))] == [("a", "x", "2")]
        assert store.search(("a", "x", "2", "k")) == []

    @pytest.mark.parametrize("prefix", [("*",), ("a", "*"), ("%",), ("a%",), ("?",), ("_",), ("a", "[xy]")])
    def test_there_are_no_wildcards_in_a_search(self, store: Any, prefix: tuple[str, ...]) -> None:
        for namespace in TREE:
            store.put(namespace, "k", {"n": 1})
        assert store.search(prefix) == []
        assert store.search(prefix, query="n") == []
        assert store.search(prefix, filter={"n": 1}) == []

    @pytest.mark.parametrize(
        "options", [{}, {"filter": {"odd": True}}, {"query": "word"}], ids=["all", "filter", "query"]
    )
    def test_pages_have_every_item_once(self, store: Any, options: dict[str, Any]) -> None:
        for n in range(25):
            store.put(("pages", str(n % 3)), f"k{n}", {"n": n, "odd": True, "text": f"word {n}"})
        pages = [store.search(("pages",), limit=10, offset=offset, **options) for offset in (0, 10, 20, 30)]
        assert [len(page) for page in pages] == [10, 10, 5, 0]
        assert sorted(item.value["n"] for page in pages for item in page) == list(range(25))

    def test_ten_are_given_if_no_limit_is(self, store: Any) -> None:
        for n in range(12):
            store.put(BOOKS, str(n), {"n": n})
        assert len(store.search(BOOKS)) == 10
        assert len(store.search(BOOKS, limit=100)) == 12
        assert len(store.search(BOOKS, limit=1)) == 1

    def test_an_item_found_has_what_an_item_got_has(self, shelf: Any) -> None:
        (found,) = shelf.search(BOOKS, filter={"title": "Emma"})
        got = shelf.get(BOOKS, "emma")
        assert (found.value, found.key, found.namespace) == (got.value, got.key, got.namespace)
        assert (found.created_at, found.updated_at) == (got.created_at, got.updated_at)
        assert set(found.dict()) == {*got.dict(), "score"}

    # ---- by filter

    @pytest.mark.parametrize(("wanted", "keys"), FILTERS.values(), ids=FILTERS.keys())
    def test_a_filter_lets_through(self, shelf: Any, wanted: dict[str, Any], keys: set[str]) -> None:
        assert {item.key for item in shelf.search(BOOKS, filter=wanted)} == keys

    @pytest.mark.parametrize(("wanted", "keys"), COMPARED.values(), ids=COMPARED.keys())
    def test_a_filter_compares(self, shelf: Any, wanted: dict[str, Any], keys: set[str]) -> None:
        shelf.delete(BOOKS, "untitled")
        assert {item.key for item in shelf.search(BOOKS, filter=wanted)} == keys

    def test_what_lacks_a_field_is_neither_more_nor_less(self, shelf: Any) -> None:
        assert {item.key for item in shelf.search(BOOKS, filter={"price": {"$lt": 10}})} == {"emma"}
        assert {item.key for item in shelf.search(BOOKS, filter={"year": {"$gte": 0}})} == {"emma", "dune", "cosmos"}

    def test_an_operator_that_is_not_known_is_an_error(self, shelf: Any) -> None:
        with pytest.raises(ValueError, match=r"\$like"):
            shelf.search(BOOKS, filter={"title": {"$like": "E%"}})

    def test_a_filter_sees_the_value_that_is_now(self, shelf: Any) -> None:
        shelf.put(BOOKS, "emma", {"title": "Emma", "year": 2020})
        assert shelf.search(BOOKS, filter={"year": 1815}) == []
        assert [item.key for item in shelf.search(BOOKS, filter={"year": 2020})] == ["emma"]

    def test_a_filter_holds_below_the_prefix_alone(self, shelf: Any) -> None:
        shelf.put(("films",), "dune", SHELF["dune"])
        assert [item.namespace for item in shelf.search(("films",), filter={"title": "Dune"})] == [("films",)]
        assert len(shelf.search((), filter={"title": "Dune"})) == 2

    # ---- by words

    @pytest.mark.parametrize(
        ("query", "key"), [("pizza mushrooms", "pizza"), ("railway station", "bern"), ("black cat", "cat")]
    )
    def test_the_best_match_comes_first(self, said: Any, query: str, key: str) -> None:
        items = said.search(("said",), query=query)
        assert items[0].key == key
        assert {item.key for item in items} == set(SAID)
        scores = [item.score for item in items if item.score is not None]
        assert scores == sorted(scores, reverse=True)
        assert scores

    def test_words_and_a_filter_hold_together(self, store: Any) -> None:
        for n in range(20):
            store.put(("notes",), str(n), {"text": f"a note on pizza, number {n}", "even": n % 2 == 0})
        items = store.search(("notes",), query="pizza number 7", filter={"even": True}, limit=5)
        assert len(items) == 5
        assert all(item.value["even"] for item in items)
        rest = store.search(("notes",), query="pizza number 7", filter={"even": True}, limit=50, offset=5)
        assert len({item.key for item in (*items, *rest)}) == 10

    def test_words_are_looked_for_below_the_prefix_alone(self, said: Any) -> None:
        assert [item.key for item in said.search(("said", "bern"), query="pizza")] == ["bern"]
        assert said.search(("said", "nobody"), query="pizza") == []

    def test_words_that_were_replaced_or_deleted_are_not_found(self, said: Any) -> None:
        said.put(("said", "pizza"), "pizza", {"text": "Ann has gone to sea"})
        said.put(("said", "cat"), "food", {"text": "They had pizza"})
        first, *_ = said.search(("said",), query="pizza mushrooms")
        assert first.key == "food"
        said.delete(("said", "cat"), "food")
        assert {item.key for item in said.search(("said",), query="pizza")} == set(SAID)

    def test_what_is_not_indexed_is_not_found_by_its_words(self, said: Any) -> None:
        said.put(("said", "more"), "hidden", {"text": "pizza mushrooms pizza mushrooms"}, index=False)
        items = said.search(("said",), query="pizza mushrooms")
        assert items[0].key == "pizza"
        assert items[-1].key == "hidden"
        assert items[-1].score is None
        assert said.get(("said", "more"), "hidden").value["text"].startswith("pizza")
        assert [item.key for item in said.search(("said", "more"))] == ["hidden"]

    def test_fields_of_an_item_say_what_it_is_found_by(self, store: Any) -> None:
        store.put(BOOKS, "a", {"title": "a black cat", "note": "zebra crossing"}, index=["title"])
        store.put(BOOKS, "b", {"title": "zebra crossing", "note": "a black cat"}, index=["title"])
        store.put(BOOKS, "c", {"inner": {"title": "green parrot"}, "list": [{"t": "x"}]}, index=["inner.title"])
        store.put(BOOKS, "d", {"list": [{"t": "yellow canary"}, {"t": "blue whale"}]}, index=["list[*].t"])
        for query, key in (("black cat", "a"), ("zebra crossing", "b"), ("green parrot", "c"), ("blue whale", "d")):
            assert store.search(BOOKS, query=query)[0].key == key

    def test_fields_of_the_store_say_what_items_are_found_by(self, make: Callable[..., Any]) -> None:
        store = make(index={"fields": ["title"]})
        store.put(BOOKS, "a", {"title": "a black cat", "note": "zebra crossing"})
        store.put(BOOKS, "b", {"title": "zebra crossing", "note": "a black cat"})
        store.put(BOOKS, "c", {"title": "nothing", "note": "green parrot"}, index=["note"])
        for query, key in (("black cat", "a"), ("zebra crossing", "b"), ("green parrot", "c")):
            assert store.search(BOOKS, query=query)[0].key == key

    def test_without_words_there_is_no_score(self, said: Any) -> None:
        assert [item.score for item in said.search(("said",))] == [None] * 3

    def test_searches_of_one_batch_are_apart(self, said: Any) -> None:
        one, other, none = said.batch(
            [
                SearchOp(("said",), query="pizza"),
                SearchOp(("said",), query="cat", limit=1),
                SearchOp(("no",), query="cat"),
            ]
        )
        assert (one[0].key, [item.key for item in other], none) == ("pizza", ["cat"], [])

    # ---- listing namespaces

    @pytest.mark.parametrize(("options", "expected"), LISTED.values(), ids=LISTED.keys())
    def test_namespaces_are_listed_by(
        self, store: Any, options: dict[str, Any], expected: set[tuple[str, ...]]
    ) -> None:
        for namespace in TREE:
            store.put(namespace, "k", {"n": 1})
        assert store.list_namespaces(**options) == sorted(expected)

    def test_a_namespace_is_listed_once_and_in_pages(self, store: Any) -> None:
        for n in range(12):
            store.put(("n", f"{n % 6}"), str(n), {"n": n})
        assert store.list_namespaces() == [("n", str(n)) for n in range(6)]
        pages = [store.list_namespaces(limit=4, offset=offset) for offset in (0, 4, 8)]
        assert [len(page) for page in pages] == [4, 2, 0]
        assert [*pages[0], *pages[1]] == store.list_namespaces()
        assert store.list_namespaces(max_depth=1, limit=1) == [("n",)]

    def test_no_namespace_is_listed_before_there_is_one(self, store: Any) -> None:
        assert store.list_namespaces() == []
        assert store.list_namespaces(prefix=("a",), max_depth=1) == []

    def test_a_namespace_that_was_only_asked_for_is_not_listed(self, store: Any) -> None:
        store.get(("nobody",), "k")
        store.search(("nobody",), query="x")
        store.delete(("nobody",), "k")
        assert store.list_namespaces() == []

    def test_a_namespace_that_was_emptied_is_not_listed(self, store: Any) -> None:
        store.put(("a",), "k", {"n": 1})
        store.put(("b",), "k", {"n": 1})
        store.delete(("a",), "k")
        assert store.list_namespaces() == [("b",)]

    def test_several_conditions_hold_together(self, store: Any) -> None:
        for namespace in TREE:
            store.put(namespace, "k", {"n": 1})
        conditions = (MatchCondition("prefix", ("a",)), MatchCondition("suffix", ("x", "*")))
        (listed,) = store.batch([ListNamespacesOp(match_conditions=conditions)])
        assert listed == [("a", "x", "1"), ("a", "x", "2")]
