"""How quick the page is over a long memory: how soon it opens, draws 20,000 nodes, and follows the slider.

    agentmem bench view [--steps N] [--runs N] [--json]

Each run starts `agentmem view` and a Chromium without a head or a graphics card anew. Beside each figure is that of a
memory of 2,000 steps. Times are of the clock, so a busy machine shows. Knows texts of common English words; needs
playwright and Chromium.
"""

from __future__ import annotations

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentmem.bench.arguments import parser_of, positive
from agentmem.bench.graph import fill
from agentmem.bench.printed import json_of
from agentmem.errors import MissingExtraError
from agentmem.memory import Memory
from agentmem.viewer.drawn import MOST

STEPS, SMALL, RUNS = 22_500, 2_000, 5
MOVES = 30  # of the slider, in a run
NEARLY = 0.75  # of the nodes that are drawn, so that all are
WAIT = 120_000  # milliseconds
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BARS = {"opens, s": 3.0, "draws all, s": 1.5, "slider, median, ms": 150.0}
"""What is promised; docs/benchmarks.md."""
LABEL = "document.querySelector('#board').getAttribute('aria-label')"
NODES = f"Number(({LABEL}.match(/, ([\\d,]+) node/) || [0, '0'])[1].replaceAll(',', ''))"
MOVED = """async (value) => {
  const began = performance.now();
  const slider = document.querySelector('#scrub');
  slider.value = value;
  slider.dispatchEvent(new Event('input'));
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - began;
}"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = parser_of("view", (__doc__ or "").split("\n")[0], "")
    parser.add_argument(
        "--steps", type=positive, default=STEPS, help=f"of the long memory ({STEPS:,}, a million tokens)"
    )
    parser.add_argument("--runs", type=positive, default=RUNS, help=f"of each memory ({RUNS})")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tokens = {steps: make(Path(folder) / f"{steps}.mem", steps) for steps in (options.steps, SMALL)}
        runs: dict[int, list[dict[str, float]]] = {steps: [] for steps in tokens}
        for _ in range(options.runs):
            for steps in tokens:  # in turns, so that a busy while meets both
                runs[steps].append(measure(Path(folder) / f"{steps}.mem", steps))
    found = {"tokens": tokens[options.steps], "long": runs[options.steps], "short": runs[SMALL]}
    print(json_of(found)) if options.json else _show(found)


def make(path: Path, steps: int) -> int:
    """A crystallized memory of so many steps at a path; how many tokens it has."""
    with Memory.open(path, encoder=None, durability="process") as memory:
        fill(memory, steps)
        return memory.stats().tokens


def measure(path: Path, steps: int) -> dict[str, float]:
    """Figures of one start of the page: seconds, milliseconds, and bytes of all answers."""
    if find_spec("playwright") is None or not (browser := next(filter(None, map(shutil.which, BROWSERS)), None)):
        raise MissingExtraError("bench view needs a browser: pip install playwright, and Chromium in the PATH")
    from playwright.sync_api import sync_playwright

    with viewed(path) as address, sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page, answers = started.new_page(), list[Any]()
        page.set_default_timeout(WAIT)
        page.on("response", lambda answer: answers.append(answer))
        found = dict(_figures(page, address, steps))
        found["read, bytes"] = sum(len(answer.body()) for answer in answers)
        started.close()
    return found


def _figures(page: Any, address: str, steps: int) -> Iterator[tuple[str, float]]:
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#step")
    yield "opens, s", time.perf_counter() - began
    page.click("#episodes summary")
    began = time.perf_counter()
    page.click("text=all episodes")
    _until(page, f"document.querySelector('#title').textContent.startsWith('all') && {NODES} > 0")
    yield "plays all, s", time.perf_counter() - began
    page.keyboard.press("End")
    began = time.perf_counter()
    page.click("#graph button:text-is('All')")
    _until(page, f"{NODES} >= {NEARLY * min(steps, MOST)}")
    yield "draws all, s", time.perf_counter() - began
    yield "nodes", page.evaluate(NODES)
    draw = random.Random(0)
    spent = [page.evaluate(MOVED, draw.randrange(steps // 2, steps)) for _ in range(MOVES)]
    yield "slider, median, ms", statistics.median(spent)
    yield "slider, slowest, ms", max(spent)


def _until(page: Any, what: str) -> None:
    """Wait until something is so. (What waits inside the page is forbidden by its policy.)"""
    while not page.evaluate(what):
        page.wait_for_timeout(10)


@contextmanager
def viewed(path: Path) -> Iterator[str]:
    """`agentmem view` of a memory in a process of its own; the address with its token."""
    command = [sys.executable, "-m", "agentmem.cli", "view", str(path), "--read-only", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def _show(found: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "median", "from", "to", "bar", f"times that of {SMALL:,} steps")
    for name in found["long"][0]:
        values, other = ([run[name] for run in found[which]] for which in ("long", "short"))
        middle = statistics.median(values)
        cells = [
            f"{value:,.0f}" if name in ("nodes", "read, bytes") or "ms" in name else f"{value:.2f}"
            for value in (middle, min(values), max(values))
        ]
        bar = f"< {BARS[name]:g}" if name in BARS else ""
        table.add_row(name, *cells, bar, f"{middle / max(1e-9, statistics.median(other)):.1f}")
    Console().print(f"{found['tokens']:,} tokens, {len(found['long'])} runs of each memory", table)
