"""Documents: text of any kind, one episode a file, in pieces of at most about 300 tokens.

Each piece is an observation, with its file, its first and last line, and the headings above it in `data`. Its key is
the file and what it says, so a file that was changed adds the pieces that are new; the old ones stay until they are
forgotten or erased. Knows which files are prose; a file of a program is cut at lines.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from agentmem.ingest.chunks import Piece, lines_of, pieces
from agentmem.ingest.markup import lines_of_html
from agentmem.ingest.report import Found
from agentmem.ingest.source import Source

HTML = (".html", ".htm", ".xhtml")
PROSE = ("", ".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", *HTML)


def read_documents(source: Source) -> Iterator[Found]:
    text = source.text()
    suffix = suffix_of(source)
    html = suffix in HTML or text[:200].lstrip().lower().startswith(("<!doctype html", "<html"))
    lines = lines_of_html(text) if html else lines_of(text, suffix)
    times = Counter[str]()
    for piece in pieces(lines, prose=html or suffix in PROSE):
        times[piece.text] += 1
        yield Found(piece.first, source.name, _step(source.name, piece, times[piece.text]))


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
