"""The chat model of tests, where it is used in one."""

from __future__ import annotations

import pytest

from agentmem.testing import ScriptedChatModel
from agentmem.testing.chat import ordinal


def test_a_script_that_has_come_to_its_end_says_how_long_it_was_and_what_to_do() -> None:
    model = ScriptedChatModel(script=["Noted."])
    assert model.invoke("The door is red.").text == "Noted."
    with pytest.raises(IndexError, match="^the script has 1 answer and was asked for a 2nd; add one to script=$"):
        model.invoke("Which door is red?")
    with pytest.raises(IndexError, match="the script has 0 answers and was asked for a 1st"):
        ScriptedChatModel(script=[]).invoke("Which door is red?")


def test_numbers_are_counted_as_in_english() -> None:
    counted = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 21: "21st", 111: "111th", 112: "112th"}
    assert {number: ordinal(number) for number in counted} == counted
