"""What the tests of ingest share: fixtures in the shapes that programs write, and what a memory was told."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from agentmem import Memory
from agentmem.testing import FakeClock

DATA = Path(__file__).parent / "data" / "ingest"


class Said(NamedTuple):
    """A step in brief. to: the text of the step that it replies to."""

    kind: str
    actor: str | None
    text: str
    to: str | None = None


def empty() -> Memory:
    return Memory.open(":memory:", clock=FakeClock(), encoder=None)


def said(memory: Memory, episode: str | None = None) -> list[Said]:
    """The steps of a memory, or of an episode, in brief."""
    steps = list(memory.steps(episode))
    texts = {step.id: step.text for step in memory.steps()}
    return [Said(step.kind, step.actor, step.text, texts.get(step.reply_to or "")) for step in steps]


def lines(path: Path, *values: Any) -> Path:
    """A file of JSON lines; a str is a line as it is."""
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in values))
    return path


def copied(name: str, folder: Path, upto: int | None = None) -> Path:
    """A fixture, or its first lines, in a folder."""
    (folder / name).write_text("".join((DATA / name).read_text().splitlines(keepends=True)[:upto]))
    return folder / name
