"""The conversations of a server, each an episode: what they logged, recalled and were shown.

Knows a scope; knows no protocol. An episode begins with the first event that is logged: who only reads leaves nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agentmem.errors import AgentMemError, KeyConflictError, NotFoundError
from agentmem.ingest.talk import goal_of
from agentmem.mcp.scope import Scope
from agentmem.memory import EpisodeWriter, Recalled, log_together
from agentmem.memory.episode import Entry
from agentmem.memory.recalling import query_of, run
from agentmem.records import brief, check_name, check_text, digest, step_of
from agentmem.types import Hit, PlanningContext, Record, Step

IDLE_S = 30 * 60
"""Seconds without a call after which a conversation is over."""
SESSION = "session "
"""How the names of conversations begin that the protocol itself ends: they may be silent for SESSION_IDLE_S."""
SESSION_IDLE_S = 24 * 60 * 60
MOST = 256
"""Conversations that are open at a time, and sessions of the protocol; the one that was silent longest makes room."""
RECALLS = 100
"""Newest recalls that can be explained."""
SHOWN = 1_000  # texts that a conversation was shown and may repeat
WAITING = 64  # recalls whose records wait for the next event

logger = logging.getLogger("agentmem.mcp")


class Session:
    """One conversation. Every method may be called from any thread."""

    def __init__(self, scope: Scope) -> None:
        self.scope, self.used = scope, 0.0
        self._lock = threading.RLock()
        self._writer: EpisodeWriter | None = None
        self._asked: Recalled | None = None  # the first recall, whose goal becomes the episode's
        self._waiting: deque[Recalled] = deque(maxlen=WAITING)
        self._shown: deque[tuple[int, str]] = deque(maxlen=SHOWN)

    @property
    def episode(self) -> str | None:
        """The id of its episode; None while it logged nothing."""
        return self._writer.id if self._writer is not None else None

    # ---- reading -------------------------------------------------------------------------------------------------

    def recall(self, goal: str, budget: int) -> PlanningContext:
        """As `EpisodeWriter.recall`; the record of it is logged with the next event."""
        memory, agent = self.scope.memory, self.scope.agent
        query = query_of(goal, budget, None, None, None, agent, True, current=self.episode)
        return run(memory._accessed("recall", goal, everywhere=True), memory.namespaces, query, None)

    def told(self, goal: str, context: PlanningContext) -> None:
        """Note that this context was shown."""
        with self._lock:
            self._drop_erased()
            self._asked = self._asked or Recalled(goal, context)
            if context.hits:
                self._waiting.append(Recalled(goal, context))
        self.show((hit.position, hit.text) for hit in context.hits)

    def show(self, texts: Iterable[tuple[int, str]]) -> None:
        """Note (log position, text) of what is shown otherwise: repeated in an event, it is not learned again."""
        with self._lock:
            self._shown.extend(new := list(texts))
            if self._writer is not None:
                self._writer.shown(new)

    def _drop_erased(self) -> None:
        """Forget recalls made before something was erased: they may quote it, and are not to bring it back."""
        recalls = [*self._waiting, *filter(None, [self._asked])]
        intact = set(map(id, self.scope.intact(each.context for each in recalls)))
        self._waiting = deque((each for each in self._waiting if id(each.context) in intact), maxlen=WAITING)
        if self._asked is not None and id(self._asked.context) not in intact:
            self._asked = None

    # ---- logging -------------------------------------------------------------------------------------------------

    def log(
        self, text: str, kind: str, actor: str | None = None, subjects: Sequence[str] = (), key: str | None = None
    ) -> tuple[Step, bool]:
        """The step of an event, and whether it is new: with a key it is logged once, whoever retries it, and when.

        Raises what `EpisodeWriter.log` raises.
        """
        check_text(text)
        key = None if key is None else f"{self.scope.keys}{check_name('key', key)}"
        actor = None if actor is None else check_name("actor", actor)
        subjects = [check_name("subject", subject) for subject in subjects]
        fields = {"text": text, "kind": kind, "actor": actor, "subjects": subjects, "key": key}
        with self._lock:
            known = self._known(key)
            try:
                step = self._logged(fields) if known is None else _as_before(known, fields)
            except KeyConflictError:  # another server was first, or it was erased
                if known is not None or (known := self._known(key)) is None:
                    raise
                step = _as_before(known, fields)
            return step, known is None

    def _known(self, key: str | None) -> Record | None:
        memory = self.scope.memory
        return None if key is None else memory._core.store.keyed(memory.namespace, key)

    def _logged(self, fields: dict[str, Any]) -> Step:
        self._drop_erased()
        writer = self._begun()
        entries: list[Entry] = [*((writer, each) for each in self._waiting), (writer, fields)]
        try:
            step = log_together(entries)[-1]
        except Exception:
            writer.shown(self._shown)  # the guard knows only of what is in the log now
            raise
        self._waiting.clear()
        assert step is not None
        return step

    def _begun(self) -> EpisodeWriter:
        if self._writer is None or self._writer.info.ended is not None:
            goal = None if self._asked is None else goal_of(self._asked.cue)
            self._writer = self.scope.memory.episode(goal, agent=self.scope.agent)
            self._writer.reported = True
            self._writer.shown(self._shown)
        return self._writer

    def end(self) -> None:
        with self._lock:
            if self._writer is not None:
                self._writer.end()


class Sessions:
    """Conversations by name. ended: called after one that logged something ended."""

    def __init__(self, scope: Scope, ended: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.scope, self._ended, self._clock = scope, ended, clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Session] = OrderedDict()  # the one that was silent longest first
        self._recalls: OrderedDict[str, PlanningContext] = OrderedDict()

    def of(self, name: str) -> Session:
        """The conversation of a name, begun if there is none."""
        with self._lock:
            session = self._open.setdefault(name, Session(self.scope))
            self._open.move_to_end(name)
            session.used = self._clock()
            over = [each for each, other in self._open.items() if session.used - other.used > _idle(each)]
            over += list(self._open)[: max(0, len(self._open) - MOST)]
            gone = [self._open.pop(each) for each in dict.fromkeys(over)]
        self._end(gone)
        return session

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            gone = list(self._open.values())
            self._open.clear()
        self._end(gone)

    def _end(self, gone: Iterable[Session]) -> None:
        for session in gone:
            try:
                session.end()
            except AgentMemError:  # what it logged is safe; whoever asked next is not to suffer
                logger.exception("episode %s could not be ended", session.episode)
            if session.episode is not None:
                self._ended()

    def keep(self, id: str, context: PlanningContext) -> None:
        """Keep a recall, to be explained until something is erased."""
        with self._lock:
            self._drop_erased()
            self._recalls[id] = context
            self._recalls.move_to_end(id)
            while len(self._recalls) > RECALLS:
                self._recalls.popitem(last=False)

    def hits(self, id: str) -> tuple[Hit, ...]:
        """Those of a recall; NotFoundError for one that is not kept."""
        with self._lock:
            self._drop_erased()
            if id not in self._recalls:
                raise NotFoundError(
                    f"there is no recall {brief(id)} among the newest {RECALLS} since anything was erased; recall again"
                )
            return self._recalls[id].hits

    def _drop_erased(self) -> None:
        intact = set(map(id, self.scope.intact(self._recalls.values())))
        self._recalls = OrderedDict((name, each) for name, each in self._recalls.items() if id(each) in intact)


def _idle(name: str) -> int:
    return SESSION_IDLE_S if name.startswith(SESSION) else IDLE_S


def recall_id(goal: str, context: PlanningContext) -> str:
    """What a recall is known by: equal ones have the same."""
    said = f"{context.budget}\0{goal}\0{context.text}"
    return digest(said.encode("utf-8", "replace"))[:10]


def _as_before(known: Record, fields: dict[str, Any]) -> Step:
    step = step_of(known)
    if (step.text, step.kind, step.actor, list(step.subjects)) != tuple(
        fields[name] for name in ("text", "kind", "actor", "subjects")
    ):
        raise KeyConflictError(f"this key is of step {step.id}, which says something else; use a new key")
    return step
