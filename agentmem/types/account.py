"""What a memory tells of itself afterwards: erasures and their certificates, changes, accesses. Knows no behaviour."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from agentmem.types.nouns import Frozen, Layer, Namespace

SURFACES = (
    "tables",
    "indices",
    "free pages",
    "write-ahead log",
    "archive",
    "crystals",
    "codes",
    "caches",
    "exports",
    "backups",
)
"""Where an erasure looks for what it erased. exports: files of text that are named, graphs and replays among them."""


class Certificate(Frozen):
    """What an erasure was, without a word of what was erased. `Memory.confirm` checks it against the file.

    scope, marks: the namespace, and the subject, episode or steps, as HMAC-SHA256 under `salt`: who knows a name can
    tell whether it is meant; none of what expired. counts: what went. before, after: position, hash and erasures of the
    log, and generations;
    late: steps that were logged while it was at work, and went too.
    surfaces: on each, in how many places erased text was found afterwards; None: the process ended before it looked.
    position: of the certificate's last record; chain: the hash of the log there when it had been rechained that often.
    note, note_chain: the row of the ledger that witnesses it, which no later erasure touches; 0 for none.
    """

    id: str
    at: datetime
    request: Literal["subject", "episode", "steps", "namespace", "expired"]
    who: str | None = None
    salt: str
    scope: str
    marks: tuple[str, ...]
    counts: dict[str, int]
    before: dict[str, Any]
    after: dict[str, Any] | None = None
    surfaces: dict[str, int] | None = None
    position: int
    chain: str
    rechained: int
    note: int = 0
    note_chain: str = ""


class Repeat(Frozen):
    """A step that stays, and says a line of what is erased."""

    step: str
    episode: str | None
    namespace: Namespace


class EraseReport(Frozen):
    """What was, or with dry_run would be, erased and rebuilt.

    crystals, and layers of them: those made from the steps, which go. states: what was read of the steps. recalls:
    records of recalls that showed or repeat them. keys: idempotency keys that are never taken again. blobs: contents
    that no other step has. attachments: (namespace, name) of those that go, since they may hold what was erased; they
    are not made again. others: further subjects of these steps, who lose them too. repeats: at most 100 steps that stay
    and say a longer line of them too; erase them as well if they are meant. residue: where erased text is still found;
    surfaces: in how many places of each kind. certificate: what the log keeps of it; None for a dry run.
    """

    dry_run: bool
    steps: int
    crystals: int
    episodes: int
    layers: dict[Layer, int] = Field(default_factory=dict)
    states: int = 0
    recalls: int = 0
    keys: int = 0
    blobs: int = 0
    attachments: tuple[tuple[Namespace, str], ...] = ()
    others: tuple[str, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    residue: tuple[str, ...] = ()
    surfaces: dict[str, int] = Field(default_factory=dict)
    certificate: Certificate | None = None


class Change(Frozen):
    """Something done with a memory. position: of its record in the log, or where the log ended. who: the agent or
    principal, if known. detail: counts and digests, no content.
    """

    position: int
    at: datetime
    what: str
    who: str | None = None
    namespace: Namespace | None = None
    episode: str | None = None
    detail: dict[str, Any] = Field(default_factory=dict)
