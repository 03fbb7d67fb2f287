"""Where the table of cl100k_base is: tiktoken would download it, so it is read from a wheel that brings it along."""

from __future__ import annotations

import os
from importlib.metadata import files
from pathlib import Path

NAME = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # under which tiktoken keeps the table
WHEEL = "litellm"  # installed without its dependencies by `make setup`, and never imported


def folder() -> Path:
    """The folder to name to tiktoken; FileNotFoundError where there is none."""
    told = os.environ.get("TIKTOKEN_CACHE_DIR")
    if told and (Path(told) / NAME).is_file():
        return Path(told)
    for file in files(WHEEL) or []:
        if file.name == NAME:
            return Path(str(file.locate())).parent
    raise FileNotFoundError(f"{WHEEL} has no {NAME}; run make setup")
