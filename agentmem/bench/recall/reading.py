"""Files of labelled histories: which of three formats one is in, told by its content.

Knows the common format: one JSON history a line, as `agentmem.ingest` reads it, with its questions. LoCoMo's and
LongMemEval's own files are JSON arrays, each known to its own module.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from agentmem.bench.recall import locomo, longmemeval
from agentmem.bench.recall.histories import History, Question, Step, cut, places
from agentmem.errors import InvalidInputError, NotFoundError
from agentmem.types import Kind

Format = Literal["history", "LoCoMo", "LongMemEval"]
Half = Literal["all", "even", "odd"]
One = TypeVar("One")
SUFFIXES = (".gz", ".jsonl", ".json")
GIVE = "give histories as JSON lines, LoCoMo's locomo10.json or LongMemEval's longmemeval_*.json"


class Dataset(NamedTuple):
    name: str
    format: Format
    histories: Sequence[History]


def load(path: str | Path, half: Half = "all", most: int = 0) -> Dataset:
    """The histories of a file, plain or gzipped: those of even or odd index alone, and at most so many (0: all).

    Raises NotFoundError without the file, InvalidInputError saying what it is instead and what to give.
    """
    path = Path(path)
    text = _text(path)
    if text.lstrip()[:1] != "[":
        return Dataset(name_of(path), "history", [_history(path, *line) for line in choose(_lines(text), half, most)])
    items = _array(path, text)
    if locomo.recognise(items):
        return Dataset(name_of(path), "LoCoMo", [locomo.history(item) for item in choose(items, half, most)])
    if longmemeval.recognise(items):
        told = [item for item in items if not longmemeval.abstains(item)]
        return Dataset(name_of(path), "LongMemEval", [longmemeval.history(one) for one in choose(told, half, most)])
    raise InvalidInputError(f"{path} is a JSON array of something else; {GIVE}")


def choose(items: Sequence[One], half: Half, most: int) -> Sequence[One]:
    """The items of even or odd index, or all; of these the first so many."""
    return {"all": items, "even": items[::2], "odd": items[1::2]}[half][: most or None]


def name_of(path: Path) -> str:
    name = path.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}; check the path") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path} is no UTF-8 text; {GIVE}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInputError(f"{path} cannot be read ({error}); {GIVE}") from error


def _lines(text: str) -> list[tuple[int, str]]:
    """(number, line) of each line that is not blank. A line ends at LF alone."""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _array(path: Path, text: str) -> list[Any]:
    try:
        items: list[Any] = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{path} begins like a JSON array and is none ({error}); get a whole copy") from error
    return items


def _history(path: Path, number: int, line: str) -> History:
    try:
        return history_of(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        said = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise InvalidInputError(
            f"{path}, line {number}, is no history of steps and questions: {said}; {GIVE}"
        ) from error


def history_of(value: Mapping[str, Any]) -> History:
    """One line of the common format."""
    steps = [_step(step) for step in value["steps"]]
    return History(str(value["id"]), steps, list(_questions(steps, value["questions"])))


def _step(step: Mapping[str, Any]) -> Step:
    session = "" if step["session"] is None else str(step["session"])
    kind: Kind = step.get("kind") or "message"
    return Step(str(step["id"]), step["text"], kind, step.get("actor"), step.get("time"), session)


def _questions(steps: Sequence[Step], questions: Sequence[Mapping[str, Any]]) -> Iterator[Question]:
    for question in questions:
        if labels := question["evidence_step_ids"]:
            upto = cut(steps, question.get("asked_at"))
            names = str(question["id"]), question["text"], str(question["answer"]), str(question.get("type", ""))
            yield Question(*names, places(steps, [str(label) for label in labels]), upto)
