"""How long steps of a namespace stay: rules by which they expire, and holds. Knows no behaviour."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, ValidationError

from agentmem.errors import InvalidInputError, in_brief, said_of
from agentmem.types.nouns import Frozen, Kind, Trust


def iso_duration(age: timedelta) -> str:
    """Without years and months, which a duration of RFC 3339 (appendix A) cannot tell beside days."""
    minutes, seconds = divmod(age.seconds, 60)
    exact = f"{seconds + age.microseconds / 1e6:.6f}".rstrip("0").rstrip(".")
    parts = [f"{minutes // 60}H", f"{minutes % 60}M", f"{exact}S"]
    while parts and parts[-1][:-1] == "0":
        parts.pop()
    days = f"{age.days}D" if age.days else ""
    return f"P{days}T{''.join(parts)}" if parts else f"P{days}"


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{value} is no limit; give a number, or leave it out")
    return value


Age = Annotated[
    timedelta,
    Field(gt=timedelta(0), le=timedelta(days=365_000)),
    BeforeValidator(_no_flag),
    PlainSerializer(iso_duration, return_type=str, when_used="json-unless-none"),
]


class Rule(Frozen):
    """Which steps expire, and when: any limit that a step is beyond is enough. `Memory.retain` sets rules.

    kind, subject, trust, agent: only steps that have all of these; all steps where none is given. max_age: a step is
    older, by when it was logged: a timedelta, an ISO duration such as "P30D", or a number of seconds. max_steps: so
    many newer ones of these steps were logged. min_salience: the unit that condenses the step has less, see
    `Crystal.salience`. Raises InvalidInputError.
    """

    kind: Kind | None = None
    subject: str | None = Field(default=None, min_length=1)
    trust: Trust | None = None
    agent: str | None = Field(default=None, min_length=1)
    max_age: Age | None = None
    max_steps: Annotated[int, Field(ge=0), BeforeValidator(_no_flag)] | None = None
    min_salience: Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_flag)] | None = None

    if not TYPE_CHECKING:  # where the fields say what it takes

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                wrong = error.errors(include_url=False)[0]
                where = ".".join(map(str, wrong["loc"]))[:80]
                raise InvalidInputError(f"{where}: {said_of(wrong, in_brief)}") from None


class Hold(Frozen):
    """Steps that neither a rule nor an erasure removes until it is lifted: those about a subject or of an episode,
    later ones too, or these, by their ids.
    """

    name: str
    subject: str | None = None
    episode: str | None = None
    steps: tuple[str, ...] = ()
    reason: str | None = None
