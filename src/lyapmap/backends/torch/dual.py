"""Images with their tangents through common layers, in far fewer passes than torch's own way needs.

A `Dual` holds a batch of images (b, ...) and k tangents of each, (k, b, ...). It takes part in torch
functions through the `__torch_function__` protocol, with a rule for each layer that image networks
are made of; for any other function it raises `NoRule`, and the caller leaves the network to
`torch.func`. Whoever uses this compares both on some states first: a rule must never be trusted
where the network does something that it was not written for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lyapmap.backends.torch import channels_last, layer_rules
from lyapmap.backends.torch import recurrent as torch_cells
from lyapmap.backends.torch import slabs as torch_slabs
from lyapmap.backends.torch.channels_last import in_products
from lyapmap.backends.torch.layer_rules import image_of
from lyapmap.core.progress import leave_off_if_asked

Rule = Callable[..., Any]


class Way(NamedTuple):
    """How tangents go through layers.

    Attributes
    ----------
    order : "torch", "rows" or "slabs"
        How arrays lie in memory: as torch has them; channels last; pixel by pixel (see `slabs`).
    products : torch.dtype or None
        In which dtype convolutions and dense layers take weights and tangents, where not in that of the
        states. They add up in float32, and all else is done in the states' own dtype.
    """

    order: str = "torch"
    products: torch.dtype | None = None


PLAIN = Way()
ORDERS = ("slabs", "rows", "torch")


PROPERTIES = ("is_nested", "is_cuda", "is_cpu", "is_sparse", "is_quantized", "layout", "requires_grad")


class NoRule(Exception):  # noqa: N818  # no error: the caller takes the other way
    """A function has no rule here."""


class Dual:
    """Images (b, ...) and their tangents (k, b, ...).

    Parameters
    ----------
    image : Tensor (b, ...)
    tangents : Tensor (k, b, ...)
    factor : Tensor (b, ...), optional
        What the tangents are yet to be multiplied with: factors of successive layers meet here, where they
        are small.
    margins : tuple of int, optional
        Zeros that tangents (k, b, c, h, w) are yet to be surrounded with: left, right, top, bottom.
    way : Way
        How layers are to carry them.
    """

    def __init__(
        self,
        image: Tensor,
        tangents: Tensor,
        factor: Tensor | None = None,
        margins: tuple[int, ...] | None = None,
        way: Way = PLAIN,
    ) -> None:
        self.image = image
        self.raw, self.factor, self.margins = tangents, factor, margins
        self.way = way

    def like(
        self, image: Tensor, tangents: Tensor, factor: Tensor | None = None, margins: tuple[int, ...] | None = None
    ) -> Dual:
        """Other images and tangents that go the same way."""
        return Dual(image, tangents, factor, margins, self.way)

    @property
    def inner(self) -> Tensor:
        """The tangents without their margins."""
        if self.factor is not None:
            scaled = channels_last.scaled if self.way.order == "rows" else torch_slabs.scaled
            self.raw, self.factor = scaled(self.raw, self.factor), None
        return self.raw

    @property
    def tangents(self) -> Tensor:
        if self.margins is not None:
            padded = channels_last.padded if self.way.order == "rows" else torch_slabs.padded
            self.raw, self.margins = padded(self.inner, self.margins), None
        return self.inner

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        leave_off_if_asked()
        rule = _RULES.get(func)
        if rule is None:
            raise NoRule(getattr(func, "__name__", str(func)))
        return rule(func, *args, **(kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name in PROPERTIES:
            return getattr(self.image, name)
        method = getattr(torch.Tensor, name, None)
        if not callable(method) or method not in _RULES:
            raise NoRule(name)
        return lambda *args, **kwargs: _RULES[method](method, self, *args, **kwargs)

    @property
    def shape(self) -> torch.Size:
        return self.image.shape

    @property
    def ndim(self) -> int:
        return self.image.ndim

    @property
    def dtype(self) -> torch.dtype:
        return self.image.dtype

    @property
    def device(self) -> torch.device:
        return self.image.device

    def __add__(self, other: Any) -> Dual:
        return _RULES[torch.add](torch.add, self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        return _RULES[torch.sub](torch.sub, self, other)

    def __rsub__(self, other: Any) -> Dual:
        return _RULES[torch.sub](torch.sub, other, self)

    def __mul__(self, other: Any) -> Dual:
        return _RULES[torch.mul](torch.mul, self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        return _RULES[torch.div](torch.div, self, other)

    def __rtruediv__(self, other: Any) -> Dual:
        return _RULES[torch.div](torch.div, other, self)

    def __pow__(self, exponent: Any) -> Dual:
        return _RULES[torch.pow](torch.pow, self, exponent)

    def __matmul__(self, other: Any) -> Dual:
        return _RULES[torch.matmul](torch.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Dual:
        return _RULES[torch.matmul](torch.matmul, other, self)

    def __neg__(self) -> Dual:
        return self.like(-self.image, -self.tangents)

    def __gt__(self, other: Any) -> Tensor:
        return torch.gt(self.image, image_of(other))

    def __ge__(self, other: Any) -> Tensor:
        return torch.ge(self.image, image_of(other))

    def __lt__(self, other: Any) -> Tensor:
        return torch.lt(self.image, image_of(other))

    def __le__(self, other: Any) -> Tensor:
        return torch.le(self.image, image_of(other))

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: Any) -> Dual:
        index = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, Tensor | Dual) for i in index):
            raise NoRule("indexing with a tensor")
        return self.like(self.image[index], self.tangents[(slice(None), *index)])

    def __bool__(self) -> bool:
        raise NoRule("control flow that depends on the state")


def carry(function: Callable[[Any], Any], x: Tensor, tangents: Tensor, way: Way = PLAIN) -> tuple[Tensor, Tensor]:
    """Images and tangents after a function, (b, ...) and (k, b, ...).

    Raises
    ------
    NoRule
        If the function uses something that has no rule here.
    """
    try:
        out = function(Dual(x, tangents, way=way))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        # A Dual is no Tensor, and some functions insist on one; an error of the function's own will
        # be raised again by torch's way.
        raise NoRule(str(error)) from error
    if not isinstance(out, Dual):
        raise NoRule(f"a function that returns {type(out).__name__}")
    return out.image, out.tangents


def _require_constant(*parameters: Any) -> None:
    """Weights that come from the state have tangents of their own."""
    if any(isinstance(p, Dual) for p in parameters):
        raise NoRule("weights that depend on the state")


def _linear_layer(func: Rule, x: Any, weight: Any, bias: Any = None, *rest: Any, **named: Any) -> Dual:
    """Convolutions and dense layers: the tangents go through the layer as one large batch."""
    _require_constant(weight, bias)
    k, b = x.raw.shape[:2]
    if x.image.ndim != weight.ndim and weight.ndim != 2:
        raise NoRule("a convolution without a batch axis")
    image = func(x.image, weight, bias, *rest, **named)
    if x.way.order == "slabs" and x.way.products is None:
        faster = _PRODUCTS.get(func)
        moved = None if faster is None else faster(x, weight, image.shape, *rest, **named)
        if moved is not None:
            return x.like(image, moved)
    rows = x.tangents.flatten(0, 1)
    if x.way.order == "rows" and weight.ndim == 4:
        moved = channels_last.layer(func, rows, weight, x.way.products, image.shape, *rest, **named)
    else:
        moved = in_products(func, rows, weight, x.way.products, *rest, **named)
    return x.like(image, moved.view(k, b, *moved.shape[1:]))


def _convolved(x: Any, weight: Tensor, out: torch.Size, *rest: Any, **named: Any) -> Tensor | None:
    """Tangents after conv2d, in the order that is fastest on a CPU; None where it cannot be had."""
    of = torch_slabs.options(torch_slabs.CONVOLUTION, rest, named)
    if of["groups"] != 1 or isinstance(of["padding"], str):
        return None
    left, _, top, _ = x.margins or (0, 0, 0, 0)
    above, before = of["padding"]
    zeros = above + top, before + left
    return torch_slabs.convolved(x.inner, weight, (out[2], out[3]), of["stride"], zeros, of["dilation"])


def _spread(x: Any, weight: Tensor, out: torch.Size, *rest: Any, **named: Any) -> Tensor | None:
    """Tangents after conv_transpose2d, in the order that is fastest on a CPU; None where it cannot be had."""
    of = torch_slabs.options(torch_slabs.TRANSPOSED, rest, named)
    if of["groups"] != 1:
        return None
    return torch_slabs.spread(x.tangents, weight, (out[2], out[3]), of["stride"], of["padding"], of["dilation"])


_PRODUCTS: dict[Any, Callable[..., Tensor | None]] = {F.conv2d: _convolved, F.conv_transpose2d: _spread}


def _layer_norm(func: Rule, x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Dual:
    """Tangents (t - mean t - normal * mean(t * normal)) * gain, means over the normalized axes."""
    _require_constant(weight, bias)
    axes = len(shape)
    dims = tuple(range(-axes, 0))
    image, tangents = x.image, x.tangents
    centred = image - image.mean(dims, keepdim=True)  # a fifth of the time of torch.var_mean
    inverse = (centred.square().mean(dims, keepdim=True) + eps).rsqrt()
    normal = centred * inverse
    gain = inverse.expand_as(image) if weight is None else inverse * weight
    y = normal if weight is None else normal * weight
    width = image.shape[-axes:].numel()
    shifted = y if bias is None else y + bias
    if axes == 2 and tangents.ndim == 5 and torch_slabs.in_slabs(tangents):
        return x.like(shifted, torch_slabs.pixel_norm(tangents, normal), gain)
    if axes == 1 and tangents.ndim == 5 and torch_slabs.in_slabs(tangents.movedim(-1, 2)):
        moved = torch_slabs.channel_norm(tangents.movedim(-1, 2), normal.movedim(-1, 1))
        return x.like(shifted, moved.movedim(2, -1), gain)
    if x.way.order == "rows" and tangents.ndim == 5 and axes < 3:
        moved = (channels_last.pixel_norm if axes == 2 else channels_last.channel_norm)(tangents, normal)
        return x.like(shifted, moved, gain)
    flat = tangents.reshape(tangents.shape[0], -1, width)
    unit = normal.reshape(-1, width)
    # The overlap of all tangents of a row with its normalized values is one matrix product.
    overlap = torch.bmm(flat.transpose(0, 1), unit[..., None]).transpose(0, 1)  # (k, rows, 1)
    out = (flat - flat.mean(-1, keepdim=True)).addcmul_(unit, overlap, value=-1 / width)
    return x.like(shifted, out.reshape(tangents.shape), gain)


def _dropout(func: Rule, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Dual:
    if training:
        raise NoRule("dropout that is switched on")
    return x


def _pad(func: Rule, x: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Dual:
    if mode != "constant":
        return layer_rules.of_each(F.pad, x, pad, mode, value)
    margins = tuple(pad)
    if len(margins) != 4 or min(margins) < 0 or x.image.ndim != 4:
        return x.like(F.pad(x.image, pad, mode, value), F.pad(x.tangents, pad))
    return x.like(F.pad(x.image, pad, mode, value), x.tangents, None, margins)


def _flatten(func: Rule, x: Any, start_dim: int = 0, end_dim: int = -1) -> Dual:
    start, end = _inner(x, start_dim), _inner(x, end_dim)
    return x.like(x.image.flatten(start_dim, end_dim), x.tangents.flatten(start, end))


def _unflatten(func: Rule, x: Any, dim: int, sizes: Any) -> Dual:
    return x.like(x.image.unflatten(dim, sizes), x.tangents.unflatten(_inner(x, dim), sizes))


def _movedim(func: Rule, x: Any, source: int, destination: int) -> Dual:
    tangents = x.raw if x.margins is None else x.tangents
    moved = tangents.movedim(_inner(x, source), _inner(x, destination))
    factor = None if x.factor is None else x.factor.movedim(source, destination)
    return x.like(x.image.movedim(source, destination), moved, factor)


def _inner(x: Any, dim: int) -> int:
    """Where an axis of the images stands among those of the tangents."""
    if not -x.image.ndim <= dim < x.image.ndim:
        raise NoRule("an axis out of range")
    return dim % x.image.ndim + 1


_RULES: dict[Any, Rule] = {
    **layer_rules.RULES,
    **torch_cells.RULES,
    F.conv1d: _linear_layer,
    F.conv2d: _linear_layer,
    F.conv3d: _linear_layer,
    F.conv_transpose1d: _linear_layer,
    F.conv_transpose2d: _linear_layer,
    F.conv_transpose3d: _linear_layer,
    F.linear: _linear_layer,
    F.layer_norm: _layer_norm,
    F.dropout: _dropout,
    F.pad: _pad,
    torch.flatten: _flatten,
    torch.Tensor.flatten: _flatten,
    torch.Tensor.unflatten: _unflatten,
    torch.movedim: _movedim,
    torch.Tensor.movedim: _movedim,
}
