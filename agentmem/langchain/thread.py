"""One conversation as an episode of a memory: what is logged of it, what is known of it, and what it recalls.

Knows messages and a memory; knows no middleware. Whatever is kept here is there to be quick: the log has it all.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentmem.errors import KeyConflictError
from agentmem.index import step_id
from agentmem.ingest.talk import goal_of
from agentmem.langchain.fitting import Stubs
from agentmem.langchain.messages import (
    Fields,
    call_step,
    groups_of,
    is_made,
    key_of,
    name_of,
    raised_step,
    result_step,
    said_step,
    turn_of,
    words_of,
)
from agentmem.memory import EpisodeWriter, Memory, Recalled, log_together
from agentmem.memory.episode import Entry
from agentmem.memory.recalling import query_of, run
from agentmem.records import digest
from agentmem.types import CountTokens, PlanningContext, Step

FORGOTTEN = 0
"""In place of the log position of a step that was erased, or logged with another text."""


@dataclass
class Standing:
    """A planning context in the prompt, behind the message with this id."""

    after: str | None
    message: HumanMessage


class Thread:
    """A conversation. id: of its episode. own: names of memory's own tools, whose answers are memories already and are
    not logged. lasting: False for a run without a thread, of whose messages only those from the user's last one on are
    its own. Every method may be called from any thread.
    """

    def __init__(
        self, memory: Memory, id: str, messages: Sequence[BaseMessage], own: Collection[str], lasting: bool = True
    ) -> None:
        self.memory, self.id, self.own, self.lasting = memory, id, own, lasting
        self.standing: Standing | None = None
        self.fresh = True
        """Whether nothing was recalled since this process knows the thread."""
        self.stubs: Stubs = {}
        self._lock = threading.RLock()
        self._keys: dict[str | None, list[str]] = {}  # id of a message -> keys of its steps; its words' first
        self._waiting: list[Recalled] = []
        self._writer = self._open(messages)

    def _open(self, messages: Sequence[BaseMessage]) -> EpisodeWriter:
        known = any(episode.id == self.id for episode in self.memory.episodes())
        self._known = {step.key: step.position for step in self.memory.steps(self.id)} if known else {}
        said = [message for message in messages if isinstance(message, HumanMessage) and not is_made(message)]
        goal = goal_of(words_of(said[0])) if said and not known else None
        return self.memory.episode(goal, self.id)

    # ---- logging -------------------------------------------------------------------------------------------------

    def settle(self, messages: Sequence[BaseMessage], over: bool = False) -> None:
        """Log what was said and done in these messages and is not logged yet.

        Calls of the newest message that lack an answer are left for when they have one, unless the run is over.
        """
        with self._lock:
            self._log(list(self._unlogged(messages, over)))

    def done(self, messages: Sequence[BaseMessage], call: Mapping[str, Any], came: object) -> None:
        """Log a call and what came of it: the tool's message, or the error that it raised."""
        with self._lock:
            said = list(self._unlogged(messages, over=False))
            if call["name"] in self.own or not isinstance(came, ToolMessage | Exception):
                return self._log(said)
            key = self._key(_asked_by(messages, call), call["id"])
            if isinstance(came, ToolMessage):
                came_of = result_step(call, came, f"{key}/result")
            else:
                came_of = raised_step(call, came, f"{key}/raised/{digest(repr(came).encode('utf-8', 'replace'))[:16]}")
            return self._log([*said, call_step(call, key), came_of])

    def note(self, messages: Sequence[BaseMessage], text: str, call: str | None) -> str:
        """Log a note of the model's own, once for each call; the id of its step."""
        with self._lock:
            self.settle(messages)
            asked = _asked_by(messages, {"id": call})
            key = self._key(asked, call, "note")
            self._log([{"text": text, "kind": "message", "actor": "assistant", "key": key}])
            return step_id(self._known[key])

    def end(self, messages: Sequence[BaseMessage]) -> None:
        """Log the rest, and end the episode."""
        with self._lock:
            self.settle(messages, over=True)
            self._writer.end()

    def _key(self, *parts: object) -> str:
        return key_of(self.id, *parts)

    def _unlogged(self, messages: Sequence[BaseMessage], over: bool) -> Iterator[Fields]:
        start = 0 if self.lasting else turn_of(messages)
        first = next((place for place in range(start, len(messages)) if messages[place].id not in self._keys), None)
        groups = groups_of(messages[first:]) if first is not None else []
        for number, group in enumerate(groups):
            if not is_made(group[0]) and (step := said_step(group[0], self._key(name_of(group[0])))):
                yield step
            if over or number < len(groups) - 1 or not any(map(is_made, group[1:])):
                yield from self._settled(group)

    def _settled(self, group: Sequence[BaseMessage]) -> Iterator[Fields]:
        """The calls of a message, each with its answer if it has one. With that all of the group is logged."""
        asking = self._key(name_of(group[0]))
        keys = self._keys[group[0].id] = [asking]
        calls = {str(call["id"]): call for call in group[0].tool_calls} if isinstance(group[0], AIMessage) else {}
        for answer in (each for each in group[1:] if isinstance(each, ToolMessage)):
            call, key = calls[answer.tool_call_id], key_of(asking, answer.tool_call_id)
            known = self._keys[answer.id] = []
            if call["name"] in self.own:
                continue
            keys.append(key)
            yield call_step(call, key)
            if not is_made(answer):
                known.append(f"{key}/result")
                yield result_step(call, answer, known[0])

    def _log(self, steps: Sequence[Fields]) -> None:
        """Log those of the steps that are new, and the recalls that wait, in one transaction."""
        new = [step for step in steps if step["key"] not in self._known]
        if not self._waiting and not new:
            return
        if self._writer.info.ended is not None:
            self._writer = self.memory.episode(id=self.id)
        entries: list[Entry] = [(self._writer, each) for each in self._waiting]
        entries += [(self._writer, each) for each in new]
        try:
            logged = self._logged(entries)
        except Exception:
            self._keys.clear()  # nothing of these messages is logged: they are to be looked at again
            raise
        self._waiting = []
        self._known |= {step.key: step.position for step in logged if step is not None and step.key is not None}

    def _logged(self, entries: Sequence[Entry]) -> list[Step | None]:
        try:
            return log_together(entries)
        except KeyConflictError:  # of one of them, known under its key with another text
            return [self._logged_alone(entry) for entry in entries]

    def _logged_alone(self, entry: Entry) -> Step | None:
        """The step of an entry; None where its key stands for another text, or for one that was erased: that holds."""
        try:
            return log_together([entry])[0]
        except KeyConflictError:
            assert not isinstance(entry[1], Recalled)
            self._known[entry[1]["key"]] = FORGOTTEN
            return None

    # ---- reading -------------------------------------------------------------------------------------------------

    def positions(self, messages: Iterable[BaseMessage]) -> frozenset[int]:
        """The log positions of the steps that these messages are logged as."""
        keys = (key for message in messages for key in self._keys.get(message.id, ()))
        return frozenset(self._known.get(key, FORGOTTEN) for key in keys) - {FORGOTTEN}

    def step_of(self, message: BaseMessage) -> str | None:
        """The id of the step that holds a message's words; None if there is none."""
        keys = self._keys.get(message.id, [])
        position = self._known.get(keys[0], FORGOTTEN) if keys else FORGOTTEN
        return step_id(position) if position else None

    def recall(
        self, cue: str, budget: int, count_tokens: CountTokens | None, without: frozenset[int], marks: bool = False
    ) -> PlanningContext:
        """As `Memory.recall`, for this episode. without: log positions of steps that are left out."""
        query = query_of(cue, budget, count_tokens, None, None, None, marks, current=self.id)
        with self._lock:
            self.fresh = False
        return run(self.memory._core, self.memory.namespaces, replace(query, without=without), None)

    def tell(self, cue: str, context: PlanningContext) -> None:
        """Note that the model is shown this; the record of it is logged with the next step."""
        with self._lock:
            self._waiting.append(Recalled(cue, context))


def _asked_by(messages: Sequence[BaseMessage], call: Mapping[str, Any]) -> str:
    """The id of the message that a call is of."""
    for message in reversed(messages):
        if isinstance(message, AIMessage) and any(each["id"] == call["id"] for each in message.tool_calls):
            return name_of(message)
    return ""
