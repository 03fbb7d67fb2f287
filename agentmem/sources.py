"""Steps as they are condensed and encoded: what is to be learned of them, and in which pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from agentmem.condense import MARK, Source
from agentmem.segment import passages
from agentmem.types import Record

CODED = 256  # tokens of neighbouring short steps that share one code


def chunks(steps: Sequence[Record], size: int = CODED) -> Iterator[tuple[int, int, str]]:
    """What one code each is made of: (first position, last position, text).

    Neighbouring short steps go together up to `size` tokens; longer ones are taken passage by passage.
    """
    first, last, texts, tokens = 0, 0, list[str](), 0
    for step in steps:
        if texts and tokens + step.tokens > size:
            yield first, last, "\n".join(texts)
            texts, tokens = [], 0
        if step.tokens > size:
            for start, end in passages(step.text, size):
                yield step.position, step.position, step.text[start:end]
            continue
        first = first if texts else step.position
        last, tokens = step.position, tokens + step.tokens
        texts.append(step.text)
    if texts:
        yield first, last, "\n".join(texts)


def source_of(step: Record) -> Source:
    """A step as it is condensed: recalled text is not to be learned."""
    skip = tuple((int(start), int(end)) for start, end in json.loads(step.body).get("recalled", ()))
    return Source(step.position, step.kind or "", step.actor, step.text, skip)


def learnable(source: Source) -> str:
    """A step's text for a condenser of the user's own: recalled text is left out, as ours leaves it out."""
    text, at = "", 0
    for start, end in source.skip:
        text, at = f"{text}{source.text[at:start]}{MARK if end > start else ''}", end
    return text + source.text[at:]
