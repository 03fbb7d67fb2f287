"""What is asked of the server and what it answers, as models; the OpenAPI document is made from them.

Limits that are here are those of the wire; what a memory refuses beyond them it says itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from agentmem.records import NAME_LIMIT
from agentmem.types import CrystallizeReport, Episode, Kind, Layer, LayerReport, Repeat, Retain, Step, Trust

MOST_STEPS = 1_000  # of one request, and of one page
MOST_CUE = 16_000  # characters
MOST_BUDGET = 1_000_000  # tokens
MOST_NODES, MOST_EDGES = 5_000, 50_000  # of a graph
MOST_HOPS = 100
MOST_FRAMES = 100  # of one page
STEP_ID = {"type": "string", "pattern": "^s[0-9]{11}$"}
TIME = {"type": "string", "format": "date-time"}

Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]
StepId = Annotated[str, StringConstraints(pattern=STEP_ID["pattern"])]
Base64 = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
WHOLE = BeforeValidator(lambda given: _whole(given))
Whole = Annotated[int, WHOLE]
Moment = Annotated[str, WithJsonSchema({"anyOf": [STEP_ID, TIME]})]
NodeKind = Literal["step", "unit", "cluster", "atom", "recall", "episode", "entity"]


def _whole(given: object) -> object:
    """JSON has one kind of number: 512.0 is 512."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


class Asked(BaseModel):
    """The body of a request: no value is taken for another, and no field is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Begin(Asked):
    """An episode to begin, or to resume by its id. Without an id the server numbers it."""

    id: Name | None = None
    goal: str | None = None
    agent: str | None = None


class StepToLog(Asked):
    """One step, with the fields of `episode.log`. key: makes a retry safe. blobs: name -> bytes in base64."""

    text: str
    kind: Kind = "observation"
    actor: Name | None = None
    at: Annotated[str, WithJsonSchema(TIME)] | None = None
    data: Any = None
    blobs: dict[Name, Base64] = {}
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    key: Name | None = None
    reply_to: StepId | None = None
    subjects: list[Name] = []
    trust: Trust | None = None


class StepsToLog(Asked):
    """Steps that are logged together, all or none."""

    steps: list[StepToLog] = Field(min_length=1, max_length=MOST_STEPS)


class Recall(Asked):
    """What to recall. as_of: a step's id, or a time of logging. layers: only these crystals' own text."""

    cue: str = Field(max_length=MOST_CUE)
    budget: Whole = Field(default=1024, ge=0, le=MOST_BUDGET)
    as_of: Moment | None = None
    episode: Name | None = None
    agent: Name | None = None
    layers: list[Layer] | None = Field(default=None, min_length=1)
    marks: bool = False


class RecallAt(Asked):
    """What memory would have recalled before a step. What is left out is as in the recall that was made there."""

    cue: Annotated[str, Field(max_length=MOST_CUE)] | None = None
    budget: Annotated[int, Field(ge=0, le=MOST_BUDGET), WHOLE] | None = None
    layers: Annotated[list[Layer], Field(min_length=1)] | None = None


class Drawn(Asked):
    """Which part of the memory's graph. as_of: a step's id, or a time of logging. layers: only these kinds of nodes.

    newest: only so many steps, and what was made of them. around: a node's id, or the name of an episode or an entity,
    and what is at most `hops` edges away. limit: nodes, at most: the nearest and newest. retired: also crystals that a
    newer one retired.
    """

    as_of: Moment | None = None
    layers: Annotated[list[NodeKind], Field(min_length=1)] | None = None
    episode: Name | None = None
    agent: Name | None = None
    newest: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = None
    around: Name | None = None
    hops: Whole = Field(default=2, ge=1, le=MOST_HOPS)
    limit: Whole = Field(default=1_000, ge=1, le=MOST_NODES)
    retired: bool = False


class Chosen(Asked):
    """Steps that are chosen by exactly one criterion, which is not null."""

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        given = [name for name in self.criteria() if name in self.model_fields_set]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(self.criteria())}, not {given or 'none'}")
        return self

    @classmethod
    def criteria(cls) -> list[str]:
        return [group["required"][0] for group in cls.model_config["json_schema_extra"]["oneOf"]]  # type: ignore

    def criterion(self) -> dict[str, Any]:
        """The one that was given."""
        return {name: getattr(self, name) for name in self.criteria() if name in self.model_fields_set}


def one_of(*names: str) -> ConfigDict:
    """For a `Chosen`: its criteria."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [name]} for name in names]})


Ids = Annotated[list[StepId], Field(min_length=1, max_length=MOST_STEPS)]
ABSENT: Any = Field(default_factory=lambda: None)


class Forget(Chosen):
    """Steps to leave out of recall; they stay in the log. derived_from: the id of a step or a crystal."""

    model_config = one_of("steps", "episode", "derived_from")
    steps: Ids = ABSENT
    episode: Name = ABSENT
    derived_from: Name = ABSENT
    undo: bool = False


