"""agentmem.neural as a package: its table of contents, and what it says where torch is absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentmem.errors import as_installed

EXAMPLE = Path(__file__).parent.parent / "examples" / "infinite_context.py"
LINE = as_installed("the neural memory needs torch: pip install 'agentmem-crystal[policy]'")


def without_torch(code: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules['torch'] = None; {code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_without_torch_it_says_the_line_that_installs_it() -> None:
    assert f"MissingExtraError: {LINE}" in without_torch("import agentmem.neural").stderr


@pytest.mark.parametrize("words", [("bench", "neural", "lm", "a.txt"), ("train", "neural", "recall", "--out", "run")])
def test_commands_that_need_torch_say_that_line_alone(words: tuple[str, ...]) -> None:
    run = without_torch(f"from agentmem.cli import app; app({list(words)!r})")
    assert (run.returncode, run.stderr) == (1, f"error: {LINE}\n")


def test_the_example_says_that_line_alone() -> None:
    run = without_torch(f"import runpy; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')")
    assert (run.returncode, run.stderr) == (1, f"{LINE}\n")


@pytest.mark.parametrize("words", [("recall", "--tokenz", "5"), ("lm", "--help"), ("nonsense",)])
def test_arguments_of_measurements_are_read_before_torch_is_loaded(words: tuple[str, ...]) -> None:
    code = f"from agentmem.cli import app; app(['bench', 'neural', *{words!r}])"
    run = without_torch(code)
    assert (run.returncode, LINE in run.stderr) == (0 if "--help" in words else 2, False)


def test_every_name_in_the_table_of_contents_exists() -> None:
    import agentmem.neural as neural

    assert [name for name in neural.__all__ if getattr(neural, name, None) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'Transformer'; it has .*InfiniteMemoryTransformer"):
        neural.Transformer  # noqa: B018
