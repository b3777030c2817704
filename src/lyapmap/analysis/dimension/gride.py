"""Gride: the dimension from ratios of the distances of farther neighbours, over scales."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

SMALLEST = 1e-6
"""Least dimension that is looked for."""
STEPS = 200
PRECISION = 1e-12


def gride(log_ratios: Values, n1: int, n2: int) -> tuple[float, Values]:
    """Dimension d that makes the ratios mu = r_n2 / r_n1 most likely.

    With independent neighbourhoods of constant density, mu^-d has a beta distribution with
    parameters n1 and n2 - n1. N - 1 stands for N in the likelihood, so that n1 = 1, n2 = 2 is TwoNN's
    (N - 1) / sum log mu.

    Parameters
    ----------
    log_ratios : (N,)
        log mu of each point.
    n1, n2 : int
        Ranks of the two neighbours, n1 < n2.

    Returns
    -------
    dimension : float
        Infinite where all ratios are 1.
    influence : (N,)
        Of each point on the dimension, mean zero.

    References
    ----------
    F. Denti, D. Doimo, A. Laio, A. Mira, Sci. Rep. 12 (2022) 20005, Eqs. 7 to 9.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> round(gride(-np.log(rng.beta(8, 8, 40_000)) / 3.0, 8, 16)[0], 1)
    3.0
    """
    n = len(log_ratios)
    dimension = float(most_likely(log_ratios[None], n1, n2)[0])
    if not math.isfinite(dimension):
        return dimension, np.zeros(n)
    score, information = _score(np.array([[dimension]]), log_ratios[None], n1, n2)
    influence = score[0] / float(information.mean())
    return dimension, influence - influence.mean()


def most_likely(log_ratios: Values, n1: int, n2: int) -> Values:
    """The most likely dimension of each row (g, m) of ratios; infinite where all in a row are 1."""
    m = log_ratios.shape[1]
    total = log_ratios.sum(axis=1)
    with np.errstate(divide="ignore"):
        # The mean log ratio alone gives d up to a harmonic sum, exactly for n2 = n1 + 1.
        harmonic = float((1 / np.arange(n1, n2)).sum())
        found = np.where(total > 0, harmonic * (m - 1) / total, np.inf)
    if n2 == n1 + 1:
        return found
    todo = np.flatnonzero(np.isfinite(found))
    for _ in range(STEPS):
        if not len(todo):
            break
        d = found[todo, None]
        score, information = _score(d, log_ratios[todo], n1, n2)
        slope = score.sum(axis=1) - 1 / d[:, 0]
        # In log d the likelihood is close to a parabola, and d stays positive.
        step = np.clip(slope / (information.sum(axis=1) * d[:, 0]), -1, 1)
        found[todo] = np.maximum(d[:, 0] * np.exp(step), SMALLEST)
        todo = todo[np.abs(step) > PRECISION]
    return found


def _score(d: Values, t: Values, n1: int, n2: int) -> tuple[Values, Values]:
    """First derivative of the log likelihood by d, and minus the second; d is (g, 1), t is (g, m)."""
    x = np.maximum(d * t, 1e-12)
    between = n2 - n1 - 1
    with np.errstate(over="ignore"):
        grown = np.expm1(x)
    ratio = x / -np.expm1(-x)  # x / (1 - exp(-x)), 1 at 0
    curved = np.where(x < 1e-4, 1.0, x * ratio / np.maximum(grown, 1e-300))
    score = (1 + between * ratio - (n2 - 1) * x) / d
    information = (1 + between * curved) / d**2
    return score, information
