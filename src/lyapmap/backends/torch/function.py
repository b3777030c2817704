"""Functions of torch from one space to another, with tangents by forward and cotangents by reverse mode.

Requires torch >= 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import vjp, vmap

from lyapmap.backends import wrap
from lyapmap.backends.torch.map import TorchMap, plain_attention
from lyapmap.core.errors import MapError, ShapeError
from lyapmap.core.function import PaddedFunction
from lyapmap.core.map import JACOBIAN_CHUNK, dimension


def network_of_arrays(module: nn.Module, name: str) -> Callable[[NDArray[Any]], Any]:
    """A module as a function of NumPy arrays that gives one, or a tuple of them; errors call it by its name."""
    if any(part.training for part in module.modules()):
        raise MapError(f"{name}: the module is in training mode; call module.eval() first")
    weights = next(iter(module.parameters()), None)

    def call(batch: NDArray[Any]) -> Any:
        with torch.inference_mode():
            given = torch.as_tensor(np.ascontiguousarray(batch))
            given = given.to(weights.device, weights.dtype) if weights is not None else given.float()
            made = module(given)
        return tuple(part.cpu().numpy() for part in made) if isinstance(made, list | tuple) else made.cpu().numpy()

    return call


class Padded(nn.Module):
    """A module between spaces of m and n values as one of the larger space, (b, N) -> (b, N)."""

    def __init__(self, inner: Any, input_shape: tuple[int, ...], n: int) -> None:
        super().__init__()
        self.inner = inner
        self.input_shape, self.m = input_shape, dimension(input_shape)
        self.missing = max(self.m - n, 0)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x[:, : self.m].unflatten(1, self.input_shape)).flatten(1)
        return F.pad(y, (0, self.missing)) if self.missing else y


class TorchFunction(PaddedFunction):
    """A torch function with `vjp`; `torch_function` makes it."""

    padded: TorchMap

    def vjp(self, z: Tensor, u: Tensor) -> Tensor:
        """The transposed Jacobian applied to cotangents, (b, m), (b, n, k) -> (b, m, k)."""
        self._require(z, 2, "z")
        if u.ndim != 3 or u.shape[1] != self._n:
            raise ShapeError(f"u: expected {self._n} values per row for {self.output_shape}, got {tuple(u.shape)}")
        filled = self._filled(z)
        # Padded cotangents meet outputs that are always zero.
        more = F.pad(u, (0, 0, 0, self._size - self._n))
        try:
            with plain_attention():
                pull = vjp(self.padded._function, filled)[1]
            pulled = vmap(lambda cotangent: pull(cotangent)[0], in_dims=2, out_dims=2, chunk_size=JACOBIAN_CHUNK)(more)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise MapError(f"function: torch cannot differentiate it: {str(error).splitlines()[0]}") from error
        return pulled[:, : self._m].detach()


def torch_function(function: Any, input_shape: tuple[int, ...], **options: Any) -> TorchFunction:
    """Make a function with its derivative of a torch module or function; see `wrap_function`."""
    given = None
    if isinstance(function, nn.Module):
        if any(part.training for part in function.modules()):  # running it once would change its batch norm
            raise MapError("function: the module is in training mode; call module.eval() first")
        given = next(function.parameters(), None)
    wanted = options.get("dtype") or torch.get_default_dtype()
    dtype = getattr(torch, str(wanted).removeprefix("torch."), None)
    if given is not None:
        dtype = given.dtype
    device = given.device if given is not None else options.get("device") or "cpu"
    probe = torch.full((2, *input_shape), 0.5, dtype=dtype, device=device)
    try:
        with torch.no_grad():
            y = function(probe)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise MapError(
            f"function: failed on inputs of shape {tuple(probe.shape)}: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(y, Tensor):
        raise MapError(f"function: expected it to return a tensor, got {type(y).__name__}")
    if y.ndim < 2 or len(y) != 2:
        raise ShapeError(f"function: expected (2, *output_shape) for two inputs, got {tuple(y.shape)}")
    output_shape = tuple(int(size) for size in y.shape[1:])
    n = dimension(output_shape)
    size = max(dimension(input_shape), n)
    padded = Padded(function, input_shape, n)
    same_space = padded if isinstance(function, nn.Module) else padded.forward
    made = wrap(same_space, state_shape=size, backend="torch", **options)
    return TorchFunction(cast(TorchMap, made), input_shape, output_shape)
