"""Statistics of growth rates along trajectories, gathered in bounded memory.

Growth comes in blocks of steps. Blocks are kept as batch means over all trajectories; when there
are too many, neighbours are joined, so that their length follows the length of the run. The
standard error is that of batch means (M. Schmeiser 1982; batch length by doubling as in
H. Flyvbjerg and H. Petersen 1989), or the spread over trajectories where that is larger.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_BATCHES = 128
MIN_BATCHES = 16
"""Fewest batches from which a standard error is taken."""
SPREAD_TRAJECTORIES = 8
"""Fewest trajectories whose spread is looked at."""
HISTORY_PER_DECADE = 16

Matrix = NDArray[np.float64]


class GrowthStatistics:
    """Running mean, standard error and history of k growth rates of b trajectories."""

    def __init__(self, b: int, k: int) -> None:
        self.steps = 0
        self.totals: Matrix = np.zeros((b, k))
        self._sums: list[Matrix] = []  # of the trajectories' mean, (k,) each
        self._lengths: list[int] = []
        self._batch = 0  # steps of a full batch
        self._next_record = 1.0
        self._records: list[tuple[int, Matrix]] = []

    def add(self, log_growth: Matrix, n_steps: int) -> None:
        """Take in the growth (b, k) over a block; all blocks but the last have the same length."""
        self.totals += log_growth
        self.steps += n_steps
        self._batch = self._batch or n_steps
        total = log_growth.mean(axis=0)
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

    def mean(self) -> Matrix:
        """Growth per step, (k,), over all trajectories."""
        mean: Matrix = self.totals.mean(axis=0) / max(self.steps, 1)
        return mean

    def per_trajectory(self) -> Matrix:
        """Growth per step of each trajectory, (b, k)."""
        return self.totals / max(self.steps, 1)

    def stderr(self) -> Matrix:
        """Standard error of `mean`, (k,); infinite while there are too few batches, NaN for -inf."""
        variance: Matrix = np.full(self.totals.shape[1], np.inf)
        levels = self._levels()
        b = len(self.totals)
        with np.errstate(invalid="ignore"):  # exponents of -inf have no standard error: NaN
            if levels:
                variance = np.max([rates.var(axis=0, ddof=1) / len(rates) for rates in levels], axis=0)
            if b >= SPREAD_TRAJECTORIES:
                spread = self.per_trajectory().var(axis=0, ddof=1) / b
                variance = np.fmax(variance, spread) if levels else spread
        stderr: Matrix = np.sqrt(variance)
        return stderr

    def covariance(self) -> Matrix:
        """Covariance of `mean`, (k, k): correlations between batches, scaled to `stderr`."""
        levels = self._levels()
        stderr = self.stderr()
        if not levels or not np.isfinite(stderr).all():
            return np.diag(stderr**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.atleast_2d(np.corrcoef(levels[-1].T))
        correlation = np.nan_to_num(correlation, nan=0.0)
        np.fill_diagonal(correlation, 1.0)
        scaled: Matrix = correlation * np.outer(stderr, stderr)
        return scaled

    def history(self) -> tuple[NDArray[np.int64], Matrix]:
        """Steps (h,), about evenly spaced in their logarithm, and `mean` after each of them, (h, k)."""
        if not self._records or self._records[-1][0] != self.steps:
            self._record()
        steps, means = zip(*self._records, strict=True)
        return np.array(steps, np.int64), np.array(means)

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

    def _levels(self) -> list[Matrix]:
        """Batch rates (batches, k) of finite growth, each level with half as many as the one before."""
        full = [s / n for s, n in zip(self._sums, self._lengths, strict=True) if n == self._batch]
        levels = []
        rates = np.array(full)
        while len(rates) >= MIN_BATCHES:
            with np.errstate(invalid="ignore"):
                levels.append(rates)
                even = len(rates) // 2 * 2
                rates = 0.5 * (rates[0:even:2] + rates[1:even:2])
        return levels
