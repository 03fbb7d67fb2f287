"""Forgetting: a power law that salience and use slow down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentmem.decay import TAU, decay, log_decay
from agentmem.errors import InvalidInputError

AGES = st.floats(0, 1e9)
SMALL = st.floats(0, 1e4)


def test_a_new_memory_is_whole_and_after_three_tau_half_is_left() -> None:
    assert decay(0) == 1
    assert decay(3 * TAU) == pytest.approx(0.5)
    assert decay(3 * TAU * 2 * 3, salience=1, uses=2) == pytest.approx(0.5)


@given(AGES, SMALL, SMALL)
def test_something_is_always_left_and_never_more_than_all(age: float, salience: float, uses: float) -> None:
    assert 0 < decay(age, salience, uses) <= 1


@given(AGES, AGES, SMALL, SMALL)
def test_older_is_never_stronger(one: float, other: float, salience: float, uses: float) -> None:
    young, old = sorted([one, other])
    assert decay(young, salience, uses) >= decay(old, salience, uses)


@given(AGES, SMALL, SMALL, SMALL)
def test_salience_and_uses_slow_it(age: float, low: float, more: float, other: float) -> None:
    assert decay(age, low + more, other) >= decay(age, low, other)
    assert decay(age, other, low + more) >= decay(age, other, low)


@given(st.lists(AGES, min_size=1, max_size=5), SMALL)
def test_arrays_are_taken_element_by_element(ages: list[float], salience: float) -> None:
    together = decay(np.array(ages), salience)
    assert together.shape == (len(ages),)
    np.testing.assert_allclose(together, [decay(age, salience) for age in ages])
    np.testing.assert_allclose(np.log(together), log_decay(ages, salience), atol=1e-12)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), [0, -0.5]])
@pytest.mark.parametrize("name", ["age", "salience", "uses"])
def test_negative_and_endless_input_is_refused_by_name(name: str, wrong: object) -> None:
    with pytest.raises(InvalidInputError, match=name):
        decay(**{"age": 1, name: wrong})


@pytest.mark.parametrize("setting", [{"tau": 0}, {"exponent": -1}, {"tau": float("nan")}])
def test_a_law_that_does_not_forget_is_refused(setting: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="positive"):
        decay(1, **setting)


def test_no_memories_give_no_numbers() -> None:
    assert decay(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)
