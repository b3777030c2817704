"""Maps made of torch modules and functions, carried with forward-mode differentiation.

Requires torch >= 2.6. With `torch_dual`, the only file of the backends that imports it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import jvp, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from lyapmap.backends.torch_dual import NoRule, carry
from lyapmap.backends.torch_ops import DTYPES, TorchOps
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import JACOBIAN_CHUNK, dimension
from lyapmap.core.ops import ArrayOps

CPU_LAYER_BYTES = 10 * 2**20
"""Size of a layer's tangents up to which a CPU carries rows at once: more fall out of its caches."""
DEFAULT_MEMORY_LIMIT = 2 * 2**30
LIVE_TENSORS = 8
"""Tensors of the largest layer that are alive at once while tangents pass through it, about."""

RULES_TOLERANCE = 1e4
"""Roundings, relative to the largest value, within which our rules must agree with torch."""


class TorchMap:
    """A torch function of a batch of states, with tangents by forward mode.

    Built by `wrap_torch`. All k tangents of a state pass through the network in one batch; states
    and directions are chunked so that a pass stays within `memory_limit` (and, on a CPU, within
    its caches).
    """

    derivative = "forward mode"

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        state_shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device,
        memory_limit: int,
        provenance: dict[str, Any],
    ) -> None:
        self.state_shape = state_shape
        self.ops: ArrayOps = TorchOps(dtype, device)
        self.provenance = provenance
        self._function = function
        self._n = dimension(state_shape)
        self._dtype, self._device = dtype, device
        self._rows = self._rows_at_once(memory_limit)
        self._has_rules = self._rules_agree()

    def apply(self, x: Tensor) -> Tensor:
        self._require(x, "x")
        with torch.no_grad():
            parts = [self._image(rows) for rows in x.split(self._rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def jvp(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        self._require(x, "x")
        self._require(v, "v")
        b, _, k = v.shape
        if k == 0:
            return self.apply(x), v
        directions = min(k, self._rows)
        states = max(1, self._rows // directions)
        images, tangents = [], []
        with torch.no_grad():
            for first in range(0, b, states):
                # Expanded states share memory, which forward mode refuses.
                rows = x[first : first + states].contiguous().unflatten(1, self.state_shape)
                # (k, b, *shape): directions lead, so that a layer sees them as one large batch.
                moved = v[first : first + states].movedim(2, 0).unflatten(2, self.state_shape)
                passes = [self._carry(rows, part) for part in moved.split(directions)]
                images.append(passes[0][0].flatten(1))
                tangents.append(torch.cat([t for _, t in passes]).flatten(2).movedim(0, 2))
        return torch.cat(images), torch.cat(tangents)

    def jacobian(self, x: Tensor) -> Tensor:
        """By reverse mode, independent of `jvp`: for square Jacobians it measured 1.6 times faster."""
        self._require(x, "x")
        unit = torch.eye(self._n, dtype=self._dtype, device=self._device)
        states = max(1, self._rows // JACOBIAN_CHUNK)
        parts = []
        for rows in x.split(states):
            try:
                with plain_attention():
                    pull = vjp(self._image, rows)[1]
                # Rows are independent, so one cotangent serves all states of the batch at once.
                pulled = vmap(lambda u, pull=pull, rows=rows: pull(u.expand_as(rows))[0], chunk_size=JACOBIAN_CHUNK)(
                    unit
                )
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise MapError(f"function: torch cannot differentiate it: {_reason(error)}") from error
            parts.append(pulled.movedim(0, 1))
        return torch.cat(parts)

    def _image(self, x: Tensor) -> Tensor:
        return self._function(x.unflatten(1, self.state_shape)).flatten(1)

    def _carry(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        """Images (b, *shape) and tangents (k, b, *shape) after one step."""
        tangents = tangents.contiguous()
        if self._has_rules:
            try:
                return carry(self._function, x, tangents)
            except NoRule:
                self._has_rules = False
        return self._carry_by_torch(x, tangents)

    def _carry_by_torch(self, x: Tensor, tangents: Tensor) -> tuple[Tensor, Tensor]:
        def one(tangent: Tensor) -> Any:
            return jvp(self._function, (x,), (tangent,))

        try:
            with plain_attention():
                image, carried = vmap(one, out_dims=cast(Any, (None, 0)), randomness="error")(tangents)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise MapError(f"function: torch cannot carry tangents through it: {_reason(error)}") from error
        return image, carried

    def _rules_agree(self) -> bool:
        """Whether the rules of `torch_dual` know the function, and give what torch gives."""
        draws = torch.Generator().manual_seed(0)
        x = (2 * torch.rand(2, *self.state_shape, generator=draws, dtype=self._dtype) - 1).to(self._device)
        tangents = torch.randn(2, 2, *self.state_shape, generator=draws, dtype=self._dtype).to(self._device)
        with torch.no_grad():
            try:
                ours, wanted = carry(self._function, x, tangents), self._carry_by_torch(x, tangents)
            except (NoRule, MapError):
                return False
        tolerance = RULES_TOLERANCE * torch.finfo(self._dtype).eps
        return all(
            a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max())
            for a, b in zip(ours, wanted, strict=True)
        )

    def _require(self, array: Any, name: str) -> None:
        if not isinstance(array, Tensor):
            raise PrecisionError(f"{name}: expected a torch tensor, got {type(array).__name__}")
        if array.dtype != self._dtype or array.device != self._device:
            raise PrecisionError(
                f"{name}: expected {self.ops.dtype} on {self._device}, "
                f"got {str(array.dtype).removeprefix('torch.')} on {array.device}; "
                "wrap the map with the other dtype or device"
            )
        if array.ndim != (2 if name == "x" else 3) or array.shape[1] != self._n:
            shape = tuple(array.shape)
            raise ShapeError(f"{name}: expected {self._n} values per row for {self.state_shape}, got shape {shape}")

    def _rows_at_once(self, memory_limit: int) -> int:
        """Calls the function once, checks what comes back, and measures how large its layers are."""
        probe = torch.full((2, *self.state_shape), 0.5, dtype=self._dtype, device=self._device)
        largest = _LargestOutput()
        try:
            with torch.no_grad(), largest:
                y = self._function(probe)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise MapError(f"function: failed on states of shape {tuple(probe.shape)}: {_reason(error)}") from error
        if not bool((probe == 0.5).all()):
            raise MapError("function: it changes the states it is given; let it work on x.clone()")
        if not isinstance(y, Tensor):
            raise MapError(f"function: expected it to return a tensor, got {type(y).__name__}")
        if y.shape != probe.shape:
            raise ShapeError(
                f"function: expected {tuple(probe.shape)} for two states of shape {self.state_shape}, "
                f"got {tuple(y.shape)}; only a map of a space to itself can be iterated"
            )
        if y.dtype != self._dtype:
            raise PrecisionError(f"function: expected {self._dtype} back, got {y.dtype}")
        per_row = max(largest.bytes / 2, 1.0) * LIVE_TENSORS
        rows = max(1, int(memory_limit / per_row))
        if self._device.type == "cpu":
            rows = min(rows, max(32, int(2 * CPU_LAYER_BYTES / max(largest.bytes, 1))))
        return rows


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention computed step by step, the only way of torch's that carries tangents."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _reason(error: RuntimeError) -> str:
    """What torch complains about, in one line."""
    line = str(error).strip().splitlines()[0]
    if "random operation" in line:
        return "it draws random numbers; switch dropout and noise off (lyapmap.noisy adds noise that can be repeated)"
    return line


class _LargestOutput(TorchDispatchMode):
    """Records the bytes of the largest tensor that any operation makes; views, as of weights, are none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {_address(tensor) for tensor in args if isinstance(tensor, Tensor)}
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor) and _address(tensor) not in given:
                self.bytes = max(self.bytes, tensor.numel() * tensor.element_size())
        return out


def _address(tensor: Tensor) -> int:
    """Where a tensor's memory lies; a number of its own where it is not one block."""
    return tensor.untyped_storage().data_ptr() if tensor.layout == torch.strided else id(tensor)


def wrap_torch(
    function: Callable[[Tensor], Tensor],
    *,
    state_shape: tuple[int, ...],
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    provenance: dict[str, Any] | None = None,
) -> TorchMap:
    """Make a map of a torch module or function.

    Parameters
    ----------
    function : torch.nn.Module or callable
        Takes a batch (b, *state_shape) and returns one of the same shape. A module must be in
        evaluation mode; it is copied, so that later training does not change the map, and the map
        never changes it.
    state_shape : tuple of int
        Shape of one state.
    dtype : str or torch.dtype, optional
        float32 or float64. A module's own by default; another one converts the copy. For a
        function torch's default dtype.
    device : str or torch.device, optional
        A module's own by default, else the CPU.
    memory_limit : int
        Bytes that one pass of tangents may take, about.
    provenance : dict, optional
        Plain values that results will record.

    Returns
    -------
    TorchMap

    Raises
    ------
    LyapmapError
        If a module is in training mode, or what comes back has another shape or dtype.

    Examples
    --------
    >>> import torch
    >>> m = wrap_torch(torch.nn.Tanh().eval(), state_shape=(3,), dtype="float64")
    >>> m.jacobian(torch.zeros(1, 3, dtype=torch.float64))[0].diagonal()
    tensor([1., 1., 1.], dtype=torch.float64)
    """
    shape = tuple(int(s) for s in state_shape)
    if not shape or min(shape) < 1:
        raise ShapeError(f"state_shape: expected positive sizes, got {state_shape}")
    if memory_limit < 1:
        raise LyapmapError(f"memory_limit: expected a positive number of bytes, got {memory_limit}")
    wanted = _as_dtype(dtype)
    if isinstance(function, nn.Module):
        module, found_dtype, found_device = _copied(function, wanted, device)
        name = type(function).__name__
        return TorchMap(module, shape, found_dtype, found_device, memory_limit, {"map": name} | (provenance or {}))
    if not callable(function):
        raise MapError(f"function: expected a torch module or function, got {type(function).__name__}")
    chosen_device = resolved_device(device or "cpu")
    name = getattr(function, "__name__", type(function).__name__)
    described = {"map": name} | (provenance or {})
    return TorchMap(function, shape, wanted or torch.get_default_dtype(), chosen_device, memory_limit, described)


def _as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None:
        return None
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {name!r}")
    return DTYPES[name]


def resolved_device(device: str | torch.device) -> torch.device:
    """The device with its index, as tensors on it will report it."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise LyapmapError(f"device: {device} cannot be used ({str(error).splitlines()[0]})") from None


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _copied(
    module: nn.Module, dtype: torch.dtype | None, device: str | torch.device | None
) -> tuple[nn.Module, torch.dtype, torch.device]:
    training = [name or "the module itself" for name, part in module.named_modules() if part.training]
    if training:
        raise MapError(
            f"module: {training[0]} is in training mode, where dropout and batch norm make it no map; "
            "call module.eval() first"
        )
    floating = [t for t in _tensors(module) if t.is_floating_point()]
    dtypes = {t.dtype for t in floating}
    devices = {t.device for t in _tensors(module)}
    if len(dtypes) > 1 and dtype is None:
        raise PrecisionError(f"module: holds {', '.join(sorted(map(str, dtypes)))}; give the dtype to convert it to")
    if len(devices) > 1 and device is None:
        raise PrecisionError(f"module: lives on {', '.join(sorted(map(str, devices)))}; give the device to bring it to")
    chosen_dtype = dtype or (dtypes.pop() if dtypes else torch.get_default_dtype())
    chosen_device = resolved_device(device or (devices.pop() if devices else "cpu"))
    try:
        duplicate = copy.deepcopy(module)
    except RuntimeError as error:
        raise MapError(f"module: cannot be copied: {_reason(error)}") from error
    return duplicate.to(chosen_device, chosen_dtype).requires_grad_(False), chosen_dtype, chosen_device
