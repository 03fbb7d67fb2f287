"""Make agentmem/data/costs.txt.gz: how many cl100k_base tokens common pieces of text are, as measured.

    python scripts/token_costs.py OUT.txt.gz TEXT_OR_FOLDER [...]

Needs tiktoken and its cl100k_base file. Texts are cut into pieces by the tokenizer's own splitting rule
(agentmem.tokens); the commonest pieces are encoded one by one and their counts written down: per line a count and a
JSON list of pieces. What is not in the table is estimated from its length, so the table is only as good as its texts
are varied: the shipped one was made from CC0 books (Standard Ebooks) and the sources and documentation of Python's
standard library and packages.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import ascii_letters

import tiktoken

from agentmem.tokens import estimate, pieces

SUFFIXES = {".py", ".md", ".rst", ".txt", ".json", ".toml", ".c", ".h", ".js", ".html"}
LONGEST = 24
PAIRS = [a + b for a in ascii_letters + " " for b in ascii_letters]
CHARACTERS = [*range(0xA0, 0x700), *range(0x900, 0x980), *range(0xE00, 0xE60), *range(0x1E00, 0x2C00)]
CHARACTERS += [*range(0x21, 0x7F)]
CHARACTERS += [*range(0x3000, 0xA000), *range(0xAC00, 0xD7A4), *range(0xFF00, 0xFFF0), *range(0x1F300, 0x1FA00)]
FILE = 400_000  # characters taken of one file
BOOK = 1_500_000  # characters taken of one book


def texts(path: Path) -> Iterator[str]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix in SUFFIXES and file.is_file():
                yield file.read_text("utf-8", "replace")[:FILE]
    elif ".jsonl" in path.name:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line)["text"][:BOOK] for line in lines)
    else:
        yield path.read_text("utf-8", "replace")


def forms(piece: str) -> set[str]:
    """A piece as it is and, for words, in the other cases and with and without the space before it."""
    word = piece.strip()
    if not (word.isalpha() and word.isascii()):
        return {piece}
    cased = {word, word.lower(), word.upper(), word.capitalize()}
    return {piece, *cased, *(f" {form}" for form in cased)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=60_000, help="how many pieces to look at")
    parser.add_argument("--least", type=int, default=4, help="how often a piece must stand in the texts")
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    for path in options.texts:
        for text in texts(path):
            seen.update(piece for piece in pieces(text) if len(piece) <= LONGEST)
    encode = tiktoken.get_encoding("cl100k_base").encode_ordinary
    by_cost: dict[int, list[str]] = {}
    common = sorted(seen.items(), key=lambda item: (-item[1], item[0]))[: options.size]
    costs = {form: len(encode(form)) for piece, times in common if times >= options.least for form in forms(piece)}
    costs |= {part: len(encode(part)) for part in (*map(chr, CHARACTERS), *(f" {chr(c)}" for c in CHARACTERS), *PAIRS)}
    whole = frozenset(piece for piece, cost in costs.items() if cost == 1)
    for piece, cost in sorted(costs.items()):
        if (
            cost == 1
            or (len(piece) == 1 and cost < len(piece.encode()))
            or (piece in seen and cost != estimate(piece, whole, costs))
        ):
            by_cost.setdefault(cost, []).append(piece)
    lines = "".join(f"{cost} {json.dumps(sorted(by_cost[cost]), ensure_ascii=False)}\n" for cost in sorted(by_cost))
    packed = gzip.compress(lines.encode(), compresslevel=9, mtime=0)
    options.out.write_bytes(packed)
    print(f"{options.out}: {sum(map(len, by_cost.values()))} pieces of {seen.total()}, {len(packed)} bytes")


if __name__ == "__main__":
    main()
