"""The formats, and which of them a file is in, told by its content.

Knows the first lines of a file: what they hold is asked of each format in turn, from the one that is told apart most
surely. What is no JSON is a document, and so is JSON of another kind, unless the file calls itself JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from agentmem.errors import InvalidInputError
from agentmem.ingest.chatgpt import is_chatgpt, read_chatgpt
from agentmem.ingest.claude import is_claude, read_claude
from agentmem.ingest.codex import is_codex, read_codex
from agentmem.ingest.documents import is_text, read_documents, read_texts
from agentmem.ingest.history import is_export, is_history, read_export, read_history
from agentmem.ingest.langchain import is_langchain, read_langchain
from agentmem.ingest.minari import read_minari
from agentmem.ingest.openai import is_openai, read_openai
from agentmem.ingest.report import Found
from agentmem.ingest.source import HDF5, HEAD, UTF16, Source
from agentmem.ingest.transitions import is_transition, read_transitions
from agentmem.records import brief

JUDGED = 20  # lines of a file
JSON = frozenset((".json", ".jsonl", ".ndjson"))


@dataclass(frozen=True)
class Format:
    """recognise: of a JSON value. grows: its files may be written just now. named: a key names its content."""

    name: str
    about: str
    read: Callable[[Source], Iterator[Found]]
    recognise: Callable[[Any], bool] = lambda value: False
    grows: bool = False
    named: bool = False


FORMATS = {
    format.name: format
    for format in (
        Format("history", "agentmem's histories: a line {id, steps}", read_history, is_history),
        Format("codex", "sessions of Codex", read_codex, is_codex, grows=True),
        Format("claude", "sessions of Claude Code", read_claude, is_claude, grows=True, named=True),
        Format("transitions", "lines {episode, action, observation, ...}", read_transitions, is_transition, grows=True),
        Format("chatgpt", "conversations.json of a ChatGPT export", read_chatgpt, is_chatgpt),
        Format("langchain", "messages of LangChain", read_langchain, is_langchain),
        Format("openai", "messages or items of OpenAI", read_openai, is_openai),
        Format("export", "what agentmem export writes", read_export, is_export),
        Format("texts", "lines {id, title, text}, each a document", read_texts, is_text, named=True),
        Format("minari", "a Minari dataset: its folder or HDF5", read_minari),
        Format("documents", "text, Markdown, HTML, source code", read_documents, named=True),
    )
}


def named(name: str) -> Format:
    """The format of a name."""
    if not isinstance(name, str) or name not in FORMATS:
        raise InvalidInputError(f"format {brief(name)} is unknown; it is one of {', '.join(sorted(FORMATS))}")
    return FORMATS[name]


class UnknownError(InvalidInputError):
    """A file in no format that is known, or that is no text at all."""


def detect(source: Source) -> Format | None:
    """The format of a file or folder; None for an empty file. UnknownError for what is in no format."""
    if source.path.is_dir():
        return FORMATS["minari"]
    head = source.head()
    if head.startswith(HDF5):
        return FORMATS["minari"]
    if b"\0" in head and head[:2] not in UTF16:
        raise UnknownError(f"{source.path} is no text, for it has zero bytes; {_choices()}")
    if len(head) == HEAD and not head.strip():
        raise UnknownError(
            f"{source.path} is nothing but white space for {HEAD >> 10} KiB; take that out; {_choices()}"
        )
    if not head.strip():
        return None
    jsons = JSON.intersection(suffix.lower() for suffix in source.path.suffixes[-2:])
    values = look(source) if jsons or head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else []
    for format in FORMATS.values():
        if any(format.recognise(value) for value in values):
            return format
    if not jsons:
        return FORMATS["documents"]
    if values:
        raise UnknownError(f"{source.path} is JSON in no known format, as {brief(values[0])}; {_choices()}")
    if ".json" in jsons:
        source.json()
    return FORMATS["export"]  # its lines say themselves, with their numbers, that they cannot be read


def look(source: Source) -> list[Any]:
    """The objects in the first lines of a file, or else its one value; finds out which of the two it is."""
    lines = list(islice(source.raw_lines(), JUDGED))
    in_lines = ".json" not in source.path.suffixes and lines and isinstance(_loaded(lines[0]), dict)
    source.whole = not in_lines and isinstance(source.value, dict | list)
    if source.whole:
        return [source.value]
    return [value for value in map(_loaded, lines) if isinstance(value, dict)]


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _choices() -> str:
    told = "; ".join(f"{name} ({format.about})" for name, format in sorted(FORMATS.items()))
    return f"the formats are {told}: choose one with format= (--format)"
