"""The race of LangGraph's stores, with few items."""

from __future__ import annotations

import pytest

from agentmem.bench.stores import main


def test_every_store_is_measured_or_said_not_to_be_here(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--items", "100"])
    said = capsys.readouterr().out
    assert said.count("100 items") == 5
    parts = said.split("\n\n")
    assert all("put over another" in part or "not here" in part for part in parts)
    assert "search by words" in parts[0]


def test_one_store_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--items", "1", "--only", "InMemory"])
    assert "InMemoryStore, 100 items" in (said := capsys.readouterr().out)
    assert "Episodic" not in said
