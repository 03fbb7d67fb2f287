"""Salience: what a piece weighs, what the log makes of it, and a state of bounded size."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.salience import MOST, SLOTS, Salience, Scored, Source, Usual, read
from agentmem.salience.pieces import DIGIT, LONGEST, OUTCOME, PIECE, STOP, UPPER, look, surprisals


def message(text: str, position: int = 1, actor: str = "user") -> Source:
    return Source(position, "message", actor, text)


def weights(scored: Scored, source: Source) -> dict[str, float]:
    """Greatest weight of each piece of one source."""
    cuts = zip(scored.start.tolist(), scored.end.tolist(), scored.weight.tolist(), strict=True)
    return {source.text[start:end].strip(",.;:"): weight for start, end, weight in cuts}


def test_common_words_surprise_less() -> None:
    table = surprisals()
    assert table["the"] < table["house"] < table["ghosts"] < 15
    assert len(table) == 20_000


@pytest.mark.parametrize(("piece", "flag"), [("the", STOP), ("42,", DIGIT), ("Paris", UPPER), ("ValueError:", OUTCOME)])
def test_a_piece_has_its_properties(piece: str, flag: int) -> None:
    assert look(piece)[2] & flag


@given(st.text(max_size=200))
def test_pieces_cover_all_that_is_not_space(text: str) -> None:
    pieces = PIECE.findall(text)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(len(piece) <= LONGEST + 8 for piece in pieces)


def test_numbers_names_and_dates_outweigh_plain_words() -> None:
    source = message("we walked along to the river with Marta at 17 on Tuesday quite slowly")
    found = weights(Salience().score([source]), source)
    assert min(found["Marta"], found["17"], found["Tuesday"]) > max(found["walked"], found["slowly"]) > found["the"]


def test_repetition_lowers_words_in_messages_and_not_in_observations() -> None:
    for kind, falls in (("message", True), ("observation", False)):
        source, salience = Source(1, kind, "user", "The copper valve hums"), Salience()
        before = salience.score([source]).weight.sum()
        for _ in range(5):
            salience.learn(read([source]))
        after = salience.score([source]).weight.sum()
        assert bool(after < before) is falls


def test_scoring_changes_nothing_and_learning_does() -> None:
    salience, source = Salience(), message("Ada lives in Turin")
    state = salience.to_state()
    salience.score([source])
    assert salience.to_state() == state
    salience.learn(read([source]))
    assert salience.to_state() != state


def test_recalled_text_is_neither_kept_nor_learned() -> None:
    text = "the vault code is 9931"
    barred = Source(1, "message", "agent", text, skip=((0, len(text)),))
    salience = Salience()
    assert salience.score([barred]).barred.all()
    salience.learn(read([barred]))
    reading = Salience().score([message(text)])
    assert np.array_equal(salience.score([message(text)]).weight, reading.weight)


@given(st.lists(st.text(max_size=80), max_size=5), st.sampled_from(["observation", "action", "message"]))
def test_any_text_is_scored_with_finite_weights_in_place(texts: list[str], kind: str) -> None:
    sources = [Source(n, kind, None, text) for n, text in enumerate(texts)]
    scored = Salience().score(sources)
    assert np.isfinite(scored.weight).all()
    assert (scored.weight >= 0).all()
    assert (scored.cost >= 1).all()
    for n, start, end in zip(scored.source, scored.start, scored.end, strict=True):
        assert not any(c.isspace() for c in texts[n][start:end])
        assert start < end <= len(texts[n])


def test_the_state_is_bounded_and_exact() -> None:
    salience, rng = Salience(), np.random.default_rng(0)
    for _ in range(100):
        salience.learn(read([message(" ".join(f"w{n}" for n in rng.integers(0, 10**9, 400)))]))
    state = json.dumps(salience.to_state())
    assert len(state) <= 4 * SLOTS
    assert Salience.from_state(json.loads(state)).to_state() == salience.to_state()


@pytest.mark.parametrize("kind", ["message", "observation", "action"])
def test_shapes_of_lines_are_counted_where_they_have_a_vote(kind: str) -> None:
    salience, reading = Salience(), read([Source(1, kind, "user", "go north 12\ngo north 13")])
    salience.learn(reading)
    assert salience.counts(reading)[1].tolist() == ([2, 2] if kind == "action" else [0, 0])


# ---- salience of a segment ---------------------------------------------------------------------------------------


def told(*texts: str, kind: str = "message") -> Scored:
    return Salience().score([Source(n, kind, "user", text) for n, text in enumerate(texts)])


@given(st.lists(st.text(max_size=80), max_size=5), st.lists(st.text(max_size=80), max_size=5))
def test_salience_is_finite_and_never_negative(before: list[str], now: list[str]) -> None:
    usual = Usual().after(told(*before)).after(told(*now))
    assert 0 <= usual.salience(told(*now)) <= MOST


def test_the_first_segment_is_as_salient_as_usual_and_an_empty_one_not_at_all() -> None:
    first = told("Marta went to Turin on Tuesday")
    assert Usual().after(first).salience(first) == 1
    assert Usual().after(first).salience(told("")) == Usual().salience(told("")) == 0


@pytest.mark.parametrize(
    "telling",
    [
        "Traceback: KeyError in ledger.py line 4471",
        "the bill came to 1,284.50 on May 3",
        "Ingrid Solberg met Ada in Oslo",
    ],
)
@pytest.mark.parametrize("kind", ["message", "observation"])
def test_errors_numbers_and_names_are_more_salient_than_filler(telling: str, kind: str) -> None:
    filler = told("well then we could perhaps see how it goes and talk about it again some other time", kind=kind)
    usual = Usual().after(filler).after(told(telling, kind=kind))
    assert usual.salience(told(telling, kind=kind)) > 1 > usual.salience(filler)


def test_text_that_no_word_is_as_long_as_is_folded() -> None:
    scored = told("the key is " + "A7f/" * 100_000 + " and Marta has it")
    assert scored.barred.sum() == 1
    assert (scored.end - scored.start)[~scored.barred].max() <= LONGEST + 8
