"""Memory as tools that a model calls: recall, remember, explain_recall, expand.

Each is made for a memory, or for the thread that the middleware finds in the runtime; a model cannot name either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool, ToolException

from agentmem.answers import NOTHING, expanded, explained
from agentmem.errors import InvalidInputError, NotFoundError, said_of
from agentmem.langchain.thread import Thread
from agentmem.memory import Memory, check_memory
from agentmem.memory.checks import check_several
from agentmem.records import brief
from agentmem.tokens import check_budget
from agentmem.types import PlanningContext

REMEMBERED = "remembered"
"""The episode of what is remembered outside of a thread."""
Of = Memory | Callable[[ToolRuntime[Any, Any]], Thread]


def memory_tools(memory: Of, names: Sequence[str] | None = None, budget: int = 1024) -> list[BaseTool]:
    """The tools with these names, all by default. budget: tokens of a planning context that is recalled."""
    known = f"some of {', '.join(TOOLS)}"
    chosen = list(TOOLS if names is None else check_several("tools", names, known))
    if unknown := [name for name in chosen if name not in list(TOOLS)]:
        raise InvalidInputError(f"tools {brief(unknown)}: give a list of {known}")
    return [TOOLS[name](memory, budget) for name in chosen]


def recall_tool(memory: Of, budget: int = 1024) -> BaseTool:
    """Search, in words; answers with a planning context in which each line names its step."""

    def recall(query: str, runtime: ToolRuntime[Any, Any] = None) -> str:  # type: ignore[assignment]
        """Search long-term memory: earlier steps, other conversations, facts. Use full words, names, "codes" quoted."""
        return _recalled(memory, runtime, query, budget).text or NOTHING

    return _tool(recall, memory, budget)


def explain_recall_tool(memory: Of, budget: int = 1024) -> BaseTool:
    """Why a query finds what it finds."""

    def explain_recall(query: str, runtime: ToolRuntime[Any, Any] = None) -> str:  # type: ignore[assignment]
        """Explain what a query finds in memory: each step with its score and what the score is made of."""
        return explained(_recalled(memory, runtime, query, budget).hits)

    return _tool(explain_recall, memory, budget)


def remember_tool(memory: Of, budget: int = 1024) -> BaseTool:
    """Log a note of the model's own, once for each call."""

    def remember(text: str, runtime: ToolRuntime[Any, Any] = None) -> str:  # type: ignore[assignment]
        """Write a note into long-term memory. What is said and done is remembered anyway: note conclusions only."""
        if not text:
            raise InvalidInputError("text '' says nothing; give what is to be remembered")
        call = runtime.tool_call_id if runtime is not None else None
        if isinstance(memory, Memory):
            writer = memory.episode(id=REMEMBERED)
            step = writer.say("assistant", text, key=call and f"{REMEMBERED}/{call}")
            return f"Noted as step {step.id}."
        return f"Noted as step {memory(runtime).note(_messages(runtime), text, call)}."

    return _tool(remember, memory, budget)


def expand_tool(memory: Of, budget: int = 1024) -> BaseTool:
    """A step whole, or a crystal as the steps it condenses, in pages."""

    def expand(id: str, start: int = 0, runtime: ToolRuntime[Any, Any] = None) -> str:  # type: ignore[assignment]
        """Show a step of memory in full, or the steps behind a crystal. start: the character to go on from."""
        place = memory if isinstance(memory, Memory) else memory(runtime).memory
        return expanded(place, id, start)

    return _tool(expand, memory, budget)


TOOLS: dict[str, Callable[[Of, int], BaseTool]] = {
    "recall": recall_tool,
    "remember": remember_tool,
    "explain_recall": explain_recall_tool,
    "expand": expand_tool,
}


def _tool(function: Callable[..., str], memory: Of, budget: int) -> BaseTool:
    """A tool that tells the model of its mistakes instead of stopping the run. memory, budget: what it was made for."""
    if not callable(memory):
        check_memory(memory)
    check_budget(budget)

    def told(*args: Any, **given: Any) -> str:
        try:
            return function(*args, **given)
        except (InvalidInputError, NotFoundError) as error:
            raise ToolException(str(error)) from error

    told.__wrapped__ = function  # type: ignore[attr-defined]
    told.__name__, told.__doc__, told.__annotations__ = function.__name__, function.__doc__, function.__annotations__
    return StructuredTool.from_function(told, handle_tool_error=True, handle_validation_error=_wrong)


def _wrong(error: Any) -> str:
    """What a model is told whose arguments are of another kind."""
    said = [f"{'.'.join(map(str, one['loc']))}: {said_of(one, brief)}" for one in error.errors()[:5]]
    return f"wrong arguments: {'; '.join(said)[:1_000]}; call it again with what its schema says"


def _messages(runtime: ToolRuntime[Any, Any]) -> Sequence[Any]:
    return runtime.state["messages"]  # type: ignore[no-any-return]


def _recalled(memory: Of, runtime: ToolRuntime[Any, Any], query: str, budget: int) -> PlanningContext:
    if isinstance(memory, Memory):
        return memory.recall(query, budget, marks=True)
    thread = memory(runtime)
    context = thread.recall(query, budget, None, frozenset(), marks=True)
    if context.hits:
        thread.tell(query, context)
    return context
