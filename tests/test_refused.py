"""What the drill of bad inputs found, each by itself: refused shortly, by an error of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition, PutOp, SearchOp
from pydantic import ValidationError
from secrets_made import TOKEN
from strategies import opened
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import AgentMemError, DamagedError, InvalidInputError, TooLargeError
from agentmem.graph import memory_graph
from agentmem.ingest import ingest
from agentmem.langchain import EpisodicStore, memory_tools
from agentmem.mcp import arguments, mcp_server
from agentmem.mcp.arguments import checked
from agentmem.records import brief
from agentmem.rollout import Again
from agentmem.server import Tokens, make_app, models
from agentmem.server.problems import problem_of
from agentmem.viewer import Look, export

CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
DEEP: Any = 1
for _ in range(50_000):
    DEEP = {"a": DEEP}


def test_any_value_is_shown_shortly() -> None:
    texts = ["x" * (64 << 20), b"x" * (16 << 20), {"k" * 10_000: 1}]
    for value in (10**5000, CIRCLE, DEEP, [0] * 5_000_000, *texts):
        assert len(brief(value)) <= 80


@pytest.mark.parametrize(
    "ask",
    [
        lambda memory: memory.recall("x", marks="yes"),
        lambda memory: memory.recall("x", count_tokens=np.zeros((2, 3))),
        lambda memory: memory.recall("x", layers=3),
        lambda memory: memory.recall("x" * 1_000_001),
        lambda memory: memory.pin(np.array(None)),
        lambda memory: memory.export("out", derived="yes"),
        lambda memory: memory.export("x" * 300),
        lambda memory: memory.scoped(*["a"] * 101),
        lambda memory: memory.forget(trust=np.array(["web", "tool"])),
        lambda memory: memory.episode(goal="x" * (17 << 20)),
        lambda memory: memory.episode(id="e").log_many([{None: 1, "a": 2}]),
        lambda memory: memory.episode(id="e").log("x", at=np.float64(0)),
        lambda memory: memory.redaction({1: 2}),
        lambda memory: memory.retain("[" * 20_000),
        lambda memory: memory.retain([{"k" * 20_000: 1}] * 100),
        lambda memory: memory.confirm({f"k{n}": n for n in range(20_000)}),
        lambda memory: ingest(memory, "x", format=["history"]),
        lambda memory: ingest(memory, "x" * 300),
        lambda memory: ingest(memory, "x", skip_bad={}),
        lambda memory: memory_graph(memory, around="x" * 1_001),
        lambda memory: Memory.open("x", retain=np.array(["keep", "x"])),
        lambda memory: Memory.open("x", horizon=10**5000),
        lambda memory: Memory.open("x", key_file="x" * 5_000),
        lambda memory: EpisodicStore(memory).batch([SearchOp(("a",), filter=DEEP)]),
        lambda memory: EpisodicStore(memory).batch([SearchOp(("a",), filter="x")]),  # type: ignore[arg-type]
        lambda memory: EpisodicStore(memory).batch([SearchOp(("a",), limit=2**64)]),
        lambda memory: EpisodicStore(memory).batch([PutOp(("a",), "k", {}, index=[{}])]),  # type: ignore[list-item]
        lambda memory: EpisodicStore(memory).batch([PutOp(("a",), "k", {}, ttl=10**400)]),
    ],
)
def test_it_is_refused_and_nothing_is_written(memory: Memory, ask: Callable[[Memory], Any]) -> None:
    memory.episode(id="e")
    before = memory.head()
    with pytest.raises(AgentMemError) as raised:
        ask(memory)
    assert memory.head() == before
    assert len(str(raised.value)) < 1_000


def test_labels_that_are_none_are_refused_as_langgraph_does(memory: Memory) -> None:
    with pytest.raises(ValueError, match="label|namespace"):
        EpisodicStore(memory).batch([ListNamespacesOp([MatchCondition("prefix", 3.5)])])  # type: ignore[arg-type]


def test_a_model_is_told_of_arguments_of_another_kind(memory: Memory) -> None:
    (tool,) = memory_tools(memory, ["recall"])
    assert tool.invoke({"query": [1]}).startswith("wrong arguments: query: ")


def test_a_secret_in_place_of_a_number_is_not_shown(memory: Memory) -> None:
    with pytest.raises(InvalidInputError) as over_mcp:
        checked(arguments.Recall, {"goal": "the door", "budget_tokens": TOKEN})
    with pytest.raises(ValidationError) as over_http:
        models.Recall.model_validate({"cue": "the door", "budget": TOKEN})
    (tool,) = memory_tools(memory, ["expand"])
    told = (
        str(over_mcp.value),
        bytes(problem_of(over_http.value).body).decode(),
        tool.invoke({"id": "s00000000001", "start": TOKEN}),
        CliRunner()
        .invoke(app, ["train", "neural", "recall", "--out", "x", "--seconds", TOKEN], env={"COLUMNS": "1000"})
        .stderr,
    )
    for said in told:
        assert "not '[github token]'" in said
        assert TOKEN not in said


def test_a_text_over_its_limit_is_refused_before_it_is_read(memory: Memory) -> None:
    with pytest.raises(TooLargeError, match="a text of 67,108,865 characters, and more bytes, is over the limit"):
        memory.episode(id="e").log("x" * ((64 << 20) + 1))


def test_counters_that_are_no_numbers_are_damage_and_do_not_reach_the_anchor(tmp_path: Path) -> None:
    with opened(tmp_path / "a.mem") as memory:
        memory.attach("state", b"x")
    anchor = (tmp_path / "a.mem-anchor").read_bytes()
    with sqlite3.connect(tmp_path / "a.mem") as file:
        file.execute("UPDATE counters SET value='{\"lc\": 1}'")
    file.close()
    with pytest.raises(DamagedError):
        opened(tmp_path / "a.mem")
    assert (tmp_path / "a.mem-anchor").read_bytes() == anchor


@pytest.mark.parametrize("file", ["/dev/zero", "/", "no such file"])
def test_a_command_reads_no_file_that_never_ends(tmp_path: Path, file: str) -> None:
    opened(tmp_path / "a.mem").close()
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "a.mem"), "--certificate", file])
    assert done.exit_code == 1
    assert "is no file; give the path of one" in " ".join(done.output.split())


def test_an_export_that_cannot_be_unpacked_is_told_after_an_erasure(tmp_path: Path) -> None:
    (tmp_path / "out.gz").write_bytes(b"\x1f\x8b no gzip")
    with opened(tmp_path / "a.mem") as memory:
        memory.episode(id="e").log("Ann waits.", subjects=["ann"])
        report = memory.erase(subject="ann", scan=[tmp_path / "out.gz"])
    assert any("cannot be unpacked, so it was not looked into" in place for place in report.residue)


def test_flags_are_flags(memory: Memory) -> None:
    with pytest.raises(InvalidInputError, match="dry_run 'yes' must be True or False"):
        ingest(memory, "x", dry_run="yes")  # type: ignore[arg-type]


def test_the_path_of_a_memory_is_told_from_a_memory_wherever_one_is_given(tmp_path: Path) -> None:
    given: Any = "m.mem"
    for use in (
        lambda: ingest(given, "history.jsonl"),
        lambda: memory_graph(given),
        lambda: export(given, tmp_path / "page.html"),
        lambda: Look(given, "m.mem"),
        lambda: Again(given),
        lambda: mcp_server(given),
        lambda: make_app(given, Tokens(tmp_path / "tokens.json")),
    ):
        with pytest.raises(InvalidInputError, match=r"^memory 'm.mem' is no Memory; open one: Memory.open\(path\)$"):
            use()
    assert not list(tmp_path.iterdir())
