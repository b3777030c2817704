"""What of a series is measurement: the grain of rounding, noise, values that are no part of it.

The noise is what stays of the error of prediction as neighbours come close, the gamma test:
A. Stefansson, N. Koncar, A. J. Jones, Neural Comput. Appl. 5 (1997) 131; for series D. Evans,
A. J. Jones, Proc. R. Soc. A 458 (2002) 2759. Whether it is more than noise: the error of nearest
neighbours' predictions beside that of linear ones, M. Casdagli, J. R. Stat. Soc. B 54 (1992) 303.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.delays import embed_delay
from lyapmap.analysis.neighbors.graph import neighbor_graph

Values = NDArray[np.float64]

OPEN = 0.2
"""Share of the nearest neighbour's error that is counted as noise at least."""
NEIGHBORS = 10
"""Whose differences are followed down to no distance."""
LIKE_NOISE = 0.5
"""Error of nearest neighbours' predictions, relative to linear ones, above which a series may be noise."""
PREDICTORS = 4
"""Neighbours whose mean predicts a value."""
LINEAR_TERMS = 10
"""Values that the linear prediction looks back at."""
ORDERS = (3, 4, 6, 8)
"""Differences that noise is looked for in."""
FINEST_GRAIN = 1e-6
"""Grain of rounding relative to the range below which it does not matter."""
ISOLATED = 0.5
"""Values beyond a gap of so much of the range of the others are no part of the series."""
FEW = 0.02
"""Share of the values that may be so."""


def grain(column: Values) -> float:
    """Step of the grid that all values lie on, as rounding leaves them; 0 if there is none."""
    places = np.unique(column)
    if len(places) < 2:
        return 0.0
    steps = np.diff(places)
    blur = 16 * np.finfo(float).eps * np.abs(places).max()
    steps = steps[steps > blur]  # the same number twice, but for its last bit
    if not len(steps):
        return 0.0
    least = float(steps.min())
    if least < max(FINEST_GRAIN * np.ptp(places), 1e3 * blur):
        return 0.0
    off = np.abs(steps / least - np.rint(steps / least))
    return least if (off <= 1e-6 + 2 * blur / least * np.maximum(1, steps / least)).all() else 0.0


def isolated(column: Values) -> NDArray[np.bool_]:
    """Few values far from all others: spikes of an instrument. Tails of an attractor have no such gap."""
    low, high = np.quantile(column, [0.01, 0.99])
    gap = ISOLATED * (high - low)
    ordered = np.sort(column)
    n = int(FEW * len(column)) + 1
    bounds = []
    for tail, sign in ((ordered[-n - 1 :], 1.0), (ordered[: n + 1][::-1], -1.0)):
        wide = np.flatnonzero(sign * np.diff(tail) > gap)
        bounds.append(tail[wide[0]] if len(wide) and gap > 0 else tail[-1])
    return np.asarray((column > bounds[0]) | (column < bounds[1]))


@dataclass(frozen=True)
class Prediction:
    """What nearest neighbours in delay space tell of the next values.

    Attributes
    ----------
    error : float
        Variance of the error, with the nearest neighbour as prediction, over two; summed over variables.
    noise : (m,)
        Variance of the noise of each variable: what stays of the error as neighbours come close.
    recent, by_chance : float
        Share of the nearest neighbours within a quarter of the record in time, found and expected: in
        a series that drifts neighbours are recent ones. M. B. Kennel, Phys. Rev. E 56 (1997) 316.
    n_points : int
    """

    error: float
    noise: Values
    recent: float
    by_chance: float
    n_points: int

    @classmethod
    def of(cls, pieces: list[Values], delay: int, dimension: int, theiler: int) -> Prediction:
        reach = (dimension - 1) * delay + 1
        long = [piece for piece in pieces if len(piece) > reach]
        rows = np.concatenate([embed_delay(piece[:-1], dimension=dimension, delay=delay) for piece in long])
        after = np.concatenate([piece[reach:] for piece in long])
        n = len(rows)
        near, other = neighbor_graph(rows, NEIGHBORS, exclude=theiler)
        distance = np.square(near).mean(axis=0)
        half = 0.5 * np.square(after[:, None] - after[other]).mean(axis=0)  # (neighbours, m)
        spread = distance - distance.mean()
        slope = spread @ half / max(spread @ spread, np.finfo(float).tiny)
        # A line through ten points can miss noise; what the nearest neighbour leaves open bounds it from below.
        floor = np.maximum(half.mean(axis=0) - slope * distance.mean(), OPEN * half[0])
        # The noise of the coordinates is felt through the gradient, and the slope tells how steep that is.
        noise = floor / (1 + 2 * rows.shape[1] * np.maximum(slope, 0.0))
        left_out = 1 - (1 - theiler / n) ** 2
        recent = float((np.abs(other[:, 0] - np.arange(n)) <= n / 4).mean())
        return cls(float(half[0].sum()), noise, recent, (1 - 0.75**2 - left_out) / (1 - left_out), n)


def roughness(column: Values) -> float:
    """Variance of noise in a smooth series, from its differences; what the motion adds falls with their order."""
    orders = [order for order in ORDERS if len(column) > 2 * order]
    variances = [np.square(np.diff(column, order)).mean() / comb(2 * order, order) for order in orders]
    return float(min(variances, default=np.inf))


def beside_linear(column: Values, *, delay: int, dimension: int, ahead: int, theiler: int) -> float:
    """Error variance of nearest neighbours' predictions over that of a linear prediction.

    About 1 for noise of any colour; well below for deterministic motion. The smallest over
    dimensions up to the given one.
    """
    lag = max(1, delay // 2)
    terms = min(LINEAR_TERMS, max(1, (len(column) - ahead) // (4 * lag)))
    past = embed_delay(column, dimension=terms, delay=lag)
    past = np.column_stack([np.ones(len(past) - ahead), past[: len(past) - ahead]])
    target = column[(terms - 1) * lag + ahead :]
    left = target - past @ np.linalg.lstsq(past, target, rcond=None)[0]
    linear = float(np.square(left).mean())
    best = np.inf
    for d in range(1, dimension + 1):
        points = embed_delay(column, dimension=d, delay=delay)
        points = points[: len(points) - ahead]
        after = column[(d - 1) * delay + ahead :]
        if len(points) < PREDICTORS + 2 + 2 * theiler:
            break
        _, other = neighbor_graph(points, PREDICTORS, exclude=theiler)
        error = float(np.square(after - after[other].mean(axis=1)).mean()) / (1 + 1 / PREDICTORS)
        best = min(best, error)
    return best / linear if linear > 0 else np.inf
