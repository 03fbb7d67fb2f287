"""Pictures of `agentmem bench neural`: no label stands on an axis, and great numbers are read at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from agentmem.bench.neural import ages, charts

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


def aged(tokens: int) -> list[dict[str, Any]]:
    return [{"upto": upto, "exact": 1.0} for _, upto in ages.groups(tokens)]


@pytest.mark.parametrize("tokens", [1_000, 40_000, 1_000_000, 10_000_000, 1_000_000_000])
def test_no_label_of_an_age_stands_on_another(tokens: int) -> None:
    rules = [{"importance": name, "decay": "none", "ages": aged(tokens)} for name in charts.RULES]
    told = {"tokens": tokens, "facts": 1, "groups": aged(tokens)}
    rows = [{"tokens": each["upto"], "exact": 1.0} for each in aged(tokens)]
    for figure in (charts.by_rule(rules, ["none"] * 3), charts.by_age("a", told), charts.by_tokens("chains", rows)):
        figure.draw_without_rendering()
        for axis in figure.axes:
            labels = [each for each in axis.get_xticklabels() if each.get_text()]
            assert len(labels) >= min(len(axis.get_xticks()), 4)
            assert labels[-1].get_text() == charts._tokens(tokens)
            places = [each.get_window_extent() for each in labels]
            assert all(one.x1 < other.x0 for one, other in pairwise(places))


def test_an_amount_that_is_not_round_is_told_in_full() -> None:
    told = {3: "3", 1_000: "1k", 1_003: "1,003", 2_500: "2.5k", 36_000: "36k", 1_236_000: "1,236k", 30_000_000: "30M"}
    assert {number: charts._tokens(number) for number in told} == told


def test_a_picture_of_ages_names_its_model_and_of_a_long_path_the_end() -> None:
    told = {"tokens": 5_000, "facts": 50, "groups": aged(5_000)}
    for model, named in (("package: recall", "package: recall"), ("/far" * 30 + "/model", "/far/far/model")):
        first, second = charts.by_age(model, told).axes[0].get_title().split("\n")
        assert (first.endswith(named), second) == (True, "after 5,000 tokens with 50 facts")
        assert len(first) <= 80


def lost(number: int, sizes: Sequence[int], another: bool = True) -> dict[str, Any]:
    """A result of so many models."""
    own = {size: (5 - size / 9_000, 0.0) for size in sizes}
    shuffled = {size: (5.0, 0.0) for size in sizes if size and another}
    row = {"trained_on": 3_000_000, "own": own, "shuffled": shuffled}
    return {"sizes": sizes, "means": [{"name": f"model {each}", **row} for each in range(number)]}


def test_no_two_models_of_a_picture_look_alike() -> None:
    axis = charts.by_memory(lost(20, (0, 1_024))).axes[0]
    drawn = [line for line in axis.lines if str(line.get_label()).startswith("model ")]
    assert len({str(line.get_color()) for line in drawn}) == 20
    assert len({(str(line.get_color()), line.get_marker()) for line in drawn}) == 20
    assert len({line.get_marker() for line in drawn}) == 12


def test_what_a_dotted_line_is_stands_in_the_legend_and_it_begins_where_there_is_no_memory() -> None:
    figure = charts.by_memory(lost(1, (0, 1_024)))
    dotted = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == [[0, 1], []]
    assert [each.get_text() for each in figure.legends[0].get_texts()] == ["model 0, 3M", "dotted: of another text"]
    alone = charts.by_memory(lost(1, (0, 1_024), another=False))
    assert [each.get_text() for each in alone.legends[0].get_texts()] == ["model 0, 3M"]


def test_bytes_have_the_greatest_unit_that_they_fill() -> None:
    assert [charts._bytes(size) for size in (200, 5e5, 2e7, 2e10)] == ["200 B", "500 KB", "20 MB", "20 GB"]
