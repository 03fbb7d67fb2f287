"""The race of LangGraph's stores, with few items."""

from __future__ import annotations

import sys

import pytest

from agentmem.bench.stores import STORES, main


@pytest.mark.parametrize("name", ["EpisodicStore, process", "InMemoryStore"])
@pytest.mark.slow
def test_a_store_is_measured_in_all_it_does(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert name in STORES
    main(["--items", "1", "--only", name])
    said = capsys.readouterr().out
    assert f"{name}, 100 items" in said
    assert [line.split("  ")[1] for line in said.splitlines() if line.startswith("  ")] == [
        "put, in batches", "put", "get", "first search by words", "search by words", "by words and filter", "by filter",
        "newest ten", "put over another", "delete", "bytes an item", "by words over 10",
    ]  # fmt: skip


def test_a_store_that_is_not_here_is_said_not_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "langgraph.store.sqlite", None)
    main(["--items", "1", "--only", "SqliteStore, no"])
    assert "not here: import of langgraph.store.sqlite halted" in capsys.readouterr().out
