"""Scanners: each finds spans of some kinds in a text, in one pass.

None goes back over what it read: a run of characters is read once, to its end or to a limit, and then left behind. So
the time is linear in the text, whatever stands in it. Knows no policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from agentmem.redact.kinds import Pattern

ESCAPES = "nrt"
HEX = frozenset("0123456789abcdefABCDEF")
INSIDE = frozenset(["github_token"])
"""Kinds with a beginning that no word ends in, and a long run after it: also behind a letter or digit."""
PLACEHOLDER = re.compile(r"\[[a-z0-9 ]{2,40}\]")
PART = re.compile(r"[A-Za-z0-9_-]++")
ARMOUR = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
ENDS = re.compile(r"-----END [A-Z0-9 ]{0,60}-----")
BODY = re.compile(r"(?:(?:\s|\\[nr]){0,4}+(?:[A-Za-z0-9+/=]{20,}+|[A-Z][A-Za-z-]{2,20}+: [^\n\\]{0,80}+))*+")
BEARER = re.compile(r"[Bb](?:earer|EARER)[ :=\t]{1,4}[\"']?([A-Za-z0-9._~+/=-]++)")
BASIC = re.compile(r"[Aa]uthorization[\"']?[:=] {0,4}[\"']?[Bb]asic {1,4}([A-Za-z0-9+/=]++)")
AUTHORITY = re.compile(r"[^\s/?#\"'<>`\\|]{1,300}+")
LONGEST = 16_384  # characters of a private key


class Found(NamedTuple):
    """Characters [start, end) of a text are of this kind."""

    start: int
    end: int
    kind: str


def tokens(text: str, patterns: Sequence[Pattern]) -> Iterator[Found]:
    """What is written as these patterns say."""
    for pattern in patterns:
        if pattern.begins in text:
            yield from _like(text, pattern) if pattern.begins else _alone(text, pattern)


def _like(text: str, pattern: Pattern) -> Iterator[Found]:
    at = text.find(pattern.begins)
    while at >= 0:
        first = at + len(pattern.begins)
        run = pattern.run.match(text, first)
        end = run.end() if run is not None else first
        if (starts(text, at) or pattern.kind in INSIDE) and _fits(text, first, end, pattern):
            yield Found(at, first + len(text[first:end].rstrip(".")), pattern.kind)
        at = text.find(pattern.begins, end)


def _alone(text: str, pattern: Pattern) -> Iterator[Found]:
    for run in pattern.run.finditer(text):
        if starts(text, run.start()) and _fits(text, run.start(), run.end(), pattern):
            yield Found(run.start(), run.end(), pattern.kind)


def _fits(text: str, first: int, end: int, pattern: Pattern) -> bool:
    """Whether a run is as long as it has to be, and ends where the word does."""
    if not pattern.least <= end - first <= pattern.most or not ends(text, end):
        return False
    return not pattern.digits or any(sign.isdigit() for sign in text[first:end])


def starts(text: str, at: int) -> bool:
    """Whether a word can start here: behind no letter or digit, but for those of an escape such as \\n or %3D."""
    before = text[at - 1 : at]
    if not (before.isascii() and before.isalnum()) or at == 0:
        return True
    if at > 2 and text[at - 3] == "%" and HEX.issuperset(text[at - 2 : at]):
        return True
    return before in ESCAPES and text[at - 2 : at - 1] == "\\"


def ends(text: str, at: int) -> bool:
    after = text[at : at + 1]
    return not (after.isascii() and after.isalnum())


def private_keys(text: str) -> Iterator[Found]:
    """Keys in PEM or PGP armour, from BEGIN to END; without an END, as far as it looks like one."""
    at = 0
    while (begin := ARMOUR.search(text, at)) is not None:
        close = ENDS.search(text, begin.end(), begin.end() + LONGEST)
        body = close or BODY.match(text, begin.end())
        at = body.end() if body is not None else begin.end()
        yield Found(begin.start(), at, "private_key")


def web_tokens(text: str) -> Iterator[Found]:
    """JSON web tokens: three parts with dots between, the first of which begins like an encoded {"."""
    at = text.find("eyJ")
    while at >= 0:
        parts, end = list[int](), at
        while len(parts) < 5 and (part := PART.match(text, end)) is not None:
            parts.append(part.end() - end)
            end = part.end() + 1
            if text[end - 1 : end] != ".":
                break
        end = min(end - 1, len(text)) if parts else at + 3
        if starts(text, at) and len(parts) >= 3 and parts[0] >= 12 and parts[1] >= 8:
            yield Found(at, end, "jwt")
        at = text.find("eyJ", max(end, at + 3))


def bearers(text: str) -> Iterator[Found]:
    """What stands behind Bearer, or behind Basic in a header."""
    for pattern in (BEARER, BASIC):
        for match in pattern.finditer(text):
            said = match[1].rstrip(".")
            if len(said) >= 12 and any(map(str.isdigit, said)) and any(map(str.isalpha, said)):
                yield Found(match.start(1), match.start(1) + len(said), "bearer_token")


def addresses_with_passwords(text: str) -> Iterator[Found]:
    """The password in scheme://user:password@host."""
    at = text.find("://")
    while at >= 0:
        authority = AUTHORITY.match(text, at + 3)
        end = authority.end() if authority is not None else at + 3
        user, colon, rest = text[at + 3 : end].partition(":")
        password, host, _ = rest.rpartition("@")
        if colon and host and secretive(password):
            first = at + 3 + len(user) + 1
            yield Found(first, first + len(password), "password")
        at = text.find("://", end)


DULL = frozenset(
    "pass passwd password pwd pw secret token user username example changeme your_password yourpassword mypassword "
    "none null true false undefined string str redacted hidden removed empty required optional".split()
)


def secretive(value: str) -> bool:
    """Whether it can be a secret, and is no name of one, no variable, and nothing in its place."""
    if not value or value[0] in "$%<{*(&[]" or PLACEHOLDER.match(value):
        return False
    return value.casefold() not in DULL and len(set(value)) > 2


def merged(found: Iterable[Found]) -> list[Found]:
    """In the order of the text, what overlaps as one: of the kind of the longest, or of the first."""
    joined: list[Found] = []
    size = 0
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if joined and one.start < joined[-1].end:
            last = joined[-1]
            kind = one.kind if one.end - one.start > size else last.kind
            size = max(size, one.end - one.start)
            joined[-1] = Found(last.start, max(last.end, one.end), kind)
        else:
            joined.append(one)
            size = one.end - one.start
    return joined
