"""The texts of a decision as numbered words: of the present, of remembered lines, and of what is offered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shifts import DOMAINS, by_oracle

from agentmem.ingest.values import own_values
from agentmem.policy.words import CHOICES, HEAD, Lines, number, numbers, offered, padded
from agentmem.recall.render import line
from agentmem.rollout.reading import SHIFT
from agentmem_envs.shift.candidates import CHOICES as OFFERED

CALLS = [f'{{"args": {{"order_id": "S1", "code": "{code}"}}, "tool": "close"}}' for code in ("AA-1", "BB-2", "CC-3")]
TOOLS = [f'{{"args": {{"phone_number": "555-1"}}, "tool": "{tool}"}}' for tool in ("toggle_data", "reboot", "reseat")]
SAID = "[Ann Lee]\nobservation: File my matter under BB-2.\n[Bo Kim]\nobservation: File my matter under AA-1."


def value_words(value: str) -> list[int]:
    """The numbers of all its words."""
    return [each for each in numbers(value, 9).tolist() if each]


def test_what_tells_calls_apart_are_the_values_that_not_all_have() -> None:
    assert own_values(CALLS) == [["AA-1"], ["BB-2"], ["CC-3"]]
    assert own_values(["no json", "[1]", CALLS[0]]) == [[], [], ["S1", "AA-1"]]


@given(st.text(), st.integers(1, 30))
def test_words_are_positive_numbers_with_nothing_behind_them(text: str, most: int) -> None:
    found = numbers(text, most)
    assert found.shape == (most,)
    assert found.dtype == np.int32
    words = int((found > 0).sum())
    assert (found[:words] > 0).all()
    assert not found[words:].any()


def test_a_word_keeps_its_number_and_marks_within_it_count() -> None:
    assert number("BB-2") == number("bb-2") != number("BB-3")
    assert numbers("code BB-2.", 3).tolist() == [number("code"), number("bb-2"), 0]


def test_a_remembered_line_is_kept_once_with_its_head() -> None:
    lines = Lines()
    places = lines.of(f"{SAID}\n{SAID}")
    assert places == [1, 2, 1, 2]
    assert lines.table[1, :HEAD].tolist()[:2] == [number("ann"), number("lee")]
    assert lines.table[1, HEAD:].tolist()[:2] == [number("file"), number("my")]
    assert padded(places, 3).tolist() == [2, 1, 2]
    assert padded(places, 6).tolist() == [0, 0, 1, 2, 1, 2]


def test_the_further_lines_of_a_remembered_text_are_read_with_its_first() -> None:
    lines = Lines()
    said = line("observation", "Dear Ann,\nfile it under BB-2\n\n[sic]\nnote: all")
    assert lines.of(f"past:\n[Ann Lee]\n{said}\nobservation: Bye.") == [1, 2]
    words = [number(word) for word in ("dear", "ann", "file", "it", "under", "bb-2", "sic", "note", "all")]
    assert lines.table[1, HEAD:].tolist()[: len(words) + 1] == [*words, 0]
    assert lines.table[2, : HEAD + 2].tolist() == [number("ann"), number("lee"), 0, 0, 0, 0, number("bye"), 0]


@pytest.mark.parametrize("drift", [False, True])
@pytest.mark.parametrize("domain", DOMAINS)
def test_of_what_a_shift_shows_the_policy_reads_each_value_that_is_needed_later(domain: str, drift: bool) -> None:
    (shift,) = by_oracle(domain, 1, 1_000, "test", drift)
    needs = [need for needs in shift.needs for need in needs]
    assert len(needs) > 150
    for need in needs:
        shown = [line("observation", text) for text in SHIFT.texts({"text": shift.texts[need["shown"]]})]
        lines = Lines()
        rows = [set(lines.rows[place][HEAD:].tolist()) for place in lines.of("\n".join(shown))]
        assert any(set(value_words(need["value"])) <= row for row in rows), need


def test_of_a_candidate_its_tool_stands_first_and_then_what_tells_it_from_the_others() -> None:
    present, own = offered("File it.", CALLS)
    assert present.tolist()[:4] == [number(each) for each in ("close", "order_id", "code", "file")]
    assert own[:, 0].tolist() == [number("close")] * 3 + [0] * 5
    assert own[0].tolist()[1:3] == [number("AA-1"), 0]


def test_where_tools_differ_each_candidate_has_its_own_and_the_present_has_none() -> None:
    present, own = offered("Reboot it.", TOOLS)
    assert present.tolist()[:3] == [number("reboot"), number("it"), 0]
    assert own[:3, 0].tolist() == [number(each) for each in ("toggle_data", "reboot", "reseat")]
    assert not own[:, 1:].any()


@given(st.lists(st.text() | st.sampled_from(['{"tool": 1}', '{"tool": "a", "args": [2]}', "[1]"]), max_size=12))
def test_every_candidate_is_there_whatever_it_is(candidates: list[str]) -> None:
    own = offered("", candidates)[1]
    assert (own[:, 0] > 0).tolist() == [place < len(candidates) for place in range(CHOICES)]


def test_there_are_as_many_candidates_here_as_a_shift_offers() -> None:
    assert CHOICES == OFFERED