class Erase(Chosen):
    """Steps to erase for good. dry_run: only say what would be erased; `false` erases."""

    model_config = one_of("subject", "episode", "steps", "whole_namespace")
    subject: Name = ABSENT
    episode: Name = ABSENT
    steps: Ids = ABSENT
    whole_namespace: Literal[True] = ABSENT
    dry_run: bool = True


class Page(BaseModel):
    """Which page of a list: what comes after an id, at most `limit`. In the query, so numbers come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    after: Name = ABSENT
    limit: int = Field(default=100, ge=1, le=MOST_STEPS)


class StepPage(Page):
    after: StepId = ABSENT


class FramePage(BaseModel):
    """Which frames: those after the one of a step, at most `limit`. In the query, so numbers come as text."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    after: StepId = ABSENT
    limit: int = Field(default=20, ge=1, le=MOST_FRAMES)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Episodes(Answer):
    """A page of episodes in the order they began. next: the `after` of the page behind; null at the end."""

    episodes: tuple[Episode, ...]
    next: str | None


class Steps(Answer):
    """A page of steps in log order. next: the `after` of the page behind; null at the end."""

    steps: tuple[Step, ...]
    next: str | None


class Logged(Answer):
    """Ids of the steps, in the order of the request. They are on the disk."""

    steps: tuple[str, ...]


class Few(Answer):
    """The first of some values, and how many there are. What each has: docs/replay.md."""

    first: tuple[dict[str, Any], ...]
    count: int


class Tail(Answer):
    """What came after the last step."""

    recalls: Few
    formed: Few
    retired: Few
    events: Few


class Frame(Tail):
    """One step, the planning contexts that were made before it, and what became of memory since the frame before.

    erased: how many records were erased from the file there; told to the root namespace alone, as they may be others'.
    """

    version: Literal[1]
    number: int
    step: dict[str, Any]
    crystallized: bool
    erased: int | None


class Played(Answer):
    """A page of the frames of an episode. replay: what is played. next: the `after` of the page behind; null at the
    end, where `tail` tells what came after the last step.
    """

    replay: dict[str, Any]
    frames: tuple[Frame, ...]
    tail: Tail | None
    next: str | None


class Recalled(Answer):
    """A recall that was never made, in the form of those of a frame: docs/replay.md."""

    position: None
    cue: dict[str, Any]
    budget: int
    as_of: int
    settings: dict[str, Any]
    same: None
    why: str
    shown: None
    recorded: Few
    context: dict[str, Any]
    hits: Few
    missed: Few


class GraphNode(Answer):
    """Beside these, what applies to its kind: docs/graph.md."""

    model_config = ConfigDict(extra="allow", frozen=True)
    id: str
    kind: NodeKind
    position: int
    born: int
    label: str
    x: float
    y: float


class GraphEdge(Answer):
    source: str
    target: str
    kind: str
    born: int


class About(Answer):
    """Of a graph. left_out, edges_left_out: how many nodes, and edges, found no room."""

    as_of: int
    left_out: int
    edges_left_out: int
    namespace: str = ""


class Graph(Answer):
    """networkx's node-link form: `networkx.node_link_graph(answer, edges="edges")` reads it."""

    directed: Literal[True]
    multigraph: Literal[False]
    graph: About
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


class Ended(Answer):
    episode: Episode
    crystallized: CrystallizeReport


class Forgotten(Answer):
    """How many steps."""

    steps: int


class Erased(Answer):
    """What was, or with dry_run would be, erased. attachments: names of those of the namespace that go with it.
    others: whom else steps of it are about.

    repeats: at most 100 steps that stay and say a longer line of it too; erase them as well if they are meant. residue:
    where erased text is still found in the file. Of both, what may be others' is told to the root namespace alone.
    """

    dry_run: bool
    steps: int
    crystals: int
    episodes: int
    attachments: tuple[str, ...]
    others: tuple[str, ...]
    repeats: tuple[Repeat, ...]
    residue: tuple[str, ...] | None


class NamespaceStats(Answer):
    """What the namespace holds. Bytes are the file's, so they are in /metrics."""

    steps: int
    episodes: int
    tokens: int
    layers: dict[Layer, LayerReport]
    watermark: int
    retain: Retain
    encoder: str | None
    uncoded: int
    store_version: str
    masked: dict[str, int]


class Health(Answer):
    status: Literal["ok"] = "ok"


class Wrong(Answer):
    """One value that was refused. at: where it stands, such as steps.0.kind."""

    at: str
    said: str


class Problem(Answer):
    """Why a request was refused (RFC 9457). error: the class in agentmem.errors, where the memory refused it."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    detail: str
    error: str | None = None
    wrong: tuple[Wrong, ...] = ()
