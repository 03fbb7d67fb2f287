"""Metrics for TensorBoard, beside those in JSON. Knows lines of metrics; needs the package tensorboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.errors import MissingExtraError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

INSTALL = "pip install 'agentmem-crystal[tensorboard]'"


def writer() -> type[SummaryWriter]:
    """What writes event files. Raises MissingExtraError without tensorboard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError(f"event files need tensorboard: {INSTALL}") from error
    return SummaryWriter


def to_tensorboard(folder: str | Path, after: int = 0) -> Callable[[dict[str, Any]], None]:
    """A report that writes each number of a line of metrics as a scalar at its step into event files of a folder.

    after: the step from which training goes on; what the folder has of later ones is shown no more. Raises
    MissingExtraError without tensorboard.
    """
    board = writer()(str(folder), purge_step=after + 1 if after else None)

    def report(line: dict[str, Any]) -> None:
        for name, value in line.items():
            if name != "step":
                board.add_scalar(name, value, line["step"])
        board.flush()

    return report
