"""Logs what chains, models, tools and retrievers say and do, by LangChain's callbacks. It changes no prompt.

For whatever runs without a middleware: chains, graphs, agents of older kinds. Blind to calls that no tool was run for.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, message_to_dict
from langchain_core.outputs import ChatGeneration, LLMResult

from agentmem.ingest.talk import Talk, goal_of, said
from agentmem.langchain.messages import raised_text, said_steps
from agentmem.langchain.retriever import SOURCE
from agentmem.memory import EpisodeWriter, Memory, check_memory
from agentmem.records import check_name, digest, to_json

SAYING = ("type", "content", "tool_calls", "tool_call_id", "name")
"""Fields by which a message is known again."""


@dataclass
class _Run:
    """A run from its outermost chain on, and what was logged of it."""

    goal: str | None = None
    writer: EpisodeWriter | None = None
    keys: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    prompts: dict[UUID, Counter[str]] = field(default_factory=dict)
    tools: dict[UUID, tuple[str, str | None]] = field(default_factory=dict)


class EpisodicRecorder(BaseCallbackHandler):
    """`chain.invoke(..., config={"callbacks": [EpisodicRecorder(memory)]})`, or `ainvoke`; from any thread.

    Each run is an episode, or all go on with the one whose id is given. Its end crystallizes. A message of a prompt is
    logged once, whichever of the next prompts it stands in again; without `episode` those before the user's last one
    are another run's. raise_error: whether an error of the memory is the chain's; else LangChain logs it as a warning.
    """

    def __init__(self, memory: Memory, episode: str | None = None, raise_error: bool = True) -> None:
        self.memory, self.raise_error = check_memory(memory), raise_error
        self.episode = None if episode is None else check_name("episode", episode)
        self._lock = threading.RLock()
        self._roots: dict[UUID, UUID] = {}
        self._runs: dict[UUID, _Run] = {}

    # ---- runs ----------------------------------------------------------------------------------------------------

    def _enter(self, run_id: UUID, parent: UUID | None, goal: str | None = None) -> _Run:
        root = self._roots.get(parent, run_id) if parent is not None else run_id
        self._roots[run_id] = root
        return self._runs.setdefault(root, _Run(goal))

    def _leave(self, run_id: UUID) -> None:
        root = self._roots.pop(run_id, None)
        if root != run_id:
            return
        writer = self._runs.pop(run_id).writer
        if writer is not None:
            writer.end()
            self.memory.crystallize()

    def _of(self, run_id: UUID) -> _Run | None:
        return self._runs.get(self._roots.get(run_id, run_id))

    def _log(self, run: _Run, key: str, steps: Iterable[dict[str, Any]]) -> None:
        """Log steps once for each key."""
        if key not in run.keys and (new := list(steps)):
            run.writer = run.writer or self._begin(run.goal)
            own = [_call_key(step) or f"{key}/{number}" for number, step in enumerate(new)]
            run.writer.log_many(
                [{**step, "key": f"{run.writer.id}/{name}"} for name, step in zip(own, new, strict=True)]
            )
        run.keys.add(key)

    def _begin(self, goal: str | None) -> EpisodeWriter:
        known = self.episode is not None and any(one.id == self.episode for one in self.memory.episodes())
        return self.memory.episode(None if known else goal, self.episode)

    # ---- chains --------------------------------------------------------------------------------------------------

    def on_chain_start(
        self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        with self._lock:
            self._enter(run_id, parent_run_id, _goal(inputs))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            self._leave(run_id)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            if self._roots.get(run_id) == run_id:
                self._raised(run_id, error, "chain")
            self._leave(run_id)

    # ---- models --------------------------------------------------------------------------------------------------

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        with self._lock:
            said = [message for prompt in messages for message in prompt]
            self._prompted(self._enter(run_id, parent_run_id, _goal({"messages": said})), run_id, said)

    def on_llm_start(
        self, serialized: Any, prompts: list[str], *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        with self._lock:
            said: list[BaseMessage] = [HumanMessage(prompt) for prompt in prompts]
            self._prompted(self._enter(run_id, parent_run_id, _goal({"messages": said})), run_id, said)

    def _prompted(self, run: _Run, run_id: UUID, messages: Sequence[BaseMessage]) -> None:
        """Log what of a prompt is new."""
        counts = run.prompts[run_id] = Counter[str]()
        people = [place for place, message in enumerate(messages) if isinstance(message, HumanMessage)]
        first = people[-1] if people and self.episode is None and not run.keys else 0
        for place, message in enumerate(messages):
            key = _key(message, counts)
            if place < first or isinstance(message, SystemMessage) or _is_made(message):
                run.keys.add(key)
            else:
                self._say(run, key, message)

    def _say(self, run: _Run, key: str, message: BaseMessage) -> None:
        if isinstance(message, AIMessage):
            run.calls.update(str(call["id"]) for call in message.tool_calls)
        self._log(run, key, said_steps(message))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            run = self._of(run_id)
            for answers in response.generations if run is not None else ():
                if run is not None and answers:
                    best = answers[0]
                    message = best.message if isinstance(best, ChatGeneration) else AIMessage(best.text)
                    self._say(run, _key(message, run.prompts.pop(run_id, Counter())), message)
            self._leave(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._failed(run_id, error, "model")

    # ---- tools ---------------------------------------------------------------------------------------------------

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = str((serialized or {}).get("name") or kwargs.get("name") or "tool")
        call = kwargs.get("tool_call_id")
        with self._lock:
            run = self._enter(run_id, parent_run_id, name)
            run.tools[run_id] = name, call
            if call is None or str(call) not in run.calls:
                given = input_str if inputs is None else inputs
                self._log(run, f"{run_id}/call", _steps(Talk("").call(0, "", name, given, call)))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            if (run := self._of(run_id)) is not None:
                name, call = run.tools.pop(run_id, (None, None))
                if isinstance(output, ToolMessage):
                    self._say(run, _key(output, Counter()), output)
                elif type(output).__name__ != "Command":  # a graph's, whose messages stand in the next prompt
                    self._log(run, f"{run_id}/result", _steps(Talk("").result(0, "", output, call, name)))
            self._leave(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._failed(run_id, error, "tool")

    # ---- retrievers ----------------------------------------------------------------------------------------------

    def on_retriever_start(
        self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        name = str((serialized or {}).get("name") or kwargs.get("name") or "retrieve")
        with self._lock:
            run = self._enter(run_id, parent_run_id, goal_of(query))
            self._log(run, f"{run_id}/call", _steps(Talk("").call(0, "", name, {"query": query})))

    def on_retriever_end(self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any) -> None:
        with self._lock:
            texts = [one.page_content for one in documents if not SOURCE.items() <= one.metadata.items()]
            if (run := self._of(run_id)) is not None and texts:
                self._log(run, f"{run_id}/result", _steps(Talk("").result(0, "", "\n\n".join(texts))))
            self._leave(run_id)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._failed(run_id, error, "retriever")

    # ---- failures ------------------------------------------------------------------------------------------------

    def _failed(self, run_id: UUID, error: BaseException, actor: str) -> None:
        with self._lock:
            self._raised(run_id, error, actor)
            self._leave(run_id)

    def _raised(self, run_id: UUID, error: BaseException, actor: str) -> None:
        """What was raised instead of an answer; an interrupted graph has raised nothing."""
        run = self._of(run_id)
        if run is not None and all(kind.__name__ != "GraphBubbleUp" for kind in type(error).__mro__):
            step = {"text": raised_text(error), "kind": "observation", "actor": actor, "data": {"status": "error"}}
            self._log(run, f"{run_id}/error", [step])


def _steps(found: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in found.step.items() if name not in ("key", "reply_to")}]


def _call_key(step: Mapping[str, Any]) -> str | None:
    """A tool's call is known by its id, for it is logged as the model says it, or as the tool starts again."""
    call = (step.get("data") or {}).get("call") if step["kind"] == "action" else None
    return f"call/{call}/{digest(step['text'].encode())[:16]}" if call else None


