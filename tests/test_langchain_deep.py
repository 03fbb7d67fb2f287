"""Deep agents with a memory: their files, their todos, and the agents they call."""

from typing import Any

from agents import calls, orphans, thread
from deepagents import create_deep_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from agentmem import Memory
from agentmem.langchain import EpisodicMemory
from agentmem.testing import ScriptedChatModel

KEPT = calls(("write_file", {"file_path": "/notes.txt", "content": "The code of the vault is 4711."}), first=1)
ASKED = calls(("task", {"description": "Find the code.", "subagent_type": "finder"}), first=2)
READ = calls(("read_file", {"file_path": "/notes.txt"}), first=3)
SCRIPT = [KEPT, ASKED, READ, "I found 4711.", "Done.", "It is 4711."]


def worked(memory: Memory, remembers: bool) -> ScriptedChatModel:
    """A deep agent keeps a code in a file and has another agent, with or without the memory, find it again; then it is
    asked for it in another thread.
    """
    mine = EpisodicMemory(memory, budget=200)
    finder: Any = {"name": "finder", "description": "Finds things.", "system_prompt": "Find."}
    model = ScriptedChatModel(script=list(SCRIPT))
    agent = create_deep_agent(
        model=model,
        middleware=[mine],
        checkpointer=InMemorySaver(),
        subagents=[finder | {"middleware": [mine]} if remembers else finder],
    )
    agent.invoke({"messages": [HumanMessage("Keep the code safe.")]}, thread())
    agent.invoke({"messages": [HumanMessage("What is the code of the vault?")]}, thread("t2"))
    return model


def test_a_deep_agent_remembers_in_another_thread_what_it_wrote_into_a_file() -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        model = worked(memory, remembers=False)
        said = [step.text for step in memory.steps("t1")]
    assert "4711" in model.prompts[-1][-1].text
    assert [orphans(prompt) for prompt in model.prompts] == [[]] * len(SCRIPT)
    assert said[0] == "Keep the code safe."
    assert said[-2:] == ["I found 4711.", "Done."]
    assert len(said) == len(set(said)) == 6


def test_an_agent_that_a_deep_agent_calls_may_share_its_memory_in_an_episode_of_its_own() -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        model = worked(memory, remembers=True)
        first, helper, second = memory.episodes()
        own = [(step.kind, step.actor, step.trust) for step in memory.steps(first.id)]
        of_helper = [(step.kind, step.actor, step.trust) for step in memory.steps(helper.id)]
    assert "4711" in model.prompts[2][-1].text  # the called agent's first prompt
    assert (first.id, helper.id[:9], second.id) == ("t1", "t1/tools:", "t2")
    assert (helper.goal, helper.ended is not None) == ("Find the code.", True)
    assert of_helper == [
        ("message", "assistant", None),
        ("action", "finder", None),
        ("observation", "tool", "tool"),
        ("message", "finder", None),
    ]
    assert own == [
        ("message", "user", "user"),
        *[("action", "assistant", None), ("observation", "tool", "tool")] * 2,
        ("message", "assistant", None),
    ]
