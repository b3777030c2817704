"""Copies of torch modules in another precision and on another device; the user's own are never changed.

Requires torch >= 2.6.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lyapmap.backends.torch.ops import DTYPES
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError


def reason_of(error: Exception) -> str:
    """What torch complains about, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = lines[-1 if "TorchScript interpreter" in lines[0] else 0]
    if "random operation" in line:
        return "it draws random numbers; switch dropout and noise off (lyapmap.noisy adds noise that can be repeated)"
    return line


def as_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
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


def tensors_of(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def copied(
    module: nn.Module, dtype: torch.dtype | None, device: str | torch.device | None
) -> tuple[nn.Module, torch.dtype, torch.device]:
    require_usable([*module.named_parameters(), *module.named_buffers()])
    training = [name or "the module itself" for name, part in module.named_modules() if part.training]
    if training:
        raise MapError(
            f"module: {training[0]} is in training mode, where dropout and batch norm make it no map; "
            "call module.eval() first"
        )
    floating = [t for t in tensors_of(module) if t.is_floating_point() or t.is_complex()]
    # Half precision is for storage: a step would round to three digits, and tangents to no more.
    dtypes = {torch.float32 if _real(t.dtype) in HALF else _real(t.dtype) for t in floating}
    devices = {t.device for t in tensors_of(module)}
    if len(dtypes) > 1 and dtype is None:
        raise PrecisionError(f"module: holds {', '.join(sorted(map(str, dtypes)))}; give the dtype to convert it to")
    if len(devices) > 1 and device is None:
        raise PrecisionError(f"module: lives on {', '.join(sorted(map(str, devices)))}; give the device to bring it to")
    own_dtype = dtype or (dtypes.pop() if dtypes else torch.get_default_dtype())
    own_device = resolved_device(device or (devices.pop() if devices else "cpu"))
    try:
        with warnings.catch_warnings():  # of torch about its own programs
            warnings.simplefilter("ignore")
            duplicate = copy.deepcopy(module, _cached(module))
    except Exception as error:  # modules may hold anything
        raise MapError(f"module: cannot be copied: {reason_of(error)}") from error
    return converted(duplicate, own_dtype, own_device), own_dtype, own_device


HALF = (torch.float16, torch.bfloat16)


def stored_in(tensors: Iterable[Tensor]) -> dict[str, str]:
    """For results: in which half precision weights are, if they are."""
    kinds = {str(t.dtype).removeprefix("torch.") for t in tensors if t.dtype in HALF}
    return {"stored": ", ".join(sorted(kinds))} if kinds else {}


def require_usable(tensors: Iterable[tuple[str, Any]]) -> None:
    """Raise a MapError that names the first tensor without numbers to compute and differentiate with."""
    for name, tensor in tensors:
        if not isinstance(tensor, Tensor):
            continue
        if tensor.is_meta:
            raise MapError(f"module: {name} is on the meta device and holds no numbers; load its weights first")
        if tensor.is_quantized:
            raise MapError(f"module: {name} is quantised, and has no derivative; use the network before quantisation")
        if tensor.layout is not torch.strided:
            raise MapError(f"module: {name} is sparse; make it dense with to_dense()")


def _cached(module: nn.Module) -> dict[int, Any]:
    """For `deepcopy`, which refuses them: copies of tensors computed from others, such as cached activations."""
    memo: dict[int, Any] = {}

    def look(value: Any) -> None:
        if isinstance(value, Tensor):
            if value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
        elif type(value) in (list, tuple):
            for part in value:
                look(part)
        elif type(value) is dict:
            for part in value.values():
                look(part)

    for part in module.modules():
        for value in vars(part).values():
            look(value)
    return memo


def _real(dtype: torch.dtype) -> torch.dtype:
    """The precision of a dtype's parts: float32 for complex64."""
    return dtype.to_real() if dtype.is_complex else dtype


def converted(module: nn.Module, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """The module itself with all its tensors brought to a precision and a device, also those that are plain attributes.

    Complex ones become complex ones: torch's own `module.to(dtype)` drops imaginary parts.
    """

    def moved(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(device, dtype.to_complex())
        return tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)

    def replaced(value: Any) -> Any:
        if isinstance(value, Tensor):
            return moved(value.detach())
        if type(value) in (list, tuple):
            return type(value)(replaced(part) for part in value)
        if type(value) is dict:
            return {key: replaced(part) for key, part in value.items()}
        return value

    for parameter in module.parameters():  # scripts have no requires_grad_ of their own
        parameter.detach_().requires_grad_(False)
    module._apply(moved)
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if name not in MEMBERS and _holds_tensors(value):
                object.__setattr__(part, name, replaced(value))
    return module


MEMBERS = frozenset(vars(nn.Module()))
"""Attributes of every module, which `torch` converts itself."""


def _holds_tensors(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(_holds_tensors(part) for part in value)
    if type(value) is dict:
        return any(_holds_tensors(part) for part in value.values())
    return isinstance(value, Tensor)
