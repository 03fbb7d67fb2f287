"""What a repair tells."""

from __future__ import annotations

from agentmem.types.nouns import Frozen


class Loss(Frozen):
    """Something that was stored and that nothing could prove any more.

    first, last: log positions, 0 for what is beside the log. ids: those of the steps that may have stood there.
    """

    what: str
    first: int = 0
    last: int = 0
    ids: tuple[str, ...] = ()


class RepairReport(Frozen):
    """What was, or with dry_run would be, made again, taken from a backup, and given up.

    problems: what `verify` said before. rebuilt: parts that were made again from the log. restored: ids of what was
    taken from the backup. lost: what is gone, and stays noted as lost.
    """

    dry_run: bool
    problems: tuple[str, ...] = ()
    rebuilt: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    lost: tuple[Loss, ...] = ()
