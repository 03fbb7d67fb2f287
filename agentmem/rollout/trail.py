"""One environment episode in a memory: what is logged of it, what waits to be, and what was before a crash.

A turn is an observation, the recall before its answer, and the action: they are logged together or not at all, so what
a killed run leaves is a number of whole turns. Each episode has a namespace of its own, so memories never mix.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentmem.errors import InvalidInputError
from agentmem.index import step_id
from agentmem.memory import EpisodeWriter, Memory, Recalled, log_together
from agentmem.memory.recalling import query_of, run
from agentmem.memory.removal import lineage
from agentmem.records import brief, digest
from agentmem.rollout.contexts import EMPTY, Kind, Log, context_of
from agentmem.rollout.lanes import RESULTS, Took
from agentmem.rollout.reading import Reading
from agentmem.rollout.values import pack
from agentmem.types import Hit, PlanningContext, Step

OBSERVATION = "observation"
INFO = "info"
"""What their blobs begin with."""
RUN = "run"
"""The episode of an environment that has no threads."""
READ = ("needs", RESULTS, "stale")
"""What of info a report reads. The rest is the environment's own, such as the time that an episode took."""
TOGETHER = 64
"""Turns of a lane that are logged together where nothing is recalled in between."""
CRYSTALLIZED = 2_000
"""Turns after which the log is crystallized, before the episode's end."""
Entry = tuple[EpisodeWriter, "Mapping[str, Any] | Recalled"]


class Logged(NamedTuple):
    """An action that was logged before: as JSON, with its blobs by name, and its log position, the last of its turn;
    whether something of it was masked.
    """

    action: Any
    blobs: Mapping[str, str]
    position: int
    masked: bool


class Trail:
    """What is known of one episode; `steps` are those logged, oldest first."""

    def __init__(self, memory: Memory, number: int, seed: int, reading: Reading) -> None:
        self.memory, self.number, self.seed, self.reading = memory, number, seed, reading
        self.turn = 0
        self.steps: list[Step] = []
        self.waiting: list[list[Entry]] = []
        """By turn."""
        self.shown: dict[int, set[int]] = {}
        self.seen: dict[int, Step] = {}
        """By turn, the step that has the observation."""
        self.logged: list[Logged] = []
        self.over = False
        self._log = Log()
        self._writers: dict[str, EpisodeWriter] = {}
        if memory.namespace in memory._core.store.namespaces():
            self._take(list(memory.steps()))

    def _take(self, steps: Sequence[Step]) -> None:
        """Notes what was logged: now, or before a crash."""
        for step in steps:
            turn = int(step.data["n"])
            self.steps.append(step)
            if step.kind == "action":
                self.logged.append(Logged(step.data["action"], step.blobs, step.position, bool(step.masked)))
            else:
                if "observation" in step.data:
                    self.seen[turn] = step
                self.shown.setdefault(turn, set()).add(step.position)
                self.over |= step.terminated or step.truncated

    def writer(self, thread: str) -> EpisodeWriter:
        name = thread or RUN
        if name not in self._writers:
            self._writers[name] = self.memory.episode(id=name)
        return self._writers[name]

    @property
    def long(self) -> bool:
        """Whether so many turns wait that they are to be logged."""
        return len(self.waiting) >= TOGETHER

    @property
    def stops(self) -> bool:
        """Whether the log is to be crystallized before this turn: fixed, so that a resumed run recalls the same."""
        return self.turn > 0 and self.turn % CRYSTALLIZED == 0

    def context(self, kind: Kind, observation: Any, budget: int) -> PlanningContext:
        """What the policy is shown at this turn; at one that was logged before, what it was shown then."""
        cue = self.reading.cue(observation) if kind == "crystals" else ""
        if self.turn >= len(self.logged):
            return context_of(kind, self.memory, self._log, self.steps, cue, budget)
        before = self._before(self.turn)
        if kind == "crystals":
            return self._recalled(cue, budget, before) if self.turn else EMPTY
        steps = [step for step in self.steps if step.position <= before]
        return context_of(kind, self.memory, self._log, steps, cue, budget)

    def _recalled(self, cue: str, budget: int, before: int) -> PlanningContext:
        """What memory gave at this turn: of the log before it, with the crystals that there were."""
        sealed = self._before(self.turn - self.turn % CRYSTALLIZED)
        query = query_of(cue, budget, None, None, None, None, marks=False)
        core = self.memory._accessed("recall", cue, everywhere=True)
        return run(core, self.memory.namespaces, query, step_id(before), sealed)

    def _before(self, turn: int) -> int:
        """The last log position before a turn that was logged; 0 for none."""
        return self.logged[turn - 1].position if turn else 0

    def check(self, took: Took) -> None:
        """InvalidInputError where the environment gives something else than was logged of this turn. Where something of
        it was masked or let go, that cannot be told.
        """
        before = self.seen.get(self.turn)
        if before is None or before.masked or before.lost:
            return
        value, blobs = pack(took.observation, OBSERVATION)
        told = {name: each for name, each in before.blobs.items() if name.startswith(OBSERVATION)}
        now = value, took.reward, took.terminated, took.truncated, {name: digest(each) for name, each in blobs.items()}
        shown = before.data["observation"]
        if now != (shown, before.reward, before.terminated, before.truncated, told):
            raise InvalidInputError(
                f"at turn {self.turn} of episode {self.number} the environment shows {brief(value)}, before the run "
                f"was interrupted {brief(shown)}, or it rewards or ends otherwise: use the environment that began, "
                "which must do the same for the same seed, or another memory"
            )

    def observe(self, took: Took) -> list[Entry]:
        """An observation as it is to be logged."""
        writer = self.writer(self.reading.thread(took.observation))
        return [(writer, fields) for fields in observed(took, self.turn, self.reading)]

    def act(self, took: Took, action: Any, context: PlanningContext | None, kind: Kind) -> None:
        """Have the turn logged: the observation, the recall, if there was one, and the action."""
        entries = self.observe(took)
        acts = self.reading.acts
        writer = self.writer(self.reading.thread(took.observation) if acts is None else acts)
        if context is not None and kind == "crystals" and context.hits:  # of who acts, to mark what he repeats of it
            entries.append((writer, Recalled(self.reading.cue(took.observation), context)))
        value, blobs = pack(action, "action")
        data = {"n": self.turn, "action": value, **self._asked(took.info, context)}
        text = self.reading.act(took.observation, action)
        entries.append((writer, {"text": text, "kind": "action", "data": data, "blobs": blobs}))
        self.waiting.append(entries)  # last: whatever stops this before has nothing of the turn logged

    def take_back(self) -> None:
        """Have this turn not logged. One that was logged before an interruption stays."""
        if self.waiting:
            self.waiting.pop()

    def _asked(self, info: Mapping[str, Any], context: PlanningContext | None) -> dict[str, Any]:
        """What the context was, and how many of the needed facts it shows, for the log."""
        hits = context.hits if context is not None else ()
        needs = [need for need in info.get("needs") or () if isinstance(need, Mapping)]
        found = sum(any(self._shows(hit, need) for hit in hits) for need in needs)
        said = {} if context is None else {"tokens": context.tokens, "sha256": digest(context.text.encode())}
        counts = {"needed": len(needs), "found": found} if needs else {}
        return {"context": said | counts} if said or counts else {}

    def _shows(self, hit: Hit, need: Mapping[str, Any]) -> bool:
        """Whether a hit is of the turn that last showed a fact, and says its value, where the environment tells it."""
        shown, value = self.shown.get(need.get("shown", -1), set()), need.get("value")
        if not shown or (value is not None and str(value) not in hit.text):
            return False
        memory = self.memory
        of = [hit.position] if hit.layer == "step" else lineage(memory._core, memory.namespace, hit.id)
        return not shown.isdisjoint(of)

    def end(self) -> None:
        """End its episodes; crystallizing is left to the caller."""
        for episode in self.memory.episodes():
            if episode.ended is None:
                self.writer(episode.id).end()

    def digest(self) -> str:
        """Of all that was logged, wherever in the log it stands; not of texts, for `data` has what they say, and of
        info what a report reads.
        """
        made = hashlib.sha256()
        for step in self.steps:
            told = exact(step.data, step.blobs)
            said = [step.episode, step.kind, *told, step.reward, step.terminated, step.truncated]
            made.update(json.dumps(said, sort_keys=True).encode())
        return made.hexdigest()


