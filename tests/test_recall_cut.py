"""What is shown of what does not fit: never more than the budget, never nothing, and a hit that says exactly what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lawful
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recalls import unquoted
from strategies import CUES, Log, logs, opened, played

from agentmem import Hit, Memory, PlanningContext
from agentmem.recall.render import fold
from agentmem.tokens import count
from agentmem.trust import SHARE

few = lawful.few(12)

COUNTERS: dict[str, Callable[[str], int]] = {
    "default": count,
    "characters": len,
    "words": lambda text: len(text.split()),
    "lines, and words": lambda text: 9 * text.count("\n") + len(text.split()),
}


@pytest.fixture
def memory() -> Iterator[Memory]:
    with opened() as memory:
        yield memory


def printed(context: PlanningContext) -> Iterator[tuple[Hit, str]]:
    """Each hit with its line, without the mark behind it."""
    for section in context.sections:
        hits = [hit for hit in context.hits if hit.section == section]
        if section != "goal":
            for hit, line in zip(hits, context.sections[section], strict=True):
                line = line.removesuffix(f" <{hit.id}>")
                yield hit, "{1}: {2}".format(*unquoted(line)) if hit.trust == "web" else line


def squeezed(text: str) -> str:
    return " ".join(text.split())


# ---- what a hit says ---------------------------------------------------------------------------------------------


@few
@given(
    logs(2), st.sampled_from(CUES[:6]), st.integers(0, 30) | st.integers(0, 400), st.sampled_from(sorted(COUNTERS)),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_a_hit_is_the_span_of_the_step_that_its_line_prints(
    said: Log, cue: str, budget: int, counter: str, marks: bool, sealed: bool
) -> None:
    with played(said) as memory:
        if sealed:
            memory.crystallize()
        steps = {step.id: step.text for step in memory.steps()}
        context = memory.recall(cue, budget, count_tokens=COUNTERS[counter], marks=marks)
        assert context.tokens <= budget
        for hit, line in printed(context):
            text = steps[hit.id]
            assert hit.span is not None
            assert hit.text == text[slice(*hit.span)]
            if hit.text.strip() == text.strip():
                assert squeezed(fold(text)) in squeezed(line)
            else:
                assert "…" in line
                fragments = line.split(": ", 1)[1].split("…")
                assert all(squeezed(fragment) in squeezed(text[slice(*hit.span)]) for fragment in fragments)


@few
@given(logs(3), st.sampled_from(CUES[:6]), st.integers(1, 60), st.sampled_from(["unit", "cluster", "atom"]))
def test_a_hit_of_a_crystal_is_the_part_of_its_text_that_is_printed(
    said: Log, cue: str, budget: int, layer: str
) -> None:
    with played(said) as memory:
        memory.crystallize()
        crystals = {crystal.id: crystal.text for crystal in memory.crystals()}
        for hit, line in printed(memory.recall(cue, budget, layers=[layer])):
            assert hit.span is None
            assert hit.text in crystals[hit.id]
            assert hit.text.strip() == crystals[hit.id].strip() or "…" in line
            fragments = line.split(": ", 1)[1].split("…")
            assert all(squeezed(fragment) in squeezed(hit.text) or hit.text in line for fragment in fragments)


def test_a_sentence_that_ends_in_an_ellipsis_is_cut_where_its_hit_ends(memory: Memory) -> None:
    memory.episode().log("The submarine left… " * 40)
    for budget in range(8, 40):
        for hit, line in printed(memory.recall("submarine", budget)):
            assert hit.text in line
            assert set(line[line.index(hit.text) + len(hit.text) :]) <= set("… ")


def test_a_cut_sentence_from_the_middle_has_a_mark_on_both_sides(memory: Memory) -> None:
    memory.episode().log(
        "It rained. " * 9 + "The submarine is moored at pier nine" + " of the northern harbour" * 60 + "."
    )
    (line,) = memory.recall("submarine", 60).sections["past"]
    assert line.startswith("observation: … The submarine is moored")
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("text", "folded"),
    [("a   b \t\t c", "a b c"), ("a\n\n \n\nb", "a\n b"), ("\n a\n", "a"), ("a\u2028b\x0cc", "a\n b\n c"), ("", "")],
)
def test_blank_lines_and_runs_of_spaces_are_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_sentences_that_are_left_out_leave_a_mark_in_their_place(memory: Memory) -> None:
    sentences = [f"Rain number {n} over the northern hills." for n in range(60)]
    sentences[20] = "The submarine is moored here."
    sentences[40] = "The submarine leaves tomorrow."
    memory.episode().log(" ".join(sentences))
    (line,) = memory.recall("submarine", 220).sections["past"]
    assert line.startswith("observation: … ")
    assert " … " in line
    assert line.endswith(" …")
    assert line.index("moored here") < line.index("leaves tomorrow")


def test_neighbours_of_the_best_sentence_come_before_other_sentences_and_without_a_mark_between(
    memory: Memory,
) -> None:
    sentences = [f"Rain number {n} over the northern hills." for n in range(60)]
    sentences[30] = "The submarine is moored here."
    memory.episode().log(" ".join(sentences))
    (line,) = memory.recall("submarine", 300).sections["past"]
    assert "Rain number 29 over the northern hills. The submarine is moored here. Rain number 31" in line


def test_of_a_text_that_says_nothing_of_the_cue_the_beginning_is_shown(memory: Memory) -> None:
    for number in range(6):
        memory.episode(id=f"mountain {number}").log("Snow over the mountains.")
    memory.episode(id="submarine").log(" ".join(f"Rain number {n} over the hills." for n in range(200)))
    assert "observation: Rain number 0 over" in memory.recall("submarine", 60, episode="submarine").text


# ---- never nothing, never too much ---------------------------------------------------------------------------------


@few
@given(st.integers(1, 60), st.sampled_from(sorted(COUNTERS)), st.sampled_from([None, "web"]), st.booleans())
def test_what_can_be_shown_is_shown_whatever_stands_above_it(budget: int, counter: str, trust: Any, own: bool) -> None:
    counting = COUNTERS[counter]
    with opened() as memory:
        episode = memory.episode(id="the long voyage of the submarine")
        episode.say("Ann", "Submarines " + "are moored at pier nine of the northern harbour " * 30, trust=trust)
        asking = episode if own else memory
        context = asking.recall("submarines", budget, count_tokens=counting)
        section = "recent:\n" if own else ""
        assert context.tokens <= budget
        if trust:
            least = counting('warnings:\nweb "Ann": "Submarines…"') <= int(budget * SHARE)
        else:
            least = counting(f"{section}Ann: Submarines…") <= budget
        assert bool(context.hits) == least


def test_what_fits_only_without_its_head_is_shown_without_it(memory: Memory) -> None:
    def counting(text: str) -> int:
        return len(text.split()) + 30 * text.count("\n")

    memory.episode(id="harbour").log("The submarine is moored.")
    assert memory.recall("submarine", 20, count_tokens=counting).text == "observation: The submarine is moored."
    assert memory.recall("submarine", 90, count_tokens=counting).text.startswith("[harbour]\n")


def test_a_part_stands_under_its_head_where_that_leaves_room(memory: Memory) -> None:
    memory.episode(id="harbour").log("The submarine is moored at pier nine of the northern harbour. " * 30)
    for budget, headed in ((10, False), (60, True)):
        assert memory.recall("submarine", budget).text.startswith("[harbour]\n") is headed


def test_where_the_best_cannot_be_shown_the_next_is(memory: Memory) -> None:
    with memory.episode(id="harbour") as episode:
        episode.say("Captain of the northern fleet and admiral of all harbours " * 3, "The submarine is moored.")
        episode.say("Bo", "The submarine, I heard from somebody else on another day, may have left for good.")
    assert memory.recall("submarine moored", 14).text.startswith("Bo: The submarine")


def test_a_goal_and_the_names_of_sections_are_counted(memory: Memory) -> None:
    for name in ("old", "older"):
        memory.episode(id=name).log_many([f"The red door {n} of {name} is open." for n in range(9)])
    episode = memory.episode(id="new", goal="open all of the many red doors of the house")
    episode.log_many([f"The red door {n} is here." for n in range(9)])
    for budget in range(60, 260, 8):
        context = episode.recall("red door", budget)
        assert 0.7 * budget <= context.tokens <= budget


# ---- steps that lost text ------------------------------------------------------------------------------------------


def thin(memory: Memory, step: str, kept: str) -> None:
    """Leave of a step's text only a part that it begins with, as retention does."""
    store = memory._core.store
    position = memory.step(step).position
    (record,) = store.read([position])
    assert record.text.startswith(kept)
    holed = kept + "…" + " " * (len(record.text) - len(kept) - 1)
    store.rewrite({position: (holed, json.dumps(json.loads(record.body) | {"lost": 0.9}))})


