"""What of a shift's observation is logged, and what memory is asked."""

from __future__ import annotations

from agentmem.recall.asked import quotations
from agentmem.rollout.reading import SHIFT


def test_a_shift_is_read_by_sentences_in_episodes_of_whom_they_are_about() -> None:
    text = "[T9 Ann Lee] It is late. Close it with the code of Camp Stove. Ann Lee: I may drop order S1, keep it."
    seen = {"text": text, "candidates": '{"tool": "close_ticket", "args": {"code": "AB-1"}}'}
    assert SHIFT.texts(seen) == [
        "It is late.",
        "Close it with the code of Camp Stove.",
        "Ann Lee: I may drop order S1, keep it.",
    ]
    assert SHIFT.thread(seen) == "Ann Lee"
    assert SHIFT.cue(seen) == "Ann Lee: It is late. Close it with the code of Camp Stove."
    assert SHIFT.act(seen, 0) == "close_ticket AB-1"
    assert SHIFT.act(seen, "no call") == "no call"


def test_a_line_of_a_document_is_a_sentence_of_a_shift() -> None:
    document = "## Process\n\n1) Unlock the tool pay_bill_3852\n - Fee: $15 \nAsk for consent. Thank them."
    assert SHIFT.texts({"text": f"[T1 Omar Khan] {document}"}) == [
        "## Process",
        "1) Unlock the tool pay_bill_3852",
        "- Fee: $15 ",
        "Ask for consent.",
        "Thank them.",
    ]


def test_a_shift_asks_in_quotes_for_the_values_that_its_choice_is_between() -> None:
    calls = [f'{{"tool": "send", "args": {{"order": "S1", "pack": "{pack}"}}}}' for pack in ("1.703", "1.404")]
    seen = {"text": '[T9 Ann Lee] Send the pack for a frame of 6".', "candidates": "\n".join(calls)}
    assert SHIFT.cue(seen) == 'Ann Lee: Send the pack for a frame of 6". "1.703" "1.404"'
    assert quotations(SHIFT.cue(seen)) == ["1.703", "1.404"]
