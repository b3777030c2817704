"""How sure a proportion is, where what was counted is independent and where it is not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_BATCHES = 8
"""Below, the spread of batch means is known to worse than 27 %, and independence is assumed."""


def wilson(p: Any, n: Any, level: float) -> NDArray[np.float64]:
    """Score interval of a proportion (E. B. Wilson 1927): of some width even at 0 and 1.

    Parameters
    ----------
    p : array
        Proportions found.
    n : array
        Independent trials that each stands on; NaN limits where it is 0.
    level : float
        Probability with which the limits shall hold the true proportion.

    Returns
    -------
    (..., 2)

    Examples
    --------
    >>> wilson(0.5, 100, 0.95).round(3).tolist()
    [0.404, 0.596]
    """
    from scipy.stats import norm

    p, n = np.asarray(p, np.float64), np.asarray(n, np.float64)
    n = np.where(n > 0, n, np.nan)
    z2 = float(norm.ppf((1 + level) / 2)) ** 2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2) / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
    # At 0 and 1 the limit is p itself, which rounding may miss.
    return np.stack([np.minimum(middle - reach, p).clip(0), np.maximum(middle + reach, p).clip(max=1)], axis=-1)


def variance_of_mean(series: list[NDArray[np.float64]]) -> tuple[float, float]:
    """Variance of the mean of several series in time, by batch means, and by independence.

    Parameters
    ----------
    series : list of (m,)
        Values in the order of time, one array for each trajectory.

    Returns
    -------
    correlated, independent : float
        The first is never below the second.
    """
    values = np.concatenate(series)
    independent = float(values.var()) / len(values)
    length = math.ceil(math.sqrt(max(len(part) for part in series)))
    batches = [
        part[: len(part) // length * length].reshape(-1, length).mean(axis=1) for part in series if len(part) >= length
    ]
    means = np.concatenate(batches)
    if len(means) < FEWEST_BATCHES:
        return independent, independent
    return max(float(means.var(ddof=1)) / len(means), independent), independent
