"""Lines of other packages that the documentation shows do what it says, each package's in a process of its own.

They stand in blocks of "```python NAME"; where the package is not installed there is nothing to run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "coming_from.md"
BLOCK = re.compile(r"^```python (\w+)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
INDEX = "from agentmem.bench.peers.vectors import index\nINDEX = index()\n"
GIVEN = {
    "mem0": """
from pathlib import Path
from agentmem.bench.peers.others import mem0_alone, mem0_configuration
mem0_alone(Path("mem0"))
CONFIG = mem0_configuration(Path("mem0"))
""",
    "langmem": INDEX,
    "langgraph": INDEX,
    "langchain": """
from agentmem.testing import ScriptedChatModel
model = ScriptedChatModel(script=["In the cellar."])
""",
}
"""What the page says that a user of each package has."""


def test_every_package_of_the_page_is_given_what_its_users_have() -> None:
    assert {package for package, _, _ in BLOCK.findall(PAGE.read_text())} == set(GIVEN)


@pytest.mark.parametrize("package", GIVEN)
def test_the_lines_of_another_package_print_what_the_page_says(package: str, tmp_path: Path) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'agentmem-crystal[peers]'")
    blocks = [(code, said) for name, code, said in BLOCK.findall(PAGE.read_text()) if name == package]
    code = GIVEN[package] + "\n".join(code for code, _ in blocks)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(said for _, said in blocks)
