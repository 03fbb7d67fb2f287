"""The chat model of tests, where it is used in one."""

from __future__ import annotations

import pytest

from agentmem.testing import ScriptedChatModel


def test_a_script_that_has_come_to_its_end_says_how_long_it_was_and_what_to_do() -> None:
    model = ScriptedChatModel(script=["Noted."])
    assert model.invoke("The door is red.").text == "Noted."
    with pytest.raises(IndexError, match="^answer 2 was asked for, and the script has 1; add one to script=$"):
        model.invoke("Which door is red?")
    with pytest.raises(IndexError, match="answer 1 was asked for, and the script has 0"):
        ScriptedChatModel(script=[]).invoke("Which door is red?")
