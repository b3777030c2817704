"""Which trajectories end on which fixed point, of whatever network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.settling import Settling
from lyapmap.analysis.proportions import wilson

SAME = 1e-3
"""Distance, relative to the norm of a fixed point, within which a trajectory's end belongs to it."""
SHOWN = 16
"""Basins whose fixed points are drawn."""
LEVEL = 0.95


def basins(
    rest: Settling, points: NDArray[np.float64], multipliers: NDArray[np.complex128]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Part of the trajectories that end on each fixed point, its limits, and how many ends are fixed points.

    Parameters
    ----------
    rest : Settling
    points : (m, n)
    multipliers : (m, k)
        A trajectory cannot end on a point that repels: of two points that are close, it is given to the stable one.
    """
    counts = np.zeros(len(points))
    confirmed = 0
    attracts = np.flatnonzero(np.abs(multipliers[:, 0]) <= 1) if len(points) else np.zeros(0, np.int64)
    for end, period, share in zip(rest.points, rest.period, rest.share, strict=True):
        if period != 1 or not len(attracts):
            continue
        gaps = np.linalg.norm(points[attracts] - end, axis=1)
        best = int(gaps.argmin())
        if gaps[best] <= SAME * max(1.0, float(np.linalg.norm(points[attracts[best]]))):
            counts[attracts[best]] += share
            confirmed += 1
    return counts, wilson(counts, len(rest.attractor), LEVEL), confirmed
