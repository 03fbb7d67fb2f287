"""What each route does: a few calls on a memory that is seen from the token's namespace alone. Knows no HTTP.

Each takes a Place, the validated body or query, and what stands in the path; it runs in a thread.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.index import step_position
from agentmem.records import step_of, to_json
from agentmem.server import ruled
from agentmem.server.models import (
    Begin,
    Drawn,
    Ended,
    Episodes,
    Erase,
    Erased,
    Forget,
    Forgotten,
    FramePage,
    Graph,
    Logged,
    NamespaceStats,
    Page,
    Played,
    Recall,
    RecallAt,
    Recalled,
    StepPage,
    Steps,
    StepsToLog,
    StepToLog,
)
from agentmem.server.place import PAGE, Place, check_as_of, erased, known_episode
from agentmem.server.played import frames, graph, recall_at
from agentmem.server.problems import Refused
from agentmem.types import CrystallizeReport, Episode, PlanningContext, Step


def begin(at: Place, asked: Begin) -> Episode:
    """Begin an episode, or resume the one with this id."""
    try:
        return at.memory.episode(asked.goal, asked.id, asked.agent).info
    except InvalidInputError as error:  # it has another goal or agent, or was erased
        raise Refused(409, str(error)) from error


def episodes(at: Place, asked: Page) -> Episodes:
    """Episodes, in the order they began."""
    known = at.memory.episodes()
    start = 0
    if asked.after is not None:
        start = known.index(known_episode(at, asked.after)) + 1
    page = known[start : start + asked.limit]
    return Episodes(episodes=tuple(page), next=page[-1].id if len(known) > start + len(page) else None)


def episode(at: Place, asked: None, id: str) -> Episode:
    """One episode."""
    return known_episode(at, id)


def end(at: Place, asked: None, id: str) -> Ended:
    """End an episode, and crystallize what was logged."""
    if known_episode(at, id).ended is None:
        with at.writers.writer(at.memory, id) as writer:
            writer.end()
        at.writers.drop(at.memory, id)
    report = at.memory.crystallize()
    return Ended(episode=known_episode(at, id), crystallized=report)


def log(at: Place, asked: StepsToLog, id: str) -> Logged:
    """Log one step or many, all or none; an episode that is not there begins.

    A retry with the same keys adds nothing.
    """
    for step in asked.steps:
        if step.reply_to is not None:
            at.memory.step(step.reply_to)
    given = list(map(_fields, asked.steps))
    with at.writers.writer(at.memory, id) as writer:
        logged = writer.log_many(given)
    return Logged(steps=tuple(step.id for step in logged))


def _fields(step: StepToLog) -> dict[str, Any]:
    given = {name: getattr(step, name) for name in step.model_fields_set}
    return given | {"blobs": {name: b64decode(content) for name, content in step.blobs.items()}}


def steps(at: Place, asked: StepPage, id: str) -> Steps:
    """The steps of an episode, in log order."""
    known_episode(at, id)
    after = step_position(asked.after) if asked.after else 0
    records = at.memory._accessed("steps", id).store.scan(at.memory.namespace, after, episode=id, types=["step"])
    return _page(map(step_of, records), asked.limit)


def step(at: Place, asked: None, id: str) -> Step:
    """One step."""
    return at.memory.step(id)


def blob(at: Place, asked: None, id: str, name: str) -> bytes:
    """The bytes of a blob of a step."""
    found = at.memory.step(id).blobs
    if name not in found:
        raise NotFoundError(f"step {id} has no blob {name[:80]!r}; it has {', '.join(map(repr, found)) or 'none'}")
    return at.memory.blob(found[name])


def sources(at: Place, asked: StepPage, id: str) -> Steps:
    """The steps that a crystal condenses, in log order."""
    found = at.memory.expand(id)
    return _page((each for each in found if asked.after is None or each.id > asked.after), asked.limit)


def _page(found: Iterator[Step], limit: int) -> Steps:
    """The first of some steps: as many as asked for, or until they are long together."""
    page, characters = list[Step](), 0
    more = False
    for each in found:
        if more := len(page) >= limit or characters >= PAGE:
            break
        page.append(each)
        characters += len(each.text) + len(to_json(each.data))
    return Steps(steps=tuple(page), next=page[-1].id if more else None)


def recall(at: Place, asked: Recall) -> PlanningContext:
    """The planning context for a cue, within a budget. Writes nothing."""
    return at.memory.recall(**_query(at, asked))


def recall_in(at: Place, asked: Recall, id: str) -> PlanningContext:
    """The same, led by the episode's goal and noted in its log: what the agent repeats of it is not learned again."""
    known_episode(at, id)
    query = _query(at, asked)
    with at.writers.writer(at.memory, id) as writer:
        return writer.recall(**query)


