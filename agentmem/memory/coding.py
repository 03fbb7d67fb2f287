"""Binary codes of units: a few to each, for neighbouring steps together. Knows an encoder, and no store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentmem.codes import Coder
from agentmem.encode import CheckedEncoder
from agentmem.sources import chunks
from agentmem.types import Codes, Record


def codes_of(units: Sequence[tuple[str, Sequence[Record]]], encoder: CheckedEncoder, coder: Coder) -> list[Codes]:
    """units: (id, its steps)."""
    parts = [list(chunks(steps)) for _, steps in units]
    rows = coder.encode(np.array(encoder.encode([text for part in parts for _, _, text in part])))
    codes, at = [], 0
    for (unit, _), part in zip(units, parts, strict=True):
        first, last = (np.array([chunk[side] for chunk in part], np.int64) for side in (0, 1))
        codes.append(Codes(unit, first, last, rows[at : at + len(part)]))
        at += len(part)
    return codes
