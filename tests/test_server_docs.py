"""The curl commands of docs/server.md, run against a server: they print what the page says."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rest_server import serving

from agentmem.server import new_token

PAGE = Path(__file__).parent.parent / "docs" / "server.md"
SHELL = re.compile(r"^```sh\n(?P<code>curl.*?)^```$\n\n```text\n(?P<said>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_commands_print_what_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "agent.mem"
    token = new_token(Path(f"{path}.tokens"), ())
    with serving(path) as server:
        found = list(SHELL.finditer(PAGE.read_text()))
        for match in found:
            code = match["code"].replace("http://127.0.0.1:8766", server.url)
            done = subprocess.run(
                ["bash", "-c", code], capture_output=True, text=True, env={**os.environ, "TOKEN": token}, check=True
            )
            assert done.stdout.rstrip("\n") == match["said"].rstrip("\n")
    assert len(found) == 2
