"""What EpisodicStore promises beyond LangGraph: one file, several processes, deleting for good, a log underneath."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, MatchCondition, PutOp, SearchOp
from strategies import opened

from agentmem import InvalidInputError, Memory
from agentmem.errors import ReadOnlyError, SettingsError, as_installed
from agentmem.langchain import EpisodicStore
from agentmem.langchain.items import Place
from agentmem.testing import FakeClock

ANN = ("users", "ann")
SECRET = "the combination of the safe is 7731-90-4"


@pytest.fixture
def store(memory: Memory) -> EpisodicStore:
    return EpisodicStore(memory)


@pytest.fixture
def both(file: Path) -> Iterator[tuple[EpisodicStore, EpisodicStore]]:
    """Two openings of one file, as two processes have."""
    with opened(file) as one, opened(file) as other:
        yield EpisodicStore(one), EpisodicStore(other)


def in_a_process(code: str, file: Path) -> str:
    lines = f"from agentmem import Memory\nfrom agentmem.langchain import EpisodicStore\nimport sys\n{code}"
    run = subprocess.run([sys.executable, "-c", lines, str(file)], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


# ---- deleting for good -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("put_again", [False, True])
def test_what_was_deleted_stands_in_no_file(tmp_path: Path, put_again: bool) -> None:
    with EpisodicStore(tmp_path / "agent.mem") as store:
        store.put(ANN, "safe", {"text": SECRET})
        store.put(ANN, "town", {"text": "lives in Bern"})
        if put_again:
            store.put(ANN, "safe", {"text": "nothing"})
        assert any(SECRET.encode() in path.read_bytes() for path in tmp_path.iterdir())
        store.delete(ANN, "safe")
        assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.iterdir())
        assert [item.key for item in store.search(())] == ["town"]
        assert store.memory.verify().ok


def test_a_key_with_its_refreshed_times_is_deleted_whole() -> None:
    clock = FakeClock()
    with opened(clock=clock) as memory:
        store = EpisodicStore(memory)
        store.put(ANN, "k", {"n": 1}, ttl=60)
        clock.advance(1_800)
        store.get(ANN, "k")
        store.delete(ANN, "k")
        assert list(store.scoped(*ANN).steps()) == []
        assert store.list_namespaces() == []


def test_what_is_deleted_and_put_again_in_one_batch_is_new(tmp_path: Path) -> None:
    with EpisodicStore(tmp_path / "agent.mem") as store:
        store.put(ANN, "safe", {"text": SECRET})
        first = store.get(ANN, "safe")
        results = store.batch([PutOp(ANN, "safe", None), GetOp(ANN, "safe"), PutOp(ANN, "safe", {"text": "nothing"})])
        assert results[1].value == {"text": SECRET}  # type: ignore[union-attr]
        second = store.get(ANN, "safe")
        assert second is not None
        assert first is not None
        assert (second.value, second.created_at > first.created_at) == ({"text": "nothing"}, True)
        assert [step.text for step in store.scoped(*ANN).steps()] == ["nothing"]
        assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.iterdir())
        store.batch([PutOp(ANN, "safe", {"text": "new"}), PutOp(ANN, "safe", None)])
        assert store.get(ANN, "safe") is None


def test_a_deletion_leaves_what_an_agent_has_crystallized(memory: Memory) -> None:
    with memory.episode(id="run") as episode:
        episode.log_many([f"Door {number} of the house is red." for number in range(300)])
    made = memory.crystals()
    store = EpisodicStore(memory)
    store.put(ANN, "food", {"text": "likes pizza"})
    store.delete(ANN, "food")
    assert made
    assert memory.crystals() == made
    assert memory.verify().ok


# ---- the log underneath ------------------------------------------------------------------------------------------


def test_an_older_value_is_out_of_recall_but_in_the_log_and_recalled_as_of_then(store: EpisodicStore) -> None:
    store.put(ANN, "food", {"text": "likes pizza"})
    then = store.scoped(*ANN).head().position
    store.put(ANN, "food", {"text": "likes pasta"})
    items = store.scoped(*ANN)
    assert [step.data["value"]["text"] for step in items.steps()] == ["likes pizza", "likes pasta"]
    assert "pizza" not in items.recall("what ann likes").text
    assert "pasta" in items.recall("what ann likes").text
    assert "pizza" in items.recall("what ann likes", as_of=f"s{then:011d}").text


def test_an_agent_recalls_items_beside_its_episodes(memory: Memory, store: EpisodicStore) -> None:
    with memory.episode(id="run") as episode:
        episode.log("The pizza oven is broken.")
    store.put(ANN, "food", {"content": "Ann likes pizza with mushrooms."})
    assert "mushrooms" not in memory.recall("pizza").text
    reader = memory.scoped(*memory.namespace, read=[store.scoped(*ANN).namespace])
    assert "mushrooms" in reader.recall("pizza").text
    assert "oven" in reader.recall("pizza").text


def test_an_item_that_is_not_indexed_is_no_line_of_a_recall(store: EpisodicStore) -> None:
    store.put(ANN, "secret", {"text": "the door code is 4711"}, index=False)
    store.put(ANN, "colour", {"text": "the door is red"})
    recalled = store.scoped(*ANN).recall("what is the door code?")
    assert recalled.text.splitlines() == ["[items]", "observation: the door is red"]
    assert [hit.text for hit in recalled.hits] == ["the door is red"]


def test_two_memories_of_one_file_have_stores_of_their_own(memory: Memory) -> None:
    one, other = EpisodicStore(memory.scoped("acme")), EpisodicStore(memory.scoped("acme", "users"))
    one.put(ANN, "k", {"of": "acme"})
    other.put(("ann",), "k", {"of": "acme users"})
    assert [item.value["of"] for item in one.search(())] == ["acme"]
    assert [item.value["of"] for item in other.search(())] == ["acme users"]
    assert (one.list_namespaces(), other.list_namespaces()) == ([ANN], [("ann",)])
    assert EpisodicStore(memory).search(()) == []


def test_steps_of_others_in_an_items_namespace_are_no_items(store: EpisodicStore) -> None:
    store.put(ANN, "k", {"text": "an item"})
    store.scoped(*ANN).episode(id="talk").log("no item", data={"note": 1})
    store.scoped(*ANN).episode(id="items").log("no item either", data=["key"])
    assert [item.key for item in store.search(ANN)] == ["k"]
    assert [item.key for item in store.search(ANN, query="no item")] == ["k"]


def test_a_batch_is_one_transaction_and_refused_whole(store: EpisodicStore) -> None:
    before = store.memory.head()
    with pytest.raises(InvalidInputError, match="NaN|nan"):
        store.batch([PutOp(ANN, "good", {"n": 1}), PutOp(ANN, "bad", {"n": float("nan")})])
    with pytest.raises(InvalidInputError, match="set"):
        store.batch([PutOp(("a",), "good", {"n": 1}), PutOp(ANN, "bad", {"n": {1, 2}})])
    assert store.memory.head() == before
    assert store.search(()) == []


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (PutOp(ANN, "k", ["no mapping"]), "mapping"),  # type: ignore[arg-type]
        (PutOp(ANN, 7, {}), "key 7"),  # type: ignore[arg-type]
        (PutOp(ANN, "k", {}, ttl=0), "ttl 0"),
        (PutOp(ANN, "k", {}, ttl=float("nan")), "ttl nan"),
        (PutOp(ANN, "k", {}, index="title"), "list of fields"),  # type: ignore[arg-type]
        (PutOp(ANN, "k", {1: "a"}), "keys must be str"),  # type: ignore[dict-item]
        (PutOp(ANN, "\ud800", {}), "surrogate"),
        (PutOp(("x" * 1_001,), "k", {}), "1,000"),
        (PutOp((), "k", {}), "needs a namespace"),
        (PutOp(("a.b",), "k", {}), "a.b"),
        (GetOp(("a", "b\0"), "k"), "label"),
        (SearchOp(("",)), "label ''"),
        (ListNamespacesOp(match_conditions=(MatchCondition("prefix", ("a.*",)),)), r"a\.\*"),
        (SearchOp(ANN, limit=-1), "limit -1"),
        (SearchOp(ANN, offset=-1), "offset -1"),
        (SearchOp(ANN, filter={"a": {"b": {"$in": [1]}}}), "in"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_its_value(store: EpisodicStore, op: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        store.batch([PutOp(ANN, "good", {}), op])
    assert store.memory.head().position == 0


def test_a_field_that_names_what_is_in_it_is_told_with_it(store: EpisodicStore) -> None:
    store.put(
        ANN, "k", {"content": "Ann moved.", "where": {"city": "Bern"}, "dogs": ["Rex", None, "Bello"], "ill": False}
    )
    (step,) = store.scoped(*ANN).steps()
    assert step.text.splitlines() == ["Ann moved.", "where.city: Bern", "dogs: Rex, Bello", "ill: false"]


# ---- several at once ---------------------------------------------------------------------------------------------


def test_what_another_puts_and_deletes_is_seen_at_the_next_call(both: tuple[EpisodicStore, EpisodicStore]) -> None:
    one, other = both
    assert other.get(ANN, "food") is None
    one.put(ANN, "food", {"text": "pizza"})
    assert other.get(ANN, "food").value == {"text": "pizza"}  # type: ignore[union-attr]
    other.put(ANN, "food", {"text": "pasta"})
    assert one.get(ANN, "food").value == {"text": "pasta"}  # type: ignore[union-attr]
    assert [item.value["text"] for item in one.search((), query="pizza")] == ["pasta"]
    one.delete(ANN, "food")
    assert other.get(ANN, "food") is None
    assert other.list_namespaces() == []
    other.put(ANN, "food", {"text": "rice"})
    assert [item.value["text"] for item in one.search(ANN)] == ["rice"]


def test_of_two_values_put_at_once_the_last_in_the_log_counts_for_both(
    both: tuple[EpisodicStore, EpisodicStore],
) -> None:
    both[0].put(ANN, "k", {"text": "pizza before"})
    puts = [store._put({Place(ANN, "k"): PutOp(ANN, "k", {"text": f"pizza {n}"})}) for n, store in enumerate(both)]
    for store, records in zip(both, puts, strict=True):  # neither knew of the other
        store.memory._core.store.append(records)
    for store in both:
        assert store.get(ANN, "k").value == {"text": "pizza 1"}  # type: ignore[union-attr]
        assert [item.value["text"] for item in store.search(ANN, query="pizza")] == ["pizza 1"]
    both[0].put(ANN, "k", {"text": "pizza after"})
    assert [hit.text for hit in both[1].scoped(*ANN).rank("pizza")] == ["pizza after"]


def test_an_item_with_all_words_in_quotes_comes_before_those_that_share_more_of_the_others(memory: Memory) -> None:
    store = EpisodicStore(memory)
    for n in range(20):
        store.put(ANN, str(n), {"text": f"Ann has {n} cans of paint."})
    store.put(ANN, "wish", {"text": "Ann wants a lamp, a cable, a shelf and a fern."})
    store.put(ANN, "note", {"text": "W-1703 is sold out for good."})
    query = "Ann wants a lamp, a cable, a shelf, a fern: {}"
    assert store.search(ANN, query=query.format("W-1703"))[0].key == "wish"
    assert store.search(ANN, query=query.format('"W-1703"'))[0].key == "note"


def test_both_delete_the_same(both: tuple[EpisodicStore, EpisodicStore]) -> None:
    one, other = both
    for n in range(10):
        one.put(ANN, str(n), {"n": n})
    assert len(other.search(ANN, limit=20)) == 10
    one.batch([PutOp(ANN, str(n), None) for n in range(6)])
    other.batch([PutOp(ANN, str(n), None) for n in range(4, 10)])
    assert one.search(ANN) == other.search(ANN) == []


@pytest.mark.slow
def test_a_second_process_has_what_the_first_put(file: Path) -> None:
    put = "s = EpisodicStore(sys.argv[1])\ns.put(('users', 'ann'), 'food', {'text': 'likes pizza'})\ns.close()"
    found = "print([item.value for item in EpisodicStore(sys.argv[1]).search(('users',), query='pizza')])"
    in_a_process(put, file)
    assert in_a_process(found, file) == "[{'text': 'likes pizza'}]"


# ---- time to live ------------------------------------------------------------------------------------------------


def test_reads_are_written_down_only_where_they_matter() -> None:
    clock = FakeClock(tick=0.001)
    with opened(clock=clock) as memory:
        store = EpisodicStore(memory)
        store.put(ANN, "k", {"n": 1}, ttl=100)
        store.put(ANN, "for ever", {"n": 1})
        before = memory.head().position
        for _ in range(50):
            store.get(ANN, "k")
            store.search(ANN)
        assert memory.head().position == before
        clock.advance(61)
        store.get(ANN, "k")
        assert memory.head().position == before + 1


def test_the_sweep_comes_by_itself_at_the_first_call_that_is_due() -> None:
    clock = FakeClock(tick=0.001)
    with opened(clock=clock) as memory:
        store = EpisodicStore(memory, ttl={"default_ttl": 5, "sweep_interval_minutes": 30})
        store.put(ANN, "k", {"text": SECRET})
        clock.advance(20 * 60)
        assert store.get(ANN, "other") is None
        assert [step.text for step in store.scoped(*ANN).steps()] == [SECRET]
        clock.advance(11 * 60)
        assert store.get(ANN, "other") is None
        assert list(store.scoped(*ANN).steps()) == []


def test_what_has_ended_is_swept_by_default_and_then_no_agent_recalls_it(file: Path) -> None:
    clock = FakeClock(tick=0.001)
    with opened(file, clock=clock) as memory:
        EpisodicStore(memory).put(ANN, "k", {"text": SECRET}, ttl=10)
    clock.advance(30 * 60)
    with opened(file, clock=clock) as memory:
        store = EpisodicStore(memory)
        agent = memory.scoped("agent", read=[store.scoped(*ANN).namespace])
        assert SECRET in agent.recall("combination of the safe").text  # nobody has called the store yet
        assert store.get(ANN, "k") is None
        assert store.get(ANN, "k") is None
        assert list(store.scoped(*ANN).steps()) == []
        assert agent.recall("combination of the safe").text == ""


def test_without_an_interval_nothing_is_swept_by_itself(file: Path) -> None:
    clock = FakeClock(tick=0.001)
    with opened(file, clock=clock) as memory:
        store = EpisodicStore(memory, ttl={"default_ttl": 5, "sweep_interval_minutes": None})
        store.put(ANN, "k", {"text": SECRET})
        clock.advance(60 * 60)
        assert store.get(ANN, "k") is None
        assert [step.text for step in store.scoped(*ANN).steps()] == [SECRET]


def test_an_item_that_is_put_again_meanwhile_is_not_swept(both: tuple[EpisodicStore, EpisodicStore]) -> None:
    one, other = both
    one.put(ANN, "k", {"n": 1}, ttl=0.01)
    other.put(ANN, "k", {"n": 2})
    assert one.sweep_ttl() == 0
    assert one.get(ANN, "k").value == {"n": 2}  # type: ignore[union-attr]


# ---- opening -----------------------------------------------------------------------------------------------------


def test_a_memory_that_is_only_read_serves_items_and_refuses_new_ones(file: Path) -> None:
    with opened(file) as memory:
        EpisodicStore(memory).put(ANN, "k", {"text": "pizza"}, ttl=60)
    with opened(file, read_only=True) as memory:
        store = EpisodicStore(memory, ttl={"sweep_interval_minutes": 0})
        assert store.get(ANN, "k") is not None
        assert len(store.search(ANN, query="pizza")) == 1
        with pytest.raises(ReadOnlyError):
            store.put(ANN, "k", {"text": "pasta"})


def test_an_index_of_langgraphs_gives_the_encoder_of_a_new_memory(file: Path, memory: Memory) -> None:
    embed = DeterministicFakeEmbedding(size=32)
    with EpisodicStore(file.parent / "other.mem", index={"dims": 32, "embed": embed, "fields": ["text"]}) as store:
        store.put(ANN, "k", {"text": "pizza", "note": "rice"})
        assert store.search(ANN, query="pizza")[0].score is not None
        assert store.memory.stats().encoder
        assert [step.text for step in store.scoped(*ANN).steps()] == ["pizza"]
    with pytest.raises(SettingsError, match=r"Memory\.open"):
        EpisodicStore(memory, index={"dims": 32, "embed": embed})


def test_a_memory_under_a_byte_limit_keeps_its_items(file: Path) -> None:
    with opened(file, retain="crystals", horizon=100) as memory:
        store = EpisodicStore(memory)
        values = {str(n): {"text": f"item {n} " + f"word{n} " * 30} for n in range(100)}
        store.batch([PutOp(ANN, key, value) for key, value in values.items()])
        store.scoped(*ANN).crystallize()
        assert {item.key: item.value for item in store.search(ANN, limit=200)} == values


def test_without_langgraph_the_line_that_installs_it_is_said(tmp_path: Path) -> None:
    code = """
sys.modules["langgraph"] = None
try:
    import agentmem.langchain
    agentmem.langchain.EpisodicStore
except Exception as error:
    print(type(error).__name__, error)
"""
    lines = f"import sys\n{code}"
    run = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60)
    assert "MissingExtraError" in run.stdout
    assert as_installed("pip install 'agentmem-crystal[langchain]'") in run.stdout


@pytest.mark.parametrize(
    "wrong",
    [
        lambda store: store.put("users", "k", {"a": 1}),
        lambda store: store.search("users"),
        lambda store: store.get("users", "k"),
        lambda store: store.list_namespaces(prefix="users"),
    ],
)
def test_a_name_in_place_of_a_namespace_is_refused_and_not_taken_for_its_letters(memory: Memory, wrong: Any) -> None:
    with pytest.raises(InvalidNamespaceError, match=r"namespace 'users': give a tuple of labels, such as \('users',\)"):
        wrong(EpisodicStore(memory))
    assert list(memory.steps()) == []


def test_a_name_in_place_of_fields_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInputError, match=r"fields 'content' of index: give a list of paths"):
        EpisodicStore(memory, index={"fields": "content"})  # type: ignore[typeddict-item]
