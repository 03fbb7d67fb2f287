"""The part of the contract of a store about erasures and consent: who is barred, refused keys, the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agentmem.errors import ConsentError, ErasedError, InvalidInputError, KeyConflictError
from agentmem.index import begin_key
from agentmem.records import canonical
from agentmem.store import subject_bars
from agentmem.testing.records import A, B, step
from agentmem.types import Record, RecordType, Store

SALT = b"salt" * 4


def event(type: RecordType, subject: str, at: float, salt: bytes = SALT, **said: Any) -> Record:
    """That a subject was erased, or with `given` that consent was given or not."""
    body = canonical({"bars": subject_bars([salt], subject), "steps": [], **said})
    return Record(type, A, body=body, logged_at=at)


def about(*subjects: str, **fields: Any) -> Record:
    return step("x", body=canonical({"subjects": list(subjects)}), **fields)


class AccountsContract:
    """Needs the fixture `store` and `make_store`; `StoreContract` has them."""

    make_store: Callable[[str], Store]

    def test_a_subject_is_barred_by_the_event_that_is_latest_by_its_time(self, store: Store) -> None:
        assert store.barred(A, "ann") is None
        store.append([event("erased", "ann", 5.0)])
        with pytest.raises(ErasedError, match="ann"):
            store.append([step("y"), about("bob", "ann")])
        assert store.head().position == 1
        store.append([event("consent", "ann", 4.0, given=True)])
        assert store.barred(A, "ann") == ("erased", 5.0)
        store.append([event("consent", "ann", 6.0, given=False)])
        with pytest.raises(ConsentError, match="ann"):
            store.append([about("ann")])
        store.append([event("consent", "ann", 7.0, given=True)])
        store.append([about("ann")])
        assert store.barred(A, "ann") == ("given", 7.0)
        assert store.verify()[0] == []

    def test_events_bar_in_their_namespace_and_under_any_salt(self, store: Store) -> None:
        store.append([event("erased", "ann", 5.0), event("consent", "bob", 5.0, b"other" * 4, given=False)])
        assert sorted(store.salts(A)) == sorted([SALT, b"other" * 4])
        for subject in ("ann", "bob"):
            with pytest.raises((ErasedError, ConsentError)):
                store.append([about(subject)])
        other = step("x", B, body=canonical({"subjects": ["ann", "bob"]}))
        assert len(store.append([other, about("zoe")])) == 2

    def test_an_event_that_bars_is_logged_apart_from_steps_about_anybody(self, store: Store) -> None:
        with pytest.raises(InvalidInputError, match="by itself"):
            store.append([event("erased", "ann", 5.0), about("ann")])
        store.append([event("erased", "ann", 5.0), step("of nobody")])
        assert store.head().position == 2

    def test_erasing_logs_its_event_and_refuses_its_keys_with_it(self, store: Store) -> None:
        store.append([about("ann", key="k"), step("y")])
        before = store.version(A).generation
        store.erase([1], [], event("erased", "ann", 5.0), [(A, "never was")])
        assert [record.type for record in store.scan(A)] == ["step", "erased"]
        assert store.version(A).generation > before
        for key in ("k", "never was"):
            assert store.refuses(A, key)
            with pytest.raises(KeyConflictError, match="erased"):
                store.append([step("z", key=key)])
        assert not store.refuses(B, "k")
        assert not store.refuses(A, "other")
        assert store.verify()[0] == []

    def test_an_episode_that_was_erased_is_not_gone_on_with(self, store: Store) -> None:
        store.append([step("x", episode="one"), step("y", episode="two"), step("z", B, episode="one")])
        store.erase([1], [], keys=[(A, begin_key("one"))])
        for record in (step("late", episode="one"), Record("end", A, "one")):
            with pytest.raises(ErasedError, match="episode 'one' .* was erased and is not gone on with"):
                store.append([step("early", episode="two"), record])
        store.append([step("late", episode="two"), step("late", B, episode="one")])
        assert store.head().position == 5

    def test_an_erasure_whose_event_cannot_be_logged_erases_nothing(self, store: Store) -> None:
        store.append([about("ann", key="k"), step("y")])
        with pytest.raises(KeyConflictError, match="k"):
            store.erase([2], [], replace(event("erased", "ann", 5.0), key="k"))
        assert [record.text for record in store.scan(A)] == ["x", "y"]
        assert store.verify()[0] == []

    def test_consent_rules_and_holds_raise_the_generation(self, store: Store) -> None:
        store.append([step("y")])
        for one in (
            event("consent", "ann", 5.0, given=False),
            Record("rules", A, body='{"rules":[]}'),
            Record("hold", A, body='{"held":false,"name":"a"}'),
        ):
            before = store.version(A).generation
            store.append([one])
            assert store.version(A).generation > before

    def test_nothing_is_erased_where_the_generation_is_not_the_expected_one(self, store: Store) -> None:
        store.append([step("y"), step("z", B)])
        before = store.version(A).generation
        store.append([Record("hold", A, body='{"held":false,"name":"a"}')])
        head = store.head()
        assert not store.erase([1], [], event("erased", "ann", 5.0), [(A, "k")], (A, before))
        assert (store.head(), store.refuses(A, "k")) == (head, False)
        assert store.erase([1], [], event("erased", "ann", 5.0), expected=(A, store.version(A).generation))
        assert [record.type for record in store.scan(A)] == ["hold", "erased"]

    def test_notes_are_kept_in_order_and_chained(self, store: Store) -> None:
        store.append([step("y")])
        first = store.note(1.5, "attach", "someone", A, {"bytes": 3})
        second = store.note(2.5, "backup", None, None, {})
        store.note(3.5, "attach", None, B, {})
        assert [note.what for note in store.notes(A)] == ["attach", "backup"]
        every = list(store.notes())
        assert [(note.number, note.chain) for note in every[:2]] == [first, second]
        assert every[0][:7] == (1, 1, 1.5, "attach", "someone", A, {"bytes": 3})
        assert [note.number for note in store.notes(after=2)] == [3]
        assert store.verify()[1]["notes"] == 3

    @pytest.mark.parametrize("archived", [0, 2, 3])
    def test_the_hash_at_a_position_is_that_of_the_head_then(self, store: Store, archived: int) -> None:
        hashes = []
        for number in range(3):
            store.append([step(str(number))])
            hashes.append(store.head().hash)
        store.archive(archived)
        assert [store.chain_at(position) for position in (1, 2, 3)] == [(one, 0) for one in hashes]
        assert store.chain_at(9) == (None, 0)

    def test_traces_are_told_by_surface(self, store: Store) -> None:
        store.append([step("a needle of some length in the hay")])
        store.archive(1)
        found = store.traces([b"needle of some length"])
        assert found["archive"]
        assert not found["codes"]
        assert sum(map(len, found.values())) == len(store.residue([b"needle of some length"]))
        assert not any(store.traces([], [b"haystack"]).values())
        assert any(store.traces([], [b"needle"]).values())
