"""What any task asks of a model: the loss of its answers, finding its evidence, and how many it answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from agentmem.errors import InvalidInputError
from agentmem.neural.answered import answered
from agentmem.neural.curriculum import Stage
from agentmem.neural.losses import picked
from agentmem.neural.measure import written
from agentmem.neural.reader import Reading
from agentmem.neural.recalled import recalled
from agentmem.neural.settings import ATOM, CLUSTER, CrystalSettings
from agentmem.neural.task_training import TaskTraining, answering, batch, finding
from agentmem.neural.tasks import Chains, Copying, Counting, RecallTask, Stories, Task
from agentmem.neural.tasks.prose import Prose, Words
from agentmem.neural.tasks.task import ASK, Questions
from agentmem.neural.tasks.world import everything_said
from agentmem.neural.tokens import Output, TokenModel, settings_of
from agentmem.neural.view import View

torch.set_num_threads(1)
WORDS = Words.of(["It rained."], 200, everything_said())
TASKS: list[Task[Any]] = [
    RecallTask(400, 6),
    Chains(400, 3),
    Counting(400, 5),
    Copying(400, 5),
    Stories(400, Prose.of(["It rained. It stopped."], WORDS), WORDS, WORDS.vocabulary),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(vocabulary: int, budget: int = 1_000_000) -> TokenModel:
    torch.manual_seed(0)
    crystal = CrystalSettings(dimension=16, code_bits=64, cue_bits=16, budget=budget)
    return TokenModel(settings_of(vocabulary, d_model=16, n_heads=2, lower=1, upper=1, window=32, crystal=crystal))


def read(task: Task[Any], number: int = 4) -> tuple[Any, Output]:
    """A batch of a task, and what a small model makes of it."""
    made = batch(task, 2, number, seeded())
    output = small(task.vocabulary)(made.tokens, tail=made.tail, layers=(ATOM,), shared=task.distinct)
    return made.asked, output


def matched(output: Output, asked: Any, positions: torch.Tensor, score: float) -> Output:
    """The same output, save that the crystals of these positions [B, Q, n] match with `score`, and others with 0."""
    match = torch.zeros_like(output.readings[0].match)
    covered = output.readings[0].view.covers(positions)
    for row in range(len(match)):
        for question, at in enumerate(asked.at[row].tolist()):
            match[row, :, at] = covered[row, question] * score
    return replace(output, readings=[Reading(**{**vars(each), "match": match}) for each in output.readings])


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_every_task_trains_and_is_measured_in_the_same_way(task: Task[Any]) -> None:
    asked, output = read(task)
    loss = answering(output.log_probabilities, asked) + finding(output, asked, 1)
    model = small(task.vocabulary)
    assert torch.isfinite(loss)
    measured = answered(model, task, streams=2, ask=3)
    assert (measured.tokens, measured.asked) == (400, 2 * min(3, task.askable))
    assert len(measured.by_place) == asked.answers.shape[-1]
    assert measured.exact <= min(measured.by_place)


def test_streams_whose_answers_are_of_different_lengths_are_measured_together() -> None:
    letters = Stories(2_000, Prose.of(["It rained."], letters_of), letters_of, 128)
    generator, lengths = seeded(), []
    for _ in range(5):
        told = letters.stream(1, generator)[1]
        lengths.append(letters.questions(told, 1, generator).answers.shape[-1])
    measured = answered(small(128), letters, streams=5, ask=1)
    assert min(lengths) < max(lengths) == len(measured.by_place)
    assert measured.asked == 5


def letters_of(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_the_loss_of_answers_is_that_of_every_token_of_them() -> None:
    asked, output = read(RecallTask(400, 6))
    said = output.log_probabilities
    assert answering(said, asked).item() == pytest.approx(sum(cost(said, asked, i) for i in range(2)) / 2, rel=1e-5)


def cost(said: Tensor, asked: Questions, number: int) -> float:
    """Mean -log p of the tokens of that number in the answers, each at the position before it."""
    tokens = asked.answers[..., number].unsqueeze(-1)
    return -picked(said, asked.at + number).gather(-1, tokens).mean().item()


def test_what_is_past_an_answers_end_costs_nothing() -> None:
    asked, output = read(RecallTask(400, 6))
    said = output.log_probabilities
    ended = replace(asked, answers=asked.answers.where(torch.tensor([True, False]), -1))
    assert answering(said, ended).item() == pytest.approx(cost(said, asked, 0))


def test_finding_the_evidence_costs_nothing_and_finding_another_crystal_much() -> None:
    asked, output = read(RecallTask(400, 2), number=2)
    assert finding(matched(output, asked, asked.evidence, 30.0), asked, 1).item() < 0.8  # two slots, at most, share it
    elsewhere = (asked.evidence + 150) % 300
    assert finding(matched(output, asked, elsewhere, 30.0), asked, 1).item() > 5


def test_what_is_stale_does_not_count_against_the_evidence() -> None:
    task = RecallTask(1_000, 8, overwritten=0.9)
    asked, output = read(task)
    apart = ((asked.stale >= 0) & (asked.stale // 100 != asked.evidence // 100)).any()
    assert apart
    found = matched(output, asked, torch.cat((asked.evidence, asked.stale), -1), 30.0)
    without = replace(asked, stale=asked.stale[..., :0])
    assert finding(found, asked, 1).item() < 0.8 < finding(found, without, 1).item()


def test_a_question_that_needs_more_evidence_is_asked_to_find_each() -> None:
    asked, output = read(Counting(2_000, 5))
    pieces = asked.evidence[..., -1:], asked.evidence
    last, every = (finding(matched(output, asked, each, 30.0), asked, 1) for each in pieces)
    assert last > 3 * every


class Heard(TokenModel):
    """Remembers how it was asked to read."""

    def forward(self, *given: Any, **how: Any) -> Output:
        self.how = how
        return super().forward(*given, **how)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_streams_are_shown_each_others_crystals_where_they_share_nothing_that_is_looked_up(task: Task[Any]) -> None:
    model = Heard(small(task.vocabulary).settings)
    training = TaskTraining((Stage((CLUSTER,), lambda layer: task),), tokens=100)
    training.step(model, 0, seeded())
    assert (model.how["layers"], model.how["shared"]) == ((CLUSTER,), task.distinct)
    assert model.how["tail"] > 0


def test_only_as_many_are_asked_of_a_stream_as_do_not_answer_each_other() -> None:
    assert batch(Copying(400, 5), 2, 10, seeded()).asked.at.shape == (2, 1)
    assert batch(Chains(400, 3), 2, 10, seeded()).asked.at.shape == (2, 3)


def test_questions_as_of_then_are_answered_without_what_was_written_later() -> None:
    task = RecallTask(1_000, 8, overwritten=0.5, earlier=1.0)
    model = small(task.vocabulary)
    stream, facts = task.stream(1, seeded())
    asked = task.questions(facts, 2, seeded())
    early, late = (model.remember(stream[:, :tokens], model.transformer.start(1)) for tokens in (503, 1_000))
    early = replace(early, convolution=late.convolution, lower=late.lower)
    view = late.memory.view().only((ATOM,))
    as_of = torch.full((asked.tokens.shape[1],), 503)
    then = model.ask(asked.tokens, late, view, as_of)
    torch.testing.assert_close(then, model.ask(asked.tokens, early, early.memory.view().only((ATOM,)), as_of))
    assert not torch.allclose(then, model.ask(asked.tokens, late, view))
    assert answered(model, task, ask=2).asked == 2


def test_recall_is_asked_at_three_precisions_then_what_is_latest_and_then_what_was_before() -> None:
    model, heard = small(66), list[tuple[list[list[int]], View, Tensor]]()
    ask = model.ask
    model.ask = lambda *given: heard.append((spoken(given[0]), *given[2:])) or ask(*given)  # type: ignore[method-assign]
    task, generator = RecallTask(2_003, 40), seeded(3)
    recalled(model, task, ask=5, seed=3)
    questions, views, times = zip(*heard, strict=True)
    (one_bit, *wide), atoms = views[:3], 20 * 2
    assert one_bit.unpacked().cues[0, :atoms].unique().tolist() == [-1, 1]
    steps = [each.cues[0, :atoms] * 32 for each in wide]
    assert [torch.equal(each, each.round()) for each in steps] == [True, False]
    assert steps[0].unique().numel() > 2
    facts = task.stream(1, generator)[1]
    asked = task.questions(facts, 5, generator)
    assert questions[0] == questions[1] == questions[2] == spoken(asked.tokens)
    anew = replace(task, overwritten=0.3).stream(1, generator)[1]
    told = [[*key, *value] for key, value in zip(anew.keys[0].tolist(), anew.values[0].tolist(), strict=True)]
    said = [[place for place, each in enumerate(told) if each[:3] == one[:3]] for one in questions[3] + questions[4]]
    assert min(map(len, said)) > 1
    assert [told[each[-1]] for each in said[:5]] == questions[3]
    for places, question, then in zip(said[5:], questions[4], times[4][::10].tolist(), strict=True):
        before = [place for place in places if anew.at[0, place] < then]
        assert (told[before[-1]], before[-1] != places[-1]) == (question, True)


def spoken(tokens: Tensor) -> list[list[int]]:
    """Key and value of each question in tokens [1, T]."""
    return [tokens[0, place + 1 : place + 6].tolist() for place in (tokens[0] == ASK).nonzero().flatten()]


def test_no_fact_is_asked_for_twice_however_many_questions_are_wanted() -> None:
    measured = recalled(small(66), RecallTask(1_003, 10), ask=200)
    assert measured.asked == 10
    assert 0 < measured.asked_latest < 5
    assert 0 < measured.asked_earlier < 5
    few = recalled(small(66), RecallTask(1_003, 40), ask=1)
    assert (few.asked, few.asked_latest, few.asked_earlier) == (1, 1, 1)


def test_where_nothing_was_set_anew_there_is_no_share_of_it() -> None:
    measured = recalled(small(66), RecallTask(203, 1))
    assert (measured.latest, measured.asked_latest) == (measured.earlier, measured.asked_earlier) == (None, 0)


def test_atoms_of_more_bits_are_those_that_are_kept_and_no_others() -> None:
    model = small(66, budget=5 * 12)
    with torch.no_grad():
        state, wide = written(model, RecallTask(1_003, 10).stream(2, seeded())[0])
    one_bit, kept = wide.view(state, "sign"), state.memory.view().unpacked()
    assert state.memory.births().tolist() != [[0, 1, 2, 3, 4]] * 2
    for each in ("cues", "values", "start", "born", "order"):
        assert torch.equal(getattr(one_bit, each), getattr(kept, each)), each


def test_no_question_at_all_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="streams=1, ask=0: at least one stream and one question"):
        answered(small(66), RecallTask(400, 6), ask=0)
