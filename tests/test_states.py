"""The state table: what a step makes hold, with what its episode did before."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import KINDS, ODD, TEMPLATES, opened

from agentmem.memory import Memory
from agentmem.salience import Source
from agentmem.sources import source_of
from agentmem.states import Run, Runs, states
from agentmem.states.totals import number
from agentmem.types import Record, State


def step(position: int, text: str, kind: str = "observation", at: str | None = None) -> Record:
    body = json.dumps({"at": at}) if at else "{}"
    return Record("step", (), "e", kind, None, text, body, position=position)


def told(*steps: tuple[str, str]) -> list[tuple[int, str, str, str]]:
    """The states of (kind, text) steps of one episode."""
    run, found = Run(), list[State]()
    for position, (kind, text) in enumerate(steps, 1):
        one = step(position, text, kind)
        found += states(one, source_of(one), run)
    return [tuple(state) for state in found]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ([("observation", "You move to the kitchen.")], (1, "place", "location", "kitchen")),
        ([("observation", "Dark Hall\nA door leads east.")], (1, "place", "location", "dark hall")),
        (
            [("action", "take the brass lamp"), ("observation", "Taken.")],
            (2, "thing", "carrying brass lamp", "carried"),
        ),
        ([("action", "put sack in chest"), ("observation", "It fits.")], (2, "thing", "carrying sack", "left")),
        ([("action", "drop all"), ("observation", "veil: Dropped.")], (2, "thing", "carrying veil", "left")),
        ([("action", 'update_order({"id": 4})')], (1, "deed", "update_order", "done")),
        ([("action", "[write] Edit\n`/srv/app.py`")], (1, "deed", "edit", "done")),
        ([("observation", "Your score has just gone up by ten points.")], (1, "total", "score", "10")),
        ([("observation", "The score is 50 out of 100.")], (1, "total", "score", "50")),
        ([("observation", "It failed with exit code 3")], (1, "outcome", "exit code", "3")),
        ([("observation", "You are carrying:\n  a lamp\n  a coin")], (1, "inventory", "inventory", ": a lamp a coin")),
        ([("observation", "You are empty-handed.")], (1, "inventory", "inventory", "nothing")),
        ([("observation", "You are carrying nothing.")], (1, "inventory", "inventory", "nothing")),
    ],
)
def test_a_step_makes_a_state_hold(steps: Sequence[tuple[str, str]], state: tuple[int, str, str, str]) -> None:
    assert state in told(*steps)


@pytest.mark.parametrize(
    "steps",
    [
        [("action", "take lamp"), ("observation", "You can't reach it.")],
        [("action", "take it"), ("observation", "Taken.")],
        [("action", "get_order_details({})"), ("observation", "{}")],
        [("observation", "Taken.")],
        [("observation", "nothing has gone up by ten")],
    ],
)
def test_what_did_not_happen_makes_none(steps: Sequence[tuple[str, str]]) -> None:
    assert [found for found in told(*steps) if found[1] in ("thing", "deed", "total")] == []


def test_gains_add_to_what_the_episode_had() -> None:
    said = ["Your score has gone up by five points.", "The score is 12.", "Your score went down by 2 points!"]
    assert [found[3] for found in told(*(("observation", text) for text in said)) if found[1] == "total"] == [
        "5",
        "12",
        "10",
    ]


def test_a_date_is_a_state_where_it_is_another_than_before() -> None:
    run, found = Run(), []
    for position, at in enumerate(("2026-01-01T09:00:00", "2026-01-01T10:00:00", None, "2026-01-02"), 1):
        one = step(position, "hello", "message", at)
        found += [state for state in states(one, source_of(one), run) if state.form == "date"]
    assert found == [State(1, "date", "date", "2026-01-01"), State(4, "date", "date", "2026-01-02")]


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), ("ten", 10), ("twenty-five", 25), ("a", 1), ("ninety", 90), ("few", None)]
)
def test_small_numbers_are_read_in_words(text: str, value: int | None) -> None:
    assert number(text) == value


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from((*TEMPLATES, *ODD)) | st.text(max_size=80))))
def test_any_text_gives_each_key_at_most_one_state_of_its_step(steps: list[tuple[str, str]]) -> None:
    run = Run()
    for position, (kind, text) in enumerate(steps, 1):
        one = step(position, text, kind)
        found = states(one, source_of(one), run)
        assert all(state.position == position for state in found)
        assert len({state[:3] for state in found}) == len(found)


# ---- in a memory -------------------------------------------------------------------------------------------------


def play(memory: Memory, turns: Sequence[tuple[str, str]], every: int = 0) -> None:
    episode = memory.episode(id="game")
    for number_, (action, seen) in enumerate(turns, 1):
        episode.act(action)
        episode.observe(seen)
        if every and number_ % every == 0:
            memory.crystallize()


TURNS = [
    ("look", "Dark Hall\nA door leads east."),
    ("take lamp", "Taken.\n[Your score has just gone up by five points.]"),
    ("east", "Red Room\nThe walls are red."),
    ("take coin", "Taken."),
    ("put lamp in niche", "It fits.\n[Your score has just gone up by ten points.]"),
    ("west", "Dark Hall\nA door leads east."),
    *(
        (f"wait {word}", f"Time passes, and the {word} bell rings.")
        for word in ("old", "new", "far", "low", "deep") * 12
    ),
]


@pytest.mark.parametrize("every", [0, 1, 4, 100])
def test_recall_asks_the_table_however_far_the_log_is_crystallized(tmp_path: Path, every: int) -> None:
    with opened(tmp_path / "agent.mem") as memory:
        play(memory, TURNS, every)

        def first(cue: str, **options: object) -> str:
            hits = memory.recall(cue, 60, **options).hits  # type: ignore[arg-type]
            return max(hits, key=lambda hit: hit.score).text

        assert first("Which command raised the score from 5 to 15?").startswith("It fits")
        assert "Dark Hall" in memory.recall("In which room was the agent when it took the lamp?", 60).text
        assert "Red Room" in memory.recall("In which room was the agent when it took the coin?", 60).text
        carrying = memory.recall("What is the agent carrying now?", 60).hits
        assert "take coin" in [hit.text for hit in carrying]
        before = next(step for step in memory.steps() if step.text == "put lamp in niche")
        assert "Dark Hall" in memory.recall("Where is the agent?", 60).text
        assert "put lamp in niche" in memory.recall("Where is the lamp now?", 60).text
        held = memory.recall("What is the agent carrying now?", 60, as_of=before.id).hits
        assert {"take coin", "take lamp"} <= {hit.text for hit in held}


def test_the_table_is_the_same_read_ahead_and_crystallized(tmp_path: Path) -> None:
    tables = []
    for every in (0, 3, 100):
        with opened(tmp_path / f"{every}.mem") as memory:
            play(memory, TURNS, every)
            memory.recall("where is the lamp?")
            stated = memory._core.view([()], memory.head().position).stated()
            tables.append(
                [
                    (int(row), stated.text(value), int(before), bool(last))
                    for row, value, before, last in zip(
                        stated.row, stated.value.tolist(), stated.before, stated.last, strict=True
                    )
                ]
            )
    assert tables[0]
    assert sorted(tables[0]) == sorted(tables[1]) == sorted(tables[2])


def test_what_was_read_ahead_gives_way_to_what_is_published(memory: Memory) -> None:
    cue = "Which command raised the score from 5 to 15?"
    play(memory, TURNS)
    before = memory.recall(cue, 60)
    table = memory._core.view([()], memory.head().position).stated()
    memory.crystallize()
    assert memory.recall(cue, 60).text == before.text
    again = memory._core.view([()], memory.head().position).stated()
    assert again.row.tolist() == table.row.tolist()


def test_a_place_holds_in_its_own_episode_only(memory: Memory) -> None:
    first, second = memory.episode(id="one"), memory.episode(id="two")
    first.observe("You move to the hall.")
    second.act("take lamp")
    second.observe("Taken.")
    assert "hall" not in memory.recall("In which room was the agent when it took the lamp?", 60, episode="two").text


def test_totals_and_dates_go_on_where_the_log_is_crystallized(tmp_path: Path) -> None:
    found = []
    for stop in (False, True):
        with opened(tmp_path / f"{stop}.mem") as memory:
            episode = memory.episode(id="game")
            for number_ in range(8):
                episode.observe("Your score has just gone up by one point.", at=f"2026-02-0{1 + number_ // 4}T10:00:00")
                if stop and number_ == 3:
                    memory.crystallize()
            memory.recall("what is the last score?")
            stated = memory._core.view([()], memory.head().position).stated()
            found.append([stated.text(value) for value in stated.value.tolist()])
    assert found[0] == found[1]
    assert {"8", "2026-02-01", "2026-02-02"} <= set(found[0])


@pytest.mark.slow
def test_many_open_runs_are_the_same_stopped_or_not(tmp_path: Path) -> None:
    texts = []
    for stop in (False, True):
        with opened(tmp_path / f"{stop}.mem") as memory:
            episodes = [memory.episode(id=f"e{number_}") for number_ in range(300)]
            for turn in range(3):
                for number_, episode in enumerate(episodes):
                    if turn != 1 or number_ < 4:
                        episode.observe("Your score has just gone up by one point." if number_ < 4 else "It rains.")
                if stop:
                    memory.crystallize()
            memory.crystallize()
            texts.append([state for _, state in memory._core.store.states(())])
    assert texts[0] == texts[1]


def test_an_interrupted_reading_ahead_has_read_nothing(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    episode = memory.episode(id="game")
    for _ in range(5):
        episode.observe("Your score has just gone up by one point.")
    read, calls = Runs.read, []

    def interrupted(self: Runs, step: Record, source: Source) -> list[State]:
        calls.append(step.position)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return read(self, step, source)

    monkeypatch.setattr(Runs, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        memory.recall("what is the last score?")
    memory.recall("what is the last score?")
    stated = memory._core.view([()], memory.head().position).stated()
    assert [stated.text(value) for value in stated.value.tolist()] == ["2026-01-01", "1", "2", "3", "4", "5"]


def test_digits_without_end_are_no_number(memory: Memory) -> None:
    episode = memory.episode(id="game")
    episode.observe("score: " + "9" * 5000)
    episode.observe("Your score went up by " + "9" * 5000 + " points.")
    episode.end()
    memory.crystallize()
    assert memory.recall("what is the last score?").hits


def test_readers_of_states_and_a_writer_do_not_meet(memory: Memory) -> None:
    errors: list[BaseException] = []
    done = threading.Event()

    def reading() -> None:
        try:
            while not done.is_set():
                memory.recall("Which command raised the score from 5 to 10? What was taken last?", 80)
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=reading) for _ in range(2)]
    for reader in readers:
        reader.start()
    episode = memory.episode(id="game")
    for number_ in range(150):
        episode.act(f"take lamp {number_}")
        episode.observe(f"Taken.\nYour score has gone up by {number_} points. The gate {number_} is now open.")
        if number_ % 40 == 0:
            memory.crystallize()
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []


def test_a_joined_view_has_the_states_of_all(memory: Memory) -> None:
    for name in ("one", "two"):
        play(memory.scoped(name), [(action, f"{seen}\nSo says {name}.") for action, seen in TURNS])
    reader = memory.scoped("one", read=[("two",)])
    hits = reader.recall("Which command raised the score from 5 to 15?", 200).hits
    assert sum(hit.reasons.get("state", 0) >= 5 for hit in hits) == 2


def test_a_newer_list_of_what_is_carried_outdates_the_older(memory: Memory) -> None:
    episode = memory.episode(id="game")
    for things in ("a knife", "a knife and a rope", "a screwdriver"):
        episode.act("inventory")
        episode.observe(f"You are carrying {things}.")
        episode.log_many([f"The corridor bends {n} times and leads on." for n in range(6)])
    episode.act("take bell")
    episode.observe("Taken.")
    best = sorted(memory.recall("What am I carrying?", 100).hits, key=lambda hit: -hit.score)
    assert {"You are carrying a screwdriver.", "take bell", "Taken."} <= {hit.text for hit in best[:4]}
    assert best[0].text != "You are carrying a knife."


def test_where_am_i_is_answered_though_every_word_of_it_is_common(memory: Memory) -> None:
    episode = memory.episode(id="game")
    for room in ("hall", "attic", "studio"):
        episode.act(f"go to the {room}")
        episode.observe(f"You move to the {room}.")
    assert memory.recall("Where am I?", 20).hits[-1].text == "You move to the studio."
