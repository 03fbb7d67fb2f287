"""The checkpoints that come with the package: a few MB each, made by the command that they carry.

Knows where they are. Knows nothing of what is in them: `TokenModel.load(path("recall"))`.
"""

from __future__ import annotations

from pathlib import Path

from agentmem.errors import NotFoundError

HERE = Path(__file__).parent


def path(name: str) -> Path:
    """The file of a checkpoint. Raises NotFoundError where it is not there, naming those that are."""
    file = HERE / f"{name}.safetensors"
    if not file.is_file():
        there = ", ".join(sorted(each.stem for each in HERE.glob("*.safetensors"))) or "none"
        remedy = (
            "train one with `agentmem train neural recall` or `text` and load DIR/model.safetensors of its --out DIR"
        )
        raise NotFoundError(f"no checkpoint {name!r} at {file}; there: {there}; name one of these, or {remedy}")
    return file
