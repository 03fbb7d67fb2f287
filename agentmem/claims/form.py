"""What every form of claim shares: the claim itself, and how its key and value are tidied."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from agentmem.tokens import count

VALUE_TOKENS = 30
KEY_LENGTH = 64
_FENCED = re.compile(r"```.*?(?:```|\Z)", re.S)
_VAGUE = frozenset("i you he she it we they this that these those there here what which who and or but if so".split())


@dataclass(frozen=True, slots=True)
class Claim:
    """That `key` has `value`. span: the characters of the step's text that say so. form: how it was said."""

    key: str
    value: str
    span: tuple[int, int]
    form: str


class Said(NamedTuple):
    """What a reader of claims is given: a step's text and its actor."""

    text: str
    actor: str = ""

    def subject(self, key: str) -> str:
        return f"{self.actor}: {key}" if self.actor else key


Reader = Callable[[Said], Iterator[Claim]]


def claim(form: str, key: str, match: re.Match[str], value: str | None = None) -> Claim:
    return Claim(key, match["value"] if value is None else value, match.span(), form)


def tidied(raw: Claim) -> Claim | None:
    """Casefolded key, single spaces, no decoration; None for what is too long or says nothing."""
    key = " ".join(raw.key.casefold().split()).strip(" .:-*_#`\"'")
    value = " ".join(raw.value.split()).strip(" ,;*`\"'").removesuffix(".")
    if not value or len(key) < 2 or len(key) > KEY_LENGTH or key.split()[0] in _VAGUE:
        return None
    if len(value) > 8 * VALUE_TOKENS or count(value) > VALUE_TOKENS:
        return None
    return Claim(key, value, raw.span, raw.form)


def prose(text: str) -> str:
    """A message with its fenced blocks blanked out; characters keep their places."""
    return _FENCED.sub(lambda fenced: " " * len(fenced[0]), text) if "```" in text else text


def bare(key: str) -> str:
    """A noun phrase without what comes before its last article, possessive or preposition."""
    return re.sub(
        r"^.*\b(?:the|your|my|our|his|her|its|their|a|an|and|with|has|have|for|of|in|that|this|now|currently?) ",
        "",
        key,
        flags=re.I,
    )
