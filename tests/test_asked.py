"""What a cue asks for beside its words."""

from __future__ import annotations

from datetime import date
from time import process_time

import pytest

from agentmem import Memory
from agentmem.recall.asked import Date, asks, dates, numbers, quotations
from agentmem.recall.relative import spans
from agentmem.testing import FakeClock


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


@pytest.mark.parametrize(
    ("cue", "first", "last"),
    [
        ("What did I do yesterday?", "2026-11-24", "2026-11-24"),
        ("the day before yesterday", "2026-11-23", "2026-11-23"),
        ("what happened today", "2026-11-25", "2026-11-25"),
        ("who called last night?", "2026-11-24", "2026-11-24"),
        ("three days ago", "2026-11-22", "2026-11-22"),
        ("a couple of days ago", "2026-11-23", "2026-11-23"),
        ("two weeks ago", "2026-11-08", "2026-11-14"),
        ("in the last 10 days", "2026-11-15", "2026-11-25"),
        ("the past week", "2026-11-18", "2026-11-25"),
        ("this week", "2026-11-23", "2026-11-25"),
        ("last week", "2026-11-16", "2026-11-22"),
        ("last month", "2026-10-01", "2026-10-31"),
        ("last year", "2025-01-01", "2025-12-31"),
        ("on Monday", "2026-11-23", "2026-11-23"),
        ("last Wednesday", "2026-11-18", "2026-11-18"),
    ],
)
def test_times_counted_from_today_are_spans_of_days(cue: str, first: str, last: str) -> None:
    wednesday = date(2026, 11, 25)
    assert [(one.isoformat(), other.isoformat()) for one, other in spans(cue, wednesday)] == [(first, last)]


@pytest.mark.parametrize("cue", ["the last week of May", "the last day", "a week", "Sunday", "at last", "3 days", ""])
def test_other_times_are_none(cue: str) -> None:
    assert list(spans(cue, date(2026, 11, 25))) == []


def test_a_time_before_all_time_is_none() -> None:
    assert list(spans("999 years ago", date(5, 1, 1))) == []


@pytest.mark.parametrize("dated", [True, False])
def test_yesterday_is_counted_from_the_newest_step(dated: bool) -> None:
    clock = FakeClock("2026-02-01T09:00:00+00:00")
    with Memory.open(":memory:", clock=clock) as memory:
        episode, steps = memory.episode(id="diary"), []
        for day in range(1, 29):
            at = {"at": f"2026-02-{day:02}T09:00:00"} if dated else {}
            steps.append(episode.say("Ann", f"I went to the market again, number {day * 7}.", **at))
            clock.advance(86_400)
        for cue, found in (("What did Ann do yesterday?", 26), ("Where did Ann go three days ago?", 24)):
            for as_of, step in ((None, steps[found]), (steps[9].id, steps[found - 18])):
                hits = memory.recall(cue, 2_000, as_of=as_of).hits
                assert [hit.id for hit in hits if "date" in hit.reasons] == [step.id]


@pytest.mark.parametrize(
    ("cue", "found"),
    [
        ('Where is "W-2378" and "1.703"?', ["W-2378", "1.703"]),
        ("a book called \u201cThe Red Door\u201d", ["The Red Door"]),
        ('"twice" is "twice"', ["twice"]),
        ('{"id": "W-2378", "note" : "by the door"}', ["W-2378", "by the door"]),
        ('a 6" pipe', []),
        ('a 6" pipe for order "W-2378"', ["W-2378"]),
        (r'{"note": "a 6\" pipe", "id": "W-2378"}', [r"a 6\" pipe", "W-2378"]),
        (r'{"note": "Ann said \"no\" twice", "id": "W-2378"}', [r"Ann said \"no\" twice", "W-2378"]),
        ("a \u201cred \u201cdoor\u201d", ["door"]),
        ('a 6" pipe\nand a 7" one', []),
        ('"" or "\n"', []),
        ("Ann's 'red' door", []),
    ],
)
def test_texts_in_double_quotes_are_quotations_and_names_of_json_are_not(cue: str, found: list[str]) -> None:
    assert quotations(cue) == found


@pytest.mark.parametrize("mark", ['"', '\\"', "\u201c", '" '])
def test_quotes_that_nothing_ends_are_looked_through_once(mark: str) -> None:
    start = process_time()
    assert quotations(f"{mark * 100_000}\n") == []
    assert process_time() - start < 5
