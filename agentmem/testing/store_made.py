"""The half of the contract of a store about what is made from the log and what takes away from it."""

from __future__ import annotations

import json
import random
from hashlib import sha256

import numpy as np
import pytest

from agentmem.errors import KeyConflictError, NotFoundError
from agentmem.testing.records import A, B, batch, codes, crystal, step
from agentmem.types import PASSAGE_BITS, Layer, Span, State, Store


class MadeContract:
    """Needs the fixture `store`; `StoreContract` has it."""

    # ---- crystals

    def test_a_batch_is_read_back_as_published(self, store: Store) -> None:
        logged = store.append([step("the fox saw a hen"), step("and ran\0away", A)])
        first = crystal("u1", [Span(1, 4, 7), Span(1, 14, 17), Span(2, 4, 7)], "fox … hen … ran")
        second = crystal(
            "a1", [Span(2, 0, 3)], "free words", layer=Layer.ATOM, key="k", value="v", support=3, retired=9
        )
        made = codes("u1", 1)
        published = batch([first, second], 2, retired={"u1": 2}, codes=[made], encoder="static")
        assert store.publish(A, published, expected=store.version(A))
        for _ in range(2):
            assert [c for _, c in store.crystals(A)] == [first, second]
            assert store.watermark(A) == (2, b"state")
            assert [item[1:] for item in store.retirements(A)] == [("u1", 2)]
            ((_, found),) = store.codes(A, "static")
            assert found.crystal == "u1"
            assert np.array_equal(found.rows, made.rows)
            assert found.first.tolist() == made.first.tolist()
            assert found.last.tolist() == made.last.tolist()
            assert store.encoders(A) == ["static"]
            assert store.crystals(B) == []
            store.archive(len(logged))

    def test_publishing_on_a_moved_watermark_stores_nothing(self, store: Store) -> None:
        store.append([step("a b c")])
        before = store.version(A)
        assert store.publish(A, batch([crystal("u1", [Span(1, 0, 1)], "a")]), expected=before)
        assert not store.publish(A, batch([crystal("u2", [Span(1, 2, 3)], "b")]), expected=before)
        assert [c.id for _, c in store.crystals(A)] == ["u1"]
        assert store.publish(A, batch([crystal("u2", [Span(1, 2, 3)], "b")]), expected=store.version(A))

    def test_states_come_back_in_their_order_and_go_with_what_else_was_made(self, store: Store) -> None:
        store.append([step(f"text {n}") for n in range(6)])
        states = [State(n, form, f"key {n % 2}", "é" * n) for n in range(1, 7) for form in ("place", "deed")]
        for first in (1, 4):
            some = [state for state in states if first <= state.position < first + 3]
            assert store.publish(A, batch([], first + 2, states=some), store.version(A))
        found = store.states(A)
        assert [state for _, state in found] == states
        assert [state for _, state in store.states(A, after=found[4][0])] == states[5:]
        store.archive(6)
        assert store.states(A) == found
        assert store.states(B) == []
        assert store.verify()[0] == []
        store.erase([6])
        assert store.states(A) == []

    def test_what_was_made_before_an_erasure_is_not_published_after_it(self, store: Store) -> None:
        store.append([step("a secret"), step("b")])
        before = store.version(A)
        store.erase([1])
        assert not store.publish(A, batch([crystal("u", [Span(1, 2, 8)], "secret")], 2), expected=before)
        assert store.crystals(A) == []

    def test_crystals_retirements_and_codes_can_be_read_on_from_a_serial(self, store: Store) -> None:
        store.append([step(f"text {n}") for n in range(20)])
        for n in range(20):
            one = crystal(f"c{n}", [Span(n + 1, 0, 4)], "text")
            sealed = batch([one], n + 1, retired={f"c{n}": n + 1}, codes=[codes(f"c{n}", n)], encoder="e")
            assert store.publish(A, sealed, store.version(A))
        crystals = store.crystals(A)
        assert [c.id for _, c in crystals] == [f"c{n}" for n in range(20)]
        store.archive(20)
        assert store.crystals(A) == crystals
        assert store.crystals(A, after=crystals[11][0]) == crystals[12:]
        retirements = store.retirements(A)
        assert store.retirements(A, after=retirements[4][0]) == retirements[5:]
        made = store.codes(A, "e")
        assert [(s, c.crystal) for s, c in store.codes(A, "e", after=made[9][0])] == [
            (s, c.crystal) for s, c in made[10:]
        ]

    def test_joining_small_batches_around_a_large_one_leaves_the_order(self, store: Store) -> None:
        store.append([step(f"text {n}") for n in range(9)])
        for n, size in enumerate((3, 600, 2, 2), 1):
            some = [crystal(f"c{n}.{k}", [Span(n, 0, 4)], "text") for k in range(size)]
            published = batch(some, n, codes=[codes(one.id, n) for one in some], encoder="e")
            assert store.publish(A, published, store.version(A))
        before, coded = store.crystals(A), [(serial, one.crystal) for serial, one in store.codes(A, "e")]
        store.archive(9)
        assert store.crystals(A) == before
        assert store.outlines(A).ids == [one.id for _, one in before]
        assert [(serial, one.crystal) for serial, one in store.codes(A, "e")] == coded
        assert store.crystals(A, after=before[-1][0]) == []

    def test_outlines_are_the_crystals_without_their_words(self, store: Store) -> None:
        store.append([step(f"text {n}") for n in range(20)])
        for n in range(1, 21):
            spans = [Span(at, 0, 4) for at in range(max(1, n - 2), n + 1)]
            unit, atom = crystal(f"u{n}", spans, "text"), crystal(f"a{n}", spans[-1:], "text", layer=Layer.ATOM)
            unit = unit.model_copy(update={"sources": tuple(f"s{span.position:011d}" for span in spans)})
            assert store.publish(A, batch([unit, atom], n), store.version(A))
        for _ in range(2):
            crystals, outlines = store.crystals(A), store.outlines(A)
            made = [one for _, one in crystals]
            assert outlines.serial.tolist() == [serial for serial, _ in crystals]
            assert outlines.ids == [one.id for one in made]
            assert [list(Layer)[n] for n in outlines.layer.tolist()] == [one.layer for one in made]
            for name in ("born", "tokens", "salience"):
                assert getattr(outlines, name).tolist() == [getattr(one, name) for one in made]
            assert outlines.spans.tolist() == [len(one.spans) for one in made]
            assert outlines.held.tolist() == [span.position for one in made for span in one.spans]
            sources = [one.sources if one.layer is Layer.UNIT else () for one in made]
            assert outlines.sources.tolist() == list(map(len, sources))
            assert outlines.steps.tolist() == [int(source[1:]) for own in sources for source in own]
            later = store.outlines(A, after=crystals[11][0])
            assert (later.ids, later.held.tolist()) == (
                outlines.ids[12:],
                outlines.held[outlines.spans[:12].sum() :].tolist(),
            )
            assert store.outlines(B).ids == []
            store.archive(20)

    def test_codes_of_another_encoder_can_be_added_and_replaced(self, store: Store) -> None:
        store.append([step("a")])
        store.publish(A, batch([crystal(n, [Span(1, 0, 1)], "a") for n in ("x", "y")]), expected=store.version(A))
        store.add_codes(A, "e", [codes("x", 1), codes("y", 2)])
        store.add_codes(A, "e", [codes("x", 3)])
        found = {made.crystal: made for _, made in store.codes(A, "e")}
        assert len(store.codes(A, "e")) == 2
        assert np.array_equal(found["x"].rows, codes("x", 3).rows)
        assert np.array_equal(found["y"].rows, codes("y", 2).rows)
        assert store.encoders(A) == ["e"]

    def test_discarding_drops_what_was_made_and_keeps_the_log(self, store: Store) -> None:
        store.append([step("a"), step("b", B)])
        for namespace in (A, B):
            one = crystal("u", [Span(1, 0, 1)], "a", namespace)
            store.publish(
                namespace,
                batch([one], codes=[codes("u", 1)], encoder="e", retired={"u": 1}),
                expected=store.version(namespace),
            )
        before = store.version(A).generation, store.version(B).generation
        store.discard(A)
        for left in (store.crystals(A), store.retirements(A), store.codes(A, "e"), store.encoders(A)):
            assert left == []
        assert store.watermark(A) == (0, b"")
        assert store.version(A).generation > before[0]
        assert store.version(B).generation == before[1]
        assert len(store.crystals(B)) == 1
        assert store.head().position == 2

    # ---- archiving, rewriting, erasing

    def test_archiving_changes_nothing_that_is_read(self, store: Store) -> None:
        store.append([step(f"word{n % 7} {'x' * n}", B if n % 5 == 0 else A, key=str(n)) for n in range(300)])
        before = list(store.scan()), store.head(), store.postings(A, ["word3"])["word3"].tolist()
        for upto in (10, 11, 150, 150, 999):
            store.archive(upto)
            assert (list(store.scan()), store.head(), store.postings(A, ["word3"])["word3"].tolist()) == before
        assert store.archive(300) == 0
        assert store.verify()[0] == []

    def test_rewriting_keeps_positions_keys_and_crystals(self, store: Store) -> None:
        store.append([step(f"the long text of step {n}", key=str(n)) for n in range(8)])
        one = crystal("u", [Span(2, 4, 8), Span(6, 4, 8)], "long … long")
        store.publish(A, batch([one], 8), expected=store.version(A))
        generation = store.version(A).generation
        store.archive(4)
        store.rewrite({2: ("short", '{"lost":true}'), 6: ("", '{"lost":true}')})
        texts = [record.text for record in store.scan()]
        assert texts[1] == "short"
        assert texts[5] == ""
        assert [record.position for record in store.scan()] == list(range(1, 9))
        assert store.append([step("the long text of step 1", key="1")])[0].position == 2
        assert [c for _, c in store.crystals(A)] == [one]
        assert store.version(A).generation > generation
        assert store.verify()[0] == []

    @pytest.mark.parametrize("archived", [0, 3, 6])
    def test_erasing_leaves_nothing_of_a_record(self, store: Store, archived: int) -> None:
        secrets = [f"{random.Random(n).getrandbits(96):024x}" for n in range(3)]
        for n in range(6):
            secret = f" {secrets[n // 2]}" if n % 2 else ""
            store.append([step(f"step {n}{secret}", episode=f"e{secret}", actor=secret or None, key=f"k{n}{secret}")])
        store.append([step("elsewhere", B)])
        one = crystal("u", [Span(2, 0, 30)], f"step 1 {secrets[0]}", key=secrets[0])
        store.publish(A, batch([one], 6, state=secrets[1].encode()), expected=store.version(A))
        store.archive(archived)
        before = store.head()
        store.erase([2, 4, 6])
        assert store.residue([secret.encode() for secret in secrets]) == []
        assert [record.position for record in store.scan()] == [1, 3, 5, 7]
        assert store.head().erasures == before.erasures + 1
        assert store.head().hash != before.hash
        assert store.crystals(A) == []
        assert store.postings(A, secrets) == {}
        assert store.postings(A, ["step"])["step"].tolist() == [p << PASSAGE_BITS for p in (1, 3, 5)]
        assert not [name for name in store.names().values() if any(secret in name for secret in secrets)]
        with pytest.raises(KeyConflictError, match="erased"):
            store.append([step(f"step 1 {secrets[0]}", key=f"k1 {secrets[0]}")])
        assert store.keyed(A, f"k1 {secrets[0]}") is None
        with pytest.raises(NotFoundError):
            store.read([2])
        assert store.verify()[0] == []

    def test_positions_are_never_used_again(self, store: Store) -> None:
        store.append([step("a"), step("b"), step("c")])
        store.erase([3])
        assert store.head().position == 3
        store.archive(3)
        store.erase([1, 2])
        assert store.append([step("d")])[0].position == 4
        assert [record.position for record in store.scan()] == [4]
        assert store.verify()[0] == []

    def test_erasing_twice_is_harmless_and_erasing_nothing_is_an_error(self, store: Store) -> None:
        store.append([step("a"), step("b")])
        store.erase([1])
        store.erase([1])
        with pytest.raises(NotFoundError):
            store.erase([2, 99])
        assert [record.position for record in store.scan()] == [2]

    def test_residue_finds_what_is_there(self, store: Store) -> None:
        store.append([step("needle in hay")])
        assert store.residue([b"needle"])
        store.archive(1)
        assert store.residue([b"needle in"])
        assert store.residue([b"not there at all"]) == []

    @pytest.mark.parametrize("archived", [0, 9])
    def test_residue_looks_everywhere(self, store: Store, archived: int) -> None:
        marks = {name: f"{name} {random.Random(name).getrandbits(96):024x}" for name in "abcdefghi"}
        digest = sha256(marks["i"].encode() * 1000).hexdigest()
        body = json.dumps({"data": f'"{marks["b"]}"\n', "blobs": {"frame": digest}}, ensure_ascii=False)
        long = "x" * 3000 + f"{marks['a']} " * 200
        record = step(long, body=body, key=marks["c"], actor=marks["d"], episode=marks["e"], terms=("a",))
        store.append([record], blobs={digest: marks["i"].encode() * 1000})
        made = crystal("u", [Span(1, 0, 3)], marks["f"], key=marks["g"])
        store.publish(A, batch([made], 1, state=marks["h"].encode()), expected=store.version(A))
        store.archive(archived)
        for name, mark in marks.items():
            assert store.residue([mark.encode()]), name
        assert store.residue([f'"{marks["b"]}"\n'.encode()])
        store.erase([1])
        for name, mark in marks.items():
            assert store.residue([mark.encode()]) == [], name
