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


def nearest(
    codes: Tensor, born: Tensor, query: Tensor, positions: Tensor, settings: CrystalSettings, same: float
) -> Tensor | None:
    """Atoms [B, m], ascending, that hold a slot near to a query [B, h, T, cue_bits] at positions [T].

    codes: uint8 [B, n, code bytes]. born: [B, n], from which position on each may be read; those to come do not pass.
    same: cosine from which on two cues are the same. Where more slots than pass are of the query's own cue, the newest.
    None where all of them pass, or scoring all is as quick: for many queries at once, and off the processor.
    """
    if codes.shape[1] * settings.slots <= most_scored(query.shape[1] * query.shape[2]) or codes.device.type != "cpu":
        return None
    cues = codes.unflatten(-1, (settings.slots, -1))[..., : settings.cue_bits // 8].flatten(1, 2)
    wanted, within = pack(query.flatten(1, 2)), int((1 - same) / 2 * settings.cue_bits)
    streams = zip(cues, wanted, born, strict=True)
    rows = [_atoms(*each, positions, settings.slots, within) for each in streams]
    most = max(map(len, rows))
    # a stream with fewer gets more of its own, so that all have as many
    return torch.stack([_filled(row, most, codes.shape[1]) for row in rows])


def most_scored(queries: int) -> int:
    """Up to so many slots are all scored for so many queries: twice what may pass."""
    return queries * PER_QUERY * 2


def _atoms(cues: Tensor, wanted: Tensor, born: Tensor, positions: Tensor, slots: int, within: int) -> Tensor:
    """cues: [n x slots, bytes]. wanted: [h x T, bytes]. born: [n]. within: bits by which the same cue differs."""
    distance, early = hamming(cues, wanted), born > positions[:, None]
    if early.any():
        every = early.repeat_interleave(slots, 1).repeat(len(wanted) // len(early), 1)
        distance = distance.masked_fill(every, FAR)
    passed, chosen = distance.topk(PER_QUERY, -1, largest=False, sorted=False)
    crowded = (passed <= within).all(-1)
    if crowded.any():
        newest = born.repeat_interleave(slots).where(distance[crowded] <= within, -1)
        chosen[crowded] = newest.topk(PER_QUERY, -1, sorted=False).indices
    return (chosen.flatten() // slots).unique()


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
