"""How memories fade: D = (1 + age/tau)^-lambda, a power law of forgetting.

Knows age, salience and uses as numbers. Knows nothing of what they belong to: recall takes `log_decay` as a prior,
attention as an additive bias. Decay lowers salience; it never deletes.

Sources: forgetting as a power function of time, Wixted & Ebbesen 1991 (Psychological Science 2:409); slowed by use,
Anderson & Schooler 1991 (Psychological Science 2:396).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentmem.errors import InvalidInputError

TAU = 5_000.0
LAMBDA = 0.5


def decay(
    age: ArrayLike, salience: ArrayLike = 0.0, uses: ArrayLike = 0.0, tau: float = TAU, exponent: float = LAMBDA
) -> NDArray[np.float64]:
    """What is left of a memory's salience, in (0, 1]: 1 when new, half after 3 tau by default.

    age: tokens logged since. salience (1 is usual), uses: both slow the fading, tau * (1 + salience) * (1 + uses).
    All >= 0 and broadcast against each other; the result has their common shape. Raises InvalidInputError for
    negative or NaN input.
    """
    return np.exp(log_decay(age, salience, uses, tau, exponent))


def log_decay(
    age: ArrayLike, salience: ArrayLike = 0.0, uses: ArrayLike = 0.0, tau: float = TAU, exponent: float = LAMBDA
) -> NDArray[np.float64]:
    """The logarithm of `decay`, -lambda log1p(age / tau), in (-inf, 0]."""
    ages, saliences, counts = _checked("age", age), _checked("salience", salience), _checked("uses", uses)
    if not (0 < tau < np.inf and 0 < exponent < np.inf):
        raise InvalidInputError(f"tau={tau} and exponent={exponent} must be positive and finite")
    return np.asarray(-exponent * np.log1p(ages / (tau * (1 + saliences) * (1 + counts))), np.float64)


def _checked(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(value, np.float64)
    if not (array >= 0).all() or np.isinf(array).any():
        wrong = array[~(array >= 0) | np.isinf(array)].flat[0]
        raise InvalidInputError(f"{name} {wrong} is not a number >= 0: ages are in tokens, uses are counts")
    return array
