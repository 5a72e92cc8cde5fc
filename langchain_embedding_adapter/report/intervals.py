"""How sure a mean is: bootstrap intervals, with a fixed seed so that a report always says the same.

Questions are drawn again with replacement, whole: base and adapted stay paired (Efron and Tibshirani, *An Introduction
to the Bootstrap*, 1993, the percentile interval).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4_999
FEWEST = 10
"""Of fewer questions no interval is told: drawing them again would pretend to know more than they say."""
MANY = 20_000
"""The mean of so many questions is as good as normal, and the draws are spared."""

Array = NDArray[np.float64]


def bootstrap_intervals(values: Array, *, confidence: float = 0.95, seed: int = 0) -> Array:
    """The interval of each column's mean.

    Args:
        values: ``(questions, columns)``; every draw takes whole rows, so that differences of columns stay paired.
        confidence: How often the interval holds the mean that unending questions would give.
        seed: Of the draws.

    Returns:
        ``(2, columns)``, lower and upper ends; not a number where there are fewer than :data:`FEWEST` questions.

    >>> bootstrap_intervals(np.ones((20, 1))).tolist()
    [[1.0], [1.0]]
    """
    count = len(values)
    if count < FEWEST:
        return np.full((2, values.shape[1]), np.nan)
    tail = (1 - confidence) / 2
    if count >= MANY:
        from statistics import NormalDist

        reach = NormalDist().inv_cdf(1 - tail) * values.std(axis=0) / count**0.5
        return np.stack([values.mean(axis=0) - reach, values.mean(axis=0) + reach])
    random = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, values.shape[1]))
    size = max(1, 2**22 // count)
    for at in range(0, RESAMPLES, size):
        draws = min(size, RESAMPLES - at)
        drawn = random.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
        means[at : at + draws] = times @ values / count
    return np.asarray(np.quantile(means, [tail, 1 - tail], axis=0))
