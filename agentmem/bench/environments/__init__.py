"""`agentmem bench environments`: trained policies in environments that need memory."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """See `command.main`."""
    from agentmem.bench.environments import command

    command.main(arguments)
