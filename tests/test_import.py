"""Importing agentmem is cheap and loads nothing heavy; its `__init__` is a table of contents."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import agentmem

HEAVY = [
    "torch", "langchain", "langchain_core", "gymnasium", "networkx", "starlette", "uvicorn", "wordllama", "tokenizers",
    "faiss", "ray", "matplotlib", "asyncio",
]  # fmt: skip
INIT = Path(agentmem.__file__)


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("code", ["import agentmem", "import agentmem; agentmem.Memory", "import agentmem.cli"])
def test_import_loads_no_heavy_package(code: str) -> None:
    loaded = run(f"{code}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])")
    assert loaded.split() == []


@pytest.mark.parametrize(("code", "modules"), [("import agentmem", 50), ("import agentmem; agentmem.Memory", 600)])
def test_import_loads_few_modules(code: str, modules: int) -> None:
    counted = "import sys; before = set(sys.modules)\n" + code + "\nprint(len(set(sys.modules) - before))"
    assert int(run(counted)) < modules


def test_init_is_a_table_of_contents() -> None:
    tree = ast.parse(INIT.read_text())
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.If, ast.Assign, ast.FunctionDef)
    assert [node for node in tree.body if not isinstance(node, allowed)] == []
    assert {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} == {"__getattr__", "__dir__"}
    assert len(INIT.read_text().splitlines()) < 80


def test_every_name_in_the_table_of_contents_exists_and_is_typed_where_it_is_loaded_from() -> None:
    typed = {
        alias.name: str(node.module)
        for block in ast.parse(INIT.read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name: f"agentmem.{module}" for name, module in agentmem._HOME.items()} == typed
    for name in agentmem.__all__:
        assert getattr(agentmem, name) is not None
    assert dir(agentmem) == agentmem.__all__


def test_a_name_that_is_not_there_says_what_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Memroy'; it has .*Memory"):
        agentmem.Memroy  # noqa: B018
