"""The page in use: without a mouse, without motion, with texts that are too long, with steps that a file lacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seen import HAS_BROWSER, NO_BROWSER, Viewed, harbour, opened, until, viewing, watched

from agentmem import Memory
from agentmem.viewer import export

pytestmark = pytest.mark.skipif(not HAS_BROWSER, reason=NO_BROWSER)
SHOWN = (
    "document.querySelector('#where').textContent.startsWith('{} of')"
    " && document.querySelector('#frame').getAttribute('aria-busy') === 'false'"
)
LONG = 1_000_000
MARKS = "\u202e{{constructor.constructor('window.hacked=1')()}} [a](javascript:window.hacked=1) "


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    path = tmp_path_factory.mktemp("viewer") / "harbour.mem"
    harbour(path).close()
    with viewing(path, "--read-only") as viewed:
        yield viewed


def tab_to(page: Any, what: str) -> None:
    """Press Tab until something has the focus."""
    for _ in range(80):
        if page.evaluate(f"document.activeElement.matches({what!r})"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never comes to {what}")


@pytest.mark.slow
def test_by_keys_alone_one_comes_from_an_entity_to_a_step_about_it(browser: Any, viewed: Viewed) -> None:
    errors: list[str] = []
    page = opened(browser, viewed.url, errors)
    page.keyboard.press("End")
    until(page, "document.querySelector('#where').textContent.startsWith('13 of')")
    tab_to(page, "#listed summary")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('#nodes .mark.entity').length > 0")
    page.locator("#nodes button", has_text="entity").first.focus()
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#node').textContent.includes('about it as of this step')")
    tab_to(page, "#node .sources button")
    page.keyboard.press("Enter")
    until(page, "document.querySelector('#step .message') !== null")
    assert "I live in Kyoto" in page.inner_text("#frame")
    page.context.close()
    assert errors == []


@pytest.mark.slow
def test_with_reduced_motion_a_crystal_stands_where_it_belongs_at_once(browser: Any, viewed: Viewed) -> None:
    errors: list[str] = []
    page = opened(browser, viewed.url, errors, reduced_motion="reduce")
    for key in ("End", *["ArrowLeft"] * 12, *["ArrowRight"] * 7):  # each frame is known by then
        page.keyboard.press(key)
        until(page, "document.querySelector('#frame').getAttribute('aria-busy') === 'false'")
    drawn = "requestAnimationFrame(() => setTimeout(() => done(document.querySelector('#board').toDataURL())))"
    shot = f"new Promise((done) => {drawn})"
    page.keyboard.press("ArrowRight")
    first = page.evaluate(shot)
    page.wait_for_timeout(500)
    assert page.evaluate(shot) == first
    page.context.close()
    assert errors == []


@pytest.mark.parametrize("width", [390, 1360])
@pytest.mark.slow
def test_texts_without_an_end_or_with_marks_of_direction_stay_in_their_place(
    browser: Any, width: int, tmp_path: Path
) -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        with memory.episode(id="e" * 900, goal=MARKS + "g" * 5_000, agent=MARKS) as episode:
            episode.observe("x" * LONG, subjects=["s" * 900, MARKS])
        export(memory, tmp_path / "run.html", name="n" * 500)
    errors: list[str] = []
    page = opened(browser, f"file://{tmp_path}/run.html", errors, viewport={"width": width, "height": 800})
    assert f"{LONG - 20_000:,} more characters" in page.inner_text("#frame")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = "[...document.querySelectorAll('.card *')].filter((one) => one.getBoundingClientRect().right > innerWidth)"
    assert page.evaluate(f"{wide}.length") == 0
    assert page.evaluate("window.hacked") is None
    page.context.close()
    assert errors == []


def test_a_file_says_why_it_shows_nothing_in_a_browser_that_cannot_unpack_it(browser: Any, tmp_path: Path) -> None:
    with harbour(":memory:") as memory:
        export(memory, tmp_path / "run.html", episode="day 1")
    errors: list[str] = []
    page = watched(browser.new_page(), errors)
    page.add_init_script("delete window.DecompressionStream")
    page.goto(f"file://{tmp_path}/run.html")
    page.wait_for_selector("#note.bad")
    said = "This browser cannot unpack what is in this page: open it in one of 2023 or newer."
    assert page.inner_text("#note").startswith(said)
    assert page.query_selector("#frame > *") is None
    assert errors == ["DecompressionStream is not defined"]
    page.context.close()


def test_a_file_that_was_changed_says_that_instead_of_showing_nothing(browser: Any, tmp_path: Path) -> None:
    with harbour(":memory:") as memory:
        export(memory, tmp_path / "run.html", episode="day 1")
    written = (tmp_path / "run.html").read_text()
    answers = written.split('id="answers">')[1].split("<")[0]
    for changed in (answers[:2_000], answers[:2_000] + "!" + answers[2_001:], "", answers[4:]):
        (tmp_path / "run.html").write_text(written.replace(answers, changed))
        page = browser.new_page()
        page.goto(f"file://{tmp_path}/run.html")
        page.wait_for_selector("#note.bad")
        said = "What is in this page was changed or cut short: write it anew with agentmem view --export."
        assert page.inner_text("#note").startswith(said)
        page.context.close()


def test_a_file_opens_at_the_step_it_was_made_for_and_says_in_its_place_what_found_no_room(
    browser: Any, tmp_path: Path
) -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        steps = memory.episode(id="long").log_many([{"text": f"step {number} of many"} for number in range(500)])
        memory.episode(id="end").observe("That was all.")
        made = export(memory, tmp_path / "run.html", most=150_000, near=[steps[440].id])
    assert 0 < made.frames < 200
    errors: list[str] = []
    page = opened(browser, f"file://{tmp_path}/run.html", errors)
    until(page, f"document.querySelector('#step code')?.textContent === '{steps[440].id}'")
    until(page, "document.querySelector('#rows').textContent.includes('step 440 of many')")
    page.evaluate("document.querySelector('#scrub').value = 250")
    page.dispatch_event("#scrub", "input")
    until(page, "document.querySelector('#frame').textContent.includes('Step 251 found no room in this file')")
    until(page, "document.querySelector('#row251')?.textContent === '252 found no room in this file'")
    page.evaluate("location.hash = '#step=s99999999999'")
    page.wait_for_selector("#note.bad")
    page.evaluate(f"location.hash = '#step={steps[441].id}'")
    until(page, f"document.querySelector('#step code')?.textContent === '{steps[441].id}'")
    said = f"This file holds {made.frames} of the 501 steps of 2 episodes: those around the one at which it opens."
    assert page.inner_text("#note").startswith(said)
    held = made.frames - 1  # and the other episode, of one step
    assert page.inner_text("#title") == f"long 500 steps, {held} of them in this file, 0 recalls"
    assert page.get_attribute("#note", "class") == ""
    page.context.close()
    assert errors == []


def test_where_nothing_was_recalled_a_file_opens_at_the_end_or_at_the_last_step_that_found_room(
    browser: Any, tmp_path: Path
) -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        memory.episode(id="long").log_many([{"text": f"step {number} of many"} for number in range(500)])
        part = export(memory, tmp_path / "part.html", most=150_000)
        memory.episode(id="short").log_many([{"text": f"step {number} of few"} for number in range(5)])
        whole = export(memory, tmp_path / "whole.html", episode="short")
    assert 0 < part.frames < 200
    assert whole.frames == 5
    tall = []
    for name, made in (("part", part), ("whole", whole)):
        errors: list[str] = []
        page = opened(browser, f"file://{tmp_path}/{name}.html", errors)
        until(page, SHOWN.format(made.frames))
        until(page, f"document.querySelector('#row{made.frames - 1} .line')?.textContent.startsWith('step')")
        tall.append(page.evaluate("document.querySelector('#steps').clientHeight"))
        page.context.close()
        assert errors == []
    assert tall[1] < 5 * 44 + 60 < tall[0]  # as high as its steps, and not as the window


@pytest.mark.slow
def test_what_crystallizes_after_the_last_step_is_shown_with_it(browser: Any, viewed: Viewed) -> None:
    errors: list[str] = []
    page = opened(browser, viewed.url, errors)
    label = "Number(document.querySelector('#board').getAttribute('aria-label').match(/(\\d+) nodes? in sight/)[1])"
    page.keyboard.press("End")
    page.wait_for_selector("#frame .after + h4")
    assert page.inner_text("#frame .after + h4") == "1 crystal formed"
    page.wait_for_timeout(200)
    last = page.evaluate(label)
    page.keyboard.press("ArrowLeft")
    until(page, f"{label} === {last} - 3")  # without the step, its recall, and the unit that was sealed behind it
    page.context.close()
    assert errors == []


def test_a_page_opens_with_what_was_recalled_there_in_sight_however_far_back_it_lies(
    browser: Any, tmp_path: Path
) -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        with memory.episode(id="shift") as episode:
            episode.observe("The closing code of the kettle is HP-261.")
            episode.log_many([f"Box {number} was counted." for number in range(200)])
            episode.recall("closing code of the kettle", budget=24)
            used = episode.act("close it with HP-261").id
        export(memory, tmp_path / "run.html", name="shift")
    label = "document.querySelector('#board').getAttribute('aria-label')"
    errors: list[str] = []
    page = opened(browser, f"file://{tmp_path}/run.html#step={used}", errors)
    until(page, f"document.querySelector('#step code')?.textContent === '{used}'")
    until(page, f"/[0-9]{{3}} nodes in sight/.test({label})")
    there = page.evaluate(label)
    page.click("button:text-is('All')")
    page.wait_for_timeout(200)
    assert page.evaluate(label) == there
    page.context.close()
    assert errors == []


@pytest.mark.slow
def test_a_correction_of_a_long_step_keeps_its_end(browser: Any, tmp_path: Path) -> None:
    said = f"I live in Lima. {'The crane was mended again. ' * 900}That is all."
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory, memory.episode(id="long") as episode:
        episode.log_many([said, f"{said}{said * 7}"])
    errors: list[str] = []
    with viewing(tmp_path / "a.mem") as viewed:
        page = opened(browser, viewed.url, errors)
        page.keyboard.press("Home")
        until(page, SHOWN.format(1))
        page.click("text=Correct…")
        text = page.locator("#correction")
        assert text.input_value() == said
        text.fill(said.replace("Lima", "Turin"))
        page.click("text=Log the correction")
        until(page, "document.querySelector('#note').textContent.includes('corrects')")
        page.evaluate("location.search = '?episode=long'")
        page.wait_for_selector("#step")
        page.keyboard.press("End")
        until(page, SHOWN.format(2))
        page.click("text=Correct…")
        until(page, "document.querySelector('#note').textContent.includes('200,000')")
        assert page.locator("dialog").count() == 0
        page.context.close()
    assert errors == []
    with Memory.open(tmp_path / "a.mem", read_only=True, encoder=None) as memory:
        assert said.replace("Lima", "Turin") in [step.text for step in memory.steps()]
