"""How neighbours in a reconstructed space part with time: the curves that exponents are read from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import RepeatWatch, starts_on_cycle
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.exponents.linear_region import LEAST_STEPS, find_line, line_through, slope_error, usable_end
from lyapmap.analysis.exponents.pairs import ALIGN_STEPS, Escape, Extent, Pairs, Values, resolution
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.core.arguments import positive, seeded, whole
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.map import Map, TangentMap, as_states, as_tangent_map, rate_unit, time_per_step
from lyapmap.core.ops import Array
from lyapmap.core.results import Cause, Result, Status, provenance
from lyapmap.core.run import Report, reporting

BLOCKS = 16
"""Stretches of time that are left out in turn to find the statistical error."""


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
    near, other = (found[:, columns] for found in neighbor_graph(points[begin], columns.stop, exclude=theiler))
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


AUTO_FIT_STEPS, AUTO_RESCALED_STEPS = 1000, 2000
MARGIN = 2.0
"""Nats below saturation, or above rounding, where a window ends."""
RECORDS = 1000
"""Columns of log distance that a rescaled run keeps, about."""
REAL_GROWTH = 3.0
"""Nats by which a repeating orbit must have pushed its twin away for the repeat to be an artefact."""
MERGES, NEAR = 1e-3, 2e-2
"""Shares of rescalings before which twins may have become one by rounding, or been as near as that."""
_LOOK_EVERY = 16
_FLAT = 0.1  # of the slope before: where the curve counts as saturated


@dataclass(frozen=True)
class Found:
    """What a run tells, in nats per step."""

    status: Status
    message: str
    exponent: float
    stderr: float
    per_trajectory: Values
    log_distance: Values
    steps: NDArray[np.int64]
    window: tuple[int, ...]
    log_saturation: float
    cause: Cause = Cause.NONE


class Run(Protocol):
    """Follows pairs."""

    done: int
    size: float

    def place(self, x: Array, settings: dict[str, Any], rng: np.random.Generator) -> None:
        """Run the transient and place the twins."""

    def follow(self, report: Report) -> None:
        """Step the pairs until done or lost."""

    def conclude(self, lost: str) -> Found:
        """The exponent, or why there is none."""


class _Followed:
    """What both ways share: pairs, extent of the attractor, repeats, escapes."""

    pairs: Pairs
    extent: Extent
    watch: RepeatWatch
    groups: NDArray[np.int64]

    def __init__(self, tangent_map: TangentMap) -> None:
        self.map = tangent_map
        self.done = 0
        self.size = np.nan
        self.lost = ""
        self.b = 0
        self.repeats_since: NDArray[np.int64] = np.zeros(0, np.int64)

    def place(self, x: Array, settings: dict[str, Any], rng: np.random.Generator) -> None:
        self.x0, self.b = x, int(x.shape[0])
        self.pairs = Pairs(
            self.map,
            x,
            direction=settings["direction"],
            size=settings["size"],
            transient=settings["transient"],
            rng=rng,
        )
        self.size = self.pairs.size
        self.extent = Extent(self.pairs)
        self.extent.see()
        self.watch = RepeatWatch(self.map, self.pairs.x, 1)
        self.repeats_since = np.full(self.b, np.iinfo(np.int64).max)
        host = self.map.ops.to_numpy(self.pairs.x)
        self.groups = np.unique(host, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def _advance(self) -> bool:
        """One step of all pairs; False where one of them escaped."""
        self.pairs.advance()
        if self.pairs.escaped.any():
            many = f"{int(self.pairs.escaped.sum())} of {self.b} pairs" if self.b > 1 else "the pair"
            self.lost = f"{many} not finite after step {self.pairs.step}"
            return False
        self.done += 1
        self.extent.see()
        if not self.map.depends_on_step:
            before = self.watch.repeats.copy()
            self.watch.see(self.pairs.x, np.zeros((self.b, 1)), 1)
            self.repeats_since[self.watch.repeats & ~before] = self.done
        return True

    def _died(self, slopes: Values, steps: int, last: int) -> bool:
        """Whether a computed orbit repeats within the window although its twin was driven away.

        An unstable cycle on which the orbit started is a true one.
        """
        died = (self.repeats_since <= last) & (slopes * steps > REAL_GROWTH)
        if died.any():
            died &= ~starts_on_cycle(self.map, self.x0, self.pairs.x)
        return bool(died.any())

    def _nothing(self, status: Status, message: str, log_distance: Values, steps: NDArray[np.int64]) -> Found:
        level = self.extent.log_level() if hasattr(self, "extent") else np.inf
        return Found(status, message, np.nan, np.nan, np.full(self.b, np.nan), log_distance, steps, (), level)


class FitRun(_Followed):
    """Pairs left alone; a line through the straight part of their mean log distance."""

    def __init__(self, tangent_map: TangentMap, n_steps: int | None, window: tuple[int, int] | None) -> None:
        super().__init__(tangent_map)
        self.window = window
        self.n_steps = window[1] if n_steps is None and window is not None else n_steps
        self.columns: list[Values] = []

    def follow(self, report: Report) -> None:
        self._record()
        total = self.n_steps or AUTO_FIT_STEPS
        since_end = 0
        while self.done < total:
            if not self._advance():
                return
            self._record()
            report(self.done, total)
            if self.n_steps is None:
                since_end += self._ended()
                # A little of the plateau is kept: it shows where the line must end.
                if since_end > 5 + self.done // 6 or self._is_flat():
                    return

    def _record(self) -> None:
        with np.errstate(divide="ignore"):
            self.columns.append(np.log(self.pairs.distances()))

    def _ended(self) -> bool:
        """Whether half of the pairs are as far apart as unrelated states, or as near as rounding."""
        middle = float(np.median(self.columns[-1]))
        return middle > self.extent.log_level() - 0.5 or middle < self._log_floor()

    def _is_flat(self) -> bool:
        """Whether the curve rose and has risen no more for as long as it rose, and a while."""
        t = self.done
        if t % _LOOK_EVERY or t < 6 * LEAST_STEPS:
            return False
        with np.errstate(invalid="ignore"):  # twins that became one
            mean = np.mean(self.columns, axis=1)
        if not np.isfinite(mean[[0, t // 2, t]]).all():
            return False
        rise, late = mean[t // 2] - mean[0], mean[t] - mean[t // 2]
        return bool(rise > 3 * MARGIN and abs(late) < _FLAT * rise)

    def _log_floor(self) -> float:
        return float(np.log(resolution(self.map.ops.dtype, self.pairs.scale)))

    def _level(self, curves: Values) -> float:
        """Log distance of saturation: of unrelated states, or of the curve's own plateau if lower."""
        with np.errstate(invalid="ignore"):
            mean = curves.mean(axis=0)
        kept_apart = bool(mean[len(mean) // 2 :].mean() > mean[0] - 1)
        level = self.extent.log_level(growing=kept_apart)
        fifth = len(mean) // 5
        if fifth >= LEAST_STEPS and np.isfinite(mean).all():
            early, late = mean[-2 * fifth : -fifth].mean(), mean[-fifth:].mean()
            rate = (mean.max() - mean[0]) / max(int(mean.argmax()), 1)
            if mean.max() - mean[0] > 3 * MARGIN and late - early < _FLAT * rate * fifth:
                level = min(level, float(late))
        return level

    def conclude(self, lost: str) -> Found:
        curves = np.array(self.columns).T if self.columns else np.zeros((self.b, 0))
        steps = np.arange(curves.shape[1])
        if lost or self.lost:
            return self._nothing(Status.ESCAPED, lost or self.lost, curves, steps)
        level, floor = self._level(curves), self._log_floor()
        low, high = floor, level - MARGIN
        if self.window is not None:
            first, last = self.window
            if last >= len(steps) or not np.isfinite(curves[:, first : last + 1]).all():
                message = f"twins became one by rounding, or were not followed, before step {last}"
                return self._nothing(Status.UNRESOLVED, message, curves, steps)
            line = line_through(curves, self.groups, first, last)
        else:
            found = find_line(curves, self.groups, low=low, high=high)
            if found is None:
                usable = max(usable_end(curves, low, high), 0)
                message = (
                    f"the distance stays between rounding ({np.exp(floor):.1e}) and saturation "
                    f"({np.exp(level):.1e}) for {usable} steps only, {LEAST_STEPS} are needed; "
                    f"change size ({self.size:.1e}) or take method='rescaled'"
                )
                return self._nothing(Status.UNRESOLVED, message, curves, steps)
            line = found
        length = line.last - line.first
        if self._died(line.slopes, length, line.last):
            message = "a computed orbit repeats exactly although its neighbour is driven away"
            return self._nothing(Status.COLLAPSED, message, curves, steps)
        status, message = Status.OK, ""
        if self.window is None and not line.straight:
            status = Status.NOT_CONVERGED
            message = (
                f"the slope changes within the window, steps {line.first} to {line.last}: "
                "the distance does not grow exponentially there"
            )
        error = slope_error(curves, self.groups, line)
        cause = Cause.NONE
        if status is Status.OK and np.isinf(error):
            status, cause = Status.NOT_CONVERGED, Cause.TOO_SHORT
            message = f"one pair over {length} steps gives no error bar"
        return Found(
            status,
            message,
            float(line.slopes.mean()),
            error,
            line.slopes,
            curves,
            steps,
            (line.first, line.last),
            level,
            cause,
        )


class RescaledRun(_Followed):
    """Pairs set back to their initial distance every few steps; the mean of their growth."""

    def __init__(self, tangent_map: TangentMap, n_steps: int | None, settings: dict[str, Any]) -> None:
        super().__init__(tangent_map)
        self.n_steps = n_steps or AUTO_RESCALED_STEPS
        self.every: int = settings["renormalize_every"]
        self.statistics: GrowthStatistics | None = None
        self.records: list[Values] = []
        self.recorded: list[int] = []
        self.measured = 0
        self.farthest, self.nearest = -np.inf, np.inf
        self.merges, self.near, self.blocks = 0, 0, 0

    def follow(self, report: Report) -> None:
        total = ALIGN_STEPS * self.every + self.n_steps
        thin = max(1, self.n_steps // self.every // RECORDS)
        start = self.pairs.distances()
        for _ in range(ALIGN_STEPS):
            grown, start = self._block(self.every, start)
            if grown is None:
                return
            report(self.done, total)
        self.statistics = GrowthStatistics(self.b, 1)
        self._note(0)
        blocks = 0
        while self.measured < self.n_steps:
            length = min(self.every, self.n_steps - self.measured)
            grown, start = self._block(length, start)
            if grown is None:
                return
            self.statistics.add(grown[:, None], length)
            self.measured += length
            blocks += 1
            if blocks % thin == 0 or self.measured == self.n_steps:
                self._note(self.measured)
                report(self.done, total)

    def _block(self, length: int, start: Values) -> tuple[Values | None, Values]:
        """Growth of all pairs over a few steps, and the distances from which the next block starts."""
        for _ in range(length):
            if not self._advance():
                return None, start
        apart = self.pairs.distances()
        self.near += int((apart < resolution(self.map.ops.dtype, self.pairs.scale)).sum())
        merged = apart == 0
        if merged.any():
            # They shrank by more than can be seen: counted as one rounding, and placed anew.
            self.merges += int(merged.sum())
            apart = np.where(merged, np.finfo(self.map.ops.dtype).eps * self.pairs.scale, apart)
        self.blocks += 1
        self.farthest = max(self.farthest, float(np.log(apart.max())))
        return np.log(apart / start), self.pairs.set_back()

    def _note(self, step: int) -> None:
        assert self.statistics is not None
        self.records.append(np.log(self.size) + self.statistics.totals[:, 0].copy())
        self.recorded.append(step)

    def conclude(self, lost: str) -> Found:
        curves = np.array(self.records).T if self.records else np.zeros((self.b, 0))
        steps = np.array(self.recorded, np.int64)
        if lost or self.lost:
            return self._nothing(Status.ESCAPED, lost or self.lost, curves, steps)
        statistics = self.statistics
        all_blocks = self.blocks * self.b
        if (
            statistics is None
            or not self.measured
            or self.merges > MERGES * all_blocks
            or self.near > NEAR * all_blocks
        ):
            message = (
                f"twins were as near as rounding in {self.near} of {all_blocks} rescalings, {self.merges} became one: "
                "such a decay cannot be followed; enlarge size or lower renormalize_every"
            )
            return self._nothing(Status.UNRESOLVED, message, curves, steps)
        rates = statistics.per_trajectory()[:, 0]
        if self._died(rates, self.measured, self.done):
            message = "a computed orbit repeats exactly although its neighbour is driven away"
            return self._nothing(Status.COLLAPSED, message, curves, steps)
        level = self.extent.log_level(growing=bool(rates.mean() > 0))
        status, message = Status.OK, ""
        if self.farthest > level - MARGIN:
            status = Status.NOT_CONVERGED
            message = (
                f"pairs grew to {np.exp(self.farthest):.1e} before they were set back, where states of the "
                f"attractor are {np.exp(level):.1e} apart; lower size or renormalize_every"
            )
        error, cause = float(statistics.stderr()[0]), Cause.NONE
        mean = float(statistics.mean()[0])
        if status is Status.OK and np.isposinf(error):
            status, cause = Status.NOT_CONVERGED, Cause.TOO_SHORT
            message = f"{self.measured} steps of {self.b} pairs are too few for an error bar"
        if mean > 0 and not statistics.grows_exponentially().any():
            error = max(error, mean)  # distances that grow like a power of time have rates no more certain than large
        return Found(
            status,
            message,
            mean,
            error,
            rates,
            curves,
            steps,
            (0, self.measured),
            level,
            cause,
        )


DIRECTIONS, METHODS = ("neighbour", "random", "tangent"), ("fit", "rescaled")


@dataclass(frozen=True, kw_only=True)
class Divergence(Result):
    """Largest exponent in nats from the divergence of pairs of trajectories.

    Attributes
    ----------
    exponent, stderr : float
        Mean over pairs and its standard error; the error is infinite where a single pair was
        followed over too few steps to tell.
    per_trajectory : (b,)
        Of each pair.
    log_distance : (b, r)
        Log distance of each pair after `steps`; -inf where twins became one. For "rescaled", what
        it would be without an end to the growth.
    steps : (r,)
        Steps since the pairs were placed.
    window : (int, int)
        First and last step used; empty where there is no such window.
    method : "fit" or "rescaled"
    size : float
        Initial distance.
    log_saturation : float
        Log distance between unrelated states of the attractor; infinite where unknown.
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "per_trajectory": ("trajectory",),
        "log_distance": ("trajectory", "record"),
        "steps": ("record",),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_growth.draw_divergence"
    REMEDIES: ClassVar[dict[Status | Cause, str]] = {
        Cause.TOO_SHORT: "give more initial states, or more steps",
        Status.NOT_CONVERGED: "start on the attractor (transient), or give a window; growth may be no exponential",
        Status.UNRESOLVED: "another size, a map in float64, or lyapunov_spectrum, which needs no second trajectory",
    }

    exponent: float
    stderr: float
    per_trajectory: NDArray[np.float64]
    log_distance: NDArray[np.float64]
    steps: NDArray[np.int64]
    window: tuple[int, ...]
    method: str
    size: float
    log_saturation: float
    unit: str = "per step"

    @property
    def failed(self) -> bool:
        """Also where there is no exponent at all."""
        return self.status.failed or bool(np.isnan(self.exponent))

    @property
    def mean_log_distance(self) -> NDArray[np.float64]:
        """Mean over pairs, (r,): Eq. 14 of the paper."""
        mean: NDArray[np.float64] = self.log_distance.mean(axis=0)
        return mean


def divergence(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int | str = "auto",
    transient: int = 0,
    direction: str = "neighbour",
    size: float | None = None,
    window: tuple[int, int] | str = "auto",
    method: str = "fit",
    renormalize_every: int = 1,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Divergence:
    """Largest Lyapunov exponent from two trajectories that start close together, b times.

    Parameters
    ----------
    map : Map
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        Initial states; each gets a twin after the transient.
    n_steps : int or "auto"
        Steps to follow the pairs. "auto": for "fit" until the distance saturates or shrinks to
        rounding, at most 1000; for "rescaled" 2000.
    transient : int
        Steps before, for states to reach the attractor.
    direction : "neighbour", "random" or "tangent"
        Where twins are placed: towards the nearest other state, which lies on the attractor as
        well (at least 2 distinct states are needed); anywhere; along the tangent that grows
        fastest, which is carried over the end of the transient and at least 50 steps.
    size : float, optional
        Initial distance; eps^(2/3) of the states' norm by default (2e-5 in float32, 4e-11 in
        float64).
    window : (first, last) or "auto"
        Steps that the line is fitted to, both included. "auto" ends it e^2 below saturation (or
        above rounding) and starts it where the slope has settled.
    method : "fit" or "rescaled"
    renormalize_every : int
        Steps between rescalings; "rescaled" only. Its first 50 rescalings align the twins and
        are not counted.
    seed : int, optional
        Of random directions.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if there is no exponent; else return the result with its status.

    Returns
    -------
    Divergence

    Raises
    ------
    LyapmapError
        If an argument cannot be used: a size that rounding eats, states without neighbour.
    RunError
        If states escape, the orbit died of rounding, no part of the curve is straight, or it is
        too short to fit, and `throw`.
    Interrupted
        On Ctrl-C, with what was computed until then as its `result`.

    References
    ----------
    G. Benettin, L. Galgani, J.-M. Strelcyn, Phys. Rev. A 14 (1976) 2338.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> logistic = lm.wrap(lambda x: 4 * x * (1 - x), state_shape=1)
    >>> found = lm.divergence(logistic, np.linspace(0.1, 0.9, 50)[:, None], transient=100, seed=0)
    >>> bool(abs(found.exponent - np.log(2)) < 3 * found.stderr < 0.1)
    True
    """
    for name, value, allowed in (("direction", direction, DIRECTIONS), ("method", method, METHODS)):
        if value not in allowed:
            raise LyapmapError(f"{name}: expected one of {', '.join(repr(one) for one in allowed)}, got {value!r}")
    steps = None if isinstance(n_steps, str) and n_steps == "auto" else whole("n_steps", n_steps, 1)
    chosen = None if isinstance(window, str) and window == "auto" else _window(window, steps)
    if chosen is not None and method == "rescaled":
        raise LyapmapError("window: only method='fit' takes one")
    tangent_map = as_tangent_map(map)
    x, _ = as_states(x0, tangent_map)
    seed, rng = seeded(seed)
    settings = {
        "n_steps": n_steps if steps is None else steps,
        "transient": whole("transient", transient, 0),
        "direction": direction,
        "size": None if size is None else positive("size", size),
        "window": window if chosen is None else chosen,
        "renormalize_every": whole("renormalize_every", renormalize_every, 1),
        "n_trajectories": int(x.shape[0]),
    }
    run: Run = FitRun(tangent_map, steps, chosen) if method == "fit" else RescaledRun(tangent_map, steps, settings)
    begin = time.perf_counter()
    interrupted = False
    lost = ""
    with reporting(progress, "divergence") as report:
        try:
            run.place(x, settings, rng)
            run.follow(report)
        except Escape as event:
            lost = str(event)
        except KeyboardInterrupt:
            if run.done < 1:
                raise Interrupted(None) from None
            interrupted = True
    found = run.conclude(lost)
    status, cause, message = found.status, found.cause, found.message
    if interrupted:
        status, cause, message = Status.NOT_CONVERGED, Cause.INTERRUPTED, f"interrupted after {run.done} steps"
    rate = 1 / time_per_step(tangent_map)
    result = Divergence(
        status=status,
        cause=cause,
        message=message,
        settings=settings,
        provenance=provenance(tangent_map, seed=seed, seconds=time.perf_counter() - begin),
        exponent=found.exponent * rate,
        stderr=found.stderr * rate,
        per_trajectory=found.per_trajectory * rate,
        log_distance=found.log_distance,
        steps=found.steps,
        window=found.window,
        method=method,
        size=run.size,
        log_saturation=found.log_saturation,
        unit=rate_unit(tangent_map),
    )
    if interrupted:
        raise Interrupted(result)
    return result.checked(throw)


def _window(window: Any, n_steps: int | None) -> tuple[int, int]:
    try:
        first, last = (whole("window", bound, 0) for bound in window)
    except (TypeError, ValueError):
        first, last = 0, 0
    if last - first < 2:
        raise LyapmapError(f"window: expected 'auto' or (first, last) with last >= first + 2, got {window!r}")
    if n_steps is not None and last > n_steps:
        raise LyapmapError(f"window: expected steps from 0 to n_steps = {n_steps}, got {(first, last)}")
    return first, last
