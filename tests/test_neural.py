"""agentmem.neural as a package: its table of contents, and what it says where torch is absent."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("package", ["safetensors", "tokenizers"])
def test_what_else_the_extra_brings_is_told_by_name_where_it_is_absent(package: str) -> None:
    for module, what in (("agentmem.neural", "the neural memory"), ("agentmem.policy", "a trained policy")):
        code = f"import sys; sys.modules[{package!r}] = None; import {module}"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
        line = as_installed(f"{what} needs {package}: pip install 'agentmem-crystal[policy]'")
        assert f"MissingExtraError: {line}" in told


def commanded(*commands: str) -> list[tuple[int, str]]:
    """The exit code of each of several commands where torch is absent, in one process, and what it says beside."""
    code = f"""
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
import json
from agentmem.cli import app
ends = []
for command in {commands!r}:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
        try:
            app(command.split())
        except SystemExit as end:
            ends.append((end.code, said.getvalue()))
print(json.dumps(ends))
"""
    return [(code, said) for code, said in json.loads(without_torch(f"exec({code!r})").stdout)]


def test_commands_that_need_torch_say_that_line_alone() -> None:
    ends = commanded("bench neural lm a.txt", "train neural recall --out run")
    assert ends == [(1, f"error: {LINE}\n")] * 2


def test_the_example_says_that_line_alone() -> None:
    run = without_torch(f"import runpy; runpy.run_path({str(EXAMPLE)!r}, run_name='__main__')")
    assert (run.returncode, run.stderr) == (1, f"{LINE}\n")


def test_the_example_tells_one_fact_in_a_hundred_tokens_of_any_stream() -> None:
    run = subprocess.run([sys.executable, str(EXAMPLE), "--tokens", "1000"], capture_output=True, text=True)
    assert run.stdout.startswith("Read 1,000 tokens, 10 facts among them, 10 in the first 1,000 tokens.\n")


def test_the_example_ends_with_a_line_at_ctrl_c() -> None:
    code = f"""
import runpy, signal, sys
import agentmem.neural.transformer, agentmem.neural.tasks.key_value, rich.progress
signal.signal(signal.SIGVTALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_VIRTUAL, 1.0)
sys.argv = ["infinite_context.py", "--tokens", "10000000"]
runpy.run_path({str(EXAMPLE)!r}, run_name="__main__")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "stopped by Ctrl-C\n")


def test_arguments_of_measurements_are_read_before_torch_is_loaded() -> None:
    ends = commanded("bench neural recall --tokenz 5", "bench neural lm --help", "bench neural nonsense")
    assert [code for code, _ in ends] == [2, 0, 2]
    assert [said for _, said in ends if LINE in said] == []


def test_every_name_in_the_table_of_contents_exists() -> None:
    import agentmem.neural as neural

    assert [name for name in neural.__all__ if getattr(neural, name, None) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'Transformer'; it has .*InfiniteMemoryTransformer"):
        neural.Transformer  # noqa: B018
