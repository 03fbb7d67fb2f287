"""The arguments of a Memory's verbs, checked before anything is read or written.

Knows what shape they have and which names there are; what is wrong is said with the value and what to give instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.errors import InvalidInputError, NotFoundError, SettingsError, TooLargeError
from agentmem.index import step_position
from agentmem.records import NAME_LIMIT, TIME_LIMIT, TRUSTS, brief, check_id, check_path, iterates
from agentmem.types import KINDS, RECORD_TYPES, Columns, Namespace, Trust

if TYPE_CHECKING:
    from agentmem.memory.core import Core

FIRST, END = -62_135_596_800, 253_402_300_800  # seconds since 1970 of the years 1 and 10000
MOST_CUE = 1_000_000  # characters
MOST_HORIZON = 10**15  # tokens
LIKE = 2_000  # names, the newest, that one is compared with
MOST_COUNTED = 1 << 31  # tokens and terms of a step
SHOWN = 5  # names that are listed where none is like the one that was asked for


def check_ids(what: str, ids: Sequence[str] | str) -> list[str]:
    """The ids of steps or crystals, given as one or as several."""
    if isinstance(ids, str) or not iterates(ids) or hasattr(ids, "id"):
        return [check_id(what, ids)]
    if isinstance(ids, Mapping | bytes):
        raise InvalidInputError(f"{what} {brief(ids)} is one {type(ids).__name__}; give a list of ids")
    return [check_id(f"{what}[{number}]", one) for number, one in enumerate(ids)]


def check_several(what: str, given: Any, of: str) -> Iterable[Any]:
    """Several of something; a single one, which could be taken apart, is refused."""
    if isinstance(given, str | bytes | Mapping) or not iterates(given) or hasattr(given, "id"):
        raise InvalidInputError(f"{what} {brief(given)} is one {type(given).__name__}; give a list of {of}")
    several: Iterable[Any] = given
    return several


def check_function(what: str, value: object, kind: str) -> None:
    """InvalidInputError unless it can be called."""
    if not callable(value):
        raise InvalidInputError(f"{what} {brief(value)} is no function; give one {kind}")


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """A clock whose every answer is a time that can be told; InvalidInputError before anything is logged at another."""

    def now() -> float:
        seconds = clock()
        if not isinstance(seconds, int | float) or not FIRST <= seconds < END:
            raise InvalidInputError(
                f"the clock gave {brief(seconds)}; it must give seconds since 1970 within the years 1 to 9999, "
                "as time.time does (milliseconds are to be divided by 1000)"
            )
        return seconds

    return now


def check_opening(path: object, clock: object, condenser: object) -> None:
    """SettingsError or InvalidInputError for what no memory can be opened with."""
    if not isinstance(path, str | Path) or not str(path) or "\0" in str(path):
        raise SettingsError(f"path {brief(path)} is no path of a file; give one, or ':memory:'")
    check_path("path", path)
    check_function("clock", clock, "that returns seconds since 1970, such as time.time")
    if condenser is not None:
        check_function("condenser", condenser, "from several texts to a shorter one")


def check_settings(retain: object, horizon: object, key_file: object, passphrase: object, untrusted: object) -> None:
    """SettingsError for what no file can be made or recalled with."""
    if isinstance(untrusted, bool) or not isinstance(untrusted, int | float) or not 0 <= untrusted <= 1:
        raise SettingsError(f"untrusted {brief(untrusted)} is no share of a budget; give a number from 0 to 1")
    if key_file is not None and (not isinstance(key_file, str | Path) or not str(key_file) or "\0" in str(key_file)):
        raise SettingsError(f"key_file {brief(key_file)} is no path of a file; give one, or leave it out")
    if key_file is not None:
        check_path("key_file", key_file)
    if passphrase is not None and not callable(passphrase):  # which may be the passphrase itself
        raise SettingsError(f"passphrase is a {type(passphrase).__name__}; give a function that returns the text")
    if passphrase is not None and key_file is None:
        raise SettingsError(
            "passphrase belongs to a key file, which is not given, so that nothing would be encrypted; give key_file= "
            "as well, or leave passphrase out"
        )
    whole = isinstance(horizon, int) and not isinstance(horizon, bool)
    if horizon is not None and not (whole and 0 <= horizon <= MOST_HORIZON):  # type: ignore[operator]
        raise SettingsError(f"horizon {brief(horizon)} must be a whole number of tokens, from 0 to {MOST_HORIZON:,}")
    if not isinstance(retain, str | None) or retain not in (None, "keep", "crystals"):
        raise SettingsError(f"retain {brief(retain)} is unknown; use 'keep' or 'crystals'")


def check_trust(trust: object) -> Trust:
    """InvalidInputError unless it is a trust."""
    if not isinstance(trust, str) or trust not in TRUSTS:
        raise InvalidInputError(f"trust {brief(trust)} is unknown; use one of {', '.join(TRUSTS)}")
    return trust  # type: ignore[return-value]


def check_cue(cue: object) -> None:
    """InvalidInputError unless it is a str that can be looked for in seconds."""
    if not isinstance(cue, str):
        raise InvalidInputError(f"cue must be str, not {type(cue).__name__}; say in words what is to be recalled")
    if len(cue) > MOST_CUE:
        limit = f"the limit of {MOST_CUE:,}"
        raise TooLargeError(f"a cue of {len(cue):,} characters is over {limit}; give the part that says what is wanted")


def check_as_of(as_of: object) -> None:
    """InvalidInputError for a str that is neither a step's id nor a time, and for a step instead of its id."""
    if hasattr(as_of, "id"):
        check_id("as_of", as_of)
    if isinstance(as_of, str) and step_position(as_of) < 0 and not _is_time(as_of):
        example = "use an id such as 's00000000012', or a time such as '2026-01-31T14:05:00'"
        raise InvalidInputError(f"as_of {brief(as_of)} is neither a step's id nor an ISO time; {example}")


