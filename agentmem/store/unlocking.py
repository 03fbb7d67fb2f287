"""Whether a memory and a key file belong together, told before either is touched. Knows no records."""

from __future__ import annotations

import logging
import os
from contextlib import closing

from ..errors import AgentMemError, KeyFileError, MissingExtraError, SettingsError
from .files import HEADER, MAGIC, Files
from .keyfile import ENVIRONMENT, KeyFile, Passphrase, require
from .schema import connect, format_of, has_ciphers, sqlite_errors

logger = logging.getLogger("agentmem")
CIPHERS = (
    "the SQLite that is installed has no ciphers: pip uninstall -y apsw && pip install --force-reinstall apsw-sqlite3mc"
)


def unlock(
    paths: Files, key_file: str | KeyFile | None, passphrase: Passphrase | None, read_only: bool
) -> KeyFile | None:
    """The key file of a memory, made for a new one; from here on `paths` open with its key. None for a plain memory.

    key_file: a path; or one that is open, by which a copy of its memory may be made. Raises KeyFileError,
    SettingsError, MissingExtraError.
    """
    start = paths.start()
    if key_file is None:
        if start.startswith(MAGIC):
            raise KeyFileError(
                f"{paths.shown} is encrypted; open it with key_file= (on the command line --key-file, or "
                "AGENTMEM_KEY_FILE in the environment)"
            )
        if not (start or paths.private or read_only) and os.environ.get(ENVIRONMENT):
            logger.warning("%s is made without a key file, so %s does not protect it", paths.shown, ENVIRONMENT)
        return None
    if isinstance(key_file, KeyFile):
        keys = key_file
    else:
        _check(paths, key_file, start)
        keys = KeyFile(key_file, passphrase, make=not start and not read_only)
    if start and keys.memory != start:
        raise KeyFileError(f"the key file {keys.shown} is another memory's, not that of {paths.shown}; give its own")
    if not start and keys.content.used and keys is not key_file:
        raise KeyFileError(
            f"the key file {keys.shown} is another memory's and {paths.shown} is new; give a new path for its key file"
        )
    paths.cipher = cipher_of(keys)
    return keys


def cipher_of(keys: KeyFile) -> str:
    """Key and salt of the file, in hex."""
    return keys.derived(b"file").hex() + keys.memory.hex()


def unlock_damaged(paths: Files, key_file: str | KeyFile | None, passphrase: Passphrase | None) -> KeyFile | None:
    """As `unlock`, of a file whose first bytes may be damaged: the key file has them too, and what it deciphers is its
    memory.
    """
    if key_file is not None and (start := paths.start()) not in (b"", HEADER):
        require()
        keys = key_file if isinstance(key_file, KeyFile) else KeyFile(key_file, passphrase, make=False)
        if start != keys.memory and has_ciphers() and _deciphers(paths, cipher_of(keys)):
            paths.cipher = cipher_of(keys)
            return keys
        key_file = keys
    paths.check()
    return unlock(paths, key_file, passphrase, read_only=True)


def _deciphers(paths: Files, cipher: str) -> bool:
    """Whether it is a memory by this key."""
    try:
        with sqlite_errors(paths.shown), closing(connect(paths.database, cipher=cipher, damaged=True)) as connection:
            return format_of(connection, paths.shown) > 0
    except AgentMemError:
        return False


def _check(paths: Files, key_file: str, start: bytes) -> None:
    if paths.private:
        raise SettingsError("':memory:' is gone when closed and needs no key_file; leave it out")
    if start == HEADER:
        raise SettingsError(
            f"{paths.shown} is not encrypted and was opened with key_file={key_file!r}; leave it out, or export the "
            "memory and import it into a new one with key_file="
        )
    if os.path.realpath(key_file) in map(os.path.realpath, paths.all()):
        raise SettingsError(f"key_file {key_file!r} is a file of the memory {paths.shown} itself; choose another place")
    require()
    if not has_ciphers():
        raise MissingExtraError(CIPHERS)
