"""Counting: never less than cl100k_base. Cutting: never over the budget."""

import base64
import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
import tiktoken
from cl100k import folder
from growth import LINEAR, growth
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentmem import tokens
from agentmem.bench import bfcl
from agentmem.tokens import MARK, count, truncate

DATA = Path(os.environ.get("AGENTMEM_DATA", Path(__file__).parents[2] / "shared" / "data"))
JOINT = 8
TEXTS = st.text() | st.text(" \n\t\r'.,-_=#aAzs09é東🎉\x85\u3000\x1c²") | st.text(st.characters(codec=None))


@pytest.fixture(scope="module")
def cl100k() -> Any:
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder())
    return tiktoken.get_encoding("cl100k_base")


@pytest.fixture(scope="module")
def exact(cl100k: Any) -> Callable[[str], int]:
    return lambda text: len(cl100k.encode_ordinary(text))


def histories() -> list[Path]:
    return sorted(path for path in DATA.glob("*_dev.jsonl.gz") if not path.name.startswith("text_"))


def steps(path: Path, most: int = 400) -> list[str]:
    """Steps from all over the first megabytes of a file."""
    found: list[str] = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            found += [step["text"] for step in json.loads(line)["steps"]]
            if len(found) > 4 * most:
                break
    return random.Random(path.name).sample(found, min(most, len(found)))


def paragraphs(path: Path, most: int = 2000) -> list[str]:
    with gzip.open(path, "rt") as lines:
        return [
            part for _, line in zip(range(6), lines, strict=False) for part in json.loads(line)["text"].split("\n\n")
        ][:most]


@pytest.mark.parametrize("path", [None, *histories()], ids=lambda path: path.name if path else "bfcl")
def test_no_step_and_no_context_of_a_real_history_is_undercounted(
    path: Path | None, exact: Callable[[str], int]
) -> None:
    texts = steps(path) if path else [turn.text for history in bfcl.load() for turn in history.turns]
    true = [exact(text) for text in texts]
    ours = [count(text) for text in texts]
    assert [text for text, n, m in zip(texts, ours, true, strict=True) if n < m] == []
    assert sum(ours) <= 1.22 * sum(true)
    for context in contexts(texts):
        assert exact(context) <= count(context) <= 1.45 * exact(context) + 5


def contexts(texts: list[str], size: int = 4000, most: int = 30) -> Iterator[str]:
    rng = random.Random(1)
    for _ in range(most):
        context = ""
        while len(context) < size:
            context += rng.choice(texts)[:size] + "\n"
        yield context


@pytest.mark.parametrize("path", [None, *sorted(DATA.glob("text_*.jsonl.gz"))], ids=lambda p: p.name if p else "python")
def test_no_paragraph_of_a_book_or_transcript_is_undercounted(path: Path | None, exact: Callable[[str], int]) -> None:
    manual = [part for text in topics.values() for part in text.split("\n\n")]
    texts = paragraphs(path) if path else manual
    true, ours = [exact(text) for text in texts], [count(text) for text in texts]
    assert all(n >= m for n, m in zip(ours, true, strict=True))
    assert sum(ours) <= 1.22 * sum(true)


