"""What a program that traces itself sees of its memory, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentmem import Memory
from agentmem.errors import KeyConflictError, NotFoundError
from agentmem.langchain import EpisodicStore
from agentmem.memory import Recalled, log_together
from agentmem.telemetry import CAPTURE

SECRET = "The red fox keeps its key under the third stone of the wall."
EXPORTER = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def traces() -> None:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):  # a process sets it once, as a block of a page may
        trace.set_tracer_provider(TracerProvider())
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))


@pytest.fixture
def spans() -> Iterator[Callable[[], list[ReadableSpan]]]:
    """Gives the spans that ended since it was last asked."""

    def taken() -> list[ReadableSpan]:
        found = list(EXPORTER.get_finished_spans())
        EXPORTER.clear()
        return found

    taken()
    yield taken
    taken()


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_each_operation_is_a_span_with_its_records_and_tokens(spans: Any, tmp_path: Path) -> None:
    with Memory.open(tmp_path / "agent.mem", namespace=("acme", "alice"), encoder=None) as memory:
        writer = memory.episode(id="run", agent="scout")
        step = writer.log(SECRET)
        both = writer.log_many([SECRET + " Or so.", "Nothing."])
        context = writer.recall("Where is the key of the fox?", budget=64)
        memory.forget(steps=[both[1].id])
        memory.pin(step.id)
        report = memory.crystallize()
        memory.erase(steps=[step.id])
    log, many, search, forget, pin, crystallize, erase, again = spans()
    common = {"gen_ai.memory.store.id": "agent.mem", "agentmem.namespace": ("acme", "alice")}
    of_run = {**common, "gen_ai.conversation.id": "run", "gen_ai.agent.name": "scout"}
    wrote = {"gen_ai.operation.name": "create_memory", **of_run}
    one = {"gen_ai.memory.record.count": 1}
    assert log.name == "create_memory"
    assert told(log) == {**wrote, **one, "gen_ai.memory.record.id": step.id, "agentmem.tokens": step.tokens}
    tokens = sum(each.tokens for each in both)
    assert told(many) == {**wrote, "gen_ai.memory.record.count": 2, "agentmem.tokens": tokens}
    assert told(search) == {
        "gen_ai.operation.name": "search_memory", **common, "gen_ai.conversation.id": "run", "agentmem.budget": 64,
        "gen_ai.memory.record.count": len(context.hits), "agentmem.tokens": context.tokens,
    }  # fmt: skip
    changed = {"gen_ai.operation.name": "update_memory", **common, **one}
    assert told(forget) == {**changed, "agentmem.operation": "forget"}
    assert told(pin) == {**changed, "agentmem.operation": "pin"}
    made = sum(layer.crystals for layer in report.layers.values())
    assert told(crystallize)["gen_ai.memory.record.count"] == made
    assert [erase.name, again.name] == ["upsert_memory", "delete_memory"]  # what ends first is told first
    assert erase.parent is not None
    assert erase.parent.span_id == again.context.span_id


def test_steps_are_counted_that_were_written(spans: Any) -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        one, two = memory.episode(id="one"), memory.episode(id="two")
        step = one.log(SECRET, key="k")
        assert one.log(SECRET, key="k") == step
        more = one.log_many([{"text": SECRET, "key": "k"}, {"text": "new", "key": "n"}, {"text": "new", "key": "n"}])
        context = memory.recall("fox", budget=64)
        log_together([(one, Recalled("fox", context)), (one, {"text": "a"}), (two, {"text": "b"})])
        log_together([(two, Recalled("fox", context))])
    first, retry, many, _, both, recall = map(told, spans())
    counted = ("gen_ai.memory.record.count", "agentmem.tokens", "gen_ai.conversation.id", "gen_ai.memory.record.id")
    assert [tuple(map(span.get, counted)) for span in (first, retry, many, both, recall)] == [
        (1, step.tokens, "one", step.id),
        (0, 0, "one", step.id),
        (1, more[1].tokens, "one", None),
        (2, 2, None, None),
        (0, 0, "two", None),
    ]


def test_no_span_holds_a_text_unless_it_is_asked_for(
    spans: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for captures in ("", "true"):
        monkeypatch.setenv(CAPTURE, captures)
        with Memory.open(tmp_path / f"{captures}.mem", encoder=None) as memory:
            memory.episode().log(SECRET)
            memory.recall(SECRET)
            with pytest.raises(NotFoundError):
                memory.recall(SECRET, episode=SECRET)
        said = [told(span) for span in spans()]
        assert (SECRET in json.dumps(said)) is bool(captures)
    assert said[1]["gen_ai.memory.query.text"] == SECRET
    (record,) = json.loads(said[1]["gen_ai.memory.records"])
    assert record.keys() == {"id", "content", "score"}
    assert record["content"] == SECRET


def test_no_span_holds_what_was_masked_even_where_texts_are_asked_for(
    spans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE, "true")
    token = "ghp_" + "a1B2" * 9
    with Memory.open(":memory:", encoder=None) as memory:
        memory.episode(goal=token, agent=token).recall(f"what of {token}?")
        memory.episode().log(f"Push with {token}", data=token)
        store = EpisodicStore(memory)
        store.put(("a",), "k", {"text": token})
        store.search(("a",), query=token)
        next(memory.rank(token))
    said = json.dumps([told(span) for span in spans()])
    assert "[github token]" in said
    assert token not in said


def test_an_operation_that_fails_is_told_by_the_class_of_its_error(spans: Any) -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        writer = memory.episode()
        writer.log(SECRET, key="k")
        with pytest.raises(KeyConflictError):
            writer.log("other", key="k")
    failed = spans()[-1]
    assert told(failed)["error.type"] == "KeyConflictError"
    assert failed.status.status_code is trace.StatusCode.ERROR
    assert failed.status.description is None
    assert failed.events == ()


def test_a_store_of_langgraph_tells_of_its_puts_and_searches(spans: Any) -> None:
    with EpisodicStore(Memory.open(":memory:", encoder=None)) as store:
        store.put(("users", "alice"), "pet", {"name": SECRET})
        found = store.search(("users",), query="fox")
    put, search = (told(span) for span in spans())
    assert put["gen_ai.operation.name"] == "upsert_memory"
    assert put["agentmem.tokens"] > 10
    assert search["gen_ai.operation.name"] == "search_memory"
    assert search["gen_ai.memory.record.count"] == len(found) == 1


def test_a_program_without_telemetry_loads_none_of_it(tmp_path: Path) -> None:
    code = (
        "import sys; from agentmem import Memory; memory = Memory.open(sys.argv[1], encoder=None);"
        "memory.episode().log('a fox'); print(memory.recall('fox').tokens, 'opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "a.mem"], capture_output=True, text=True, check=True)
    tokens, loaded = done.stdout.split()
    assert int(tokens) > 0
    assert loaded == "False"
