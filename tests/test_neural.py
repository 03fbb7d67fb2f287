"""agentmem.neural as a package: its table of contents, and what it says where torch is absent."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_without_torch_it_says_the_line_that_installs_it() -> None:
    code = "import sys; sys.modules['torch'] = None; import agentmem.neural"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtraError: the neural memory needs torch: pip install 'agentmem-crystal[policy]'" in run.stderr


def test_every_name_in_the_table_of_contents_exists() -> None:
    import agentmem.neural as neural

    assert [name for name in neural.__all__ if getattr(neural, name, None) is None] == []
    with pytest.raises(AttributeError, match="no attribute 'Transformer'; it has .*InfiniteMemoryTransformer"):
        neural.Transformer  # noqa: B018
