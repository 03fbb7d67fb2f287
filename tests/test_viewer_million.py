"""A long memory in the page: it opens at once, and is never loaded whole."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from seen import CHROMIUM, HAS_BROWSER, NO_BROWSER, viewing, watched
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HAS_BROWSER, reason=NO_BROWSER)]
TOKENS = 1_000_000
OPENS = 3.0  # seconds
MOST = 3 << 20  # bytes of all answers
WORDS = (
    "harbour morning captain weather lantern village between another written quietly through mountain river question "
    "answer forgotten kitchen window letter promise journey station evening winter garden machine measure picture"
).split()


def long_memory(path: Path) -> int:
    """A million tokens in eight episodes, crystallized; how many characters."""
    draw, tokens, characters = random.Random(7), 0, 0
    with Memory.open(path, encoder=None, durability="process") as memory:
        for number in range(8):
            episode = memory.episode(id=f"run {number}")
            while tokens < TOKENS * (number + 1) / 8:
                texts = [" ".join(draw.choices(WORDS, k=60)) for _ in range(500)]
                tokens += sum(step.tokens for step in episode.log_many([{"text": text} for text in texts]))
                characters += sum(map(len, texts))
            episode.end()
        memory.crystallize()
    return characters


def test_a_memory_of_a_million_tokens_opens_at_once_and_is_never_loaded_whole(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    characters = long_memory(tmp_path / "a.mem")
    errors: list[str] = []
    answers: list[Any] = []
    with viewing(tmp_path / "a.mem", "--read-only") as viewed, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = watched(browser.new_page(), errors)
        page.on("response", lambda answer: answers.append(answer))
        began = time.monotonic()
        page.goto(viewed.url)
        page.wait_for_selector("#step")
        opened = time.monotonic() - began
        page.click("#episodes summary")
        page.click("text=all episodes")
        page.keyboard.press("End")
        page.wait_for_timeout(3_000)
        page.click("#graph button:text-is('All')")
        page.wait_for_timeout(3_000)
        read = sum(len(answer.body()) for answer in answers)
        browser.close()
    assert errors == []
    assert opened < OPENS
    assert read < MOST < characters


def test_the_benchmark_prints_its_figures_of_both_memories() -> None:
    done = CliRunner().invoke(app, ["bench", "view", "--steps", "2600", "--runs", "1", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [len(found[which]) for which in ("long", "short")] == [1, 1]
    for (run,) in (found["long"], found["short"]):
        assert min(run.values()) > 0
        assert run["nodes"] > 2_000
