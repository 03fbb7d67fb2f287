"""Workflow agent: 300 calls at a help desk, in prompts that stay as large as they were after the first fifty.

    python examples/workflow_agent.py --model openai:gpt-4o --calls 100

Customers of a small shop come, go away and return; what one said is needed a hundred calls later or more. The desk's
tools are the agent's. Without --model a rule works there: of eight calls that the desk offers it at each step, it takes
the one whose values stand in its prompt, beside most of the words at hand.

Prints:

    Tickets that turn on what was told 100 calls before or earlier, in 300 calls:

    the whole history       solved 65 of 67; tokens in the prompt  6,118 after a third of the calls, 17,691 in the end
    its newest 3,000 tokens solved  8 of 67; tokens in the prompt  1,762 after a third of the calls,  1,831 in the end
    2,000 and a memory      solved 65 of 67; tokens in the prompt  2,391 after a third of the calls,  2,373 in the end
"""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse, wrap_model_call
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import StructuredTool

from agentmem import Memory
from agentmem.errors import exit_with_message
from agentmem.langchain import EpisodicMemory, chat_model
from agentmem.langchain.counting import count_messages
from agentmem.testing import ScriptedChatModel
from agentmem_envs.shift.policies import Rule
from agentmem_envs.shift.wrapper import Candidates

GOAL = "You work at the help desk of a shop. Answer each turn with one call of a tool, until the shift is over."
OVER = "The shift is over."


class Desk:
    """A shift, its tools for an agent, and a rule for a model."""

    def __init__(self, calls: int) -> None:
        self.env = Candidates(gymnasium.make("agentmem_envs:agentmem/ShiftShop-Short-v0"))
        (self.observation, self.info), self.left = self.env.reset(seed=0), calls

    def tools(self) -> list[StructuredTool]:
        return [self._tool(name, forms) for name, forms in self.env.shift.schema.items()]

    def _tool(self, name: str, forms: dict[str, str]) -> StructuredTool:
        def call(**args: Any) -> str:
            return self.answer(name, args)

        required = [argument for argument, form in forms.items() if not form.endswith("?")]
        takes = {"type": "object", "properties": {name: {"type": "string"} for name in forms}, "required": required}
        return StructuredTool.from_function(call, name=name, description=f"{name} at the desk", args_schema=takes)

    def answer(self, tool: str, args: dict[str, Any]) -> str:
        """What happens next, after a call."""
        if not self.left:
            return OVER
        self.observation, _, _, over, self.info = self.env.step(json.dumps({"tool": tool, "args": args}))
        self.left = 0 if over else self.left - 1
        return self.observation["text"] if self.left else OVER

    def rule(self, prompt: Sequence[BaseMessage]) -> str | AIMessage:
        """The model of those who have none: it chooses by its prompt alone."""
        if not self.left:
            return OVER
        rule, head = Rule(), ""
        for line in (line for message in prompt if message.type != "ai" for line in str(message.text).split("\n")):
            head = line if line.startswith("[") else head
            rule.see(f"{head} {line}")
        rule.see(self.observation["text"])
        chosen = json.loads(self.observation["candidates"].split("\n")[rule.best(self.observation["candidates"])[0]])
        return AIMessage("", tool_calls=[{"name": chosen["tool"], "args": chosen["args"], "id": f"call-{self.left}"}])


def work(calls: int, model: str | None, remembering: Sequence[AgentMiddleware]) -> tuple[Desk, list[int]]:
    """A desk after a shift, and the tokens of every prompt."""
    desk, sizes = Desk(calls), []

    @wrap_model_call
    def counted(request: ModelRequest, handler: Callable[[ModelRequest], ModelResponse]) -> ModelResponse:
        sizes.append(count_messages(request.messages))
        return handler(request)

    agent = create_agent(
        chat_model(model) if model else ScriptedChatModel(script=desk.rule),
        desk.tools(),
        system_prompt=GOAL,
        middleware=[*remembering, counted],
    )
    agent.invoke({"messages": [HumanMessage(desk.observation["text"], id="shift")]})  # the id names the episode
    return desk, sizes


parser = argparse.ArgumentParser(description="Work through a shift with a whole history, the end of it, or a memory.")
parser.add_argument("--model", help="such as openai:gpt-4o")
parser.add_argument("--calls", type=int, default=300)
options = parser.parse_args()

with exit_with_message(), Memory.open(":memory:") as memory, Memory.open(":memory:") as unread:
    shown = {
        "the whole history": [],
        "its newest 3,000 tokens": [EpisodicMemory(unread, window=3_000, when=lambda call: False, tools=())],
        "2,000 and a memory": [EpisodicMemory(memory, window=2_000, budget=1_000, tools=())],
    }
    print(f"Tickets that turn on what was told 100 calls before or earlier, in {options.calls} calls:\n")
    for name, remembering in shown.items():
        desk, sizes = work(options.calls, options.model, remembering)
        solved = [ticket["solved"] for ticket in desk.env.shift.results if ticket["hidden"]]
        print(f"{name:23} solved {sum(solved):2} of {len(solved)}; tokens in the prompt", end=" ")
        print(f"{sizes[len(sizes) // 3]:6,} after a third of the calls, {sizes[-1]:6,} in the end")
