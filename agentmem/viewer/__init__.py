"""A memory as a page: `agentmem view FILE`, one file of it, and what a notebook shows.

asked look            what a page may ask; a memory's replays and graphs, kept from one question to the next
reads drawn health    what is answered: steps and recalls; the graph of a window; sizes, decay and latency
edits                 pin, forget, correct, erase
page notebook         the page's files, and the page with its answers inside; that in a frame of a notebook
guard app run         whom it answers; the application; the process

Serving alone needs starlette and uvicorn. Knows a memory, its replay and its graph.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from agentmem.errors import MissingExtraError
from agentmem.viewer.look import Look
from agentmem.viewer.page import Exported, export

__all__ = ["Exported", "Look", "export", "serve"]


def serve(look: Look, port: int, ready: Callable[[str], None]) -> None:
    """See `agentmem.viewer.run`. Raises MissingExtraError where starlette or uvicorn is not installed."""
    if missing := [name for name in ("starlette", "uvicorn") if find_spec(name) is None]:
        raise MissingExtraError(f"a page needs {' and '.join(missing)}: pip install 'agentmem-crystal[view]'")
    from agentmem.viewer import run

    run.serve(look, port, ready)
