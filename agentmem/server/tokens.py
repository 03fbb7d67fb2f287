"""Bearer tokens, each bound to one namespace: a file with a line of JSON for each, which holds no secret.

A secret has 256 random bits: its SHA-256 cannot be guessed back, and a slow hash would only be slow. The part before
it is the token's name, which logs may show.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentmem.errors import InvalidInputError, SettingsError
from agentmem.records import check_namespace
from agentmem.types import Namespace

MARK = "agentmem"
NOBODY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


@dataclass(frozen=True, slots=True)
class Token:
    """id: its name in the file and in logs. namespace: all that it may see."""

    id: str
    namespace: Namespace
    sha256: str


def new_token(path: Path, namespace: Sequence[str]) -> str:
    """Make a token for a namespace, add it to the file, and return it: it cannot be read again.

    Raises SettingsError for a file that holds anything else, which is left as it is.
    """
    len(Tokens(path))
    scope, id = check_namespace(namespace), secrets.token_hex(4)
    token = f"{MARK}_{id}_{secrets.token_urlsafe(32)}"
    line = json.dumps({"id": id, "namespace": scope, "sha256": _digest(token)}, ensure_ascii=False)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(path, flags, 0o600), "a", encoding="utf-8") as file:
            file.write(f"{_open_end(path)}{line}\n")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); choose another file for tokens") from error
    return token


def _open_end(path: Path) -> str:
    """What ends the last line of a file that somebody wrote without its end."""
    return "" if path.read_bytes()[-1:] in (b"", b"\n") else "\n"


class Tokens:
    """The tokens of a file, read again whenever it changes: one that is added counts, one that is removed does not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: object = None
        self._tokens: dict[str, Token] = {}

    def __len__(self) -> int:
        self._refresh()
        return len(self._tokens)

    def find(self, given: str) -> Token | None:
        """The token that was given; None for one that is not in the file. Raises SettingsError for a damaged file."""
        self._refresh()
        mark, id, *_ = [*given.split("_", 2), ""]
        token = self._tokens.get(id) if mark == MARK else None
        same = hmac.compare_digest(_digest(given), token.sha256 if token else NOBODY)
        return token if same else None

    def _refresh(self) -> None:
        try:
            stat = os.stat(self.path)
        except FileNotFoundError:
            self._seen, self._tokens = None, {}
            return
        except OSError as error:
            raise _unreadable(self.path, error) from error
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen == self._seen:
            return
        if stat.st_mode & 0o022:
            raise SettingsError(f"others can write {self.path}, and so make tokens of their own: chmod 600 {self.path}")
        self._tokens = {token.id: token for token in self._read()}
        self._seen = seen

    def _read(self) -> list[Token]:
        try:
            lines = self.path.read_text(encoding="utf-8").split("\n")  # a namespace may hold what ends lines elsewhere
        except (OSError, UnicodeDecodeError) as error:
            raise _unreadable(self.path, error) from error
        return [self._token(number, line) for number, line in enumerate(lines, 1) if line.strip()]

    def _token(self, number: int, line: str) -> Token:
        try:
            said = json.loads(line)
            return Token(str(said["id"]), check_namespace(said["namespace"]), str(said["sha256"]))
        except (ValueError, KeyError, TypeError, InvalidInputError):
            raise SettingsError(
                f"line {number} of {self.path} is no token; remove it, or give another file for tokens"
            ) from None


def _unreadable(path: Path, error: Exception) -> SettingsError:
    return SettingsError(f"{path} cannot be read as tokens ({type(error).__name__}); give another file for tokens")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
