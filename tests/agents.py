"""What the tests of LangChain agents share: scripts for a model, and an agent that works through a shift."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.sqlite import SqliteSaver

from agentmem import Memory
from agentmem.langchain import EpisodicMemory
from agentmem.testing import ScriptedChatModel
from agentmem_envs.shift.policies import Rule
from agentmem_envs.shift.shop import ShiftShop
from agentmem_envs.shift.wrapper import Candidates

GOAL = "Work at the help desk until the shift is over."


def calls(*asked: tuple[str, dict[str, Any]], says: str = "", first: int = 1) -> AIMessage:
    """A message of the model that calls tools; the ids are c1, c2, ..."""
    named = [{"name": name, "args": args, "id": f"c{first + at}"} for at, (name, args) in enumerate(asked)]
    return AIMessage(says, tool_calls=named)


def thread(name: str = "t1") -> dict[str, Any]:
    return {"configurable": {"thread_id": name}, "recursion_limit": 100_000}


def orphans(prompt: Sequence[BaseMessage]) -> list[str]:
    """Answers without their call right before them, and calls that have no answer."""
    open_, wrong = set[str](), list[str]()
    for message in prompt:
        if isinstance(message, ToolMessage):
            wrong += [] if message.tool_call_id in open_ else [message.tool_call_id]
            open_.discard(message.tool_call_id)
        else:
            wrong += sorted(open_)
            open_ = {str(call["id"]) for call in message.tool_calls} if isinstance(message, AIMessage) else set()
    return wrong + sorted(open_)


class Timed(EpisodicMemory):
    """Notes the seconds that it adds to each call of the model and of a tool, and those of processor time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.spent: list[tuple[float, float]] = []

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self._timed(super().wrap_model_call, request, handler)

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return self._timed(super().wrap_tool_call, request, handler)

    def _timed(self, wrap: Callable[..., Any], request: Any, handler: Any) -> Any:
        marks = [_clocks()]

        def handled(request: Any) -> Any:
            marks.append(_clocks())
            try:
                return handler(request)
            finally:
                marks.append(_clocks())

        try:
            return wrap(request, handled)
        finally:
            before, began, ended, after = *marks, _clocks()
            outside = [(began[at] - before[at]) + (after[at] - ended[at]) for at in (0, 1)]
            self.spent.append((outside[0], outside[1]))


def _clocks() -> tuple[float, float]:
    return perf_counter(), thread_time()


@dataclass
class Desk:
    """A shift as a tool, and a model that reads its prompt and chooses the call whose values stand there best.

    It works as long as there are calls left. right: of each decision that turned on a hidden fact, whether it was taken
    right; shown: whether its value stood in the prompt; kept: whether it stood there beside the planning context.
    """

    env: Candidates
    most: int
    seed: int = 0
    observation: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    taken: int = 0
    right: list[bool] = field(default_factory=list)
    shown: list[bool] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.observation, self.info = self.env.reset(seed=self.seed)

    def tool(self) -> StructuredTool:
        return StructuredTool.from_function(self.act)

    def act(self, tool: str, values: dict[str, Any]) -> str:
        """Call a tool of the desk; answers with what happens next."""
        needed = bool(self.info["needs"])
        self.observation, _, _, _, self.info = self.env.step(json.dumps({"tool": tool, "args": values}))
        self.right += [self.info["right"]] if needed else []
        self.taken += 1
        return str(self.observation["text"])

    def answer(self, prompt: list[BaseMessage]) -> AIMessage:
        """The next call, by the rule over what the prompt says."""
        if self.taken >= self.most:
            return AIMessage("The shift is over.")
        rule = Rule()
        for line in _lines(prompt):
            rule.see(line)
        if self.info["needs"]:
            values = [str(need["value"]) for need in self.info["needs"]]
            told = [each for each in prompt if "lc_source" not in each.additional_kwargs]
            self.shown.append(all(value in "\n".join(_lines(prompt)) for value in values))
            self.kept.append(all(value in "\n".join(_lines(told)) for value in values))
        rule.see(self.observation["text"])
        chosen = json.loads(self.observation["candidates"].split("\n")[rule.best(self.observation["candidates"])[0]])
        return AIMessage(
            "",
            tool_calls=[
                {"name": "act", "args": {"tool": chosen["tool"], "values": chosen["args"]}, "id": f"call-{self.taken}"}
            ],
        )

    def replay(self, messages: Sequence[BaseMessage]) -> None:
        """Take up a shift where a state has it: every call in it that has an answer is made again."""
        answered = {each.tool_call_id for each in messages if isinstance(each, ToolMessage)}
        for message in messages:
            for call in message.tool_calls if isinstance(message, AIMessage) else ():
                if call["id"] in answered:
                    self.act(**call["args"])


def _lines(prompt: Sequence[BaseMessage]) -> Iterator[str]:
    """What was seen, a text each; a planning context's lines with their heads. Not what the model said itself."""
    for message in prompt:
        if isinstance(message, ToolMessage):
            yield message.text
        elif isinstance(message, HumanMessage):
            head = ""
            for line in message.text.split("\n"):
                head = line if line.startswith("[") else head
                yield f"{head} {line}"


def desk(most: int, steps: int = 1000, delay: int = 100, seed: int = 0) -> Desk:
    return Desk(Candidates(ShiftShop(privileged=True, steps=steps, delay=delay)), most, seed)


class Killed(Timed):
    """Kills its process as soon as so many calls of tools were made, and before LangGraph knows of the last."""

    at = 0

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        came = super().wrap_tool_call(request, handler)
        self.at -= 1
        if not self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        return came


def work(folder: Path, most: int, killed_at: int = 0, **options: Any) -> tuple[Desk, Any, ScriptedChatModel, Killed]:
    """Play a shift, or go on with it, with a memory and checkpoints in files; what played it, and the messages."""
    place = desk(most, **options)
    with SqliteSaver.from_conn_string(str(folder / "saver.db")) as saver, Memory.open(folder / "agent.mem") as memory:
        mine = Killed(memory)
        mine.at = killed_at
        agent, model = at_desk(place, [mine], saver=saver)
        before = agent.get_state(thread()).values.get("messages", [])
        start = None if before else begin(place)
        place.replay(before)
        state = agent.invoke(start, thread(), durability="sync")
    return place, state["messages"], model, mine


def at_desk(
    desk: Desk, middleware: Sequence[Any], tokens: int = 8_000, saver: Any = None
) -> tuple[Any, ScriptedChatModel]:
    """An agent of the desk's model, and the model."""
    model = ScriptedChatModel(script=desk.answer, profile={"max_input_tokens": tokens})
    agent = create_agent(model, [desk.tool()], system_prompt=GOAL, middleware=middleware, checkpointer=saver)
    return agent, model


def begin(desk: Desk) -> dict[str, list[AnyMessage]]:
    return {"messages": [HumanMessage(desk.observation["text"], id="begin")]}
