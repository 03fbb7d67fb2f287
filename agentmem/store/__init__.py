"""Where a memory is kept. `open_store` chooses by the path; everything else talks to the `Store` protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import SettingsError
from ..types import Durability, Record
from .bars import mark, subject_bars, subjects_of
from .files import MAGIC, check_new, check_target, first_bytes
from .openfile import Admit
from .repairing import repair
from .schema import STRIPPED, has_ciphers
from .sqlite import SQLiteStore

__all__ = [
    "MAGIC", "STRIPPED", "SQLiteStore", "check_new", "check_target", "first_bytes", "has_ciphers", "mark",
    "open_store", "repair", "subject_bars", "subjects_of",
]  # fmt: skip


def open_store(
    path: str,
    durability: Durability = "power",
    read_only: bool = False,
    settings: Mapping[str, str | None] | None = None,
    terms: Callable[[Record], tuple[str, ...]] | None = None,
    admit: Admit | None = None,
    key_file: str | None = None,
    passphrase: Callable[[], str] | None = None,
) -> SQLiteStore:
    """Open, or make, the store at a path; ":memory:" is a private one that is gone when closed.

    durability: "power" (an acknowledged append is on the disk) or "process" (it survives a killed process). settings:
    fixed when the file is made, `retain` and `horizon` among them; None takes the file's. terms: gives a record's index
    terms again, needed under retain="crystals". admit: what of records may be written. key_file: of an encrypted
    store, made with a new one; passphrase: gives the one its keys are wrapped by, in place of the environment's
    AGENTMEM_KEY. Raises SettingsError, KeyFileError, MissingExtraError, NotAMemoryError, NewerFormatError,
    DamagedError, LockedError, ReadOnlyError.
    """
    if path.startswith(("postgresql://", "postgres://")):
        where = path.split("@")[-1]
        raise SettingsError(f"Postgres ({where}) is reserved and not in this version; give the path of a file")
    return SQLiteStore(path, durability, read_only, settings, terms, admit, key_file, passphrase)
