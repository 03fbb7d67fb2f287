"""Figures of several streams as means and spread. Knows figures by name; None where a stream has none of that name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

from agentmem.bench.recall.tables import short


def means(runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """The mean of each figure over the streams that have it, None if none has."""
    told = {name: [one[name] for one in runs if one[name] is not None] for name in names}
    return {name: mean(values) if values else None for name, values in told.items()}


def with_deviations(runs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Means, and NAME_deviation where several streams have the figure."""
    told = {name: [one[name] for one in runs if one[name] is not None] for name in names}
    return means(runs, names) | {f"{name}_deviation": stdev(each) for name, each in told.items() if len(each) > 1}


def spread(row: Mapping[str, Any], name: str) -> str:
    """.988 ±.004; - where there is no figure."""
    if row[name] is None:
        return "-"
    deviation = row.get(f"{name}_deviation")
    return short(row[name]) + (f" ±{short(deviation)}" if deviation is not None else "")


def of_seeds(seeds: Sequence[int]) -> str:
    """seed 0; seeds 0, 1, 2"""
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
