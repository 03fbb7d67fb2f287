"""Which messages of a long conversation a prompt shows: the newest, by whole groups, cut in blocks.

Pure: where it cuts is a function of the messages, the window and the counter, so between two cuts a prompt only grows at
its end, and a restarted process cuts in the same place. Knows tokens and groups; knows no memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from agentmem.langchain.counting import Counter
from agentmem.langchain.messages import groups_of, words_of
from agentmem.tokens import truncate

BLOCKS = 4
"""Parts of a window; one gives way at a time."""
NameOf = Callable[[BaseMessage], str | None]
"""The id of the step that holds a message whole; None where there is none, and it has to stay as it is."""
Stubs = dict[tuple[str | None, int], tuple[BaseMessage, BaseMessage]]
"""(id, tokens) -> a message, and its beginning."""


@dataclass(frozen=True)
class Fitted:
    """What is shown. whole: those of the messages that are as they were. trimmed: how many gave way. tokens: of all."""

    messages: list[BaseMessage]
    whole: list[BaseMessage]
    trimmed: int
    tokens: int


class Fitting:
    """Fits messages into `window` tokens; results of over `large` tokens are shown by their beginning.

    stubs: those made before, so that they are made once.
    """

    def __init__(self, counter: Counter, window: int, large: int, name_of: NameOf, stubs: Stubs, hint: str) -> None:
        self.counter, self.window, self.large = counter, window, large
        self.name_of, self.stubs, self.hint = name_of, stubs, hint

    def fit(self, messages: Sequence[BaseMessage]) -> Fitted:
        before = groups_of(messages)
        groups = [self._shortened(group) for group in before]
        sizes = [sum(map(self.counter.message, group)) for group in groups]
        start, pinned = self._cut(groups, sizes)
        shown = [*pinned, *(message for group in groups[start:] for message in group)]
        given = {id(message) for group in before for message in group}
        whole = [message for message in shown if id(message) in given]
        tokens = sum(sizes[start:]) + sum(map(self.counter.message, pinned))
        return Fitted(shown, whole, sum(map(len, groups[:start])) - len(pinned), tokens)

    def _cut(self, groups: Sequence[list[BaseMessage]], sizes: Sequence[int]) -> tuple[int, list[BaseMessage]]:
        """The first group to show, and the user's message that is shown in front of it."""
        ends = [0, *accumulate(sizes)]
        block, total = max(1, self.window // BLOCKS), ends[-1]
        given, start = max(0, total - self.window) // block * block, 0
        pinned: list[BaseMessage] = []
        while start < len(groups) - 1 and total - ends[start] + sum(map(self.counter.message, pinned)) > self.window:
            start = min(bisect_left(ends, given), len(groups) - 1)
            pinned = self._pinned(groups, start)
            given += block
        return start, pinned

    def _pinned(self, groups: Sequence[list[BaseMessage]], start: int) -> list[BaseMessage]:
        """What the user said last before these groups, unless they begin with what he says."""
        if not start or isinstance(groups[start][0], HumanMessage):
            return []
        before = (groups[place][0] for place in range(start - 1, -1, -1))
        said = next((message for message in before if isinstance(message, HumanMessage)), None)
        return [] if said is None else [self._stub(said, self.window // BLOCKS)]

    def _shortened(self, group: list[BaseMessage]) -> list[BaseMessage]:
        """Results that are too long shown by their beginning; those of one message have half the window at most."""
        if len(group) == 1:
            return group
        most = min(self.large, self.window // 2 // (len(group) - 1))
        return [self._stub(each, most) if isinstance(each, ToolMessage) else each for each in group]

    def _stub(self, message: BaseMessage, most: int) -> BaseMessage:
        """A message of at most `most` tokens: itself, or its beginning and where the rest is."""
        if self.counter.message(message) <= most:
            return message
        known = self.stubs.get((message.id, most))
        if known is None or known[0] is not message:
            known = self.stubs[message.id, most] = message, self._shortened_to(message, most)
        return known[1]

    def _shortened_to(self, message: BaseMessage, most: int) -> BaseMessage:
        step = self.name_of(message)
        if step is None:
            return message
        text, count = words_of(message), self.counter.text
        note = f"\n[cut here; the whole is step {step}{self.hint.format(step)}]"
        overhead = self.counter.message(message.model_copy(update={"content": "", "id": None}))
        room = most - overhead - count(note)
        return message.model_copy(
            update={"content": truncate(text, max(0, room), count) + note, "id": f"{message.id}/{most}"}
        )
