"""What the lexical index gets of a text: the distinct stems of each of its passages.

Knows words and passages, and of a record its text and what it repeats; knows no index.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress

import Stemmer

from agentmem.remembered import Remembered
from agentmem.segment import PASSAGE, passages
from agentmem.tokens import SPACED, SpacesError, count, count_of, cut
from agentmem.trust import UNTRUSTED
from agentmem.types import Record
from agentmem.words import distinct_stems

ONE_PASSAGE = 4096  # characters of texts that are likely to be one passage


def _measured_part(part: str) -> tuple[int, str]:
    """Tokens and stems of what stands between two spaces, so that a step is looked through once."""
    return SPACED[part], " ".join(distinct_stems(part))


_PARTS = Remembered(_measured_part)


def measured(text: str) -> tuple[int, tuple[str, ...]]:
    """Tokens of a text and what the lexical index gets of it: `count` and `index_terms`, only quicker."""
    if len(text) <= ONE_PASSAGE:
        parts, tail = cut(text)
        with suppress(SpacesError):
            costs, stems = zip(*map(_PARTS.__getitem__, parts), strict=True)
            if (tokens := count_of(parts[0], costs, tail)) <= PASSAGE:
                return tokens, (_joined(stems),)
    tokens = count(text)
    return tokens, index_terms(text, tokens)


def _joined(stems: Iterable[str]) -> str:
    """The distinct stems of parts, most of which have one."""
    known = dict.fromkeys(stems)
    known.pop("", None)
    text = " ".join(known)
    return text if text.count(" ") < len(known) else " ".join(dict.fromkeys(text.split(" ")))


def index_terms(text: str, tokens: int) -> tuple[str, ...]:
    """What the lexical index gets of a text: the distinct stems of each passage, space-joined. tokens: of the text."""
    if tokens <= PASSAGE:
        return (" ".join(distinct_stems(text)),)
    return tuple(" ".join(distinct_stems(text[start:end])) for start, end in passages(text))


def terms_but(text: str, recalled: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """What the lexical index gets of a step that repeats untrusted text: only what it says itself."""
    starts, ends = zip(*recalled, strict=True)
    said = "\n".join(text[end:start] for end, start in zip((0, *ends), (*starts, len(text)), strict=True))
    return index_terms(said, count(said))


class TermsOf:
    """The index terms of a stored record again, and the version of what makes them, which a file notes."""

    version = f"2 snowball {Stemmer.version()} unicode {unicodedata.unidata_version}"

    def __call__(self, record: Record) -> tuple[str, ...]:
        if record.type != "step":
            return ()
        body = json.loads(record.body) if '"recalled":' in record.body else {}
        untrusted = body.get("recalled_trust") in UNTRUSTED and "lost" not in body  # what was lost moved the rest
        return terms_but(record.text, body["recalled"]) if untrusted else index_terms(record.text, record.tokens)


terms_of = TermsOf()
