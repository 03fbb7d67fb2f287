"""What a page may ask, as models: the body of each question. Knows no memory and no HTTP."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LONGEST = 200_000  # characters of a correction
Name = Annotated[str, Field(max_length=1_024)]
Cue = Annotated[str, Field(max_length=20_000)]
Number = Annotated[int, Field(ge=0, lt=1 << 40)]


class Asked(BaseModel):
    """namespace: the one that is looked at."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    namespace: tuple[Name, ...] = ()


class Nothing(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Episodes(Asked):
    """find: what the id or the goal holds. start: of the newest first."""

    find: Name = ""
    start: Number = 0


class Played(Asked):
    """episode: None for all of the namespace, as they interleave."""

    episode: Name | None = None


class Window(Played):
    start: Number = 0


class One(Played):
    number: Number


class Part(Played):
    """first, last: numbers of frames; last None: the end."""

    first: Number = 0
    last: Number | None = None


class Id(Asked):
    id: Name


class Search(Asked):
    """as_of: the id of a step, before which it is asked; None for now."""

    cue: Cue
    budget: Annotated[int, Field(ge=0, le=100_000)] = 1_024
    as_of: Name | None = None


class Two(Asked):
    """differ: only pairs whose steps are not the same."""

    left: Name
    right: Name
    start: Number = 0
    differ: bool = False


class Pair(Asked):
    left: Name
    right: Name
    number: Number


class Forget(Id):
    undo: bool = False


class Correct(Id):
    text: Annotated[str, Field(max_length=LONGEST)]


class Erase(Asked):
    """Exactly one of step, episode and subject. Without `"dry_run": false` it only says what would go."""

    step: Name | None = None
    episode: Name | None = None
    subject: Name | None = None
    dry_run: bool = True

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.step, self.episode, self.subject)) != 1:
            raise ValueError("give exactly one of step, episode and subject")
        return self
