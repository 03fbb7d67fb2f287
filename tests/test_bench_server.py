"""`agentmem bench server`: it measures what it says, whatever the figures are."""

import json

import pytest
from typer.testing import CliRunner

from agentmem.bench.server import markdown
from agentmem.cli import app


@pytest.mark.slow
def test_it_prints_a_row_for_log_and_one_for_recall() -> None:
    done = CliRunner().invoke(app, ["bench", "server", "--requests", "20", "--clients", "2", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["what"] for row in rows] == ["log", "recall"]
    for row in rows:
        assert min(row["library_ms"], row["server_ms"], row["many_per_s"]) > 0
        assert min(row["library_cpu_ms"], row["server_cpu_ms"]) >= 0
    assert markdown(rows, 2).count("\n") == 4
