"""`agentmem bench neural NAME`: what the neural memory recalls, costs, keeps and forgets.

    command options                  what all share: progress, files, and the arguments, read before torch loads
    streams checkpoint               streams of the recall task, and the model that is measured
    recall                           exact answers after long streams, beside peers of equal size
    cost                             of a token written, read and stepped, as the memory grows
    quantisation                     recall by bits of a number, and by bytes of atoms
    decay histories replays          what is evicted by which importance and which decay, at equal bytes
    task                             chains, counting, copying and stories
    lm rivals                        loss on text by tokens of memory, and the peers trained for it
    ages spread charts               recall by the age of a fact; means and deviations; PNG

Other memories for transformers, each trained and asked in the same way:

    peers                            other packages, each behind one interface, at equal numbers of parameters
    peer_recall peer_text pairs      what they are trained on, and what is measured of them

Needs torch; each peer needs its own package.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """See `command.main`; imported late, since peers are used without it."""
    from agentmem.bench.neural import command

    command.main(arguments)
