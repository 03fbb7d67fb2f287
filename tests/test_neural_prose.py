"""The prose that stories are told in: whole sentences, over and over, in the words of a tokenizer."""

from __future__ import annotations

import torch

from agentmem.neural.tasks.prose import Prose, Words

TEXTS = (
    "It was a dark night. The wind blew over the hills! Nobody knew why.\n\nThen the door opened; in came a stranger.",
    "A ship lay at anchor. Its crew had been ashore since noon, and the captain counted his coins. He was not content.",
)
WORDS = Words.of(TEXTS, 300)
PROSE = Prose.of(TEXTS, WORDS)


def test_prose_is_read_from_the_first_sentence_again_after_the_last() -> None:
    length = len(PROSE.tokens)
    tokens, starts = PROSE.read(3 * length, torch.Generator().manual_seed(0))
    assert torch.equal(tokens[:length], tokens[length : 2 * length])
    assert starts.tolist() == sorted(set(starts.tolist()))
    assert len(starts) == 3 * len(PROSE.starts)


def test_prose_of_a_limited_length_ends_with_a_whole_sentence() -> None:
    short = Prose.of(TEXTS, WORDS, limit=16)
    assert WORDS.text(short.tokens.tolist()) == "it was a dark night . the wind blew over the hills !"
    assert short.starts.tolist() == [0, 6]


def test_words_that_a_tokenizer_does_not_know_are_one_token() -> None:
    few = Words.of(["red red red blue"], 3)
    assert few("Red, blue") == [1, 0, 2]
    assert few("green") == [0]
