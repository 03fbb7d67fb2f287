"""What the tests of recall share: a small log of doors, and the texts of a context."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentmem import Memory, PlanningContext


def doors(memory: Memory, names: Sequence[str] = ("ada", "bo"), each: int = 3) -> None:
    for name in names:
        with memory.episode(id=f"run of {name}", agent=name) as episode:
            episode.log_many([f"{name} sees that the red door {n} is open." for n in range(each)])


def unquoted(line: str) -> tuple[str, str, str, str]:
    """(trust, label, text, mark) of a line of untrusted text, which is nothing else."""
    trust, _, rest = line.partition(" ")
    label, end = json.JSONDecoder().raw_decode(rest)
    assert rest[end : end + 2] == ": "
    text, end = json.JSONDecoder().raw_decode(rest, end + 2)
    mark = rest[end:]
    assert not mark or (mark[:2] == " <" and mark[-1] == ">")
    return trust, label, text, mark[2:-1]


def texts(context: PlanningContext) -> list[str]:
    return [hit.text for hit in context.hits]
