"""Which messages of a long conversation a prompt shows: the newest, by whole groups, cut in blocks.

Pure: where it cuts is a function of the messages, the window and the counter. So between two cuts a prompt only grows
at its end, and a restarted process cuts in the same place. Knows tokens and groups; knows no memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from agentmem.langchain.counting import Counter
from agentmem.langchain.messages import groups_of, words_of
from agentmem.tokens import truncate

BLOCKS = 4
"""Parts of a window; one gives way at a time."""


class Shown(NamedTuple):
    """A message of the state, and what the prompt shows of it."""

    message: BaseMessage
    as_: BaseMessage


Stubs = dict[tuple[str | None, int], Shown]
"""(id, tokens) -> a message and its beginning, made once."""
Group = list[Shown]


@dataclass(frozen=True)
class Fitted:
    """What is shown, in order. trimmed: how many messages gave way. tokens: of what is shown."""

    shown: list[Shown]
    trimmed: int
    tokens: int

    @property
    def whole(self) -> list[BaseMessage]:
        """The messages that are shown as they are."""
        return [message for message, as_ in self.shown if message is as_]


@dataclass
class Fitting:
    """Fits messages into `window` tokens; results of over `large` tokens are shown by their beginning.

    step_of: the id of the step that holds a message; None where there is none, and it has to stay as it is. hint: what
    is said behind that id.
    """

    counter: Counter
    window: int
    large: int
    step_of: Callable[[BaseMessage], str | None]
    stubs: Stubs
    hint: str = ""

    def fit(self, messages: Sequence[BaseMessage]) -> Fitted:
        groups = [self._shortened(group) for group in groups_of(messages)]
        sizes = [self._tokens(group) for group in groups]
        start, pinned = self._cut(groups, sizes)
        shown = [*pinned, *(each for group in groups[start:] for each in group)]
        trimmed = sum(map(len, groups[:start])) - len(pinned)
        return Fitted(shown, trimmed, sum(sizes[start:]) + self._tokens(pinned))

    def _tokens(self, group: Group) -> int:
        return sum(self.counter.message(each.as_) for each in group)

    def _cut(self, groups: Sequence[Group], sizes: Sequence[int]) -> tuple[int, Group]:
        """The first group to show, and the user's message that is shown in front of it."""
        ends = [0, *accumulate(sizes)]
        block, total = max(1, self.window // BLOCKS), ends[-1]
        given, start, pinned = max(0, total - self.window) // block * block, 0, Group()
        while start < len(groups) - 1 and total - ends[start] + self._tokens(pinned) > self.window:
            start = min(bisect_left(ends, given), len(groups) - 1)
            pinned = self._pinned(groups, start)
            given += block
        return start, pinned

    def _pinned(self, groups: Sequence[Group], start: int) -> Group:
        """What the user said last before these groups, unless they begin with what he says."""
        if not start or isinstance(groups[start][0].message, HumanMessage):
            return []
        before = (groups[place][0].message for place in range(start - 1, -1, -1))
        said = next((message for message in before if isinstance(message, HumanMessage)), None)
        return [] if said is None else [self._stub(said, self.window // BLOCKS)]

    def _shortened(self, group: list[BaseMessage]) -> Group:
        """Results that are too long shown by their beginning; those of one message have half the window at most."""
        most = min(self.large, self.window // 2 // max(1, len(group) - 1))
        return [self._stub(each, most) if isinstance(each, ToolMessage) else Shown(each, each) for each in group]

    def _stub(self, message: BaseMessage, most: int) -> Shown:
        """A message of at most `most` tokens: itself, or its beginning and where the rest is."""
        if self.counter.message(message) <= most:
            return Shown(message, message)
        known = self.stubs.get((message.id, most))
        if known is None or known.message is not message:
            known = self.stubs[message.id, most] = Shown(message, self._beginning(message, most))
        return known

    def _beginning(self, message: BaseMessage, most: int) -> BaseMessage:
        if (step := self.step_of(message)) is None:
            return message
        count = self.counter.text
        note = f"\n[cut here; the whole is step {step}{self.hint.format(step)}]"
        bare = message.model_copy(update={"content": note, "id": f"{message.id}/{most}"})
        text = truncate(words_of(message), max(0, most - self.counter.message(bare)), count)
        return bare.model_copy(update={"content": text + note})
