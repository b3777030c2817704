"""Local PCA: how many directions a point's neighbours spread along."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.progress import Report

Values = NDArray[np.float64]

BLOCK_VALUES = 4_000_000
"""Coordinates of neighbours in one block: 32 MB."""
THRESHOLDS = {"fukunaga-olsen": 0.05, "ratio": 0.05}
"""Rules, and the share below which a variance is none."""


def local_dimensions(
    points: Values, indices: NDArray[np.int64], *, rule: str, threshold: float, report: Report
) -> Values:
    """Number of directions along which each point and its neighbours spread.

    Parameters
    ----------
    points : (N, d)
    indices : (N, k)
        Neighbours. A neighbourhood of k + 1 points cannot show more than k directions, and needs
        several times as many points as directions to show them well.
    rule : "fukunaga-olsen" or "ratio"
        Directions whose variance is more than `threshold` of the largest; or the fewest that hold
        all variance but `threshold` of it.
    threshold : float

    Returns
    -------
    (N,) float64
        Whole numbers.

    References
    ----------
    K. Fukunaga, D. Olsen, IEEE Trans. Comput. C-20 (1971) 176.

    Examples
    --------
    >>> plane = np.random.default_rng(0).normal(size=(9, 2)) @ np.ones((2, 5)) + 3.0
    >>> local_dimensions(plane, np.arange(9)[None].repeat(9, 0), rule="ratio", threshold=0.05,
    ...                  report=lambda done, total: None)[:2]
    array([1., 1.])
    """
    n, k = indices.shape
    found = np.empty(n)
    rows = max(1, BLOCK_VALUES // ((k + 1) * points.shape[1]))
    for start in range(0, n, rows):
        report(start, n)
        some = np.arange(start, min(start + rows, n))
        patches = points[np.concatenate([some[:, None], indices[some]], axis=1)]
        patches -= patches.mean(axis=1, keepdims=True)
        # Both products have the same eigenvalues but for zeros: take the smaller one.
        across = patches.shape[2] <= patches.shape[1]
        turned = patches.transpose(0, 2, 1)
        products = turned @ patches if across else patches @ turned
        variances = np.maximum(np.linalg.eigvalsh(products)[:, ::-1], 0.0)
        if rule == "fukunaga-olsen":
            found[some] = (variances > threshold * variances[:, :1]).sum(axis=1)
        else:
            held = np.cumsum(variances, axis=1)
            found[some] = 1 + (held < (1 - threshold) * held[:, -1:]).sum(axis=1)
    report(n, n)
    return found
