"""Secrets by the name they are given: `password = ...`, `"api_key": "..."`, `TOKEN=...`, "the password is ...".

Knows which names say so, and which values can be secrets: ordinary words, variables, calls, paths and numbers cannot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentmem.redact.scanners import Found, secretive

WORDS = ("passw", "passphrase", "pwd", "secret", "token", "credential", "sharedaccess")
KEYS = (*"api_key apikey api-key access_key accesskey account_key accountkey private_key".split(), "api key")
"""One of WORDS or KEYS stands, in lower case, in every text that this finds anything in."""
LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
NAME = re.compile(
    r"(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_ -]?key|access_?key|account_?key|private_key|credential"
    r"|sharedaccesskey|sharedaccesssignature)[A-Za-z0-9_-]{0,30}+",
    re.IGNORECASE,
)
BETWEEN = re.compile(r"(?:\\{0,4}[\"'`])?+ {0,3}+(?P<sign>=>|:=|==?|:|is |was )[ \t]{0,8}+(?P<quote>\\{0,4}[\"'`])?+")
SAID = re.compile(r"passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|secret)[_-]?key", re.IGNORECASE)
SPACE = re.compile(r"(?P<sign> )(?P<quote>[\"'])?+")
QUOTED = re.compile(r"[^\"'`\s\\]{1,256}+")
BARE = re.compile(r"[^\s\"'`,;<>(){}|\\&]{1,256}+")
PASSWORDS = ("passwd", "password", "passphrase", "pwd")
PLAIN = re.compile(r"[A-Za-z0-9_\-./+=~]++")
CODE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+(?:(?:\.|->|::)[A-Za-z_][A-Za-z0-9_]*+|\[[A-Za-z0-9_]*+\])++\Z")
COOKIE = re.compile(r"[Cc]ookie[\"']?: {0,4}+[\"']?([^\r\n\"'\\]{1,4096}+)")
PAIR = re.compile(r"([^\s;=]{1,80}+)=([^\s;]{1,1024}+)")
SESSION = re.compile(r"sess|sid|auth|token|jwt|csrf|xsrf", re.IGNORECASE)
USER = re.compile(r"(?<![^\s\"'`(])(?:-u|--user|--proxy-user)[ =]{1,2}+[\"']?+[^\s:\"'`]{1,100}+:([^\s\"'`]{1,256}+)")
BEFORE = re.compile(r"(?<![^\s\"'`(])--[^\s\"'`(]{0,28}+\Z")
FLAG = 30  # characters before a name in which its flag begins, as in --db-password
LEAST = 16  # characters of a secret that is no password


def assigned(text: str) -> Iterator[Found]:
    """The values of names that say they are secret."""
    at = 0
    for place in _places(text):
        if place < at or (name := NAME.match(text, place)) is None:
            continue
        at = name.end()
        between = BETWEEN.match(text, at) or (_is_flag(text, place, name[0]) and SPACE.match(text, at)) or None
        if between is None:
            continue
        at = between.end()
        quote = between["quote"]
        value = (QUOTED if quote else BARE).match(text, at)
        if value is None:
            continue
        said = value[0] if quote else value[0].rstrip(".!?:")
        if quote and not text.startswith(quote, value.end()):
            continue
        if (kind := kind_of(name[0], said, bool(quote), between["sign"][0] in "iw")) is not None:
            yield Found(at, at + len(said), kind)
            at += len(said)


def cookies(text: str) -> Iterator[Found]:
    """Values in Cookie and Set-Cookie headers that can be secrets: long ones, and those of a session."""
    for header in COOKIE.finditer(text):
        for pair in PAIR.finditer(text, header.start(1), header.end(1)):
            name, value = pair.groups()
            short = SESSION.search(name) is not None and len(value) >= 6 and any(map(str.isdigit, value))
            if secretive(value) and (short or _is_secret(value)):
                yield Found(pair.start(2), pair.end(2), "secret")


def users(text: str) -> Iterator[Found]:
    """The password in `-u name:password`, as curl takes it."""
    for match in USER.finditer(text):
        if kind_of("password", match[1], quoted=False) is not None:
            yield Found(match.start(1), match.end(1), "password")


def told_by(text: str) -> bool:
    """Whether a text has a name that says so; quick, since most have none."""
    lower = _lower(text)
    if any(map(lower.__contains__, WORDS)):
        return True
    return "key" in lower and any(map(lower.__contains__, KEYS))


def _is_flag(text: str, place: int, name: str) -> bool:
    """Whether the name at a place is that of a flag, such as --password, and no --password-stdin."""
    return SAID.fullmatch(name) is not None and BEFORE.search(text, max(0, place - FLAG), place) is not None


def _places(text: str) -> list[int]:
    """Where WORDS and KEYS stand, in order."""
    lower, found = _lower(text), list[int]()
    for word in (*WORDS, *KEYS) if "key" in lower else WORDS:
        at = lower.find(word)
        while at >= 0:
            found.append(at)
            at = lower.find(word, at + len(word))
    return sorted(found)


def _lower(text: str) -> str:
    """As long as the text, which `lower` alone is not for some letters."""
    lower = text.lower()
    return lower if len(lower) == len(text) else text.translate(LOWER)


def kind_of(name: str, value: str, quoted: bool = True, told: bool = False) -> str | None:
    """What kind of secret a value is that has a name of NAME; None for none. told: in words, with "is"."""
    if not secretive(value):
        return None
    if any(word in name.casefold() for word in PASSWORDS):
        return "password" if _is_password(value, quoted, told) else None
    return "secret" if not told and _is_secret(value) else None


def kind_of_named(name: str, value: str) -> str | None:
    """`kind_of` for a value in data, by its key."""
    match = NAME.search(name)
    return None if match is None or re.search(r"\s", value) else kind_of(match[0], value)


def _is_password(value: str, quoted: bool, told: bool) -> bool:
    """With a digit or a sign in it; without quotes also no piece of code."""
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    signs = any(sign in "!@#$%^*+~?" for sign in value)
    if len(value) < (4 if quoted else 6) or not (digits or signs):
        return False
    if quoted:
        return letters or len(value) >= 6
    if value[0] in "/.~[-" or CODE.match(value) or "://" in value:
        return False
    return letters and (digits or not told)


def _is_secret(value: str) -> bool:
    """Long, of letters and digits mixed, and no piece of code."""
    if len(value) < LEAST or not PLAIN.fullmatch(value) or value[0] in "/.-":
        return False
    digits = sum(map(str.isdigit, value))
    return digits >= 2 and digits < len(value) and not CODE.match(value) and "://" not in value
