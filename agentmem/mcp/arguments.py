"""What the tools take and give: names, kinds and limits, as JSON schemas that cost few tokens; and arguments, checked.

Knows pydantic; knows no memory and no protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentmem.errors import InvalidInputError, said_of
from agentmem.records import brief
from agentmem.types import Kind

TEXT_LIMIT = 1_000_000  # characters of an event
GOAL_LIMIT = 8_000
NAME_LIMIT = 200
LEAST, MOST = 100, 32_000
"""Tokens of a planning context."""
BUDGET = 1_024
USELESS = ("title", "minLength", "maxLength")
"""Of schemas: an error says a length where it matters."""
LIMIT = 100
"""Entries of a list at once."""
Id = Annotated[str, Field(min_length=1, max_length=1_000)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000, description="Where to go on.")]
Goal = Annotated[str, Field(min_length=1, max_length=GOAL_LIMIT)]


class Arguments(BaseModel):
    """Of a tool; what it does not know is refused, above all another namespace or agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tool: ClassVar[str]


class LogEvent(Arguments):
    tool = "log_event"
    text: Annotated[str, Field(min_length=1, max_length=TEXT_LIMIT, description="What happened, in full.")]
    kind: Annotated[
        Kind, Field(description="message: said or noted; action: done; observation: seen, a tool's result.")
    ] = "message"
    actor: Annotated[
        str | None, Field(min_length=1, max_length=NAME_LIMIT, description="Who: user, assistant, a tool's name.")
    ] = None
    subjects: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=NAME_LIMIT)]],
        Field(max_length=20, description="People it is about, so that it can be erased."),
    ] = []
    key: Annotated[
        str | None,
        Field(min_length=1, max_length=NAME_LIMIT, description="Any name of this event: a retry logs nothing more."),
    ] = None


class Recall(Arguments):
    tool = "recall"
    goal: Annotated[
        Goal, Field(description='What you want to do or know, in full words, with names; a code or number in "quotes".')
    ]
    budget_tokens: Annotated[int, Field(ge=LEAST, le=MOST, description="Tokens of the answer, at most.")] = BUDGET


class ExplainRecall(Arguments):
    tool = "explain_recall"
    recall_id: Annotated[Id, Field(description="Stands in the answer of recall.")]
    offset: Offset = 0
    limit: Annotated[int, Field(ge=1, le=LIMIT)] = 20


class GetEpisode(Arguments):
    tool = "get_episode"
    id: Annotated[Id, Field(description="Of an episode, or of a step or crystal to show whole.")]
    offset: Annotated[Offset, Field(description="The first step to show; of a step or crystal, the character.")] = 0
    limit: Annotated[int, Field(ge=1, le=LIMIT, description="Steps, at most.")] = 20


class Forget(Arguments):
    tool = "forget"
    selector: Annotated[Id, Field(description="Id of a step, crystal or episode.")]
    dry_run: Annotated[bool, Field(description="Only say what would be forgotten.")] = True
    undo: Annotated[bool, Field(description="Recall it again.")] = False


class MemoryStatus(Arguments):
    tool = "memory_status"
    offset: Offset = 0
    limit: Annotated[int, Field(ge=1, le=LIMIT, description="Episodes listed, newest first.")] = 5


class Logged(BaseModel):
    id: str
    episode: str
    new: bool


class Shown(BaseModel):
    id: str
    text: str


class Forgotten(BaseModel):
    dry_run: bool
    undo: bool
    steps: int
    first: list[Shown]


class EpisodeLine(BaseModel):
    id: str
    steps: int
    goal: str | None = None


class Status(BaseModel):
    namespace: list[str]
    agent: str | None = None
    episode: str | None = None
    episodes: int
    steps: int
    tokens: int
    crystals: dict[str, int]
    newest: list[EpisodeLine]


def schema_of(model: type[BaseModel], mode: Any = "validation") -> dict[str, Any]:
    """The JSON schema of a model, without what a model that calls tools has no use for."""
    made: dict[str, Any] = _plain(model.model_json_schema(mode=mode))
    return made


def _plain(schema: Any) -> Any:
    """Without titles and lengths of texts; "X or null" as X, since what is not given may be left out."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _plain(each) for name, each in schema.items() if name not in USELESS}
    if found.get("default", 0) is None:
        (kind,) = (each for each in found.pop("anyOf") if each != {"type": "null"})
        found = {**kind, **{name: each for name, each in found.items() if name != "default"}}
    return found


def checked(model: type[Arguments], given: Mapping[str, Any] | None) -> Arguments:
    """The arguments of a tool; InvalidInputError says of each that is wrong what it may be."""
    try:
        return model.model_validate(given or {})
    except ValidationError as error:
        wrong = "; ".join(_wrong(model, one) for one in error.errors(include_url=False)[:5])
        raise InvalidInputError(wrong) from None


def _wrong(model: type[Arguments], error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{model.tool} has no argument {brief(name)}; it takes {', '.join(model.model_fields)}"
    return f"{name}: {said_of(error, brief)}"
