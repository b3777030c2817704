"""The straight part of a growth curve: where log distance rises or falls along a line.

A curve of log distance against step bends at both ends: at first while the difference turns to the
direction that grows fastest, at last where it is as large as the attractor or as small as rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.growth import GrowthStatistics

Values = NDArray[np.float64]

LEAST_STEPS = 6
"""Shortest window that is fitted: both of its halves are then lines through four points."""
OUTLIERS = 0.02
"""Share of curves that may leave the usable range before a window ends: one pair in fifty may saturate early
without ending the window of all."""
CANDIDATES = 48
"""Starts that are tried, evenly spaced: enough that the window loses at most a hundredth of the usable steps."""
TOLERABLE_BEND = 0.01
"""Change of slope between the halves of a window, as a fraction of the slope, that is let pass although its error
is smaller: the finite-size curvature of an honest line, well below the errors aimed at."""
CLEAR_BEND, CERTAIN = 0.25, 3.0
"""A window is not straight if its slope changes by more than this fraction and by more than so many errors: both,
since a bend within either is no evidence."""


@dataclass(frozen=True)
class Line:
    """A line through the mean of curves.

    Attributes
    ----------
    first, last : int
        Columns of the window, both included.
    slopes : (b,)
        Least-squares slope of each curve.
    straight : bool
        Whether the slope in both halves of the window is the same within its error.
    """

    first: int
    last: int
    slopes: Values
    straight: bool


def least_squares_slopes(curves: Values, first: int, last: int) -> Values:
    """Slopes (b,) of curves (b, t) over the columns from `first` to `last`.

    >>> least_squares_slopes(np.array([[0.0, 2.0, 4.0, 9.0]]), 0, 2)
    array([2.])
    """
    t = np.arange(first, last + 1) - 0.5 * (first + last)
    slopes: Values = curves[:, first : last + 1] @ t / (t @ t)
    return slopes


def usable_end(curves: Values, low: float, high: float) -> int:
    """Last column up to which curves lie within (low, high), but for a few; -1 where none does."""
    outside = ((curves < low) | (curves > high)).mean(axis=0) > OUTLIERS
    outside |= ~np.isfinite(curves).all(axis=0)
    return int(outside.argmax()) - 1 if outside.any() else curves.shape[1] - 1


def find_line(curves: Values, groups: NDArray[np.int64], *, low: float, high: float) -> Line | None:
    """The longest straight window that ends where curves leave (low, high).

    Its start is the first step, up to the middle, from which on both halves have the same slope
    within one standard error; without such a start, that where they differ least.

    Parameters
    ----------
    curves : (b, t)
        Log distance of each pair at each step.
    groups : (b,) int
        Curves with the same number are copies of each other and count as one.
    low, high : float
        Values between which curves can be straight.

    Returns
    -------
    Line or None
        None where fewer than `LEAST_STEPS` steps can be used.
    """
    last = usable_end(curves, low, high)
    if last < LEAST_STEPS:
        return None
    latest = min(last - LEAST_STEPS, last // 2)
    starts = np.unique(np.linspace(0, latest, CANDIDATES).astype(int))
    best, least = 0, np.inf
    for first in starts:
        bend, error, slope = _bend(curves, groups, int(first), last)
        if abs(bend) <= max(error, TOLERABLE_BEND * abs(slope)):
            best = int(first)
            break
        if abs(bend) / error < least:
            best, least = int(first), abs(bend) / error
    return line_through(curves, groups, best, last)


def line_through(curves: Values, groups: NDArray[np.int64], first: int, last: int) -> Line:
    """The line over a given window."""
    bend, error, slope = _bend(curves, groups, first, last) if last - first >= LEAST_STEPS else (0.0, 1.0, 0.0)
    straight = abs(bend) <= max(CERTAIN * error, CLEAR_BEND * abs(slope))
    return Line(first, last, least_squares_slopes(curves, first, last), straight)


def slope_error(curves: Values, groups: NDArray[np.int64], line: Line) -> float:
    """Standard error of the mean slope.

    From the spread of the slopes over independent curves, widened so that two errors cover as
    much for a few curves (Student) as for many. A single curve has only its increments: their
    batch means, widened by the 6/5 by which a fitted slope of a random walk varies more than that
    between its ends; infinite where there are too few.
    """
    from scipy.special import stdtrit

    means = _group_means(line.slopes, groups)
    if len(means) > 1:
        student = float(stdtrit(len(means) - 1, 0.975)) / 1.959964
        return float(student * means.std(ddof=1) / np.sqrt(len(means)))
    statistics = GrowthStatistics(1, 1)
    for increment in np.diff(curves[0, line.first : line.last + 1]):
        statistics.add(np.array([[increment]]), 1)
    return float(np.sqrt(1.2) * statistics.stderr()[0])


def _bend(curves: Values, groups: NDArray[np.int64], first: int, last: int) -> tuple[float, float, float]:
    """Difference of the slopes of both halves, its standard error, and the slope of the whole."""
    middle = (first + last) // 2
    early, late = least_squares_slopes(curves, first, middle), least_squares_slopes(curves, middle, last)
    bends = _group_means(late - early, groups)
    slope = float(least_squares_slopes(curves, first, last).mean())
    if len(bends) > 1:
        error = float(bends.std(ddof=1) / np.sqrt(len(bends)))
    else:
        wander = float(np.diff(curves[0, first : last + 1]).std(ddof=1))
        error = wander * float(np.sqrt(1.2 * (1 / (middle - first) + 1 / (last - middle))))
    return float(bends.mean()), max(error, np.finfo(float).tiny), slope


def _group_means(values: Values, groups: NDArray[np.int64]) -> Values:
    sums: Values = np.bincount(groups, values) / np.bincount(groups)
    return sums


NEARLY_AS_GOOD = 1.5
"""Windows whose error is up to so many times the smallest one's vote on how arbitrary the choice is. Errors are
themselves known to a few ten percent, so that a factor of 1.5 is no real difference."""


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