@pytest.fixture
def thinning(file: Path) -> Iterator[Memory]:
    with opened(file, retain="crystals") as memory:
        yield memory


def test_a_step_that_lost_text_counts_as_what_is_left_of_it_however_late_it_comes(thinning: Memory) -> None:
    filler = "It rained over the hills all day and all night long. " * 9
    with thinning.episode(id="house") as episode:
        long = episode.log(f"The gate was green. {filler}")
        episode.log_many(["The red door is open."] * 90)
    assert "was green" not in thinning.recall("red door", 40).text
    thin(thinning, long.id, "The gate was green. ")
    (hit, _) = thinning.recall("red door", 40).hits
    assert hit.text.strip(" …") == "The gate was green."


def test_of_many_steps_that_lost_text_all_that_fit_are_shown_whole(thinning: Memory) -> None:
    filler = "It rained over the hills all day and all night long. " * 30
    with thinning.episode(id="house") as episode:
        steps = [episode.log(f"The red door {n} was green. {filler}") for n in range(5)]
    for n, step in enumerate(steps):
        thin(thinning, step.id, f"The red door {n} was green. ")
    context = thinning.recall("red door", 120)
    assert [hit.text.strip(" …") for hit in context.hits] == [f"The red door {n} was green." for n in range(5)]


