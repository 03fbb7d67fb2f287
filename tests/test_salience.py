"""Salience: what a piece weighs, what the log makes of it, and a state of bounded size."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.salience import SLOTS, Salience, Scored, Source
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
            salience.learn([source])
        after = salience.score([source]).weight.sum()
        assert bool(after < before) is falls


def test_scoring_changes_nothing_and_learning_does() -> None:
    salience, source = Salience(), message("Ada lives in Turin")
    state = salience.to_state()
    salience.score([source])
    assert salience.to_state() == state
    salience.learn([source])
    assert salience.to_state() != state


def test_recalled_text_is_neither_kept_nor_learned() -> None:
    text = "the vault code is 9931"
    barred = Source(1, "message", "agent", text, skip=((0, len(text)),))
    salience = Salience()
    assert salience.score([barred]).barred.all()
    salience.learn([barred])
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
    for _ in range(300):
        salience.learn([message(" ".join(f"w{n}" for n in rng.integers(0, 10**9, 400)))])
    state = json.dumps(salience.to_state())
    assert len(state) <= 4 * SLOTS
    assert Salience.from_state(json.loads(state)).to_state() == salience.to_state()
