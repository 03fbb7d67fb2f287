"""That what must not be remembered reaches no log, file, message or representation, by whatever way it is written."""

from __future__ import annotations

import ast
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from secrets_made import MASKED, SAID, TOKEN, bytes_of, secrets
from strategies import opened

import agentmem
from agentmem import Memory
from agentmem.errors import InvalidInputError, RefusedError
from agentmem.ingest import ingest
from agentmem.memory import EpisodeWriter, Recalled, log_together
from agentmem.records import brief

CODE = Path(agentmem.__file__).parent


# ---- one way in ------------------------------------------------------------------------------------------------------


def _calls(name: str) -> set[str]:
    """The modules in which something of this name is called."""
    texts = {file: file.read_text() for file in CODE.rglob("*.py")}
    trees = {file: ast.parse(text) for file, text in texts.items() if f"{name}(" in text}
    found = {
        file.relative_to(CODE).as_posix()
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    }
    return {module for module in found if module.split("/")[0] not in ("bench", "testing")}


def test_there_is_one_way_into_the_log_and_it_admits_what_is_written() -> None:
    assert _calls("open_store") == {
        "memory/memory.py",
        "memory/residual.py",
    }  # the latter read-only, to look into a copy
    assert _calls("SQLiteStore") == {
        "store/__init__.py",
        "store/sqlite.py",  # read-only, to check a copy
        "store/rebuild.py",  # records that were admitted before
        "store/repairing.py",
    }
    assert (
        "open_store(str(path), durability, read_only, settings, terms_of, admit, keys, passphrase)"
        in (CODE / "memory" / "memory.py").read_text()
    )
    source = (CODE / "store" / "sqlite.py").read_text()
    assert source.count("records = self.admitted(records)\n") == 1
    writing = ["append.py", "upkeep.py"]  # new rows, and rows that were admitted before
    assert sorted(file.name for file in CODE.rglob("*.py") if "INSERT_ROW" in file.read_text()) in (
        writing,
        writing[:1],
    )


Write = Callable[[Memory, Path], object]


def _episode(memory: Memory) -> Any:
    return memory.episode(id="e")


def _recalled(memory: Memory, folder: Path) -> None:
    episode = _episode(memory)
    log_together([(episode, Recalled(SAID, memory.recall(SAID))), (episode, {"text": SAID})])


