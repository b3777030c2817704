"""What of a series is measurement: the grain of rounding, noise, values that are no part of it.

The noise is what stays of the error of prediction as neighbours come close, the gamma test:
A. Stefansson, N. Koncar, A. J. Jones, Neural Comput. Appl. 5 (1997) 131; for series D. Evans,
A. J. Jones, Proc. R. Soc. A 458 (2002) 2759. Whether it is more than noise: the error of nearest
neighbours' predictions beside that of linear ones, M. Casdagli, J. R. Stat. Soc. B 54 (1992) 303.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.series.delays import cao, choose_delay, choose_dimension, decorrelation_time, embed_delay
from lyapmap.core.errors import LyapmapError

Values = NDArray[np.float64]

OPEN = 0.2
"""Share of the nearest neighbour's error that is counted as noise at least: a line through ten points can miss it."""
NEIGHBORS = 10
"""Neighbours whose differences are followed down to no distance: ten, as the authors of the gamma test advise."""
LIKE_NOISE = 0.5
"""Error of nearest neighbours' predictions, relative to linear ones, above which a series may be noise: noise of
any colour has about 1, deterministic motion far less."""
PREDICTORS = 4
"""Neighbours whose mean predicts a value: their noise is halved, and they are still near."""
LINEAR_TERMS = 10
"""Values that the linear prediction looks back at: enough for five oscillations."""
ORDERS = (3, 4, 6, 8)
"""Differences that noise is looked for in: the motion of a smooth series falls with the order, the noise does not."""
FINEST_GRAIN = 1e-6
"""Grain of rounding relative to the range below which it does not matter: neighbours are further apart."""
ISOLATED = 0.5
"""Values beyond a gap of half of the range of the others are no part of the series: tails of a distribution have
no such gap."""
FEW = 0.02
"""Share of the values that may be so: more are no spikes, but a second state."""


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


FEWEST_VALUES = 200
"""Values from which an exponent is read: fewer leave no hundred pairs to follow."""
DECORRELATION_TIMES = 3
"""Times in which the autocorrelation falls to 1/e that the Theiler window lasts: e^-3 is left."""
FEWEST_TIMES = 20
"""Decorrelation times that a series must hold for neighbours outside the Theiler window, which takes six of them."""
CAO_VALUES, CAO_TIMES = 3000, 100
"""The dimension is chosen on so many values, or decorrelation times if that is more: it needs no precision, and
costs a search for each dimension."""
FIRST_STEPS = 16
"""Steps followed at first in a map, in a flow so many delays: at 0.3 nats per step twins have parted by e^5; where
distances still grow, the length is doubled."""
CURVE_POINTS = 60
"""Points of a curve, about: as many as the choice of a window can use."""
PREDICTING_DIMENSIONS = 6
"""Dimensions in which neighbours are given a chance to predict: twice the dimension is always enough (F. Takens
1981), here for attractors of dimension 3."""
MOST_VARIABLES = 8
"""Variables measured together of which one must be predictable."""
TOGETHER = 4
"""Decorrelation times for which neighbours stay neighbours, and count as one."""
DRIFT = 5.0
"""Standard errors by which neighbours may be more recent than chance has it: 5, as their number is a guess."""
REPEATED = 0.005
"""Share of the values that one number may be, where nothing is rounded: dropped samples are often zeros."""
RANKS = (1, 10, 40)
"""Which neighbours of a point are followed, in order of distance: further ones begin clear of noise. In two
dimensions 10 and 40 lie 3 and 6 times as far as the nearest."""
CLEAR = 1.0
"""By how much log distance must exceed the noise at the start: noise is then an eighth of the squared distance."""
LEAST_SHARE = 10
"""A neighbour is none any more if there are less than so many times as many points as closer ones."""
AS_GOOD, AS_GOOD_IN_STEPS = 1.1, 1.3
"""A dimension will do if its predictions err, in variance, up to so many times as much as the best ones: of a
smooth series, and of one that moves in steps."""


