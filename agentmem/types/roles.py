"""The roles that other code may play: Protocols whose method names existing classes already have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from agentmem.types.log import Batch, Codes, Columns, Head, Note, Outlines, Record, State, Version, Watermark
from agentmem.types.nouns import Crystal, Namespace, PlanningContext


@runtime_checkable
class Encoder(Protocol):
    """Texts to vectors. sentence-transformers and model2vec models are encoders as they are."""

    def encode(self, sentences: list[str]) -> Any:
        """float array [len(sentences), d]; row i depends on sentences[i] alone."""
        ...


class Policy(Protocol):
    """Chooses the next action. What else it may have is said in `agentmem.rollout.policies`; the contract is
    `agentmem.testing.PolicyContract`.
    """

    def act(self, observation: Any, context: PlanningContext | None) -> Any: ...


class Store(Protocol):
    """Keeps the log and what was made from it. One writer at a time, any number of readers, many processes.

    Every method is atomic and thread-safe. The contract is `agentmem.testing.StoreContract`.
    """

    path: str

    def append(self, records: Sequence[Record], blobs: Mapping[str, bytes] | None = None) -> list[Record]:
        """Log records in one transaction and return them with their positions; they are durable on return.

        A record whose (namespace, key) is already logged with the same content is returned as it was first logged, and
        nothing is added; other content, or a key that was erased, raises KeyConflictError, and a record of an episode
        that was erased ErasedError. blobs: sha256 hex -> bytes.
        """
        ...

    def admitted(self, records: Sequence[Record]) -> list[Record]:
        """Records as `append` would write them: redacted. Raises RefusedError. What was admitted stays as it is."""
        ...

    def masked(self, namespace: Namespace) -> dict[str, int]:
        """Kind -> how many placeholders were appended for it."""
        ...

    def head(self) -> Head: ...

    def read(self, positions: Sequence[int]) -> list[Record]:
        """The records at these positions, in the order asked; NotFoundError names a position that is not there."""
        ...

    def scan(
        self,
        namespace: Namespace | None = None,
        after: int = 0,
        upto: int | None = None,
        episode: str | None = None,
        types: Sequence[str] | None = None,
    ) -> Iterator[Record]:
        """Records with after < position <= upto in log order, of one namespace or (None) of all. `terms` is not
        filled.
        """
        ...

    def keyed(self, namespace: Namespace, key: str) -> Record | None: ...

    def blob(self, digest: str) -> bytes: ...

    def blob_uses(self, digest: str) -> list[int]:
        """Log positions of the records that have a blob, of whatever namespace."""
        ...

    def namespaces(self) -> list[Namespace]: ...

    def names(self, after: int = 0) -> dict[int, str]:
        """Name ids of Columns.episode and Columns.actor, greater than `after`, -> the name. Later names have greater
        ids, and an id is never given twice."""
        ...

    def tokens(self) -> int:
        """Tokens of the records of all namespaces."""
        ...

    def columns(self, namespace: Namespace | None, after: int = 0) -> Columns:
        """Of one namespace, or (None) of all."""
        ...

    def times(self, namespace: Namespace, after: int = 0) -> np.ndarray:
        """When each record of `columns` was logged: seconds since 1970, float64 [n]."""
        ...

    def postings(self, namespace: Namespace, terms: Iterable[str], after: int = 0) -> dict[str, np.ndarray]:
        """term -> sorted int64 index rows (position << PASSAGE_BITS | passage) with position > after; absent terms
        left out.
        """
        ...

    def watermark(self, namespace: Namespace) -> Watermark: ...

    def publish(self, namespace: Namespace, batch: Batch, expected: Version) -> bool:
        """Store a batch and its watermark together; False, and nothing stored, if the version is not `expected`."""
        ...

    def crystals(self, namespace: Namespace, after: int = 0) -> list[tuple[int, Crystal]]:
        """(serial, crystal) in the order published, serial > after. See `version` for when to start again."""
        ...

    def outlines(self, namespace: Namespace, after: int = 0) -> Outlines:
        """The same crystals without their words: what an index of them needs, in a tenth of the time."""
        ...

    def retirements(self, namespace: Namespace, after: int = 0) -> list[tuple[int, str, int]]:
        """(serial, crystal id, position) of retirements, in the order published."""
        ...

    def states(self, namespace: Namespace, after: int = 0) -> list[tuple[int, State]]:
        """(serial, state) in the order published, which is by position."""
        ...

    def codes(self, namespace: Namespace, encoder: str, after: int = 0) -> list[tuple[int, Codes]]: ...

    def encoders(self, namespace: Namespace) -> list[str]:
        """Ids of the encoders that have codes here."""
        ...

    def add_codes(self, namespace: Namespace, encoder: str, codes: Sequence[Codes]) -> None:
        """Codes of crystals already published, by another encoder; replaces that encoder's codes of the same
        crystals.
        """
        ...

    def discard(self, namespace: Namespace) -> None:
        """Drop every crystal, code and watermark of a namespace; the log stays. Bumps its generation."""
        ...

    def version(self, namespace: Namespace) -> Version:
        """The generation and the watermark, of one moment."""
        ...

    def attach(self, namespace: Namespace, name: str, content: bytes) -> None:
        """Keep bytes under a name, in the place of those there were; durable on return. TooLargeError over 256 MiB."""
        ...

    def attachment(self, namespace: Namespace, name: str) -> bytes:
        """The bytes, checked against their sha256; NotFoundError if there are none, DamagedError if they changed."""
        ...

    def attachments(self, namespace: Namespace) -> dict[str, int]:
        """Name -> bytes of each, by name."""
        ...

    def detach(self, namespace: Namespace, name: str) -> None:
        """Physically remove an attachment, if there is one."""
        ...

    def archive(self, upto: int) -> int:
        """Move records up to a position into compressed blocks; returns how many moved. Reading does not change."""
        ...

    def rewrite(self, texts: Mapping[int, tuple[str, str]]) -> None:
        """Replace text and body of logged steps: retention's way to let go of text. Positions, keys and order stay."""
        ...

    def erase(
        self,
        positions: Sequence[int],
        namespaces: Sequence[Namespace] = (),
        event: Record | None = None,
        keys: Sequence[tuple[Namespace, str]] = (),
        expected: tuple[Namespace, int] | None = None,
    ) -> bool:
        """Physically remove records, their lexical rows, unshared blobs, and every crystal and attachment of their
        namespaces and of those that are named. In the same transaction `event` is logged, and `keys`, as those of the
        records, are refused from then on. False, and nothing is erased, where the generation of the namespace in
        `expected` is another than that.
        """
        ...

    def refuses(self, namespace: Namespace, key: str) -> bool:
        """Whether a key was erased, so that nothing can be logged under it."""
        ...

    def barred(self, namespace: Namespace, subject: str) -> tuple[str, float] | None:
        """ "erased" or "withdrawn" for a subject that `append` refuses steps about, "given" for one that it takes
        again, and since when; None where no event "erased" or "consent" was about it."""
        ...

    def salts(self, namespace: Namespace) -> list[bytes]:
        """The salts under which these events of a namespace name subjects."""
        ...

    def note(
        self, at: float, what: str, who: str | None, namespace: Namespace | None, detail: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        """Add a row to the ledger, of a namespace or (None) of the whole memory; its number and chain hash."""
        ...

    def notes(self, namespace: Namespace | None = None, after: int = 0) -> Iterator[Note]:
        """Rows of the ledger: of a namespace and of the whole memory, or (None) all."""
        ...

    def chain_at(self, position: int) -> tuple[bytes | None, int]:
        """The log's hash at a position, None where no record is; and how often the log was chained anew."""
        ...

    def residue(self, needles: Sequence[bytes]) -> list[str]:
        """Where any of these byte strings still stands in the store's files, in words; [] if nowhere."""
        ...

    def traces(self, needles: Sequence[bytes], words: Sequence[bytes] = ()) -> dict[str, list[str]]:
        """`residue` by surface; every surface of a file is there. words: further byte strings, that no index of terms
        is asked for."""
        ...

    def setting(self, name: str) -> str | None: ...

    def put_setting(self, name: str, text: str, namespace: Namespace | None = None) -> None:
        """Note something of the file's, or of a namespace's; settings given at creation stay."""
        ...

    def inherited(self, name: str, namespace: Namespace) -> str | None:
        """A setting of a namespace, or else of the nearest one above it that has it."""
        ...

    def verify(self) -> tuple[list[str], dict[str, int]]:
        """Every problem found, and counts of what was checked."""
        ...

    def sizes(self) -> dict[str, int]:
        """Bytes by part, each counted once, and `total`, their sum."""
        ...

    def backup(self, path: str) -> None:
        """A consistent copy at a path that does not exist yet, while others go on writing."""
        ...

    @property
    def key_file(self) -> Any:
        """What opens an encrypted file, beside its path, to repair it; None for what is not encrypted."""
        ...

    def reopen(self) -> None:
        """Open what it keeps its records in once more, after something else repaired it."""
        ...

    def close(self) -> None: ...
