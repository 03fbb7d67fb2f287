"""The log of accesses: no way of reading goes past it, and where it cannot be written nothing is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import agentmem
from agentmem import Memory
from agentmem.errors import ReadOnlyError
from agentmem.graph import memory_graph
from agentmem.replay import replay

CODE = Path(agentmem.__file__).parent
Read = Callable[[Memory], object]


@pytest.fixture
def audited(file: Path) -> Iterator[Memory]:
    with Memory.open(file, encoder=None, access_log=True) as memory:
        with memory.episode(goal="find the key", id="e") as episode:
            episode.log("The red door is locked.", blobs={"map": b"north"})
            episode.recall("red door")
            episode.log("The brass key hangs in the kitchen.")
        memory.attach("notes", b"mine")
        yield memory.acting("ann")


def noted(memory: Memory, read: Read) -> list[str]:
    """What is noted of a read, as ann's."""
    before = len(memory.accesses())
    read(memory)
    return [one.what for one in memory.accesses()[before:] if one.who and "ann" in one.who]


def test_replays_and_graphs_are_noted_once_however_much_of_them_is_looked_at(audited: Memory) -> None:
    assert noted(audited, lambda memory: list(replay(memory, "e"))) == ["replay"]
    assert noted(audited, lambda memory: memory_graph(memory, episode="e")) == ["graph"]
    asked = [one.detail["asked"] for one in audited.accesses() if one.what == "replay"]
    list(replay(audited, "e"))
    assert audited.accesses()[-1].detail["asked"] == asked[0]  # the same episode
    assert noted(audited, lambda memory: replay(memory, None)) == ["replay"]


def test_exports_and_backups_are_noted_before_they_are_made(audited: Memory, tmp_path: Path) -> None:
    assert noted(audited, lambda memory: memory.export(tmp_path / "log.jsonl")) == ["export"]
    assert noted(audited, lambda memory: memory.backup(tmp_path / "copy.mem")) == ["backup"]
    with Memory.open(tmp_path / "copy.mem", encoder=None) as copy:
        assert copy.accesses()[-1].what == "backup"  # it knows of its own making


def test_the_page_and_the_page_in_a_file_are_noted(audited: Memory, tmp_path: Path) -> None:
    from agentmem.viewer.look import Look
    from agentmem.viewer.page import export
    from agentmem.viewer.questions import READS

    def asks(what: str, **asked: object) -> Read:
        model, answer = READS[what]
        return lambda memory: answer(Look(memory, "m"), model(**{"namespace": (), **asked}))

    assert noted(audited, asks("frame", episode="e", number=0)) == ["replay"]
    assert noted(audited, asks("steps", episode="e", start=0)) == ["replay"]
    assert noted(audited, asks("graph", episode="e", first=0, last=None)) == ["replay"]
    assert noted(audited, asks("search", cue="red door", budget=50)) == ["recall"]
    assert noted(audited, asks("latency")) == ["steps", "recall"]
    assert noted(audited, lambda memory: export(memory, tmp_path / "page.html"))[0] == "replay"
    assert "replay" in noted(audited, lambda memory: memory._repr_html_())


def test_what_other_namespaces_a_recall_reads_is_noted_in_them(file: Path) -> None:
    with Memory.open(file, encoder=None, access_log=True) as memory:
        for name in ("ann", "bob"):
            memory.scoped(name).episode(id="e").log(f"The harbour of {name} is closed.")
        both = memory.scoped("ann", read=[["bob"], ["nobody"]]).acting("desk")
        both.recall("harbour")
        both.episode(id="f").recall("harbour")
        next(both.rank("harbour"))
        assert [one.what for one in memory.scoped("bob").accesses()] == ["recall", "recall", "rank"]
        assert {one.who for one in memory.scoped("bob").accesses()} == {"desk"}
        assert ("nobody",) not in memory._core.store.namespaces()


def test_what_an_mcp_server_shows_is_noted(audited: Memory) -> None:
    pytest.importorskip("mcp_types")
    from agentmem.mcp.scope import Scope
    from agentmem.mcp.sessions import Session

    scope = Scope(audited, "ann")
    audited.episode(id="f", agent="ann").log("The boat is green.")
    step = next(audited.steps("f")).id
    assert noted(audited, lambda _: Session(scope).recall("boat", 50)) == ["recall"]
    assert noted(audited, lambda _: scope.behind(step)) == ["expand"]
    assert noted(audited, lambda _: scope.derived("f")) == ["steps"]


def test_items_of_a_langgraph_store_are_noted(audited: Memory) -> None:
    pytest.importorskip("langgraph")
    from agentmem.langchain import EpisodicStore

    store = EpisodicStore(audited)
    store.put(("users", "bob"), "food", {"text": "Bob eats no nuts."})
    items = store.scoped("users", "bob")
    assert items.accesses() == []
    store.get(("users", "bob"), "food")
    store.search(("users",))
    store.search(("users",), query="nuts")
    assert [(one.what, one.who) for one in items.accesses()][:3] == [("item", "ann"), ("items", "ann"), ("rank", "ann")]


