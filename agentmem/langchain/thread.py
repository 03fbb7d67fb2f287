"""One conversation as an episode of a memory: what is logged of it, what is known of it, and what it recalls.

Knows messages and a memory; knows no middleware. Whatever is kept here is there to be quick: the log has it all.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from agentmem.errors import KeyConflictError
from agentmem.index import step_id
from agentmem.ingest.talk import goal_of
from agentmem.langchain.fitting import Fitted, Stubs
from agentmem.langchain.grouped import Groups, begins
from agentmem.langchain.messages import (
    Fields,
    calls_of,
    group_steps,
    is_made,
    key_of,
    name_of,
    raised_step,
    short,
    turn_of,
    words_of,
)
from agentmem.memory import EpisodeWriter, Memory, Recalled, log_together
from agentmem.memory.episode import Entry
from agentmem.memory.recalling import query_of, run
from agentmem.types import CountTokens, PlanningContext, Step

FORGOTTEN = 0
"""In place of the log position of a step that was erased."""


@dataclass
class Standing:
    """A planning context in the prompt, behind the message with this id."""

    after: str | None
    message: HumanMessage


class Thread:
    """A conversation. id: of its episode. own: names of memory's own tools, whose answers are memories already and are
    not logged. lasting: False for a run without checkpoints and for a helper, of whose messages only those from the
    user's last one on are its own. helper: whether another agent asks in the user's place. Every method may be called
    from any thread.
    """

    def __init__(
        self,
        memory: Memory,
        id: str,
        messages: Sequence[BaseMessage],
        own: Collection[str],
        lasting: bool = True,
        helper: bool = False,
    ) -> None:
        self.memory, self.id, self.own, self.lasting, self.helper = memory, id, own, lasting, helper
        self.standing: Standing | None = None
        self.fresh = True
        """Whether nothing was recalled since this process knows the thread."""
        self.stubs: Stubs = {}
        self.fitted = Fitted()
        self.own_ids = set[str]()
        """Of the messages seen that are no former run's."""
        self._former = frozenset(() if lasting else map(name_of, messages[: turn_of(messages)]))
        self._lock = threading.RLock()
        self._seen: list[BaseMessage] = []
        self._groups, self._done = Groups(), 0  # closed groups at the beginning of which all steps are logged
        self._settled: dict[str, BaseMessage] = {}  # by name, as it was when all steps of it were logged
        self._known: dict[str, dict[str, int]] = {}  # key without its mark -> mark -> log position
        self._of: dict[str, tuple[BaseMessage, list[dict[str, int]]]] = {}  # by name, what `_known` has of a message
        self._waiting: list[Recalled] = []
        self._writer: EpisodeWriter | None = None
        self._learn(memory.steps(id) if self._begun() else ())
        self.see(messages)

    def _begun(self) -> bool:
        return any(episode.id == self.id for episode in self.memory.episodes())

    def _learn(self, steps: Iterable[Step | None]) -> None:
        for step in steps:
            if step is not None and step.key is not None:
                self._place(step.key, step.position)

    def _place(self, key: str, position: int) -> None:
        name, _, mark = key.rpartition("/")
        self._known.setdefault(name, {})[mark] = position

    def _position(self, key: str) -> int:
        """Where the step of a key lies in the log; FORGOTTEN if it was erased, -1 if it was never there."""
        name, _, mark = key.rpartition("/")
        return self._known.get(name, {}).get(mark, -1)

    def see(self, messages: Sequence[BaseMessage]) -> None:
        """Note the messages by which a run without a thread is known again."""
        new = messages[len(self._seen) :] if begins(messages, self._seen) else messages
        self.own_ids.update(name for name in map(name_of, new) if name not in self._former)
        self._seen = list(messages)

    # ---- logging -------------------------------------------------------------------------------------------------

    def settle(self, messages: Sequence[BaseMessage], over: bool = False) -> None:
        """Log what was said and done in these messages and is not logged yet.

        Calls of the newest message that lack an answer are left for when they have one, unless the run is over.
        """
        with self._lock:
            self._log(messages, list(self._unlogged(messages, over)))

    def raised(self, messages: Sequence[BaseMessage], call: Mapping[str, Any], error: Exception) -> None:
        """Log a call and what it raised: no message of the state will say so."""
        with self._lock:
            steps = list(self._unlogged(messages, over=False))
            for step in group_steps([_asking(messages, call["id"])], self.id, self.own):
                if step["kind"] == "action" and step["data"]["call"] == call["id"]:
                    steps += [self._keyed(step), raised_step(step, error)]
            self._log(messages, steps)

    def note(self, messages: Sequence[BaseMessage], text: str, call: str | None) -> str:
        """Log a note of the model's own, once for each call; the id of its step."""
        with self._lock:
            self.settle(messages)
            key = key_of(f"{self.id}/{name_of(_asking(messages, call))}/{call}/note", text)
            self._log(messages, [{"text": text, "kind": "message", "actor": "assistant", "key": key}])
            return step_id(self._position(key))

    def end(self, messages: Sequence[BaseMessage]) -> None:
        """Log the rest, and end the episode."""
        with self._lock:
            self.settle(messages, over=True)
            if self._writer is not None:
                self._writer.end()

    def _unlogged(self, messages: Sequence[BaseMessage], over: bool) -> Iterator[Fields]:
        """The steps of all groups in which something is new or was changed."""
        own = [message for message in messages if name_of(message) not in self._former] if self._former else messages
        groups, same = self._groups.of(own)
        for group in groups[min(self._done, same) :]:
            if all(map(self._is_settled, group)):
                continue
            waits = not over and group is groups[-1] and any(map(is_made, group[1:]))
            steps = [self._keyed(step) for step in group_steps(group, self.id, self.own)]
            yield from (step for step in steps if not waits or step["kind"] == "message")
            if not waits:
                self._settled |= {name_of(message): message for message in group}
        self._done = len(self._groups.closed)

    def _is_settled(self, message: BaseMessage) -> bool:
        known = self._settled.get(name := name_of(message))
        if known is not message and known == message:
            self._settled[name] = message  # the same is told at once the next time
            return True
        return is_made(message) or known is message

    def _keyed(self, step: Fields) -> Fields:
        """A step with the mark of its text in its key, and in a helper's with who asks."""
        if self.helper and step.get("trust") == "user":
            step = step | {"actor": "assistant", "trust": None}
        return step | {"key": key_of(step["key"], step["text"])}

    def _log(self, messages: Sequence[BaseMessage], steps: Sequence[Fields]) -> None:
        """Log those of the steps that are new, and the recalls that wait, in one transaction."""
        new = [step for step in steps if self._position(step["key"]) < 0]
        if not self._waiting and not new:
            return
        told: list[Fields | Recalled] = [*self._waiting, *new]
        try:
            writer = self._open(messages)
            logged = self._logged([(writer, each) for each in told])
        except Exception:
            self._settled.clear()  # nothing of these messages is logged: they are to be looked at again
            self._done = 0
            raise
        self._waiting = []
        self._learn(logged)

    def _open(self, messages: Sequence[BaseMessage]) -> EpisodeWriter:
        """The episode: begun, for what the user said first, or gone on with."""
        if self._writer is None or self._writer.info.ended is not None:
            said = [message for message in messages if isinstance(message, HumanMessage) and not is_made(message)]
            first = next((message for message in said if name_of(message) not in self._former), None)
            goal = None if first is None or self._begun() else goal_of(words_of(first))
            self._writer = self.memory.episode(goal, self.id)
        return self._writer

    def _logged(self, entries: Sequence[Entry]) -> list[Step | None]:
        try:
            return log_together(entries)
        except KeyConflictError:  # of one of them, which was erased
            return [self._logged_alone(entry) for entry in entries]

    def _logged_alone(self, entry: Entry) -> Step | None:
        """The step of an entry; None where it was erased: what is erased stays so."""
        try:
            return log_together([entry])[0]
        except KeyConflictError:
            assert not isinstance(entry[1], Recalled)
            self._place(entry[1]["key"], FORGOTTEN)
            return None

    # ---- reading -------------------------------------------------------------------------------------------------

    def positions(self, messages: Iterable[BaseMessage]) -> frozenset[int]:
        """The log positions of the steps that these messages are logged as, whatever they said before they changed."""
        with self._lock:
            found = {place for message in messages for known in self._logged_as(message) for place in known.values()}
        return frozenset(found - {FORGOTTEN})

    def _logged_as(self, message: BaseMessage) -> list[dict[str, int]]:
        """What `_known` has, and will have, of a message."""
        found = self._of.get(own := name_of(message))
        if found is None or found[0] is not message:
            name = f"{self.id}/{own}"
            names = [name, *(f"{name}/{place}" for place in range(len(calls_of(message))))]
            found = self._of[own] = message, [self._known.setdefault(short(each), {}) for each in names]
        return found[1]

    def step_of(self, message: BaseMessage) -> str | None:
        """The id of the step that holds a message's words; None if there is none."""
        position = self._position(key_of(f"{self.id}/{name_of(message)}", words_of(message)))
        return step_id(position) if position > FORGOTTEN else None

    def recall(
        self, cue: str, budget: int, count_tokens: CountTokens | None, without: frozenset[int], marks: bool = False
    ) -> PlanningContext:
        """As `Memory.recall`, for this episode. without: log positions of steps that are left out."""
        query = query_of(cue, budget, count_tokens, None, None, None, marks, current=self.id)
        with self._lock:
            self.fresh = False
        core = self.memory._accessed("recall", cue, everywhere=True)
        return run(core, self.memory.namespaces, replace(query, without=without), None)

    def tell(self, cue: str, context: PlanningContext) -> None:
        """Note that the model is shown this; the record of it is logged with the next step."""
        with self._lock:
            self._waiting.append(Recalled(cue, context))


def _asking(messages: Sequence[BaseMessage], call: str | None) -> BaseMessage:
    """The last message that makes a call with this id; the last of all if there is none."""
    asking = (message for message in reversed(messages) if any(each["id"] == call for each in calls_of(message)))
    return next(asking, messages[-1])
