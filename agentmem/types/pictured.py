"""How a memory looks in a notebook: as `agentmem.viewer` draws it, which is loaded when a notebook first asks.

Knows where that is, and nothing else.
"""

from __future__ import annotations

from importlib import import_module


def pictured(value: object) -> str:
    """HTML for a Memory, the writer of an episode, or a planning context."""
    html: str = import_module("agentmem.viewer.notebook").html_of(value)
    return html
