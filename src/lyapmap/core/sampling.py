"""When values were taken: the step of a clock, and where it left some out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError

JITTER = 0.02
"""How far a step may be from a whole number of the usual ones: clocks round and tremble."""


def regular_times(
    times: Any, name: str = "time", lines: Sequence[int] | None = None
) -> tuple[float, NDArray[np.int64]]:
    """Step of ascending times, and the number of steps from the first time to each.

    Steps of two, three or more times the usual one are gaps: numbers are left out there.

    `lines` are the lines of a file that the times are on, for the error.

    Raises
    ------
    LyapmapError
        If the times do not ascend, or their steps are no whole numbers of the usual one.

    Examples
    --------
    >>> step, places = regular_times([0.0, 0.5, 1.0, 2.5])
    >>> step, places.tolist()
    (0.5, [0, 1, 2, 5])
    """

    def at(place: int) -> str:
        return f"row {place}" if lines is None else f"line {lines[place]}"

    clock = np.asarray(times, dtype=np.float64)
    steps = np.diff(clock)
    if len(clock) < 2 or not np.isfinite(clock).all() or not (steps > 0).all():
        late = "" if len(clock) < 2 or (steps > 0).all() else f"; {at(int((steps <= 0).argmax()) + 1)} is no later"
        raise LyapmapError(f"{name}: expected ascending times{late}")
    step = float(np.median(steps))
    counts = np.rint(steps / step)
    off = np.abs(steps / step - counts) > JITTER
    if off.any() or (counts < 1).any():
        where = int((off | (counts < 1)).argmax())
        raise LyapmapError(
            f"{name}: the values were not taken at equal steps ({steps[where]:.4g} after {at(where)}, "
            f"{step:.4g} as a rule); interpolate them to equal steps first"
        )
    total = counts.sum()
    return float(f"{(clock[-1] - clock[0]) / total:.12g}"), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def with_gaps(values: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows at their places, with NaN where the clock left some out; long gaps are cut to one row of NaN."""
    if len(places) == places[-1] + 1:
        return values
    steps = np.minimum(np.diff(places), 2)
    kept = np.concatenate([[0], np.cumsum(steps)])
    rows = np.full((kept[-1] + 1, *values.shape[1:]), np.nan)
    rows[kept] = values
    return rows
