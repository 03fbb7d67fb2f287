"""What the hooks of an agent leave in the log: all that is said and done, once, however the run is driven."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from agents import calls, orphans, thread
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
)
from langchain.tools import tool
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from agentmem import Memory
from agentmem.langchain import EpisodicMemory, summarizer
from agentmem.testing import ScriptedChatModel
from agentmem.tokens import count

USER = {"messages": [HumanMessage("Find the key.", id="u1")]}


@tool
def look(where: str) -> str:
    """Look somewhere."""
    return f"A key lies at the {where}."


@tool
def ask(what: str) -> str:
    """Ask the user, twice."""
    return f"{what}: {interrupt('first')} and {interrupt('second')}"


@tool
def flaky(times: int) -> str:
    """Fail so many times in all."""
    flaky.metadata["failed"] = flaky.metadata.get("failed", 0) + 1
    if flaky.metadata["failed"] <= times:
        raise TimeoutError(f"no answer {flaky.metadata['failed']}")
    return "answered at last"


@tool
def noted(text: str) -> Command[Any]:
    """Answer by a command."""
    return Command(update={"messages": [ToolMessage(f"noted {text}", tool_call_id="c1")]})


TOOLS = [look, ask, flaky, noted]


def made(memory: Memory, script: Sequence[Any], *others: Any, saver: Any = None, **options: Any) -> Any:
    flaky.metadata = {}
    mine = EpisodicMemory(memory, **options)
    model = ScriptedChatModel(script=list(script))
    return create_agent(model, TOOLS, middleware=[mine, *others], checkpointer=saver or InMemorySaver()), model


def logged(memory: Memory) -> list[str]:
    """kind: text of every step, in log order."""
    return [f"{step.kind}: {step.text}" for step in memory.steps()]


@pytest.fixture
def memory() -> Memory:
    return Memory.open(":memory:", encoder=None)


LOOKED = [
    "message: Find the key.",
    "message: I look.",
    'action: look({"where": "door"})',
    "observation: A key lies at the door.",
    "message: Found.",
]
SCRIPT = [calls(("look", {"where": "door"}), says="I look."), "Found."]


def test_a_run_is_logged_in_order_as_an_episode_of_its_thread(memory: Memory) -> None:
    agent, _ = made(memory, SCRIPT)
    agent.invoke(USER, thread("t7"))
    assert logged(memory) == LOOKED
    (episode,) = memory.episodes()
    assert (episode.id, episode.goal, episode.ended is not None) == ("t7", "Find the key.", True)
    said, _, act, seen, _ = memory.steps()
    assert (said.actor, said.trust, seen.trust) == ("user", "user", "tool")
    assert act.data == {"tool": "look", "call": "c1", "arguments": {"where": "door"}}


def test_an_awaited_run_is_logged_as_any_other(memory: Memory) -> None:
    agent, _ = made(memory, SCRIPT)
    asyncio.run(agent.ainvoke(USER, thread()))
    assert logged(memory) == LOOKED


def test_a_streamed_run_is_logged_as_any_other(memory: Memory) -> None:
    agent, _ = made(memory, SCRIPT)
    words = [chunk.text for chunk, _ in agent.stream(USER, thread(), stream_mode="messages") if chunk.text]
    assert words == ["I ", "look.", "A key lies at the door.", "Found."]
    assert logged(memory) == LOOKED


def test_the_turns_of_a_thread_are_one_episode_that_is_resumed(memory: Memory) -> None:
    agent, _ = made(memory, [*SCRIPT, calls(("look", {"where": "mat"})), "There too."])
    agent.invoke(USER, thread())
    agent.invoke({"messages": [HumanMessage("And the mat?")]}, thread())
    again = ['action: look({"where": "mat"})', "observation: A key lies at the mat.", "message: There too."]
    assert logged(memory) == [*LOOKED, "message: And the mat?", *again]
    assert [episode.goal for episode in memory.episodes()] == ["Find the key."]
    assert memory.episodes()[0].ended is not None


@pytest.mark.parametrize("awaited", [False, True])
def test_threads_that_run_at_once_are_an_episode_each(memory: Memory, awaited: bool) -> None:
    def script(prompt: list[Any]) -> str | AIMessage:
        place = prompt[0].text.split()[-1]
        return "Found." if len(prompt) > 3 else calls(("look", {"where": place}), ("look", {"where": f"next {place}"}))

    model = ScriptedChatModel(script=script)
    mine = EpisodicMemory(memory, when=lambda call: False)
    agent = create_agent(model, TOOLS, middleware=[mine], checkpointer=InMemorySaver())
    asked = [{"messages": [HumanMessage(f"Look at place{number}")]} for number in range(8)]
    configs = [thread(f"t{number}") for number in range(8)]
    if awaited:
        asyncio.run(agent.abatch(asked, configs))
    else:
        agent.batch(asked, configs)
    for number in range(8):
        texts = [step.text for step in memory.steps(f"t{number}")]
        assert len(texts) == 6
        assert all(f"place{number}" in text for text in texts[:-1])


def test_calls_at_once_are_each_logged_beside_their_answer(memory: Memory) -> None:
    places = ["door", "mat", "shed", "well", "attic", "roof"]
    agent, _ = made(memory, [calls(*(("look", {"where": place}) for place in places)), "Found."])
    agent.invoke(USER, thread())
    steps = list(memory.steps())[1:-1]
    assert [step.kind for step in steps] == ["action", "observation"] * 6
    assert sorted(step.text for step in steps[::2]) == sorted(f'look({{"where": "{place}"}})' for place in places)
    assert all(act.text[16:-3] in seen.text for act, seen in zip(steps[::2], steps[1::2], strict=True))


def test_ids_that_a_model_counts_from_one_again_are_different_calls(memory: Memory) -> None:
    script = [calls(("look", {"where": "door"})), calls(("look", {"where": "mat"})), "Found."]
    agent, _ = made(memory, script)
    agent.invoke(USER, thread())
    assert [text for text in logged(memory) if "observation" in text] == [
        "observation: A key lies at the door.",
        "observation: A key lies at the mat.",
    ]


def test_an_interrupt_that_is_resumed_twice_is_logged_once(memory: Memory) -> None:
    agent, _ = made(memory, [calls(("look", {"where": "mat"}), ("ask", {"what": "colour"})), "Thanks."])
    agent.invoke(USER, thread())
    agent.invoke(Command(resume="red"), thread())
    agent.invoke(Command(resume="blue"), thread())
    assert logged(memory)[1:] == [
        'action: look({"where": "mat"})',
        "observation: A key lies at the mat.",
        'action: ask({"what": "colour"})',
        "observation: colour: red and blue",
        "message: Thanks.",
    ]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_human_rejects_edits_and_approves_is_logged_as_it_came_to_be(memory: Memory, restarted: bool) -> None:
    asked = calls(*(("look", {"where": place}) for place in ("door", "mat", "shed")))
    saver, gate = InMemorySaver(), HumanInTheLoopMiddleware(interrupt_on={"look": True})
    agent, _ = made(memory, [asked, "Found."], gate, saver=saver)
    agent.invoke(USER, thread())
    if restarted:
        agent, _ = made(memory, ["Found."], gate, saver=saver)
    edited = {"type": "edit", "edited_action": {"name": "look", "args": {"where": "well"}}}
    decided = [{"type": "reject", "message": "Not there."}, edited, {"type": "approve"}]
    agent.invoke(Command(resume={"decisions": decided}), thread())
    told = logged(memory)
    (approved, seen), (other, instead), (rejected, why) = sorted(
        zip(told[1:-1:2], told[2:-1:2], strict=True), key=_last
    )
    assert (approved, seen) == ('action: look({"where": "shed"})', "observation: A key lies at the shed.")
    assert other == 'action: look({"where": "mat"})'
    assert '"where": "well"' in instead
    assert instead.endswith("A key lies at the well.")
    assert rejected == 'action: look({"where": "door"})'
    assert why.endswith("Not there.")
    assert told[-1] == "message: Found."


def test_a_tool_that_raises_stops_the_run_and_is_logged_once_however_often_it_is_tried(memory: Memory) -> None:
    agent, _ = made(memory, [calls(("flaky", {"times": 9}))])
    with pytest.raises(TimeoutError, match="no answer 1"):
        agent.invoke(USER, thread())
    flaky.metadata = {}
    with pytest.raises(TimeoutError, match="no answer 1"):
        agent.invoke(None, thread())
    assert logged(memory)[1:] == ['action: flaky({"times": 9})', "observation: raised TimeoutError('no answer 1')"]


def test_a_call_that_never_had_an_answer_is_logged_when_the_user_goes_on(memory: Memory) -> None:
    agent, model = made(memory, [calls(("ask", {"what": "colour"})), "Well then."])
    agent.invoke(USER, thread())
    agent.invoke({"messages": [HumanMessage("Never mind.")]}, thread())
    assert logged(memory)[1:] == ['action: ask({"what": "colour"})', "message: Never mind.", "message: Well then."]
    assert [orphans(prompt) for prompt in model.prompts] == [[], []]


def test_tries_inside_are_one_call_and_tries_outside_are_told_with_what_each_raised(memory: Memory) -> None:
    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0, jitter=False, on_failure="continue")
    agent, _ = made(memory, [calls(("flaky", {"times": 2})), "Good."], retry)
    agent.invoke(USER, thread())
    answered = ['action: flaky({"times": 2})', "observation: answered at last", "message: Good."]
    assert logged(memory)[1:] == answered
    other = Memory.open(":memory:", encoder=None)
    flaky.metadata = {}
    model = ScriptedChatModel(script=[calls(("flaky", {"times": 2})), "Good."])
    agent = create_agent(model, TOOLS, middleware=[retry, EpisodicMemory(other)], checkpointer=InMemorySaver())
    agent.invoke(USER, thread())
    raised = [f"observation: raised TimeoutError('no answer {number}')" for number in (1, 2)]
    assert logged(other)[1:] == [answered[0], *raised, *answered[1:]]


def test_limited_calls_of_tools_are_logged_with_what_the_model_was_told(memory: Memory) -> None:
    limit = ToolCallLimitMiddleware(run_limit=1)
    agent, _ = made(memory, [calls(("look", {"where": "a"}), ("look", {"where": "b"})), "Enough."], limit)
    agent.invoke(USER, thread())
    told = logged(memory)
    assert told[1:4] == [
        'action: look({"where": "a"})',
        "observation: A key lies at the a.",
        'action: look({"where": "b"})',
    ]
    assert told[4].startswith("observation: Tool call limit exceeded")


def test_a_limit_of_the_model_ends_the_run_with_all_logged(memory: Memory) -> None:
    agent, _ = made(memory, SCRIPT, ModelCallLimitMiddleware(run_limit=1, exit_behavior="end"))
    agent.invoke(USER, thread())
    assert logged(memory)[:4] == LOOKED[:4]
    assert "limit" in logged(memory)[4]
    assert memory.episodes()[0].ended is not None


def test_an_unknown_tool_and_a_command_are_logged_from_the_state(memory: Memory) -> None:
    agent, _ = made(memory, [calls(("noted", {"text": "x"})), calls(("nothing", {}), first=2), "Done."])
    agent.invoke(USER, thread())
    told = logged(memory)
    assert told[1:4] == ['action: noted({"text": "x"})', "observation: noted x", "action: nothing({})"]
    assert told[4].startswith("observation: Error: nothing is not a valid tool")
    assert len(told) == 6


def _last(pair: tuple[str, str]) -> str:
    return pair[1][-6:]


class Answer(BaseModel):
    """Where it is."""

    place: str


def test_structured_output_is_given_and_logged(memory: Memory) -> None:
    model = ScriptedChatModel(script=[SCRIPT[0], calls(("Answer", {"place": "door"}), first=2)])
    mine = EpisodicMemory(memory)
    agent = create_agent(model, TOOLS, middleware=[mine], response_format=Answer, checkpointer=InMemorySaver())
    assert agent.invoke(USER, thread())["structured_response"] == Answer(place="door")
    assert logged(memory)[:4] == LOOKED[:4]
    assert logged(memory)[4] == 'action: Answer({"place": "door"})'
    assert len(logged(memory)) == 6


def test_summaries_are_nobodys_words_and_what_they_replaced_is_remembered(memory: Memory) -> None:
    summary = SummarizationMiddleware(
        ScriptedChatModel(script=["The key was sought."] * 9), trigger=("messages", 8), keep=("messages", 3)
    )
    script = [calls(("look", {"where": f"place {number}"})) for number in range(12)]
    agent, model = made(memory, [*script, "Found."], summary)
    state = agent.invoke(USER, thread())
    assert len(state["messages"]) < 10
    told = logged(memory)
    assert len(told) == 1 + 24 + 1
    assert not [text for text in told if "sought" in text]
    assert not any(map(orphans, model.prompts))


def test_a_summary_is_spans_of_what_was_said(memory: Memory) -> None:
    summary = SummarizationMiddleware(
        ScriptedChatModel(script=[]),
        trigger=("messages", 8),
        keep=("messages", 3),
        summarizer=summarizer(40),
        trim_tokens_to_summarize=None,
    )
    script = [calls(("look", {"where": f"place {number}"})) for number in range(12)]
    agent, _ = made(memory, [*script, "Found."], summary)
    said = agent.invoke(USER, thread())["messages"][0].text.rpartition("\n\n")[2]
    assert 0 < count(said) <= 40
    assert "place 1" in said
    assert len(logged(memory)) == 26


def test_the_state_holds_nothing_of_memory_and_checkpoints_are_as_without_it(memory: Memory) -> None:
    def run(*middleware: Any) -> tuple[list[str], int, set[str]]:
        saver = InMemorySaver()
        model = ScriptedChatModel(script=[*[calls(("look", {"where": str(n)})) for n in range(30)], "Found."])
        agent = create_agent(model, TOOLS, middleware=middleware, checkpointer=saver)
        state = agent.invoke(USER, thread())
        last = saver.get_tuple(thread())
        assert last is not None
        kept = {name for name in last.checkpoint["channel_values"] if not name.startswith("branch:")}
        return [message.text for message in state["messages"]], len(list(saver.list(thread()))), kept

    memory.episode(id="before").observe("The key was at the door yesterday.")
    without, with_ = run(), run(EpisodicMemory(memory, window=200, when="always"))
    assert with_[0] == without[0]
    assert with_[1] <= without[1] + 1
    assert with_[2] == without[2]


def test_a_restart_with_the_same_thread_goes_on_and_logs_nothing_twice(tmp_path: Path) -> None:
    script = [calls(("look", {"where": place})) for place in ("door", "mat", "shed")]
    with SqliteSaver.from_conn_string(str(tmp_path / "saver.db")) as saver:
        for said in ("Find the key.", "Again."):
            with Memory.open(tmp_path / "agent.mem", encoder=None, durability="process") as memory:
                agent, _ = made(memory, [*script, "Found."], saver=saver)
                agent.invoke({"messages": [HumanMessage(said)]}, thread())
    with Memory.open(tmp_path / "agent.mem", encoder=None) as memory:
        told = logged(memory)
        assert told[:1] + told[8:9] == ["message: Find the key.", "message: Again."]
        assert told[1:8] == told[9:]
        assert len(memory.episodes()) == 1
        assert memory.verify().ok


def test_without_a_thread_each_run_is_an_episode_of_its_last_turn(memory: Memory) -> None:
    model = ScriptedChatModel(script=["One.", "Two.", "Three."])
    agent = create_agent(model, TOOLS, middleware=[EpisodicMemory(memory)])
    history = [("user", "First."), ("assistant", "Earlier."), ("user", "Second.")]
    agent.invoke({"messages": history[:1]})
    state = agent.invoke({"messages": history})
    agent.invoke({"messages": [*state["messages"], ("user", "Third.")]})  # with the ids that they have now
    said = [[step.text for step in memory.steps(episode.id)] for episode in memory.episodes()]
    assert said == [["First.", "One."], ["Second.", "Two."], ["Third.", "Three."]]
    assert [episode.goal for episode in memory.episodes()] == ["First.", "Second.", "Third."]


def test_what_was_rewritten_is_logged_as_it_reads_now_and_what_was_erased_stays_so(memory: Memory) -> None:
    saver = InMemorySaver()
    agent, _ = made(memory, [*SCRIPT, "Yes."], saver=saver)
    state = agent.invoke(USER, thread())
    changed = [message.model_copy(update={"content": "(hidden)"}) for message in state["messages"][1:3]]
    agent.update_state(thread(), {"messages": changed})
    memory.erase(steps=[next(memory.steps()).id])
    for said in ("Sure?", "Really?"):
        again, _ = made(memory, ["Yes."], saver=saver)
        again.invoke({"messages": [HumanMessage(said)]}, thread())
    rewritten = ["message: (hidden)", "observation: (hidden)"]
    said = ["message: Sure?", "message: Yes.", "message: Really?", "message: Yes."]
    assert logged(memory) == [*LOOKED[1:], *rewritten, *said]


def test_what_the_model_repeats_of_its_context_is_marked_as_recalled(memory: Memory) -> None:
    fact = "The spare key hangs behind the blue boat in the old shed."
    with memory.episode(id="before") as episode:
        episode.observe(fact)
    agent, model = made(memory, [f"I remember: {fact}"])
    agent.invoke({"messages": [HumanMessage("Where does the spare key hang?")]}, thread())
    assert fact in model.prompts[0][-1].text
    answer = list(memory.steps())[-1]
    assert [answer.text[start:end] for start, end in answer.recalled] == [fact[:-1]]


def test_what_is_no_text_is_cleaned_or_named(memory: Memory) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    agent, _ = made(memory, [AIMessage("odd \ud800 text")])
    agent.invoke({"messages": [HumanMessage([{"type": "text", "text": "See."}, picture])]}, thread())
    assert logged(memory) == ["message: See.\n[image_url]", "message: odd ? text"]


def test_calls_without_ids_are_logged_and_shown_with_their_answers(memory: Memory) -> None:
    asked = AIMessage("", tool_calls=[{"name": "look", "args": {"where": "mat"}, "id": None}])
    agent, model = made(memory, ["Well."])
    agent.invoke({"messages": [HumanMessage("First."), asked, HumanMessage("Then.")]}, thread())
    assert logged(memory)[:3] == ["message: First.", 'action: look({"where": "mat"})', "message: Then."]
    assert len(model.prompts[0]) == 4
