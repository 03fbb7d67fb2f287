"""A long run of an agent over a real shift: flat prompts that hold what is needed, nothing logged twice, and a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import pytest
from agents import Desk, Killed, Timed, at_desk, begin, desk, orphans, thread, work
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver

from agentmem import Memory
from agentmem.langchain import EpisodicMemory
from agentmem.testing import ScriptedChatModel

ROOT = Path(__file__).parent.parent
CHILD = (
    "import sys; from pathlib import Path; from agents import work; work(Path(sys.argv[1]), {most}, {at}, {options})"
)


def killed(folder: Path, most: int, at: int, **options: int) -> None:
    """Play a shift in another process, which is killed after so many calls."""
    said = ", ".join(f"{name}={value}" for name, value in options.items())
    code = CHILD.format(most=most, at=at, options=said)
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(ROOT / "environments")])
    ran = subprocess.run([sys.executable, "-c", code, str(folder)], env={**os.environ, "PYTHONPATH": paths})
    assert ran.returncode == -signal.SIGKILL


def sizes(model: ScriptedChatModel) -> list[int]:
    """Tokens of every prompt."""
    return [sum(model.get_num_tokens_from_messages([message]) for message in prompt) for prompt in model.prompts]


def check_log(file: Path, calls: int) -> None:
    """Each call and its answer stands there once, in the order they were made."""
    with Memory.open(file, read_only=True) as memory:
        steps = list(memory.steps("t1"))
        assert [step.kind for step in steps] == ["message", *["action", "observation"] * calls, "message"]
        keys = [step.key for step in steps]
        assert len(set(keys)) == len(keys)
        assert memory.verify().ok


def check_prompts(model: ScriptedChatModel, messages: Sequence[BaseMessage]) -> None:
    """Within half of the model's window and the budget beside what is fixed; no call apart from its answer."""
    assert max(sizes(model)) <= 4_000 + 1_024 + 50
    assert not any(map(orphans, model.prompts))
    assert not [message for message in messages if message.additional_kwargs.get("lc_source")]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_remembering(tmp_path: Path) -> None:
    """100 calls, killed after 60, in a shift in which what was told is needed 40 calls later or more."""
    killed(tmp_path, 100, 60, steps=100, delay=40)
    place, messages, model, _ = work(tmp_path, 100, steps=100, delay=40)
    check_log(tmp_path / "agent.mem", 100)
    check_prompts(model, messages)
    assert len(model.prompts) < 50  # it went on, and did not begin again
    after = place.right[-len(place.shown) :]
    assert len(after) >= 10
    assert fmean(after) >= 0.8


def test_what_gave_way_is_there_when_it_is_needed() -> None:
    place, saver = desk(100, steps=100, delay=40), InMemorySaver()
    agent, model = at_desk(place, [EpisodicMemory(Memory.open(":memory:"))], tokens=4_000, saver=saver)
    agent.invoke(begin(place), thread())
    assert len(place.shown) >= 15
    assert fmean(place.shown) >= 0.85
    assert fmean(place.kept) <= 0.4
    assert len(list(saver.list(thread()))) <= 2 * 100 + 3 + 1  # two for each call, three for a run, one for its end
    assert max(sizes(model)) <= 2_000 + 1_024 + 50
    assert fmean(sizes(model)[-25:]) <= 1.1 * fmean(sizes(model)[50:75])


@pytest.mark.slow
def test_five_hundred_calls_with_a_kill_in_the_middle(tmp_path: Path) -> None:
    killed(tmp_path, 500, 250)
    place, messages, model, mine = work(tmp_path, 500)
    check_log(tmp_path / "agent.mem", 500)
    check_prompts(model, messages)
    report(place, messages, model, mine)
    later = sizes(model)
    assert fmean(later[-100:]) <= 1.1 * fmean(later[:100])
    assert fmean(place.right[-len(place.shown) :]) >= 0.9


@pytest.mark.slow
def test_five_hundred_calls_are_flat_and_add_no_checkpoints() -> None:
    def run(*middleware: Timed) -> tuple[Desk, list[BaseMessage], ScriptedChatModel, int]:
        place, saver = desk(500), InMemorySaver()
        agent, model = at_desk(place, middleware, saver=saver)
        state = agent.invoke(begin(place), thread())
        return place, state["messages"], model, len(list(saver.list(thread())))

    mine = Timed(Memory.open(":memory:"))
    place, messages, model, checkpoints = run(mine)
    report(place, messages, model, mine)
    check_prompts(model, messages)
    flat = sizes(model)
    assert fmean(flat[-100:]) <= 1.1 * fmean(flat[100:200])
    assert checkpoints <= 1.05 * run()[3]


def report(place: Desk, messages: Sequence[BaseMessage], model: ScriptedChatModel, mine: Timed | Killed) -> None:
    """What a run came to; `pytest -s` shows it."""
    flat, whole = sizes(model), sum(model.get_num_tokens_from_messages([message]) for message in messages)
    pairs = list(zip(mine.spent[::2], mine.spent[1::2], strict=False))
    wall, cpu = (1000 * median(one[at] + other[at] for one, other in pairs) for at in (0, 1))
    print(f"\nprompts: {max(flat):,} tokens at most, {fmean(flat[-100:]):,.0f} in the last 100; history: {whole:,}")
    print(f"added for each call: {wall:.1f} ms, {cpu:.1f} ms of processor time, p50")
    print(f"hidden decisions: {fmean(place.right):.3f} right of {len(place.right)}; {fmean(place.shown):.3f} shown")
