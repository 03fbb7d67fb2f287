"""What a caller hands to `log`, checked and turned into a record of the log; and back into a Step.

Everything is checked before anything is written: a value that cannot be stored whole is refused with its name, the
limit and the remedy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from agentmem.errors import InvalidInputError, TooLargeError, in_brief, said_of
from agentmem.index import step_id, step_position
from agentmem.redact import Redaction
from agentmem.remembered import of_texts
from agentmem.terms import measured, terms_but
from agentmem.trust import UNTRUSTED
from agentmem.types import Kind, Namespace, Record, Step, Trust

SHOWN = 4_096  # characters of a value that an error looks at
TEXT_LIMIT = 64 << 20  # bytes of UTF-8
DATA_LIMIT = 16 << 20
BLOB_LIMIT = 256 << 20
DEEPEST = 100  # levels of lists and mappings in data
PATH_LIMIT, FILE_LIMIT = 4_000, 255  # characters of a path, and bytes of each name in it
TIME_LIMIT = 100  # characters of an ISO time; what is longer is none
PARTS_LIMIT = 100  # of a namespace
NAME_LIMIT = 1_000  # characters of ids, keys, actors, subjects and namespace parts
RAW = ("data", "reward")  # kept as given: 0, False and [] are values too
KINDS = get_args(Kind)
TRUSTS = get_args(Trust)
_SECRETS = Redaction()


def record_of(
    namespace: Namespace,
    episode: str,
    text: str,
    kind: str,
    logged_at: float,
    head: int,
    *,
    actor: str | None = None,
    at: datetime | str | None = None,
    data: Any = None,
    blobs: Mapping[str, bytes] | None = None,
    reward: float | None = None,
    terminated: bool = False,
    truncated: bool = False,
    key: str | None = None,
    reply_to: str | None = None,
    subjects: Sequence[str] = (),
    trust: str | None = None,
    recalled: Sequence[tuple[int, int]] = (),
    recalled_from: Sequence[int] = (),
    recalled_trust: str | None = None,
) -> Record:
    """A step as a record; InvalidInputError or TooLargeError for what cannot be stored. head: the log's end.

    recalled_trust: that of what it repeats, where that is less than the agent's own.
    """
    check_text(text)
    tokens, terms = measured(text)
    if recalled and recalled_trust in UNTRUSTED:
        terms = terms_but(text, recalled)
    if isinstance(subjects, str) or not iterates(subjects):
        raise InvalidInputError(
            f"subjects {brief(subjects)} is {_one(subjects)}; give a list of names, such as ['ann'], or [] for none"
        )
    if blobs is not None and not isinstance(blobs, Mapping):
        raise InvalidInputError(f"blobs is a {type(blobs).__name__}; give a mapping of name -> bytes")
    body = {
        "at": _iso(at),
        "data": data,
        "blobs": {check_name("blob name", name): digest(content) for name, content in (blobs or {}).items()},
        "reward": _reward(reward),
        "terminated": check_flag("terminated", terminated),
        "truncated": check_flag("truncated", truncated),
        "reply_to": _reply(reply_to, head),
        "subjects": [check_name("subject", subject) for subject in subjects],
        "trust": _choice("trust", trust, TRUSTS) if trust is not None else None,
        "recalled": [list(span) for span in recalled],
        "recalled_from": list(recalled_from),
        "recalled_trust": _choice("recalled_trust", recalled_trust, TRUSTS) if recalled_trust is not None else None,
    }
    return Record(
        type="step",
        namespace=namespace,
        episode=episode,
        kind=_choice("kind", kind, KINDS),
        actor=check_name("actor", actor) if actor is not None else None,
        text=text,
        body=canonical({name: value for name, value in body.items() if value is not None and (name in RAW or value)}),
        key=check_name("key", key) if key is not None else None,
        logged_at=logged_at,
        tokens=tokens,
        terms=terms,
    )


def step_of(record: Record) -> Step:
    """The step in a record."""
    body = json.loads(record.body) if record.body != "{}" else {}
    at = body.get("at")
    return _made(
        id=step_id(record.position),
        position=record.position,
        namespace=record.namespace,
        episode=record.episode,
        kind=record.kind,
        text=record.text,
        actor=record.actor,
        at=datetime.fromisoformat(at) if at else None,
        logged_at=datetime.fromtimestamp(record.logged_at, UTC),
        data=body.get("data"),
        blobs=body.get("blobs", {}),
        reward=body.get("reward"),
        terminated=body.get("terminated", False),
        truncated=body.get("truncated", False),
        key=record.key,
        reply_to=body.get("reply_to"),
        subjects=tuple(body.get("subjects", ())),
        trust=body.get("trust"),
        recalled=tuple((start, end) for start, end in body.get("recalled", ())),
        lost="lost" in body,
        masked=body.get("masked", {}),
        tokens=record.tokens,
    )


def _made(**values: Any) -> Step:
    """A step of these values, which are all of its fields: `model_construct`, three times as quick."""
    step = Step.__new__(Step)
    set_attribute = object.__setattr__
    set_attribute(step, "__dict__", values)
    set_attribute(step, "__pydantic_fields_set__", set(values))
    set_attribute(step, "__pydantic_extra__", None)
    set_attribute(step, "__pydantic_private__", None)
    return step


def digest(content: bytes) -> str:
    """A blob's name in the store."""
    if not isinstance(content, bytes | bytearray | memoryview):
        raise InvalidInputError(f"a blob must be bytes, not {type(content).__name__}; put plain values into data")
    if len(content) > BLOB_LIMIT:
        size = len(content)
        raise TooLargeError(f"a blob of {size:,} bytes is over the limit of {BLOB_LIMIT:,}; store its path in data")
    return hashlib.sha256(content).hexdigest()


