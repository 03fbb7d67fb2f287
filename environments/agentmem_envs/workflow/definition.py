"""What a workflow is: frozen models of its facts, tools, states, deadlines and grader, read from YAML or a dict.

    name, goal, source   what it is called, what the agent is told to do, where the process comes from
    steps, open, delay   an episode's length; cases in hand at a time; least and most steps from the last showing of a
                         fact to a state that needs it
    facts                name: the values that a case's own is drawn from
    deadlines            name: it passes so many steps after the case was shown in a state
    tools                name: typed arguments, the fields of a case's record that a call sets, those that it requires
    first, states        name: what the agent reads, and which call is right then, by conditions on the facts
    grader               last state: what the record of a case that came there must hold

In texts and values `{name}` stands for a fact, a deadline (the last step in time) or `{case}`; in what a tool sets, for
one of its arguments. Here single values are checked; what they say about each other is in `checks`.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from agentmem.errors import InvalidInputError
from agentmem_envs.calls import LIMIT
from agentmem_envs.text import CHARSET, plain
from agentmem_envs.workflow.mistakes import mistakes, refusal
from agentmem_envs.workflow.written import read, values

LONGEST = 100_000  # characters of a text
WIDEST = 10**15  # a whole number that a fact may have
NAMED = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")
CONTROLS = ("Cc", "Cs")  # Unicode's categories of what no text shows: control characters and halves of others


def _bounded(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(f"give at most {LONGEST:,} characters")
    return text


def _shown(text: str) -> str:
    """Without control characters: tabs as spaces, those that have no equal as `?`."""
    return plain(text, CHARSET.union(letter for letter in text if unicodedata.category(letter) not in CONTROLS))


def _told_once(needed: str) -> WrapValidator:
    """Of several types, what is needed: pydantic has an error for each."""

    def validate(given: object, types: Callable[[object], object]) -> object:
        if isinstance(given, str):
            _bounded(given)
        try:
            return types(given)
        except ValidationError:
            raise ValueError(f"give {needed}" + _unquoted(given)) from None

    return WrapValidator(validate)


def _no_text(given: object) -> object:
    """Pydantic would read numbers in texts, and take true for 1."""
    if isinstance(given, str | bytes | bool):
        raise ValueError("give a whole number" + _unquoted(given))
    return given


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("give a text that is not blank")
    return text


def _unquoted(given: object) -> str:
    return ", without quotes" if isinstance(given, str) else ""


Shown = Annotated[str, AfterValidator(_bounded), AfterValidator(_shown)]
Said = Annotated[Shown, AfterValidator(_said)]
Name = Annotated[str, Field(pattern=NAMED.pattern)]
Value = Annotated[bool | int | float | Shown, _told_once("a text, a finite number, true or false")]
Number = Annotated[StrictInt | StrictFloat, _told_once("a finite number")]
Whole = Annotated[int, BeforeValidator(_no_text)]
Steps = Annotated[Whole, Field(ge=1, le=1_000_000)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Fact(_Model):
    """What is so for a case: one of `values`, or a whole number from `least` to `most` in steps of `by`."""

    values: tuple[Value, ...] = ()
    least: Whole | None = Field(None, ge=-WIDEST)
    most: Whole | None = Field(None, le=WIDEST)
    by: Whole = Field(1, ge=1)

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.values and self.least is None and self.most is None:
            return self
        if self.values or self.least is None or self.most is None or self.least > self.most:
            raise ValueError("give either values, or least and most with least <= most")
        return self

    @property
    def options(self) -> Sequence[Value]:
        return self.values or range(self.least or 0, (self.most or 0) + 1, self.by)

    @property
    def ends(self) -> Sequence[Value]:
        """Of a range, which may be long, the first and the last; else all."""
        return self.values or (self.options[0], self.options[-1])


class Deadline(_Model):
    """Passed when more than `steps` steps have gone by since the case was shown in the state `starts`."""

    starts: str
    steps: Steps


class Argument(_Model):
    """What an argument may be; `case` is the id of an open case."""

    type: Literal["case", "integer", "number", "text", "boolean"]
    one_of: tuple[Value, ...] = ()
    least: Number | None = None
    most: Number | None = None
    description: Shown = ""


class Tool(_Model):
    """A call names one case; it sets fields of that case's record if the record is as required."""

    description: Shown = ""
    args: dict[Name, Argument]
    sets: dict[Name, Value] = {}
    requires: dict[Name, tuple[Value, ...]] = {}


