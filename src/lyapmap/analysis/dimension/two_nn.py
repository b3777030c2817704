"""TwoNN: the dimension from the ratio of each point's second to its first neighbour distance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def two_nn(log_ratios: Values, *, fit: str = "regression", discard_fraction: float = 0.1) -> tuple[float, Values]:
    """Dimension d from mu = r2 / r1, whose distribution is 1 - mu^-d on a manifold of any density.

    Parameters
    ----------
    log_ratios : (N,)
        log mu of each point.
    fit : "regression" or "mle"
        The slope through the origin of -log(1 - i/N) against the i-th smallest log mu, with the
        largest `discard_fraction` of them left out; or the maximum of the likelihood with those
        above that quantile known only to lie above it (none for a fraction of 0, where it is
        (N - 1) / sum log mu).

    Returns
    -------
    dimension : float
        Infinite where all ratios are 1.
    influence : (N,)
        Of each point on the dimension, mean zero.

    References
    ----------
    E. Facco, M. d'Errico, A. Rodriguez, A. Laio, Sci. Rep. 7 (2017) 12140, Eqs. 3 to 6.

    Examples
    --------
    >>> mu = np.random.default_rng(0).pareto(3.0, 40_000) + 1.0
    >>> round(two_nn(np.log(mu))[0], 1), round(two_nn(np.log(mu), fit="mle")[0], 1)
    (3.0, 3.0)
    """
    n = len(log_ratios)
    order = np.argsort(log_ratios, kind="stable")
    x = log_ratios[order]
    # The largest of all stands at log 0 and has no place in a regression.
    kept = min(int((1 - discard_fraction) * n), n - 1 if fit == "regression" else n)
    solve = _slope if fit == "regression" else _censored
    dimension, influence = solve(x, kept)
    placed = np.empty(n)
    placed[order] = influence - influence.mean()
    return dimension, placed


def _slope(x: Values, kept: int) -> tuple[float, Values]:
    n = len(x)
    beyond = 1 - np.arange(1, kept + 1) / n  # share of points above each
    y = -np.log(beyond)
    near = x[:kept]
    squares = float(near @ near)
    if squares == 0:
        return math.inf, np.zeros(n)
    slope = float(near @ y) / squares
    # A point moves the sum by its own term, and by the rank of every point above it.
    influence = np.zeros(n)
    influence[:kept] = near * y - slope * near**2 + np.cumsum((near / beyond)[::-1])[::-1] / n
    return slope, influence * (n / squares)


def _censored(x: Values, kept: int) -> tuple[float, Values]:
    seen = np.minimum(x, x[kept - 1])
    total = float(seen.sum())
    if total == 0:
        return math.inf, np.zeros(len(x))
    dimension = (kept - 1) / total  # one less: the estimate is unbiased
    known = np.arange(len(x)) < kept
    return dimension, (known - dimension * seen) * (len(x) / total)