def canonical(value: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    if not value:
        return "{}"
    _check_data(value.get("data"), "data")
    text = to_json(value)
    _check_unicode("data", text)
    if len(text) > DATA_LIMIT:
        raise TooLargeError(f"data of {len(text):,} characters is over the limit of {DATA_LIMIT:,}; use blobs")
    return text


@of_texts
def values_of(body: str) -> Mapping[str, Any]:
    """What `canonical` wrote; not to be changed."""
    return json.loads(body)  # type: ignore[no-any-return]


def to_json(value: Any) -> str:
    """Compact JSON with sorted keys; numpy arrays as lists. InvalidInputError for what is no JSON."""
    try:
        return json.dumps(
            value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain
        )
    except InvalidInputError:
        raise
    except (TypeError, ValueError, RecursionError) as error:  # NaN, numbers of thousands of digits, a list in itself
        raise InvalidInputError(f"data cannot be written as JSON: {error}; log it as a str or a blob") from None


def check_text(text: str) -> None:
    """InvalidInputError unless a text can be stored whole."""
    if not isinstance(text, str):
        kind = type(text).__name__
        raise InvalidInputError(f"text must be str, not {kind}; describe the observation and put values in data")
    remedy = f"is over the limit of {TEXT_LIMIT:,}; log it in parts or as a blob"
    if len(text) > TEXT_LIMIT:
        raise TooLargeError(f"a text of {len(text):,} characters, and more bytes, {remedy}")
    _check_unicode("text", text)
    if len(text) > TEXT_LIMIT // 4 and (size := len(text.encode())) > TEXT_LIMIT:
        raise TooLargeError(f"a text of {size:,} bytes {remedy}")


def check_name(what: str, name: str) -> str:
    """The name of something: a non-empty str of at most NAME_LIMIT characters."""
    if not isinstance(name, str) or not name:
        raise InvalidInputError(f"{what} {brief(name)} must be a non-empty str")
    if len(name) > NAME_LIMIT:
        raise TooLargeError(f"{what} of {len(name):,} characters is over the limit of {NAME_LIMIT:,}; shorten it")
    _check_unicode(f"{what} {brief(name)}", name, "write it in UTF-8, or clean it with")
    return name


def check_id(what: str, value: object) -> str:
    """The id of something that is logged, which is a str; the thing itself is refused with a hint."""
    if isinstance(value, str):
        return value
    kind = type(value).__name__
    if hasattr(value, "id"):
        raise InvalidInputError(f"{what} is {_article(kind)} {kind}; give its id, which is in .id")
    raise InvalidInputError(f"{what} {brief(value)} is no id; give one, which is a str")


def check_flag(what: str, value: object) -> bool:
    """True or False, of Python or numpy; other values that count as true are refused."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"{what} {brief(value)} must be True or False")
    return bool(value)


def check_whole(what: str, value: object, least: int) -> None:
    """InvalidInputError for what is no whole number, or under the least."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInputError(f"{what} {brief(value)} must be a whole number, {least} or more")


def check_path(what: str, path: str | Path) -> Path:
    """The path of a file, which has a name in UTF-8."""
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise InvalidInputError(f"{what} {brief(path)} is no path of a file; give the path of one")
    long = len(str(path)) > PATH_LIMIT
    if not long:
        _check_unicode(f"{what} {brief(str(path))}", str(path), "choose a name in UTF-8, or clean it with")
        long = max((len(part.encode()) for part in Path(path).parts), default=0) > FILE_LIMIT
    if long:
        limit = f"{PATH_LIMIT:,} characters, or a name in it over the limit of {FILE_LIMIT}"
        raise TooLargeError(f"{what} {brief(str(path))} is over the limit of {limit}; choose a shorter one")
    return Path(path)


def iterates(value: object) -> bool:
    """Whether it can be gone through, unlike an array of no dimension, which only looks as if."""
    try:
        iter(value)  # type: ignore[call-overload]
    except TypeError:
        return False
    return True


def brief(value: object) -> str:
    """A value as an error shows it: without secrets, and not too long, whatever it is."""
    text = _SECRETS.mask(in_brief(value, SHOWN)).text
    return text if len(text) <= 80 else f"{text[:79]}…"


def why_of(error: Exception) -> str:
    """The first thing that pydantic found wrong, with its place; any other error in its own words, if they are few."""
    if not isinstance(error, ValidationError):
        return str(error)[:200]
    problem = error.errors(include_url=False)[0]
    where, said = ".".join(map(str, problem["loc"]))[:80], said_of(problem, brief)
    return f"{where}: {said}" if where else said


def check_namespace(namespace: Sequence[str]) -> Namespace:
    """A tuple of names; a bare str is refused, since it would be taken apart into letters."""
    if isinstance(namespace, str) or not iterates(namespace):
        raise InvalidInputError(
            f"namespace {brief(namespace)} is {_one(namespace)}; give a tuple of names, such as ('acme', 'ann')"
        )
    parts = tuple(islice(namespace, PARTS_LIMIT + 1))
    if len(parts) > PARTS_LIMIT:
        raise TooLargeError(f"namespace {brief(parts)} is over the limit of {PARTS_LIMIT} parts; join some of them")
    return tuple(check_name("namespace part", part) for part in parts)


def check_goal(what: str, text: str | None) -> None:
    """InvalidInputError unless an episode's goal or agent is None or a str that can be stored."""
    if text is not None:
        if not isinstance(text, str):
            raise InvalidInputError(f"{what} {brief(text)} must be a str or None")
        if len(text) > DATA_LIMIT:
            raise TooLargeError(f"{what} of {len(text):,} characters is over the limit of {DATA_LIMIT:,}; shorten it")
        _check_unicode(what, text)


def _one(value: object) -> str:
    return f"one {type(value).__name__}"


def _article(noun: str) -> str:
    return "an" if noun[0] in "AEIOU" else "a"


def _check_unicode(what: str, text: str, remedy: str = "log the bytes as a blob, or clean it with") -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{what} has a lone surrogate {text[error.start]!r} at character {error.start}, which is no text in UTF-8; "
            f"{remedy} .encode('utf-8', 'replace').decode()"
        ) from None


