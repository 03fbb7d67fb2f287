"""docs/promises.md names tests and drills that there are; and nothing reads data by running it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from torture.drills import DRILLS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| P")]
SOURCES = [*(ROOT / "agentmem").rglob("*.py"), *(ROOT / "environments").rglob("*.py")]
BANNED = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "eval", "exec", "__import__"}
CALLS = {
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "torch.load",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
}
SQL = re.compile(
    r"\b(SELECT|INSERT|DELETE FROM|UPDATE \w+ SET|REPLACE INTO|CREATE|DROP|ALTER TABLE|PRAGMA|ATTACH|WHERE|ORDER BY)\b"
)
PUT_IN = {  # of the store's own, each with what it can be; no value of a caller
    "commit.py": {"'OFF' if paths.private else 'NORMAL'", "'OFF' if self.files.private else 'NORMAL'"},
    "copies.py": {"value(connection, 'PRAGMA page_size')"},  # a number
    "log.py": {"where"},  # one of two constants
    "tolerant.py": {
        "key",
        "columns",
        "table",
        "by",
        "sql",
    },  # constants, of who calls it, put together
    "schema.py": {"pragma", "table", "cipher"},  # of the constants above, of SEALED, and hexadecimal digits
    "upkeep.py": {"table"},  # "names" or "namespaces"
}


def test_every_promise_names_a_drill_or_a_test_that_exists() -> None:
    tests = "\n".join(
        file.read_text() for part in ("tests", "agentmem/testing") for file in (ROOT / part).rglob("*.py")
    )
    assert [row.split()[1] for row in ROWS] == [f"P{n}" for n in range(1, 19)]
    for row in ROWS:
        tried = row.rsplit("|", 2)[1]
        named = re.findall(r"`(test_\w+)`", tried)
        drills = re.findall(r"\*([a-z ]+)\*", tried)
        assert named or drills, row
        assert [name for name in named if f"def {name}(" not in tests] == []
        assert set(drills) <= {drill.name for drill in DRILLS}


THREATS = [line for line in (ROOT / "docs" / "threats.md").read_text().splitlines() if line.startswith("| T")]


def test_every_threat_names_a_control_and_a_drill_or_a_test_that_exists() -> None:
    tests = "\n".join(
        file.read_text() for part in ("tests", "agentmem/testing") for file in (ROOT / part).rglob("*.py")
    )
    drills = {drill.name: drill for drill in DRILLS}
    assert [row.split()[1] for row in THREATS] == [f"T{n}" for n in range(1, 27)]
    for row in THREATS:
        _, _, threat, control, tried, often, _ = row.split("|")
        named, drilled = re.findall(r"`(test_\w+)`", tried), re.findall(r"\*([a-z ]+)\*", tried)
        assert threat.strip() != "", row
        assert control.strip() != "", row
        assert named or drilled, row
        assert [name for name in named if f"def {name}(" not in tests] == []
        assert set(drilled) <= set(drills)
        counted = {int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*(?= [a-z])|(?<=among )\d[\d,]*", often)}
        wanted = {drill.wanted for drill in DRILLS if drill.name in drilled}
        assert not drilled or counted & wanted, row


def test_every_drill_says_the_promises_that_name_it() -> None:
    for drill in DRILLS:
        naming = {row.split()[1] for row in ROWS if f"*{drill.name}*" in row}
        assert naming == set(drill.proves.split()), drill.name


def dotted(node: ast.AST) -> str:
    """A name as it is written, such as `os.system`; nothing of what is no name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@cache
def nodes() -> list[tuple[Path, ast.AST]]:
    sorts = ast.Import | ast.ImportFrom | ast.Call | ast.JoinedStr | ast.BinOp
    return [
        (file, node) for file in SOURCES for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, sorts)
    ]


def test_nothing_reads_data_by_running_it() -> None:
    found = []
    for file, node in nodes():
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Call):
            shell = any(one.arg == "shell" and ast.unparse(one.value) != "False" for one in node.keywords)
            names = {dotted(node.func), *(["eval"] if shell else [])}
        else:
            continue
        found += [f"{file.name}:{node.lineno} {name}" for name in names & (BANNED | CALLS)]
    assert found == []


def put_together(node: ast.AST) -> list[str]:
    """What is put into a text of SQL, as source; capitals are constants of a module."""
    if isinstance(node, ast.JoinedStr):
        parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        both = (node.left, node.right)
        texts = [part for part in both if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        parts = [part for part in both if texts and part not in texts]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        parts = [*node.args, *(one.value for one in node.keywords)]
    else:
        return []
    said = " ".join(one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str))
    return [source for source in map(ast.unparse, parts) if SQL.search(said) and not source.isupper()]


def test_no_value_of_a_caller_is_put_into_sql() -> None:
    store = [(file, node) for file, node in nodes() if file.parent.name == "store"]
    found = {f"{file.name}: {part}" for file, node in store for part in put_together(node)}
    assert found == {f"{file}: {part}" for file, parts in PUT_IN.items() for part in parts}
    calls = [
        (file, node) for file, node in nodes() if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    places = {
        file.parent.name
        for file, node in calls
        if node.func.attr in ("execute", "executemany")
        if "bench" not in file.parts
    }  # type: ignore
    assert places == {"store"}


@pytest.mark.parametrize(
    "source",
    [
        "f\"SELECT * FROM log WHERE text = '{text}'\"",
        "'SELECT * FROM log WHERE text = ' + text",
        "'DELETE FROM log WHERE text = %s' % text",
        "'SELECT {} FROM log'.format(text)",
    ],
)
def test_such_sql_would_be_found(source: str) -> None:
    assert "text" in put_together(ast.parse(source, mode="eval").body)


def test_arrays_and_tensors_are_read_without_their_code() -> None:
    for file in SOURCES:
        text = file.read_text()
        assert "torch.load(" not in text, file
        assert "allow_pickle=True" not in text, file
