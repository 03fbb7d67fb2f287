"""What several namespaces of one file hold together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agentmem.types import CrystallizeReport, Layer, LayerReport, Stats


def add_stats(parts: Sequence[Stats]) -> Stats:
    """The sum over namespaces, at least one; bytes are of the file already."""
    layers = {layer: _add_layers([part.layers[layer] for part in parts]) for layer in Layer}
    sums = {name: sum(getattr(part, name) for part in parts) for name in ("steps", "episodes", "tokens", "uncoded")}
    masked = dict(sum((Counter(part.masked) for part in parts), Counter()))
    return parts[0].model_copy(
        update={**sums, "layers": layers, "masked": masked, "watermark": max(part.watermark for part in parts)}
    )


def add_reports(parts: Sequence[CrystallizeReport]) -> CrystallizeReport:
    """The sum over namespaces, at least one."""
    return CrystallizeReport(
        layers={layer: _add_layers([part.layers[layer] for part in parts]) for layer in Layer},
        retired=sum(part.retired for part in parts),
        steps=sum(part.steps for part in parts),
        watermark=max(part.watermark for part in parts),
        seconds=sum(part.seconds for part in parts),
    )


def _add_layers(parts: Sequence[LayerReport]) -> LayerReport:
    sums = {name: sum(getattr(part, name) for part in parts) for name in ("crystals", "tokens", "source_tokens")}
    return LayerReport(**sums)
