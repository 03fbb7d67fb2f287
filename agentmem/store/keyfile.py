"""The key file of an encrypted memory: its store key, a data key for each set of subjects, and what was shredded.

Lines of JSON, each with a code of its own under the store key, so that a line that was changed or cut off is told. New
keys are appended and synced; shredding writes the file anew beside the old one, renames it, and overwrites the old
bytes as far as the disk does so in place. Writers hold the memory's write lock. Knows no records and no SQL.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import KeyFileError, MissingExtraError
from .files import HEADER, MAGIC, os_errors, sync

INSTALL = "encryption needs cryptography: pip install 'agentmem-crystal[encrypt]'"
ENVIRONMENT = "AGENTMEM_KEY"
SCRYPT = {"n": 1 << 15, "r": 8, "p": 1}
SCRYPT_MOST = {"n": 1 << 20, "r": 32, "p": 16}  # of a file that may have been changed
TRIES = 5  # of reading a file that another process is writing anew
Passphrase = Callable[[], str]
Barred = tuple[str, str, float]
"""A subject: (digest of its namespace, bar, when it was barred)."""
logger = logging.getLogger("agentmem")


@dataclass
class Content:
    """What a key file says. data: key id -> (digest of its set, key); shredded and erased: with their revisions.

    barred: subjects that were erased, as digests, by (digest of the namespace, bar) -> (when, revision).
    """

    revision: int = 0
    used: bool = False
    data: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    condemned: set[str] = field(default_factory=set)
    shredded: dict[str, int] = field(default_factory=dict)
    erased: dict[str, int] = field(default_factory=dict)
    barred: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def take(self, line: Mapping[str, Any]) -> None:
        self.revision = max(self.revision, line["at"])
        self.used = self.used or "used" in line
        if "key" in line:
            self.data[line["key"]] = line["set"], bytes.fromhex(line["data"])
            self.sets[line["set"]] = line["key"]
        for key in line.get("condemned", ()):
            self.condemned.add(key)
            if key in self.data and self.sets.get(self.data[key][0]) == key:
                del self.sets[self.data[key][0]]
        self.shredded |= dict.fromkeys(line.get("shredded", ()), line["at"])
        self.erased |= dict.fromkeys(line.get("erased", ()), line["at"])
        self.barred |= {(space, bar): (when, line["at"]) for space, bar, when in line.get("barred", ())}

    def lines(self) -> Iterator[dict[str, Any]]:
        """What is left of it, without the keys that are condemned."""
        for key, (group, data) in self.data.items():
            if key not in self.condemned:
                yield {"key": key, "set": group, "data": data.hex()}
        for what, known in (("shredded", self.shredded), ("erased", self.erased)):
            for revision in sorted(set(known.values())):
                yield {what: [one for one, at in known.items() if at == revision], "at": revision}
        for (space, bar), (when, at) in self.barred.items():
            yield {"barred": [[space, bar, when]], "at": at}


class KeyFile:
    """The key file at a path, made if it is not there. passphrase: asked once, when the file is opened or made.

    Without one the environment's AGENTMEM_KEY counts; without that a new file holds its store key as it is. Raises
    KeyFileError, MissingExtraError.
    """

    def __init__(self, path: str, passphrase: Passphrase | None = None, make: bool = True) -> None:
        self.shown, self.path = path, os.path.realpath(path)
        self._passphrase, self._makes = passphrase, make
        self._lock = threading.RLock()
        self._seen: tuple[int, ...] = ()
        self._key = b""
        self._upto = 0
        self.memory = self._sets = b""
        self.content = Content()
        require()
        with os_errors(path):
            if not os.path.exists(self.path):
                if not make:
                    raise KeyFileError(f"there is no key file {path}; give the one that the memory was made with")
                if not os.path.isdir(os.path.dirname(self.path)):
                    raise KeyFileError(f"the directory of the key file {path} does not exist; create it first")
                self._make()
        self.refresh()

    def __repr__(self) -> str:
        return f"KeyFile({self.shown!r})"

    # ---- keys

    def derived(self, what: bytes) -> bytes:
        """32 bytes that the store key gives for one purpose."""
        return hmac.digest(self._key, b"agentmem " + what, "sha256")

    def data_key(self, key: str) -> bytes | None:
        """The data key of an id; None if it was shredded. Raises KeyFileError for one that is not in the file."""
        if key not in self.content.data and key not in self.content.shredded:
            self.refresh()
        if key in self.content.data:
            return self.content.data[key][1]
        if key in self.content.shredded:
            return None
        raise KeyFileError(f"the key file {self.shown} lacks a key of its memory; give the newest copy of the key file")

    def key_of(self, group: bytes) -> str | None:
        """The id of the data key of a set of subjects, by the set as bytes."""
        return self.content.sets.get(self._digest(group))

    def _digest(self, group: bytes) -> str:
        return hmac.digest(self._sets, group, "sha256")[:16].hex()

    def stale(self, keys: Iterable[str]) -> bool:
        """Whether one of these keys must not be used any more."""
        return any(key not in self.content.data or key in self.content.condemned for key in keys)

    # ---- writing: hold the memory's write lock

    def add(self, groups: Iterable[bytes]) -> None:
        """Data keys for those of some sets that have none, also none by another process."""
        self.refresh()
        new = [self._digest(group) for group in dict.fromkeys(groups) if self.key_of(group) is None]
        self._append(*({"key": secrets.token_hex(8), "set": one, "data": secrets.token_hex(32)} for one in new))

    def use(self) -> None:
        """Note that the memory of this file was made."""
        self.refresh()
        if not self.content.used:
            self._append({"used": True})

    def condemn(self, keys: Iterable[str], erased: Iterable[str], barred: Sequence[Barred] = ()) -> None:
        """Keys that are about to be shredded, and marks of records that are about to be erased: never used again; and
        subjects that are barred by it."""
        self.refresh()
        self._append({"condemned": sorted(keys), "erased": sorted(erased), **({"barred": barred} if barred else {})})

    def shred(self) -> None:
        """Remove every condemned key for good."""
        self.refresh()
        content = self.content
        if not content.condemned:
            return
        revision = content.revision + 1
        content.shredded |= dict.fromkeys(content.condemned, revision)
        lines = [self._sealed({"at": revision} | line) for line in content.lines()]
        last = self._sealed({"at": revision, "used": True})
        with os_errors(self.shown), self._lock:
            with open(self.path, "rb") as file:
                head = json.loads(file.readline().rpartition(b" ")[0])
            head["lines"] = len(lines) + 1
            self._replace(b"".join([self._line(head), *lines, last]))
        self.refresh()

    def _append(self, *lines: dict[str, Any]) -> None:
        """Over whatever was being written when a machine stopped."""
        with os_errors(self.shown), self._lock:
            data = b"".join(self._sealed({"at": self.content.revision + 1} | line) for line in lines)
            with open(self.path, "r+b") as file:
                file.truncate(self._upto)
                file.seek(self._upto)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        self.refresh()

    def _replace(self, data: bytes) -> None:
        new = self.path + "-new"
        _write(new, data, os.O_TRUNC)
        old = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.rename(new, self.path)
            sync(os.path.dirname(self.path))
            os.pwrite(old, bytes(os.fstat(old).st_size), 0)
            os.fsync(old)
        finally:
            os.close(old)

    def _make(self) -> None:
        """A new file, under its name only when it is whole; another process's, if it was first."""
        said, key = self._said(), secrets.token_bytes(32)
        head: dict[str, Any] = {"agentmem": "keys 1", "memory": (MAGIC + secrets.token_bytes(8)).hex(), "lines": 0}
        if said:
            salt = secrets.token_bytes(16)
            head |= {"scrypt": {"salt": salt.hex(), **SCRYPT}, "store": _wrapped(_stretched(said, salt, SCRYPT), key)}
        else:
            head |= {"store": key.hex()}
        self._key = key
        new = f"{self.path}-{secrets.token_hex(4)}"
        try:
            _write(new, self._line(head), os.O_EXCL)
            try:
                os.link(new, self.path)
            except FileExistsError:
                self._key = b""
            sync(os.path.dirname(self.path))
        finally:
            os.remove(new)

    def _said(self) -> str:
        said = self._passphrase() if self._passphrase is not None else os.environ.get(ENVIRONMENT, "")
        if not isinstance(said, str) or (self._passphrase is not None and not said):
            raise KeyFileError(f"the passphrase of {self.shown} is no text, or empty; have the function return one")
        return said

    # ---- reading

    def refresh(self) -> None:
        """Read what other processes changed in the file."""
        with os_errors(self.shown), self._lock:
            for left in reversed(range(TRIES)):
                seen = self._state()
                if seen == self._seen:
                    return
                try:
                    self._read(same=seen[:2] == self._seen[:2] and seen[2] >= self._upto)
                    self._seen = seen
                    return
                except KeyFileError:
                    self._seen = ()
                    if not left or self._state() == seen:
                        raise

    def _state(self) -> tuple[int, ...]:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            raise KeyFileError(f"the key file {self.shown} is gone; put it back") from None
        return there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns

    def _read(self, same: bool) -> None:
        """Take in the whole file, or what was appended to the same one."""
        content, start = (self.content, self._upto) if same else (Content(), 0)
        with open(self.path, "rb") as file:
            file.seek(start)
            data = file.read()
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        texts = lines if same else self._begun(lines, data)
        for line in texts:
            content.take(self._opened(self._checked(line)))
        self.content, self._upto = content, start + sum(map(len, lines))

    def _begun(self, lines: list[bytes], data: bytes) -> list[bytes]:
        """The lines after the first, which is taken in."""
        head = self._head(data)
        self._key = self._key or self._unlocked(head)
        self._checked(lines[0])
        if len(lines) <= head["lines"]:
            raise KeyFileError(
                f"the key file {self.shown} was cut short: {len(lines) - 1} of {head['lines']} lines; restore it"
            )
        self.memory, self._sets = bytes.fromhex(head["memory"]), self.derived(b"sets")
        return lines[1:]

    def _checked(self, line: bytes) -> dict[str, Any]:
        text, _, code = line.rstrip(b"\n").rpartition(b" ")
        if not hmac.compare_digest(self._code(text), code):
            raise KeyFileError(f"a line of the key file {self.shown} was changed; restore the key file")
        found: dict[str, Any] = json.loads(text)
        return found

    def _head(self, data: bytes) -> dict[str, Any]:
        """The first line of a file, not checked yet."""
        line, whole, _ = data.partition(b"\n")
        try:
            head: dict[str, Any] = json.loads(line.rpartition(b" ")[0] if whole else b"")
            head["store"], head["lines"] = bytes.fromhex(head["store"]), int(head["lines"])
            if head["agentmem"] != "keys 1" or len(bytes.fromhex(head["memory"])) != 16:
                raise ValueError("another format")
            if "scrypt" in head and any(not 0 < head["scrypt"][name] <= most for name, most in SCRYPT_MOST.items()):
                raise ValueError("scrypt would take too long")
            return head
        except (ValueError, KeyError, TypeError) as error:
            what = "is a memory" if data.startswith((HEADER, MAGIC)) else "is no key file, or was cut short"
            instead = (
                "the key file, or a new path to make one" if self._makes else "the one that the memory was made with"
            )
            raise KeyFileError(f"{self.shown} {what}; give {instead}") from error

    def _unlocked(self, head: Mapping[str, Any]) -> bytes:
        """The store key."""
        if "scrypt" not in head:
            if self._passphrase is not None:
                raise KeyFileError(f"the key file {self.shown} was made without a passphrase; leave passphrase= out")
            if os.environ.get(ENVIRONMENT):
                logger.warning("%s was made without a passphrase, so %s does not protect it", self.shown, ENVIRONMENT)
            return bytes(head["store"])
        if not (said := self._said()):
            raise KeyFileError(f"the key file {self.shown} has a passphrase; set {ENVIRONMENT}, or give passphrase=")
        try:
            numbers = dict(head["scrypt"])
            key = _unwrapped(_stretched(said, bytes.fromhex(numbers.pop("salt")), numbers), head["store"])
        except (ValueError, TypeError, KeyError):
            raise KeyFileError(f"the first line of the key file {self.shown} was changed; restore it") from None
        if key is None:
            raise KeyFileError(f"the passphrase is not that of the key file {self.shown}; give the right one")
        return key

    # ---- lines

    def _sealed(self, line: dict[str, Any]) -> bytes:
        if "data" in line:
            line = line | {"data": _wrapped(self.derived(b"wrap"), bytes.fromhex(line["data"]))}
        return self._line(line)

    def _opened(self, line: dict[str, Any]) -> dict[str, Any]:
        if "data" in line:
            data = _unwrapped(self.derived(b"wrap"), bytes.fromhex(line["data"]))
            assert data is not None  # the line's code was right
            line["data"] = data.hex()
        return line

    def _line(self, line: Mapping[str, Any]) -> bytes:
        text = json.dumps(line, separators=(",", ":")).encode()
        return text + b" " + self._code(text) + b"\n"

    def _code(self, text: bytes) -> bytes:
        return hmac.digest(self.derived(b"lines"), text, "sha256")[:16].hex().encode()


def require() -> None:
    """Raises MissingExtraError where keys cannot be handled."""
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingExtraError(INSTALL) from None


def _stretched(said: str, salt: bytes, numbers: Mapping[str, int]) -> bytes:
    """The key-encryption key of a passphrase (scrypt, RFC 7914)."""
    memory = 256 * numbers["n"] * numbers["r"]
    return hashlib.scrypt(said.encode(), salt=salt, dklen=32, maxmem=memory, **numbers)


def _wrapped(by: bytes, key: bytes) -> str:
    """AES key wrap (RFC 3394)."""
    from cryptography.hazmat.primitives.keywrap import aes_key_wrap

    return aes_key_wrap(by, key).hex()


def _unwrapped(by: bytes, wrapped: bytes) -> bytes | None:
    """The key; None if it was wrapped by another."""
    from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

    try:
        return aes_key_unwrap(by, wrapped)
    except InvalidUnwrap:
        return None


def _write(path: str, data: bytes, flags: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)  # all of it, or an error: a disk that is nearly full takes a part without one
        file.flush()
        os.fsync(file.fileno())
