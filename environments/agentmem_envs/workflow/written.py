"""A definition as a YAML file has it, read within limits: its values, none of them checked, and no key twice.

Knows YAML and files; knows no workflow.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentmem.errors import InvalidInputError, MissingExtraError

LARGEST = 2**20  # bytes of a file; characters of all its texts
MOST = 100_000  # values of a file
UNREADABLE = (ValueError, LookupError, AttributeError, OverflowError)  # what PyYAML raises for such as !!int x


def read(path: Path) -> Any:
    """What a file holds. Raises InvalidInputError that names it and what to give instead."""
    try:
        import yaml
    except ImportError:
        raise MissingExtraError("reading a workflow needs PyYAML: pip install pyyaml") from None
    text, file = _text(path), f"definition={str(path)!r}"
    try:
        loader = yaml.SafeLoader(text)  # CSafeLoader is faster, and says less exactly where a mistake is
        node = loader.get_single_node()
        twice = list(_twice(node))  # before what << merges is put among a mapping's own keys
        written = None if node is None else loader.construct_document(node)
    except RecursionError:
        raise InvalidInputError(f"{file}: lists within lists too deep; write it flatter") from None
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    except UNREADABLE as error:
        raise InvalidInputError(
            f"{file}: a date, a number or what has !! cannot be read ({error!r}); put it in quotes"
        ) from None
    if twice:
        raise InvalidInputError(f"{file}: {'; '.join(twice[:10])}; leave one out")
    if _large(written):
        raise InvalidInputError(
            f"{file}: more than {MOST:,} values, or {LARGEST:,} characters in all, with what *aliases repeat; leave "
            "out what it can do without, and give least and most in place of many values"
        )
    return written


def _text(path: Path) -> str:
    file = f"definition={str(path)!r}"
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST + 1)
            size = max(len(data), os.fstat(opened.fileno()).st_size)
        text = data.decode() if len(data) <= LARGEST else ""
    except OSError as error:
        raise InvalidInputError(f"{file}: {error.strerror}; give a YAML file or a dict") from None
    except ValueError as error:  # other bytes, or a NUL in the path
        raise InvalidInputError(f"{file}: no text: {error}; give a YAML file in UTF-8") from None
    if len(data) > LARGEST:
        raise InvalidInputError(
            f"{file}: {size:,} bytes, and a definition has {LARGEST:,} at most; leave out what it can do without, and "
            "give least and most in place of many values"
        )
    return text


def values(written: object) -> Iterator[object]:
    """Every value in a value, as often as it is named."""
    waiting = [written]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, Mapping | list):
            waiting += value.values() if isinstance(value, Mapping) else value


def _large(written: object) -> bool:
    left = LARGEST
    for number, value in enumerate(values(written)):
        left -= len(value) if isinstance(value, str) else 0
        if number >= MOST or left < 0:
            return True
    return False


def _twice(node: Any) -> Iterator[str]:
    """The keys that stand twice in a mapping of YAML, of which the last would win unseen, with their lines."""
    waiting, done = [node], set[int]()
    while waiting:
        node = waiting.pop()
        if node is None or node.id == "scalar" or id(node) in done:
            continue
        done.add(id(node))
        if node.id == "mapping":
            yield from _again([key for key, _ in node.value if key.id == "scalar"])
        waiting += [part for pair in node.value for part in pair] if node.id == "mapping" else node.value


def _again(keys: Sequence[Any]) -> Iterator[str]:
    lines: dict[tuple[str, str], int] = {}
    for key in keys:
        named, line = (key.tag, key.value), key.start_mark.line + 1
        if named in lines and key.value != "<<":  # several mappings may be merged
            yield f"{key.value!r} on line {line} stands in the same mapping on line {lines[named]}"
        lines.setdefault(named, line)