@dataclass(frozen=True)
class Unfolding:
    """Recordings with what their delay vectors are made by.

    Attributes
    ----------
    recordings : list of (N, m)
        Rounded values are spread over the grain of their rounding, or else neighbours coincide.
    delay, dimension, theiler : int
    e1, e2 : (d,)
        Cao's quantities.
    decorrelation : int
    noise : float
        Standard deviation of the noise, root of the sum over variables.
    hopeless : str
        Why neighbours need not be followed at all, in words.
    left_out : int
        Values far from all others, which were made gaps.
    """

    recordings: list[Values]
    delay: int
    dimension: int
    theiler: int
    e1: Values
    e2: Values
    decorrelation: int
    noise: float
    hopeless: str
    left_out: int = 0

    @classmethod
    def of(cls, pieces: list[Values], settings: dict[str, Any]) -> Unfolding:
        pieces, left_out = _without_spikes(pieces)
        measured = np.concatenate(pieces)
        grains = np.array([grain(column) for column in measured.T])
        hopeless = _still(measured, grains)
        if grains.any():
            rng = np.random.default_rng(0)
            pieces = [piece + grains * rng.uniform(-0.5, 0.5, piece.shape) for piece in pieces]
        longest = max(pieces, key=len)
        n, several = len(longest), longest.shape[1] > 1
        slowest = max(decorrelation_time(column) for column in longest.T)
        theiler = settings["theiler"]
        if theiler == "auto":
            theiler = min(DECORRELATION_TIMES * slowest, n // FEWEST_TIMES)
        delay = settings["delay"]
        if delay == "auto":
            delay = 1 if several else max(1, min(choose_delay(longest[:, 0]), n // FEWEST_TIMES))
        if not hopeless and slowest * FEWEST_TIMES > n:
            hopeless = f"the series decorrelates in {slowest} steps of {n}: it drifts, or is too short"
        if not hopeless:
            hopeless = _unpredictable(longest[:, :MOST_VARIABLES], delay, slowest, theiler, settings["dimension"])
        e1 = e2 = np.empty(0)
        dimension = settings["dimension"]
        if dimension == "auto" and (several or hopeless):
            dimension = 1
        elif dimension == "auto":
            some = longest[: max(CAO_VALUES, CAO_TIMES * slowest), 0]
            e1, e2 = cao(some, delay=delay, theiler=min(theiler, len(some) // FEWEST_TIMES))
            dimension = choose_dimension(e1)
        needed = dimension * delay + 2 * theiler + FEWEST_VALUES // 2
        if needed > n:
            raise LyapmapError(
                f"series: dimension {dimension}, delay {delay} and theiler {theiler} need {needed} values "
                f"without a gap, got {n}"
            )
        variance = 0.0
        if not hopeless:
            least = 1 if settings["dimension"] == "auto" else dimension
            tried = {d: Prediction.of(pieces, delay, d, theiler) for d in range(least, dimension + 1)}
            most = (AS_GOOD_IN_STEPS if slowest <= 1 else AS_GOOD) * min(p.error for p in tried.values())
            dimension, prediction = next((d, p) for d, p in tried.items() if p.error <= most)
            variance = sum(map(min, prediction.noise, map(roughness, longest.T)))
            hopeless = _drifting(prediction, slowest)
        noise = float(np.sqrt(max(variance, np.square(grains).sum() / 6)))
        return cls(pieces, delay, dimension, theiler, e1, e2, slowest, noise, hopeless, left_out)

    def points(self, more: int) -> list[Values]:
        dimension = self.dimension + more
        long = [r for r in self.recordings if len(r) > (dimension - 1) * self.delay]
        return [embed_delay(r, dimension=dimension, delay=self.delay) for r in long]

    def floor(self, more: int) -> float:
        """Distance of two points that the noise alone makes, root mean square."""
        return float(np.sqrt(2 * (self.dimension + more))) * self.noise

    @property
    def relative_noise(self) -> float:
        """Noise relative to the spread of the values."""
        spread = float(np.sqrt(np.concatenate(self.recordings).var(axis=0).sum()))
        return self.noise / spread if spread > 0 else math.nan

    @property
    def pace(self) -> int:
        """Steps in which the series moves on."""
        return 1 if self.in_steps else max(self.delay, self.decorrelation)

    @property
    def in_steps(self) -> bool:
        """Whether the series moves in steps, like that of a map, rather than smoothly."""
        return self.decorrelation <= 1


def _without_spikes(pieces: list[Values]) -> tuple[list[Values], int]:
    """Recordings that end before each value far from all others, and how many those are."""
    measured = np.concatenate(pieces)
    bad = np.asarray(np.array([isolated(column) for column in measured.T]).any(axis=0))
    if not bad.any():
        return pieces, 0
    out, start = [], 0
    for piece in pieces:
        cut = np.flatnonzero(bad[start : start + len(piece)])
        out += [part[1:] if i else part for i, part in enumerate(np.split(piece, cut))]
        start += len(piece)
    return [part for part in out if len(part)], int(bad.sum())


def _still(measured: Values, grains: Values) -> str:
    """Why values that repeat tell nothing, in words; empty where they do not."""
    if not np.ptp(measured, axis=0).any():
        return "the series is constant: its neighbours are at no distance"
    different, counts = np.unique(measured, axis=0, return_counts=True)
    if len(different) < FEWEST_TIMES:
        return f"the series takes only {len(different)} different values: it repeats exactly, or was rounded"
    if grains.any():
        return ""
    if len(different) < len(measured) / 2:
        return f"the series takes only {len(different)} different values in {len(measured)}: it repeats exactly"
    often = int(counts.max())
    if often > max(5, REPEATED * len(measured)):
        value = ", ".join(f"{v:.6g}" for v in different[counts.argmax()])
        return f"the value {value} occurs {often} times: dropped or clipped values; make them NaN, which is a gap"
    return ""


def _unpredictable(longest: Values, delay: int, slowest: int, theiler: int, dimension: int | str) -> str:
    """Why the series cannot be told from noise, in words; empty where one of its variables can."""
    some = longest[: max(CAO_VALUES, CAO_TIMES * slowest)]
    most = max(PREDICTING_DIMENSIONS, 0 if dimension == "auto" else int(dimension))
    window = min(theiler, len(some) // FEWEST_TIMES)
    share = min(
        beside_linear(column, delay=delay, dimension=most, ahead=max(1, slowest), theiler=window) for column in some.T
    )
    if share <= LIKE_NOISE:
        return ""
    return (
        f"neighbours tell the next values no better than a linear rule does ({share:.2g} of its error): "
        "noise, or a regular signal"
    )


def _drifting(prediction: Prediction, slowest: int) -> str:
    """Why the series cannot be one attractor's, in words; empty where it can."""
    # Neighbours stay neighbours for a while, and count as one.
    different = prediction.n_points / (TOGETHER * max(1, slowest))
    chance = prediction.by_chance
    if prediction.recent - chance < DRIFT * math.sqrt(chance * (1 - chance) / different):
        return ""
    recent = f"{100 * prediction.recent:.0f} % of the neighbours are within a quarter of the record"
    return (
        f"{recent}, {100 * chance:.0f} % by chance: the series drifts; take the drift off, or give a stationary stretch"
    )


BLOCKS = 16
"""Stretches of time that are left out in turn to find the statistical error, known then to 18 %."""


@dataclass(frozen=True)
class Curve:
    """Mean logarithm of the distance of pairs that began as neighbours.

    Attributes
    ----------
    steps : (t,)
    mean : (t,)
        NaN where no pair has a distance.
    without : (g, t)
        The same without the reference points of each of g stretches of time.
    n_pairs : int
        Pairs that began at a distance above 0.
    n_equal : int
        Pairs that began at distance 0, which do not count.
    """

    steps: NDArray[np.int64]
    mean: Values
    without: Values
    n_pairs: int
    n_equal: int


def divergence_curve(
    recordings: list[Values],
    *,
    steps: NDArray[np.int64],
    theiler: int,
    n_neighbors: int,
    radius: float | None,
    together: bool,
    across: bool,
    rank: int = 1,
) -> Curve:
    """Follow neighbours of every point.

    Parameters
    ----------
    recordings : list of (N, d)
        Points in time order; no pair is followed beyond the end of its recording.
    steps : (t,)
        Steps after which distances are measured, ascending from 0.
    theiler : int
        Neighbours are more than so many steps away in time.
    n_neighbors : int
        Of each point.
    radius : float, optional
        Neighbours further away do not count.
    together : bool
        Take the logarithm of the mean distance of a point's neighbours (Kantz), rather than the
        mean of the logarithms of their distances (Rosenstein).
    across : bool
        Measure distances across the orbit, without their part along its direction, in which
        nothing grows.
    rank : int
        Take the last `n_neighbors` of so many times that number: 1 for the nearest, more for pairs
        that begin further apart.
    """
    last = int(steps[-1])
    points = np.concatenate(recordings)
    starts = np.cumsum([0, *(len(r) for r in recordings[:-1])])
    begin = np.concatenate(
        [start + np.arange(max(len(r) - last, 0)) for start, r in zip(starts, recordings, strict=True)]
    )
    n = len(begin)
    # Indices count only points that can be followed: two recordings lie closer in them than in time,
    # so the window leaves out at most a few pairs too many.
    columns = slice((rank - 1) * n_neighbors, rank * n_neighbors)
    near, other = (part[:, columns] for part in neighbor_graph(points[begin], columns.stop, exclude=theiler))
    along = None
    if across:
        along = np.concatenate([np.gradient(r, axis=0) if len(r) > 1 else np.zeros_like(r) for r in recordings])
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-300)

    apart = near > 0
    n_equal = int(apart.size - apart.sum())
    if radius is not None:
        apart &= near <= radius
    row, place = np.nonzero(apart)
    here, there = begin[row], begin[other[row, place]]
    block = np.arange(n) * BLOCKS // n
    stretch = block if together else block[row]
    total, number = np.zeros((2, BLOCKS, len(steps)))
    for i, step in enumerate(steps):
        difference = points[here + step] - points[there + step]
        if along is not None:
            way = along[here + step]
            difference -= np.einsum("ij,ij->i", difference, way)[:, None] * way
        distance = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        if together:
            count = np.bincount(row, minlength=n)
            distance = np.bincount(row, distance, minlength=n) / np.maximum(count, 1)
        some = distance > 0
        total[:, i] = np.bincount(stretch[some], np.log(distance[some]), minlength=BLOCKS)
        number[:, i] = np.bincount(stretch[some], minlength=BLOCKS)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total.sum(axis=0) / number.sum(axis=0)
        without = (total.sum(axis=0) - total) / (number.sum(axis=0) - number)
    return Curve(steps, mean, without, int(apart.sum()), n_equal)


def _curve(
    unfolded: Unfolding,
    settings: dict[str, Any],
    steps: NDArray[np.int64],
    *,
    rank: int = 1,
    more: int = 0,
    across: bool = False,
) -> Curve:
    return divergence_curve(
        unfolded.points(more),
        steps=steps,
        theiler=unfolded.theiler,
        n_neighbors=settings["n_neighbors"],
        radius=settings["radius"],
        together=settings["method"] == "kantz",
        across=across,
        rank=rank,
    )


def followed(unfolded: Unfolding, settings: dict[str, Any]) -> dict[int, Curve]:
    """Curves of the nearest neighbours and of further ones, by rank; each until it stops growing.

    The last is the first that begins clear of the noise, or one after the nearest.
    """
    curves = {1: _nearest(unfolded, settings)}
    steps = curves[1].steps
    room = sum(max(len(p) - int(steps[-1]), 0) for p in unfolded.points(0)) - 2 * unfolded.theiler
    clear = math.log(max(unfolded.floor(0), 1e-300)) + CLEAR
    n_neighbors = settings["n_neighbors"]
    for rank in sorted({-(-place // n_neighbors) for place in RANKS} - {1}):
        if rank * n_neighbors > room // LEAST_SHARE or (len(curves) > 1 and curves[max(curves)].mean[0] > clear):
            break
        curves[rank] = _curve(unfolded, settings, steps, rank=rank)
    return curves


def _nearest(unfolded: Unfolding, settings: dict[str, Any]) -> Curve:
    longest = max(len(points) for points in unfolded.points(1))
    room = longest - 2 * unfolded.theiler - settings["n_neighbors"] - 2
    most = room // 4
    length = settings["n_steps"] or min(FIRST_STEPS * unfolded.pace, most)
    if not 4 <= length < room:
        raise LyapmapError(f"n_steps: expected 4 to {room - 1} with this series and theiler, got {length}")
    while True:
        curve = _curve(unfolded, settings, np.arange(0, length + 1, max(1, length // CURVE_POINTS)))
        half = len(curve.steps) // 2
        still = curve.mean[-1] - curve.mean[half] > 0.2 * (curve.mean[half] - curve.mean[0])
        if settings["n_steps"] or not curve.n_pairs or not still or 2 * length > most:
            return curve
        length *= 2


def second(unfolded: Unfolding, steps: NDArray[np.int64], rank: int, settings: dict[str, Any]) -> Curve:
    """The same with one dimension more; of a smooth series, with distances across the orbit."""
    if unfolded.in_steps:
        return _curve(unfolded, settings, steps, rank=rank, more=1)
    return _curve(unfolded, settings, steps, rank=rank, across=True)
