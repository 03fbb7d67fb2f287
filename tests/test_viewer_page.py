"""The page in a browser: Chromium without a head, where one is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen import HAS_BROWSER, HOSTILE, NO_BROWSER, Viewed, harbour, hostile, viewing, watched

from agentmem import Memory
from agentmem.viewer import export

pytestmark = pytest.mark.skipif(not HAS_BROWSER, reason=NO_BROWSER)
SHOWS = "document.querySelector('#where').textContent"
STEP = "document.querySelector('#step code').textContent"
PATIENCE = 10_000  # milliseconds: a machine may be busy


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewed]:
    path = tmp_path_factory.mktemp("viewer") / "harbour.mem"
    harbour(path).close()
    with viewing(path) as viewed:
        yield viewed


def opened(browser: Any, url: str, errors: list[str], **options: Any) -> Any:
    """A page with its first step shown."""
    page = watched(browser.new_context(**options).new_page(), errors)
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("#step")
    return page


@pytest.fixture
def page(browser: Any, viewed: Viewed) -> Iterator[Any]:
    """The page of the memory; whatever a test does, the console stays empty."""
    errors: list[str] = []
    made = opened(browser, viewed.url, errors)
    yield made
    made.context.close()
    assert errors == []


def until(page: Any, what: str) -> None:
    """Wait until something is so. (What waits inside the page is forbidden by its policy.)"""
    for _ in range(PATIENCE // 50):
        if page.evaluate(what):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{what} does not come to be; the note says {page.inner_text('body > #note')!r}")


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


# ---- hostile texts, one file, a notebook -------------------------------------------------------------------------


def shown_as_text(page: Any, said: str) -> None:
    """What was said stands there as text, and nothing of it has run."""
    assert page.evaluate("window.hacked") is None
    assert said in page.evaluate("document.querySelector('#frame').textContent")
    assert page.locator("#main img, #main svg, #main script").count() == 0


@pytest.mark.slow
def test_texts_that_look_like_code_are_texts(browser: Any, tmp_path: Path) -> None:
    hostile(tmp_path / "a.mem").close()
    errors: list[str] = []
    with viewing(tmp_path / "a.mem") as viewed:
        page = opened(browser, viewed.url, errors)
        page.click("#episodes summary")
        page.click("#listed summary")
        newest, *others = enumerate(reversed(HOSTILE))
        for place, said in (*others, newest):  # the newest is open, and what it shows says nothing of a click
            clean = said.replace("\x00", "").replace("\x07", "")
            page.locator("#found button.entry").nth(place + 1).click()
            until(page, f"document.querySelector('#title').textContent.startsWith({json.dumps(clean)})")
            page.keyboard.press("End")
            page.wait_for_selector(".recall-shown")
            until(page, f"{SHOWS}.startsWith('13 of')")
            until(page, f"document.querySelector('#frame').textContent.includes({json.dumps(clean)})")
            shown_as_text(page, clean)
        page.click("#tab-search")
        page.fill("#cue", HOSTILE[0])
        page.keyboard.press("Enter")
        page.wait_for_selector("#results .recall-shown")
        assert page.evaluate("window.hacked") is None
        page.context.close()
    assert errors == []


def test_a_file_opens_with_one_request_and_plays(browser: Any, tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        with memory.episode(id="idle"):
            pass
        made = export(memory, tmp_path / "run.html", name="a.mem")
    assert (made.frames, made.left_out, made.episodes) == (39, 0, 3)
    errors, asked = [], []
    page = watched(browser.new_context(offline=True).new_page(), errors)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path}/run.html")
    page.wait_for_selector("#step")
    page.keyboard.press("End")
    page.wait_for_selector(".recall-shown")
    assert "byte for byte" in page.inner_text("#frame")
    page.locator("button.id[title='Go to this step']").first.click()
    page.click("#episodes summary")
    page.locator("#found button", has_text="day 1").click()
    until(page, "document.querySelector('#title').textContent.startsWith('day 1')")
    page.click("#listed summary")
    until(page, "document.querySelector('#nodes').children.length > 0")
    page.locator("#found button", has_text="idle").click()
    until(page, "document.querySelector('#title').textContent.startsWith('idle')")
    until(page, "!document.querySelector('#nodes').textContent.includes('step')")
    page.click("#tab-health")
    page.wait_for_selector("#decay")
    assert page.locator("#tab-search, .edits").count() == 0
    page.wait_for_timeout(300)
    assert asked == [f"file://{tmp_path}/run.html"]
    page.context.close()
    assert errors == []


@pytest.mark.slow
def test_a_link_into_a_file_opens_its_step(browser: Any, tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        export(memory, tmp_path / "run.html")
        step, other = list(memory.steps("day 2"))[4].id, list(memory.steps("day 1"))[7].id
    errors: list[str] = []
    page = opened(browser, f"file://{tmp_path}/run.html#episode=day+2&step={step}", errors)
    assert page.inner_text("#step code") == step
    page.evaluate(f"location.hash = '#step={other}'")
    until(page, f"{STEP} === '{other}'")
    page.go_back()
    until(page, f"{STEP} === '{step}'")
    page.goto(f"file://{tmp_path}/run.html#namespace={{bad")
    until(page, "document.querySelector('#note').textContent.includes('{bad, which is no list of names')")
    page.context.close()
    assert errors == []


def test_a_file_of_texts_that_look_like_code_runs_none_of_it(browser: Any, tmp_path: Path) -> None:
    with hostile(tmp_path / "a.mem") as memory:
        export(memory, tmp_path / "run.html", name=HOSTILE[1])
    errors: list[str] = []
    page = opened(browser, f"file://{tmp_path}/run.html", errors)
    page.keyboard.press("End")
    page.wait_for_selector(".recall-shown")
    shown_as_text(page, HOSTILE[-1])
    assert page.inner_text("#memory") == HOSTILE[1]
    page.context.close()
    assert errors == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_stands_in_the_page_as_it_was_logged(browser: Any, tmp_path: Path, said: str) -> None:
    text = f"<b onclick=hacked()>{said}</b></script><!--"
    with Memory.open(":memory:", encoder=None) as memory:
        with memory.episode(id="run", goal=text) as episode:
            episode.observe(text, data=[text])
            episode.recall(text)
        export(memory, tmp_path / "run.html", name=text)
    errors: list[str] = []
    page = opened(browser, f"file://{tmp_path}/run.html", errors)
    assert page.evaluate("document.querySelector('#frame pre').textContent") == text
    assert page.evaluate("document.querySelector('#memory').textContent") == text
    assert page.locator("#main b[onclick]").count() == 0
    page.context.close()
    assert errors == []


@pytest.mark.slow
def test_a_notebook_shows_a_memory_an_episode_and_a_context_in_frames(browser: Any, tmp_path: Path) -> None:
    with hostile(tmp_path / "a.mem") as memory:
        context = memory.recall("the crane is broken", budget=200)
        shown = [memory._repr_html_(), memory.episode(id=HOSTILE[0])._repr_html_(), context._repr_html_()]
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{''.join(shown)}")
    errors: list[str] = []
    page = watched(browser.new_context().new_page(), errors)
    page.goto(f"file://{tmp_path}/notebook.html")
    for number, place in enumerate(("#step", "#step", "#context .hits")):
        page.frame_locator("iframe").nth(number).locator(place).first.wait_for(timeout=PATIENCE)
    text = page.frame_locator("iframe").nth(2).locator("pre.text").first.inner_text()
    assert text.strip() == context.text.strip()
    assert page.evaluate("window.hacked") is None
    page.context.close()
    assert errors == []
