"""Repairing a memory: the store does it, and what was condensed is made again. Knows no tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentmem.errors import ReadOnlyError
from agentmem.memory.checks import check_settings
from agentmem.memory.core import Core
from agentmem.records import check_flag, check_path
from agentmem.store import repair as repair_file
from agentmem.terms import terms_of
from agentmem.trust import SHARE
from agentmem.types import Namespace, RepairReport

Again = Callable[[Namespace], None]


def repair(
    path: str | Path,
    backup: str | Path | None = None,
    dry_run: bool = False,
    key_file: str | Path | None = None,
    passphrase: Callable[[], str] | None = None,
) -> RepairReport:
    """Repair the memory at a path, also one that does not open any more; see `Memory.repair`.

    key_file, passphrase: as for `Memory.open`. What is condensed is made again by the next `crystallize`.
    """
    check_settings(None, None, key_file, passphrase, SHARE)
    keys = None if key_file is None else str(key_file)
    return _repaired(str(check_path("path", path)), backup, dry_run, keys, passphrase)


def _repaired(path: str, backup: str | Path | None, dry_run: bool, *keys: Any) -> RepairReport:
    other = None if backup is None else str(check_path("backup", backup))
    return repair_file(path, other, check_flag("dry_run", dry_run), terms_of, *keys)


def repair_open(core: Core, backup: str | Path | None, dry_run: bool, again: Again) -> RepairReport:
    """`repair` of a memory that is open; again: makes the crystals of a namespace."""
    if core.read_only:
        raise ReadOnlyError(f"{core.store.path} was opened read-only and cannot be repaired; open it for writing")
    with core.crystallizing, core.lock:
        report = _repaired(core.store.path, backup, dry_run, core.store.key_file)
        if dry_run or not report.problems:
            return report
        core.store.reopen()
        core.archived = 0
        core.forget()
        for namespace in core.store.namespaces():
            again(namespace)
    return report
