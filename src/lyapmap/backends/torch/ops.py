"""Arrays of torch, as the analyses use them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lyapmap.core.errors import PrecisionError
from lyapmap.core.ops import ArrayLibrary, ArrayOps

ON_LINUX = hasattr(os, "sched_getaffinity")
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def _repeated(array: Any, rows: Tensor) -> Tensor:
    tensor = torch.as_tensor(array, device=rows.device)
    tensor = tensor.to(rows.dtype) if tensor.is_floating_point() else tensor
    return tensor.expand(rows.shape[0], *tensor.shape)


LIBRARY = ArrayLibrary(
    torch.reshape,
    torch.cat,
    torch.stack,
    torch.func.vmap,
    lambda array, like: torch.as_tensor(array, dtype=torch.get_default_dtype() if like is None else like.dtype),
    _repeated,
    lambda array: array.detach().round().long(),
)


class TorchOps(ArrayOps):
    """`ArrayOps` of torch tensors."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype = str(dtype).removeprefix("torch.")
        if self.dtype not in DTYPES:
            raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {self.dtype!r}")
        self.device = str(device)
        # torch's version is a str subclass that some writers of files refuse.
        self.library = f"torch {torch.__version__}"

    def from_numpy(self, array: NDArray[Any], dtype: str | None = None) -> Tensor:
        target = DTYPES[dtype or self.dtype]
        return torch.from_numpy(np.array(array)).to(device=self.device, dtype=target)

    def to_numpy(self, array: Tensor) -> NDArray[Any]:
        return array.detach().cpu().numpy()

    def cast(self, array: Tensor, dtype: str) -> Tensor:
        return array.to(DTYPES[dtype])

    def qr(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        q, r = torch.linalg.qr(frame)
        return q, r

    def log_abs_diagonal(self, r: Tensor) -> NDArray[np.float64]:
        diagonal = torch.diagonal(r, dim1=-2, dim2=-1)
        return diagonal.to(torch.float64).abs().log().cpu().numpy()

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b

    def transpose(self, a: Tensor) -> Tensor:
        return a.mT

    def concatenate(self, arrays: list[Tensor], axis: int) -> Tensor:
        return torch.cat(arrays, dim=axis)

    def take(self, array: Tensor, rows: NDArray[np.int64]) -> Tensor:
        return array[torch.from_numpy(rows).to(array.device)]

    def norm(self, array: Tensor) -> NDArray[np.float64]:
        return torch.linalg.vector_norm(array.flatten(1).to(torch.float64), dim=1).cpu().numpy()

    def all_finite(self, array: Tensor) -> NDArray[np.bool_]:
        return torch.isfinite(array).flatten(1).all(dim=1).cpu().numpy()

    def rows_equal(self, a: Tensor, b: Tensor) -> NDArray[np.bool_]:
        return (a == b).flatten(1).all(dim=1).cpu().numpy()

    def copy(self, array: Tensor) -> Tensor:
        return array.clone()

    def clip(self, array: Tensor, low: float, high: float) -> Tensor:
        return array.clamp(low, high)

    def threads(self) -> int:
        # Modes and autocasts of the calling thread would not hold in another one.
        if self.device != "cpu" or torch._C._len_torch_function_stack() or torch.is_autocast_enabled("cpu"):
            return 1
        threads = torch.get_num_threads()
        return (
            threads if threads < 2 else min(threads, len(os.sched_getaffinity(0)) if ON_LINUX else os.cpu_count() or 1)
        )

    @staticmethod
    def compute_alone() -> None:
        torch.get_num_threads()  # a thread that was not asked before would take the number of all others later
        torch.set_num_threads(1)  # of the calling thread, and of those to come

    @staticmethod
    def after_compute_alone() -> None:
        torch.set_num_threads(torch.get_num_threads())

    def zeroed(self, array: Tensor, where: Tensor) -> Tensor:
        return array.masked_fill(where, 0)
