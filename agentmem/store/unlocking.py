"""Whether a memory and a key file belong together, told before either is touched. Knows no records."""

from __future__ import annotations

import os

from ..errors import KeyFileError, MissingExtraError, SettingsError
from .files import HEADER, MAGIC, Files
from .keyfile import KeyFile, Passphrase, require
from .schema import has_ciphers

CIPHERS = (
    "the SQLite that is installed has no ciphers: pip uninstall -y apsw && pip install --force-reinstall apsw-sqlite3mc"
)


def unlock(
    paths: Files, key_file: str | KeyFile | None, passphrase: Passphrase | None, read_only: bool
) -> KeyFile | None:
    """The key file of a memory, made for a new one; from here on `paths` open with its key. None for a plain memory.

    Raises KeyFileError, SettingsError, MissingExtraError.
    """
    start = paths.start()
    if key_file is None:
        if start.startswith(MAGIC):
            raise KeyFileError(
                f"{paths.shown} is encrypted; open it with key_file= (on the command line --key-file, or "
                "AGENTMEM_KEY_FILE in the environment)"
            )
        return None
    if isinstance(key_file, KeyFile):
        keys = key_file
    else:
        _check(paths, key_file, start)
        keys = KeyFile(key_file, passphrase, make=not start and not read_only)
    if start and keys.memory != start:
        raise KeyFileError(f"the key file {keys.shown} is another memory's, not that of {paths.shown}; give its own")
    if not start and keys.content.used:
        raise KeyFileError(
            f"the key file {keys.shown} is another memory's and {paths.shown} is new; give a new path for its key file"
        )
    paths.cipher = keys.derived(b"file").hex() + keys.memory.hex()
    return keys


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