def check_asked(
    core: Core,
    namespaces: Sequence[Namespace],
    as_of: object,
    layers: Sequence[str] | str | None,
    episode: str | None = None,
    agent: str | None = None,
) -> None:
    """What a recall may be limited to: InvalidInputError for a wrong shape, NotFoundError for what never was."""
    check_as_of(as_of)
    if layers is not None and not isinstance(layers, str):
        check_several("layers", layers, "layers")
    check_filters(core, namespaces, episode, agent)


def check_filters(core: Core, namespaces: Sequence[Namespace], episode: str | None, agent: str | None = None) -> None:
    """NotFoundError unless there is such an episode, and an agent of this name; no agent is missed before any began."""
    if episode is None and agent is None:
        return
    with core.lock:
        known = [one for namespace in namespaces for one in core.index(namespace).episodes.values()]
    if episode is not None:
        _one_of("episode", check_id("episode", episode), [one.id for one in known], namespaces)
    if agent is not None and known:
        _one_of("agent", check_id("agent", agent), [one.agent for one in known if one.agent], namespaces)


def instead(name: str, known: Sequence[str], quoted: Callable[[str], str] = brief) -> str:
    """What may have been meant by a name that is not known, in words."""
    if close := get_close_matches(name[:NAME_LIMIT], known[-LIKE:], 3):
        return f"did you mean {' or '.join(map(quoted, close))}?"
    if not known:
        return "there is none yet"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"there {'is' if len(known) == 1 else 'are'} {', '.join(map(quoted, known[:SHOWN]))}{more}"


def tokens_counted(number: object) -> int:
    """What a caller's counter said of a text, if it is a number of tokens."""
    try:
        counted = -1 if isinstance(number, bool) else index(number)  # type: ignore[arg-type]
    except TypeError:
        counted = -1
    if counted < 0:
        raise InvalidInputError(f"count_tokens returned {brief(number)}; it must return a whole number, 0 or more")
    return counted


def _one_of(what: str, name: str, known: Sequence[str], namespaces: Sequence[Namespace]) -> None:
    names = list(dict.fromkeys(known))
    if name not in names:
        where = " or ".join(f"namespace {namespace}" for namespace in namespaces)
        within = f" in {where}" if any(namespaces) else ""
        raise NotFoundError(f"there is no {what} {brief(name)}{within}; {instead(name, names)}")


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text[:TIME_LIMIT])
    except ValueError:
        return False
    return True


def nonsense(columns: Columns, names: int) -> str:
    """What in columns no writer wrote, in words; "" for nothing."""
    limits = {"type": (0, len(RECORD_TYPES) - 1), "kind": (-1, len(KINDS) - 1)}
    limits |= {"episode": (0, names), "actor": (0, names), "tokens": (0, MOST_COUNTED), "length": (0, MOST_COUNTED)}
    for column, (least, most) in limits.items():
        values = getattr(columns, column)
        if values.min() < least or values.max() > most:
            return f"a {column} of {int(values.max())}"
    return ""
