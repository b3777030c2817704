"""Squared distances between two sets of points, a tile at a time: the primitives, in NumPy.

The products are in float32, for speed; `distances` measures single pairs again in float64. Another
library's arrays bring a `TileOps` of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.ops import GROUPS_PER_NEIGHBOR, SMALLEST, Pairs, TileOps, adapter_of
from lyapmap.core.points import real_array

FEW = 20
"""Entries are gathered and worked on alone if they are fewer than one in so many: gathering has its cost."""
STRIP_VALUES = 2**16
"""Values of a tile that are worked on at once: what is made of them stays in the first caches."""
PAIR_VALUES = 2**16
"""Values gathered at once where pairs are measured in float64: what fits into the second cache."""


class NumpyTiles:
    """`TileOps` of NumPy arrays.

    Examples
    --------
    >>> ops = NumpyTiles()
    >>> a = ops.points([[0.0, 0.0], [3.0, 4.0]], "a")
    >>> left, right = (ops.augmented(a, np.zeros(2), 1.0, left=side) for side in (True, False))
    >>> ops.squares(left, right).tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """

    rows, columns = 512, 1024  # two megabytes: within the second cache of a core
    device = "cpu"

    def __init__(self) -> None:
        self.library = f"numpy {np.__version__}"
        self._scratch: dict[str, NDArray[np.float32]] = {}

    def _room(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """The same memory for every tile: fetching it anew would cost as much as the arithmetic."""
        size = int(np.prod(shape))
        if name not in self._scratch or self._scratch[name].size < size:
            self._scratch[name] = np.empty(size, np.float32)
        return self._scratch[name][:size].reshape(shape)

    @staticmethod
    def _strips(squares: NDArray[np.float32]) -> Iterator[slice]:
        step = max(1, STRIP_VALUES // squares.shape[1])
        for start in range(0, len(squares), step):
            yield slice(start, start + step)

    def points(self, array: Any, name: str) -> NDArray[Any]:
        values = real_array(array, name)
        kept = values.dtype if values.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        return np.ascontiguousarray(values, dtype=kept)

    def to_numpy(self, points: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        return points[start:stop]

    def take(self, points: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        selected: NDArray[Any] = points[rows]
        return selected

    def augmented(
        self, points: NDArray[Any], centre: NDArray[np.float64], scale: float, *, left: bool
    ) -> NDArray[np.float32]:
        m, d = points.shape
        rows = np.empty((m, d + 2), np.float32)
        step = max(1, PAIR_VALUES // d)
        for start in range(0, m, step):
            some = slice(start, start + step)
            centred = (points[some] - centre) * scale
            rows[some, :d] = -2 * centred if left else centred
            rows[some, d if left else d + 1] = np.einsum("ij,ij->i", centred, centred)
        rows[:, d + 1 if left else d] = 1
        return rows

    def squares(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.matmul(left, right.T, out=self._room("squares", (len(left), len(right))))

    def exclude(self, squares: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        squares[rows, columns] = np.inf

    def row_bound(self, squares: NDArray[np.float32], k: int) -> NDArray[np.float32]:
        r, c = squares.shape
        if c < k:
            return np.full(r, np.inf, np.float32)
        # k groups whose least entries are small hold k small entries, and there are fewer groups to sort.
        size = max(1, c // (GROUPS_PER_NEIGHBOR * k))
        least = squares[:, : c // size * size].reshape(r, size, c // size).min(axis=1)
        bound: NDArray[np.float32] = np.partition(least, k - 1, axis=1)[:, k - 1]
        return bound

    def column_bound(self, squares: NDArray[np.float32], k: int) -> NDArray[np.float32]:
        r, c = squares.shape
        if r < k:
            return np.full(c, np.inf, np.float32)
        # Groups of rows, so that memory is read in its order.
        size = max(1, r // (GROUPS_PER_NEIGHBOR * k))
        least = squares[: r // size * size].reshape(r // size, size, c).min(axis=1)
        bound: NDArray[np.float32] = np.partition(least, k - 1, axis=0)[k - 1]
        return bound

    def within(
        self,
        squares: NDArray[np.float32],
        row_limit: NDArray[np.float32],
        column_limit: NDArray[np.float32] | None = None,
    ) -> Pairs:
        tile_pairs = []
        for some in self._strips(squares):
            close = squares[some] <= row_limit[some, None]
            if column_limit is not None:
                close |= squares[some] <= column_limit
            i, j, flat = _places(close)
            tile_pairs.append((i + some.start, j, squares[some].ravel()[flat].astype(np.float64)))
        i, j, values = (np.concatenate(part) for part in zip(*tile_pairs, strict=True))
        return i, j, values

    def row_argmin(
        self,
        squares: NDArray[np.float32],
        factor: NDArray[np.float32],
        offset: NDArray[np.float32],
        known: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        values, where = np.full(known.shape, np.inf, np.float32), np.zeros(known.shape, np.int64)
        least = np.where(offset == 0, factor, np.inf).min(axis=1)
        counting = np.flatnonzero(np.isfinite(least))
        if not len(counting):
            return values, where
        # No entry above this, whatever its factor, comes below what is known.
        with np.errstate(over="ignore"):
            limit = (known[counting] / least[counting, None] * np.float32(1 + 1e-5)).max(axis=0)
        for some in self._strips(squares):
            part = squares[some]
            close = part <= limit[some, None] if len(counting) > 1 else None  # a search that pays for several only
            if close is None or np.count_nonzero(close) > part.size // FEW:
                for k in counting:
                    scaled = np.multiply(part, factor[k], out=self._room("part", part.shape))
                    scaled += offset[k]
                    where[k, some] = scaled.argmin(axis=1)
                    values[k, some] = scaled[np.arange(len(scaled)), where[k, some]]
                continue
            i, j, flat = _places(close)
            entries = part.ravel()[flat]
            i += some.start
            for k in counting:
                scaled = entries * factor[k, j] + offset[k, j]
                better = np.flatnonzero(scaled < known[k, i])
                better = better[np.argsort(-scaled[better], kind="stable")]  # the smallest of a row is written last
                values[k, i[better]], where[k, i[better]] = scaled[better], j[better]
        return values, where

    def log_sums(
        self,
        squares: NDArray[np.float32],
        row_ceilings: list[float],
        column_ceilings: list[float],
        row_weights: NDArray[np.float32],
        column_weights: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        rows = np.zeros((len(row_ceilings), len(squares)))
        columns = np.zeros((len(column_ceilings), squares.shape[1]))
        highest = np.float32(max(row_ceilings + column_ceilings) * (1 + 1e-6))
        sample = squares[::8] <= highest
        few = np.count_nonzero(sample) <= sample.size // FEW
        for some in self._strips(squares):
            if not few:
                logs = np.maximum(squares[some], np.float32(SMALLEST), out=self._room("logs", squares[some].shape))
                np.log(logs, out=logs)
                part = self._room("part", logs.shape)
                for k, ceiling in enumerate(row_ceilings):
                    rows[k, some] = _below(logs, ceiling, part) @ column_weights
                for k, ceiling in enumerate(column_ceilings):
                    columns[k] += row_weights[some] @ _below(logs, ceiling, part)
                continue
            i, j, flat = _places(squares[some] <= highest)
            if len(flat):
                logs = np.maximum(squares[some].ravel()[flat], np.float32(SMALLEST))
                np.log(logs, out=logs)
                part, by_row, by_column = np.empty_like(logs), row_weights[some][i], column_weights[j]
                begin = np.flatnonzero(np.diff(i, prepend=-1))  # of rows that have entries
                for k, ceiling in enumerate(row_ceilings):
                    _below(logs, ceiling, part)
                    rows[k, some.start + i[begin]] = np.add.reduceat(np.multiply(part, by_column, out=part), begin)
                for k, ceiling in enumerate(column_ceilings):
                    _below(logs, ceiling, part)
                    columns[k] += np.bincount(j, np.multiply(part, by_row, out=part), minlength=len(columns[k]))
        return rows, columns

    def distances(
        self, a: NDArray[Any], i: NDArray[np.int64], b: NDArray[Any], j: NDArray[np.int64], scale: float
    ) -> NDArray[np.float64]:
        distances = np.empty(len(i))
        step = max(1, PAIR_VALUES // a.shape[1])
        for start in range(0, len(i), step):
            some = slice(start, start + step)
            difference = np.subtract(a[i[some]], b[j[some]], dtype=np.float64)
            difference *= scale  # a power of two, so that nothing is rounded and nothing overflows
            distances[some] = np.sqrt(np.einsum("ij,ij->i", difference, difference))
        return distances / scale


def _places(close: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and places in memory of the entries that are true, in their order."""
    c = close.shape[1]
    flat = np.flatnonzero(close)
    if c & (c - 1) == 0:  # shifts are many times faster than divisions
        return flat >> (c.bit_length() - 1), flat & (c - 1), flat
    i, j = np.divmod(flat, c)
    return i, j, flat


def _below(logs: NDArray[np.float32], ceiling: float, out: NDArray[np.float32]) -> NDArray[np.float32]:
    """min(0, logs - log(ceiling))."""
    np.subtract(logs, np.float32(np.log(ceiling)), out=out)
    return np.minimum(out, np.float32(0), out=out)


def tiles_for(*arrays: Any) -> TileOps:
    """The `TileOps` of some arrays: of the first that belongs to another library than NumPy."""
    for array in arrays:
        adapter = adapter_of(array)
        if adapter is not None:
            ops: TileOps = adapter.TorchTiles(array.device)
            return ops
    return NumpyTiles()