def test_a_server_notes_each_read_as_its_tokens(audited: Memory) -> None:
    from agentmem.server.models import FramePage, StepPage
    from agentmem.server.operations import steps
    from agentmem.server.place import Place
    from agentmem.server.played import frames
    from agentmem.server.writers import Writers

    def place(memory: Memory) -> Place:
        return Place(memory.acting("token ann"), Writers())

    assert noted(audited, lambda memory: steps(place(memory), StepPage(), "e")) == ["steps"]
    assert noted(audited, lambda memory: frames(place(memory), FramePage(), "e")) == ["replay"]


READS: dict[str, Read] = {
    "recall": lambda memory: memory.recall("red door"),
    "rank": lambda memory: memory.rank("red door"),
    "steps": lambda memory: memory.steps(),
    "crystals": lambda memory: memory.crystals(),
    "attachment": lambda memory: memory.attachment("notes"),
    "replay": lambda memory: replay(memory, "e"),
    "graph": memory_graph,
    "export": lambda memory: memory.export("never.jsonl"),
    "backup": lambda memory: memory.backup("never.mem"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_nothing_is_read_where_it_cannot_be_noted(audited: Memory, read: Read, file: Path) -> None:
    with Memory.open(file, encoder=None, read_only=True) as memory:
        with pytest.raises(ReadOnlyError, match="log of accesses"):
            read(memory)
        assert memory.verify().ok  # what hands out no text still works
        assert memory.stats().steps == 2
        assert memory.accesses()
        assert [one.id for one in memory.episodes()] == ["e"]


def test_without_a_log_of_accesses_a_read_notes_nothing_and_read_only_reads(told: Memory, file: Path) -> None:
    with Memory.open(file, encoder=None, read_only=True) as memory:
        assert memory.recall("vault opens seven").text
        assert list(replay(memory, "house"))
        assert len(memory_graph(memory))
    changed = told._core.store.head(), list(told._core.store.notes())
    list(replay(told, "house"))
    memory_graph(told)
    assert (told._core.store.head(), list(told._core.store.notes())) == changed


def test_asking_where_nothing_is_puts_no_name_into_the_file(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a.mem", encoder=None, access_log=True) as memory:
        memory.scoped("ann").episode(id="run").log("The key is under the mat.")
        for name in ("bob", "cat"):
            assert not memory.scoped(name).recall("where is the key?", 100).hits
        assert memory._core.store.namespaces() == [("ann",)]
        ann = memory.scoped("ann")
        ann.recall("where is the key?", 100)
        assert [one.what for one in ann.accesses()] == ["recall"]
        memory.erase(namespace=("ann",))
        ann.recall("where is the key?", 100)
        assert ("ann",) not in memory._core.store.namespaces()


# ---- one way out -----------------------------------------------------------------------------------------------------

TEXTS = {"read", "read_what_is_there", "scan", "keyed", "blob", "attachment", "crystals"}
INSIDE = ("memory/", "store/", "transfer/", "ingest/", "bench/", "testing/")
UNNOTED = {
    "graph/entities.py": "noted by memory_graph, or by the replay that a page draws",
    "graph/filled.py": "the same",
    "graph/outline.py": "the same",
    "langchain/items.py": "tables that follow the log: the store over them notes who reads an item",
    "langchain/retriever.py": "what a recall found, which was noted",
    "server/writers.py": "which events there were, for what a writer has to know",
}


def test_outside_of_memory_texts_are_read_where_the_access_is_noted() -> None:
    there = {file.relative_to(CODE).as_posix(): file.read_text() for file in CODE.rglob("*.py")}
    found = {name for name, text in there.items() if not name.startswith(INSIDE) and _reads(text)}
    assert {name for name in found if "._accessed(" not in there[name]} == set(UNNOTED)


def test_outside_of_memory_a_recall_is_made_where_it_is_noted() -> None:
    there = {file.relative_to(CODE).as_posix(): file.read_text() for file in CODE.rglob("*.py")}
    making = ("import query_of, run\n", "Noted, explained", "Recaller(")
    found = {name for name, text in there.items() if not name.startswith(INSIDE) and any(one in text for one in making)}
    assert {name for name in found if "._accessed(" not in there[name]} == {"replay/recalled.py"}  # of frames, noted


def _reads(text: str) -> bool:
    """Whether a module asks a core, or its store, for texts."""
    if not re.search(rf"(store|core)\.({'|'.join(TEXTS)})\(", text):
        return False
    calls = (node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    mine = (one for one in calls if isinstance(one, ast.Attribute) and one.attr in TEXTS)
    return any(ast.unparse(one.value).endswith(("store", "core")) for one in mine)
