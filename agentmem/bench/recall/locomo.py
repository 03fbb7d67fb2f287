"""LoCoMo's own file, locomo10.json: ten long conversations of two people, with questions.

Maharana et al. 2024, "Evaluating Very Long-Term Conversational Memory of LLM Agents"
(https://github.com/snap-research/locomo). Knows the fields as the authors publish them; what a turn shows as a picture
is logged by its caption. Its licence is CC BY-NC 4.0, so the file is the reader's to fetch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from agentmem.bench.recall.histories import History, Question, Step, places
from agentmem.errors import InvalidInputError

TYPES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
UNANSWERED = "Not mentioned in the conversation"
"""The answer to an adversarial question, for which the file has none."""
_SESSION = re.compile(r"session_(\d+)")
_LABEL = re.compile(r"D:?(\d+):0*(\d+)")


def recognise(items: Sequence[Any]) -> bool:
    """Whether a JSON array is this file."""
    return bool(items) and isinstance(items[0], dict) and {"conversation", "qa"} <= items[0].keys()


def history(sample: Mapping[str, Any]) -> History:
    """One conversation; its sessions in order of their numbers."""
    name = str(sample.get("sample_id", "locomo"))
    try:
        steps = list(_steps(sample["conversation"]))
        asked = [_question(steps, f"{name}-q{n}", question) for n, question in enumerate(sample["qa"])]
    except KeyError as error:
        raise InvalidInputError(f"LoCoMo's sample {name} has no {error}; get the authors' own file") from error
    return History(f"locomo/{name}", steps, [question for question in asked if question])


def _steps(conversation: Mapping[str, Any]) -> Iterator[Step]:
    numbers = sorted(int(found[1]) for key in conversation if (found := _SESSION.fullmatch(key)))
    for number in numbers:
        time = _time(conversation[f"session_{number}_date_time"])
        for turn in conversation[f"session_{number}"]:
            yield Step(turn["dia_id"], _said(turn), "message", turn["speaker"], time, f"S{number}")


def _said(turn: Mapping[str, Any]) -> str:
    caption = turn.get("blip_caption")
    return f"{turn['text']} [shares image: {caption}]" if caption else str(turn["text"])


def _time(text: str) -> str:
    """ "1:56 pm on 8 May, 2023" -> "2023-05-08T13:56:00" """
    try:
        return datetime.strptime(text.strip(), "%I:%M %p on %d %B, %Y").isoformat()
    except ValueError:
        raise InvalidInputError(f"{text!r} is no time as LoCoMo writes it: 1:56 pm on 8 May, 2023") from None


def _question(steps: Sequence[Step], name: str, question: Mapping[str, Any]) -> Question | None:
    """None for a question without labels. A label may name several turns: "D8:6; D9:17"."""
    labels = [f"D{day}:{turn}" for label in question["evidence"] for day, turn in _LABEL.findall(label)]
    if not labels:
        return None
    answer = str(question.get("answer", UNANSWERED))
    kind = TYPES.get(question["category"], str(question["category"]))
    return Question(name, question["question"], answer, kind, places(steps, labels), len(steps))
