"""What is done with each kind, as data; and the search that a policy asks for. Knows texts; knows no memory.

A kind is "off", "mask" (a placeholder takes its place) or "refuse" (nothing is written). Secrets are masked unless a
policy says otherwise, personal data are left as they are: docs/decisions/0017-redaction.md has the figures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Any, Self

from agentmem.errors import InvalidInputError, SettingsError
from agentmem.redact import personal, scanners
from agentmem.redact.assigned import assigned, cookies, kind_of_named, told_by, users
from agentmem.redact.kinds import PERSONAL, SECRETS, TOKENS, Pattern, check_begins, check_kind, placeholder
from agentmem.redact.scanners import Found, merged

ACTIONS = ("off", "mask", "refuse")
GROUPS: Mapping[str, Sequence[str]] = {"secrets": SECRETS, "personal": PERSONAL}
KINDS = (*SECRETS, *PERSONAL)
Spans = list[tuple[int, int]]
Analyser = Callable[[str], Iterable[tuple[int, int, str]]]
"""From a text to what it finds in it: [start, end) characters and their kind, such as (0, 4, "person")."""

_SCANNERS: tuple[tuple[Callable[[str], Iterator[Found]], tuple[str, ...], tuple[str, ...]], ...] = (
    (scanners.private_keys, ("private_key",), ("PRIVATE KEY",)),
    (scanners.web_tokens, ("jwt",), ("eyJ",)),
    (scanners.bearers, ("bearer_token",), ("earer", "EARER", "asic ")),
    (scanners.addresses_with_passwords, ("password",), ("://",)),
    (cookies, ("secret",), ("ookie:", 'ookie":', "ookie':")),
    (users, ("password",), ("-u ", "-u=", "--user", "--proxy-user")),
    (personal.cards, ("card",), ()),
    (personal.ibans, ("iban",), ()),
    (personal.emails, ("email",), ("@",)),
    (personal.social_security_numbers, ("ssn",), ()),
    (personal.phones, ("phone",), ()),
    (personal.ip_addresses, ("ip_address",), ()),
)
"""What finds some kinds, and strings of which one stands in every text it finds any in; none: a digit has to."""
DIGITS = "0123456789"
RARE = "QZXJVKGYqzj_x@98A7654B32/:kW-10.vbPwyICOSTpgfmu,crdlhEsinaote "
"""Characters, those first that are rare in texts."""


@dataclass(frozen=True)
class Masked:
    """A text with placeholders, how many of each kind they are, and the spans it was given where they stand now."""

    text: str
    counts: Mapping[str, int]
    spans: Spans


@dataclass(frozen=True)
class Redaction:
    """A policy. actions: kind -> "off", "mask" or "refuse", for those that are not as they are by default. patterns:
    of kinds of one's own. Raises InvalidInputError for what cannot be one.
    """

    actions: Mapping[str, str] = field(default_factory=dict)
    patterns: tuple[Pattern, ...] = ()

    def __post_init__(self) -> None:
        for kind, action in self.actions.items():
            check_kind(kind)
            if action not in ACTIONS:
                raise InvalidInputError(f"{kind} is {action!r}; use one of {', '.join(ACTIONS)}")

    # ---- as data -------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, text: str | None) -> Redaction:
        """From what `write` gave; of None the default."""
        return _read(text)

    def write(self) -> str:
        body = {"actions": dict(self.actions), "patterns": [asdict(pattern) for pattern in self.patterns]}
        return json.dumps(body, sort_keys=True)

    def changed(
        self, actions: Mapping[str, str], patterns: Sequence[Pattern] | None = None, analysed: bool = False
    ) -> Self:
        """With these actions, of kinds or of GROUPS, and with patterns in the place of those there were; None keeps
        them. With a pattern goes the action of its kind.

        analysed: whether there is an analyser, which has kinds of its own.
        """
        for pattern in patterns or ():
            check_begins(pattern)
        patterns = self.patterns if patterns is None else tuple(patterns)
        own = {one.kind for one in patterns}
        gone = {one.kind for one in self.patterns} - own - {*KINDS}
        kept = {kind: action for kind, action in self.actions.items() if kind not in gone}
        known = {*KINDS, *GROUPS, *own, *kept}
        for kind in actions:
            if kind not in known and not analysed:
                raise InvalidInputError(f"kind {kind!r} is unknown; {_instead(kind, known)}")
        told = {one: action for kind, action in actions.items() for one in GROUPS.get(kind, (kind,))}
        fresh = dict.fromkeys(own - kept.keys(), "mask")
        return type(self)({**kept, **fresh, **told}, patterns)

    @cached_property
    def every(self) -> dict[str, str]:
        """The action of every kind."""
        return {**dict.fromkeys(SECRETS, "mask"), **dict.fromkeys(PERSONAL, "off"), **self.actions}

    @cached_property
    def on(self) -> frozenset[str]:
        """The kinds that are not off."""
        return frozenset(kind for kind, action in self.every.items() if action != "off")

    @cached_property
    def analysed(self) -> frozenset[str]:
        """The kinds among them that only an analyser finds."""
        return self.on - {*KINDS, *(pattern.kind for pattern in self.patterns)}

    # ---- searching -----------------------------------------------------------------------------------------------

    @cached_property
    def _patterns(self) -> tuple[Pattern, ...]:
        return tuple(pattern for pattern in (*TOKENS, *self.patterns) if pattern.kind in self.on)

    @cached_property
    def _scanners(self) -> tuple[Callable[[str], Iterator[Found]], ...]:
        return tuple(scan for scan, kinds, _ in _SCANNERS if not self.on.isdisjoint(kinds))

    @cached_property
    def _assigned(self) -> bool:
        return not self.on.isdisjoint(("password", "secret"))

    @cached_property
    def _signs(self) -> tuple[tuple[str, tuple[str, ...]], ...] | None:
        """Strings of which one stands in every text that has anything to find, by a character that is rare and in all
        of them; None if any text may have something."""
        signs = [pattern.begins for pattern in self._patterns]
        for _, kinds, own in _SCANNERS:
            signs += [] if self.on.isdisjoint(kinds) else own or DIGITS
        if self.analysed or "" in signs:
            return None
        least = [one for one in set(signs) if not any(other in one and other != one for other in signs)]
        by_rarest: dict[str, list[str]] = {}
        for sign in sorted(least):
            by_rarest.setdefault(min(sign, key=_rarity), []).append(sign)
        return tuple((rare, tuple(own)) for rare, own in by_rarest.items())

    def suspects(self, text: str) -> bool:
        """Whether a text may have something to find; quick, since nearly none has."""
        if self._signs is None:
            return True
        for rare, signs in self._signs:
            if rare in text and any(map(text.__contains__, signs)):
                return True
        return self._assigned and told_by(text)

    def find(self, text: str, analyser: Analyser | None = None) -> list[Found]:
        """What in a text is not off, in order and without overlaps. SettingsError where an analyser is missing."""
        if not self.suspects(text):
            return []
        found = list(scanners.tokens(text, self._patterns))
        for scan in self._scanners:
            found += scan(text)
        found += assigned(text) if self._assigned else ()
        found += self._analysed_in(text, analyser)
        return merged(self._beside_masks(text, [one for one in found if one.kind in self.on]))

    def _beside_masks(self, text: str, found: Sequence[Found]) -> list[Found]:
        """Those that are not part of what stands in another's place already, with all of it where they reach into it:
        so each round of masking leaves less to find."""
        own = {placeholder(kind) for kind in self.on}
        there = [match.span() for match in scanners.PLACEHOLDER.finditer(text) if match[0] in own] if found else []
        whole = []
        for one in found:
            touched = [(start, end) for start, end in there if start < one.end and one.start < end]
            if not any(start <= one.start and one.end <= end for start, end in touched):
                starts, ends = zip((one.start, one.end), *touched, strict=True)
                whole.append(Found(min(starts), max(ends), one.kind))
        return whole

    def _analysed_in(self, text: str, analyser: Analyser | None) -> list[Found]:
        if not self.analysed:
            return []
        if analyser is None:
            raise SettingsError(
                f"this namespace redacts {', '.join(sorted(self.analysed))}, which an analyser has to find; give it "
                "one with memory.redaction(analyser=...) after opening the memory"
            )
        return [Found(*_checked(one, text)) for one in analyser(text)]

    def mask(self, text: str, spans: Iterable[Sequence[int]] = (), analyser: Analyser | None = None) -> Masked:
        """A text with placeholders, whatever is done with the kinds that are not off."""
        counts: dict[str, int] = {}
        moved = [(start, end) for start, end in spans]
        while found := self.find(text, analyser):
            for one in found:
                counts[one.kind] = counts.get(one.kind, 0) + 1
            text, moved = _replaced(text, found, moved)
        return Masked(text, counts, moved)

    def named(self, name: str, value: str) -> str | None:
        """What kind of secret a value in data is by the name it stands under; None for none, or one that is off."""
        kind = kind_of_named(name, value) if self._assigned else None
        return kind if kind in self.on else None


def _rarity(sign: str) -> int:
    """Where a character stands among those of RARE; what is not there is rarer still."""
    return RARE.find(sign)


@lru_cache(1024)
def _read(text: str | None) -> Redaction:
    if text is None:
        return Redaction()
    body: dict[str, Any] = json.loads(text)
    return Redaction(body["actions"], tuple(Pattern(**pattern) for pattern in body["patterns"]))


def _replaced(text: str, found: Sequence[Found], spans: Spans) -> tuple[str, Spans]:
    """A text with placeholders, and spans of it where they stand then: what begins or ends in one takes it whole."""
    parts, at = list[str](), 0
    for one in found:
        parts += text[at : one.start], placeholder(one.kind)
        at = one.end
    moved = [(_moved(start, found, False), _moved(end, found, True)) for start, end in spans]
    return "".join((*parts, text[at:])), moved


def _moved(at: int, found: Sequence[Found], end: bool) -> int:
    shift = 0
    for one in found:
        size = len(placeholder(one.kind))
        if at >= one.end:
            shift += size - (one.end - one.start)
        elif at > one.start:
            return one.start + shift + (size if end else 0)
    return at + shift


def _checked(one: Any, text: str) -> tuple[int, int, str]:
    try:
        start, end, kind = one
        if not (0 <= start < end <= len(text) and isinstance(kind, str)):
            raise ValueError
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"the analyser gave a {type(one).__name__} for a text of {len(text)} characters; it must give "
            "(start, end, kind) with 0 <= start < end <= the text's length"
        ) from None
    return int(start), int(end), kind


def _instead(kind: str, known: Iterable[str]) -> str:
    close = get_close_matches(kind[:100], sorted(known), 1) if isinstance(kind, str) else []
    return f"did you mean {close[0]!r}?" if close else f"the kinds are {', '.join(sorted(known))}"
