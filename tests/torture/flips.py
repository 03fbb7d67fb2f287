"""Bits flipped in every file of a memory: told, or of nothing that is stored.

Two memories are damaged: one that was closed, and one whose process was killed, with half of it in its -wal.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from agentmem.errors import AgentMemError
from agentmem.store import SQLiteStore, open_store
from agentmem.testing.records import A, B, batch, codes, crystal, step
from agentmem.types import Record, Span

FLIPS = 50  # of a part
BLOB = b"blob" * 5000
DIGEST = sha256(BLOB).hexdigest()


def words(record: Record) -> tuple[str, ...]:
    return (" ".join(record.text.lower().split()),) if record.type == "step" else ()


def fill(store: SQLiteStore) -> None:
    rng = random.Random(1)
    for n in range(120):
        text = " ".join(f"w{rng.randrange(300)}" for _ in range(30))
        body = f'{{"blobs":{{"b":"{DIGEST}"}}}}' if n == 50 else '{"a":1}'
        blobs = {DIGEST: BLOB} if n == 50 else None
        store.append([step(text, B if n % 7 == 0 else A, key=f"key {n}", episode=f"e{n % 5}", body=body)], blobs)
    texts = {record.position: record.text for record in store.scan(A)}
    made = [crystal(f"c{p}", [Span(p, 0, 12)], texts[p][:12], key=f"k{p}") for p in list(texts)[:40]]
    store.publish(
        A, batch(made, 100, retired={"c2": 30}, codes=[codes("c2", 2)], encoder="e"), expected=store.version(A)
    )
    store.archive(70)
    store.erase([8])
    store.attach(B, "state", BLOB[::-1])
    store.attach((), "other", b"small")
    store.publish(
        A, batch(made[5:30], 100, retired={"c9": 30}, codes=[codes("c9", 2)], encoder="e"), expected=store.version(A)
    )


def everything(store: SQLiteStore) -> Any:
    """All that a reader can be given."""
    columns = {space: [column.tolist() for column in store.columns(space)] for space in (A, B)}
    postings = {
        space: {term: rows.tolist() for term, rows in store.postings(space, [f"w{n}" for n in range(300)]).items()}
        for space in (A, B)
    }
    made = [
        (serial, one.crystal, one.first.tolist(), one.last.tolist(), one.rows.tolist())
        for serial, one in store.codes(A, "e")
    ]
    keyed = [store.keyed(B if n % 7 == 0 else A, f"key {n}") for n in range(120)]
    return (
        *(list(store.scan()), store.head(), store.namespaces(), store.names(), columns, postings, keyed),
        *(store.watermark(A), store.crystals(A), store.retirements(A), made, store.encoders(A)),
        *(store.attachments(B), store.attachment(B, "state"), store.attachment((), "other")),
        *(store.blob(DIGEST), store.setting("retain"), store.setting("horizon")),
    )


ENDS = ("", "-wal", "-shm", "-anchor")


@cache
def original(killed: bool) -> tuple[Path, Any]:
    """The folder with a memory to damage, and all that a reader is given of it."""
    folder = Path(mkdtemp(prefix="agentmem-flips-"))
    path = folder / "agent.mem"
    with open_store(str(path), terms=words) as store:
        fill(store)
        if killed:
            store._writer.checkpoint()  # type: ignore[union-attr]
            store.append([step(f"late {n}", key=f"late {n}") for n in range(40)])
            store.append([step("last of all")])
            store.attach(B, "late", b"attached after all that was logged")
        known = everything(store)
        (folder / "kept").mkdir()
        for end in ENDS if killed else ():
            shutil.copy(f"{path}{end}", folder / "kept")
    for end in ("", "-anchor") if not killed else ():
        shutil.copy(f"{path}{end}", folder / "kept")
    return folder / "kept", known


def flip(folder: Path, killed: bool, rng: random.Random) -> str:
    """Make a damaged copy; returns the end of the name of the file that a bit was flipped in."""
    kept, _ = original(killed)
    for end in (*ENDS, "-lock"):
        (folder / f"agent.mem{end}").unlink(missing_ok=True)
    for file in kept.iterdir():
        shutil.copy(file, folder)
    there = [end for end in ENDS if (kept / f"agent.mem{end}").exists()]
    end = rng.choices(there, [20 if end in ("", "-wal") else 1 for end in there])[0]
    file = folder / f"agent.mem{end}"
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
    return end


def told(path: str, known: Any) -> bool:
    """Whether damage was told; if it was not, everything must be as it was."""
    try:
        with open_store(path, terms=words) as store:
            if store.verify()[0]:
                return True
            assert everything(store) == known, "a flipped bit went unnoticed"
            return False
    except AgentMemError:
        return True


def flips(folder: Path, seed: int, trials: int, killed: bool = False) -> Counter[str]:
    rng, done = random.Random(seed), Counter[str]()
    for _ in range(trials):
        end = flip(folder, killed, rng)
        try:
            known = told(str(folder / "agent.mem"), original(killed)[1])
        except AssertionError as error:
            raise AssertionError(
                f"{error}: in agent.mem{end}, {done['flips']} flips from the start of this part"
            ) from error
        done += Counter({"flips": 1, "told": known, f"in {end or 'the database'}": 1})
    return done


def part(seed: int, folder: Path) -> Counter[str]:
    return flips(folder, seed, FLIPS, killed=bool(seed % 2))
