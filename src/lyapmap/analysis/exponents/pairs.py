"""Pairs of neighbouring trajectories: how twins are placed, stepped, measured and set back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import RepeatWatch, starts_on_cycle
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.exponents.straight import LEAST_STEPS, find_line, line_through, slope_error, usable_end
from lyapmap.core.demand import Advance, Demand, held, of_states
from lyapmap.core.errors import LyapmapError
from lyapmap.core.journal import Resumable
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.propagate import has_crew, orbit, propagate, quiet, random_frame, step_states
from lyapmap.core.results import Cause, Status, Verdict
from lyapmap.core.run import Report, unbroken

Values = NDArray[np.float64]

ALIGN_STEPS = 50
"""Steps over which a tangent or a twin turns to the direction that grows fastest: a gap of 0.1 nats per step
leaves e^-5 of the others."""
LEAST_ROUNDINGS = 16
"""Roundings of a state that a distance must measure at least to mean something: its relative error is then below a
tenth."""
AHEAD, AHEAD_VALUES = 32, 2**22
"""Steps, and values of states, that a crew takes at a time."""
_BLOCK = 512
"""Rows of the matrix of distances held at once: 4 MB for a thousand states."""


def usual_size(dtype: str) -> float:
    """Distance of twins as a fraction of a state's norm: far from rounding, far from saturation.

    eps^(2/3) leaves a third of the digits between rounding and the distance, and two thirds
    between the distance and the size of the attractor.
    """
    return float(np.finfo(dtype).eps ** (2 / 3))


def resolution(dtype: str, scale: float) -> float:
    """Distance below which two states of that norm differ by little more than rounding."""
    return float(LEAST_ROUNDINGS * np.finfo(dtype).eps * scale)


def typical_norm(tangent_map: TangentMap, x: Array) -> float:
    """Median norm of states; 1 where they are all zero."""
    return float(np.median(tangent_map.ops.norm(x))) or 1.0


def directions_to_nearest(states: NDArray[np.floating]) -> Values:
    """Unit vectors (b, n) from each state to the nearest that differs from it.

    Raises
    ------
    LyapmapError
        If all states are the same.
    """
    from scipy.spatial.distance import cdist

    points = states.astype(np.float64)
    eps = float(np.finfo(states.dtype).eps)
    out = np.empty_like(points)
    for start in range(0, len(points), _BLOCK):
        rows = points[start : start + _BLOCK]
        apart = cdist(rows, points)
        same = apart <= LEAST_ROUNDINGS * eps * np.linalg.norm(rows, axis=1)[:, None]
        apart[same] = np.inf
        nearest = apart.argmin(axis=1)
        distance = apart[np.arange(len(rows)), nearest]
        if np.isinf(distance).any():
            raise LyapmapError(
                "direction: 'neighbour' needs at least 2 states that differ after the transient, "
                f"got {len(points)} of which number {start + int(np.isinf(distance).argmax())} differs from none; "
                "take direction='random' or 'tangent'"
            )
        out[start : start + _BLOCK] = (points[nearest] - rows) / distance[:, None]
    return out


class Pairs(Resumable):
    """States and their twins, b pairs, from the end of the transient on.

    Twins are stepped in a call of their own: a noisy map gives row t of both the same noise.
    """

    KEPT = ("rng", "step", "escaped", "scale", "size")
    CARRIED = ("x", "twin")

    def __init__(self, tangent_map: TangentMap, rng: np.random.Generator) -> None:
        self.map, self.ops, self.rng = tangent_map, tangent_map.ops, rng
        self.step, self.scale, self.size = 0, 1.0, np.nan
        self.escaped: NDArray[np.bool_] = np.zeros(0, bool)
        self.x: Array = None
        self.twin: Array = None
        self._ahead: list[tuple[Array, Array]] = []
        """States and twins after the steps to come, as far as they are known."""

    def place(self, x: Array, *, direction: str, size: float | None, transient: int) -> None:
        """Run the transient and put a twin beside each state."""
        tangent_map, rng = self.map, self.rng
        aligning = min(ALIGN_STEPS, transient)
        if direction == "tangent":
            frame = random_frame(tangent_map, x.shape[0], 1, rng, self.ops.dtype)
            x = step_states(tangent_map, x, n_steps=transient - aligning)
            carried = propagate(tangent_map, x, frame, n_steps=ALIGN_STEPS, first_step=transient - aligning)
            self.step, self.x = transient - aligning + ALIGN_STEPS, carried.x
            self._refuse_escape()
            unit = self.ops.to_numpy(carried.frame)[:, :, 0]
        else:
            self.step, self.x = transient, step_states(tangent_map, x, n_steps=transient)
            self._refuse_escape()
            n = dimension(tangent_map.state_shape)
            host = self.ops.to_numpy(self.x)
            unit = directions_to_nearest(host) if direction == "neighbour" else rng.standard_normal((len(host), n))
        self.escaped = ~self.ops.all_finite(self.x)
        self.scale = typical_norm(self.map, self.x) if not self.escaped.any() else 1.0
        self.size = usual_size(self.ops.dtype) * self.scale if size is None else size
        self.twin = self.x
        if self.escaped.any():
            return
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        with quiet():
            self.twin = self.x + self.ops.from_numpy(self.size * unit)
        self._check_size()

    def _refuse_escape(self) -> None:
        """A state that is not finite has no neighbour: such pairs are never placed."""
        if not self.ops.all_finite(self.x).all():
            raise Escape(self.step, int((~self.ops.all_finite(self.x)).sum()))

    def _check_size(self) -> None:
        apart = self.distances()
        least = resolution(self.ops.dtype, self.scale)
        if not (apart >= 0.5 * self.size).all() or self.size < least:
            raise LyapmapError(
                f"size: expected at least {least:.1e}, which {self.ops.dtype} still resolves "
                f"beside states of norm {self.scale:.3g}, got {self.size:.1e}"
            )

    def advance(self, ahead: int) -> None:
        """Carry both over one step; a crew takes as many together as they are left alone for, `ahead`."""
        if not self._ahead:
            steps = max(1, min(ahead, AHEAD, AHEAD_VALUES // self.ops.to_numpy(self.x).size)) if has_crew() else 1
            both = (orbit(self.map, x, n_steps=steps, first_step=self.step) for x in (self.x, self.twin))
            self._ahead = [*zip(*both, strict=True)]
        self.x, self.twin = self._ahead.pop(0)
        self.step += 1
        self.escaped = ~(self.ops.all_finite(self.x) & self.ops.all_finite(self.twin))

    def distances(self) -> Values:
        """Distance of each twin from its state, (b,)."""
        return self.ops.norm(self.twin - self.x)

    def set_back(self) -> Values:
        """Bring the twins back to the initial distance along the same direction; the distances now.

        Twins as near as rounding are left to grow apart first: their direction is mostly noise.
        Those that became one are placed anew, anywhere.
        """
        apart = self.distances()
        with quiet():
            factors = np.where(apart < resolution(self.ops.dtype, self.scale), 1.0, self.size / apart)
            factor = self.ops.from_numpy(factors[:, None])
            self.twin = self.x + (self.twin - self.x) * factor
        if (apart == 0).any():
            anew = self.rng.standard_normal((len(apart), dimension(self.map.state_shape)))
            anew *= np.where(apart == 0, self.size, 0.0)[:, None] / np.linalg.norm(anew, axis=1, keepdims=True)
            self.twin = self.twin + self.ops.from_numpy(anew)
        return self.distances()


class Escape(Exception):  # noqa: N818  # an event, turned into a status
    """States became infinite or NaN before there were pairs to follow."""

    def __init__(self, step: int, count: int) -> None:
        super().__init__(f"{count} of the states are not finite after step {step}")


class Extent(Resumable):
    """How far apart states of the attractor are, as log distance: where growth must end.

    The distance between different trajectories at the same time, averaged in its logarithm; for a
    single trajectory, the root of twice its variance over time.
    """

    KEPT = ("_logs", "_count", "_mean", "_squares")

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self._logs: list[float] = []
        self._count = 0
        self._mean: Values = np.zeros(0)
        self._squares = 0.0

    def see(self) -> None:
        """Take in the states of one step."""
        ops, x = self.pairs.ops, self.pairs.x
        b = int(x.shape[0])
        if b > 1:
            apart = ops.norm(ops.concatenate([x[1:], x[:1]], 0) - x)
            apart = apart[np.isfinite(apart) & (apart > 0)]
            if apart.size:
                self._logs.append(float(np.log(apart).mean()))
            return
        state = ops.to_numpy(x)[0].astype(np.float64)
        self._count += 1
        self._mean = np.zeros_like(state) if self._count == 1 else self._mean
        before = state - self._mean
        self._mean = self._mean + before / self._count
        self._squares += float(before @ (state - self._mean))

    def log_level(self, *, growing: bool = False) -> float:
        """Log distance at which twins are as far apart as any two states; infinite where none is seen.

        States no farther apart than twins at the start may all be converging to one orbit, which
        then has no extent; where twins are known to keep apart, that is the extent all the same.
        """
        if self._logs:
            level = float(np.mean(self._logs))
        elif self._count > 1 and self._squares > 0:
            level = 0.5 * float(np.log(2 * self._squares / (self._count - 1)))
        else:
            return np.inf
        pairs = self.pairs
        least = 100 * resolution(pairs.ops.dtype, pairs.scale) if growing else 10 * pairs.size
        return level if level > float(np.log(least)) else np.inf


AUTO_FIT_STEPS, AUTO_RESCALED_STEPS = 1000, 2000
"""Steps at most where none are given. In float64 twins part from 4e-11 of a state to its size in 1000 steps at
0.024 nats per step; slower growth needs `n_steps`, or pairs that are set back."""
MARGIN = 2.0
"""Nats below saturation, or above rounding, where a window ends: at e^-2, a seventh, of the attractor's extent
folding slows growth by a few percent."""
RECORDS = 1000
"""Columns of log distance that a rescaled run keeps, about: as many as a picture can show."""
REAL_GROWTH = 3.0
"""Nats by which a repeating orbit must have pushed its twin away for the repeat to be an artefact: a factor of 20,
which transients of a stable cycle do not reach."""
MERGES, NEAR = 1e-3, 2e-2
"""Shares of rescalings before which twins may have become one by rounding, or been as near as that. One that
merged counts as a loss of some 12 nats: a share of 1e-3 changes the mean by 0.01 nats."""
_LOOK_EVERY = 16
"""Steps between looks at whether the curve is flat, which cost as much as a step."""
_FLAT = 0.1
"""Part of the rise before at which the curve counts as saturated: a tenth is seen above the scatter of a few
pairs."""


@dataclass(frozen=True)
class TwinGrowth:
    """How fast twins part, in nats per step."""

    verdict: Verdict
    exponent: float
    stderr: float
    per_trajectory: Values
    log_distance: Values
    steps: NDArray[np.int64]
    window: tuple[int, ...]
    log_saturation: float


class _Followed(Resumable):
    """What both ways share: pairs, extent of the attractor, repeats, escapes."""

    KEPT: ClassVar[tuple[str, ...]] = (
        *("done", "size", "lost", "placed", "pairs", "extent", "watch", "groups", "repeats_since"),
    )

    def __init__(self, tangent_map: TangentMap, x: Array, rng: np.random.Generator) -> None:
        self.map = tangent_map
        self.done = 0
        self.size = np.nan
        self.lost = ""
        self.x0, self.b = x, int(x.shape[0])
        self.placed = False
        self.pairs = Pairs(tangent_map, rng)
        self.extent = Extent(self.pairs)
        self.watch = RepeatWatch(tangent_map, x, 1)
        self.groups: NDArray[np.int64] = np.zeros(0, np.int64)
        self.repeats_since: NDArray[np.int64] = np.full(self.b, np.iinfo(np.int64).max)

    def state(self) -> dict[str, Any]:
        """Nothing where there are no pairs yet: then they are placed from the beginning."""
        return super().state() if self.placed else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where others stood."""
        if state:
            super().restore(state)

    def place(self, settings: dict[str, Any]) -> None:
        """Run the transient and place the twins."""
        self.pairs.place(
            self.x0, direction=settings["direction"], size=settings["size"], transient=settings["transient"]
        )
        with unbroken():
            self.size = self.pairs.size
            self.extent.see()
            self.watch = RepeatWatch(self.map, self.pairs.x, 1)
            host = self.map.ops.to_numpy(self.pairs.x)
            self.groups = np.unique(host, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
            self.placed = True

    def _advance(self, ahead: int) -> bool:
        """One step of all pairs, which are left alone for so many; False where one of them escaped."""
        self.pairs.advance(ahead)
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

    def _nothing(self, status: Status, message: str, log_distance: Values, steps: NDArray[np.int64]) -> TwinGrowth:
        level = self.extent.log_level() if self.placed else np.inf
        return TwinGrowth(
            Verdict(status, message), np.nan, np.nan, np.full(self.b, np.nan), log_distance, steps, (), level
        )


class FitTwins(_Followed):
    """Pairs left alone; a line through the straight part of their mean log distance."""

    KEPT = (*_Followed.KEPT, "columns", "since_end")

    def __init__(
        self,
        tangent_map: TangentMap,
        x: Array,
        rng: np.random.Generator,
        n_steps: int | None,
        window: tuple[int, int] | None,
    ) -> None:
        super().__init__(tangent_map, x, rng)
        self.window = window
        self.n_steps = window[1] if n_steps is None and window is not None else n_steps
        self.columns: list[Values] = []
        self.since_end = 0
        """Steps since the curve came to its plateau."""

    def follow(self, report: Report) -> None:
        """Step the pairs until done or lost."""
        if not self.columns:
            self._record()
        total = self.n_steps or AUTO_FIT_STEPS
        while self.done < total and not self.lost and not self._over():
            with unbroken():
                if self._advance(total - self.done):
                    self._record()
                    self.since_end += self.n_steps is None and self._ended()
            if not self.lost:
                report(self.done, total)

    def _over(self) -> bool:
        """Whether the rest, without a number of steps, would be plateau; a little of it shows where the line ends."""
        return self.n_steps is None and (self.since_end > 5 + self.done // 6 or self._is_flat())

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

    def conclude(self, lost: str) -> TwinGrowth:
        """The exponent, or why there is none."""
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
            straight = find_line(curves, self.groups, low=low, high=high)
            if straight is None:
                usable = max(usable_end(curves, low, high), 0)
                message = (
                    f"the distance stays between rounding ({np.exp(floor):.1e}) and saturation "
                    f"({np.exp(level):.1e}) for {usable} steps only, {LEAST_STEPS} are needed; "
                    f"change size ({self.size:.1e}) or take method='rescaled'"
                )
                return self._nothing(Status.UNRESOLVED, message, curves, steps)
            line = straight
        length = line.last - line.first
        if self._died(line.slopes, length, line.last):
            message = "a computed orbit repeats exactly although its neighbour is driven away"
            return self._nothing(Status.COLLAPSED, message, curves, steps)
        error = slope_error(curves, self.groups, line)
        verdict = Verdict()
        if self.window is None and not line.straight:
            message = (
                f"the slope changes within the window, steps {line.first} to {line.last}: "
                "the distance does not grow exponentially there"
            )
            verdict = Verdict(Status.NOT_CONVERGED, message)
        elif np.isinf(error):
            message = f"one pair over {length} steps gives no error bar"
            verdict = Verdict(Status.NOT_CONVERGED, message, Cause.TOO_SHORT)
        window = line.first, line.last
        return TwinGrowth(verdict, float(line.slopes.mean()), error, line.slopes, curves, steps, window, level)


class RescaledTwins(_Followed):
    """Pairs set back to their initial distance every few steps; the mean of their growth."""

    KEPT = (
        *(*_Followed.KEPT, "statistics", "records", "recorded", "measured", "farthest", "nearest"),
        *("merges", "near", "blocks", "aligned", "within", "start"),
    )

    def __init__(
        self,
        tangent_map: TangentMap,
        x: Array,
        rng: np.random.Generator,
        n_steps: int | None,
        settings: dict[str, Any],
    ) -> None:
        super().__init__(tangent_map, x, rng)
        self.n_steps = n_steps or AUTO_RESCALED_STEPS
        self.every: int = settings["renormalize_every"]
        self.statistics = GrowthStatistics(self.b, 1)
        self.aligned = 0
        """Rescalings that aligned the twins."""
        self.within = 0
        """Steps since the last rescaling."""
        self.start: Values = np.zeros(0)
        """Distances from which the steps since then began."""
        self.records: list[Values] = []
        self.recorded: list[int] = []
        self.measured = 0
        self.farthest, self.nearest = -np.inf, np.inf
        self.merges, self.near, self.blocks = 0, 0, 0

    def follow(self, report: Report) -> None:
        """Step the pairs until done or lost."""
        total = ALIGN_STEPS * self.every + self.n_steps
        if not self.start.size:
            self.start = self.pairs.distances()
        while self.measured < self.n_steps and not self.lost:
            aligning = self.aligned < ALIGN_STEPS
            length = self.every if aligning else min(self.every, self.n_steps - self.measured)
            with unbroken():
                self.within += 1
                if not self._advance(length - self.within + 1) or self.within < length:
                    continue
                noted = self._rescaled(length, aligning)
            if noted:
                report(self.done, total)

    def _rescaled(self, length: int, aligning: bool) -> bool:
        """Set the twins back after so many steps and count how they grew; whether that is worth telling."""
        grown = self._set_back()
        self.within = 0
        if aligning:
            self.aligned += 1
            if self.aligned == ALIGN_STEPS:
                self._note(0)
            return True
        self.statistics.add(grown[:, None], length)
        self.measured += length
        thin = max(1, self.n_steps // self.every // RECORDS)
        noted = (self.blocks - ALIGN_STEPS) % thin == 0 or self.measured == self.n_steps
        if noted:
            self._note(self.measured)
        return noted

    def _set_back(self) -> Values:
        """Growth of all pairs since they were last set back."""
        apart = self.pairs.distances()
        self.near += int((apart < resolution(self.map.ops.dtype, self.pairs.scale)).sum())
        merged = apart == 0
        if merged.any():
            # They shrank by more than can be seen: counted as one rounding, and placed anew.
            self.merges += int(merged.sum())
            apart = np.where(merged, np.finfo(self.map.ops.dtype).eps * self.pairs.scale, apart)
        self.blocks += 1
        self.farthest = max(self.farthest, float(np.log(apart.max())))
        growth: Values = np.log(apart / self.start)
        self.start = self.pairs.set_back()
        return growth

    def _note(self, step: int) -> None:
        self.records.append(np.log(self.size) + self.statistics.totals[:, 0].copy())
        self.recorded.append(step)

    def conclude(self, lost: str) -> TwinGrowth:
        """The exponent, or why there is none."""
        curves = np.array(self.records).T if self.records else np.zeros((self.b, 0))
        steps = np.array(self.recorded, np.int64)
        if lost or self.lost:
            return self._nothing(Status.ESCAPED, lost or self.lost, curves, steps)
        statistics = self.statistics
        all_blocks = self.blocks * self.b
        if not self.measured or self.merges > MERGES * all_blocks or self.near > NEAR * all_blocks:
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
        mean, error = float(statistics.mean()[0]), float(statistics.stderr()[0])
        verdict = Verdict()
        if self.farthest > level - MARGIN:
            message = (
                f"pairs grew to {np.exp(self.farthest):.1e} before they were set back, where states of the "
                f"attractor are {np.exp(level):.1e} apart; lower size or renormalize_every"
            )
            verdict = Verdict(Status.NOT_CONVERGED, message)
        elif np.isposinf(error):
            message = f"{self.measured} steps of {self.b} pairs are too few for an error bar"
            verdict = Verdict(Status.NOT_CONVERGED, message, Cause.TOO_SHORT)
        if mean > 0 and not statistics.grows_exponentially().any():
            error = max(error, mean)  # distances that grow like a power of time have rates no more certain than large
        return TwinGrowth(verdict, mean, error, rates, curves, steps, (0, self.measured), level)


def twins_demand(
    tangent_map: TangentMap, x: Array, settings: dict[str, Any], n_steps: int | None, method: str
) -> Demand:
    """What following pairs takes; with no `n_steps`, the most that are followed by themselves."""
    b, rescaled = int(x.shape[0]), method == "rescaled"
    steps = n_steps or (AUTO_RESCALED_STEPS if rescaled else AUTO_FIT_STEPS)

    def begin(rows: int) -> Advance:
        rng, some = np.random.default_rng(0), x[:rows]
        twins: FitTwins | RescaledTwins = (
            RescaledTwins(tangent_map, some, rng, 1, settings)
            if rescaled
            else FitTwins(tangent_map, some, rng, 1, None)
        )
        with suppress(Escape):
            twins.place(settings | {"transient": 0})

        def advance(steps: int) -> None:
            twins.n_steps = twins.done + steps
            twins.follow(lambda done, total: None)

        return advance

    kept = min(RECORDS, steps) if rescaled else steps
    arrays = [*of_states(tangent_map, b, copies=10), held("log distances", 3 * 8, trajectories=b, n_steps=kept + 1)]
    further = (ALIGN_STEPS * settings["renormalize_every"] if rescaled else 0) + settings["transient"] // 2
    return Demand(arrays, rows=b, steps=steps + further, begin=begin)
