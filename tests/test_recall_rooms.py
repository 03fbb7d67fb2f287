"""What recall leaves behind, and how it finds where the best begin."""

from __future__ import annotations

import gc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import opened

from agentmem.recall.signals import largest


def test_a_recall_leaves_no_arrays_to_the_garbage_collector() -> None:
    with opened() as memory:
        with memory.episode() as episode:
            episode.log_many([f"day {n}: the red mast and the sails" for n in range(300)])
        memory.recall("the mast")
        gc.collect()
        gc.disable()
        try:
            memory.recall("the sails of day 7")
            assert gc.collect() == 0
        finally:
            gc.enable()


@given(st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=400), st.data())
def test_the_largest_are_found_among_those_that_a_sample_suggests(values: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(values) - 1))
    assert largest(np.array(values), size) == sorted(values)[-size]


def test_of_sorted_values_the_sample_misleads_nobody() -> None:
    values = np.arange(10_000.0)
    values[::16] = 1e6  # all that the sample sees
    assert largest(values, 1_000) == np.sort(values)[-1_000]
