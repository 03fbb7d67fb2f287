"""Personal assistant: a new conversation every day, and what was said months ago is known in each.

    python examples/personal_assistant.py --model openai:gpt-4o

Preferences change, and the newest holds; what held on a day can still be asked. In the end one person's data is erased.
Without --model a rule answers: of the user's lines in its planning context it quotes the one that shares most words
with the question, of equals the newest. A clock of our own stands in for the months.

Prints:

    2026-01-12 ann: My usual breakfast drink is coffee with oat milk.
        Noted.
    2026-01-12 bob: My usual breakfast drink is cocoa.
        Noted.
    2026-02-03 ann: When you book trains, I like a window seat in the quiet coach.
        Noted.
    2026-04-20 ann: I sleep badly. From now on my usual breakfast drink is mint tea.
        Noted.
    2026-06-01 ann: Which breakfast drink shall the hotel serve, my usual one?
        You said: "I sleep badly. From now on my usual breakfast drink is mint tea."
        without memory: You have not told me.
    2026-06-02 ann: Which seat do I like on trains?
        You said: "When you book trains, I like a window seat in the quiet coach."
        without memory: You have not told me.
    2026-06-02 bob: What is my usual drink at breakfast?
        You said: "My usual breakfast drink is cocoa."
        without memory: You have not told me.

    The same as of 1 March: You said: "My usual breakfast drink is coffee with oat milk."

    Ann leaves: 10 steps are hers.
    residue: none; verified: True; files that hold her words: none
    2026-06-03 ann: Which breakfast drink shall the hotel serve, my usual one?
        You have not told me.
    2026-06-03 bob: What is my usual drink at breakfast?
        You said: "My usual breakfast drink is cocoa."
"""

import argparse
import re
import tempfile
from pathlib import Path

from langchain.agents import create_agent
from langchain_core.messages import BaseMessage
from langgraph.checkpoint.memory import InMemorySaver

from agentmem import Memory
from agentmem.errors import exit_with_message
from agentmem.langchain import EpisodicMemory, chat_model
from agentmem.testing import FakeClock, ScriptedChatModel

SYSTEM = (
    "You are a personal assistant. Answer in a sentence from what the user has told; where it was not told, say so."
)
DRINK = "Which breakfast drink shall the hotel serve, my usual one?"
COCOA = "What is my usual drink at breakfast?"
SAID = [
    ("2026-01-12", "ann", "My usual breakfast drink is coffee with oat milk."),
    ("2026-01-12", "bob", "My usual breakfast drink is cocoa."),
    ("2026-02-03", "ann", "When you book trains, I like a window seat in the quiet coach."),
    ("2026-04-20", "ann", "I sleep badly. From now on my usual breakfast drink is mint tea."),
    ("2026-06-01", "ann", DRINK),
    ("2026-06-02", "ann", "Which seat do I like on trains?"),
    ("2026-06-02", "bob", COCOA),
]


def rule(prompt: list[BaseMessage]) -> str:
    """The model of those who have none."""
    lines = [line for message in prompt if message.type == "human" for line in str(message.text).split("\n")]
    told = [line.removeprefix("user: ") for line in lines if line.startswith("user: ") and not line.endswith("?")]
    question = next((line for line in lines if line.endswith("?") and not line.startswith("user: ")), None)
    if question is None:
        return "Noted."
    shared = [(len(words(question) & words(line)), place) for place, line in enumerate(told)]
    most, place = max(shared, default=(0, 0))
    return f'You said: "{told[place]}"' if most > 1 else "You have not told me."


def words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"\w{4,}", text.lower())}


parser = argparse.ArgumentParser(description="Talk to an assistant on some days of half a year, then be forgotten.")
parser.add_argument("--model", help="such as openai:gpt-4o")
options = parser.parse_args()
with exit_with_message():
    model = chat_model(options.model) if options.model else ScriptedChatModel(script=rule)
clock, saver = FakeClock(), InMemorySaver()

with tempfile.TemporaryDirectory() as folder, Memory.open(Path(folder) / "assistant.mem", clock=clock) as memory:
    assistant = create_agent(model, system_prompt=SYSTEM, middleware=[EpisodicMemory(memory)], checkpointer=saver)
    without = create_agent(model, system_prompt=SYSTEM)

    def say(day: str, user: str, text: str) -> str:
        """One conversation a day; `user_id` says whose memory it is, and no text can change that."""
        clock.set(f"{day}T08:00")
        config = {"configurable": {"thread_id": f"{user}/{day}", "user_id": user}}
        return assistant.invoke({"messages": [("user", text)]}, config)["messages"][-1].text

    for day, user, text in SAID:
        print(f"{day} {user}: {text}\n    {say(day, user, text)}")
        if text.endswith("?"):
            answer = without.invoke({"messages": [("user", text)]})["messages"][-1].text
            print(f"    without memory: {answer}")

    then = memory.scoped("ann").recall(DRINK, as_of="2026-03-01")
    answer = model.invoke([("system", SYSTEM), ("user", f"{DRINK}\n{then.text}")]).text
    print(f"\nThe same as of 1 March: {answer}")

    print(f"\nAnn leaves: {memory.erase(namespace=['ann'], dry_run=True).steps} steps are hers.")
    residue = memory.erase(namespace=["ann"]).residue
    for day, user, _ in SAID:
        if user == "ann":
            saver.delete_thread(f"{user}/{day}")  # a checkpointer keeps conversations of its own
    left = [file.name for file in Path(folder).iterdir() if b"mint tea" in file.read_bytes()]
    print(f"residue: {residue or 'none'}; verified: {memory.verify().ok}; files that hold her words: {left or 'none'}")
    print(f"2026-06-03 ann: {DRINK}\n    {say('2026-06-03', 'ann', DRINK)}")
    print(f"2026-06-03 bob: {COCOA}\n    {say('2026-06-03', 'bob', COCOA)}")
