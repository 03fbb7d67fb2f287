"""Cutting: passages tile a text, and segments do not depend on how an episode is fed."""

import json
import random
import string
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from growth import LINEAR, growth
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.errors import InvalidInputError
from agentmem.segment import Open, Segmenter, passages, sentences
from agentmem.tokens import count
from agentmem.types import Record

TEXTS = st.text() | st.text("ab. \n!é東'\t-9", max_size=400) | st.lists(st.sampled_from(
    ["Hello there. ", "a\n", "\n\n", "supercalifragilistic", " ", "東京都", "x = f(1)\n", "🎉", "    ", "Mr. "]
), max_size=80).map("".join)  # fmt: skip


# ---- passages ----------------------------------------------------------------------------------------------------


@settings(deadline=None)  # the first reads a table
@given(TEXTS, st.integers(1, 64))
def test_passages_tile_the_text(text: str, limit: int) -> None:
    spans = passages(text, limit)
    assert "".join(text[start:end] for start, end in spans) == text
    assert all(start < end for start, end in spans)
    assert [start for start, _ in spans] == [0, *(end for _, end in spans)][: len(spans)]


@given(TEXTS, st.integers(8, 64))
def test_no_passage_is_over_the_limit(text: str, limit: int) -> None:
    assert max((count(text[start:end]) for start, end in passages(text, limit)), default=0) <= limit + 1 + limit // 16


@given(TEXTS, st.integers(8, 64))
def test_two_neighbouring_passages_would_not_fit_together_by_much(text: str, limit: int) -> None:
    spans = passages(text, limit)
    for (start, middle), (_, end) in pairwise(spans):
        assert 2 * (count(text[start:middle]) + count(text[middle:end])) + 16 >= limit


def test_a_short_text_is_one_passage_and_an_empty_one_none() -> None:
    assert passages("ok") == [(0, 2)]
    assert passages("") == []


def test_a_long_text_is_cut_at_paragraphs_before_lines_before_sentences_before_words() -> None:
    def cut(*expected: str) -> bool:
        text, limit = "".join(expected), max(map(count, expected))
        return [text[start:end] for start, end in passages(text, limit)] == list(expected)

    assert cut("One two.\nThree.\n\n", "Four five six.\nSeven. Eight.\n\n", "Nine.")
    assert cut("One two. Three four.\n", "Five six. Seven.\n", "Eight. Nine.")
    assert cut("One two three. ", "Four five six.")
    assert cut("one two three four ", "five six seven")


def test_a_passage_needs_room() -> None:
    with pytest.raises(InvalidInputError, match="limit of 1"):
        passages("text", 0)


def test_unbroken_text_is_cut_where_tokens_are_and_within_the_limit() -> None:
    noise = random.Random(0)
    for letters in ("abcdefghijklmnopqrstuvwxyz", "0123456789abcdef", string.ascii_letters + string.digits + "+/"):
        text = "".join(noise.choices(letters, k=20_000))
        spans = passages(text)
        assert "".join(text[start:end] for start, end in spans) == text
        sizes = [count(text[start:end]) for start, end in spans]
        assert max(sizes) <= 256
        assert sum(sizes) > 128 * (len(sizes) - 1)


@pytest.mark.parametrize(
    "unit",
    [
        "x",
        "東",
        "a. ",
        *(pytest.param(one, marks=pytest.mark.slow) for one in (" ", "\n", "ab ", "\n\n", "-=", "🎉", "é")),
    ],
    ids=repr,
)
def test_a_megabyte_of_anything_is_cut_in_linear_time(unit: str) -> None:
    text = unit * (1_000_000 // len(unit.encode()))
    spans = passages(text)
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert max(count(text[start:end]) for start, end in spans[:50] + spans[-50:]) <= 256
    assert growth(passages, text) < LINEAR


# ---- sentences ---------------------------------------------------------------------------------------------------


def test_sentences_end_at_stops_and_lines_but_not_at_abbreviations() -> None:
    text = (
        '  Dr. Who met J. K. Rowling at 5 p.m. today. "Hi!" she said.\n1. Buy milk\n- eggs, etc. Then go. v3.1 is out  '
    )
    assert [text[start:end] for start, end in sentences(text)] == [
        "Dr. Who met J. K. Rowling at 5 p.m. today.",
        '"Hi!"',
        "she said.",
        "1. Buy milk",
        "- eggs, etc.",
        "Then go.",
        "v3.1 is out",
    ]
    assert [(a, b) for a, b in sentences("今日は。明日も！")] == [(0, 4), (4, 8)]


@given(TEXTS)
def test_sentences_are_stripped_in_order_and_miss_nothing_but_space(text: str) -> None:
    spans = sentences(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert "".join("".join(text[start:end].split()) for start, end in spans) == "".join(text.split())


# ---- segments ----------------------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["observation", "action", "message"]),
        st.sampled_from([None, "user", "assistant", "Ann"]),
        st.integers(0, 1000) | st.integers(0, 100),
        st.lists(st.sampled_from([f"w{i}" for i in range(40)]), max_size=20),
        st.none() | st.integers(0, 20_000).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    ),
    max_size=40,
)