def exact(data: Any, blobs: Mapping[str, str]) -> tuple[Any, dict[str, str]]:
    """Of the data and blobs of a step what is the same for the same seed."""
    info = data.get("info") if isinstance(data, Mapping) else None
    if not isinstance(info, Mapping):
        return data, dict(blobs)
    read = {name: value for name, value in info.items() if name in READ}
    return {**data, "info": read}, {name: value for name, value in blobs.items() if _is_read(*name.split("/"))}


def _is_read(root: str, name: str = "", *_: str) -> bool:
    """Of a blob, by the parts of its name."""
    return root != INFO or name.rstrip("+") in READ


def observed(took: Took, turn: int, reading: Reading) -> list[dict[str, Any]]:
    """The keywords of `log` of each step that is logged of an observation."""
    value, blobs = pack(took.observation, OBSERVATION)
    over = took.terminated or took.truncated
    info, _ = pack({key: one for key, one in took.info.items() if over or key != RESULTS}, INFO, blobs)
    fields: dict[str, Any] = {"reward": took.reward, "terminated": took.terminated, "truncated": took.truncated}
    texts = list(reading.texts(took.observation)) or [""]
    first = {"n": turn, "observation": value, "info": info}
    more = [{"text": text, "data": {"n": turn}} for text in texts[1:]]
    return [{"text": texts[0], "data": first, "blobs": blobs, **fields}, *more]


def flush(trails: Sequence[Trail]) -> None:
    """Log what waits, of all these episodes, in one transaction. What is refused waits on; what was interrupted does
    not, since it may have been logged already: who goes on does so behind what the log has.
    """
    parts = [trail.waiting for trail in trails]
    for trail in trails:
        trail.waiting = []
    try:
        steps = iter(log_together([entry for turns in parts for turn in turns for entry in turn]))
    except Exception:
        for trail, turns in zip(trails, parts, strict=True):
            trail.waiting = turns
        raise
    for trail, turns in zip(trails, parts, strict=True):
        logged = itertools.islice(steps, sum(map(len, turns)))
        trail._take([step for step in logged if step is not None])
