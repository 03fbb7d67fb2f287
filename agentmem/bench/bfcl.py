"""The memory part of the Berkeley Function Calling Leaderboard (BFCL v4), read in place from its wheel.

Five people talk over several conversations; 155 questions ask what they said. The data is Apache-2.0 and comes with the
`bfcl-eval` wheel, whose code is never imported. Each answer is labelled with the sentence that says it; the evidence is
the step that shares most word 3-grams with that sentence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

from agentmem.bench.evidence import History, Question, Turn, grams, words
from agentmem.errors import MissingExtraError

WHEEL = "bfcl-eval==2026.3.23"
PEOPLE = ("customer", "finance", "healthcare", "notetaker", "student")


def load(data: Path | None = None) -> list[History]:
    """One history per person, in the order of `PEOPLE`.

    data: the wheel's `bfcl_eval/data` folder; found among the installed packages if not given.
    """
    data = data or _installed()
    questions = list(_lines(data / "BFCL_v4_memory.json"))
    answers = {line["id"]: line for line in _lines(data / "possible_answer" / "BFCL_v4_memory.json")}
    return [_history(data, person, questions, answers) for person in PEOPLE]


def _installed() -> Path:
    try:
        listed = files("bfcl-eval") or []
    except PackageNotFoundError:
        listed = []
    for file in listed:
        if file.name == "BFCL_v4_memory.json" and file.parent.name == "data":
            return Path(str(file.locate())).parent
    raise MissingExtraError(f"the BFCL memory benchmark is not installed: pip install --no-deps {WHEEL}")


def _history(data: Path, person: str, questions: list[Any], answers: dict[str, Any]) -> History:
    conversations = list(_lines(data / "memory_prereq_conversation" / f"memory_{person}.json"))
    turns = [
        Turn(f"{i}.{j}", f"{person}/{i}", conversation["topic"], message["content"])
        for i, conversation in enumerate(conversations)
        for j, (message,) in enumerate(conversation["question"])
    ]
    known = [(turn.id, grams(words(turn.text))) for turn in turns]
    asked = [
        _question(question, answers[question["id"]], known) for question in questions if question["scenario"] == person
    ]
    return History(person, turns, asked)


def _question(question: Any, answer: Any, known: list[tuple[str, set[tuple[str, ...]]]]) -> Question:
    source = grams(words(answer["source"]))
    evidence, _ = max(known, key=lambda turn: len(source & turn[1]))
    return Question(question["id"], question["question"][0][0]["content"], answer["ground_truth"], evidence)


def _lines(file: Path) -> Iterator[Any]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)