def _check_data(value: Any, what: str, path: tuple[str | int, ...] = ()) -> None:
    """NaN and infinities have no JSON: say where they are."""
    if value is None or isinstance(value, int):
        return
    if len(path) > DEEPEST:
        raise InvalidInputError(f"data is more than {DEEPEST} levels deep, or holds itself; log it as a blob")
    if isinstance(value, str | list | tuple) and len(value) * (1 if isinstance(value, str) else 2) > DATA_LIMIT:
        where = _place(what, path)
        raise TooLargeError(f"{where} of {len(value):,} is more than {DATA_LIMIT:,} characters of JSON; use blobs")
    if isinstance(value, float) and not math.isfinite(value):
        where = _place(what, path)
        raise InvalidInputError(f"{where} is {value}, which JSON cannot hold; use None or a str such as '{value}'")
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise InvalidInputError(f"{_place(what, path)} has the key {brief(name)}; keys must be str")
            _check_data(inner, what, (*path, name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            _check_data(inner, what, (*path, number))
    elif hasattr(value, "tolist"):
        _check_data(value.tolist(), what, path)


def _place(what: str, path: tuple[str | int, ...]) -> str:
    """Such as data['steps'][3]."""
    return what + "".join(f"[{each}]" if isinstance(each, int) else f"[{brief(each)}]" for each in path)


def _plain(value: Any) -> Any:
    """numpy arrays and scalars as lists and numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise InvalidInputError(f"data holds a {type(value).__name__}, which is not JSON; convert it, or log it as a blob")


def _reward(reward: float | None) -> float | None:
    if reward is None:
        return None
    try:
        if isinstance(reward, str | bytes):
            raise TypeError
        number = float(reward)
    except (TypeError, ValueError):
        raise InvalidInputError(f"reward {brief(reward)} is not a number; give an int or a float") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidInputError(f"reward is {number}; it must be finite: use None for no reward")
    return number


def _choice(what: str, value: str, allowed: Sequence[str]) -> Any:
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInputError(f"{what} {brief(value)} is unknown; use one of {', '.join(allowed)}")
    return value


def _reply(reply_to: str | None, head: int) -> str | None:
    if reply_to is not None and not 0 < step_position(reply_to) <= head:
        if hasattr(reply_to, "id"):
            check_id("reply_to", reply_to)
        raise InvalidInputError(f"reply_to {brief(reply_to)} is no step logged before; use the id of a Step")
    return reply_to


def _iso(at: datetime | str | None) -> str | None:
    """An ISO time as given, checked; datetimes in ISO."""
    if at is None:
        return None
    if isinstance(at, datetime):
        return at.isoformat()
    try:
        return datetime.fromisoformat(at[:TIME_LIMIT] if isinstance(at, str) else at).isoformat()
    except (TypeError, ValueError):
        raise InvalidInputError(f"at {brief(at)} is no ISO time; use e.g. '2026-01-31T14:05' or a datetime") from None
