"""Make agentmem/data/words.txt.gz: how surprising each common English word is, counted in texts you may use freely.

    python scripts/word_frequencies.py OUT.txt.gz TEXT [TEXT ...]

A TEXT is plain UTF-8 or JSON lines with a `text` field, gzipped or not. The shipped table was made from public-domain
books as published by Standard Ebooks (CC0). Output, gzipped: per line a surprisal in nats (-ln p, in steps of 0.25) and
the words that have it, the commonest first. Same input, same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

WORD = re.compile(r"[^\W_]+")
STEP = 0.25


def texts(path: Path) -> Iterator[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        if ".jsonl" in path.name:
            yield from (json.loads(line)["text"] for line in lines)
        else:
            yield from lines


def table(counts: Counter[str], size: int) -> str:
    total = counts.total()
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:size]
    levels = ((round(-math.log(n / total) / STEP) * STEP, word) for word, n in common)
    return "".join(
        f"{level:g} {' '.join(word for _, word in words)}\n" for level, words in groupby(levels, lambda item: item[0])
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=20_000, help="how many words to keep")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    for path in options.texts:
        for text in texts(path):
            counts.update(WORD.findall(text.casefold()))
    packed = gzip.compress(table(counts, options.size).encode(), compresslevel=9, mtime=0)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_bytes(packed)
    print(f"{options.out}: {min(options.size, len(counts))} words of {counts.total()}, {len(packed)} bytes")


if __name__ == "__main__":
    main()
