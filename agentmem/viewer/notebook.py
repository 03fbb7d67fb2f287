"""What a notebook shows of a memory, an episode or a planning context: the page in one file, in a frame of its own.

The frame may run the page's script and nothing else: it has no origin, so it reaches neither the notebook nor the
network. Before it stands a line of text for where frames are not shown.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from agentmem.errors import AgentMemError
from agentmem.memory import EpisodeWriter, Memory
from agentmem.replay import plain
from agentmem.types import PlanningContext
from agentmem.viewer.page import gathered, whole

MOST = 2 << 20
"""Bytes of the answers in a frame."""
TALL, LOW = 760, 420  # pixels


def html_of(value: object) -> str:
    """HTML of a Memory (its newest episodes), an EpisodeWriter or a PlanningContext; where it cannot be read, why."""
    try:
        if isinstance(value, PlanningContext):
            line = f"planning context: {value.tokens:,} of {value.budget:,} tokens, {len(value.hits):,} hits"
            return _framed(line, {"context": _context(value)}, LOW)
        if isinstance(value, EpisodeWriter):
            return _memory(value._memory, value.id)
        assert isinstance(value, Memory)
        return _memory(value, None)
    except AgentMemError as error:
        return f"<p>{escape(str(error))}</p>"


def _memory(memory: Memory, episode: str | None) -> str:
    name = Path(memory._core.store.path).name
    made = gathered(memory, episode, MOST, name)
    about = name if episode is None else f"{name}, episode {episode}"
    left = f"; {made.left_out:,} more found no room" if made.left_out else ""
    return _framed(f"{about}: {made.frames:,} steps{left}", made.answers, TALL)


def _context(context: PlanningContext) -> dict[str, Any]:
    """In the form of a recall of a frame, without what only the log knows: the cue, ranks, what just missed."""
    hits = plain.several(context.hits, lambda hit: {"rank": None, **plain.hit(hit)})
    text = plain.text(context.text) | {"tokens": context.tokens}
    nothing = plain.several((), str)
    return {"cue": None, "budget": context.budget, "same": None, "context": text, "hits": hits, "missed": nothing}


def _framed(line: str, answers: dict[str, Any], height: int) -> str:
    look = f'style="width:100%;height:{height}px;border:0" title="{escape(line)}"'
    return f'<p>{escape(line)}</p><iframe sandbox="allow-scripts" {look} srcdoc="{escape(whole(answers))}"></iframe>'