class Test(_Model):
    """One condition on a fact (`equals`, `at_least`, `below`) or a deadline (`passed`)."""

    __test__ = False  # for pytest

    equals: Value | None = None
    at_least: Number | None = None
    below: Number | None = None
    passed: StrictBool | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1 or getattr(self, *self.model_fields_set) is None:
            raise ValueError("give exactly one of equals, at_least, below, passed")
        return self

    def holds(self, value: Any, at: int) -> bool:
        """Whether it does for a fact's value, or for a deadline's last step in time, at a step."""
        if self.passed is not None:
            return (at > int(value)) == self.passed
        if self.equals is not None:
            return bool(value == self.equals)
        return bool(value >= self.at_least) if self.at_least is not None else bool(value < self.below)


class Wanted(_Model):
    tool: str
    args: dict[str, Value]


class Choice(_Model):
    """The right call if all the conditions hold, and where the case goes then, whatever the agent calls."""

    when: dict[str, Test] = {}
    call: Wanted
    next: str


class State(_Model):
    """What the agent reads; of the choices the first whose conditions hold is right."""

    text: Annotated[str, Field(max_length=LIMIT), AfterValidator(_shown), AfterValidator(_said)]
    choices: tuple[Choice, ...] = Field(min_length=1)


class Definition(_Model):
    """A workflow; `load` reads one and checks it."""

    name: Said
    goal: Said
    source: Shown = ""
    steps: Steps = 1000
    open: Whole = Field(3, ge=1, le=100)
    delay: tuple[Steps, Steps] = (100, 300)
    facts: dict[Name, Fact]
    deadlines: dict[Name, Deadline] = {}
    tools: dict[Name, Tool] = Field(min_length=1)
    first: str
    states: dict[Name, State] = Field(min_length=1)
    grader: dict[Name, dict[Name, Value]] = Field(min_length=1)

    @field_validator("delay", mode="before")
    @classmethod
    def _two(cls, given: object) -> object:
        if not isinstance(given, list | tuple) or len(given) != 2:
            raise ValueError(
                "give two whole numbers, the least and the most steps from the last showing of a fact to a state that "
                "needs it, such as [100, 300]"
            )
        return given

    @field_validator("delay")
    @classmethod
    def _ordered(cls, given: tuple[int, int]) -> tuple[int, int]:
        if given[0] > given[1]:
            raise ValueError("give the least number of steps first")
        return given

    def charset(self) -> frozenset[str]:
        """What its texts are written in: plain characters, and every other that stands in the definition."""
        return CHARSET.union(*(value for value in values(self.model_dump(mode="json")) if isinstance(value, str)))

    def schemas(self) -> list[dict[str, Any]]:
        """The tools as chat models take them: name, description, parameters as a JSON schema."""
        return [
            {
                "name": name,
                "description": tool.description,
                "parameters": {
                    "type": "object",
                    "properties": {each: _schema(argument) for each, argument in tool.args.items()},
                    "required": list(tool.args),
                    "additionalProperties": False,
                },
            }
            for name, tool in self.tools.items()
        ]


def _schema(argument: Argument) -> dict[str, Any]:
    kind = "string" if argument.type in ("case", "text") else argument.type
    limits = {"enum": list(argument.one_of), "minimum": argument.least, "maximum": argument.most}
    given = {name: limit for name, limit in limits.items() if limit not in (None, [])}
    return {"type": kind, "description": argument.description} | given


@lru_cache(4_096)
def names(template: Value) -> tuple[str, ...]:
    """The names in braces. Raises ValueError if the braces do not match or hold more than a name."""
    if not isinstance(template, str):
        return ()
    found = [(name, form, change) for _, name, form, change in Formatter().parse(template) if name is not None]
    if wrong := [name for name, form, change in found if not NAMED.fullmatch(name) or form or change]:
        raise ValueError(f"{{{wrong[0]}}}: give a name alone in braces; write {{{{ and }}}} for braces")
    return tuple(name for name, _, _ in found)


def fill(template: Value, values: Mapping[str, Any]) -> Any:
    """The template with values for names; a lone `{name}` is the value itself, of its own type."""
    if not isinstance(template, str):
        return template
    inside = names(template)
    if len(inside) == 1 and template == f"{{{inside[0]}}}":
        return values[inside[0]]
    return template.format_map(values)


def load(source: "Definition | Mapping[str, Any] | str | Path") -> Definition:
    """The definition that a dict or a YAML file holds.

    Raises InvalidInputError that names each place in it, the value there and what to give instead.
    """
    from agentmem_envs.workflow.checks import problems

    if not isinstance(source, Definition | Mapping | str | Path):
        raise InvalidInputError(f"definition={source!r}: give a YAML file or a dict")
    file = str(source) if isinstance(source, str | Path) else ""
    if not isinstance(source, Definition):
        written = source if isinstance(source, Mapping) else read(Path(source))
        try:
            source = Definition.model_validate(written)
        except ValidationError as error:
            raise refusal(mistakes(error, Definition), file) from None
    if found := list(problems(source)):
        raise refusal(found, file)
    return source
