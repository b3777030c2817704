"""Statistics of growth rates along trajectories, gathered in bounded memory.

Growth comes in blocks of steps. Blocks are kept as batch means of up to eight groups of
trajectories; when there are too many, neighbours are joined, so that their length follows the
length of the run. The variance of the mean comes from batches pooled over the groups:

- Batch length by doubling (H. Flyvbjerg, H. Petersen, J. Chem. Phys. 91, 461, 1989): the longest
  that leaves `WANTED` batches, longer while neighbours are still correlated, with the covariance
  of neighbours counted in.
- Where sums over batches do not grow with their length, as for an exponent that is zero or a
  coordinate function's (logistic map at r = 4), only the ends count: the error falls as 1 / n.
- A longer batch, or the spread over trajectories, whose variance is larger beyond chance, counts
  instead: sticky orbits and several attractors widen the error.

`docs/calibration.md` shows how often intervals from these errors hold the true value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.journal import Resumable

MAX_BATCHES = 128
"""Batches kept of each group: with more, neighbours are joined, so that memory does not grow with the run. Of 128,
joined ones still leave the 64 to 128 that the choice of a length needs."""
MIN_BATCHES = 4
"""Fewest batches of a length in each group whose neighbours can be compared; a single group needs 8."""
MIN_SAMPLES = 16
"""Fewest batches, all groups together, from which a standard error is taken: it is then known to 1 / sqrt(2 * 15),
about 18 %."""
MANY = 32
"""Batches into which a run is cut to see whether it forgets: a memory of a 32nd of the run or more makes its
errors a guess, and 32 batches show a correlation above 1 / sqrt(32)."""
GROUPS = 8
"""Groups of trajectories whose batches are kept apart. Memory and time are then those of eight trajectories, while
the pooled variance still rests on independent groups."""
WANTED = 96
"""Batches, all groups together, that make the variance known to sqrt(2 / 95), about 15 %. With 32, intervals
covered 89 to 97 % (`docs/calibration.md`)."""
CORRELATED = 1.5
"""Standard errors above zero at which neighbouring batches count as correlated. Low on purpose: a length taken too
long costs a little precision, one too short makes the error too small."""
BEYOND_CHANCE = 2.33
"""Normal quantile (99 %) at which one variance counts as larger than another: the largest of several noisy
variances is too large by chance alone, which covered up to 100 % (`docs/calibration.md`)."""
MIN_COMPARED, MIN_SPREAD = 3, 8
"""Fewest trajectories whose spread is held against the batches, and whose spread alone, without batches, is an
error (known then to 1 / sqrt(14), about 27 %)."""
HISTORY_PER_DECADE = 16
"""Records of the running mean: points of a curve that look even on a logarithmic axis."""
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class _Level:
    """Batches of one length: how many in each group (n) of how many (g), their moments."""

    n: int
    g: int
    variance: Matrix  # (k,) of batch rates about the mean of all
    neighbours: Matrix  # (k,) covariance of neighbouring batches
    deviations: Matrix  # (n, g, k)

    @classmethod
    def of(cls, rates: Matrix, weights: Matrix) -> _Level:
        n, g, _ = rates.shape
        deviations = (rates - rates.mean(axis=(0, 1))) * weights[:, None]
        variance = (deviations**2).sum(axis=(0, 1)) / (n * g - 1)
        neighbours = (deviations[1:] * deviations[:-1]).sum(axis=(0, 1)) / ((n - 1) * g)
        return cls(n, g, variance, neighbours, deviations)

    @property
    def samples(self) -> int:
        return self.n * self.g

    def correlation(self) -> Matrix:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.nan_to_num(self.neighbours / self.variance, nan=0.0))


class GrowthStatistics(Resumable):
    """Running mean, standard error and history of k growth rates of b trajectories."""

    KEPT = ("steps", "totals", "_squares", "_sums", "_lengths", "_batch", "_next_record", "_records", "_shape")

    def __init__(self, b: int, k: int) -> None:
        self.steps = 0
        self.totals: Matrix = np.zeros((b, k))
        self._squares: Matrix = np.zeros((b, k))  # of growth rates over blocks, weighted by their length
        self._edges = np.linspace(0, b, min(b, GROUPS) + 1).astype(np.int64)
        self._sizes = np.diff(self._edges)
        self._sums: list[Matrix] = []  # (g, k) each: of the groups' means
        self._lengths: list[int] = []
        self._batch = 0  # steps of a full batch
        self._next_record = 1.0
        self._records: list[tuple[int, Matrix]] = []
        self._known: tuple[int, list[_Level]] = (-1, [])
        self._known_stderr: tuple[int, Matrix] = (-1, self.totals)
        self._shape = GrowthShape(b)

    def add(self, log_growth: Matrix, n_steps: int) -> None:
        """Take in the growth (b, k) over a block; all blocks but the last have the same length."""
        self.extend(log_growth[None], n_steps)

    def extend(self, log_growths: Matrix, n_steps: int) -> None:
        """Take in the growth (m, b, k) over m blocks of `n_steps` each, as `add` would one by one."""
        with np.errstate(invalid="ignore"):
            squares = log_growths**2 / n_steps
        self._batch = self._batch or n_steps
        of_groups = np.add.reduceat(log_growths, self._edges[:-1], axis=1) / self._sizes[:, None]
        # Added up in the order of the blocks, so that sums do not depend on how many come together.
        for growth, square, total in zip(log_growths, squares, of_groups, strict=True):
            self.totals += growth
            self._squares += square
            self.steps += n_steps
            self._shape.note(self.steps, self.totals[:, 0].copy())
            if self._lengths and self._lengths[-1] < self._batch:
                self._sums[-1] = self._sums[-1] + total
                self._lengths[-1] += n_steps
            else:
                self._sums.append(total)
                self._lengths.append(n_steps)
            if len(self._sums) > MAX_BATCHES:
                self._join()
            if self.steps >= self._next_record:
                self._record()

    def grows_exponentially(self) -> NDArray[np.bool_]:
        """For each trajectory, (b,), whether its leading direction has grown as no power of time does."""
        return self._shape.exponential()

    def folds(self) -> Matrix:
        """Nats that each direction gained, (k,), in the mean over trajectories, over half of the run.

        From its second quarter to its last: vectors that grow like t gain ln 2 however long the run is.
        """
        if not self._sums:
            return np.zeros(self.totals.shape[1])
        weights = (self._sizes / self._sizes.sum())[:, None]
        level = np.cumsum((np.array(self._sums) * weights).sum(axis=1), axis=0)
        return folds(np.cumsum(self._lengths), level, level)[0]

    def mean(self) -> Matrix:
        """Growth per step, (k,), over all trajectories."""
        mean: Matrix = self.totals.mean(axis=0) / max(self.steps, 1)
        return mean

    def per_trajectory(self) -> Matrix:
        """Growth per step of each trajectory, (b, k)."""
        return self.totals / max(self.steps, 1)

    def stderr(self) -> Matrix:
        """Standard error of `mean`, (k,); infinite while there are too few batches, NaN for -inf."""
        if self._known_stderr[0] == self.steps:
            return self._known_stderr[1].copy()
        b, k = self.totals.shape
        levels = self._levels()
        variance: Matrix = self._variance_of_mean(levels) if levels else np.full(k, np.inf)
        if b >= (MIN_COMPARED if levels else MIN_SPREAD):
            with np.errstate(invalid="ignore"):  # exponents of -inf have no standard error: NaN
                spread = self.per_trajectory().var(axis=0, ddof=1) / b
            variance = _larger_beyond_chance(variance, spread, b - 1) if levels else spread
        stderr: Matrix = np.sqrt(variance)
        self._known_stderr = (self.steps, stderr)
        return stderr.copy()

    def within(self) -> Matrix:
        """Standard error of each trajectory's growth rate, (b, k), from its variation in time alone.

        From its variation between blocks, with what correlations in time make of it for all
        together. Infinite while there are too few batches. Differences between trajectories that go
        beyond it are differences between attractors, or too slow for the run.
        """
        levels = self._levels(within_groups=True)
        b, k = self.totals.shape
        if not levels:
            return np.full((b, k), np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            square = self._squares / self.steps
            own = square - self.per_trajectory() ** 2
            own = np.where(own > 1e-12 * square, own, 0.0)  # of a constant, rounding is left
            all_together = own.mean(axis=0)
            share = np.where(all_together > 0, own / all_together, 1.0)
            return np.asarray(np.sqrt(self._variance_of_mean(levels) * b * share))

    def drift(self) -> Matrix:
        """Mean over the second half of the run minus that over the first, (k,); NaN for a single batch."""
        full = [s / n for s, n in zip(self._sums, self._lengths, strict=True) if n == self._batch]
        half = len(full) // 2
        if half == 0:
            return np.full(self.totals.shape[1], np.nan)
        rates = (np.array(full) * (self._sizes / self._sizes.sum())[:, None]).sum(axis=1)
        with np.errstate(invalid="ignore"):
            return np.asarray(rates[-half:].mean(axis=0) - rates[:half].mean(axis=0))

    def covariance(self) -> Matrix:
        """Covariance of `mean`, (k, k): correlations between batches, scaled to `stderr`."""
        levels = self._levels()
        stderr = self.stderr()
        if not levels or not np.isfinite(stderr).all():
            return np.diag(stderr**2)
        level = levels[_working(levels)]
        flat = level.deviations.reshape(level.samples, -1)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.atleast_2d(np.corrcoef(flat.T))
        correlation = np.nan_to_num(correlation, nan=0.0)
        np.fill_diagonal(correlation, 1.0)
        scaled: Matrix = correlation * np.outer(stderr, stderr)
        return scaled

    def effective_samples(self) -> Matrix:
        """Independent samples, (k,), of a growth rate over `batch_steps` steps that `stderr` amounts to.

        As many as there are batches where these are independent; fewer where growth varies slowly;
        more where what one batch gains the next one loses. NaN where nothing varies.
        """
        levels = self._levels()
        if not levels:
            return np.full(self.totals.shape[1], np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(levels[0].variance > 0, levels[0].variance / self.stderr() ** 2, np.nan))

    def mixing(self) -> tuple[Matrix, float]:
        """Correlation of neighbouring batches, (k,), each a 32nd of the run or less, and its standard error.

        Where it is clearly positive the run is not much longer than what growth remembers, and its
        errors are a guess. NaN while there are too few batches.
        """
        long = [level for level in self._levels() if level.n >= MANY]
        if not long:
            return np.full(self.totals.shape[1], np.nan), np.inf
        return long[-1].correlation(), 1 / np.sqrt(long[-1].samples)

    @property
    def batch_steps(self) -> int:
        """Steps of one batch."""
        return self._batch

    @property
    def batches(self) -> int:
        """Batches of all groups of trajectories."""
        return sum(length == self._batch for length in self._lengths) * len(self._sizes)

    def history(self) -> tuple[NDArray[np.int64], Matrix]:
        """Steps (h,), about evenly spaced in their logarithm, and `mean` after each of them, (h, k)."""
        if not self._records or self._records[-1][0] != self.steps:
            self._record()
        steps, means = zip(*self._records, strict=True)
        return np.array(steps, np.int64), np.array(means)

    def error_history(self) -> tuple[NDArray[np.int64], Matrix]:
        """Steps (e,), doubling towards the last, and the standard error after each of them, (e, k).

        From the batches at hand, so that a run shows whether its error falls as it should.
        """
        full = sum(length == self._batch for length in self._lengths)
        counts = [full >> shift for shift in range(1, full.bit_length())]
        history = [(self.steps, self.stderr())]
        for count in counts:
            levels = self._levels(count)
            if not levels:
                break
            with np.errstate(invalid="ignore"):
                history.append((count * self._batch, np.sqrt(self._variance_of_mean(levels))))
        steps, errors = zip(*reversed(history), strict=True)
        return np.array(steps, np.int64), np.array(errors)

    def _record(self) -> None:
        self._records.append((self.steps, self.mean()))
        while self._next_record <= self.steps:
            self._next_record *= 10 ** (1 / HISTORY_PER_DECADE)

    def _join(self) -> None:
        """Join neighbouring batches; the last may stay unpaired and is filled up by what follows."""
        self._batch *= 2
        pairs = range(0, len(self._sums), 2)
        self._sums = [np.sum(self._sums[i : i + 2], axis=0) for i in pairs]
        self._lengths = [sum(self._lengths[i : i + 2]) for i in pairs]

    def _levels(self, count: int | None = None, *, within_groups: bool = False) -> list[_Level]:
        """The first `count` batches (all by default), and those of each length doubled from one level to the next."""
        usual = count is None and not within_groups
        if usual and self._known[0] == self.steps:
            return self._known[1]
        full = [s / n for s, n in zip(self._sums, self._lengths, strict=True) if n == self._batch]
        g = len(self._sizes)
        least = max(MIN_BATCHES, 8 if g == 1 else 0)
        # Groups of unlike size vary unlike; weighted so, their pooled variance is that of the mean of all.
        weights = np.sqrt(self._sizes * g / self._sizes.sum())
        levels: list[_Level] = []
        rates = np.array(full[:count])
        with np.errstate(invalid="ignore"):
            if within_groups and len(rates):
                rates = rates - rates.mean(axis=0)
            while len(rates) >= least and len(rates) * g >= MIN_SAMPLES / (2 if levels else 1):
                levels.append(_Level.of(rates, weights))
                even = len(rates) // 2 * 2
                rates = 0.5 * (rates[0:even:2] + rates[1:even:2])
        if usual:
            self._known = (self.steps, levels)
        return levels

    def _variance_of_mean(self, levels: list[_Level]) -> Matrix:
        """Variance of the mean of all batches, (k,).

        Were batches independent, it would be their variance over their number, at any length. So the shortest
        length is sought at which that holds: short batches are many and their variance is well known, but
        growth that varies slowly makes neighbours alike. For each exponent by itself:

        1. Begin with the longest batches of which there are `WANTED`. Double the length as long as neighbours are
           correlated beyond chance.
        2. Count the covariance of neighbours in, once for each side: var(mean) = (c_0 + 2 c_1) / samples, exact where
           only neighbours are correlated. Batches that are anticorrelated by chance would make it too small, or
           negative; a quarter of c_0 is left at least, which anticorrelation of -3/8 would leave.
        3. A longer length counts instead where it says clearly more: correlations too weak to be seen between
           neighbours add up. Not simply the largest of all, which is too large by chance.
        4. If even the longest batches are correlated, the run is carried on by the power with which sums have grown
           until there (`_still_to_come`).
        5. Where sums do not grow at all, the ends of the run are all that is left: the sum over the run varies like
           that over one batch, so that the mean of n batches in g groups has variance c_0 / (n^2 g).

        What each step mends is told in `docs/calibration.md`, how the estimator was chosen.
        """
        first = _working(levels)
        with np.errstate(invalid="ignore", divide="ignore"):
            level_of = np.full(self.totals.shape[1], first)
            for i, level in enumerate(levels[first:-1], first):
                # The correlation of m independent pairs scatters by 1 / sqrt(m).
                correlated = level.correlation() > CORRELATED / np.sqrt(level.samples)
                level_of = np.where((level_of == i) & correlated, i + 1, level_of)
            variance = np.zeros(self.totals.shape[1])
            for i, level in enumerate(levels[first:], first):
                both = np.maximum(level.variance + 2 * level.neighbours, 0.25 * level.variance)
                variance = np.where(level_of == i, both / level.samples, variance)
            for i, level in enumerate(levels[first + 1 :], first + 1):
                wider = _larger_beyond_chance(variance, level.variance / level.samples, level.samples - 1)
                variance = np.where(i > level_of, wider, variance)
            variance = np.where(level_of == len(levels) - 1, variance * _still_to_come(levels, first), variance)
            working = levels[first]
            ends = working.variance / (working.n**2 * working.g)
            return np.asarray(np.where(_telescopes(levels), ends, variance))


def _working(levels: list[_Level]) -> int:
    """The longest batches of which there are enough."""
    return max((i for i, level in enumerate(levels) if level.samples >= WANTED), default=0)


def _still_to_come(levels: list[_Level], first: int) -> Matrix:
    """Factor for variances that still grow with the batch at the longest one: sticky orbits.

    Sums over L steps vary as L^p, rates as L^(p - 2); p = 1 where steps are independent, and more where correlations
    fall off slowly. From the n longest batches to the whole run the variance of the rate falls by n^(p - 2) instead
    of 1 / n: hence the factor n^(p - 1). p is read off the batches at hand; 2, where nothing averages out, is the most.
    """
    last = levels[-1]
    doublings = len(levels) - 1 - first
    power = 2 + np.log2(last.variance / levels[first].variance) / max(doublings, 1)
    correlated = last.correlation() > CORRELATED / np.sqrt(last.samples)
    return np.asarray(np.where(correlated, last.n ** np.clip(np.nan_to_num(power, nan=1.0) - 1, 0, 1), 1.0))


def _larger_beyond_chance(variance: Matrix, other: Matrix, freedom: int) -> Matrix:
    """`other`, of so many degrees of freedom, where its lower confidence limit is above `variance`.

    The cube root of chi square over its freedom f is nearly normal, with mean 1 - 2 / 9 f and variance 2 / 9 f
    (E. Wilson, M. Hilferty 1931). NaN and infinities pass on.
    """
    limit = 1 / (1 - 2 / (9 * freedom) + BEYOND_CHANCE * np.sqrt(2 / (9 * freedom))) ** 3
    with np.errstate(invalid="ignore"):
        wider: Matrix = np.where(~(other * limit <= variance), other, variance)
    return wider


def _telescopes(levels: list[_Level]) -> NDArray[np.bool_]:
    """Whether sums over batches keep their size when batches grow: what one gains the next one loses.

    So does the growth of a vector along a closed orbit, or a coordinate function's (logistic map at r = 4): a
    sum is the difference of a bounded function at its two ends. Its variance grows like L^0, where independent
    steps give L^1, and neighbours, which share an end, are correlated by -1/2, where independent ones are by 0.
    Both must be nearer to the first: 0.6 and -0.3. Of few batches, as of a single group, that is more often
    chance, and 0.3 and -0.4 are asked for. Batches up to an 80th of the run or longer are used, since short
    ones still feel the steps one by one.
    """
    nothing = np.zeros(levels[0].variance.shape, bool)
    used = [level for level in levels if level.n <= 80] or levels[-1:]
    doublings = len(used) - 1
    if doublings < 2:
        return nothing
    growth = 2 + np.log2(used[-1].variance / used[0].variance) / doublings
    correlation = np.mean([level.correlation() for level in used if level.samples >= MIN_SAMPLES], axis=0)
    few = used[-1].samples < 4 * GROUPS
    return np.asarray((growth < (0.3 if few else 0.6)) & (correlation < (-0.4 if few else -0.3)))


WINDOWS = 64
"""Windows of time, at most, of which the extremes of each trajectory's leading growth are kept: when there are
more, pairs are joined, so that 32 at least remain and each sixteenth of the run holds two."""
FEWEST_FOLDS, MANY_FOLDS = 4 * float(np.log(2)), 8 * float(np.log(2))
"""Nats gained from the second quarter of a run to its last. t^m gains m ln 2 there however long the run is, so
that 4 ln 2 rules out powers up to t^4 (a shear grows like t, a degenerate one like t^2); from 8 ln 2 on nobody
asks whether it gained more before."""


class GrowthShape(Resumable):
    """Highest and lowest growth of each of b trajectories in at most `WINDOWS` windows of time."""

    KEPT = ("_windows", "_blocks_per_window", "_open")

    def __init__(self, b: int) -> None:
        self._b = b
        self._windows: list[tuple[int, Matrix, Matrix]] = []  # last step, highest, lowest growth (b,)
        self._blocks_per_window = 1
        self._open = 0  # blocks in the last window

    def note(self, steps: int, growth: Matrix) -> None:
        """Take growth (b,) after so many steps into the last window, or a new one."""
        if 0 < self._open < self._blocks_per_window:
            _, high, low = self._windows[-1]
            self._windows[-1] = steps, np.maximum(high, growth), np.minimum(low, growth)
            self._open += 1
            return
        if len(self._windows) == WINDOWS:
            pairs = zip(self._windows[::2], self._windows[1::2], strict=True)
            self._windows = [(b[0], np.maximum(a[1], b[1]), np.minimum(a[2], b[2])) for a, b in pairs]
            self._blocks_per_window *= 2
        self._windows.append((steps, growth, growth))
        self._open = 1

    def exponential(self) -> NDArray[np.bool_]:
        """For each trajectory, (b,), whether growth goes on as it began.

        A power of time gains twice as much early as late, exp(c t) about half.
        """
        if not self._windows:
            return np.zeros(self._b, bool)
        ends, high, low = zip(*self._windows, strict=True)
        late, early = folds(np.array(ends), np.array(high), np.array(low))
        with np.errstate(invalid="ignore"):
            return np.asarray((late > FEWEST_FOLDS) & ((late > early) | (late > MANY_FOLDS)))


def folds(ends: NDArray[np.int64], high: Matrix, low: Matrix) -> tuple[Matrix, Matrix]:
    """Growth from the second quarter of a run to the last, and from its second sixteenth to the second quarter.

    Of the highest and of the lowest values (m, ...) in windows that end at `ends`; of the late
    growth the one that is nearer to zero: growth that oscillates, as along a libration, moves one of them only.
    """
    share = ends / ends[-1]
    late, middle, early = share > 0.75, (share > 0.25) & (share <= 0.5), (share > 1 / 16) & (share <= 1 / 8)
    if not (middle.any() and early.any()):  # too coarse: all of the growth, against t^4
        return 0.5 * low[-1], np.full(low.shape[1:], 2 * np.log(ends[-1]))
    with np.errstate(invalid="ignore"):
        tops = high[late].max(axis=0) - high[middle].max(axis=0)
        floors = low[late].min(axis=0) - low[middle].min(axis=0)
        before = high[middle].max(axis=0) - high[early].max(axis=0)
        before = 0.5 * (before + low[middle].min(axis=0) - low[early].min(axis=0))
        agree = tops * floors > 0
        return np.where(agree, np.sign(tops) * np.minimum(np.abs(tops), np.abs(floors)), 0.0), before
