"""Standard error of a mean over neighbourhoods that share points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def overlap_error(influence: NDArray[np.float64], indices: NDArray[np.int64]) -> float:
    """Standard error of an average to which every point contributes through its neighbourhood.

    The contributions of two points are correlated as far as their neighbourhoods overlap. With
    u_m the sum of the influences of all points whose neighbourhood (themselves and k neighbours)
    holds point m, the variance is sum_m u_m^2 / (k + 1) / N^2: every pair of points counts with the
    share of neighbours that they have in common. Taking the points for independent, as Fisher's
    information does, gives errors that are a fifth to a third too small.

    Parameters
    ----------
    influence : (N,)
        What each point adds to the estimate, mean zero: estimate - truth is about their mean.
    indices : (N, k)
        The neighbours that each contribution stands on.

    Returns
    -------
    float

    References
    ----------
    D. Kojevnikov, V. Marmer, K. Song, J. Econometrics 222 (2021) 882, for such sums over networks.

    Examples
    --------
    Points that stand on none but themselves are independent.

    >>> overlap_error(np.array([1.0, -1.0, 1.0, -1.0]), np.empty((4, 0), dtype=int))
    0.5
    """
    n, k = len(influence), indices.shape[1]
    sums = influence + np.bincount(indices.ravel(), np.repeat(influence, k), minlength=n)
    return math.sqrt(float(np.square(sums).sum()) / (k + 1)) / n