# ---- what comes along, and what comes late ---------------------------------------------------------------------------


def moves(memory: Memory) -> None:
    with memory.episode() as episode:
        for n in range(9):
            episode.transition("pull the lever" if n == 4 else f"walk {n}", "A hatch." if n == 6 else f"Wall {n}.")


@pytest.mark.parametrize(
    ("cue", "expected"), [("lever", ["pull the lever", "Wall 4."]), ("hatch", ["walk 6", "A hatch."])]
)
def test_an_action_brings_what_came_of_it_and_an_observation_what_led_to_it(
    memory: Memory, cue: str, expected: list[str]
) -> None:
    moves(memory)
    context = memory.recall(cue, 14, count_tokens=lambda text: len(text.split()))
    assert [hit.text for hit in context.hits] == expected


def test_a_message_is_no_part_of_an_action(memory: Memory) -> None:
    with memory.episode(id="one") as episode:
        for text in ("Stones all around here.",) * 9 + ("Wall.",):
            episode.observe(text)
        episode.act("pull the lever")
        episode.say("Ann", "Well then.")
        episode.log_many(["Stones all over there."] * 9)
    context = memory.recall("lever", 14, count_tokens=lambda text: len(text.split()))
    shown = [hit.text for hit in context.hits]
    assert "pull the lever" in shown
    assert "Well then." not in shown


def test_a_long_observation_does_not_come_along(memory: Memory) -> None:
    with memory.episode(id="one") as episode:
        episode.transition("pull the lever", "Nothing but walls and stones here. " * 11)
        episode.log_many([f"Wall number {n}." for n in range(14)])
    assert "Nothing but walls" not in memory.recall("lever", 140).text


