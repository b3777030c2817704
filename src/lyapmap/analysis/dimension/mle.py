"""Maximum-likelihood dimension from the distances to the k nearest neighbours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def mle_dimension(distances: Values, *, average: str = "mackay-ghahramani") -> tuple[float, Values, Values]:
    """Dimension from s_i = sum over j < k of log(T_k / T_j), with T_j the distance to neighbour j.

    Parameters
    ----------
    distances : (N, k)
        Ascending, k at least 3.
    average : "mackay-ghahramani" or "levina-bickel"
        (k - 1) / mean(s), the likelihood of all points together; or the mean of (k - 2) / s, each
        unbiased for its point. Levina and Bickel's (k - 1) / s is too large by (k - 1) / (k - 2) on
        the average.

    Returns
    -------
    dimension : float
        Infinite where all neighbours of every point are equally far, or of one for "levina-bickel".
    influence : (N,)
        Of each point on the dimension, mean zero.
    local : (N,)
        (k - 2) / s; NaN where all neighbours are equally far.

    References
    ----------
    E. Levina, P. Bickel, NIPS 17 (2004) 777, Eqs. 8 and 9.
    D. MacKay, Z. Ghahramani, "Comments on 'Maximum likelihood estimation of intrinsic dimension'"
    (2005).

    Examples
    --------
    >>> within = np.random.default_rng(0).uniform(size=(4000, 20)) ** (1 / 3)  # of the unit ball
    >>> within[:, -1] = 1.0
    >>> round(mle_dimension(np.sort(within))[0], 1)
    3.0
    """
    k = distances.shape[1]
    sums = np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1)
    local = np.full(len(sums), np.nan)
    local[sums > 0] = (k - 2) / sums[sums > 0]
    if average == "levina-bickel":
        dimension = float(local.mean()) if (sums > 0).all() else math.inf
        influence = local - dimension
    else:
        mean = float(sums.mean())
        dimension = (k - 1) / mean if mean > 0 else math.inf
        influence = -dimension * (sums / mean - 1) if mean > 0 else sums
    return dimension, influence if math.isfinite(dimension) else np.zeros(len(sums)), local
