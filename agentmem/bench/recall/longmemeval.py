"""LongMemEval's own files, longmemeval_s.json, _m and _oracle: five hundred questions, each with a history of chats.

Wu et al. 2024, "LongMemEval: Benchmarking Chat Assistants on Long-Term Interactive Memory"
(https://github.com/xiaowu0162/LongMemEval). Knows the fields as the authors publish them, and which sessions their
retrieval script takes as targets: those whose id says "answer" and in which a turn of the user's is labelled. Sessions
are put in the order of their dates, which the oracle file does not keep.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentmem.bench.recall.histories import History, Question, Step, cut
from agentmem.errors import InvalidInputError

_DATE = re.compile(r"(\d{4})/(\d\d)/(\d\d)\D*(\d\d):(\d\d)")
Session = tuple[str, str, Sequence[Mapping[str, Any]]]
"""Name, time, turns."""


def recognise(items: Sequence[Any]) -> bool:
    """Whether a JSON array is one of these files."""
    return bool(items) and isinstance(items[0], dict) and {"question_id", "haystack_sessions"} <= items[0].keys()


def abstains(entry: Mapping[str, Any]) -> bool:
    """Whether nothing answers the question; the authors' script leaves these out of retrieval."""
    return "_abs" in entry["question_id"]


def history(entry: Mapping[str, Any]) -> History:
    """One question with its haystack."""
    name = str(entry["question_id"])
    try:
        sessions = _sessions(entry)
        steps = [step for session in sessions for step in _steps(*session)]
        labels = [bool(turn.get("has_answer")) for _, _, turns in sessions for turn in turns]
        evidence = tuple(place for place, labelled in enumerate(labels) if labelled)
        upto = cut(steps, _time(entry["question_date"]))
        question = Question(name, entry["question"], str(entry["answer"]), entry["question_type"], evidence, upto)
    except KeyError as error:
        raise InvalidInputError(f"LongMemEval's question {name} has no {error}; get the authors' own file") from error
    return History(f"longmemeval/{name}", steps, [question] if evidence else [], _targets(sessions))


def _sessions(entry: Mapping[str, Any]) -> list[Session]:
    """In the order of their times; one that stands in the haystack twice is told apart by a number."""
    seen: dict[str, int] = {}
    found: list[Session] = []
    haystack = zip(entry["haystack_session_ids"], entry["haystack_dates"], entry["haystack_sessions"], strict=True)
    for name, date, turns in haystack:
        seen[name] = seen.get(name, 0) + 1
        found.append((name if seen[name] == 1 else f"{name}#{seen[name]}", _time(date), turns))
    return sorted(found, key=lambda session: session[1])


def _steps(name: str, time: str, turns: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    for number, turn in enumerate(turns, 1):
        yield Step(f"{name}_{number}", turn["content"], "message", turn["role"], time, name)


def _targets(sessions: Sequence[Session]) -> frozenset[str] | None:
    """None if no turn of the user's is labelled: the authors' script leaves such a question out."""
    labelled = {
        name
        for name, _, turns in sessions
        if any(turn["role"] == "user" and turn.get("has_answer") for turn in turns)
    }  # fmt: skip
    return frozenset(name for name in labelled if "answer" in name) if labelled else None


def _time(text: str) -> str:
    """ "2023/05/20 (Sat) 02:21" -> "2023-05-20T02:21:00" """
    if found := _DATE.search(text):
        return "{}-{}-{}T{}:{}:00".format(*found.groups())
    raise InvalidInputError(f"{text!r} is no date as LongMemEval writes it: 2023/05/20 (Sat) 02:21")
