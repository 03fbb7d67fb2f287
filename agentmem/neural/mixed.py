"""Multiplying in bfloat16, where a device has the choice. Knows devices; knows nothing of what is multiplied."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[object]:
    """Multiply in bfloat16 within it, or not even where it is within one that does. Devices without it stay as is."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
