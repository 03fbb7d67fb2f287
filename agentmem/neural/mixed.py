"""Multiplying in bfloat16, where a device has the choice. Knows devices; knows nothing of what is multiplied."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def is_quick(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16: a processor without takes several times as long as by float32."""
    if device.type == "cpu":
        capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not tell
        return any(has for name, has in capabilities.items() if name.endswith("bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def autocast(device: torch.device, enabled: bool) -> AbstractContextManager[object]:
    """Multiply in bfloat16 within it, or not even where it is within one that does. Devices without it stay as is."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
