"""Squared distances between two sets of torch tensors, a tile at a time, on any device.

Requires torch >= 2.6. Devices without float64 (Apple's) measure single pairs on the CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lyapmap.core.errors import LyapmapError
from lyapmap.core.ops import GROUPS_PER_NEIGHBOR, SMALLEST, Pairs
from lyapmap.core.points import real_array

CPU_TILE, DEVICE_TILE = (512, 1024), (4096, 8192)
PAIR_VALUES = 8_000_000


class TorchTiles:
    """`TileOps` of torch tensors on one device; NumPy arrays beside them are brought there."""

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self.device = str(self._device)
        self.library = f"torch {torch.__version__}"
        self.rows, self.columns = CPU_TILE if self._device.type == "cpu" else DEVICE_TILE
        self._fine = torch.device("cpu") if self._device.type == "mps" else self._device

    def points(self, array: Any, name: str) -> Tensor:
        tensor = array.detach() if isinstance(array, Tensor) else torch.from_numpy(np.array(real_array(array, name)))
        if tensor.is_complex():
            raise LyapmapError(f"{name}: expected real numbers, got dtype {tensor.dtype}")
        if tensor.dtype not in (torch.float32, torch.float64):
            # Half precision fits into float32; integers may not.
            tensor = tensor.to(torch.float32 if tensor.is_floating_point() else torch.float64)
        return tensor.to(self._device).contiguous()

    def to_numpy(self, points: Tensor, start: int, stop: int) -> NDArray[Any]:
        return points[start:stop].cpu().numpy()

    def take(self, points: Tensor, rows: NDArray[np.int64]) -> Tensor:
        return points[self._index(rows, points.device)]

    def augmented(self, points: Tensor, centre: NDArray[np.float64], scale: float, *, left: bool) -> Tensor:
        m, d = points.shape
        rows = torch.empty((m, d + 2), dtype=torch.float32, device=self._device)
        middle = torch.from_numpy(centre).to(self._fine)
        step = max(1, PAIR_VALUES // d)
        for start in range(0, m, step):
            some = slice(start, start + step)
            centred = (points[some].to(self._fine).double() - middle) * scale
            norms = (centred * centred).sum(1)
            rows[some, :d] = (-2 * centred if left else centred).float().to(self._device)
            rows[some, d if left else d + 1] = norms.float().to(self._device)
        rows[:, d + 1 if left else d] = 1
        return rows

    def squares(self, left: Tensor, right: Tensor) -> Tensor:
        # The bound of the rounding error is that of full float32 products.
        if self._device.type == "cuda":
            allowed = torch.backends.cuda.matmul.allow_tf32
            torch.backends.cuda.matmul.allow_tf32 = False
            try:
                return left @ right.T
            finally:
                torch.backends.cuda.matmul.allow_tf32 = allowed
        return left @ right.T

    def exclude(self, squares: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        squares[self._index(rows, squares.device), self._index(columns, squares.device)] = torch.inf

    def row_bound(self, squares: Tensor, k: int) -> NDArray[np.float32]:
        r, c = squares.shape
        if c < k:
            return np.full(r, np.inf, np.float32)
        size = max(1, c // (GROUPS_PER_NEIGHBOR * k))
        least = squares[:, : c // size * size].reshape(r, size, c // size).amin(dim=1)
        return least.kthvalue(k, dim=1).values.cpu().numpy()

    def column_bound(self, squares: Tensor, k: int) -> NDArray[np.float32]:
        r, c = squares.shape
        if r < k:
            return np.full(c, np.inf, np.float32)
        size = max(1, r // (GROUPS_PER_NEIGHBOR * k))
        least = squares[: r // size * size].reshape(r // size, size, c).amin(dim=1)
        return least.kthvalue(k, dim=0).values.cpu().numpy()

    def within(
        self, squares: Tensor, row_limit: NDArray[np.float32], column_limit: NDArray[np.float32] | None = None
    ) -> Pairs:
        close = squares <= torch.from_numpy(row_limit).to(squares.device)[:, None]
        if column_limit is not None:
            close |= squares <= torch.from_numpy(column_limit).to(squares.device)
        i, j = close.nonzero(as_tuple=True)
        return i.cpu().numpy(), j.cpu().numpy(), squares[i, j].cpu().numpy().astype(np.float64)

    def row_argmin(
        self,
        squares: Tensor,
        factor: NDArray[np.float32],
        offset: NDArray[np.float32],
        known: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        values, where = np.empty(known.shape, np.float32), np.empty(known.shape, np.int64)
        for k in range(len(known)):
            by, plus = (torch.from_numpy(part[k]).to(squares.device) for part in (factor, offset))
            least = (squares * by).add_(plus).min(dim=1)
            values[k], where[k] = least.values.cpu().numpy(), least.indices.cpu().numpy()
        return values, where

    def log_sums(
        self,
        squares: Tensor,
        row_ceilings: list[float],
        column_ceilings: list[float],
        row_weights: NDArray[np.float32],
        column_weights: NDArray[np.float32],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        logs = squares.clamp(min=SMALLEST).log_()
        by_row = torch.from_numpy(row_weights).to(squares.device)
        by_column = torch.from_numpy(column_weights).to(squares.device)
        rows = [(logs - float(np.log(c))).clamp_(max=0) @ by_column for c in row_ceilings]
        columns = [by_row @ (logs - float(np.log(c))).clamp_(max=0) for c in column_ceilings]
        return self._stacked(rows), self._stacked(columns)

    def distances(
        self, a: Tensor, i: NDArray[np.int64], b: Tensor, j: NDArray[np.int64], scale: float
    ) -> NDArray[np.float64]:
        distances = np.empty(len(i))
        step = max(1, PAIR_VALUES // a.shape[1])
        for start in range(0, len(i), step):
            some = slice(start, start + step)
            left, right = (
                points[self._index(rows[some], points.device)].to(self._fine).double()
                for points, rows in ((a, i), (b, j))
            )
            distances[some] = ((left - right) * scale).square_().sum(1).sqrt_().cpu().numpy()
        return distances / scale

    @staticmethod
    def _index(rows: NDArray[np.int64], device: torch.device) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(rows)).to(device)

    @staticmethod
    def _stacked(sums: list[Tensor]) -> NDArray[np.float64]:
        return torch.stack(sums).cpu().numpy().astype(np.float64)
