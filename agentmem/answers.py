"""What a memory answers to a model that asks it: hits explained, steps and crystals in pages. Texts, each bounded.

Knows a memory. Knows nothing of who asks: a LangChain agent, an MCP client.
"""

from __future__ import annotations

from collections.abc import Sequence

from agentmem.errors import InvalidInputError
from agentmem.index import step_position
from agentmem.memory import Memory
from agentmem.tokens import MARK, truncate
from agentmem.types import Hit, Step

TAG = "planning_context"
PAGE = 1_000  # tokens of `expanded` at once
SHOWN = 60  # tokens of a hit that is explained
NOTHING = "Memory holds nothing about that."


def framed(text: str, head: str, recall: str | None = None) -> str:
    """A planning context in a frame that says what it is; what was logged cannot end it. recall: its id, if any."""
    named = "" if recall is None else f' recall="{recall}"'
    return f"<{TAG}{named}>\n{head}\n{text.replace(TAG, TAG.replace('_', ' '))}\n</{TAG}>"


def explained(hits: Sequence[Hit]) -> str:
    """A line for each hit: its id, score, and what the score is made of; NOTHING for none."""
    return "\n".join(map(_explained, hits)) or NOTHING


def _explained(hit: Hit) -> str:
    parts = ", ".join(f"{name} {value:+.2f}" for name, value in sorted(hit.reasons.items(), key=lambda one: -one[1]))
    return f"{hit.id} ({hit.layer}) {hit.score:.2f} = {parts}: {beginning(hit)}"


def beginning(hit: Hit) -> str:
    """What `explained` shows of a hit's text."""
    return truncate(" ".join(hit.text.split()), SHOWN)


def expanded(memory: Memory, id: str, start: int = 0) -> str:
    """A page of a step's text, or of the steps that a crystal condenses, from a character on, and where it goes on.

    Raises NotFoundError for an id that memory lacks, InvalidInputError for a start beyond the end.
    """
    return paged(id, memory.expand(id), start)


def paged(id: str, steps: Sequence[Step], start: int = 0, named: str = "start") -> str:
    """The page of `expanded` of these steps, which stand behind an id. named: what the asker calls the start."""
    text = steps[0].text if step_position(id) >= 0 else "\n".join(f"{step.id}: {step.text}" for step in steps)
    if not 0 <= start <= len(text):
        raise InvalidInputError(f"{named} {start}: {id} has {len(text):,} characters; give one of them")
    shown = truncate(text[start:], PAGE).removesuffix(MARK)
    end = start + len(shown)
    more = (
        f"\n[{end:,} of {len(text):,} characters; ask for {id!r}, {named} {end}, to go on]" if end < len(text) else ""
    )
    return shown + more
