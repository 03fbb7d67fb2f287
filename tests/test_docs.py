"""What the documentation shows is what happens: python blocks and examples are run, and their output compared."""

import contextlib
import io
import os
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """Blocks of a page share their names; a text block right after a python block is its output."""
    names: dict[str, object] = {}
    blocks = BLOCK.findall(page.read_text())
    with contextlib.chdir(tmp_path):
        for number, (language, body) in enumerate(blocks):
            if language != "python":
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(body, f"{page.name} block {number}", "exec"), names)
            expected = (
                blocks[number + 1][1] if blocks[number + 1 : number + 2] and blocks[number + 1][0] == "text" else ""
            )
            assert printed.getvalue() == expected, f"{page.name}, block {number}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_prints_what_its_docstring_says_within_a_minute(example: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    docstring = example.read_text().split('"""')[1]
    assert done.stdout == textwrap.dedent(docstring.split("Prints:\n\n")[1])
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_public_name_is_in_the_documentation() -> None:
    import agentmem

    said = "\n".join(page.read_text() for page in PAGES)
    assert [name for name in agentmem.__all__ if not re.search(rf"\b{name}\b", said)] == []
