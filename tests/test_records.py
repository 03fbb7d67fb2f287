"""A step as a record: what is computed in one pass is what is computed apart, and steps come back whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentmem import tokens
from agentmem.memory import Memory
from agentmem.records import record_of, step_of
from agentmem.terms import index_terms, measured, terms_of
from agentmem.tokens import count
from agentmem.types import Step

PARTS = ["a", "getFoo", "John's", "b1", "é", "漢字", ".", "x" * 70, " ", "  ", "\n", "\r\n", "\t", "\n  ", "\u2028"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=30).map("".join) | st.text()


@settings(deadline=None)  # the first reads a table
@given(TEXTS)
def test_a_text_is_measured_in_one_pass_as_it_is_counted_and_indexed(text: str) -> None:
    assert measured(text) == (count(text), index_terms(text, count(text)))


@settings(deadline=None)
@given(TEXTS)
def test_tokens_are_the_same_cut_at_spaces_and_run_by_run(text: str) -> None:
    assert count(text) == tokens._with_surcharge(tokens._in_runs(text))


def test_a_long_text_is_measured_passage_by_passage() -> None:
    text = "one two three four five. " * 300
    assert len(measured(text)[1]) > 1
    assert measured(text) == (count(text), index_terms(text, count(text)))


def test_a_step_made_quickly_is_what_pydantic_makes() -> None:
    step = step_of(replace(record_of(("a",), "e", "hi", "message", 1.5, 0, actor="user", data=[1]), position=3))
    made = Step.model_construct(**dict(step))
    assert step == made
    assert step.model_fields_set == made.model_fields_set == set(Step.model_fields)
    assert Step.model_validate_json(step.model_dump_json()) == step


def test_a_file_notes_the_version_of_the_terms_it_is_indexed_by(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        assert memory._core.store.setting("terms") == terms_of.version
