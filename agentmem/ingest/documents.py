"""Documents: text of any kind, one episode a file, in pieces of at most about 300 tokens.

A line of JSON with a `text` is a document too, as data sets have them, called by its `id` or the file and its number.
Each piece is an observation, with its file, its first and last line, and the headings above it in `data`. Its key is
the file and what it says, so a file that was changed adds the pieces that are new; the old ones stay until they are
forgotten or erased. Knows which files are prose; a file of a program is cut at lines.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentmem.ingest.chunks import Piece, lines_of, pieces
from agentmem.ingest.markup import lines_of_html
from agentmem.ingest.report import Found
from agentmem.ingest.source import Source

HTML = (".html", ".htm", ".xhtml")
PROSE = ("", ".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", *HTML)


def is_text(value: Any) -> bool:
    """Whether it is a document in a line of JSON: a text that is no step of an episode."""
    return isinstance(value, Mapping) and isinstance(value.get("text"), str) and "episode" not in value


def read_texts(source: Source) -> Iterator[Found]:
    for number, line in source.objects():
        if not is_text(line):
            source.bad(number, "it has no text, which is a str, or is a step of an episode")
            continue
        own, title = line.get("id"), line.get("title")
        name = own if isinstance(own, str) and own else f"{source.name}/{number}"
        goal = title if isinstance(title, str) and title else None
        yield from _told(name, pieces(lines_of(line["text"], ".md"), prose=True), goal, number)
        yield Found(number, name, None)


def read_documents(source: Source) -> Iterator[Found]:
    text = source.text()
    suffix = suffix_of(source)
    html = suffix in HTML or text[:200].lstrip().lower().startswith(("<!doctype html", "<html"))
    lines = lines_of_html(text) if html else lines_of(text, suffix)
    yield from _told(source.name, pieces(lines, prose=html or suffix in PROSE))


def _told(name: str, found: Iterable[Piece], goal: str | None = None, number: int = 0) -> Iterator[Found]:
    """The pieces of a document as steps; number: of the line that holds it all."""
    times = Counter[str]()
    for piece in found:
        times[piece.text] += 1
        yield Found(number or piece.first, name, _step(name, piece, times[piece.text]), goal)


def suffix_of(source: Source) -> str:
    path = source.path.with_suffix("") if source.path.suffix == ".gz" else source.path
    return path.suffix.lower()


def _step(name: str, piece: Piece, times: int) -> dict[str, Any]:
    digest = hashlib.sha256(piece.text.encode()).hexdigest()[:24]
    data = {"file": name, "lines": [piece.first, piece.last]}
    key = f"{name}#{digest}" + (f"/{times}" if times > 1 else "")
    return {
        "key": key, "text": piece.text, "kind": "observation",
        "data": data | ({"place": list(piece.place)} if piece.place else {}),
    }  # fmt: skip
