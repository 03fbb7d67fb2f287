"""EpisodicMemory: the middleware that gives a LangChain agent a memory.

Knows the hooks of an agent, sync and async; what they do is in `thread` (the log) and `prompt` (what the model gets).
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, TracePolicy, omit_payload
from langchain.agents.middleware.types import AgentState, ModelCallResult, ToolCallRequest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from langgraph.types import Command

from agentmem.errors import InvalidInputError
from agentmem.langchain.counting import Counter, CountMessages
from agentmem.langchain.messages import name_of, turn_of
from agentmem.langchain.prompt import Cue, Placement, Prompt, Settings, cue_of
from agentmem.langchain.scope import Scope, check_scope, helper_of, lasts, namespace_of, thread_of
from agentmem.langchain.thread import Thread
from agentmem.langchain.tools import memory_tools
from agentmem.langchain.when import DEFAULT, When, rules_of
from agentmem.memory import Memory
from agentmem.memory.checks import check_function
from agentmem.records import brief, digest
from agentmem.tokens import check_budget
from agentmem.types import Namespace

RUN, NAME = "run", 12
"""Of what has no thread: its label, and the most letters of its name."""
HELD = 256
"""Conversations that a process keeps at hand; others are read from the log again."""
Result = ToolMessage | Command[Any]
Answers = Callable[[ModelRequest[Any]], ModelResponse[Any]]


class EpisodicMemory(AgentMiddleware[AgentState[Any], Any, Any]):
    """A memory for an agent: `create_agent(model, tools, middleware=[EpisodicMemory("agent.mem")])`.

    It logs what is said and done, keeps the newest messages in the prompt, and gives the model a planning context of
    what is not there: within `budget` tokens, and no part of the agent's state. See docs/decisions/0013-langchain.md.

    memory: a Memory, or the path of one, which `close` then closes. budget: tokens of the planning context. window:
    tokens of the newest messages that are kept, in whole groups of calls and answers; by default half of what the
    model's profile says it takes, or 16,000. placement "tail": the context stands where the prompt ended when it was
    recalled; "system": in the system message. when: at which calls of the model to recall, some of "always", "start"
    (of a task), "trimmed" (as soon as messages gave way) and "failures" (two calls in a row failed), or a function of
    `agentmem.langchain.Call`. large: tokens of a tool's result from which on its beginning is shown; by default a
    quarter of the window. scope: see `agentmem.langchain.scope`. tools: names of `agentmem.langchain.tools.TOOLS` that
    the model gets. count_tokens: of messages, in place of the model's own counter. cue: what memory is asked, of the
    messages. Raises InvalidInputError for values that cannot be; a run does for messages that the model cannot take.
    """

    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        memory: Memory | str | Path,
        budget: int = 1024,
        window: int | None = None,
        placement: Placement = "tail",
        when: When = DEFAULT,
        *,
        large: int | None = None,
        scope: Scope | None = None,
        tools: Sequence[str] = ("recall", "expand"),
        count_tokens: CountMessages | None = None,
        cue: Cue = cue_of,
    ) -> None:
        super().__init__()
        check_budget(budget)
        for name, value in (("window", window), ("large", large)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidInputError(f"{name} {brief(value)}: give a whole number of tokens, 1 or more, or None")
        if placement not in ("tail", "system"):
            raise InvalidInputError(f"placement {brief(placement)} is unknown; use 'tail' or 'system'")
        due, begun = rules_of(when)
        check_function("cue", cue, "from messages to text")
        if count_tokens is not None:
            check_function("count_tokens", count_tokens, "from messages to their tokens")
        self.tools = memory_tools(self._thread_of_tool, tools, budget)
        hint = ", expand('{}') shows it" if any(tool.name == "expand" for tool in self.tools) else ""
        self.settings = Settings(budget, window, large, placement, due, begun, cue, count_tokens, hint)
        self.scope = check_scope(scope)
        self._owned = not isinstance(memory, Memory)
        self.memory = memory if isinstance(memory, Memory) else Memory.open(memory)
        self._own = frozenset(tool.name for tool in self.tools)
        self._threads: OrderedDict[tuple[tuple[str, ...], str], Thread] = OrderedDict()
        self._counters: OrderedDict[int, Counter] = OrderedDict()
        self._lock = threading.Lock()

    # ---- the hooks -----------------------------------------------------------------------------------------------

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]) -> Result:
        """Run the tool, and log what it raises. What it answers is logged from the state, as others leave it."""
        thread = self.thread(request.runtime, request.state["messages"])
        try:
            return handler(request)
        except GraphBubbleUp:  # an interrupt, and no failure
            raise
        except Exception as error:
            thread.raised(request.state["messages"], request.tool_call, error)
            raise

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Result]]
    ) -> Result:
        """`wrap_tool_call`, awaited."""
        thread = await asyncio.to_thread(self.thread, request.runtime, request.state["messages"])
        try:
            return await handler(request)
        except GraphBubbleUp:
            raise
        except Exception as error:
            await asyncio.to_thread(thread.raised, request.state["messages"], request.tool_call, error)
            raise

    def wrap_model_call(self, request: ModelRequest[Any], handler: Answers) -> ModelCallResult[Any]:
        """Log what was said and done, and ask the model with what fits and what memory finds."""
        prompt = self._prompt(request)
        answer = handler(prompt.request())
        prompt.answered()
        return answer

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelCallResult[Any]:
        """`wrap_model_call`, awaited."""
        prompt = await asyncio.to_thread(self._prompt, request)
        answer = await handler(prompt.request())
        prompt.answered()
        return answer

    def after_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """Log the rest, end the episode, and crystallize."""
        thread = self.thread(runtime, state["messages"])
        thread.end(state["messages"])
        if not thread.lasting:
            with self._lock:
                self._threads.pop((thread.memory.namespace, thread.id), None)
        thread.memory.crystallize()

    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:
        """`after_agent`, awaited."""
        await asyncio.to_thread(self.after_agent, state, runtime)

    # ---- what they share -----------------------------------------------------------------------------------------

    def _prompt(self, request: ModelRequest[Any]) -> Prompt:
        thread = self.thread(request.runtime, request.state["messages"])
        return Prompt(self.settings, thread, self._counter(request.model), request)

    def _thread_of_tool(self, runtime: Any) -> Thread:
        return self.thread(runtime, runtime.state["messages"])

    def thread(self, runtime: Any, messages: Sequence[BaseMessage]) -> Thread:
        """The conversation that a run goes on with."""
        own, name, helper = self.memory, thread_of(runtime), helper_of(runtime)
        part = namespace_of(runtime, self.scope)
        memory = own.scoped(*own.namespace, *part, read=own.namespaces[1:]) if part else own
        with self._lock:
            if name is None and helper is None:
                id = self._run_of(memory.namespace, messages)
            else:
                id = "/".join(each for each in (name or RUN, helper) if each is not None)
            key = memory.namespace, id
            if key not in self._threads:
                lasting = helper is None and lasts(runtime)
                self._threads[key] = Thread(memory, id, messages, self._own, lasting, helper is not None)
            self._threads.move_to_end(key)
            while len(self._threads) > HELD:
                self._threads.popitem(last=False)
            self._threads[key].see(messages)
            return self._threads[key]

    def _run_of(self, namespace: Namespace, messages: Sequence[BaseMessage]) -> str:
        """The name of a run without a thread: of the one that knows one of these messages, or of a new one."""
        names = set(map(name_of, messages))
        for (space, id), thread in self._threads.items():
            if space == namespace and id.startswith(f"{RUN}/") and not names.isdisjoint(thread.own_ids):
                return id
        return f"{RUN}/{_short(name_of(messages[turn_of(messages)]))}" if messages else RUN

    def _counter(self, model: BaseChatModel) -> Counter:
        with self._lock:
            known = self._counters.get(id(model))
            if known is None or known.model is not model:
                known = self._counters[id(model)] = Counter(model, self.settings.count_tokens)
            while len(self._counters) > HELD:
                self._counters.popitem(last=False)
            return known

    def close(self) -> None:
        """Close the memory if it was opened here."""
        if self._owned:
            self.memory.close()


def _short(name: str) -> str:
    """Names of messages are made of 36 digits, and an episode's stands in each context that shows it."""
    return name if len(name) <= NAME else digest(name.encode())[:NAME]
