"""A set of points as precision and recall see it: different points with their counts.

Their float32 products have a bounded rounding error, so that only the few pairs that it could
matter for are measured in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.ops import Array
from lyapmap.core.tiles import TileOps

KEPT_VALUES = 2**25
"""Augmented points are kept up to this many values (128 MB), else made again for every tile."""
LARGE_ROWS = 4096
"""Rows of a tile where they are not kept, so that they are made less often."""
CENTRE_SAMPLE = 1000
CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class Frame:
    """Where the float32 products have their origin, and their unit of length."""

    centre: NDArray[np.float64]
    scale: float

    def joined(self, other: Frame) -> Frame:
        """This origin, and the unit that lets both sets stay within the range of float32."""
        apart = float(np.abs(self.centre - other.centre).max()) * np.sqrt(len(self.centre))
        return Frame(self.centre, _power_below(1 / self.scale + 1 / other.scale + apart))


class Cloud:
    """Different points (u, d) of a set, how often each came, and which each sample is.

    Attributes
    ----------
    n : int
        Samples given, duplicates counted.
    points : (u, d)
        In the order of their first appearance.
    weights : (u,) float64
        How often each was given.
    inverse : (n,) int64
        Number of the point that each sample is.
    sample_shape : tuple of int
        As they were given.
    """

    def __init__(self, samples: Any, ops: TileOps, name: str) -> None:
        array = ops.points(samples, name)
        if array.ndim < 2 or 0 in tuple(array.shape[1:]):
            raise ShapeError(f"{name}: expected samples as rows (n, d), got shape {tuple(array.shape)}")
        self.n = int(array.shape[0])
        if self.n < 2:
            raise ShapeError(f"{name}: expected at least 2 samples, got {self.n}")
        self.sample_shape = tuple(int(size) for size in array.shape[1:])
        array = array.reshape(self.n, -1)
        self.ops, self.name = ops, name
        first, self.inverse = _different(array, ops, name)
        self.points = array if len(first) == self.n else ops.take(array, first)
        self.weights = np.bincount(self.inverse).astype(np.float64)
        self.frame = self._own_frame()
        self._kept: dict[tuple[float, int, bool], Array] = {}

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def d(self) -> int:
        """Values of a point."""
        return int(self.points.shape[1])

    @property
    def rounding(self) -> float:
        """c such that a float32 square is wrong by at most c (|x|^2 + |y|^2).

        N. J. Higham, "Accuracy and Stability of Numerical Algorithms" (2002), Eq. 3.5, for the dot
        product of d + 2 terms, with the rounding of the points themselves.
        """
        return 2 * (self.d + 10) * 2.0**-24

    def norms(self, frame: Frame) -> NDArray[np.float64]:
        """Squared norms (u,) in a frame."""
        found = np.empty(len(self))
        for some in self._chunks():
            centred = (self.ops.to_numpy(self.points, some.start, some.stop) - frame.centre) * frame.scale
            found[some] = np.einsum("ij,ij->i", centred, centred)
        return found

    def parts(self, frame: Frame, *, left: bool, first: int = 0) -> Iterator[tuple[slice, Array]]:
        """Augmented points from the `first` on, a tile's worth at a time, with their place."""
        keep = len(self) * (self.d + 2) <= KEPT_VALUES
        if keep:
            key = (frame.scale, id(frame.centre), left)
            if key not in self._kept:
                self._kept = {key: self.ops.augmented(self.points, frame.centre, frame.scale, left=left)}
            whole = self._kept[key]
        size = self.ops.columns if not left else self.ops.rows if keep else LARGE_ROWS
        for start in range(first, len(self), size):
            some = slice(start, min(start + size, len(self)))
            if keep:
                yield some, whole[some]
            else:
                yield some, self.ops.augmented(self.points[some], frame.centre, frame.scale, left=left)

    def release(self) -> None:
        """Forget what was kept for speed."""
        self._kept = {}

    def _chunks(self) -> Iterator[slice]:
        step = max(1, CHUNK_VALUES // self.d)
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))

    def _own_frame(self) -> Frame:
        u = len(self)
        # Medians of some points: outliers must not carry the origin away from the others.
        some = np.unique(np.linspace(0, u - 1, min(u, CENTRE_SAMPLE)).astype(np.int64))
        sample = self.ops.take(self.points, some)
        centre = np.median(self.ops.to_numpy(sample, 0, len(some)).astype(np.float64), axis=0)
        reach = 0.0
        for chunk in self._chunks():
            rows = self.ops.to_numpy(self.points, chunk.start, chunk.stop)
            with np.errstate(over="ignore"):
                reach = max(reach, float(np.abs(rows - centre).max()))
        if not reach < np.finfo(float).max / np.sqrt(self.d):
            raise LyapmapError(f"{self.name}: values as large as {reach:.1e} overflow; rescale them")
        return Frame(centre, _power_below(reach * np.sqrt(self.d)))


def _power_below(length: float) -> float:
    """The power of two that scales a length to between 1/2 and 1."""
    return 1.0 if length == 0 else float(2.0 ** -np.clip(np.ceil(np.log2(length)), -1000, 1000))


def _different(array: Array, ops: TileOps, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that first bring each point, and for each row the number of its point.

    By hashes of the bytes: sorting whole rows would take their memory once more.
    """
    n, d = (int(size) for size in array.shape)
    known: dict[bytes, int] = {}
    first: list[int] = []
    inverse = np.empty(n, np.int64)
    step = max(1, CHUNK_VALUES // d)
    for start in range(0, n, step):
        rows = ops.to_numpy(array, start, min(start + step, n)) + 0.0  # -0.0 is 0.0
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise LyapmapError(f"{name}: sample {start + int(finite.argmin())} is not finite")
        for i, row in enumerate(rows, start):
            key = _digest(row)
            place = known.setdefault(key, len(first))
            if place == len(first):
                first.append(i)
            inverse[i] = place
    return np.array(first, np.int64), inverse


def _digest(row: NDArray[Any]) -> bytes:
    from hashlib import blake2b

    raw = row.tobytes()
    return raw if len(raw) <= 32 else blake2b(raw, digest_size=16).digest()


def rounded_up(limit: NDArray[np.float64]) -> NDArray[np.float32]:
    """The next number of float32 above."""
    return np.nextafter(limit.astype(np.float32), np.float32(np.inf))
