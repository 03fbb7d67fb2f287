"""The routes that say how long steps stay: rules, what they would remove, removing it, and holds; and their models.

All is of the token's namespace alone. Knows of HTTP only the status of what is not there.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from agentmem.errors import NotFoundError
from agentmem.server.models import ABSENT, Answer, Asked, Chosen, Erased, Ids, Name, Whole, one_of
from agentmem.server.place import Place, erased
from agentmem.server.problems import Refused
from agentmem.types import Hold, Kind, Rule, Trust

MOST_RULES = 100
DURATION = (
    "^P(?=.*[1-9])(?:[1-8]?[0-9]?[0-9]Y)?(?:[0-9]{1,6}D)?"
    r"(?:T(?=[0-9])(?:[0-9]{1,5}H)?(?:[0-9]{1,5}M)?(?:[0-9]{1,5}(?:\.[0-9]{1,6})?S)?)?$"
)
LIMITS = {"max_age": "string", "max_steps": "integer", "min_salience": "number"}


def _duration(given: str) -> str:
    if re.fullmatch(DURATION.rstrip("$"), given) is None:
        raise ValueError(
            f"{given[:40]!r} is no duration over nothing of years, days, hours, minutes and seconds, such as P1Y, P30D "
            "or PT12H"
        )
    return given


Age = Annotated[str, AfterValidator(_duration), WithJsonSchema({"type": "string", "pattern": DURATION})]


class RuleToSet(Asked):
    """Which steps expire, and when: any limit that a step is beyond is enough, and one is needed.

    kind, subject, trust, agent: only steps that have all of these. max_age: as an ISO duration. max_steps: so many
    newer ones of these steps were logged. min_salience: the unit that condenses the step has less.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in LIMITS.items()]
        }
    )
    kind: Kind | None = None
    subject: Name | None = None
    trust: Trust | None = None
    agent: Name | None = None
    max_age: Age | None = None
    max_steps: Annotated[Whole, Field(ge=0, le=10**12)] | None = None
    min_salience: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _check_limited(self) -> Self:
        if all(getattr(self, name) is None for name in LIMITS):
            raise ValueError(f"a rule needs a limit: {', '.join(LIMITS)}")
        return self


class RulesToSet(Asked):
    """Rules in the place of those there are; none end them. dry_run: only say what would go by them."""

    rules: list[RuleToSet] = Field(max_length=MOST_RULES)
    dry_run: bool = False


class Expire(Asked):
    """dry_run: only say what would be removed; `false` removes it for good."""

    dry_run: bool = True


class HoldToMake(Chosen):
    """A hold, by a name. On steps about a subject or of an episode it is on those that are logged later as well."""

    model_config = one_of("subject", "episode", "steps")
    name: Name
    subject: Name = ABSENT
    episode: Name = ABSENT
    steps: Ids = ABSENT
    reason: Name | None = None


class Rules(Answer):
    """The rules of the namespace."""

    rules: tuple[Rule, ...]


class Retained(Answer):
    """The rules that were set, or with dry_run only tried, and what `/v1/expire` would remove by them now."""

    dry_run: bool
    rules: tuple[Rule, ...]
    would_expire: Erased


class Holds(Answer):
    """The holds that were not lifted, by name."""

    holds: tuple[Hold, ...]


class Held(Answer):
    """How many steps are, or were, under the hold."""

    steps: int


def rules(at: Place, asked: None) -> Rules:
    """The rules by which steps of the namespace expire."""
    return Rules(rules=at.memory.rules())


def retain(at: Place, asked: RulesToSet) -> Retained:
    """Set the rules, in the place of those there were; answers what `/v1/expire` would remove by them now.

    What has expired is out of every recall from here on, and is there again when the rules are taken back.
    """
    given = tuple(Rule.model_validate(rule.model_dump(exclude_none=True)) for rule in asked.rules)
    would = erased(at, at.memory.retain(given, asked.dry_run))
    return Retained(dry_run=asked.dry_run, rules=given, would_expire=would)


def expire(at: Place, asked: Expire) -> Erased:
    """Remove for good what has expired. Without `"dry_run": false` it only says what would go."""
    return erased(at, at.memory.expire(asked.dry_run))


def holds(at: Place, asked: None) -> Holds:
    """The holds of the namespace."""
    return Holds(holds=tuple(at.memory.holds()))


def hold(at: Place, asked: HoldToMake) -> Held:
    """Keep steps from rules and erasures until the hold is lifted. A name that is on something else is refused."""
    return Held(steps=at.memory.hold(asked.name, **asked.criterion(), reason=asked.reason))


def lift(at: Place, asked: None, name: str) -> Held:
    """End a hold."""
    try:
        return Held(steps=at.memory.lift(name))
    except NotFoundError as error:
        raise Refused(404, str(error)) from error