def _imported(memory: Memory, folder: Path) -> None:
    lines = [
        {"type": "begin", "episode": "e", "goal": SAID},
        {"id": "1", "episode": "e", "text": SAID, "data": [SAID], "actor": SAID},
        {"type": "recall", "episode": "e", "text": SAID, "steps": [], "hits": [], "budget": 9, "as_of": None},
    ]
    (folder / "export.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ingest(memory, folder / "export.jsonl", format="export")
    ingest(memory, folder / "export.jsonl", format="export")


def _ingested(memory: Memory, folder: Path) -> None:
    told = {"messages": [{"role": "user", "content": SAID}, {"role": "assistant", "content": SAID}]}
    (folder / "chat.jsonl").write_text(json.dumps(told) + "\n")
    ingest(memory, folder / "chat.jsonl")
    (folder / "notes.md").write_text(f"# {SAID}\n\n{SAID}\n")
    ingest(memory, folder / "notes.md")


def _put(memory: Memory, folder: Path) -> None:
    from agentmem.langchain import EpisodicStore

    store = EpisodicStore(memory)
    store.put(("notes",), "push", {"text": SAID, "deep": {"list": [SAID]}})
    assert store.search(("notes",), query=SAID)[0].value == {"text": MASKED, "deep": {"list": [MASKED]}}
    with pytest.raises(RefusedError, match="the key holds a github token"):
        store.put(("notes",), TOKEN, {"text": "x"})


def _chatted(memory: Memory, folder: Path) -> None:
    from langchain_core.messages import AIMessage, HumanMessage

    from agentmem.langchain import EpisodicChatHistory, EpisodicRecorder

    call = {"name": "push", "args": {"with": TOKEN}, "id": "c1", "type": "tool_call"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = EpisodicChatHistory(memory, "s")
        history.add_messages([HumanMessage(SAID), AIMessage(SAID, tool_calls=[call])])
        assert history.messages[0].content == MASKED
    from uuid import uuid4

    recorder, run = EpisodicRecorder(memory), uuid4()
    recorder.on_chat_model_start({}, [[HumanMessage(SAID)]], run_id=run)
    recorder.on_tool_start({"name": "push"}, SAID, run_id=uuid4(), parent_run_id=run)


async def _asked(memory: Memory) -> None:
    from mcp import Client

    from agentmem.mcp import mcp_server

    async with Client(mcp_server(memory)) as client:
        await client.call_tool("log_event", {"text": SAID, "actor": SAID})
        await client.call_tool("recall", {"goal": SAID})


WAYS: dict[str, Write] = {
    "log": lambda memory, _: _episode(memory).log(SAID),
    "observe": lambda memory, _: _episode(memory).observe(SAID),
    "act": lambda memory, _: _episode(memory).act(
        SAID, data={"arguments": {"with": TOKEN, TOKEN: [SAID, {"a": SAID}]}}
    ),
    "say": lambda memory, _: _episode(memory).say(SAID, SAID),
    "blob name": lambda memory, _: _episode(memory).log(SAID, blobs={SAID: b"left alone"}),
    "log_many": lambda memory, _: _episode(memory).log_many([SAID, {"text": SAID, "data": SAID}]),
    "transition": lambda memory, _: _episode(memory).transition({"run": SAID}, {"saw": SAID}, 0.0, info={"why": SAID}),
    "goal and agent": lambda memory, _: memory.episode(goal=SAID, agent=SAID, id="e"),
    "cue": lambda memory, _: _episode(memory).recall(SAID),
    "together": _recalled,
    "import": _imported,
    "ingest": _ingested,
    "store": _put,
    "chat": _chatted,
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_writes_lets_a_secret_into_the_file(way: str, file: Path, tmp_path: Path) -> None:
    with opened(file) as memory:
        WAYS[way](memory, tmp_path)
        memory.crystallize()
        stored = "".join(record.text + record.body + (record.actor or "") for record in memory._core.store.scan())
        counts = {kind for space in memory._core.store.namespaces() for kind in memory.scoped(*space).stats().masked}
        during = bytes_of(file)
    assert "[github token]" in stored
    assert TOKEN not in stored
    assert counts == {"github_token"}
    for found in (during, bytes_of(file)):
        assert TOKEN.encode() not in found


async def test_a_model_that_logs_over_mcp_lets_no_secret_into_the_file(file: Path) -> None:
    with opened(file) as memory:
        await _asked(memory)
        assert [step.text for step in memory.steps()] == [MASKED]
    assert TOKEN.encode() not in bytes_of(file)


def test_a_request_over_http_lets_no_secret_into_the_file(file: Path) -> None:
    from starlette.testclient import TestClient

    from agentmem.server import Tokens, make_app, new_token

    tokens = file.with_name("tokens")
    sent = {"Authorization": f"Bearer {new_token(tokens, ())}"}
    with opened(file) as memory, TestClient(make_app(memory, Tokens(tokens)), base_url="http://127.0.0.1") as client:
        logged = client.post("/v1/episodes/e/steps", json={"steps": [{"text": SAID}]}, headers=sent)
        assert logged.status_code == 201, logged.text
        assert [step.text for step in memory.steps()] == [MASKED]
    assert TOKEN.encode() not in bytes_of(file)


# ---- 300 secrets -----------------------------------------------------------------------------------------------------


def test_none_of_300_secrets_is_in_files_logs_exceptions_or_representations(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made, shown = secrets(300, seed=3), list[str]()
    with caplog.at_level(logging.DEBUG), opened(file) as memory:
        for kind in sorted({kind for kind, _, _ in made}):
            own = [written for known, written, _ in made if known == kind]
            episode = memory.episode(goal=f"use {own[0]}", agent=own[1])
            for written in own:
                shown += [repr(episode.log_many(_steps(written))), *_refusals(episode, written)]
            shown += [repr(episode.info), repr(episode.recall(f"what of {own[0]}", budget=64))]
            episode.end()
        memory.crystallize()
        shown += [repr(memory.stats()), repr(memory.episodes()), repr(memory.crystals()), repr(memory.verify())]
        memory.export(tmp_path / "export.jsonl", derived=True)
        memory.backup(tmp_path / "copy.mem")
        files = bytes_of(file)
    files += bytes_of(file) + (tmp_path / "export.jsonl").read_bytes() + (tmp_path / "copy.mem").read_bytes()
    told = "\n".join((*shown, caplog.text, *(repr(vars(record)) for record in caplog.records)))
    assert [secret for _, _, secret in made if secret.encode() in files] == []
    assert [secret for _, _, secret in made if secret in told] == []


def _steps(written: str) -> list[dict[str, Any]]:
    return [{"text": f"a\n{written}\nb", "data": {"said": written}, "actor": written}]


def _refusals(episode: EpisodeWriter, written: str) -> list[str]:
    """What is said of values that cannot be logged."""
    return [
        _error(lambda: episode.log("x", kind=written)),  # type: ignore[arg-type]
        _error(lambda: episode.log("x", at=written)),
        _error(lambda: episode.log("x", trust=written)),  # type: ignore[arg-type]
        _error(lambda: episode.log("x", data={written: {1}})),
        _error(lambda: episode.log("x", data={written: float("nan")})),
    ]


def _error(work: Callable[[], object]) -> str:
    with pytest.raises(InvalidInputError) as caught:
        work()
    return f"{caught.value!r} {caught.value}"


def test_an_error_shows_a_value_without_its_secret() -> None:
    assert brief(SAID) == repr(MASKED)
    assert TOKEN[:20] not in brief("x" * 60 + " " + TOKEN)
