"""Texts that look like code in a page, the page as one file, and a notebook: nothing of them runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seen import HAS_BROWSER, HOSTILE, NO_BROWSER, PATIENCE, harbour, hostile, opened, until, viewing, watched

from agentmem import Memory
from agentmem.viewer import export

pytestmark = pytest.mark.skipif(not HAS_BROWSER, reason=NO_BROWSER)
SHOWS = "document.querySelector('#where').textContent"
STEP = "document.querySelector('#step code').textContent"


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
