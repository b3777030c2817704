"""Two ways to follow pairs of trajectories: until they are far apart, or set back again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import RepeatWatch, starts_on_cycle
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.exponents.linear_region import LEAST_STEPS, find_line, line_through, slope_error, usable_end
from lyapmap.analysis.exponents.pairs import ALIGN_STEPS, Extent, Pairs, Values, resolution
from lyapmap.analysis.progress import Report
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import Array
from lyapmap.core.results import Cause, Status

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
