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
from agentmem.neural.reader import Reading
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.task_training import TaskTraining, _reading, batch, following, marked
from agentmem.neural.tasks import Chains, Copying, RecallTask
from agentmem.neural.text_training import Chunk, Streams, contrast_of_layers
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


def test_what_each_piece_of_evidence_says_is_read_from_its_turn_on_up_to_the_next_ones() -> None:
    asked = batch(Copying(400, 5), 2, 1, seeded()).asked
    at, counted = _reading(asked, 3)
    first = asked.at[0, 0].item()
    assert at[0].view(3, 5).tolist() == [[first + turn + i for turn in range(5)] for i in range(3)]
    assert counted[0].view(3, 5).tolist() == [[True] * 5, [False] * 5, [False] * 5]  # each has a turn of its own
    chains = batch(Chains(400, 3), 2, 1, seeded()).asked
    at, counted = _reading(chains, 4)
    assert (at[0].view(4, 2) - chains.at[0, 0]).tolist() == [[0, 3], [1, 4], [2, 5], [3, 6]]
    assert counted[0].view(4, 2).tolist() == [[True, True]] * 3 + [[False, False]]  # another's turn, past the end


@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_right_in_each_layer_is_what_was_taken_from_there_or_says_the_next_token_or_at_least_covers_it(
    seed: int,
) -> None:
    tokens, model = torch.randint(5, (2, 901), generator=seeded(seed)), small(5)
    now = Streams.of(tokens, model.transformer.start(2))
    for start in (0, 450):
        output, after = model.through(tokens[:, start : start + 450], now.state)
        now = now.read(output, after)
    chunk, reading = Chunk.of(now, 450), output.readings[0]
    at, repeats = chunk.repeated(40, seeded(seed))
    layers, kinds = reading.view.layer.unique().tolist(), set()
    costs = [
        contrast_by_hand(reading, output.bound, at[row], repeats[row], chunk, row, layer, kinds)
        for row in range(2)
        for layer in layers
    ]
    by_layer = [[cost for each in costs[i :: len(layers)] for cost in each] for i in range(len(layers))]
    wanted = sum(sum(each) / len(each) for each in by_layer) / len(layers)
    assert contrast_of_layers(reading, output.bound, at, repeats, chunk).item() == pytest.approx(wanted, rel=1e-4)
    assert kinds == {"taken", "says", "covers"}


def contrast_by_hand(
    reading: Reading, bound: Tensor, at: Tensor, repeats: Tensor, chunk: Chunk, row: int, layer: int, kinds: set[str]
) -> list[float]:
    """Costs of each reading that has a right slot in a layer, of each head. kinds: gets why slots were right."""
    view, costs = reading.view, []
    mine = (view.layer == layer).nonzero().flatten().tolist()
    for here, said in zip(at.tolist(), repeats, strict=True):
        place = chunk.start + here
        born = [i for i in mine if view.born[row, i] <= place]
        covering = [i for i in born if said[view.start[row, i] : view.end[row, i]].any()]
        taken = [i for i in born if view.at[row, i] >= 0 and said[view.at[row, i]]]
        following = chunk.tokens[row, place + 1]
        says = [i for i in covering if view.at[row, i] < 0 and bound[row, i, 0] == following]
        covers = [i for i in covering if view.at[row, i] >= 0]
        right = taken + says or covers
        kinds |= {"taken"} if taken else {"says"} if says else {"covers"} if covers else set()
        for head in range(reading.match.shape[1]) if right else ():
            match = reading.match[row, head, here]
            costs.append(float(match[born].logsumexp(0) - match[right].logsumexp(0)))
    return costs


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
