"""The one pass over all pairs of a generated and a real sample that precision and recall need.

Every pair is compared in float32. A pair whose comparison the rounding could turn is measured in
float64, so that all counts are those of float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.radii import Cloud, Frame, rounded_up
from lyapmap.core.ops import SMALLEST

NEAR = 0.05
"""Squared distances under this part of |x|^2 are measured in float64 where their logarithm counts."""
FAR = 1e30
"""Added to squares that shall never be the smallest: beyond all squares of the frame, and within float32."""

Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


@dataclass
class Pass:
    """What the pass gathers, for different points; K numbers of neighbours.

    Attributes
    ----------
    inside : (K, g) bool
        Whether a generated point lies within the sphere of a real one.
    spheres : (K, g)
        Within how many spheres of real samples.
    reached : (K, r) bool
        Whether a real point lies within the sphere of a generated one.
    covered : (K, r) bool
        Whether its own sphere holds a generated point.
    realism : (K, g)
        Largest ratio of a radius to the distance from its centre, large spheres left out.
    log_missed_real, log_missed_generated : (K, g), (K, r)
        Logarithm of the probability that no real (generated) sample stands for the point.
    copies : (g,) bool
        Whether the generated point is a real one.
    remeasured : int
        Pairs measured in float64.
    """

    inside: Flags
    spheres: Values
    reached: Flags
    covered: Flags
    realism: Values
    log_missed_real: Values
    log_missed_generated: Values
    copies: Flags
    remeasured: int = 0


@dataclass(frozen=True)
class Side:
    """A cloud with its radii (u, K), in units of the frame and their bounds for float32 squares."""

    cloud: Cloud
    radii: Values
    norms: Values
    surely: Values
    possibly: Values

    @classmethod
    def of(cls, cloud: Cloud, radii: Values, frame: Frame) -> Side:
        """|x|^2 of the point and the rounding constant bound what a square of float32 may be."""
        c, norms = cloud.rounding, cloud.norms(frame)
        slack = (3 * c * norms + SMALLEST)[:, None]
        squares = (radii * frame.scale) ** 2
        low = squares * (1 - 2 * c) * (1 - 1e-15) - slack
        return cls(cloud, radii, norms, low, squares * (1 + 2 * c) * (1 + 1e-15) + slack)


def compare_all(
    real: Side,
    generated: Side,
    frame: Frame,
    *,
    or_equal: bool,
    trusted: Flags,
    ceilings: tuple[list[float], list[float]],
    report: Callable[[int], None] = lambda rows: None,
) -> Pass:
    """Compare every generated with every real point.

    Parameters
    ----------
    real, generated : Side
    frame : Frame
    or_equal : bool
        Whether a point on the surface of a sphere lies within.
    trusted : (r, K) bool
        Spheres of real points that realism counts.
    ceilings : two lists of K
        Distances up to which a real, a generated point stands for others, with probability.
    report : callable
        Takes the rows finished.
    """
    run = _Run(real, generated, frame, or_equal, trusted, ceilings)
    for rows, left in generated.cloud.parts(frame, left=True):
        for cols, right in real.cloud.parts(frame, left=False):
            run.tile(rows, cols, generated.cloud.ops.squares(left, right))
        run.finish(rows)
        report(rows.stop - rows.start)
    return run.gathered


class _Run:
    def __init__(
        self,
        real: Side,
        generated: Side,
        frame: Frame,
        or_equal: bool,
        trusted: Flags,
        ceilings: tuple[list[float], list[float]],
    ) -> None:
        self.real, self.generated, self.frame = real, generated, frame
        self.less = np.less_equal if or_equal else np.less
        self.trusted, self.ceilings = trusted, ceilings
        self.squared = tuple([(c * frame.scale) ** 2 for c in side] for side in ceilings)
        r, g, K = len(real.cloud), len(generated.cloud), real.radii.shape[1]
        self.gathered = Pass(
            np.zeros((K, g), bool),
            np.zeros((K, g)),
            np.zeros((K, r), bool),
            np.zeros((K, r), bool),
            np.zeros((K, g)),
            np.zeros((K, g)),
            np.zeros((K, r)),
            np.zeros(g, bool),
        )
        # Spheres that do not count, or have no extent, are moved out of the way.
        counting = trusted & (real.radii > 0)
        with np.errstate(divide="ignore", over="ignore"):
            inverse = np.where(counting, np.minimum((real.radii * frame.scale) ** -2.0, FAR), 0)
        self.inverse = np.ascontiguousarray(inverse.T, dtype=np.float32)
        self.offset = np.ascontiguousarray(np.where(counting, 0, FAR).T, dtype=np.float32)
        self.column_limit = rounded_up(real.possibly[:, -1])
        self.near = min(300 * real.cloud.rounding, NEAR) * generated.norms + SMALLEST
        self.row_limit = rounded_up(np.maximum(generated.possibly[:, -1], self.near))
        self.row_weights = generated.cloud.weights.astype(np.float32)
        self.column_weights = real.cloud.weights.astype(np.float32)
        self._best = np.full((K, g), np.inf, np.float32)
        self._where = np.zeros((K, g), np.int64)

    def tile(self, rows: slice, cols: slice, squares: object) -> None:
        gathered, ops = self.gathered, self.generated.cloud.ops
        j, i, values = ops.within(squares, self.row_limit[rows], self.column_limit[cols])
        j, i = j + rows.start, i + cols.start
        self._pairs(j, i, values)
        least, where = ops.row_argmin(squares, self.inverse[:, cols], self.offset[:, cols], self._best[:, rows])
        better = least < self._best[:, rows]
        self._best[:, rows][better] = least[better]
        self._where[:, rows][better] = where[better] + cols.start
        weights = self.row_weights[rows], self.column_weights[cols]
        by_row, by_column = ops.log_sums(squares, self.squared[0], self.squared[1], *weights)
        gathered.log_missed_real[:, rows] += by_row / 2
        gathered.log_missed_generated[:, cols] += by_column / 2

    def finish(self, rows: slice) -> None:
        """Measure the spheres that give the largest ratio, once all real points have been seen."""
        gathered, real = self.gathered, self.real
        here = np.arange(rows.start, rows.stop)
        for k, where in enumerate(self._where[:, rows]):
            distance = self._measured(here, where)
            radius = np.where(self.trusted[where, k], real.radii[where, k], 0.0)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(radius > 0, radius / distance, 0.0)
            gathered.realism[k, rows] = np.maximum(gathered.realism[k, rows], ratio)

    def _measured(self, j: NDArray[np.int64], i: NDArray[np.int64]) -> Values:
        clouds = self.generated.cloud, self.real.cloud
        return clouds[0].ops.distances(clouds[0].points, j, clouds[1].points, i, self.frame.scale)

    def _pairs(self, j: NDArray[np.int64], i: NDArray[np.int64], squares: Values) -> None:
        """Generated points j and real points i that are near enough to matter."""
        gathered, real, generated = self.gathered, self.real, self.generated
        K = len(gathered.inside)
        near = squares <= self.near[j]
        unsure = near.copy()
        for k in range(K):
            for side, at in ((real, i), (generated, j)):
                unsure |= (squares > side.surely[at, k]) & (squares <= side.possibly[at, k])
        where = np.flatnonzero(unsure)
        exact = self._measured(j[where], i[where])
        gathered.remeasured += len(where)
        self._touching(j[where], i[where], exact)
        weights = real.cloud.weights[i]
        for k in range(K):
            within = squares <= real.surely[i, k]
            within[where] = self.less(exact, real.radii[i[where], k])
            gathered.inside[k, j[within]] = True
            gathered.covered[k, i[within]] = True
            gathered.spheres[k] += np.bincount(j, weights * within, minlength=gathered.spheres.shape[1])
            within = squares <= generated.surely[j, k]
            within[where] = self.less(exact, generated.radii[j[where], k])
            gathered.reached[k, i[within]] = True
        self._mend_logs(j[where], i[where], squares[where], exact)

    def _touching(self, j: NDArray[np.int64], i: NDArray[np.int64], exact: Values) -> None:
        """A copy of a real sample has the realism of its centre: infinite, 1 where the sphere is a point."""
        same = exact == 0
        j, i = j[same], i[same]
        self.gathered.copies[j] = True
        for k in range(len(self.gathered.realism)):
            value = np.where(self.trusted[i, k], np.where(self.real.radii[i, k] > 0, np.inf, 1.0), 0.0)
            np.maximum.at(self.gathered.realism[k], j, value)

    def _mend_logs(self, j: NDArray[np.int64], i: NDArray[np.int64], squares: Values, exact: Values) -> None:
        """Put measured distances in the place of what float32 made of them."""
        gathered, weights = self.gathered, (self.real.cloud.weights[i], self.generated.cloud.weights[j])
        for k in range(len(gathered.inside)):
            for sums, at, side in ((gathered.log_missed_real, j, 0), (gathered.log_missed_generated, i, 1)):
                ceiling, squared = self.ceilings[side][k], self.squared[side][k]
                was = np.minimum(np.log(np.maximum(squares, SMALLEST) / squared), 0) / 2
                with np.errstate(divide="ignore"):
                    now = np.minimum(np.log(np.maximum(exact, 0) / ceiling), 0)
                np.add.at(sums[k], at, weights[side] * (np.maximum(now, -1e4) - was))
