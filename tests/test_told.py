"""What is told of a run of steps: deeds with an effect, and places."""

from __future__ import annotations

from collections.abc import Sequence

from strategies import opened

from agentmem.salience import Salience, Source, read
from agentmem.sources import source_of
from agentmem.states.told import EFFECTS, LONGEST, PLACE, Told, told
from agentmem.types import Record


def told_of(*said: tuple[str, str]) -> tuple[list[tuple[str, float, str | None]], list[Told], Sequence[Record]]:
    """(words, vote, words of where) of what is told of actions (`a`) and observations (`o`), and the same as spans."""
    with opened() as memory:
        with memory.episode(id="run") as episode:
            for kind, text in said:
                episode.log(text, kind="action" if kind == "a" else "observation")
        steps = [record for record in memory._core.read(range(1, memory.head().position + 1)) if record.type == "step"]
    found = told(steps, [source_of(step) for step in steps])

    def words(one: Told) -> tuple[str, float, str | None]:
        where = steps[one.where.source].text[one.where.start : one.where.end] if one.where else None
        return steps[one.words.source].text[one.words.start : one.words.end], one.vote, where

    return [words(one) for one in found], found, steps


def test_a_deed_is_told_by_what_it_brought_about_and_where() -> None:
    found, _, _ = told_of(
        ("o", "Old Mill\nYou see a lamp."),
        ("a", "take lamp"),
        ("o", "Taken."),
        ("a", "north"),
        ("o", "Harbour\nThe sea."),
        ("a", "wave lamp"),
        ("o", "A ship comes. Your score has gone up by ten points."),
    )
    assert found == [
        ("Old Mill", PLACE, None),
        ("take lamp", EFFECTS["thing"], "Old Mill"),
        ("north", EFFECTS["place"], "Old Mill"),
        ("Harbour", PLACE, None),
        ("wave lamp", EFFECTS["total"], "Harbour"),
    ]


def test_a_deed_without_effect_is_not_told() -> None:
    found, _, _ = told_of(("a", "take lamp"), ("o", "You can't reach it."), ("a", "wait"), ("o", "Time passes."))
    assert found == []


def test_of_a_long_deed_the_first_line_is_told_up_to_a_word() -> None:
    found, _, _ = told_of(("a", "\n take lamp\nand go"), ("o", "Taken."))
    assert [words for words, _, _ in found] == ["take lamp"]
    long = "take lamp and then " + "walk on " * 60
    ((words, _, _),), _, _ = told_of(("a", long), ("o", "Your score has gone up by ten points."))
    assert len(words) <= LONGEST
    assert long.startswith(f"{words} ")


def test_what_is_told_weighs_more_even_where_it_is_one_letter() -> None:
    _, found, steps = told_of(("o", "Old Mill\nA mill."), ("a", "n"), ("o", "Harbour\nThe sea."))
    reading = read([source_of(step) for step in steps])
    plain = Salience().weigh(reading)
    lifted = Salience().weigh(reading, [(*one.words, one.vote) for one in found])
    deed = plain.source == 1
    assert plain.weight[deed].sum() == 0.0
    assert lifted.weight[deed].sum() > 0.0
    assert lifted.weight[lifted.source == 0].sum() > plain.weight[plain.source == 0].sum()


def test_nothing_is_told_of_nothing() -> None:
    assert told([], []) == []
    assert Salience().weigh(read([Source(1, "action", None, "")])).weight.tolist() == []
