"""Torch functions through which `vmap` does not pass: tangents and cotangents travel on the batch axis.

Requires torch >= 2.6. Made for Keras on its torch backend, whose layers look at the numbers of axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp

from lyapmap.backends.torch.copies import resolved_device
from lyapmap.backends.torch.map import TorchMap, plain_attention
from lyapmap.backends.torch.ops import DTYPES
from lyapmap.core.errors import MapError
from lyapmap.core.map import JACOBIAN_CHUNK


class TorchRowsMap(TorchMap):
    """A `TorchMap` that repeats each state for every direction. Images are computed again for each."""

    def _jacobian_by_cotangents(self, x: Tensor) -> Tensor:
        unit = torch.eye(self._n, dtype=self._dtype, device=self._device)
        chunk = max(1, min(JACOBIAN_CHUNK, self.rows_at_once))
        return torch.stack([torch.cat([self._pulled_row(row, part) for part in unit.split(chunk)]) for row in x])

    def pull(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.cat([self._pulled_row(row, part[None]) for row, part in zip(x, u, strict=True)])

    def _pulled_row(self, row: Tensor, cotangents: Tensor) -> Tensor:
        """Rows of the Jacobian at one state, (m, n)."""
        with _explained("differentiate it"):
            pull = vjp(self._image, row.expand(len(cotangents), -1).contiguous())[1]
            pulled: Tensor = pull(cotangents)[0]
            return pulled.detach()

    def _carry_by_torch(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        k, b = tangents.shape[:2]
        with _explained("carry tangents through it"), plain_attention():
            repeated = x.expand(k, *x.shape).flatten(0, 1).contiguous()
            image, carried = jvp(self._function, (repeated,), (tangents.flatten(0, 1),))[:2]
        return image[:b], carried.unflatten(0, (k, b))


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise MapError(f"function: torch cannot {what}: {said(error)}") from error


def _with_short_errors(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The function, with errors in one line."""

    def called(x: Tensor) -> Tensor:
        try:
            return function(x)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise RuntimeError(said(error)) from error

    return called


def said(error: Exception) -> str:
    """The one line of a message that says what is wrong: Keras puts its own before it."""
    lines = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith("Exception encountered")]
    return reasons[0] if reasons else type(error).__name__


def rows_map(
    function: Callable[[Tensor], Tensor],
    state_shape: tuple[int, ...],
    dtype: str,
    device: str | None,
    memory_limit: int,
    provenance: dict[str, Any],
) -> TorchRowsMap:
    """The map of a torch function whose weights lie on `device`, the CPU by default."""
    where = resolved_device(device or "cpu")
    return TorchRowsMap(_with_short_errors(function), state_shape, DTYPES[dtype], where, memory_limit, provenance)
