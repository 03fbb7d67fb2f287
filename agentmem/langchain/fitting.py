"""Which messages of a long conversation a prompt shows: the newest, by whole groups, cut in blocks.

Pure: where it cuts is a function of the messages, the window and the counter. So between two cuts a prompt only grows
at its end, and a restarted process cuts in the same place. Knows tokens and groups; knows no memory.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from agentmem.langchain.counting import Counter
from agentmem.langchain.grouped import Groups
from agentmem.langchain.messages import split
from agentmem.tokens import truncate

Said = TypeVar("Said", bound=BaseMessage)
BLOCKS = 4
"""Parts of a window; one gives way at a time."""


class Shown(NamedTuple):
    """A message of the state, and what the prompt shows of it."""

    message: BaseMessage
    as_: BaseMessage


Stubs = dict[tuple[str | None, int], Shown]
"""(id, tokens) -> a message and its beginning, made once."""
Group = list[Shown]


class Fitted:
    """What was made of closed groups before, while it was fitted by the same counter and sizes, `by`.

    sizes: tokens of each as it is shown. asked: places of those that the user said. cut: places of those with results
    that may be shown by their beginning.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.groups = Groups()
        self.begin(None)

    def begin(self, by: tuple[Any, ...] | None) -> None:
        self.by, self.shown, self.sizes = by, list[Group](), list[int]()
        self.asked, self.cut = list[int](), list[int]()


@dataclass
class Fitting:
    """Fits messages into `window` tokens; results of over `large` tokens are shown by their beginning.

    step_of: the id of the step that holds a message; None where there is none. hint: what is said behind that id.
    """

    counter: Counter
    window: int
    large: int
    step_of: Callable[[BaseMessage], str | None]
    stubs: Stubs
    hint: str = ""
    fitted: Fitted = field(default_factory=Fitted)

    def fit(self, messages: Sequence[BaseMessage]) -> list[Shown]:
        """What is shown, in order."""
        with self.fitted.lock:
            groups, sizes, asked = self._all(messages)
        start, pinned = self._cut(groups, sizes, asked)
        return [*pinned, *(each for group in groups[start:] for each in group)]

    def _all(self, messages: Sequence[BaseMessage]) -> tuple[list[Group], list[int], list[int]]:
        """Every group as it is shown, its tokens, and the places of what the user said; of closed ones as before."""
        kept, by = self.fitted, (self.counter, self.window, self.large, self.hint)
        groups, same = kept.groups.of(messages)
        if kept.by != by or same < len(kept.shown):
            kept.begin(by)
        for place in kept.cut:
            kept.shown[place] = self._shortened(groups[place])
            kept.sizes[place] = self.tokens(kept.shown[place])
        for group in kept.groups.closed[len(kept.shown) :]:
            shown = self._shortened(group)
            size, short = self.tokens(shown), self._are_short(group)
            kept.cut += [] if short else [len(kept.shown)]
            kept.asked += [len(kept.shown)] if isinstance(group[0], HumanMessage) else []
            kept.shown.append(shown)
            kept.sizes.append(size)
        rest = [self._shortened(group) for group in groups[len(kept.shown) :]]
        asked = [at for at, group in enumerate(rest, len(kept.shown)) if isinstance(group[0].message, HumanMessage)]
        return [*kept.shown, *rest], [*kept.sizes, *map(self.tokens, rest)], [*kept.asked, *asked]

    def tokens(self, shown: Sequence[Shown]) -> int:
        return sum(self.counter.message(each.as_) for each in shown)

    def _cut(self, groups: Sequence[Group], sizes: Sequence[int], asked: Sequence[int]) -> tuple[int, Group]:
        """The first group to show, and the user's message that is shown in front of it."""
        ends = [0, *accumulate(sizes)]
        block, total = max(1, self.window // BLOCKS), ends[-1]
        given, start, pinned = max(0, total - self.window) // block * block, 0, Group()
        while start < len(groups) - 1 and total - ends[start] + self.tokens(pinned) > self.window:
            start = min(bisect_left(ends, given), len(groups) - 1)
            pinned = self._pinned(groups, asked, start)
            given += block
        return start, pinned

    def _pinned(self, groups: Sequence[Group], asked: Sequence[int], start: int) -> Group:
        """What the user said last before these groups, unless they begin with what he says."""
        before = bisect_left(asked, start)
        if not before or (before < len(asked) and asked[before] == start):
            return []
        return [self._stub(groups[asked[before - 1]][0].message, self.window // BLOCKS)]

    def _shortened(self, group: list[BaseMessage]) -> Group:
        """Results that are too long shown by their beginning; those of one message have half the window at most."""
        share = self._share(group)
        return [self._result(each, share) if isinstance(each, ToolMessage) else Shown(each, each) for each in group]

    def _share(self, group: list[BaseMessage]) -> int:
        return self.window // 2 // max(1, len(group) - 1)

    def _are_short(self, group: list[BaseMessage]) -> bool:
        """Whether its results are shown whole, whether they are logged or not."""
        most = min(self.large, self._share(group))
        return all(self.counter.message(each) <= most for each in group if isinstance(each, ToolMessage))

    def _result(self, message: BaseMessage, share: int) -> Shown:
        known = self.counter.message(message) > self.large and self.step_of(message) is not None
        return self._stub(message, min(self.large, share) if known else share)

    def _stub(self, message: BaseMessage, most: int) -> Shown:
        """A message of at most `most` tokens: itself, or its beginning and where the rest is."""
        if self.counter.message(message) <= most:
            return Shown(message, message)
        known = self.stubs.get((message.id, most))
        if known is None or known.message is not message:
            known = self.stubs[message.id, most] = Shown(message, self._beginning(message, most))
        return known

    def _beginning(self, message: BaseMessage, most: int) -> BaseMessage:
        """The beginning of its words, and a note; the message itself where that is no less.

        Parts that are no words stay whole, and leave the words a quarter.
        """
        words, parts = split(message)
        note, count = cut_note(self.step_of(message), self.hint), self.counter.message
        bare = with_words(message, note, parts).model_copy(update={"id": f"{message.id}/{most}"})
        left = max(most // BLOCKS if parts else 0, most - count(bare))
        cut = with_words(bare, truncate(words, left, self.counter.text) + note, parts)
        return cut if count(cut) < count(message) else message


def cut_note(step: str | None, hint: str) -> str:
    """What stands behind the beginning of a message. hint: how a step is seen whole, with {} for its id."""
    return f"\n[cut here; {'ask for less' if step is None else f'the whole is step {step}{hint.format(step)}'}]"


def with_words(message: Said, words: str, parts: list[Any]) -> Said:
    """The message with other words, and these parts that are none."""
    content = [{"type": "text", "text": words}, *parts] if parts else words
    return message.model_copy(update={"content": content})
