"""Writing one run into the log.

Knows how steps, transitions and recalls of an episode become records. Crystallizing is left to the episode's end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from agentmem.errors import ErasedError, InvalidInputError, KeyConflictError, NotFoundError
from agentmem.index import step_id, step_position
from agentmem.memory import checks, recalling
from agentmem.memory.awaited import in_thread
from agentmem.memory.guard import Guard, Spans
from agentmem.records import TEXT_LIMIT, brief, canonical, digest, record_of, step_of, to_json
from agentmem.telemetry import traced
from agentmem.trust import least, rank, trust_of
from agentmem.types import CountTokens, Episode, Kind, Layer, PlanningContext, Record, Step, Trust
from agentmem.types.pictured import pictured

if TYPE_CHECKING:
    from agentmem.memory.memory import Memory

_FIELDS = frozenset("text kind actor at data blobs reward terminated truncated key reply_to subjects trust".split())
_MARKS = ("recalled", "recalled_from", "recalled_trust")


class EpisodeWriter:
    """An episode that is being logged. As a context manager it ends, and crystallizes, on exit.

    `log` returns when the step is durable. A retried `log` with the same `key` and content gives the same step.
    """

    def __init__(self, memory: Memory, episode: Episode) -> None:
        self._memory, self._core, self.info = memory, memory._core, episode
        self.id = episode.id
        self.reported = False
        """Whether observations too are told by one who recalls, who may repeat what memory told him."""
        self._guard = Guard()

    # ---- logging -------------------------------------------------------------------------------------------------

    def log(
        self,
        text: str,
        kind: Kind = "observation",
        actor: str | None = None,
        at: datetime | str | None = None,
        data: Any = None,
        blobs: Mapping[str, bytes] | None = None,
        reward: float | None = None,
        terminated: bool = False,
        truncated: bool = False,
        key: str | None = None,
        reply_to: str | None = None,
        subjects: Sequence[str] = (),
        trust: Trust | None = None,
    ) -> Step:
        """Append one step.

        at: when the source says it happened. data: JSON values (numpy arrays become lists). blobs: name -> bytes, up to
        256 MiB each. key: makes a retry safe. reply_to: id of an earlier step. subjects: whom it is about, for erasure.
        Raises InvalidInputError or TooLargeError (text over 64 MiB) before anything is written, and once the episode
        has ended; ErasedError once it was erased, here or by another process, and for a subject that was;
        KeyConflictError for a key that stands for other content; StoreError if the file cannot take it.
        """
        fields = {
            "actor": actor, "at": at, "data": data, "reward": reward, "terminated": terminated, "truncated": truncated,
            "key": key, "reply_to": reply_to, "subjects": subjects, "trust": trust,
        }  # fmt: skip
        record = self._record(text, kind, blobs, fields)
        return step_of(self._append([record], _contents(blobs))[0])

    def observe(self, text: str, **fields: Any) -> Step:
        """`log` an observation."""
        return self.log(text, kind="observation", **fields)

    def act(self, text: str, **fields: Any) -> Step:
        """`log` an action."""
        return self.log(text, kind="action", **fields)

    def say(self, actor: str, text: str, **fields: Any) -> Step:
        """`log` a message of an actor."""
        return self.log(text, kind="message", actor=actor, **fields)

    def log_many(self, steps: Iterable[str | Mapping[str, Any]]) -> list[Step]:
        """Append steps in one transaction, all or none: texts, or mappings of `log`'s keywords."""
        self._check_open()
        records, blobs = [], dict[str, bytes]()
        for number, step in enumerate(checks.check_several("steps", steps, "texts or mappings")):
            if not isinstance(step, str | Mapping):
                raise InvalidInputError(f"step {number} is {brief(step)}; give a text, or a mapping of log's keywords")
            record, own = self._described(number, {"text": step} if isinstance(step, str) else step)
            records.append(record)
            blobs |= own
        return [step_of(record) for record in self._append(records, blobs)] if records else []

    def _described(self, number: int, step: Mapping[str, Any]) -> tuple[Record, dict[str, bytes]]:
        """The n-th of several steps as a record, and the contents of its blobs."""
        fields = dict(step)
        if unknown := fields.keys() - _FIELDS:
            raise InvalidInputError(
                f"step {number} has {brief(sorted(map(str, unknown)))}; log takes {', '.join(sorted(_FIELDS))}"
            )
        if "text" not in fields:
            raise InvalidInputError(f"step {number} has no text; describe it, '' if there is nothing to say")
        own = fields.pop("blobs", None)
        return self._record(fields.pop("text"), fields.pop("kind", "observation"), own, fields), _contents(own)

    def transition(
        self,
        action: Any,
        observation: Any,
        reward: float | None = None,
        terminated: bool = False,
        truncated: bool = False,
        info: Mapping[str, Any] | None = None,
    ) -> tuple[Step, Step]:
        """Append Gymnasium's tuple as an action and the observation that answers it.

        What is no str is logged as its JSON and kept as `data`; `info["text"]`, if there, describes the observation.
        """
        if info is not None and not isinstance(info, Mapping):
            raise InvalidInputError(f"info {brief(info)} is a {type(info).__name__}; give a mapping, as Gymnasium does")
        info = dict(info or {})
        described = info.pop("text", None)
        act = _told(action, None) | {"kind": "action"}
        seen = _told(observation, described) | {"kind": "observation"}
        if info:
            seen["data"] = {"info": info} if seen.get("data") is None else {"observation": seen["data"], "info": info}
        seen |= {"reward": reward, "terminated": terminated, "truncated": truncated}
        first, second = self.log_many([act, seen])
        return first, second

    def _record(self, text: str, kind: str, blobs: Mapping[str, bytes] | None, fields: dict[str, Any]) -> Record:
        self._check_open()
        actor = fields.get("actor")
        sayable = isinstance(text, str) and len(text) <= TEXT_LIMIT and isinstance(actor, str | None)
        told = "message" if self.reported else kind
        spans, origins = self._repeated(text, told, actor) if sayable else ([], [])
        return record_of(
            self._memory.namespace, self.id, text, kind, self._core.clock(), self._replied(fields.get("reply_to")),
            blobs=blobs, recalled=spans, recalled_from=origins, recalled_trust=self._least_of(origins), **fields,
        )  # fmt: skip

    def _repeated(self, text: str, told: str, actor: str | None) -> tuple[Spans, list[int]]:
        """What of a text was recalled, and from where; what was erased since, here or elsewhere, was never told."""
        spans, origins = self._guard.repeated(text, told, actor)
        there = self._core.read_what_is_there(origins) if origins else []
        if len(there) < len(origins):
            self._guard.forget(set(origins) - {one.position for one in there})
            spans, origins = self._guard.repeated(text, told, actor)
        return spans, origins

    def _least_of(self, origins: Sequence[int]) -> Trust | None:
        """The least trust of the steps that are repeated, if it is less than the agent's own."""
        records = self._core.read_what_is_there(origins) if origins else []
        trust = least(trust_of(json.loads(record.body)) for record in records)
        return trust if rank(trust) < rank(None) else None

    def _check_open(self) -> None:
        if self.info.ended is not None:
            raise InvalidInputError(f"episode {self.id!r} has ended; resume it with memory.episode(id={self.id!r})")

    def _append(self, records: Sequence[Record], blobs: Mapping[str, bytes]) -> list[Record]:
        of_one = all(record.episode == self.id for record in records)
        about = {"episode": self.id, "agent": self.info.agent} if of_one else {}
        with traced("create_memory", self._core.store.path, namespace=self._memory.namespace, **about) as tell:
            try:
                logged = self._core.store.append(records, blobs)
            except KeyConflictError:
                logged = self._core.store.append(
                    list(map(self._marked_as_before, self._core.store.admitted(records))), blobs
                )
            tell(**_written(records, logged))
        return logged

    def _marked_as_before(self, record: Record) -> Record:
        """A retry with the marks it was first logged with: what was recalled since does not make it another step."""
        known = self._core.store.keyed(record.namespace, record.key) if record.key is not None else None
        if known is None:
            return record
        marks = {name: value for name, value in json.loads(known.body).items() if name in _MARKS}
        body = {name: value for name, value in json.loads(record.body).items() if name not in _MARKS}
        return replace(record, body=canonical(body | marks))

    def _replied(self, reply_to: Any) -> int:
        """The log position of the step that is replied to; 0 if there is none that may be read here."""
        try:
            records = self._core.store.read([position]) if (position := step_position(reply_to)) > 0 else []
        except NotFoundError:
            return 0
        mine = self._memory.namespaces
        return position if any(record.type == "step" and record.namespace in mine for record in records) else 0

    # ---- recalling -----------------------------------------------------------------------------------------------

    def recall(
        self,
        cue: str,
        budget: int = 1024,
        as_of: recalling.AsOf = None,
        count_tokens: CountTokens | None = None,
        episode: str | None = None,
        agent: str | None = None,
        layers: Sequence[Layer | str] | None = None,
        marks: bool = False,
    ) -> PlanningContext:
        """As `Memory.recall`, led by this episode's goal, and leaving a recall record in the log.

        From the record uses are counted and the run can be replayed; what the agent repeats of it is not learned again.
        """
        self._check_open()
        checks.check_asked(self._core, self._memory.namespaces, as_of, layers, episode, agent)
        query = recalling.query_of(
            cue, budget, count_tokens, layers, episode, agent, marks, current=self.id, goal=self.info.goal
        )
        self._memory._accessed("recall", cue, everywhere=True)
        context = recalling.run(self._core, self._memory.namespaces, query, as_of)
        self._core.store.append([self._recall_record(cue, context, as_of)])
        self._guard.remember(recalling.told_by(self._core, self._memory.namespaces, context.hits))
        return context

    def _recalled(self, cue: str, context: PlanningContext) -> Record:
        """The record of a recall that is logged with the steps after it, in which what it told is marked."""
        self._check_open()
        self._guard.remember(recalling.told_by(self._core, self._memory.namespaces, context.hits))
        return self._recall_record(cue, context, None)

    def _recall_record(self, cue: str, context: PlanningContext, as_of: recalling.AsOf) -> Record:
        body = {
            "budget": context.budget,
            "as_of": as_of if as_of is None or isinstance(as_of, str) else as_of.isoformat(),
            "hits": [hit.id for hit in context.hits],
            "steps": recalling.steps_of_hits(context.hits),
            "tokens": context.tokens,
            "store_version": context.store_version,
            "sha256": hashlib.sha256(context.text.encode()).hexdigest(),
            **({"asked": context._asked} if context._asked else {}),
        }
        return Record(
            type="recall",
            namespace=self._memory.namespace,
            episode=self.id,
            text=cue,
            body=canonical(body),
            logged_at=self._core.clock(),
        )

    def remember_recalls(self, after: int = 0) -> None:
        """Take up what the log says this episode was told, and nothing else: on resuming, or if some was not logged.

        after: a log position up to which all of that is remembered already, and is kept.
        """
        if not after:
            self._guard = Guard()
        for record in self._core.store.scan(self._memory.namespace, after, episode=self.id, types=["recall"]):
            hits = recalling.shown_by(record).hits
            self._guard.remember(recalling.told(self._core, self._memory.namespaces, hits))

    def shown(self, told: Iterable[tuple[int, str]]) -> None:
        """(log position, text) of what the agent was shown other than by a recall: it is not learned again either."""
        self._guard.remember(told)

    # ---- ending --------------------------------------------------------------------------------------------------

    def end(self) -> None:
        """Mark the episode as ended: this writer takes no more steps. It can be resumed by its id. Of one that was
        erased nothing is logged.
        """
        if self.info.ended is None:
            record = Record("end", self._memory.namespace, self.id, logged_at=self._core.clock())
            with suppress(ErasedError):  # nothing is left of it that could end
                (logged,) = self._core.store.append([record])
                self.info = self.info.model_copy(update={"ended": logged.position})

    def _repr_html_(self) -> str:
        return pictured(self)

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if error is None:
            self._memory.crystallize()

    async def alog(self, text: str, **fields: Any) -> Step:
        """`log` in a thread."""
        return await in_thread(self.log, text, **fields)

    async def arecall(self, cue: str, **options: Any) -> PlanningContext:
        """`recall` in a thread."""
        return await in_thread(self.recall, cue, **options)


