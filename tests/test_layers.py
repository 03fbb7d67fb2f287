"""Reads every import and keeps the rows: a module imports only from rows above its own; files stay short."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "agentmem"
FILES = sorted(PACKAGE.rglob("*.py"))
ENVIRONMENTS = sorted((PACKAGE.parent / "environments" / "agentmem_envs").rglob("*.py"))
ROWS = [
    ["types", "errors", "remembered"],
    ["tokens", "words", "encode", "codes", "decay", "listening", "redact", "segment", "telemetry", "trust"],
    ["terms", "condense", "salience", "claims", "states"],
    ["index", "topics", "records", "sources", "crystallize", "recall"],
    ["store", "transfer"],
    ["memory"],
    ["answers", "rollout", "replay", "graph", "ingest"],
    ["langchain", "neural", "mcp", "server", "viewer"],
    ["policy"],
    ["bench", "testing"],
    ["cli"],
]
ROW = {part: number for number, row in enumerate(ROWS) for part in row}
INDEPENDENT = {"rollout", "replay", "graph", "langchain", "neural", "mcp", "server", "viewer"}
ONLY_IN = {
    "torch": {"neural", "policy", "bench", "testing"},
    "langchain": {"langchain", "bench", "testing"},
    "langchain_core": {"langchain", "bench", "testing"},
    "langgraph": {"langchain", "bench", "testing"},
    "networkx": {"graph", "bench", "testing"},
    "gymnasium": {"rollout", "policy", "bench", "testing"},
    "agentmem_envs": {"rollout", "bench", "testing", "cli"},
    "mcp": {"mcp"},
    "mcp_types": {"mcp"},
    "starlette": {"mcp", "server", "viewer"},
    "uvicorn": {"listening", "viewer"},
    "prometheus_client": {"server"},
    "matplotlib": {"graph", "viewer", "bench"},
    "apsw": {"store"},
    "cryptography": {"store"},
    "typer": {"cli"},
}
"""Packages that are imported in one place."""
DRAWS = {("viewer", "replay"), ("viewer", "graph"), ("server", "replay"), ("server", "graph")}
"""What is drawn, and told, of a row above."""
FOR_ENVIRONMENTS = {"agentmem", "agentmem_envs", "gymnasium", "numpy", "pydantic", "yaml", *sys.stdlib_module_names}


def part(module: str) -> str:
    """agentmem.store.sqlite -> store"""
    return module.split(".")[1] if "." in module else ""


def name_of(file: Path) -> str:
    inside = file.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(inside.parts[:-1] if inside.name == "__init__" else inside.parts)


@cache
def imports(file: Path) -> tuple[str, ...]:
    return tuple(_imports(file))


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(file, node)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if module == "agentmem")


def absolute(file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = file.relative_to(PACKAGE.parent).parts[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def edges() -> dict[str, set[str]]:
    """part -> the parts it imports, within agentmem."""
    found: dict[str, set[str]] = {}
    for file in FILES:
        here = part(name_of(file))
        there = {part(name) for name in imports(file) if name.startswith("agentmem.")}
        found.setdefault(here, set()).update(there - {here, "", "__version__"})
    return found


def test_files_have_fewer_than_400_lines() -> None:
    files = [*FILES, *ENVIRONMENTS, *PACKAGE.parent.glob("tests/**/*.py"), *PACKAGE.parent.glob("examples/*.py")]
    lengths = {str(file.relative_to(PACKAGE.parent)): len(file.read_text().splitlines()) for file in files}
    assert {file: length for file, length in lengths.items() if length >= 400} == {}


def test_every_module_has_a_row() -> None:
    assert {part(name_of(file)) for file in FILES} - {""} <= set(ROW)


def test_modules_import_only_from_rows_above() -> None:
    upward = [
        f"{here} imports {there}"
        for here, parts in edges().items()
        for there in parts
        if here and ROW[there] > ROW[here]
    ]  # fmt: skip
    assert upward == []


def test_within_a_row_imports_go_one_way() -> None:
    graph = edges()
    assert [cycle for start in graph if (cycle := find_cycle(graph, [start]))] == []


def find_cycle(graph: dict[str, set[str]], path: list[str]) -> list[str]:
    for there in sorted(graph.get(path[-1], ())):
        if there == path[0]:
            return [*path, there]
        if there not in path and ROW.get(there) == ROW.get(path[0]) and (cycle := find_cycle(graph, [*path, there])):
            return cycle
    return []


def test_adapters_do_not_know_each_other() -> None:
    graph = edges()
    known = {(here, there) for here in INDEPENDENT for there in graph.get(here, ()) if there in INDEPENDENT}
    assert known - DRAWS == set()


def test_heavy_packages_are_imported_in_one_place() -> None:
    misplaced = [
        f"{name_of(file)} imports {name}"
        for file in FILES
        for name in imports(file)
        if (top := name.split(".")[0]) in ONLY_IN and part(name_of(file)) not in ONLY_IN[top]
    ]
    assert misplaced == []


def test_environments_know_of_agentmem_only_its_errors() -> None:
    names = {(file.name, name) for file in ENVIRONMENTS for name in imports(file)}
    assert [each for each in names if each[1].split(".")[0] not in FOR_ENVIRONMENTS] == []
    assert {name for _, name in names if name.startswith("agentmem.")} <= {"agentmem.errors"}
