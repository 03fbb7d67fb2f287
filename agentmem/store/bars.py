"""Which subjects may not be logged about: those that were erased, or whose consent was withdrawn, by salted digests;
and which episodes are not gone on with, by their refused keys.

The table of subjects follows from the events "erased" and "consent" of the log, the latest of a subject counting by its
time of logging, so that an old event that is imported changes nothing. Knows no names: a subject is found by whoever
names it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence

from ..errors import ConsentError, ErasedError
from ..index import begin_key
from ..types import Namespace, Record
from .schema import Connection

BARRING = ("erased", "consent")
SIZE = 16
PUT = """INSERT INTO barred VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(namespace, digest)
         DO UPDATE SET why=excluded.why, at=excluded.at WHERE excluded.at >= barred.at"""


def mark(salt: bytes, what: str, *parts: str) -> bytes:
    """What stands for something in place of its name: HMAC-SHA256 under a salt, 16 bytes."""
    return hmac.digest(salt, json.dumps([what, *parts], ensure_ascii=False).encode(), hashlib.sha256)[:SIZE]


def subject_bars(salts: Iterable[bytes], subject: str) -> list[str]:
    """A subject as events write it, under each of some salts."""
    return [f"{salt.hex()}:{mark(salt, 'subject', subject).hex()}" for salt in salts]


def put(connection: Connection, namespace: int, record: Record) -> None:
    """Take in an event that bars subjects, or lets them in again."""
    for digest, salt, why in changes_of(record):
        connection.execute(PUT, (namespace, digest, salt, why, record.logged_at))


def changes_of(record: Record) -> list[tuple[bytes, bytes, str]]:
    """(digest, salt, why) of the subjects an event is about. why: "erased", "withdrawn" or "given"."""
    body = json.loads(record.body)
    why = "erased" if record.type == "erased" else ("given" if body["given"] else "withdrawn")
    pairs = (map(bytes.fromhex, bar.split(":")) for bar in body.get("bars", ()))
    return [(digest, salt, why) for salt, digest in pairs]


def of(record: Record) -> list[str]:
    """Whom an event bars, or lets in, as it writes them."""
    return list(json.loads(record.body).get("bars", ()))


def since(connection: Connection, namespace: int, bar: str, when: float) -> bool:
    """Whether something was said then, or later, of whom a bar stands for."""
    sql = "SELECT 1 FROM barred WHERE namespace=? AND digest=? AND at>=?"
    return connection.execute(sql, (namespace, bytes.fromhex(bar.partition(":")[2]), when)).fetchone() is not None


def salts(connection: Connection, namespace: int | None) -> list[bytes]:
    """The salts that digests of a namespace were made with: its own file's, and those of imported events."""
    rows = connection.execute("SELECT DISTINCT salt FROM barred WHERE namespace=? ORDER BY salt", (namespace,))
    return [salt for (salt,) in rows]


def status(connection: Connection, namespace: int | None, subject: str) -> tuple[str, float] | None:
    """Why a subject is barred, else "given", and since when; None where nothing was said of it."""
    sql = "SELECT why, at FROM barred WHERE namespace=? AND digest=?"
    digests = [mark(salt, "subject", subject) for salt in salts(connection, namespace)]
    found = [row for digest in digests for row in connection.execute(sql, (namespace, digest))]
    return min(found, key=lambda row: (row[0] == "given", -row[1]), default=None)


def subjects_of(body: str) -> Sequence[str]:
    """The subjects in a step's body."""
    return json.loads(body).get("subjects", ()) if '"subjects"' in body else ()


def check(record: Record, barred: Callable[[str], tuple[str, float] | None]) -> None:
    """ErasedError or ConsentError for a step about a subject that is barred. barred: `status` of a subject."""
    for subject in subjects_of(record.body) if record.type == "step" else ():
        why, _ = barred(subject) or (None, 0)
        where = f"subject {subject!r} in namespace {record.namespace}"
        if why == "erased":
            raise ErasedError(f"{where} was erased and is not logged about again; consent({subject!r}) lets it in")
        if why == "withdrawn":
            raise ConsentError(f"{where} withdrew consent, so nothing more is logged; consent({subject!r}) gives it")


def check_episode(namespace: Namespace, episode: str, refuses: Callable[[Namespace, str], bool]) -> None:
    """ErasedError for an episode that was erased. refuses: whether a key of a namespace was."""
    if refuses(namespace, begin_key(episode)):
        raise ErasedError(
            f"episode {episode!r} in namespace {namespace} was erased and is not gone on with; log under another id"
        )
