"""Tutor: a school year of exercises is logged, and the next lesson is planned from what is recalled of each topic.

    python examples/tutor.py --model openai:gpt-4o

The agent has memory as a tool: it asks for each topic, reads at most 400 tokens of it, and plans. Without --model a
rule does so: where one of the last four answers that it reads is wrong, the topic is to be practised, and what stands
there says why. The pupil is a rule as well, and understands one topic after the other; two of them never.

Prints:

    Week 12
      from what is recalled, 1,930 tokens:
        Practise fractions (adds the bottoms, 4 of 4), powers (multiplies by the exponent, 2 of 4), negatives
        (loses a minus, 2 of 4), brackets (ignores the brackets, 3 of 4).
      from the last lesson, 148 tokens:
        Practise powers (multiplies by the exponent, 1 of 4).
      from all, 7,071 tokens:
        Practise fractions (adds the bottoms, 4 of 4), powers (multiplies by the exponent, 1 of 4), negatives
        (loses a minus, 4 of 4), brackets (ignores the brackets, 3 of 4).
    Week 24
      from what is recalled, 1,956 tokens:
        Practise fractions (adds the bottoms, 4 of 4), negatives (loses a minus, 2 of 4), brackets (ignores the
        brackets, 3 of 4).
      from the last lesson, 232 tokens:
        Practise fractions (adds the bottoms, 4 of 4), negatives (loses a minus, 1 of 4).
      from all, 13,719 tokens:
        Practise fractions (adds the bottoms, 4 of 4), negatives (loses a minus, 1 of 4), brackets (ignores the
        brackets, 3 of 4).
    Week 36
      from what is recalled, 1,961 tokens:
        Practise fractions (adds the bottoms, 3 of 4), brackets (ignores the brackets, 1 of 4).
      from the last lesson, 170 tokens:
        Practise brackets (ignores the brackets, 1 of 4).
      from all, 19,872 tokens:
        Practise fractions (adds the bottoms, 3 of 4), brackets (ignores the brackets, 1 of 4).
"""

import argparse
import random
import re
import textwrap
from collections.abc import Sequence

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.tools import BaseTool

from agentmem import Memory
from agentmem.errors import exit_with_message
from agentmem.langchain import chat_model, memory_tools
from agentmem.testing import ScriptedChatModel
from agentmem.tokens import count

SYLLABUS = {  # an exercise, the right answer, the wrong one; what goes wrong; the week in which it is understood
    "fractions": (lambda a, b: (f"1/{a} + 1/{b}", f"{a + b}/{a * b}", f"2/{a + b}"), "adds the bottoms", 99),
    "percentages": (lambda a, b: (f"{a}0 % of {b}0", a * b, 10 * (b - a)), "takes the number off", 8),
    "powers": (lambda a, b: (f"{a}^{b}", a**b, a * b), "multiplies by the exponent", 20),
    "negatives": (lambda a, b: (f"{a} - (-{b})", a + b, a - b), "loses a minus", 30),
    "brackets": (lambda a, b: (f"{a} * ({b} + 3)", a * (b + 3), a * b + 3), "ignores the brackets", 99),
}
SYSTEM = (
    f"You are a tutor. Before you plan a lesson, recall how each of {', '.join(SYLLABUS)} went in the last weeks, "
    "one by one, by the number of the week. Then name the topics that still go wrong, and what goes wrong there."
)


def exercise(topic: str, week: int) -> str:
    """What the tutor notes of an exercise."""
    make, mistake, learned = SYLLABUS[topic]
    asked, right, wrong = make(draw.randint(2, 9), draw.randint(2, 9))
    if week >= learned or right == wrong or draw.random() < 0.3:
        return f"{topic}: {asked} = {right} is right"
    return f"{topic}: {asked} = {wrong} is wrong, it is {right}: {mistake}"


def rule(prompt: Sequence[BaseMessage]) -> str | AIMessage:
    """The model of those who have none: it recalls each topic, then plans."""
    if prompt[-1].type == "tool":
        return planned(prompt)
    week = int(re.findall(r"week (\d+)", str(prompt[-1].text))[0])
    asked = [
        {"name": "recall", "args": {"query": f"{topic} in week {week - 1} and week {week}"}, "id": topic}
        for topic in SYLLABUS
    ]
    return AIMessage("", tool_calls=asked)


def planned(prompt: Sequence[BaseMessage]) -> str:
    lines = "\n".join(str(message.text) for message in prompt if message.type != "system").split("\n")
    plan = []
    for topic in SYLLABUS:
        newest = [line for line in lines if f"{topic}: " in line][-4:]
        wrong = [re.sub(r" <\w+>$", "", line) for line in newest if " is wrong" in line]
        if wrong:
            plan.append(f"{topic} ({wrong[-1].rpartition(': ')[2]}, {len(wrong)} of {len(newest)})")
    return f"Practise {', '.join(plan)}." if plan else "Nothing went wrong: take a new topic."


def tutor(tools: Sequence[BaseTool]) -> object:
    script = ScriptedChatModel(script=rule if tools else planned)
    return create_agent(chat_model(options.model) if options.model else script, tools, system_prompt=SYSTEM)


parser = argparse.ArgumentParser(description="Teach for a year, and plan lessons from memory.")
parser.add_argument("--model", help="such as openai:gpt-4o")
options = parser.parse_args()
draw = random.Random(0)
taught: list[str] = []

with exit_with_message(), Memory.open(":memory:") as memory:
    remembering, without = tutor(memory_tools(memory, ["recall"], budget=400)), tutor([])
    for week in range(1, 37):
        for day in (1, 2, 3):
            notes = [exercise(topic, week) for topic in draw.sample(list(SYLLABUS), 2) for _ in range(4)]
            with memory.episode(f"lesson {day} of week {week}", f"week-{week}-{day}") as lesson:
                lesson.log_many(notes)
            taught += notes
        if week % 12 == 0:
            ask = f"It is the end of week {week}. Plan the next lesson."
            print(f"Week {week}")
            rows = [
                ("what is recalled", remembering, []),
                ("the last lesson", without, notes),
                ("all", without, taught),
            ]
            for name, agent, given in rows:
                messages = agent.invoke({"messages": [("user", "\n".join([*given, ask]))]})["messages"]
                read = sum(count(message.text) for message in messages if message.type != "ai")
                print(f"  from {name}, {read:,} tokens:")
                print(textwrap.fill(messages[-1].text, 110, initial_indent="    ", subsequent_indent="    "))
