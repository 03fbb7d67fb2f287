"""The guard against learning recalled text again: what counts as a repetition, and what does not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import opened, texts

from agentmem import Memory
from agentmem.errors import KeyConflictError
from agentmem.memory import guard as guards
from agentmem.memory.guard import RUN, Guard

TOLD = "The harbour master Ingrid Solberg keeps the brass key of the lighthouse in locker nine."
SHORT = "It is raining over the hills."


def told(*texts: str) -> Guard:
    guard = Guard()
    guard.remember(enumerate(texts, 1))
    return guard


def parts(guard: Guard, text: str, kind: str = "message", actor: str | None = "assistant") -> list[str]:
    return [text[start:end] for start, end in guard.repeated(text, kind, actor)[0]]


def test_a_repetition_is_found_word_for_word_and_nothing_around_it() -> None:
    text = f"As far as I know: {TOLD} Shall I fetch it?"
    assert parts(told(TOLD), text) == [TOLD.rstrip(".")]
    assert told(SHORT, TOLD).repeated(text, "action", None)[1] == [2]


def test_case_and_punctuation_do_not_hide_a_repetition() -> None:
    text = "the HARBOUR-master,\ningrid solberg: keeps (the) brass key... and more"
    assert parts(told(TOLD), text) == ["the HARBOUR-master,\ningrid solberg: keeps (the) brass key"]


def test_fewer_words_in_a_row_are_no_repetition() -> None:
    words = TOLD.split()
    for size in range(RUN + 3):
        text = f"Well {' '.join(words[2 : 2 + size])} indeed"
        assert bool(parts(told(TOLD), text)) is (size >= RUN)
    assert parts(told(SHORT), f"{SHORT} {SHORT}") == []


def test_two_repetitions_are_two_and_one_that_goes_on_is_one() -> None:
    other = "Seven grey herons stand in the shallow water below the old stone bridge every morning."
    assert parts(told(TOLD, other), f"{other} But mind: {TOLD}") == [other.rstrip("."), TOLD.rstrip(".")]
    assert told(TOLD, other).repeated(f"{TOLD} {other}", "message", None)[1] == [1, 2]
    assert len(parts(told(TOLD), f"{TOLD} {TOLD}")) <= 2
    assert parts(told(f"{TOLD} {other}"), f"x {TOLD} {other} y") == [f"{TOLD} {other.rstrip('.')}"]


@pytest.mark.parametrize(
    ("kind", "actor", "looked_at"),
    [
        ("message", "assistant", True),
        ("message", "ada", True),
        ("message", None, True),
        ("action", None, True),
        ("action", "shell", True),
        ("message", "user", False),
        ("message", "User", False),
        ("message", "human", False),
        ("message", "customer", False),
        ("observation", None, False),
        ("observation", "assistant", False),
    ],
)
def test_only_what_an_agent_writes_is_looked_at(kind: str, actor: str | None, looked_at: bool) -> None:
    assert bool(told(TOLD).repeated(TOLD, kind, actor)[0]) is looked_at


def test_nothing_was_told_so_nothing_is_repeated() -> None:
    assert Guard().repeated(TOLD, "message", "assistant") == ([], [])
    assert told("", " ", "short").repeated(TOLD, "message", "assistant") == ([], [])
    assert told(TOLD).repeated("", "message", "assistant") == ([], [])


def test_only_the_newest_runs_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "LIMIT", 30)
    guard = told(TOLD)
    guard.remember([(2, " ".join(f"word{n}" for n in range(60)))])
    assert parts(guard, TOLD) == []
    assert parts(guard, " ".join(f"word{n}" for n in range(50, 60))) != []
    again = told(TOLD)
    again.remember([(2, " ".join(f"word{n}" for n in range(25)))])
    again.remember([(3, TOLD)])
    again.remember([(4, " ".join(f"more{n}" for n in range(25)))])
    assert parts(again, TOLD) == [TOLD.rstrip(".")]


@given(
    st.lists(texts(), max_size=3),
    texts(),
    st.sampled_from([TOLD, "鍵 は 台所 に あり ます ドア は 開い て いる", "a b c d e f g h i j"]),
)
def test_spans_are_in_order_apart_and_of_words_that_were_told(others: list[str], around: str, said: str) -> None:
    guard = told(*others, said)
    text = f"{around} {said} {around}"
    spans, origins = guard.repeated(text, "message", "assistant")
    assert origins == sorted(set(origins))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    words = [[word.casefold() for word in guards._WORD.findall(text)] for text in (*others, said)]
    runs = {tuple(own[n : n + RUN]) for own in words for n in range(len(own) - RUN + 1)}
    for start, end in spans:
        own = [word.casefold() for word in guards._WORD.findall(text[start:end])]
        assert tuple(own[:RUN]) in runs
        assert tuple(own[-RUN:]) in runs
    at = len(around) + 1
    inside = [
        match.span() for match in guards._WORD.finditer(text) if at <= match.start() and match.end() <= at + len(said)
    ]
    assert any(start <= inside[0][0] and inside[-1][1] <= end for start, end in spans)


# ---- in a memory -------------------------------------------------------------------------------------------------


def harbour(memory: Memory) -> None:
    with memory.episode(id="harbour") as episode:
        episode.say("user", TOLD)
        episode.log_many([f"The ferry left with {n} passengers, and the captain was content." for n in range(40)])


def test_a_step_says_which_of_its_words_were_recalled(tmp_path: Path) -> None:
    with opened(tmp_path / "agent.mem") as memory:
        harbour(memory)
        episode = memory.episode(id="later")
        assert episode.say("assistant", TOLD).recalled == ()
        episode.recall("Where is the brass key?", 60)
        step = episode.say("assistant", f"I say: {TOLD}")
        assert [step.text[start:end] for start, end in step.recalled] == [TOLD.rstrip(".")]
        assert episode.observe(TOLD).recalled == ()
        assert episode.say("user", TOLD).recalled == ()
        assert episode.log_many([{"text": TOLD, "kind": "action"}])[0].recalled != ()
    with opened(tmp_path / "agent.mem") as memory:
        assert memory.step(step.id).recalled == step.recalled


def test_what_one_episode_was_told_is_not_held_against_another() -> None:
    with opened() as memory:
        harbour(memory)
        one, other = memory.episode(), memory.episode()
        one.recall("Where is the brass key?", 60)
        assert other.say("assistant", TOLD).recalled == ()
        memory.recall("Where is the brass key?", 60)
        assert other.say("assistant", TOLD).recalled == ()


@pytest.mark.parametrize("layers", [None, ["unit"]])
def test_a_resumed_episode_remembers_what_it_was_told(tmp_path: Path, layers: list[str] | None) -> None:
    with opened(tmp_path / "agent.mem") as memory:
        harbour(memory)
        episode = memory.episode(id="later")
        context = episode.recall("Where is the brass key?", 300, layers=layers)
        said = max((hit.text for hit in context.hits), key=len)
        before = episode.say("assistant", said)
        assert before.recalled
    with opened(tmp_path / "agent.mem") as memory:
        after = memory.episode(id="later").say("assistant", said)
        assert after.recalled == before.recalled


def test_what_repeats_is_derived_from_what_it_repeats() -> None:
    with opened() as memory:
        harbour(memory)
        (origin, *_) = memory.steps()
        episode = memory.episode()
        episode.recall("Where is the brass key?", 60)
        repeat = episode.say("assistant", f"I say: {TOLD}")
        episode.say("assistant", "The weather is fine.")
        assert memory.forget(derived_from=origin.id) == 2
        assert {origin.id, repeat.id}.isdisjoint(hit.id for hit in memory.recall("brass key lighthouse", 900).hits)


def test_a_retry_is_the_same_step_whatever_was_recalled_since(tmp_path: Path) -> None:
    with opened(tmp_path / "agent.mem") as memory:
        episode = memory.episode(id="house")
        plain = episode.say("assistant", TOLD, key="plain")
        episode.recall("Where is the brass key?", 60)
        marked = episode.say("assistant", f"I say: {TOLD}", key="marked")
        assert (plain.recalled, bool(marked.recalled)) == ((), True)
        assert episode.say("assistant", TOLD, key="plain") == plain
    with opened(tmp_path / "agent.mem") as memory:
        again = {"kind": "message", "actor": "assistant"}
        steps = [{"text": TOLD, "key": "plain"} | again, {"text": f"I say: {TOLD}", "key": "marked"} | again]
        assert memory.episode(id="house").log_many(steps) == [plain, marked]
        assert len(list(memory.steps())) == 2
        with pytest.raises(KeyConflictError, match="'plain'"):
            memory.episode(id="house").say("assistant", f"{TOLD} Or so.", key="plain")