def starts(steps: list[tuple], segmenter: Segmenter | None = None) -> list[bool]:
    segmenter = segmenter or Segmenter()
    return [segmenter.starts(*step) for step in steps]


def records(steps: list[tuple]) -> list[Record]:
    return [
        Record("step", (), "e", kind, actor, " ".join(stems), json.dumps({"at": at and at.isoformat()}), tokens=tokens)
        for kind, actor, tokens, stems, at in steps
    ]


def segments(steps: list[Record], naps: set[int]) -> list[int]:
    """Where segments begin, if the open one falls asleep and is woken before some of the steps."""
    segment, begun = Open(), []
    for number, step in enumerate(steps):
        if number in naps:
            segment = Open.woken(segment.steps, segment.asleep().at)
        if segment.starts(step):
            begun.append(number)
            segment.steps = []
        segment.steps.append(step)
    return begun


@given(STEPS, st.sets(st.integers(1, 40)))
def test_a_segment_that_slept_ends_where_it_would_have_ended(steps: list[tuple], naps: set[int]) -> None:
    assert segments(records(steps), naps) == segments(records(steps), set())


@given(STEPS)
def test_no_segment_of_several_steps_is_over_the_longest(steps: list[tuple]) -> None:
    sizes: list[list[int]] = []
    for step, begins in zip(steps, starts(steps), strict=True):
        sizes += [[]] if begins else []
        sizes[-1].append(step[2])
    assert all(sum(size) <= 800 or len([tokens for tokens in size if tokens]) == 1 for size in sizes)


@given(STEPS)
def test_the_first_step_begins_a_segment(steps: list[tuple]) -> None:
    assert starts(steps)[:1] == [True][: len(steps)]


def test_a_segment_ends_before_it_grows_too_long_and_a_longer_step_stands_alone() -> None:
    quiet = [("observation", None, 300, [])] * 3
    assert starts(quiet) == [True, False, True]
    assert starts([("observation", None, n, []) for n in (100, 900, 100)]) == [True, True, True]


def test_a_segment_ends_at_a_gap_of_over_an_hour() -> None:
    def at(*minutes: float | None) -> list[bool]:
        return starts([("message", "Ann", 5, [], m if m is None else NOON + timedelta(minutes=m)) for m in minutes])

    assert at(0, 59, 120, None, 125, 190) == [True, False, True, False, False, True]


def test_a_time_without_a_zone_is_utc() -> None:
    here, there = NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=9)))
    assert (
        starts([("message", "Ann", 5, [], at) for at in (NOON, here, there, NOON.timestamp())]) == [True] + [False] * 3
    )


def test_once_long_enough_a_segment_ends_where_a_turn_starts() -> None:
    act, see = ("action", None, 100, []), ("observation", None, 30, [])
    assert starts([act, see] * 4) == [True, False, False, False, True, False, False, False]
    ask, answer = ("message", "user", 20, []), ("message", "assistant", 150, [])
    assert starts([ask, answer] * 4) == [True, False, False, False, True, False, False, False]


def test_once_long_enough_a_segment_ends_where_the_words_change() -> None:
    random.seed(0)
    kitchen, garden = [f"k{i}" for i in range(12)], [f"g{i}" for i in range(12)]
    steps = [("observation", None, 90, random.sample(words, 10)) for words in [kitchen] * 4 + [garden] * 4]
    assert starts(steps) == [True, False, False, False, True, False, False, False]
