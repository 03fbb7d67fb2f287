"""Traces of what a memory does, by OpenTelemetry's conventions for memory (semantic-conventions-genai, in development).

Where the program has not loaded OpenTelemetry nothing is imported and nothing is done. Spans hold ids, counts and
tokens; texts only if OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for them. Knows nothing of memories.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
NAMES = {
    "record": "gen_ai.memory.record.id",
    "count": "gen_ai.memory.record.count",
    "episode": "gen_ai.conversation.id",
    "agent": "gen_ai.agent.name",
    "tokens": "agentmem.tokens",
    "budget": "agentmem.budget",
    "namespace": "agentmem.namespace",
    "what": "agentmem.operation",
}
"""What is told of an operation -> the attribute of its span. tokens: written or read. what: our own verb."""
Tell = Callable[..., None]
Content = Callable[[], Iterable[tuple[str, str, float | None]]]
"""Gives the records of an operation as (id, text, score or None)."""


@contextmanager
def traced(operation: str, store: str, **facts: Any) -> Iterator[Tell]:
    """A span of one operation on a store, the path of a memory; yields a function that tells more of it.

    Both take NAMES as keywords, None for what is not there, and of the text `query` and `records` (a Content), which
    are kept only where they are asked for. An error is told by its class alone: its message may quote what was logged.
    """
    if (trace := sys.modules.get("opentelemetry.trace")) is None:
        yield _nothing
        return
    given = {"gen_ai.operation.name": operation, "gen_ai.memory.store.id": PurePath(store).name}
    with trace.get_tracer("agentmem").start_as_current_span(
        operation, attributes=given, record_exception=False, set_status_on_exception=False
    ) as span:
        tell = _teller(span) if span.is_recording() else _nothing
        tell(**facts)
        try:
            yield tell
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(trace.StatusCode.ERROR)
            raise


def _nothing(**facts: Any) -> None:
    """Told to nobody."""


def _teller(span: Any) -> Tell:
    captures = os.environ.get(CAPTURE, "").lower() in ("true", "1", "span_only", "span_and_event")

    def tell(query: str | None = None, records: Content | None = None, **facts: Any) -> None:
        for name, value in facts.items():
            if value is not None:
                span.set_attribute(NAMES[name], value)
        if captures and query is not None:
            span.set_attribute("gen_ai.memory.query.text", query)
        if captures and records is not None:
            span.set_attribute("gen_ai.memory.records", json.dumps([_content(*one) for one in records()]))

    return tell


def _content(id: str, text: str, score: float | None) -> dict[str, Any]:
    return {"id": id, "content": text} | ({} if score is None else {"score": round(score, 6)})