def _key(message: BaseMessage, counts: Counter[str]) -> str:
    """What a message is known by again: what it says, and how many said the same before it."""
    fields = message_to_dict(message)["data"]
    saying = {"type": message.type, **{name: fields.get(name) for name in SAYING[1:]}}
    name = digest(to_json(saying).encode("utf-8", "replace"))[:32]
    counts[name] += 1
    return f"{name}/{counts[name]}"


def _is_made(message: BaseMessage) -> bool:
    """Whether memory put it into the prompt."""
    return SOURCE.items() <= message.additional_kwargs.items()


def _goal(inputs: Any) -> str | None:
    """What a run is for: the first text among what it is given, or the first thing a user says."""
    if isinstance(inputs, str):
        return goal_of(inputs)
    if isinstance(inputs, Mapping):
        return next((goal for value in inputs.values() if (goal := _goal(value)) is not None), None)
    if isinstance(inputs, HumanMessage):
        return goal_of(said(inputs.content)[0])
    if isinstance(inputs, list | tuple) and len(inputs) == 2 and inputs[0] in ("user", "human"):
        return _goal(inputs[1])
    if isinstance(inputs, list | tuple):
        return next((goal for one in inputs if not isinstance(one, str) and (goal := _goal(one)) is not None), None)
    return None
