"""The state table: what a step makes hold, with what its episode did before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import KINDS, ODD, TEMPLATES, opened

from agentmem.memory import Memory
from agentmem.sources import source_of
from agentmem.states import Run, states
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
            memory.recall("lamp")
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
