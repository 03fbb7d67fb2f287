"""`agentmem bench rollout`: what a rollout costs beside the bare environment, by milliseconds a step."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """See `command.main`."""
    from agentmem.bench.rollout import command

    command.main(arguments)
