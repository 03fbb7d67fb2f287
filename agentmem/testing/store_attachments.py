"""The part of the contract of a store about attachments: named bytes of a namespace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentmem.errors import InvalidInputError, NotFoundError, TooLargeError
from agentmem.testing.records import A, B, step
from agentmem.types import Namespace, Store

CONTENTS = (b"", b"\0", bytes(range(256)) * 4_000, b"plain")


class AttachmentsContract:
    """Needs the fixture `store` and `make_store`; `StoreContract` has them."""

    make_store: Callable[[str], Store]

    def test_what_is_attached_is_read_back_by_its_name(self, store: Store) -> None:
        for number, content in enumerate(CONTENTS):
            store.attach(A, f"näme {number}", content)
        assert [store.attachment(A, f"näme {number}") for number in range(len(CONTENTS))] == list(CONTENTS)
        assert store.attachments(A) == {f"näme {number}": len(content) for number, content in enumerate(CONTENTS)}
        problems, checked = store.verify()
        assert problems == []
        assert checked["attachments"] == len(CONTENTS)

    def test_an_attachment_replaces_the_one_of_its_name(self, store: Store) -> None:
        for content in (b"one" * 5_000, b"two", b"three" * 9_000):
            store.attach(A, "state", content)
            assert store.attachment(A, "state") == content
            assert store.attachments(A) == {"state": len(content)}
        assert store.verify()[0] == []

    def test_attachments_belong_to_their_namespace_exactly(self, store: Store) -> None:
        spaces: tuple[Namespace, ...] = ((), ("acme",), A, B)
        for space in spaces[1:]:
            store.attach(space, "state", repr(space).encode())
        assert store.attachments(()) == {}
        assert [store.attachment(space, "state") for space in spaces[1:]] == [repr(s).encode() for s in spaces[1:]]
        store.detach(("acme",), "state")
        for space in ((), ("acme",), ("acme", "alice", "x")):
            with pytest.raises(NotFoundError, match="'state'"):
                store.attachment(space, "state")
        assert store.attachments(A) == {"state": len(repr(A))}

    def test_a_detached_attachment_is_gone_and_may_come_again(self, store: Store) -> None:
        content = b"canary of a state" * 300
        store.attach(A, "state", content)
        assert store.residue([content])
        store.detach(A, "state")
        store.detach(A, "state")
        store.detach(B, "state")
        assert store.attachments(A) == {}
        assert store.residue([content[:17], content]) == []
        store.attach(A, "state", b"again")
        assert store.attachment(A, "state") == b"again"
        assert store.verify()[0] == []

    def test_attaching_leaves_the_log_and_what_is_made_of_it_alone(self, store: Store) -> None:
        store.append([step("red fox")])
        before = store.head(), store.version(A), list(store.scan()), store.crystals(A)
        store.attach(A, "state", b"x" * 9_000)
        store.detach(A, "state")
        assert (store.head(), store.version(A), list(store.scan()), store.crystals(A)) == before

    def test_erasing_takes_the_attachments_of_the_namespaces_it_touches(self, store: Store) -> None:
        store.append([step("a secret"), step("b", B)])
        for space in (A, B, ("c",)):
            store.attach(space, "state", b"what was read: " + repr(space).encode() * 300)
        store.erase([1])
        assert [list(store.attachments(space)) for space in (A, B, ("c",))] == [[], ["state"], ["state"]]
        assert store.residue([repr(A).encode()]) == []
        store.erase([2], [("c",)])
        assert [store.attachments(space) for space in (B, ("c",))] == [{}, {}]
        assert store.residue([repr(B).encode(), repr(("c",)).encode()]) == []
        assert store.verify()[0] == []

    def test_a_namespace_of_attachments_alone_is_erased_by_its_name(self, store: Store) -> None:
        store.append([step("a")])
        store.attach(B, "state", b"secret of bob" * 200)
        store.erase([], [B])
        assert store.attachments(B) == {}
        assert store.namespaces() == [A]
        assert store.residue([b"secret of bob", b"bob"]) == []
        assert [record.text for record in store.scan()] == ["a"]
        store.attach(B, "state", b"again")
        store.append([step("b", B), step("c")])
        assert store.attachment(B, "state") == b"again"
        assert [record.text for record in store.scan(B)] == ["b"]
        assert store.verify()[0] == []

    def test_what_cannot_be_attached_is_refused_and_what_was_there_stays(self, store: Store) -> None:
        store.attach(A, "state", b"here")
        with pytest.raises(TooLargeError, match="'state' of 268,435,457 bytes is over the limit of 268,435,456"):
            store.attach(A, "state", bytes((256 << 20) + 1))
        for name, content in (("state", "text"), ("state", None), ("\ud800", b"x")):
            with pytest.raises(InvalidInputError):
                store.attach(A, name, content)  # type: ignore[arg-type]
        assert store.attachments(A) == {"state": 4}

    def test_attachments_are_in_a_backup_and_counted_apart(self, store: Store, tmp_path: Path) -> None:
        store.append([step("a")])
        empty = store.sizes()
        store.attach(A, "state", b"x" * 50_000)
        assert empty["attachments"] == 0
        assert 50_000 <= store.sizes()["attachments"] < 60_000
        assert store.sizes()["blobs"] == empty["blobs"]
        store.backup(str(tmp_path / "copy.mem"))
        store.attach(A, "state", b"newer")
        copy = self.make_store(str(tmp_path / "copy.mem"))
        if copy.attachments(A):  # a store that is only in memory opens no copies
            assert copy.attachment(A, "state") == b"x" * 50_000
        copy.close()