class Recalled(NamedTuple):
    """A recall that an episode made with `Memory.recall`, to be logged among its steps."""

    cue: str
    context: PlanningContext


Entry = tuple[EpisodeWriter, Mapping[str, Any] | Recalled]


def log_together(entries: Sequence[Entry]) -> list[Step | None]:
    """Append steps and recall records of several episodes of one memory in one transaction, all or none.

    Returns the step of each entry, None for a recall. Raises what `log_many` raises, and InvalidInputError for episodes
    of several memories, before anything is written.
    """
    if len({id(writer._core) for writer, _ in entries}) > 1:
        raise InvalidInputError("these episodes are of several memories; log together what is of one")
    if not entries:
        return []
    try:
        logged = entries[0][0]._append(*_together(entries))
    except Exception:
        for writer in dict.fromkeys(writer for writer, entry in entries if isinstance(entry, Recalled)):
            writer.remember_recalls()
        raise
    return [step_of(record) if record.type == "step" else None for record in logged]


def _together(entries: Sequence[Entry]) -> tuple[list[Record], dict[str, bytes]]:
    """The records of these, and the contents of their blobs; what was recalled is marked in the steps after it."""
    records, blobs = [], dict[str, bytes]()
    for number, (writer, entry) in enumerate(entries):
        if isinstance(entry, Recalled):
            records.append(writer._recalled(*entry))
            continue
        record, own = writer._described(number, entry)
        records.append(record)
        blobs |= own
    return records, blobs


def _written(given: Sequence[Record], logged: Sequence[Record]) -> dict[str, Any]:
    """What a trace tells of the steps among these that were written: a retry gives one that was logged before."""
    pairs = zip(given, logged, strict=True)
    new = {one.position: one for own, one in pairs if one.type == "step" and one.logged_at == own.logged_at}
    return {
        "count": len(new),
        "tokens": sum(one.tokens for one in new.values()),
        "record": step_id(logged[0].position) if [one.type for one in logged] == ["step"] else None,
        "records": lambda: [(step_id(one.position), one.text, None) for one in new.values()],
    }


def _contents(blobs: Mapping[str, bytes] | None) -> dict[str, bytes]:
    return {digest(content): bytes(content) for content in (blobs or {}).values()}


def _told(value: Any, text: str | None) -> dict[str, Any]:
    """A raw action or observation as text with its value beside it."""
    if isinstance(value, str) and text is None:
        return {"text": value}
    return {"text": text if text is not None else to_json(value), "data": value}
