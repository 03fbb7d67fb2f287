"""The prompt of one call of the model: what of the conversation is shown, and the planning context in it.

Knows a thread, a counter and the request; nothing of it is stored in a state. Sync: what awaits runs it in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from langchain.agents.middleware import ModelRequest
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage, SystemMessage

from agentmem.answers import framed
from agentmem.errors import InvalidInputError
from agentmem.langchain.counting import Counter, CountMessages
from agentmem.langchain.fitting import BLOCKS, Fitting, Shown
from agentmem.langchain.messages import OURS, SOURCE, calls_of, turn_of, words_of
from agentmem.langchain.thread import Standing, Thread
from agentmem.langchain.when import Call, call_of
from agentmem.tokens import truncate
from agentmem.types import PlanningContext

WINDOW = 16_000
"""Tokens of newest messages that are kept for a model that does not say how many it takes."""
LEAST = 64
"""Tokens of messages without which a prompt makes no sense."""
SLACK = 4  # tokens by which a text may cost more in its frame than alone
CUE = 128  # tokens of one message that are asked for
FEW = 4  # words under which a cue says little
HEAD = "What memory holds of earlier steps that are not shown here: a record, no request."
Placement = Literal["tail", "system"]
Cue = Callable[[Sequence[BaseMessage]], str]


@dataclass(frozen=True)
class Settings:
    """See EpisodicMemory. due: whether to recall at a call; begun: whether what was recalled as a task started is to be
    there all along. hint: how the rest of what is cut is had."""

    budget: int
    window: int | None
    large: int | None
    placement: Placement
    due: Callable[[Call], bool]
    begun: bool
    cue: Cue
    count_tokens: CountMessages | None
    hint: str


def cue_of(messages: Sequence[BaseMessage]) -> str:
    """What memory is asked: what came last and what it answers; what the user said last as well where that says little.

    With the request in every cue less was found: docs/decisions/0013-langchain.md.
    """
    if not messages:
        return ""
    turn = turn_of(messages)
    newest = next(
        (place for place in range(len(messages) - 1, turn, -1) if isinstance(messages[place], AIMessage)), turn
    )
    texts = [*map(words_of, messages[newest:]), *_values(messages[newest])]
    if sum(len(text.split()) for text in texts) < FEW:
        texts.append(words_of(messages[turn]))
    return "\n".join(truncate(text, CUE) for text in dict.fromkeys(texts) if text)


def _values(message: BaseMessage) -> list[str]:
    """What a message's calls are called with."""
    return [" ".join(_leaves(call["args"])) for call in calls_of(message)]


def _leaves(given: object) -> Iterator[str]:
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, list):
        for each in given:
            yield from _leaves(each)
    else:
        yield str(given)


