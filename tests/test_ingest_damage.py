"""Ingest of files in which any value may be anything: bad lines are told, and nothing else happens."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingested import DATA, empty

from agentmem.ingest import ingest

FORMAT_OF = {"claude": "claude", "codex": "codex", "conv": "chatgpt", "lang": "langchain", "open": "openai"}
NAMES = sorted(path.name for path in DATA.iterdir() if path.name.startswith(tuple(FORMAT_OF)))
ODD = [None, 0, -1.5, True, "", "x", "\ud800", [], [None], {}, {"type": "text"}, [[]], 1e300]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a value, but to itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*at, name)
        yield from places(one, (*at, name))


def damaged(value: Any, at: tuple[Any, ...], odd: Any, gone: bool) -> Any:
    changed = copy.deepcopy(value)
    there = changed
    for name in at[:-1]:
        there = there[name]
    if gone:
        del there[at[-1]]
    else:
        there[at[-1]] = odd
    return changed


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_stops_an_ingest_that_skips_what_is_bad(tmp_path: Path, name: str, data: st.DataObject) -> None:
    text = (DATA / name).read_text()
    value = [json.loads(line) for line in text.splitlines()] if name.endswith("l") else json.loads(text)
    for _ in range(data.draw(st.integers(1, 3))):
        if ways := list(places(value)):
            value = damaged(
                value, data.draw(st.sampled_from(ways)), data.draw(st.sampled_from(ODD)), data.draw(st.booleans())
            )
    written = "".join(json.dumps(one) + "\n" for one in value) if name.endswith("l") else json.dumps(value)
    (tmp_path / name).write_text(written)
    format = next(format for start, format in FORMAT_OF.items() if name.startswith(start))
    memory = empty()
    first = ingest(memory, tmp_path / name, format=format, skip_bad=True)
    end = memory.head().position
    again = ingest(memory, tmp_path / name, format=format, skip_bad=True)
    assert (again.steps, again.known, again.bad) == (0, first.steps + first.known, first.bad)
    assert memory.head().position == end
