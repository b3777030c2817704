"""The straight part of a curve, found without looking: for dimensions and for exponents of series.

A slope is measured in every window of the curve that is long enough. Each has two errors: that of
the sample, from the slopes of replicates of the curve (jackknife over blocks of the data), and
that of the window, from how much the slope still changes within it. The window whose error is the smallest
part of its slope is taken; the slopes of those that are nearly as good tell how arbitrary the
choice is, which enters the error too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NEARLY_AS_GOOD = 1.5
"""Windows whose error is up to so many times the smallest one's vote on how arbitrary the choice is."""


@dataclass(frozen=True)
class Straight:
    """A straight part of a curve.

    Attributes
    ----------
    slope, stderr : float
    first, last : int
        Points of the curve, both included.
    statistical, systematic, arbitrary : float
        The parts of the error: the sample's, the window's, the choice's.
    """

    slope: float
    stderr: float
    first: int
    last: int
    statistical: float
    systematic: float
    arbitrary: float


def straight_part(
    x: Values,
    y: Values,
    replicates: Values,
    *,
    shortest: float,
    fewest: int,
    window: tuple[float, float] | None = None,
    allowance: Values | None = None,
    rough: bool = False,
) -> Straight | None:
    """The part of a curve that is straightest for its length.

    Parameters
    ----------
    x, y : (m,)
        The curve, x ascending.
    replicates : (g, m)
        The curve without each of g blocks of the data.
    shortest : float
        Least length of a window in x.
    fewest : int
        Least number of points in it, at least 4.
    window : (low, high), optional
        Take this one instead.
    allowance : (m,), optional
        Relative error of the slope that is known to be there at each x, whatever the curve shows.
    rough : bool
        Count the scatter of the slope along the window as error: for a curve whose ripples belong
        to the matter itself and do not average out in the short windows there are.

    Returns
    -------
    Straight or None
        None if the curve is too short.
    """
    if window is None:
        spans = [
            (i, j) for i in range(len(x)) for j in range(i + fewest - 1, len(x)) if x[j] - x[i] >= shortest * (1 - 1e-9)
        ]
    else:
        inside = np.flatnonzero((x >= window[0] * (1 - 1e-9)) & (x <= window[1] * (1 + 1e-9)))
        spans = [(int(inside[0]), int(inside[-1]))] if len(inside) >= 4 else []
    if not spans:
        return None
    i, j = np.array(spans).T
    slopes = _slopes(x, y, i, j)
    middle = (i + j) // 2
    systematic = np.abs(_slopes(x, y, middle, j) - _slopes(x, y, i, middle))
    if rough:
        third = (j - i) // 3
        corners = np.stack([i, i + third, i + 2 * third, j])
        systematic = np.maximum(systematic, (np.diff(y[corners], axis=0) / np.diff(x[corners], axis=0)).std(axis=0))
    varied = _slopes(x, replicates, i, j)
    g = len(replicates)
    statistical = np.sqrt((g - 1) / g * np.square(varied - varied.mean(axis=0)).sum(axis=0))
    if allowance is not None:
        systematic = np.hypot(systematic, slopes * allowance[middle])
    total = np.hypot(statistical, systematic)
    # Relative, or else the flat end of a curve that has run into its ceiling would win.
    share = total / np.maximum(np.abs(slopes), np.finfo(float).tiny)
    best = int(share.argmin())
    near = share <= NEARLY_AS_GOOD * share[best]
    arbitrary = float(slopes[near].std())
    return Straight(
        float(slopes[best]),
        float(np.hypot(total[best], arbitrary)),
        *spans[best],
        float(statistical[best]),
        float(systematic[best]),
        arbitrary,
    )


def _slopes(x: Values, y: Values, i: NDArray[np.int64], j: NDArray[np.int64]) -> Values:
    """Least-squares slopes of curves y (..., m) from points i to j, both included, by sums up to each point."""
    x, y = x - x.mean(), y - y.mean(axis=-1, keepdims=True)

    def total(values: Values) -> Values:
        sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
        return np.asarray(sums[..., j + 1] - sums[..., i])

    n, along = j + 1 - i, total(x)
    return np.asarray((total(x * y) - along * total(y) / n) / (total(x * x) - along**2 / n))


def weights(x: Values) -> Values:
    """What values at x are multiplied by to give the least-squares slope."""
    centred = x - x.mean()
    return np.asarray(centred / np.square(centred).sum())


def slope_of(x: Values, y: Values, i: int, j: int) -> float:
    """Least-squares slope between two points of the curve, both included."""
    part = slice(i, j + 1)
    return float(weights(x[part]) @ y[part])


def local_slope(x: Values, y: Values, reach: int = 2) -> Values:
    """Least-squares slope over `reach` points to either side of each; fewer at the ends."""
    return np.array([slope_of(x, y, max(i - reach, 0), min(i + reach, len(x) - 1)) for i in range(len(x))])
