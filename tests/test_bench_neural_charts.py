"""Pictures of `agentmem bench neural`: no label stands on an axis, and great numbers are read at a glance."""

from __future__ import annotations

from typing import Any

import pytest

from agentmem.bench.neural import charts

SIZES = (1_000, 10_000, 100_000, 1_000_000)


def costs(*of_a_step: float) -> list[dict[str, Any]]:
    """Of each size, in microseconds: as much written and read as stepped."""
    return [
        {"tokens": tokens}
        | {f"{kind}_us": each for kind in charts.COSTS}
        | {f"{kind}_ratio": each / of_a_step[0] for kind in charts.COSTS}
        for tokens, each in zip(SIZES, of_a_step, strict=False)
    ]


@pytest.mark.parametrize("steps", [(28.6, 26.8, 27.6), (18_200, 21_100, 26_000, 28_900), (380, 420, 660, 33_000), (7,)])
def test_what_labels_say_of_a_cost_stands_within_its_part(steps: tuple[float, ...]) -> None:
    figure = charts.by_size(costs(*steps))
    figure.draw_without_rendering()
    for axis in figure.axes:
        inside = axis.get_window_extent()
        labels = [each.get_window_extent() for each in axis.texts]
        assert len(labels) == len(steps)
        assert min(each.x0 for each in labels) > inside.x0 + 5
        assert max(each.x1 for each in labels) < inside.x1
        assert max(each.y1 for each in labels) < inside.y1


@pytest.mark.parametrize("steps", [(18_200.0, 28_900.0), (380.0, 33_000.0), (2.0, 1_900_000.0)])
def test_thousands_of_microseconds_have_commas(steps: tuple[float, ...]) -> None:
    figure = charts.by_size(costs(*steps))
    figure.draw_without_rendering()
    for axis in figure.axes:
        said = [each.get_text() for each in axis.get_yticklabels()]
        assert said == [f"{place:,.12g}" for place in axis.get_yticks()]
        assert any("," in each for each in said)


def test_bytes_have_the_greatest_unit_that_they_fill() -> None:
    assert [charts._bytes(size) for size in (200, 5e5, 2e7, 2e10)] == ["200 B", "500 KB", "20 MB", "20 GB"]
