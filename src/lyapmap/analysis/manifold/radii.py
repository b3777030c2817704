"""Distance of every point of a cloud to its k-th nearest neighbour: the radii of the spheres.

Found in two steps: float32 products, whose rounding error is bounded, leave few pairs that could
matter; those are measured in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.duplicates import first_appearances
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.ops import SMALLEST, Array, TileOps

KEPT_NEIGHBORS = 2**22
"""Up to this many the neighbours of all points are gathered at once, from half of the tiles."""


def radii(cloud: Cloud, ks: tuple[int, ...], report: Callable[[int], None] = lambda rows: None) -> NDArray[np.float64]:
    """Distance of every different point to its k-th nearest other sample, (u, K).

    A copy of the point is another sample, at distance 0.
    """
    search = _Search(cloud, max(ks))
    lengths = np.empty((len(cloud), len(ks)))
    for rows, left in cloud.parts(cloud.frame, left=True):
        # A distance serves both of its points, where those behind are remembered until their turn.
        first = rows.start if search.both else 0
        for cols, right in cloud.parts(cloud.frame, left=False, first=first):
            search.tile(rows, cols, cloud.ops.squares(left, right))
        lengths[rows] = _counted(search.finished(rows), cloud.weights, rows, ks)
        report(rows.stop - rows.start)
    return lengths


class _Search:
    """The nearest neighbours of all points, as far as the tiles have shown them.

    Attributes
    ----------
    both : bool
        Whether a tile is searched for neighbours of its columns too.
    limit : (u,)
        Squared distance, in units of the frame, that a further neighbour must not exceed.
    """

    def __init__(self, cloud: Cloud, k: int) -> None:
        self.cloud, self.k = cloud, k
        self.both = len(cloud) * k <= KEPT_NEIGHBORS
        self.limit = np.full(len(cloud), np.inf)
        self.slack = 3 * cloud.rounding * cloud.norms(cloud.frame) + SMALLEST
        self._blocks: dict[int, _Nearest] = {}
        self._size = 0

    def tile(self, rows: slice, cols: slice, squares: object) -> None:
        cloud, ops = self.cloud, self.cloud.ops
        self._size = self._size or rows.stop
        shared = np.arange(max(rows.start, cols.start), min(rows.stop, cols.stop))
        if len(shared):
            ops.exclude(squares, shared - rows.start, shared - cols.start)
        # Columns that are rows as well find their neighbours as rows.
        behind = slice(max(cols.start, rows.stop), cols.stop) if self.both else slice(cols.stop, cols.stop)
        self._tighten(rows, ops.row_bound, squares)
        by_row, by_column = self._limits(rows), None
        if behind.start < behind.stop:
            self._tighten(behind, ops.column_bound, squares, behind.start - cols.start)
            by_column = np.full(cols.stop - cols.start, -np.inf, np.float32)
            by_column[behind.start - cols.start :] = self._limits(behind)
        i, j, values = ops.within(squares, by_row, by_column)
        distance = ops.distances(cloud.points, i + rows.start, cloud.points, j + cols.start, cloud.frame.scale)
        if by_column is None:
            self._add(rows, i + rows.start, j + cols.start, distance)
            return
        for near, block, point, other in (
            (values <= by_row[i], rows, i + rows.start, j + cols.start),
            (values <= by_column[j], behind, j + cols.start, i + rows.start),
        ):
            self._add(block, point[near], other[near], distance[near])

    def finished(self, rows: slice) -> _Nearest:
        """The neighbours of a block of rows, once every tile with them has been seen."""
        nearest = self._blocks.pop(rows.start // self._size)
        nearest.merge()
        return nearest

    def _tighten(self, some: slice, bound: Callable[..., NDArray[np.float32]], squares: object, skip: int = 0) -> None:
        """Bounds from the tile itself, where no neighbours bound better yet."""
        if np.isfinite(self.limit[some]).all():
            return
        c = self.cloud.rounding
        rough = bound(squares, self.k)[skip:].astype(np.float64)
        self.limit[some] = np.minimum(self.limit[some], (rough + self.slack[some]) / (1 - 2 * c))

    def _limits(self, some: slice) -> NDArray[np.float32]:
        """What the float32 square of a neighbour may be at most."""
        limit = self.limit[some] * (1 + 2 * self.cloud.rounding) + self.slack[some]
        return rounded_up(np.minimum(limit, np.finfo(np.float32).max / 2))

    def _add(
        self, some: slice, point: NDArray[np.int64], other: NDArray[np.int64], distance: NDArray[np.float64]
    ) -> None:
        """Points `other` as neighbours of points `one`, which are among `some`."""
        size, scale = self._size, self.cloud.frame.scale
        for number in range(some.start // size, (some.stop - 1) // size + 1):
            block = slice(number * size, min((number + 1) * size, len(self.cloud)))
            if number not in self._blocks:
                self._blocks[number] = _Nearest(block.stop - block.start, self.k)
            nearest = self._blocks[number]
            here: Any = slice(None)
            if block.start > some.start or block.stop < some.stop:
                here = (point >= block.start) & (point < block.stop)
            if nearest.add(point[here] - block.start, other[here], distance[here]):
                known = (nearest.distance[:, -1] * scale) ** 2 * (1 + 1e-15)
                self.limit[block] = np.minimum(self.limit[block], known)


class _Nearest:
    """The k nearest points of each of some rows, gathered from pairs in any order."""

    def __init__(self, rows: int, k: int) -> None:
        self.k = k
        self.distance = np.full((rows, k), np.inf)
        self.index = np.zeros((rows, k), np.int64)
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
        self._count = 0

    def add(self, row: NDArray[np.int64], column: NDArray[np.int64], distance: NDArray[np.float64]) -> bool:
        """Take pairs; whether the nearest have been chosen anew, as they are once enough have come."""
        self._pending.append((row, column, distance))
        self._count += len(row)
        enough = self._count >= self.distance.size
        if enough:
            self.merge()
        return enough

    def merge(self) -> None:
        if not self._count:
            return
        r, k = self.distance.shape
        row, column, distance = (np.concatenate(part) for part in zip(*self._pending, strict=True))
        self._pending, self._count = [], 0
        row = np.concatenate([np.repeat(np.arange(r), k), row])
        column = np.concatenate([self.index.ravel(), column])
        distance = np.concatenate([self.distance.ravel(), distance])
        # By distance, then stably by row: short integers are sorted in linear time.
        order = np.argsort(distance)
        short = row[order].astype(np.uint16) if r < 2**16 else row[order]
        order = order[np.argsort(short, kind="stable")]
        begin = np.searchsorted(row[order], np.arange(r))
        best = order[begin[:, None] + np.arange(k)]
        self.distance, self.index = distance[best], column[best]


def _counted(nearest: _Nearest, weights: NDArray[np.float64], rows: slice, ks: tuple[int, ...]) -> NDArray[np.float64]:
    """Distances to the k-th sample from those to the nearest points, copies counted."""
    known = np.isfinite(nearest.distance)
    copies = np.where(known, weights[nearest.index], 0)
    reached = (weights[rows] - 1)[:, None] + copies.cumsum(axis=1)  # samples up to each neighbour
    lengths = np.empty((len(reached), len(ks)))
    for place, k in enumerate(ks):
        which = np.minimum((reached < k).sum(axis=1), nearest.k - 1)
        lengths[:, place] = np.where(weights[rows] > k, 0.0, nearest.distance[np.arange(len(reached)), which])
    return lengths


KEPT_VALUES = 2**25
"""Augmented points are kept up to this many values (128 MB), else made again for every tile."""
LARGE_ROWS = 4096
"""Rows of a tile where they are not kept, so that they are made less often."""
CENTRE_SAMPLE = 1000
"""Points whose median is the origin: it only has to be near the others, and sorting all would take longer than the
products."""
CHUNK_VALUES = 4_000_000
"""Numbers that are looked at at once: 32 MB."""


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
        first, self.inverse = first_appearances(_finite_rows(array, ops, name))
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
        squares = np.empty(len(self))
        for some in self._chunks():
            centred = (self.ops.to_numpy(self.points, some.start, some.stop) - frame.centre) * frame.scale
            squares[some] = np.einsum("ij,ij->i", centred, centred)
        return squares

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


def _finite_rows(array: Array, ops: TileOps, name: str) -> Iterator[NDArray[np.float64]]:
    """The samples a few at a time, so that they do not take their memory once more."""
    n, d = (int(size) for size in array.shape)
    step = max(1, CHUNK_VALUES // d)
    for start in range(0, n, step):
        rows = ops.to_numpy(array, start, min(start + step, n)).astype(np.float64, copy=False)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise LyapmapError(f"{name}: sample {start + int(finite.argmin())} is not finite")
        yield rows


def rounded_up(limit: NDArray[np.float64]) -> NDArray[np.float32]:
    """The next number of float32 above."""
    return np.nextafter(limit.astype(np.float32), np.float32(np.inf))
