"""Which packed atoms a query might want: those of least Hamming distance between cue bits.

Knows packed bits, never unpacks them. Knows nothing of scores: those are of the few that pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentmem.codes import bit_count
from agentmem.neural.quantise import pack
from agentmem.neural.settings import CrystalSettings

PER_QUERY = 256  # slots that pass, for each query
FAR = 2**15  # more bits than a cue has


def nearest(codes: Tensor, born: Tensor, query: Tensor, positions: Tensor, settings: CrystalSettings) -> Tensor | None:
    """Atoms [B, m], ascending, that hold a slot near to a query [B, h, T, cue_bits] at positions [T].

    codes: uint8 [B, n, code bytes]. born: [B, n], from which position on each may be read; those to come do not pass.
    None where all of them pass, or scoring all is as quick: for many queries at once, and off the processor.
    """
    number, queries = codes.shape[1] * settings.slots, query.shape[1] * query.shape[2]
    if queries * PER_QUERY * 2 >= number or codes.device.type != "cpu":
        return None
    cues = codes.unflatten(-1, (settings.slots, -1))[..., : settings.cue_bits // 8].flatten(1, 2)
    wanted, early = pack(query.flatten(1, 2)), born[:, None] > positions[:, None]
    rows = [_atoms(*each, settings.slots) for each in zip(cues, wanted, early, strict=True)]
    most = max(map(len, rows))
    # a stream with fewer gets more of its own, so that all have as many
    return torch.stack([_filled(row, most, codes.shape[1]) for row in rows])


def _atoms(cues: Tensor, wanted: Tensor, early: Tensor, slots: int) -> Tensor:
    """cues: [n x slots, bytes]. wanted: [h x T, bytes]. early: bool [T, n], where an atom is not born yet."""
    distance = hamming(cues, wanted)
    if early.any():
        every = early.repeat_interleave(slots, 1).repeat(len(wanted) // len(early), 1)
        distance = distance.masked_fill(every, FAR)
    passed = distance.topk(PER_QUERY, -1, largest=False, sorted=False).indices
    return (passed.flatten() // slots).unique()


def hamming(codes: Tensor, others: Tensor) -> Tensor:
    """Bits that differ between uint8 [N, bytes] and [Q, bytes], on the processor: int32 [Q, N]."""
    kind = np.uint64 if codes.shape[1] % 8 == 0 else np.uint8
    left: NDArray[Any] = np.ascontiguousarray(codes.numpy()).view(kind)
    right: NDArray[Any] = np.ascontiguousarray(others.numpy()).view(kind)
    total = sum(bit_count(right[:, None, i] ^ left[None, :, i]).astype(np.int32) for i in range(left.shape[1]))
    return torch.from_numpy(np.asarray(total))


def _filled(row: Tensor, most: int, number: int) -> Tensor:
    if len(row) == most:
        return row
    rest = torch.ones(number, dtype=torch.bool)
    rest[row] = False
    return torch.cat((row, rest.nonzero().flatten()[: most - len(row)])).sort().values
