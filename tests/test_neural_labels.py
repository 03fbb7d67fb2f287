"""Labels and losses by hand: which token is to be said, found, kept, and what it costs where it is not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agentmem.neural import losses
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.task_training import TaskTraining, batch, following, marked
from agentmem.neural.tasks import RecallTask
from agentmem.neural.text_training import Chunk, Streams
from agentmem.neural.tokens import Output, TokenModel, settings_of
from agentmem.neural.values import Choices

torch.set_num_threads(1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(vocabulary: int) -> TokenModel:
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=16, code_bits=64, cue_bits=16)
    return TokenModel(settings_of(vocabulary, d_model=16, n_heads=2, lower=1, upper=1, window=32, crystal=crystal))


# ---- which tokens


@given(st.integers(1, 20), st.integers(1, 3), st.integers(0, 9))
@settings(deadline=None)
def test_a_slot_is_to_say_the_tokens_after_the_one_it_was_taken_from(tokens: int, number: int, seed: int) -> None:
    stream = torch.randint(9, (2, tokens), generator=seeded(seed))
    at = torch.randint(tokens + 3, (2, 4, 2), generator=seeded(seed))
    said = following(stream, at, number)
    for row, places, found in zip(stream.tolist(), at.flatten(1).tolist(), said.flatten(1, 2).tolist(), strict=True):
        assert found == [[*row[place + 1 : place + 1 + number], *[-1] * number][:number] for place in places]


@given(st.integers(1, 20), st.integers(0, 9))
@settings(deadline=None)
def test_marked_are_the_positions_themselves(tokens: int, seed: int) -> None:
    positions = torch.randint(-1, tokens, (2, 3, 2), generator=seeded(seed))
    marks = marked(positions, tokens)
    for row, found in zip(positions.flatten(1).tolist(), marks.tolist(), strict=True):
        assert found == [place in row for place in range(tokens)]


def test_of_a_task_needed_is_what_the_questions_look_up_and_what_once_answered_them() -> None:
    told = batch(RecallTask(1_003, 8, overwritten=0.5), 2, 3, seeded())
    model = small(66)
    output = model(told.tokens, tail=told.tail, shared=True)
    needed = [set(row.tolist()) - {-1} for row in torch.cat((told.asked.evidence, told.asked.stale), -1).flatten(1)]
    assert (told.asked.stale >= 0).any()

    def cost(score: float) -> float:
        """Of a forecast that gives the needed tokens this score, and the others its opposite."""
        choices = tuple(replace(each, logits=forecast(each, needed, score)) for each in output.written.choices)
        written = replace(output.written, choices=choices)
        return float(TaskTraining()._losses(model, replace(output, written=written), told)["importance"].detach())

    assert cost(30.0) == pytest.approx(0, abs=1e-6)
    assert cost(-30.0) > 3.0 - 1e-3  # a tenth of 30 for each that was needed, and more for all others


def forecast(choices: Choices, needed: list[set[int]], score: float) -> Tensor:
    rows = [
        [[score if place in wanted else -score for place in each] for each in row.tolist()]
        for row, wanted in zip(choices.at, needed, strict=True)
    ]
    return torch.tensor(rows).view_as(choices.logits)


def test_of_a_text_needed_is_what_surprised_the_model_where_its_pair_is_telling() -> None:
    tokens, model = torch.randint(6, (2, 401), generator=seeded(3)), small(6)
    now = Streams.of(tokens, model.transformer.start(2))
    said: list[Output] = []
    for start in (0, 200):
        output, after = model.through(tokens[:, start : start + 200], now.state)
        said.append(output)
        now = now.read(output, after)
    chances = torch.cat([each.logits for each in said], 1).softmax(-1)
    needed = Chunk.of(now, 200).needed
    for row in range(2):
        for place in range(0, 400, 7):
            surprise = 1 - chances[row, place, tokens[row, place + 1]].item()
            assert needed[row, place].item() == pytest.approx(surprise * now.telling[row, place].item(), abs=1e-6)


# ---- what they cost


def test_what_is_to_be_said_costs_its_surprise_and_what_is_unknown_nothing() -> None:
    chances = torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [[1.0, 0.0, 0.0], [0.2, 0.4, 0.4]]])
    tokens = torch.tensor([[1, 2], [-1, 0]])
    wanted = -(math.log(0.25) + math.log(0.8) + math.log(0.2)) / 3
    assert losses.reconstruction(chances.log(), tokens).item() == pytest.approx(wanted)
    assert losses.reconstruction(chances.clamp(min=1e-9).log(), torch.full_like(tokens, -1)).item() == 0


def test_a_forecast_costs_its_cross_entropy_for_each_that_was_needed() -> None:
    choices = Choices(torch.tensor([[[2.0, -1.0, 0.5], [3.0, 0.0, -2.0]]]), torch.tensor([[[0, 1, 2], [3, 4, 5]]]))
    needed = torch.tensor([[1.0, 0.0, 0.25, 1.0]])  # tokens 4 and 5 are outside
    each = [
        -needed * math.log(chance) - (1 - needed) * math.log(1 - chance)
        for chance, needed in zip((sigmoid(2), sigmoid(-1), sigmoid(0.5), sigmoid(3)), (1, 0, 0.25, 1), strict=True)
    ]
    assert losses.importance(choices, needed).item() == pytest.approx(sum(each) / 2.25, rel=1e-5)


def sigmoid(number: float) -> float:
    return 1 / (1 + math.exp(-number))
