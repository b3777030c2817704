"""Do all trajectories lie on one attractor? Those that do not are told apart by their exponents."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COMPARED = 3
"""Leading exponents that are looked at."""
GAP = 4.0
"""Gap between neighbouring values, in standard errors of their difference, that chance does not leave."""
SAME = 1e-6
"""Exponents closer than this (relative, or in nats per step) are the same, whatever their error."""

Matrix = NDArray[np.float64]


def group_trajectories(per_trajectory: Matrix, within: Matrix, periods: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the group that each trajectory belongs to, the largest group first.

    Trajectories on cycles of different periods are apart; so are those whose exponents, sorted,
    leave a gap of more than `GAP` standard errors of the difference. Attractors that differ by less, or in other
    respects than their exponents, cannot be told apart in this way.

    Parameters
    ----------
    per_trajectory : (b, k)
        Exponents of each trajectory, leading ones first.
    within : (b, k)
        Standard error of each trajectory's exponents, from its variation in time.
    periods : (b,)
        Of the cycles on which trajectories ended, 0 for none.

    Returns
    -------
    (b,) int

    Examples
    --------
    >>> group_trajectories(np.array([[0.5], [0.1], [0.52], [0.49]]), np.full((4, 1), 0.01), np.zeros(4, int))
    array([0, 1, 0, 0])
    """
    labels = np.unique(periods, return_inverse=True)[1].astype(np.int64)
    for values, errors in zip(per_trajectory.T[:COMPARED], within.T[:COMPARED], strict=True):
        if not np.isfinite(errors).all() or not np.isfinite(values).all():
            continue
        order = np.argsort(values, kind="stable")
        ordered = errors[order]
        least = np.maximum(GAP * np.hypot(ordered[1:], ordered[:-1]), SAME * max(1.0, float(np.abs(values).max())))
        piece = np.zeros(len(values), np.int64)
        piece[order[1:]] = np.cumsum(np.diff(values[order]) > least)
        labels = np.unique(labels * len(values) + piece, return_inverse=True)[1].astype(np.int64)
    counts = np.bincount(labels)
    rank = np.empty(len(counts), np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[labels]
