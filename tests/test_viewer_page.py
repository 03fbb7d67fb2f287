"""The page in a browser: Chromium without a head, where one is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from seen import HAS_BROWSER, NO_BROWSER, Viewed, harbour, opened, until, viewing

from agentmem import Memory

pytestmark = pytest.mark.skipif(not HAS_BROWSER, reason=NO_BROWSER)
SHOWS = "document.querySelector('#where').textContent"
STEP = "document.querySelector('#step code').textContent"


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    path = tmp_path_factory.mktemp("viewer") / "harbour.mem"
    harbour(path).close()
    with viewing(path) as viewed:
        yield viewed


@pytest.fixture
def page(browser: Any, viewed: Viewed) -> Iterator[Any]:
    """The page of the memory; whatever a test does, the console stays empty."""
    errors: list[str] = []
    made = opened(browser, viewed.url, errors)
    yield made
    made.context.close()
    assert errors == []


def at(page: Any, number: int) -> None:
    """Wait until a frame is shown: not only where one is, but the step too, which is the one before until it comes."""
    until(page, f"{SHOWS}.startsWith('{number} of')")
    until(page, f"document.querySelector('#row{number - 1}')?.getAttribute('aria-selected') === 'true'")
    until(page, "document.querySelector('#frame').getAttribute('aria-busy') === 'false'")


def test_the_newest_episode_is_shown_and_the_address_keeps_no_token(page: Any) -> None:
    assert page.inner_text("#title").startswith("day 3 of clerk")
    assert "keep the harbour's book" in page.inner_text("#title")
    until(page, "location.search.includes('episode=day+3')")
    assert "token" not in page.url


def test_it_opens_where_something_was_recalled_first(page: Any) -> None:
    at(page, 13)
    page.wait_for_selector(".recall-shown")


def test_keys_and_the_slider_go_through_an_episode(page: Any) -> None:
    page.keyboard.press("Home")
    at(page, 1)
    page.keyboard.press("ArrowRight")
    at(page, 2)
    page.keyboard.press("End")
    at(page, 13)
    page.keyboard.press("ArrowLeft")
    at(page, 12)
    page.keyboard.press("Home")
    at(page, 1)
    page.evaluate("document.querySelector('#scrub').value = 6")
    page.dispatch_event("#scrub", "input")
    at(page, 7)
    until(page, "document.querySelector('#frame').textContent.includes('The tide turns')")


def test_play_goes_on_by_itself_until_it_is_stopped_or_at_the_end(page: Any) -> None:
    page.select_option("#timeline select", "16")
    page.locator("#frame").click()
    page.keyboard.press("Home")
    at(page, 1)
    page.keyboard.press("Space")
    at(page, 13)
    until(page, "document.querySelector('#play').textContent === 'Play'")


def test_a_step_shows_the_context_that_was_given_with_reasons_and_what_missed(page: Any) -> None:
    page.keyboard.press("End")
    page.wait_for_selector(".recall-shown")
    shown = page.inner_text("#frame")
    assert "byte for byte as it was shown" in shown
    assert "Is the crane mended?" in shown
    assert "Just missed" in shown
    assert page.locator(".hits .reasons li").count() > 3
    ranks = [int(one[1:]) for one in page.locator(".hits:not(.missed) .rank").all_inner_texts()]
    assert ranks == sorted(ranks)
    assert ranks[0] == 1


def test_a_hit_leads_down_to_its_step(page: Any) -> None:
    page.keyboard.press("End")
    page.wait_for_selector(".recall-shown")
    hit = page.locator("button.id[title='Go to this step']").first
    name = hit.inner_text()
    hit.click()
    until(page, f"{STEP} === '{name}'")
    until(page, f"location.search.includes('{name}')")
    page.go_back()
    at(page, 13)
    until(page, "document.querySelector('#title').textContent.startsWith('day 3')")


def test_a_crystal_opens_to_the_steps_it_was_made_from(page: Any) -> None:
    page.keyboard.press("End")
    page.click("#listed summary")
    page.locator("#nodes button", has_text="unit").first.click()
    page.wait_for_selector(".crystal-shown")
    name = page.locator(".sources button").first.inner_text()
    page.locator(".sources button").first.click()
    until(page, f"{STEP} === '{name}'")


@pytest.mark.slow
def test_a_link_opens_its_step_in_another_tab(page: Any, viewed: Viewed) -> None:
    page.click("#episodes summary")
    page.locator("#found button", has_text="day 1").click()
    until(page, "document.querySelector('#title').textContent.startsWith('day 1')")
    for says in ("Pause", "Play"):
        page.keyboard.press("Space")
        until(page, f"document.querySelector('#play').textContent === '{says}'")
    page.keyboard.press("Home")
    at(page, 1)
    page.keyboard.press("ArrowRight")
    at(page, 2)
    until(page, "location.search.includes('step=')")
    until(page, f"location.search.includes({STEP})")
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("#step")
    assert other.inner_text("#step code") == page.inner_text("#step code")
    assert other.inner_text("#title").startswith("day 1")


def test_search_recalls_within_its_budget_and_leads_to_steps(page: Any) -> None:
    page.keyboard.press("/")
    page.fill("#cue", "Is the crane mended?")
    page.fill("#budget", "120")
    page.keyboard.press("Enter")
    page.wait_for_selector("#results .recall-shown")
    assert "of 120 tokens" in page.inner_text("#results")
    page.locator("#results button.id[title='Go to this step']").first.click()
    page.wait_for_selector("#replay:not([hidden]) #step")


@pytest.mark.slow
def test_two_runs_and_health_are_shown(page: Any) -> None:
    page.click("#tab-compare")
    page.fill("#left", "day 1")
    page.fill("#right", "day 2")
    page.keyboard.press("Enter")
    page.locator(".pair button.small").last.click()
    until(page, "document.querySelector('#pairs').textContent.includes('The contexts differ')")
    page.click("#tab-health")
    page.click("#measure")
    until(page, "document.querySelector('#health').textContent.includes('median')")
    assert "kB in all files." in page.inner_text("#health")  # too few tokens for a rate


@pytest.mark.slow
def test_a_phone_scrolls_down_and_not_sideways(browser: Any, viewed: Viewed) -> None:
    errors: list[str] = []
    page = opened(browser, viewed.url, errors, viewport={"width": 360, "height": 740})
    for tab in ("replay", "search", "compare", "health"):
        page.click(f"#tab-{tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.context.close()
    assert errors == []


@pytest.mark.slow
def test_texts_are_readable_in_the_dark_and_in_the_light(page: Any) -> None:
    ask = "(name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()"
    papers = set()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        paper, *colours = (page.evaluate(ask, name) for name in ("paper", "ink", "quiet", "bad", "focus", "good"))
        assert {colour: contrast(colour, paper) for colour in colours if contrast(colour, paper) < 4.5} == {}
        papers.add(paper)
    assert len(papers) == 2


def contrast(one: str, other: str) -> float:
    """Of two colours as #rrggbb, as WCAG 2 has it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_the_token_the_page_says_what_to_do_and_shows_nothing(browser: Any, viewed: Viewed) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{viewed.address}/#token=wrong")
    page.wait_for_selector("#note.bad")
    assert "agentmem view" in page.inner_text("#note")
    assert page.locator("#step").count() == 0
    page.context.close()