def adversarial() -> dict[str, str]:
    rng = random.Random(0)
    bytes_ = rng.randbytes(2000)
    return {
        "ascii": "".join(chr(rng.randrange(32, 127)) for _ in range(3000)),
        "bytes": "".join(chr(rng.randrange(256)) for _ in range(2000)),
        "base64": base64.b64encode(bytes_).decode(),
        "hex": bytes_.hex(),
        "digits": "".join(rng.choice("0123456789") for _ in range(2000)),
        "letters": "".join(rng.choice("etaoinshrdlu") for _ in range(3000)),
        "capitals": "".join(rng.choice("ETAOINSHRDLU") for _ in range(3000)),
        "dna": "".join(rng.choice("ACGT") for _ in range(3000)),
        "one letter": "a" * 3000,
        "two letters": "ab" * 1500,
        "emoji": "".join(chr(rng.randrange(0x1F300, 0x1F64F)) for _ in range(500)),
        "family": "👨‍👩‍👧‍👦" * 100,
        "chinese": "".join(chr(rng.randrange(0x4E00, 0x9FFF)) for _ in range(1000)),
        "kana": "".join(chr(rng.randrange(0x3041, 0x30FF)) for _ in range(1000)),
        "korean": "".join(chr(rng.randrange(0xAC00, 0xD7A3)) for _ in range(1000)),
        "spaces": " " * 3000,
        "newlines": "\n" * 3000,
        "mixed space": "".join(rng.choice(" \t\n\r") for _ in range(3000)),
        "dashes": "-" * 3000,
        "punctuation": "".join(rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") for _ in range(3000)),
        "table": "| a | b |\n|---|---|\n" * 100,
        "indented": "".join(" " * rng.randrange(90) + "x\n" for _ in range(100)),
        "surrogates": "\ud800\udc00\udfff" * 100,
    }


@pytest.mark.parametrize("text", adversarial().values(), ids=adversarial().keys())
def test_adversarial_text_is_hardly_undercounted(text: str, exact: Callable[[str], int]) -> None:
    assert exact(text) <= 1.05 * count(text) + 1
    assert count(text) <= len(text.encode("utf-8", "surrogatepass")) * 1.1 + 1
    for start in range(0, 200, 7):
        assert exact(text[start : 3 * start]) <= 1.2 * count(text[start : 3 * start]) + 1


@settings(max_examples=400)
@given(TEXTS)
@example("'ſ don'T \x85\x1c\u2028² x²½Ⅷ")
@example("a\n \n  b")
def test_any_text_is_hardly_undercounted(exact: Callable[[str], int], text: str) -> None:
    assert exact(text) <= 1.34 * count(text) + 2


def test_the_table_says_what_cl100k_base_says(exact: Callable[[str], int]) -> None:
    table = tokens._read_costs()
    assert len(table) > 100_000
    assert [piece for piece, cost in list(table.items())[::7] if exact(piece) != cost] == []


@given(TEXTS)
def test_pieces_tile_the_text(text: str) -> None:
    pattern = tokens._ASCII if text.isascii() else tokens._UNICODE
    assert "".join(pattern.findall(text)) == text
    if text.isascii():
        assert tokens._UNICODE.findall(text) == pattern.findall(text)


@given(TEXTS)
def test_only_the_empty_text_has_no_tokens_and_none_has_more_than_bytes(text: str) -> None:
    assert (count(text) == 0) == (text == "")
    size = len(text.encode("utf-8", "surrogatepass"))
    assert count(text) <= size + (size + 8) // 24


@given(TEXTS, TEXTS)
def test_a_joint_costs_and_saves_at_most_a_few_tokens(one: str, other: str) -> None:
    assert count(one + other) <= count(one) + count(other) + JOINT
    assert count(one + other) >= max(count(one), count(other)) - JOINT


def test_texts_of_megabytes_are_counted_in_parts() -> None:
    text = "It rained all day, and 3 of them stayed in. " * 50_000
    assert 1 <= count(text) / (50_000 * count(" It rained all day, and 3 of them stayed in.")) < 1.05
    assert growth(count, text) < LINEAR


@pytest.mark.parametrize(
    "text", ["x", "é", *(pytest.param(one, marks=pytest.mark.slow) for one in (" ", "a1", "-="))], ids=repr
)
def test_a_megabyte_without_a_place_to_cut_is_counted_in_linear_time(text: str) -> None:
    assert count(text * 500_000) > 1000
    assert growth(count, text * 500_000) < LINEAR


# ---- truncate ----------------------------------------------------------------------------------------------------


def words_(text: str) -> int:
    return len(text.split())


STORY = "The fox ran home. It slept! Then, a long time after that, it woke up and went out again\n\n- one\n- two"


def test_a_text_that_fits_is_left_alone() -> None:
    assert truncate(STORY, count(STORY)) == STORY
    assert truncate("", 0) == ""


def test_a_long_text_is_cut_after_a_sentence_and_marked() -> None:
    for kept in ("The fox ran home. It slept!…", STORY[: STORY.index("\n\n")] + MARK):
        assert truncate(STORY, count(kept)) == kept
        assert truncate(STORY, count(kept) + 1) == kept


def test_where_no_sentence_fills_half_the_budget_it_is_cut_after_a_word() -> None:
    assert truncate("Oh. " + "very " * 100, 20, words_) == "Oh. " + "very " * 18 + "very…"
    assert truncate("東京都は日本の首都です" * 20, 12).endswith(MARK)


def test_where_no_word_fits_nothing_is_left() -> None:
    assert truncate("antidisestablishmentarianism again", 2) == ""
    assert truncate("one two", 0) == ""
    assert truncate("one two", -1) == ""


def test_only_about_a_budget_of_text_is_counted() -> None:
    seen = 0

    def counted(text: str) -> int:
        nonlocal seen
        seen += len(text)
        return count(text)

    truncate(STORY * 10_000, 50, counted)
    assert seen < 20_000


@given(TEXTS | st.text("ab. \n!é東"), st.integers(-1, 30), st.sampled_from([count, words_, len]))
def test_what_is_left_fits_and_begins_the_text(text: str, budget: int, counter: Callable[[str], int]) -> None:
    left = truncate(text, budget, counter)
    assert left in ("", text) or (left.endswith(MARK) and text.startswith(left.removesuffix(MARK)))
    assert left == "" or counter(left) <= budget
    assert left == text or counter(text) > budget


@given(st.text("ab. \n!é東", max_size=60), st.integers(0, 12))
def test_no_later_word_end_would_fit_unless_a_sentence_was_kept_whole(text: str, budget: int) -> None:
    left = truncate(text, budget, len)
    if 0 < len(left) < budget and left != text:
        ends = [m.end() for m in tokens._WORD_END.finditer(text) if m.end() + 1 <= budget]
        assert len(left) * 2 >= budget or len(left) == max(ends) + 1
