"""Where an operation works: a memory seen from the token's namespace, and what several operations ask of it.

What is not in the namespace is answered as what never was.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentmem.index import step_position
from agentmem.memory import Memory
from agentmem.server.models import Erased
from agentmem.server.problems import Refused
from agentmem.server.writers import Writers
from agentmem.types import Episode, EraseReport

PAGE = 1 << 20  # characters on a page, after which it ends; one member is always whole


@dataclass(frozen=True)
class Place:
    """memory: a view of the token's namespace."""

    memory: Memory
    writers: Writers

    @property
    def operator(self) -> bool:
        """Whether it is the root namespace, whose token is the operator's."""
        return self.memory.namespace == ()


def known_episode(at: Place, id: str) -> Episode:
    known = at.memory._known(id)
    if known is None:
        raise Refused(404, f"there is no episode {id[:80]!r}; GET /v1/episodes lists those there are")
    return known


def check_as_of(at: Place, moment: str | None) -> None:
    """A step that something is as of is one of the namespace: others are not even there."""
    if moment is not None and step_position(moment) >= 0:
        at.memory.step(moment)


def erased(at: Place, report: EraseReport) -> Erased:
    """What an erasure tells, without what is another namespace's, unless it is the operator who asks."""
    own = at.memory.namespace
    counts = {name: getattr(report, name) for name in ("dry_run", "steps", "crystals", "episodes")}
    return Erased(
        **counts,
        attachments=tuple(name for space, name in report.attachments if space == own),
        others=report.others,
        repeats=tuple(one for one in report.repeats if at.operator or one.namespace == own),
        residue=report.residue if at.operator else None,
    )