def test_every_section_begins_with_a_head(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        episode.log("The red door is open.")
        episode.log("The red door is shut.", trust="web")
    assert memory.recall("red door").text.splitlines() == [
        "past:",
        "[house]",
        "observation: The red door is open.",
        "warnings:",
        "[house]",
        'web "observation": "The red door is shut."',
    ]


def test_what_fits_is_found_after_a_thousand_that_do_not(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        episode.log("Hm.")
        episode.log_many([f"The red door {n} " + "was seen open by all of the people " * 6 for n in range(1100)])
    context = memory.recall("red door", 90)
    assert [hit.text for hit in context.hits if hit.text == "Hm."] == ["Hm."]
    assert len(context.hits) == 2


def test_a_costly_name_of_an_episode_is_shortened_to_its_last_part(memory: Memory) -> None:
    name = "/".join(f"folder {n} of the archive" for n in range(20)) + "/run 7"
    memory.episode(id=name).log("The red door is open.")
    assert memory.recall("red door", 200).text == "[run 7]\nobservation: The red door is open."
    assert memory.recall("red door", 20_000).text == f"[{name}]\nobservation: The red door is open."


def test_two_episodes_whose_names_end_alike_do_not_stand_under_one_head(memory: Memory) -> None:
    memory.episode(id="ann/1").log("the key of ann is under the mat")
    memory.episode(id="bob/1").log("the key of bob is in the car")
    text = memory.recall("key", 60).text
    heads = [line for line in text.splitlines() if line.startswith("[")]
    assert len(heads) == 2
    assert "[bob/1]" in heads or "[ann/1]" in heads


def test_what_was_said_a_hundred_times_does_not_hide_what_was_said_once(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        episode.log("A gate, said Ann, is by the house.")
        episode.log_many(["The red door is open."] * 200)
    (first, _) = memory.recall("red door", 60).hits
    assert first.text == "A gate, said Ann, is by the house."


def test_a_step_that_would_take_most_of_the_budget_gives_its_best_passages_only(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        report = episode.log("The submarine is moored here. " + "Rain fell over the northern hills. " * 40)
        episode.log_many([f"Submarine number {n} was seen." for n in range(20)])
    cost = count(f"observation: {report.text}\n")
    for budget, whole in ((int(cost * 1.3), False), (int(cost * 1.6), True)):
        hits = {hit.id: hit for hit in memory.recall("submarine moored", budget).hits}
        assert (hits[report.id].text == report.text) is whole
        assert hits[report.id].text.startswith("The submarine is moored here.")
        assert len(hits) > 1


def test_a_short_step_does_not_make_longer_ones_look_too_long(memory: Memory) -> None:
    with memory.episode(id="house") as episode:
        episode.say("Captain of the old northern ship", "Lever.")
        long = "The lever opens the hatch, " + "and it was seen by all of the people " * 8
        episode.log(long)
    assert [hit.text for hit in memory.recall("lever", 130).hits] == ["Lever.", long]


@pytest.mark.parametrize("budget", [16, 18, 20, 30, 60])
def test_what_is_best_is_shown_wherever_it_fits_whatever_section_it_has(memory: Memory, budget: int) -> None:
    for number in range(3):
        with memory.episode(id=f"run {number}") as episode:
            for room in ("hall", "kitchen", "attic"):
                episode.act(f"go to {room}")
            episode.observe(f"You take the {('lamp', 'brass key', 'rope')[number]}.")
    assert "You take the brass key." in memory.recall("where is the brass key?", budget).text


@pytest.mark.parametrize("budget", [80, 100, 200])
def test_of_a_long_step_that_is_best_the_part_that_matters_is_shown_in_a_small_budget(
    memory: Memory, budget: int
) -> None:
    with memory.episode(id="long") as episode:
        episode.observe("Foo bar. " * 2_000 + "The vault code is 4471. " + "Baz qux. " * 2_000)
        episode.observe("The cat sat.")
    assert "vault code is 4471" in memory.recall("vault code", budget).text
