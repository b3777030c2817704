"""Does growth go on exponentially, or like a power of time?

Tangents of an integrable system grow like t: ln T / T is then larger than any error bar of a short run, and no
exponent. What tells the two apart is how growth is spread over the run.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WINDOWS = 64
"""Windows of time, at most, of which the extremes of each trajectory's leading growth are kept."""
FEWEST_FOLDS, MANY_FOLDS = 4 * float(np.log(2)), 8 * float(np.log(2))
"""Nats gained from the second quarter of a run to its last: what exponential growth gains at least, so
that t^4 does not look like it; and from which on nobody asks whether it gained more before."""

Matrix = NDArray[np.float64]


class GrowthShape:
    """Highest and lowest growth of each of b trajectories in at most `WINDOWS` windows of time."""

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