def _query(at: Place, asked: Recall) -> dict[str, Any]:
    """The arguments of a recall."""
    check_as_of(at, asked.as_of)
    return {name: getattr(asked, name) for name in Recall.model_fields}


def crystallize(at: Place, asked: None) -> CrystallizeReport:
    """Condense what was logged since the last time; the end of an episode does so too."""
    return at.memory.crystallize()


def forget(at: Place, asked: Forget) -> Forgotten:
    """Leave steps out of recall, or with `undo` recall them again; they stay in the log."""
    return Forgotten(steps=at.memory.forget(**asked.criterion(), undo=asked.undo))


def erase(at: Place, asked: Erase) -> Erased:
    """Erase steps for good, with all that was made of them. Without `"dry_run": false` it only says what would go."""
    chosen = asked.criterion()
    if chosen.pop("whole_namespace", False):
        chosen["namespace"] = at.memory.namespace
    return erased(at, at.memory.erase(**chosen, dry_run=asked.dry_run))


def stats(at: Place, asked: None) -> NamespaceStats:
    """What the namespace holds."""
    found = at.memory.stats()
    return NamespaceStats(**{name: getattr(found, name) for name in NamespaceStats.model_fields})


@dataclass(frozen=True)
class Operation:
    """A route. takes: the model of its body (POST) or query (GET). refuses: statuses beside those of every route.

    long: it may take seconds, one after the other, and so is given few threads.
    """

    method: str
    path: str
    call: Callable[..., Any]
    answers: type[BaseModel] | type[bytes]
    takes: type[BaseModel] | None = None
    status: int = 200
    refuses: Sequence[int] = ()
    long: bool = False

    @property
    def name(self) -> str:
        return self.call.__name__


EPISODE = "/v1/episodes/{id}"
OPERATIONS = (
    Operation("POST", "/v1/episodes", begin, Episode, Begin, 201, (409, 507)),
    Operation("GET", "/v1/episodes", episodes, Episodes, Page, refuses=(404,)),
    Operation("GET", EPISODE, episode, Episode, refuses=(404,)),
    Operation("POST", f"{EPISODE}/end", end, Ended, refuses=(404, 409, 507), long=True),
    Operation("POST", f"{EPISODE}/steps", log, Logged, StepsToLog, 201, (409, 507)),
    Operation("GET", f"{EPISODE}/steps", steps, Steps, StepPage, refuses=(404,)),
    Operation("POST", f"{EPISODE}/recall", recall_in, PlanningContext, Recall, refuses=(404, 409, 507)),
    Operation("GET", f"{EPISODE}/frames", frames, Played, FramePage, refuses=(404,), long=True),
    Operation("POST", "/v1/steps/{id}/recall", recall_at, Recalled, RecallAt, refuses=(404, 409)),
    Operation("POST", "/v1/graph", graph, Graph, Drawn, refuses=(409,), long=True),
    Operation("GET", "/v1/steps/{id}", step, Step, refuses=(404,)),
    Operation("GET", "/v1/steps/{id}/blobs/{name}", blob, bytes, refuses=(404,)),
    Operation("GET", "/v1/crystals/{id}/steps", sources, Steps, StepPage, refuses=(404,)),
    Operation("POST", "/v1/recall", recall, PlanningContext, Recall, refuses=(409,)),
    Operation("POST", "/v1/crystallize", crystallize, CrystallizeReport, refuses=(507,), long=True),
    Operation("POST", "/v1/forget", forget, Forgotten, Forget, refuses=(409, 507)),
    Operation("POST", "/v1/erase", erase, Erased, Erase, refuses=(409, 507), long=True),
    Operation("GET", "/v1/rules", ruled.rules, ruled.Rules),
    Operation("POST", "/v1/rules", ruled.retain, ruled.Retained, ruled.RulesToSet, refuses=(409, 507), long=True),
    Operation("POST", "/v1/expire", ruled.expire, Erased, ruled.Expire, refuses=(409, 507), long=True),
    Operation("GET", "/v1/holds", ruled.holds, ruled.Holds),
    Operation("POST", "/v1/holds", ruled.hold, ruled.Held, ruled.HoldToMake, 201, (409, 507)),
    Operation("POST", "/v1/holds/{name}/lift", ruled.lift, ruled.Held, refuses=(404, 507)),
    Operation("GET", "/v1/stats", stats, NamespaceStats),
)
