"""Claims: invented examples from several domains, and what must not be claimed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.claims import claims
from agentmem.salience import Source


def of(text: str, kind: str = "observation", actor: str | None = None) -> dict[str, str]:
    return {claim.key: claim.value for claim in claims(Source(1, kind, actor, text))}


def said(text: str, actor: str = "alice") -> dict[str, str]:
    return of(text, "message", actor)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("My favorite color is green now.", "alice: favorite color", "green"),
        ("Hi, my name is Alice Moreau and I sell tea.", "alice: name", "Alice Moreau"),
        ("I live in Oslo, near the harbour.", "alice: lives in", "Oslo"),
        ("Since May I work as a nurse.", "alice: works as", "nurse"),
        ("I'm allergic to peanuts, by the way", "alice: allergic to", "peanuts"),
        ("I'm 34 years old.", "alice: age", "34"),
        ("I really love hiking!", "alice: feels about hiking", "love"),
        ("I don't like olives.", "alice: feels about olives", "no like"),
        ("Bob's birthday is May 3.", "bob: birthday", "May 3"),
        ("The deadline is March 15, 2027.", "alice: deadline", "March 15, 2027"),
        ("Our meeting was moved to Friday.", "alice: meeting", "Friday"),
        ("The response time is 250ms", "alice: response time", "250ms"),
    ],
)
def test_people_say_what_holds_for_them(text: str, key: str, value: str) -> None:
    assert said(text)[key] == value


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("You are in the wine cellar. It is cold.", "location", "wine cellar"),
        ("You move to the kitchen.", "location", "kitchen"),
        ("This room is called the workshop. In it, you see a lathe.", "location", "workshop"),
        ("Hall of Mirrors\nYour face looks back a hundred times.", "location", "Hall of Mirrors"),
        ("Your score is now 15.", "score", "15"),
        ("The thermometer measures a temperature of -4 degrees celsius.", "temperature", "-4 degrees celsius"),
        ("HP: 12  MP: 7", "hp", "12"),
        ("The gate is now open.", "gate", "open"),
        ("You pick up the brass key.", "carrying brass key", "carried"),
        ("lantern: Taken.", "carrying lantern", "carried"),
        ("process exited with code 2", "exit code", "2"),
        ("=== 14 passed, 2 failed in 0.4s ===", "tests", "14 passed, 2 failed"),
        ('Found 3 matches for "parse_row" in src', "matches for parse_row", "3"),
        ("status: shipped", "status", "shipped"),
        ("max_size = 40", "max_size", "40"),
    ],
)
def test_worlds_and_tools_report_readings(text: str, key: str, value: str) -> None:
    assert of(text)[key] == value


def test_files_are_what_was_last_done_to_them() -> None:
    found = of("edit src/report.py lines 3-9", "action")
    assert found == {"file last edited": "src/report.py", "file src/report.py": "edited"}
    assert of("create notes.md", "action")["file notes.md"] == "created"
    assert of("delete fsnotify.Create", "action") == {}


def test_objects_are_named_by_what_identifies_them() -> None:
    items = [{"name": "lamp", "price": 30}, {"name": "rug", "price": 9}]
    found = of(json.dumps({"order_id": "W77", "status": "pending", "items": items}))
    assert found == {"w77: status": "pending", "w77: items lamp.price": "30", "w77: items rug.price": "9"}


def test_calls_are_named_by_their_tool() -> None:
    found = of('change_order({"order_id": "W77", "status": "cancelled"})', "action")
    assert found == {"change_order w77: status": "cancelled"}
    assert of("resize(path='a.png', width=300)", "action") == {"resize a.png: width": "300"}


def test_what_does_not_claim() -> None:
    assert said("Note: this is a tip: read on") == {}
    assert said("I love it! I love that you came. I like how you did this.") == {}
    assert said("```\nport = 80\nuser: Root\n```") == {}
    assert of("x = compute(y)\nfor key in rows:\n    return {") == {}
    assert said("My kids are so excited about this.") == {}


def test_a_later_claim_of_a_key_holds_and_barred_text_claims_nothing() -> None:
    assert of("status: open\nstatus: closed") == {"status": "closed"}
    text = "status: open\nowner: Kim"
    source = Source(1, "observation", None, text, skip=((0, 12),))
    assert [claim.key for claim in claims(source)] == ["owner"]


def test_limit_and_length() -> None:
    text = "\n".join(f"key{n}: {n}" for n in range(100))
    assert len(claims(Source(1, "observation", None, text))) == 24
    assert of(f"story: {'word ' * 60}") == {}


@given(st.text(max_size=300), st.sampled_from(["observation", "action", "message"]), st.text(max_size=20))
def test_any_text_gives_tidy_claims_inside_it(text: str, kind: str, actor: str) -> None:
    found = claims(Source(1, kind, actor, text))
    assert len({claim.key for claim in found}) == len(found) <= 24
    for claim in found:
        assert 0 <= claim.span[0] < claim.span[1] <= len(text)
        assert claim.key == " ".join(claim.key.casefold().split())
        assert claim.value.strip()