class Prompt:
    """One call's. Made, it has what was said and done until now logged.

    What of the state's messages gave way, or a middleware around this one changed or left out, is not shown whole.
    """

    def __init__(self, settings: Settings, thread: Thread, counter: Counter, asked: ModelRequest[Any]) -> None:
        self.settings, self.thread, self.counter, self.asked = settings, thread, counter, asked
        self.told: tuple[str, PlanningContext] | None = None
        self.recalled = False
        thread.settle(asked.state["messages"])
        self.shown = self._fitted()
        state = {message.id: message for message in asked.state["messages"]}
        same = [each for each in self.shown if _is_told(state.get(each.message.id), each.message)]
        self.whole = [message for message, as_ in same if message is as_]
        self._recall_if_due(trimmed=len(state) - len(same))

    def _fitted(self) -> list[Shown]:
        """What is shown of the messages. InvalidInputError if the newest of them are too much for the model."""
        window, left = self._room()
        large = window // BLOCKS if self.settings.large is None else self.settings.large
        hint, thread = self.settings.hint, self.thread
        fitting = Fitting(self.counter, window, large, thread.step_of, thread.stubs, hint, thread.fitted)
        shown = fitting.fit(self.asked.messages)
        if left is not None and (size := fitting.tokens(shown)) > left:
            raise InvalidInputError(
                f"the newest messages have {size:,} tokens, and the model has room for {left:,} beside the system "
                "message, the tools and memory; say less at once, or lower the budget"
            )
        return shown

    def _room(self) -> tuple[int, int | None]:
        """Tokens that messages may have, and those that the model can take; None where it does not say."""
        most = (self.asked.model.profile or {}).get("max_input_tokens")
        window = self.settings.window or (WINDOW if most is None else most // 2)
        if most is None:
            return window, None
        schema = () if self.asked.response_format is None else (self.asked.response_format,)
        fixed = self.counter.fixed(self.asked.system_message, (*self.asked.tools, *schema))
        if (left := most - fixed - self.settings.budget) < LEAST:
            raise InvalidInputError(
                f"the model takes {most:,} tokens, of which the system message and the tools have {fixed:,} and the "
                f"budget of memory {self.settings.budget:,}: {max(0, left):,} are left for messages; lower the budget, "
                "or offer fewer tools"
            )
        return min(window, left), left

    # ---- recalling -----------------------------------------------------------------------------------------------

    def _recall_if_due(self, trimmed: int) -> None:
        messages, standing = self.asked.messages, self.thread.standing
        away = standing is not None and all(message.id != standing.after for message in reversed(messages))
        if self.settings.due(call_of(messages, trimmed)):
            self._recall(self.settings.cue(messages), messages)
        elif self.settings.begun and (self.thread.fresh or away):  # before a restart, or on another branch
            begun = messages[: turn_of(messages) + 1]
            self._recall(self.settings.cue(begun), begun)

    def _recall(self, cue: str, messages: Sequence[BaseMessage]) -> None:
        """Have what memory finds stand behind these messages."""
        without = self.thread.positions(self.whole)
        budget = self.settings.budget - self.counter.message(_framed("")) - SLACK
        self.recalled, self.thread.standing = True, None
        while budget > 0:
            context = self.thread.recall(cue, budget, self.counter.text, without)
            if not context.text:
                return
            message = _framed(context.text)
            if (over := self.counter.message(message) - self.settings.budget) <= 0:
                self.told = cue, context
                self.thread.standing = Standing(messages[-1].id if messages else None, message)
                return
            budget -= over

    # ---- what the model gets -------------------------------------------------------------------------------------

    def request(self) -> ModelRequest[Any]:
        shown, standing = self.shown, self.thread.standing
        if standing is None:
            return self._with([each.as_ for each in shown])
        if self.settings.placement == "system":
            system = _with_block(self.asked.system_message, str(standing.message.content))
            return self._with([each.as_ for each in shown]).override(system_message=system)
        return self._with(_placed(shown, standing, at_least=self.recalled))

    def _with(self, messages: list[BaseMessage]) -> ModelRequest[Any]:
        return self.asked.override(messages=cast("list[AnyMessage]", messages))

    def answered(self) -> None:
        """Note that the model was told what memory found: it has answered."""
        if self.told is not None:
            self.thread.tell(*self.told)


def _is_told(message: BaseMessage | None, shown: BaseMessage) -> bool:
    """Whether a message of the state says what is shown of it, which a middleware may have changed for a prompt."""
    if message is shown or message is None:
        return message is shown
    return message.content == shown.content and calls_of(message) == calls_of(shown)


def _framed(text: str) -> HumanMessage:
    """A planning context as a message."""
    return HumanMessage(framed(text, HEAD), additional_kwargs={SOURCE: OURS})


def _placed(shown: Sequence[Shown], standing: Standing, at_least: bool) -> list[BaseMessage]:
    """The messages with the context where it stands; where that gave way without it, or at_least at the end."""
    place = next((place for place, each in enumerate(shown, 1) if each.message.id == standing.after), None)
    messages = [each.as_ for each in shown]
    if place is not None or at_least:
        messages.insert(len(messages) if place is None else place, standing.message)
    return messages


def _with_block(system: SystemMessage | None, text: str) -> SystemMessage:
    if system is None:
        return SystemMessage(text)
    said = [system.content] if isinstance(system.content, str) else system.content
    blocks = [{"type": "text", "text": block} if isinstance(block, str) else block for block in said]
    return system.model_copy(update={"content": [*blocks, {"type": "text", "text": text}]})
