"""`agentmem bench speed [DATA...]`: what logging, crystallizing and recall cost as a memory grows, and beside peers.

    heaps forms grow      real histories to endless ones whose vocabulary grows as theirs
    build child measure   a memory of each size, and what is measured of it, in processes of their own
    peers race            other packages on the same steps, in turns
    bars report picture   bars, Markdown, PNG
    command               arguments, files

Nothing here is timed against another run: compare figures of one run.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """See `command.main`; imported late, for the processes that are measured import this package too."""
    from agentmem.bench.speed import command

    command.main(arguments)
