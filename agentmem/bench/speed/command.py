"""The arguments of `agentmem bench speed`, its progress on standard error, and where results go."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from agentmem.bench import bfcl, evidence
from agentmem.bench.arguments import amount, bars, new_folder, parser_of, path_of, positive, some_of
from agentmem.bench.peers.peer import BUDGET
from agentmem.bench.printed import json_of
from agentmem.bench.recall import pictures
from agentmem.bench.recall.counting import Counter, best
from agentmem.bench.recall.histories import History, Question, Step
from agentmem.bench.recall.reading import load, name_of
from agentmem.bench.speed import picture, report
from agentmem.bench.speed.build import Workshop, spread
from agentmem.bench.speed.grow import Growth
from agentmem.bench.speed.measure import measure
from agentmem.bench.speed.race import RIVALS, race
from agentmem.errors import InvalidInputError

RETAIN = ("keep", "crystals")
PEERS = tuple(name for name in RIVALS if name != "agentmem")
MOST = 10**12
"""Tokens of a memory."""
SEED = 0

NOTES = """\
Sizes are of one namespace in one file, which grows from the histories without repeating a step. Memories are kept
in DIR/memories: one of the same histories and size is used again, one that was interrupted is gone on with; delete
them to time the writing anew. Peers get the same steps, each in its own process, one of them at a time.
"""


def parser() -> argparse.ArgumentParser:
    made = parser_of(
        "speed", "What logging, crystallizing and recall cost as a memory grows, and beside other packages.", NOTES
    )
    add = made.add_argument
    add("data", nargs="*", metavar="DATA", help="histories, as `agentmem bench recall` reads them; BFCL's if none")
    add("--sizes", type=_sizes, default=[100_000, 1_000_000, 10_000_000], metavar="N,N", help="tokens: 100k,1m,10m")
    add("--retain", type=some_of(RETAIN), default=["keep"], metavar="keep,crystals", help="a curve for each; keep")
    add("--cues", type=positive, default=200, metavar="N", help="recalls that are timed; 200")
    add("--peers", type=_peers, default=[], metavar="all|none|NAME,NAME", help=f"none; {', '.join(PEERS)}")
    add("--items", type=positive, default=10_000, metavar="N", help="steps that peers are given; 10000")
    add("--json", action="store_true", help="print results as JSON")
    add("--out", type=path_of, metavar="DIR", help="write results, a picture and the memories here")
    return made


def _sizes(text: str) -> list[int]:
    return sorted({amount(part, MOST) for part in text.split(",")})


def _peers(text: str) -> list[str]:
    if text in ("all", "none"):
        return list(PEERS) if text == "all" else []
    return some_of(PEERS)(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON. Raises what `load` raises; MissingExtraError for --out without `plot`."""
    options = parser().parse_args(arguments)
    if options.out:
        pictures.check()
    counter, histories = best(), histories_of(options.data)
    results: dict[str, Any] = {"settings": _settings(options, counter, histories), "sizes": [], "peers": {}}
    with _folder(options.out) as folder, bars() as progress:
        workshop = Workshop(folder, histories, counter, SEED)
        for retain in options.retain:
            for size in options.sizes:
                task = progress.add_task(f"{report.short(size)} {retain}", total=size)
                advance = lambda done, task=task: progress.update(task, completed=done)  # noqa: E731
                results["sizes"].append(measure(workshop, retain, size, options.cues, advance))
                _write(results, options.out)
        if options.peers:
            results["peers"] = _race(options, histories, counter, progress)
            _write(results, options.out)
    sys.stdout.write(json_of(results, indent=1) + "\n" if options.json else report.markdown(results))


def histories_of(paths: Sequence[str]) -> list[History]:
    """Those of files, or the five conversations that the demo uses."""
    if not paths:
        return [_conversation(one) for one in bfcl.load()]
    found = [history for path in paths for history in load(path).histories]
    if not any(step.text.strip() for history in found for step in history.steps):
        raise InvalidInputError(f"{', '.join(map(str, paths))}: no step says anything; give others")
    return found


def _conversation(one: evidence.History) -> History:
    steps = [Step(turn.id, turn.text, "message", "user", None, turn.episode) for turn in one.turns]
    places = {turn.id: place for place, turn in enumerate(one.turns)}
    asked = [Question(asked.id, asked.text, "", "", (places[asked.evidence],), len(steps)) for asked in one.questions]
    return History(one.person, steps, asked)


def _settings(options: argparse.Namespace, counter: Counter, histories: Sequence[History]) -> dict[str, Any]:
    return {
        "counter": counter.name,
        "data": [name_of(Path(path)) for path in options.data] or ["BFCL memory"],
        "histories": len(histories),
        "seed": SEED,
        "cues": options.cues,
        "budget": BUDGET,
        "fast": find_spec("faiss") is not None,
    }


def _race(options: argparse.Namespace, histories: Sequence[History], counter: Counter, progress: Any) -> dict[str, Any]:
    """On the first items of the growth that say anything, asked what is answered in them."""
    grown = Growth(histories, counter.count, SEED)
    steps = list(islice((one for one in grown if one.step.text.strip()), options.items))
    cues = [cue for one in steps[: max(1, options.items // 10)] for cue in one.cues]
    cues = spread(cues or [cue for one in steps for cue in one.cues], options.cues + 1)
    cues = cues or [" ".join(one.step.text.split()[:10]) for one in steps[: options.cues + 1]]
    asked = [cues[n % len(cues)] for n in range(options.cues + 1)]
    task = progress.add_task("peers", total=options.items)
    texts = [one.step.text for one in steps]
    return race(options.peers, texts, asked, lambda done: progress.update(task, completed=done))


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """Where memories are made: kept under --out, gone afterwards without it."""
    if out is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
        return
    with new_folder(out, "memories") as folder:
        yield folder


def _write(results: dict[str, Any], folder: Path | None) -> None:
    """All that is known so far, and each size in a file of its own."""
    if folder is None:
        return
    if results["sizes"]:
        last = results["sizes"][-1]
        name = f"{last['retain']}-{report.short(last['size'])}.json"
        (folder / name).write_text(json_of(last, indent=1) + "\n", encoding="utf-8")
        picture.draw(results["sizes"], folder)
    (folder / "results.json").write_text(json_of(results, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(report.markdown(results), encoding="utf-8")
