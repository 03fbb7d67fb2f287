"""LangChain's SummarizationMiddleware: its hook and LangGraph's reducer of messages, with no graph around them.

It has no search: what it keeps is one text, whatever is asked. It holds at most `BUDGET` tokens of messages, of which
the newest half stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import unescape
from importlib import import_module
from pathlib import Path
from typing import Any

from agentmem.bench.peers.peer import BUDGET, Answer, Item, Lasting
from agentmem.bench.recall.counting import best
from agentmem.tokens import count

OVERHEAD = 32
"""Tokens left for the line that its summary begins with, and for line breaks."""
MESSAGE = re.compile(r'<message type="[^"]*">(.*?)</message>', re.DOTALL)
"""How the middleware's prompt tells what was said."""
WORDS = 8
"""Words of each message that the scripted model repeats."""


class Summarized(Lasting):
    """summarizer: what makes the summary; the scripted model where none is given."""

    def __init__(self, middleware: Any) -> None:
        self.middleware, self.messages = middleware, list[Any]()
        self._add = import_module("langgraph.graph.message").add_messages
        self._kind = import_module("langchain_core.messages").HumanMessage

    def add(self, item: Item) -> object:
        return self.add_many([item])

    def add_many(self, items: Sequence[Item]) -> object:
        """A message, then the hook that comes before the model is called."""
        for item in items:
            self.messages = self._add(self.messages, [self._kind(item.text, id=item.key)])
            changed = self.middleware.before_model({"messages": self.messages}, None)
            if changed is not None:
                self.messages = self._add(self.messages, changed["messages"])
        return None

    def search(self, cue: str, most: int) -> Any:
        return self.messages

    def answer(self, found: Any) -> Answer:
        return "\n".join(message.text for message in found)


def scripted(folder: Path) -> Summarized:
    """A chat model that repeats the first words of each message it is given: no language model."""
    return Summarized(_middleware(None))


def extractive(folder: Path) -> Summarized:
    """`agentmem.langchain.summarizer` makes the summary."""
    from agentmem.langchain import summarizer

    return Summarized(_middleware(summarizer(BUDGET // 2 - OVERHEAD)))


def _middleware(summarizer: Any) -> Any:
    from agentmem.testing import ScriptedChatModel

    counted = best().count

    def count_messages(messages: Iterable[Any]) -> int:
        return sum(counted(message.text) + 1 for message in messages)

    return import_module("langchain.agents.middleware").SummarizationMiddleware(
        ScriptedChatModel(script=first_words),
        trigger=("tokens", BUDGET),
        keep=("tokens", BUDGET // 2 - OVERHEAD),
        token_counter=count_messages,
        trim_tokens_to_summarize=None,
        summarizer=summarizer,
    )


def first_words(prompt: Sequence[Any]) -> str:
    """The beginning of each message that the prompt tells, of the newest ones that fit half of the budget."""
    kept, left = list[str](), BUDGET // 2 - OVERHEAD
    for message in reversed(MESSAGE.findall(prompt[-1].text)):
        words = " ".join(unescape(message).split()[:WORDS])
        if (cost := count(words) + 1) <= left:
            kept, left = [words, *kept], left - cost
    return "\n".join(kept)
