"""The tasks: seeded, laid out without overlaps, and every answer follows from what stands in the stream."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem.errors import InvalidInputError
from agentmem.neural.tasks import Chains, Copying, Counting, Questions, RecallTask, Stories, Task, exact
from agentmem.neural.tasks.named import NAMES, named
from agentmem.neural.tasks.prose import Prose, Words
from agentmem.neural.tasks.task import ASK, COUNT, END, FACT, HOP, LINK, MARK, NOW, REPEAT, SAY, right
from agentmem.neural.tasks.world import KINDS, PEOPLE, PLACES, everything_said

TEXTS = (
    "It was a dark night. The wind blew over the hills! Nobody knew why.\n\nThen the door opened; in came a stranger.",
    "A ship lay at anchor. Its crew had been ashore since noon, and the captain counted his coins. He was not content.",
)
BOOKS = TEXTS * 20
WORDS = Words.of(TEXTS, 300, everything_said())
PROSE = Prose.of(TEXTS, WORDS)
SEEDS = st.integers(0, 2**32)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stories(**keywords: Any) -> Stories:
    return Stories(**{"horizon": 600, "prose": PROSE, "tokenize": WORDS, "vocabulary": WORDS.vocabulary} | keywords)


TASKS: list[Task[Any]] = [
    RecallTask(500, 12, overwritten=0.5),
    RecallTask(2_000, 12, overwritten=0.5, earlier=1.0),
    Chains(500, 4, hops=2, distractors=5),
    Chains(600, 3, hops=3, near=1.0),
    Counting(600, 6),
    Copying(400, 7),
    stories(),
]
SYMBOLIC = st.one_of(
    st.builds(RecallTask, st.integers(480, 1_000), st.integers(2, 40), st.just(0.5), st.sampled_from((0.0, 0.6))),
    st.builds(Chains, st.integers(480, 1_000), st.integers(1, 8), st.integers(1, 3), st.integers(0, 9)),
    st.builds(Counting, st.integers(480, 1_000), st.integers(1, 9)),
    st.builds(Copying, st.integers(480, 1_000), st.integers(1, 30)),
)
LENGTHS = {FACT: 6, LINK: 7, MARK: 4}


def asked(task: Task[Any], seed: int = 0, number: int = 5, streams: int = 3) -> tuple[torch.Tensor, Any, Questions]:
    generator = seeded(seed)
    stream, facts = task.stream(streams, generator)
    return stream, facts, task.questions(facts, number, generator)


def spans(stream: list[int], marker: int, length: int) -> list[tuple[int, ...]]:
    """Position and symbols of every marked span, read from the tokens alone."""
    return [(i, *stream[i + 1 : i + length]) for i, token in enumerate(stream) if token == marker]


def each_question(stream: torch.Tensor, questions: Questions) -> list[tuple[list[int], list[int], Questions]]:
    """Of every question: its stream, the tokens up to its answer, and itself alone in a batch of one."""
    found = []
    for row, tokens in enumerate(stream.tolist()):
        for one in questions.split(1):
            mine = Questions(*(getattr(one, name)[row : row + 1] for name in Questions.__dataclass_fields__))
            found.append((tokens, mine.tokens[0, : int(mine.at) + 1].tolist(), mine))
    return found


each_task = pytest.mark.parametrize("task", TASKS, ids=[f"{type(each).__name__}-{i}" for i, each in enumerate(TASKS)])


@each_task
def test_the_same_seed_gives_the_same_tokens_and_questions(task: Task[Any]) -> None:
    (one, _, first), (other, _, second) = asked(task, 3), asked(task, 3)
    assert torch.equal(one, other)
    assert all(torch.equal(getattr(first, name), getattr(second, name)) for name in Questions.__dataclass_fields__)
    assert not torch.equal(one, asked(task, 4)[0])


@each_task
def test_streams_are_as_long_as_the_horizon_and_inside_the_vocabulary(task: Task[Any]) -> None:
    stream, _, questions = asked(task)
    assert stream.shape == (3, task.horizon)
    assert 0 <= int(stream.min()) <= int(max(stream.max(), questions.tokens.max())) < task.vocabulary


@each_task
def test_every_answer_stands_after_its_question_and_is_judged_there(task: Task[Any]) -> None:
    _, _, questions = asked(task)
    said = torch.full((*questions.tokens.shape, task.vocabulary), -9.0)
    said[:, :-1].scatter_(2, questions.tokens[:, 1:, None], 0.0)
    assert exact(said, questions).all()
    first = questions.at[:, :, None].expand(-1, -1, task.vocabulary)
    wrong = exact(said.scatter(1, first, -said.gather(1, first)), questions)
    assert not wrong.any()


def test_an_answer_is_exact_only_if_every_symbol_is_right() -> None:
    _, _, questions = asked(RecallTask(1_000, 10), number=4, streams=1)
    said = torch.zeros(1, questions.tokens.shape[1], 66)
    said.scatter_(2, questions.tokens.roll(-1, 1)[..., None], 1.0)
    for question, symbol in ((1, 0), (2, 1), (3, 0), (3, 1)):
        said[0, questions.places[0, question, symbol]] *= -1  # any other symbol is likelier
    assert right(said, questions)[0].tolist() == [[True, True], [False, True], [True, False], [False, False]]
    assert exact(said, questions)[0].tolist() == [True, False, False, False]


@each_task
def test_no_question_is_asked_twice_if_there_are_enough(task: Task[Any]) -> None:
    _, _, questions = asked(task, number=min(3, task.askable))
    for row in questions.evidence.tolist():
        assert len({tuple(each) for each in row}) == len(row)


@each_task
def test_questions_asked_a_few_at_a_time_are_the_same_questions(task: Task[Any]) -> None:
    _, _, questions = asked(task, number=5)
    parts = questions.split(2)
    assert [part.at.shape[1] for part in parts] == [2, 2, 1]
    for name in ("tokens", "answers", "evidence", "stale", "as_of"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts], 1), getattr(questions, name))
    for part in parts:
        assert torch.equal(part.tokens.gather(1, part.at + 1), part.answers[..., 0])
        assert ((part.reads >= 0) & (part.reads < part.tokens.shape[1])).all()


@given(SYMBOLIC, SEEDS)
@settings(max_examples=40, deadline=None)
def test_what_is_told_does_not_overlap_and_stays_within_the_stream(task: Task[Any], seed: int) -> None:
    stream, facts, _ = asked(task, seed, streams=2)
    for row in range(2):
        if isinstance(task, Copying):
            at = int(facts.at[row])
            assert stream[row, at] == SAY
            assert stream[row, at + task.length + 1] == END
            continue
        marker, length = next((marker, LENGTHS[marker]) for marker in LENGTHS if marker in stream[row])
        starts = [span[0] for span in spans(stream[row].tolist(), marker, length)]
        assert all(later - sooner >= length for sooner, later in zip(starts, [*starts[1:], task.horizon], strict=True))
        told = (
            [facts.at[row].flatten(), facts.elsewhere[row]] if isinstance(task, Chains) else [facts.at[row].flatten()]
        )
        assert sorted(each for each in torch.cat(told).tolist() if each >= 0) == starts


@given(st.integers(2, 60), st.sampled_from((0.0, 0.5, 0.9)), SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_evidence_of_a_key_is_its_latest_fact_and_the_stale_ones_are_all_the_others(
    facts: int, overwritten: float, seed: int
) -> None:
    stream, _, questions = asked(RecallTask(1_000, facts, overwritten=overwritten), seed)
    for tokens, said, one in each_question(stream, questions):
        same = [(at, *symbols) for at, *symbols in spans(tokens, FACT, 6) if symbols[:3] == said[-3:]]
        assert said[-4] == ASK
        assert ASK not in tokens
        assert same[-1][4:] == tuple(one.answers[0, 0].tolist())
        assert one.evidence.item() == same[-1][0] + 3
        assert sorted(each for each in one.stale.flatten().tolist() if each >= 0) == [at + 3 for at, *_ in same[:-1]]
        assert one.as_of.item() == NOW


@given(st.integers(2, 60), st.sampled_from((0.1, 0.5, 0.9)), SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_key_was_set_anew_if_its_latest_fact_is_not_its_first(facts: int, overwritten: float, seed: int) -> None:
    _, told, _ = asked(RecallTask(1_000, facts, overwritten=overwritten), seed, streams=2)
    for row, keys in enumerate(told.keys.tolist()):
        assert told.anew[row].tolist() == [key in keys[:i] and key not in keys[i + 1 :] for i, key in enumerate(keys)]
        again = [keys.index(key, i + 1) if key in keys[i + 1 :] else None for i, key in enumerate(keys)]
        ample = [later is not None and told.at[row, later] - told.at[row, i] >= 206 for i, later in enumerate(again)]
        assert told.past[row].tolist() == (ample if any(ample) else [later is not None for later in again])


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_as_of_then_falls_between_the_fact_that_answers_and_the_next_of_its_key(seed: int) -> None:
    stream, _, questions = asked(RecallTask(3_000, 30, overwritten=0.5, earlier=1.0), seed)
    for tokens, said, one in each_question(stream, questions):
        same = [(at, *symbols) for at, *symbols in spans(tokens, FACT, 6) if symbols[:3] == said[-3:]]
        sooner, later = next(pair for pair in pairwise(same) if pair[0][0] + 3 == one.evidence.item())
        assert sooner[4:] == tuple(one.answers[0, 0].tolist())
        assert sooner[0] + 6 <= one.as_of.item() <= later[0]
        assert one.as_of.item() >= sooner[0] + 6 + 200
        assert (one.stale >= 0).sum() == len(same) - 1


def test_as_of_then_is_simply_before_the_next_fact_where_there_is_no_room() -> None:
    stream, _, questions = asked(RecallTask(150, 20, overwritten=0.8, earlier=1.0))
    for tokens, said, one in each_question(stream, questions):
        later = [at for at, *symbols in spans(tokens, FACT, 6) if symbols[:3] == said[-3:] and at > one.evidence.item()]
        assert one.as_of.item() == later[0]


def test_a_stream_that_set_nothing_anew_is_asked_for_now() -> None:
    _, facts, questions = asked(RecallTask(500, 2, overwritten=0.01, earlier=1.0))
    assert facts.latest.all()
    assert (questions.as_of == NOW).all()


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 12), SEEDS)
@settings(max_examples=40, deadline=None)
def test_a_chain_resolved_by_hand_gives_the_answer(chains: int, hops: int, distractors: int, seed: int) -> None:
    stream, _, questions = asked(Chains(900, chains, hops, distractors), seed)
    for tokens, said, one in each_question(stream, questions):
        links = {
            tuple(key): (at, target) for at, *key in spans(tokens, LINK, 4) for target in [tokens[at + 4 : at + 7]]
        }
        assert len(links) == chains * hops + distractors
        assert said[-4] == HOP
        key, spoken = tuple(said[-3:]), []
        for hop in range(hops):
            at, target = links[key]
            assert one.evidence[0, 0, hop] == at + 3
            assert tuple(one.tokens[0, int(one.reads[0, 0, hop]) - 2 :][:3].tolist()) == key
            key = tuple(target)
            spoken += target
        assert spoken == one.answers[0, 0].tolist()


@given(st.integers(1, 10), st.integers(1, 8), SEEDS)
@settings(max_examples=40, deadline=None)
def test_counts_are_how_often_a_key_is_marked(keys: int, most: int, seed: int) -> None:
    stream, _, questions = asked(Counting(900, keys, most), seed)
    for tokens, said, one in each_question(stream, questions):
        same = [at + 3 for at, *symbols in spans(tokens, MARK, 4) if symbols == said[-3:]]
        assert said[-4] == COUNT
        assert one.answers.item() == len(same)
        assert [each for each in one.evidence.flatten().tolist() if each >= 0] == same


def test_all_counts_are_asked_for() -> None:
    _, _, questions = asked(Counting(2_000, 20), number=20, streams=20)
    counts = questions.answers.flatten().bincount(minlength=9)
    assert counts[0] == 0
    assert (counts[1:] > 25).all()


@given(st.integers(1, 40), SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_passage_is_said_early_and_each_symbol_is_found_by_the_one_before(length: int, seed: int) -> None:
    stream, _, questions = asked(Copying(1_000, length), seed, number=1)
    for tokens, said, one in each_question(stream, questions):
        at = tokens.index(SAY)
        assert at + length + 1 <= 100
        assert said[-1] == REPEAT
        assert one.answers[0, 0].tolist() == tokens[at + 1 : at + 1 + length]
        assert one.evidence[0, 0].tolist() == list(range(at, at + length))
        assert one.reads[0, 0].tolist() == list(range(int(one.at), int(one.at) + length))


def test_distinct_tasks_share_no_key_in_a_batch() -> None:
    for task in (RecallTask(1_000, 20), Chains(500, 4, 2, near=1.0), Counting(600, 6, near=1.0)):
        _, facts, _ = asked(task, streams=6)
        keys = facts.keys.reshape(-1, 3)
        assert task.distinct
        assert len(keys.unique(dim=0)) == len(keys)


def test_near_keys_mostly_have_a_neighbour_that_differs_in_one_symbol() -> None:
    def neighboured(near: float) -> float:
        _, facts, _ = asked(RecallTask(1_000, 20, near=near), streams=8)
        keys = facts.keys.flatten(0, 1)
        return float(((keys[:, None] == keys[None]).sum(-1) == 2).any(1).float().mean())

    assert neighboured(1.0) > 0.9
    assert neighboured(0.0) < 0.5


TOLD = (
    r"(\w+) (?:walked to|is now in|hurried to) the (\w+)",
    r"the (\w+) (?:was taken|passed|is now carried) (?:by|to) (\w+)",
)
ASKED = (r"where is (\w+) \?", r"where is the (\w+) \?", r"who had the (\w+) before (\w+) \?")


def simulated(text: str, question: str) -> tuple[str, int]:
    """The answer to a question after a story, from its words alone, and how many sentences it takes to tell."""
    place: dict[str, str] = {}
    held: dict[str, list[str]] = {}
    for sentence in re.split(r" ?[.!?;] ?", text):
        if moved := re.fullmatch(TOLD[0], sentence):
            place[moved[1]] = moved[2]
        elif taken := re.fullmatch(TOLD[1], sentence):
            held.setdefault(taken[1], []).append(taken[2])
    kinds = [re.search(form + "$", question) for form in ASKED]
    if kinds[0]:
        return place[kinds[0][1]], 1
    if kinds[1]:
        return place[held[kinds[1][1]][-1]], 2
    assert kinds[2]
    assert held[kinds[2][1]][-1] == kinds[2][2]
    return held[kinds[2][1]][-2], 2


@given(st.integers(14, 60), st.integers(2, 4), st.integers(1, 5), SEEDS)
@settings(max_examples=25, deadline=None)
def test_answers_follow_by_simulating_the_world(events: int, people: int, things: int, seed: int) -> None:
    stream, _, questions = asked(stories(events=events, people=people, things=things), seed, number=8, streams=2)
    for tokens, said, one in each_question(stream, questions):
        answer, sentences = simulated(WORDS.text(tokens), WORDS.text(said))
        evidence = [each for each in one.evidence.flatten().tolist() if each >= 0]
        assert WORDS.text(one.answers.flatten().tolist()) == answer
        assert len(evidence) == sentences
        assert answer in [WORDS.text([tokens[each + 1]]) for each in evidence]
        assert not set(evidence) & set(one.stale.flatten().tolist())


def test_each_kind_of_question_can_be_asked_alone() -> None:
    for kind, form in zip(KINDS, ASKED, strict=True):
        stream, _, questions = asked(stories(kinds=(kind,)))
        assert all(re.search(form + "$", WORDS.text(said)) for _, said, _ in each_question(stream, questions))


def test_a_story_is_scattered_between_whole_sentences_of_the_books() -> None:
    stream, _, _ = asked(stories(horizon=2_000), streams=1)
    told = [each for form in TOLD for each in re.finditer(form, WORDS.text(stream[0].tolist()))]
    assert len(told) == 20
    assert max(each.start() for each in told) - min(each.start() for each in told) > 2_000
    untold = WORDS.text(stream[0].tolist())
    for each in told:
        untold = untold.replace(f"{each[0]} . ", "", 1)
    assert untold in f"{WORDS.text(PROSE.tokens.tolist())} " * 100


def test_an_answer_of_several_tokens_is_judged_up_to_its_end() -> None:
    def letters(text: str) -> list[int]:
        return [min(ord(letter), 255) for letter in text]

    prose = Prose.of(TEXTS, letters)
    stream, _, questions = asked(stories(horizon=2_000, prose=prose, tokenize=letters, vocabulary=256))
    for tokens, _, one in each_question(stream, questions):
        answer = [each for each in one.answers.flatten().tolist() if each >= 0]
        assert bytes(answer).decode()[1:] in (*PEOPLE, *PLACES)
        after = [tokens[each + 1 : each + 1 + len(answer)] for each in one.evidence.flatten().tolist() if each >= 0]
        assert answer in after
    assert (questions.answers < 0).any()
    nothing = torch.zeros(*questions.tokens.shape, 256)
    assert torch.equal(right(nothing, questions), questions.answers < 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecallTask(100, 20), "20 facts of 6 tokens do not fit evenly into a horizon of 100"),
        (lambda: RecallTask(100, 2, near=1.5), "near=1.5: a share between 0 and 1"),
        (lambda: RecallTask(100, 2, earlier=0.5), "overwritten > 0 is needed"),
        (lambda: Chains(50, 3, 3), "9 links of 7 tokens do not fit evenly into a horizon of 50"),
        (lambda: Chains(500, 3, 4), "hops=4"),
        (lambda: Counting(100, 4), "32 marks of 4 tokens do not fit evenly into a horizon of 100"),
        (lambda: Counting(5_000, 4, most=64), "most=64"),
        (lambda: Copying(10, 9), "length=9, horizon=10"),
        (lambda: stories(events=5), "at least 10 events"),
        (lambda: stories(kinds=("why",)), "kinds=.'why',.: one or more of person, thing, before"),
        (lambda: stories(tokenize=Words(["a"])), "two names of a story the same tokens"),
        (lambda: stories(vocabulary=20), "vocabulary=20: the tokenizer gives"),
        (lambda: stories(horizon=50).stream(1, seeded()), "horizon=50: a story of 20 events has 1.. tokens"),
        (lambda: Chains(70_000, 3_000, 3).stream(30, seeded()), "30 streams of 12,000 keys: there are 262,144 keys"),
        (lambda: Words.of(TEXTS, 10, everything_said()), "size=10"),
        (lambda: Prose.of(["\n \n"], WORDS), "no sentence"),
        (lambda: named("chain"), "'chain' is no task; did you mean 'chains'. There are chains, counting,"),
        (lambda: named("juggling"), "'juggling' is no task; give one of chains, counting, copying, stories"),
        (lambda: named("stories"), "give text files, or folders of them"),
        (lambda: named("stories", ["One."]), "1,000 words and marks of books at least, and these have 2: give longer"),
        (lambda: named("stories", ["w. " * 499]), "these have 998: give"),
        (lambda: named("chains", TEXTS), "give no text files"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused_with_what_would(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize("name", NAMES)
def test_a_named_task_has_any_size_and_its_vocabulary(name: str) -> None:
    made = named(name, BOOKS if name == "stories" else ())
    for horizon, facts in ((203, 8), (403, 4), (1_003, 10), (100_000, 1_000)):
        task = made.sized(horizon, facts)
        stream, told = task.stream(1, seeded())
        assert (stream.shape, task.vocabulary) == ((1, horizon), made.vocabulary)
        assert task.questions(told, min(3, task.askable), seeded()).tokens.max() < made.vocabulary


def test_stories_are_told_in_the_words_that_a_model_knows() -> None:
    known = named("stories", BOOKS)
    again = named("stories", ("Other words altogether." * 250,), known.words)
    assert again.words == known.words
    assert again.sized(600, 10).stream(1, seeded())[0].max() < known.vocabulary
