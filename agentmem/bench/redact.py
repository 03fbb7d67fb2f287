"""What redaction finds in histories, and how long it takes: for judging false alarms before a policy is set.

    agentmem bench redact FILE ... [--show KIND,...] [--json]

FILE: lines of JSON with `steps` (each with a `text`) or a `text`, gzipped or not. Every kind is looked for. answers: of
the file's questions, those whose answer holds something that is masked by default. Knows files and policies.
"""

from __future__ import annotations

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agentmem.bench.arguments import path_of
from agentmem.bench.printed import json_of
from agentmem.redact import KINDS, Found, Redaction

PART = 20_000  # characters of a long text looked at at a time
AROUND = 40
ALL = Redaction(dict.fromkeys(KINDS, "mask"))


def texts_of(line: dict[str, Any]) -> Iterator[str]:
    for step in line.get("steps", [line]):
        for start in range(0, max(1, len(step["text"])), PART):
            yield step["text"][start : start + PART]


def look(path: Path, show: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Counts of one file: texts, characters, what was found of each kind, seconds of CPU."""
    found, texts, characters, answers = Counter[str](), 0, 0, 0
    began = time.process_time()
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for line in map(json.loads, lines):
            answers += sum(bool(Redaction().find(str(one.get("answer")))) for one in line.get("questions", ()))
            for text in texts_of(line):
                texts, characters = texts + 1, characters + len(text)
                for one in ALL.find(text):
                    found[one.kind] += 1
                    if one.kind in show:
                        print(f"{path.name}\t{one.kind}\t{_around(text, one)}")
    seconds = round(time.process_time() - began, 1)
    return {"texts": texts, "characters": characters, "answers": answers, "found": dict(found), "seconds": seconds}


def _around(text: str, one: Found) -> str:
    """What was found with what stands around it, on one line. For the eyes of who has the file."""
    before, after = text[max(0, one.start - AROUND) : one.start], text[one.end : one.end + AROUND]
    return " ".join(f"{before}>>{text[one.start : one.end]}<<{after}".split())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="agentmem bench redact", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=path_of, metavar="FILE")
    parser.add_argument("--show", default="", metavar="KIND,...", help="print what was found of these kinds")
    parser.add_argument("--json", action="store_true", help="print counts as JSON")
    options = parser.parse_args(arguments)
    shown = frozenset(filter(None, options.show.split(",")))
    each = {path.name: look(path, shown) for path in options.files}
    if options.json:
        print(json_of(each, indent=1))
        return
    for name, counts in each.items():
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(counts["found"].items())) or "nothing"
        size = f"{counts['texts']:,} texts, {counts['characters']:,} characters, {counts['seconds']} s"
        print(f"{name}: {size}: {kinds}; {counts['answers']} answers")


if __name__ == "__main__":
    main()
