"""The key-value recall task: seeded, facts where they are said to be, keys that collide, keys set anew."""

from __future__ import annotations

import pytest
import torch

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks.key_value import ASK, FACT, VOCABULARY, RecallTask, exact, questions


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", [RecallTask(1_000, 10), RecallTask(400, 16, near=1.0, overwritten=0.5)])
def test_the_same_seed_gives_the_same_tokens(task: RecallTask) -> None:
    one, other = task.stream(4, seeded(3))[0], task.stream(4, seeded(3))[0]
    assert torch.equal(one, other)
    assert not torch.equal(one, task.stream(4, seeded(4))[0])


def test_every_fact_stands_where_it_is_said_to_be() -> None:
    tokens, facts = RecallTask(1_000, 10).stream(3, seeded())
    rows = torch.arange(3)[:, None, None]
    said = tokens[rows, facts.at[..., None] + torch.arange(6)]
    assert (said[..., 0] == FACT).all()
    assert torch.equal(said[..., 1:4], facts.keys)
    assert torch.equal(said[..., 4:], facts.values)


def test_filler_and_facts_share_one_vocabulary_and_only_facts_are_marked() -> None:
    tokens, _ = RecallTask(10_000, 100).stream(1, seeded())
    assert tokens.max() < VOCABULARY
    assert (tokens == FACT).sum() == 100
    assert (tokens == ASK).sum() == 0


def test_no_two_facts_of_a_batch_share_a_key() -> None:
    for near in (0.0, 1.0):
        _, facts = RecallTask(1_000, 20, near=near).stream(8, seeded())
        assert len(facts.keys.flatten(0, 1).unique(dim=0)) == 160


def test_near_keys_mostly_have_a_neighbour_that_differs_in_one_symbol() -> None:
    def neighboured(near: float) -> float:
        _, facts = RecallTask(1_000, 20, near=near).stream(8, seeded())
        keys = facts.keys.flatten(0, 1)
        alike = (keys[:, None] == keys[None]).sum(-1)
        return float((alike == 2).any(1).float().mean())

    assert neighboured(1.0) > 0.9
    assert neighboured(0.0) < 0.5


def test_the_latest_value_of_a_key_is_asked_for() -> None:
    _, facts = RecallTask(2_000, 50, overwritten=0.6).stream(2, seeded())
    assert 5 < (~facts.latest).sum() < 90
    for stream in range(2):
        last = {tuple(key): i for i, key in enumerate(facts.keys[stream].tolist())}
        assert sorted(last.values()) == facts.latest[stream].nonzero()[:, 0].tolist()
    asked = questions(facts, 10, seeded())
    assert facts.latest.gather(1, asked.fact).all()


def test_questions_are_marked_and_answered_in_the_tokens() -> None:
    _, facts = RecallTask(1_000, 10).stream(2, seeded())
    asked = questions(facts, 10, seeded())
    rows = torch.arange(2)[:, None]
    assert (asked.tokens[rows, asked.at - 3] == ASK).all()
    assert torch.equal(asked.tokens[rows, asked.at + 2], asked.answers[..., 1])
    assert all(len(set(row)) == 10 for row in asked.fact.tolist())


def test_an_answer_is_exact_only_if_both_symbols_are_right() -> None:
    _, facts = RecallTask(1_000, 10).stream(1, seeded())
    asked = questions(facts, 4, seeded())
    said = torch.full((1, 40, VOCABULARY), -9.0)
    said[0, asked.at[0], asked.answers[0, :, 0]] = 0
    said[0, asked.at[0] + 1, asked.answers[0, :, 1]] = 0
    said[0, asked.at[0, 2] + 1] = torch.arange(VOCABULARY).float() % (1 + asked.answers[0, 2, 1])
    assert exact(said, asked)[0].tolist()[:2] == [True, True]
    assert not exact(torch.zeros_like(said), asked)[asked.answers.sum(-1) > 0].any()


def test_more_facts_than_fit_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="20 facts of 6 tokens do not fit evenly into horizon=100"):
        RecallTask(100, 20)