def test_a_correction_and_an_erasure_from_the_page(browser: Any, tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem").close()
    errors: list[str] = []
    with viewing(tmp_path / "a.mem") as viewed:
        page = opened(browser, viewed.url, errors)
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        at(page, 2)
        with Memory.open(tmp_path / "a.mem", encoder=None) as memory, memory.episode(id="elsewhere") as episode:
            episode.log("The tide is out.")
        until(page, "document.querySelector('#note').textContent.includes('has grown by')")  # until it is shown
        old = page.inner_text("#step code")
        page.click("text=Correct…")
        page.evaluate("document.querySelector('#correction').value = 'x'.repeat(200_003)")
        page.click("text=Log the correction")
        assert "3 characters over the 200,000" in page.inner_text("dialog .bad")
        page.fill("#correction", "I live in Turin now.")
        page.click("text=Log the correction")
        until(page, "document.querySelector('#note').textContent.includes('corrects')")
        until(page, "document.querySelector('#frame').textContent.includes('I live in Turin now.')")
        page.locator("#frame .chip button").click()
        until(page, f"{STEP} === '{old}'")
        assert "forgotten" in page.inner_text("#frame")
        assert page.locator(".edits button").all_inner_texts() == ["Recall again", "Correct…", "Erase…"]
        page.click("text=Erase…")
        page.wait_for_selector("#preview >> text=Goes, and cannot be brought back")
        assert page.locator("#preview .crystals li").count() > 0
        page.click("dialog >> text=/Erase 1 step for good/")
        until(page, "document.querySelector('#note').textContent.includes('Erased 1 step')")
        page.click("#tab-health")
        assert page.is_hidden("#note")
        page.context.close()
    assert errors == []
    with Memory.open(tmp_path / "a.mem", read_only=True, encoder=None) as memory:
        texts = [step.text for step in memory.steps()]
        assert "I live in Turin now." in texts
        assert old not in [step.id for step in memory.steps()]
        assert memory.verify().ok
