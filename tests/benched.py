"""What the tests of `agentmem bench recall` share: a small history, and both foreign formats in their shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOMS = ("kitchen", "cellar", "attic", "garden", "library", "stable", "tower", "chapel")
THINGS = ("brass key", "oil lamp", "red scarf", "clay jug", "silver coin", "wooden flute", "old map", "green bottle")


def history(name: str = "house", asked_at: str = "end") -> dict[str, Any]:
    """Eight rooms in two sessions; each step says where a thing lies, each question asks for one place."""
    steps = [
        {
            "id": f"s{n}",
            "time": f"2026-01-{1 + n // 4:02d}T10:0{n % 4}:00",
            "actor": "ann",
            "kind": "observation",
            "text": f"In the {room} I saw that the {thing} was lying under the window beside a broken chair.",
            "session": f"day{n // 4}",
        }
        for n, (room, thing) in enumerate(zip(ROOMS, THINGS, strict=True))
    ]
    questions = [
        {
            "id": f"q{n}",
            "text": f"Where was the {thing} lying?",
            "answer": room,
            "type": "early" if n < 4 else "late",
            "evidence_step_ids": [f"s{n}"],
            "asked_at": asked_at,
        }
        for n, (room, thing) in enumerate(zip(ROOMS, THINGS, strict=True))
    ]
    return {"id": name, "steps": steps, "questions": questions}


def write_histories(path: Path, *histories: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in histories), encoding="utf-8")
    return path


def locomo_sample() -> dict[str, Any]:
    return {
        "sample_id": "conv-1",
        "conversation": {
            "speaker_a": "Ann",
            "speaker_b": "Bob",
            "session_2_date_time": "9:05 am on 1 June, 2023",
            "session_2": [{"speaker": "Bob", "dia_id": "D2:1", "text": "The pottery class was fun."}],
            "session_1_date_time": "1:56 pm on 8 May, 2023",
            "session_1": [
                {"speaker": "Ann", "dia_id": "D1:1", "text": "I joined a pottery class yesterday."},
                {
                    "speaker": "Bob",
                    "dia_id": "D1:2",
                    "text": "Look at this!",
                    "img_url": ["https://example.org/a.jpg"],
                    "blip_caption": "a photo of a blue bowl",
                },
            ],
        },
        "qa": [
            {"question": "When did Ann join?", "answer": "7 May 2023", "evidence": ["D1:1"], "category": 2},
            {"question": "What do both do?", "answer": "pottery", "evidence": ["D1:1; D2:01"], "category": 1},
            {"question": "Where is Ann's cat?", "evidence": ["D1:2"], "category": 5, "adversarial_answer": "home"},
            {"question": "Who knows?", "answer": 3, "evidence": [], "category": 3},
        ],
    }


def longmemeval_entry(name: str = "q1") -> dict[str, Any]:
    return {
        "question_id": name,
        "question_type": "single-session-user",
        "question": "What breed is my dog Rex?",
        "answer": "a border collie",
        "question_date": "2023/05/30 (Tue) 23:40",
        "haystack_dates": ["2023/05/21 (Sun) 10:00", "2023/05/20 (Sat) 02:21", "2023/06/02 (Fri) 09:00"],
        "haystack_session_ids": ["answer_ab_1", "chat_7", "chat_9"],
        "haystack_sessions": [
            [
                {"role": "user", "content": "My dog Rex is a border collie and loves walks.", "has_answer": True},
                {"role": "assistant", "content": "Border collies need much exercise.", "has_answer": False},
            ],
            [
                {"role": "user", "content": "How do I bake bread without yeast at home?"},
                {"role": "assistant", "content": "Use baking soda and some buttermilk instead."},
            ],
            [{"role": "user", "content": "Tell me about the history of bridges."}],
        ],
        "answer_session_ids": ["answer_ab_1"],
    }
