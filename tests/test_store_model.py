"""The store against a model of plain dicts, through any sequence of operations."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lawful import few

from agentmem.errors import KeyConflictError
from agentmem.store import open_store
from agentmem.testing.records import batch, codes, crystal, plain, step
from agentmem.types import PASSAGE_BITS, Crystal, Namespace, Record, Span

NAMESPACES: tuple[Namespace, ...] = ((), ("a",), ("a", "b"))
VOCABULARY = ("red", "fox", "ß", "x1", "東京", "3.14")
texts = st.lists(st.sampled_from(VOCABULARY) | st.text(max_size=12), max_size=12).map(" ".join)
namespaces = st.sampled_from(NAMESPACES)
keys = st.none() | st.sampled_from([f"k{n}" for n in range(12)])


def words(record: Record) -> tuple[str, ...]:
    """Only what may stand in a term: casefolded, neither quotes nor control characters."""
    kept = "".join(c if c > " " and c not in '"\x7f' else " " for c in record.text.casefold())
    return (" ".join(kept.split()),) if record.type == "step" else ()


class StoreModel(RuleBasedStateMachine):
    @initialize(retain=st.sampled_from(["keep", "crystals"]))
    def make(self, retain: str) -> None:
        self.directory = tempfile.mkdtemp()
        self.path = os.path.join(self.directory, "agent.mem")
        self.store = open_store(self.path, "process", settings={"retain": retain}, terms=words)
        self.records: dict[int, Record] = {}
        self.first: dict[tuple[Namespace, str], Record] = {}
        self.erased_keys: set[tuple[Namespace, str]] = set()
        self.crystals: dict[Namespace, list[Crystal]] = {}
        self.watermarks: dict[Namespace, int] = {}
        self.attached: dict[tuple[Namespace, str], bytes] = {}
        self.generations: dict[Namespace, int] = dict.fromkeys(NAMESPACES, -1)
        self.head = self.erasures = self.made = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.verify()[0] == []
            self.store.close()
            shutil.rmtree(self.directory)

    def record(self, namespace: Namespace, text: str, key: str | None, episode: str | None) -> Record:
        made = step(text, namespace, key=key, episode=episode, logged_at=float(self.head))
        return replace(made, terms=words(made))

    @rule(calls=st.lists(st.tuples(namespaces, texts, keys, st.sampled_from([None, "e", "f"])), min_size=1, max_size=6))
    def append(self, calls: list[tuple[Namespace, str, str | None, str | None]]) -> None:
        records = [self.record(*call) for call in calls]
        expected, head = self.expect(records)
        if expected is None:
            with pytest.raises(KeyConflictError):
                self.store.append(records)
            return
        assert plain(self.store.append(records)) == expected
        for one in expected:
            self.records.setdefault(one.position, one)
            if one.key is not None:
                self.first.setdefault((one.namespace, one.key), one)
        self.head = head

    def expect(self, records: list[Record]) -> tuple[list[Record] | None, int]:
        """What append should return, or None for a conflict; and the head after it."""
        expected, head, here = [], self.head, dict[tuple[Namespace, str], Record]()
        for record in records:
            name = (record.namespace, record.key or "")
            if record.key is not None and name in self.erased_keys:
                return None, self.head
            known = here.get(name) or self.first.get(name) if record.key is not None else None
            if known is not None:
                if (known.text, known.episode) != (record.text, record.episode):
                    return None, self.head
                expected.append(self.records.get(known.position, known))
                continue
            head += 1
            new = replace(record, position=head, terms=())
            expected.append(new)
            if record.key is not None:
                here[name] = new
        return expected, head

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.records)), min_size=1, max_size=4))
        self.store.erase(chosen)
        self.erasures += 1
        for position in set(chosen):
            record = self.records.pop(position)
            if record.key is not None:
                self.erased_keys.add((record.namespace, record.key))
            self.crystals.pop(record.namespace, None)
            self.watermarks.pop(record.namespace, None)
            self.drop_attachments(record.namespace)

    def drop_attachments(self, namespace: Namespace) -> None:
        self.attached = {name: content for name, content in self.attached.items() if name[0] != namespace}

    @rule(namespace=namespaces, name=st.sampled_from("xy"), content=st.binary(max_size=3_000))
    def attach(self, namespace: Namespace, name: str, content: bytes) -> None:
        self.store.attach(namespace, name, content)
        self.attached[namespace, name] = content

    @rule(namespace=namespaces, name=st.sampled_from("xy"))
    def detach(self, namespace: Namespace, name: str) -> None:
        self.store.detach(namespace, name)
        self.attached.pop((namespace, name), None)

    @rule(namespace=namespaces)
    def empty(self, namespace: Namespace) -> None:
        known = namespace in self.store.namespaces()
        self.store.erase([], [namespace])
        self.erasures += known
        self.crystals.pop(namespace, None)
        self.watermarks.pop(namespace, None)
        self.drop_attachments(namespace)

    @precondition(lambda self: self.records)
    @rule(data=st.data(), text=texts)
    def rewrite(self, data: st.DataObject, text: str) -> None:
        position = data.draw(st.sampled_from(sorted(self.records)))
        self.store.rewrite({position: (text, '{"lost":true}')})
        self.records[position] = replace(self.records[position], text=text, body='{"lost":true}')

    @precondition(lambda self: self.records)
    @rule(data=st.data(), right=st.booleans())
    def publish(self, data: st.DataObject, right: bool) -> None:
        record = self.records[data.draw(st.sampled_from(sorted(self.records)))]
        self.made += 1
        spans = [Span(record.position, 0, len(record.text) // 2), Span(record.position, 0, len(record.text))]
        text = record.text[: len(record.text) // 2] + " … " + record.text
        name = f"c{self.made}"
        one = crystal(name, spans, text, record.namespace)
        published = batch([one], record.position, retired={name: 9}, codes=[codes(name, 1)], encoder="e")
        expected = self.store.version(record.namespace)
        assert expected.watermark == self.watermarks.get(record.namespace, 0)
        if not right:
            expected = expected._replace(watermark=expected.watermark + 1)
        assert self.store.publish(record.namespace, published, expected) == right
        if right:
            self.crystals.setdefault(record.namespace, []).append(one)
            self.watermarks[record.namespace] = record.position

    @rule(namespace=namespaces)
    def discard(self, namespace: Namespace) -> None:
        self.store.discard(namespace)
        self.crystals.pop(namespace, None)
        self.watermarks.pop(namespace, None)

    @rule(back=st.integers(0, 5))
    def archive(self, back: int) -> None:
        self.store.archive(self.head - back)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.path, "process", terms=words)

    @invariant()
    def reading_gives_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert {record.position: record for record in self.store.scan()} == self.records
        assert (self.store.head().position, self.store.head().erasures) == (self.head, self.erasures)
        for namespace in NAMESPACES:
            mine = [record for _, record in sorted(self.records.items()) if record.namespace == namespace]
            assert self.store.columns(namespace).position.tolist() == [record.position for record in mine]
            assert [made for _, made in self.store.crystals(namespace)] == self.crystals.get(namespace, [])
            assert len(self.store.codes(namespace, "e")) == len(self.crystals.get(namespace, []))
            assert self.store.watermark(namespace).position == self.watermarks.get(namespace, 0)
            self.check_postings(namespace, mine)
            attached = {name: content for (space, name), content in sorted(self.attached.items()) if space == namespace}
            assert self.store.attachments(namespace) == {name: len(content) for name, content in attached.items()}
            assert [self.store.attachment(namespace, name) for name in attached] == list(attached.values())

    def check_postings(self, namespace: Namespace, mine: list[Record]) -> None:
        found = {term: rows.tolist() for term, rows in self.store.postings(namespace, VOCABULARY).items()}
        expected: dict[str, list[int]] = {}
        for record in mine:
            for term in set(words(record)[0].split()) & set(VOCABULARY):
                expected.setdefault(term, []).append(record.position << PASSAGE_BITS)
        assert found == expected


StoreModel.TestCase.settings = settings(few(20), stateful_step_count=25)
TestStoreModel = StoreModel.TestCase
