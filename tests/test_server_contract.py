"""The OpenAPI document is true: schemathesis asks every route what it allows, and what it does not, and checks answers.

Checks: no 500, statuses, types, headers and shapes as documented, what fits the schema accepted and what does not
refused, no route without its token, what was made is there.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from rest_server import FAST, serving

from agentmem.cli.options import namespace_of
from agentmem.server import new_token
from agentmem.server.openapi import document
from agentmem.server.operations import OPERATIONS


def asked(path: Path, *options: str) -> str:
    """What schemathesis says of a server of a new memory; it found nothing."""
    with serving(path, *FAST) as server:
        token = new_token(Path(f"{path}.tokens"), namespace_of("tested"))
        arguments = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", "all",
            "--seed", "1", "--generation-database", "none", "--header", f"Authorization: Bearer {token}", "--no-color",
        ]  # fmt: skip
        done = subprocess.run([*arguments, *options], capture_output=True, text=True, cwd=path.parent, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert " failed: " not in server.log.read_text()
    return done.stdout


def test_every_route_answers_as_the_document_says(tmp_path: Path) -> None:
    said = asked(tmp_path / "a.mem", "--phases", "fuzzing", "--max-examples", "1")
    assert "Operations:       26 selected / 26 total" in said
    assert "Tested: 26" in said


@pytest.mark.slow
def test_every_route_answers_as_the_document_says_asked_long_and_in_turn(tmp_path: Path) -> None:
    said = asked(tmp_path / "a.mem", "--phases", "coverage,fuzzing,stateful", "--max-examples", "100")
    assert "Tested: 26" in said


def test_the_document_has_every_route_and_only_health_is_open() -> None:
    made = document("1")
    there = {(method.upper(), path) for path, methods in made["paths"].items() for method in methods}
    assert {(one.method, one.path) for one in OPERATIONS} | {("GET", "/health"), ("GET", "/metrics")} == there
    own = {path: [one.get("security") for one in methods.values()] for path, methods in made["paths"].items()}
    assert [path for path, security in own.items() if security != [None] * len(security)] == ["/health"]
    assert made["security"] == [{"token": []}]
