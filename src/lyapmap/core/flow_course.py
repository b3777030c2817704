"""Trajectories of a flow on their way through one time tau."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.ops import Array, ArrayOps

Point = tuple[Array, Array]
"""States and tangents, or their velocities; without tangents the second is None."""


@dataclass
class Course:
    """States and tangents of b trajectories on their way through one time tau.

    Attributes
    ----------
    x : (b, n)
    v : (b, n, k) or None
        Tangents since they were last orthonormalized: those that began the time tau are now
        `v @ factor`.
    factor : (b, k, k) float64 NumPy, or None where they never were
    log_growth : (b, k) float64 NumPy
        log|diag factor|, which does not underflow.
    steps : (b,)
        Steps tried.
    swayed : (b,) bool
        Whether tangents made a step other than the states alone would have taken.
    stiff : (b,) bool
        Whether the stiff method had to help.
    lost : (b,) bool
        Whether the orbit left for infinity; x and v are NaN.
    """

    x: Array
    v: Array
    factor: NDArray[np.float64] | None = None
    log_growth: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    steps: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    swayed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    stiff: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    lost: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        b = int(self.x.shape[0])
        self.log_growth = np.zeros((b, 0 if self.v is None else self.v.shape[2]))
        self.steps = np.zeros(b, np.int64)
        self.swayed, self.stiff, self.lost = (np.zeros(b, bool) for _ in range(3))

    def turn(self, rows: NDArray[np.int64], r: NDArray[np.float64], logs: NDArray[np.float64] | None = None) -> None:
        """Take note that the tangents of some rows are now those before times the inverse of r (m, k, k).

        `logs` are log|diag r|, for an r that underflows.
        """
        if self.factor is None:
            b, k = self.log_growth.shape
            self.factor = np.broadcast_to(np.eye(k), (b, k, k)).copy()
        self.factor[rows] = r @ self.factor[rows]
        if logs is None:
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        self.log_growth[rows] += logs

    def tangents(self, ops: ArrayOps) -> Array:
        """What became of the tangents that began."""
        return self.v if self.factor is None else ops.matmul(self.v, ops.from_numpy(self.factor))


def taken(ops: ArrayOps, array: Array, rows: NDArray[np.int64]) -> Array:
    return array if array is None or rows.size == array.shape[0] else ops.take(array, rows)


def replaced(ops: ArrayOps, old: Array, new: Array, rows: NDArray[np.int64]) -> Array:
    """An array whose rows of those numbers are taken from `new`, in order."""
    b = int(old.shape[0])
    if rows.size == b:
        return new
    index = np.arange(b)
    index[rows] = b + np.arange(rows.size)
    # Gathered rather than written into, which not every library's arrays allow.
    return ops.take(ops.concatenate([old, new], 0), index)


def spoilt(ops: ArrayOps, point: Point, lost: NDArray[np.bool_]) -> Point:
    nothing = np.where(lost, np.nan, 0.0)
    x, v = point
    return x + ops.from_numpy(nothing[:, None]), None if v is None else v + ops.from_numpy(nothing[:, None, None])
