"""What tests of the page share: a memory to look at, a process that serves it, a browser."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentmem import Memory

ROOT = Path(__file__).parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HAS_BROWSER = CHROMIUM is not None and find_spec("playwright") is not None
PATIENCE = 10_000  # milliseconds: a machine may be busy
NO_BROWSER = "needs chromium and `pip install playwright`"
DAYS = ["Oslo", "Lima", "Kyoto"]
BOOK = (
    "The tide turns at noon and the quay is quiet. The clerk counts the crates twice and writes the number down. The "
    "crane is {state}: nobody may stand under it, says the harbour master. status: {state}"
)
TALK = "I live in {city} now. We spoke for a while about the long winter, the price of rope and the new lamps."
ORDER = '{{"order": {n}, "city": "{city}", "goods": ["rope", "lamps", "oil"], "note": "to be fetched before noon"}}'
HOSTILE = [
    "<img src=x onerror=window.hacked=1>",
    "</script><script>window.hacked=1</script>",
    "<!--<script>",
    "\"'><svg onload=window.hacked=1>",
    "&lt;b&gt;&amp;",
    "${window.hacked=1}",
    "\u2028\u2029\u202e backwards \x00\x07",
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}} <%= 7*7 %>",
]


def harbour(path: Path | str, namespace: tuple[str, ...] = ()) -> Memory:
    """Three days of 13 steps each with recalls, crystallized."""
    memory = Memory.open(path, encoder=None, namespace=namespace, durability="process")
    for day, city in enumerate(DAYS):
        with memory.episode(id=f"day {day + 1}", goal="keep the harbour's book", agent="clerk") as episode:
            for n in range(4):
                told = {"city": city, "state": ["broken", "mended"][day % 2], "n": n}
                episode.observe(BOOK.format(**told))
                episode.say("user", TALK.format(**told), subjects=["Ann"])
                episode.observe(ORDER.format(**told), reward=0.5)
            episode.recall("Is the crane mended?", budget=150)
            episode.act(f"write into the book how the crane is on day {day + 1}")
    return memory


def hostile(path: Path | str) -> Memory:
    """A memory in every field of which somebody wrote what could be taken for code."""
    memory = Memory.open(path, encoder=None, durability="process")
    for said in HOSTILE:
        clean = said.replace("\x00", "").replace("\x07", "")
        with memory.episode(id=clean, goal=said.replace("\x00", ""), agent=clean) as episode:
            for n in range(12):
                text = f"{said} the crane is broken today {n}. status: {clean}"
                data = {"note": clean, clean: [clean]}
                episode.say(clean, text.replace("\x00", ""), subjects=[clean], data=data, blobs={clean: b"x"})
            episode.recall(clean or "crane", budget=200)
            episode.act(clean)
    return memory


@dataclass
class Viewed:
    """A running page. url: with its token. errors: what the browser's console told of."""

    url: str
    process: subprocess.Popen[str]
    errors: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.url.partition("/#")[0]

    @property
    def token(self) -> str:
        return self.url.partition("token=")[2]


def unpacked(answers: str) -> Any:
    """The answers in a page, as agentmem.viewer.page.packed packs them."""
    return json.loads(gzip.decompress(base64.b64decode(answers, validate=True)))


@contextmanager
def viewing(path: Path, *options: str) -> Iterator[Viewed]:
    """`agentmem view` of a file, on a free port."""
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT), str(ROOT / "environments")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "agentmem.cli", "view", str(path), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield Viewed(process.stdout.readline().split()[1], process)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def watched(page: Any, errors: list[str]) -> Any:
    """A page whose errors, and warnings of its policy, are collected."""
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type in ("error", "warning") else None)
    return page


def opened(browser: Any, url: str, errors: list[str], **options: Any) -> Any:
    """A page with its first step shown."""
    page = watched(browser.new_context(**options).new_page(), errors)
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.wait_for_selector("#frame > *")
    return page


def until(page: Any, what: str) -> None:
    """Wait until something is so. (What waits inside the page is forbidden by its policy.)"""
    for _ in range(PATIENCE // 50):
        if page.evaluate(what):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{what} does not come to be; the note says {page.inner_text('body > #note')!r}")
