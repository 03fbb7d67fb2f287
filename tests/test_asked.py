"""What a cue asks for beside its words."""

from __future__ import annotations

import pytest

from agentmem import Memory
from agentmem.recall.asked import Date, asks, dates, numbers


@pytest.mark.parametrize(
    ("cue", "found"),
    [
        ("on 7 May 2023", [Date(2023, 5, 7)]),
        ("on the 1st of February, 2023?", [Date(2023, 2, 1)]),
        ("on May 7th", [Date(0, 5, 7)]),
        ("December 24, 2025", [Date(2025, 12, 24)]),
        ("2023-07-04 or 2024-01", [Date(2023, 7, 4), Date(2024, 1, 0)]),
        ("in July", [Date(0, 7, 0)]),
        ("since June 2023", [Date(2023, 6, 0)]),
        ("may I march on?", []),
    ],
)
def test_dates_are_read_as_people_write_them(cue: str, found: list[Date]) -> None:
    assert set(found) == set(dates(cue))


def test_numbers_stand_alone() -> None:
    assert numbers("from 70 to 80.5, not x3 or 4-5 or v1.2.3") == [70.0, 80.5]


@pytest.mark.parametrize(
    ("cue", "what"),
    [
        ("Where did it happen?", "place"),
        ("What am I carrying?", "carried"),
        ("When did the veil leave my hands?", "left"),
        ("How did the run end?", "end"),
        ("Which files were edited?", "changed"),
    ],
)
def test_a_cue_asks_for_a_state(cue: str, what: str) -> None:
    assert asks(cue, what)
    assert not asks("the red door", what)


def test_a_day_that_the_cue_names_comes_first(memory: Memory) -> None:
    episode = memory.episode(id="diary")
    for day in range(1, 29):
        episode.say("Ann", f"I went to the market again, for the {day}th time.", at=f"2026-02-{day:02}T09:00:00")
    hits = memory.recall("What did Ann do at the market on 14 February 2026?", 40).hits
    assert max(hits, key=lambda hit: hit.score).text.endswith("14th time.")
    assert max(hits, key=lambda hit: hit.score).reasons["date"] > 0


def test_a_name_in_the_cue_is_who_speaks_not_who_is_spoken_to(memory: Memory) -> None:
    episode = memory.episode(id="talk")
    for number in range(12):
        episode.say("Bo", f"Thanks, Ann, that is the number {number} for you, Ann.")
        episode.say("Ann", f"The tulips in bed {number} like the rain.")
    best = max(memory.recall("What does Ann say of tulips?", 60).hits, key=lambda hit: hit.score)
    assert best.text.startswith("The tulips")
