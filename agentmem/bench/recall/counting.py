"""Which token counter a measurement is in: tiktoken's cl100k_base where it is installed and its table is on this disk.

tiktoken fetches a table that it does not find, so its cache is looked at first: nothing here reaches for the network.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from agentmem.tokens import count
from agentmem.types import CountTokens

TABLE = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"


class Counter(NamedTuple):
    name: str
    count: CountTokens


def best() -> Counter:
    """cl100k_base itself, or agentmem's own upper estimate of it."""
    if find_spec("tiktoken") is None or not _cached().is_file():
        return Counter("agentmem's own (an upper estimate of cl100k_base)", count)
    encoding = import_module("tiktoken").get_encoding("cl100k_base")
    return Counter("tiktoken cl100k_base", lambda text: len(encoding.encode_ordinary(text)))


def _cached() -> Path:
    """Where tiktoken keeps the table: named by the digest of its address."""
    places = (os.environ.get(name) for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"))
    folder = next((place for place in places if place is not None), Path(tempfile.gettempdir()) / "data-gym-cache")
    return Path(folder) / hashlib.sha1(TABLE.encode(), usedforsecurity=False).hexdigest()
