"""Layers of image networks for the tangents of a few states, with channels last in memory.

Tangents (k, b, c, h, w) lie in memory as (k, b, h, w, c), the order in which oneDNN convolves without
copies, also in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from lyapmap.backends.torch import slabs

LAST = torch.channels_last


def scaled(tangents: Tensor, factor: Tensor) -> Tensor:
    """Tangents (k, b, ...) times a factor (b, ...) of their states."""
    if factor.ndim == 4 and not tangents.is_contiguous():
        factor = factor.contiguous(memory_format=LAST)
    return tangents * factor


def padded(tangents: Tensor, pad: tuple[int, ...]) -> Tensor:
    """Zeros around maps, (left, right, top, bottom)."""
    return F.pad(tangents.flatten(0, 1), pad).unflatten(0, tangents.shape[:2])


def in_products(
    func: Callable[..., Tensor], rows: Tensor, weight: Tensor, products: torch.dtype | None, *rest: Any, **named: Any
) -> Tensor:
    """A convolution or dense layer without its bias, of rows (m, ...), with products in another dtype if told so."""
    if products is None:
        return func(rows, weight, None, *rest, **named)
    return func(rows.to(products), _in_dtype(weight, products), None, *rest, **named).to(rows.dtype)


def layer(
    func: Callable[..., Tensor],
    rows: Tensor,
    weight: Tensor,
    products: torch.dtype | None,
    out: torch.Size,
    *rest: Any,
    **named: Any,
) -> Tensor:
    """The same for images (m, c, h, w), of which (m, c, h, w) of the size `out` come with channels last."""
    given, dtype = rows.to(products or rows.dtype), products or weight.dtype
    if func is F.conv_transpose2d:
        of = slabs.options(slabs.TRANSPOSED, rest, named)
        if of["groups"] == 1 and weight.shape[1] <= slabs.FEW_CHANNELS and max(of["stride"]) > 1:
            size = (rows.shape[2], rows.shape[3]), (out[2], out[3])
            return _spread(given, weight, dtype, *size, of["stride"], of["padding"], of["dilation"]).to(rows.dtype)
    kept = _kept(weight, (dtype, LAST), lambda: _last(weight.to(dtype)))
    return func(_last(given), kept, None, *rest, **named).to(rows.dtype)


def _last(images: Tensor) -> Tensor:
    """Images (m, c, h, w) with channels last; a single channel says so in its strides, else torch puts it first."""
    laid = images.contiguous(memory_format=LAST)
    _, c, h, w = laid.shape
    return laid.as_strided(laid.shape, (h * w, 1, w, 1)) if c == 1 else laid


def _spread(
    rows: Tensor,
    weight: Tensor,
    dtype: torch.dtype,
    size: slabs.Pair,
    out: slabs.Pair,
    stride: slabs.Pair,
    padding: slabs.Pair,
    dilation: slabs.Pair,
) -> Tensor:
    """A transposed convolution to few channels: an ordinary one to as many times the channels as it has phases."""
    c_out = weight.shape[1]
    shifts = slabs.shifts_of(list(weight.shape[2:]), padding, dilation)
    phases = slabs.phases_of(stride, shifts)
    (up, down), (left, right) = ((-along[0], along[-1]) for along in phases)

    def made() -> Tensor:
        kernel = slabs.phased_kernel(weight.permute(2, 3, 0, 1), stride, shifts, phases)  # (y, x, in, phases * out)
        full = kernel.new_zeros(up + down + 1, left + right + 1, *kernel.shape[2:])
        for i, y in enumerate(phases[0]):
            for j, x in enumerate(phases[1]):
                full[y + up, x + left] = kernel[i, j]
        return _last(full.permute(3, 2, 0, 1).to(dtype))

    kernel = _kept(weight, (dtype, stride, padding, dilation), made)
    h, w = (-(-n // s) for n, s in zip(out, stride, strict=True))
    # Zeros so that h x w pixels come out: more after the image than before it where strides demand.
    padded = F.pad(rows, (left, w - size[1] + right, up, h - size[0] + down))
    apart = F.conv2d(_last(padded), kernel).unflatten(1, (*stride, c_out))
    joined = apart.permute(0, 3, 4, 1, 5, 2).reshape(len(rows), c_out, h * stride[0], w * stride[1])
    return joined[:, :, : out[0], : out[1]]


def pixel_norm(tangents: Tensor, normal: Tensor) -> Tensor:
    """Tangents (k, b, c, h, w) through a layer norm over the pixels of each channel, but for its gain.

    `normal` (b, c, h, w) are the normalized values.
    """
    x = tangents.permute(0, 1, 3, 4, 2).flatten(2, 3)  # (k, b, pixels, c)
    unit = normal.permute(0, 2, 3, 1).flatten(1, 2).contiguous()
    overlap = (x * unit).mean(2, keepdim=True)
    out = (x - x.mean(2, keepdim=True)).addcmul_(unit, overlap, value=-1)
    return out.unflatten(2, tangents.shape[3:]).permute(0, 1, 4, 2, 3)


def channel_norm(tangents: Tensor, normal: Tensor) -> Tensor:
    """Tangents (k, b, h, w, c) through a layer norm over channels, but for its gain; `normal` (b, h, w, c)."""
    unit = normal.contiguous()
    overlap = (tangents * unit).mean(-1, keepdim=True)
    return (tangents - tangents.mean(-1, keepdim=True)).addcmul_(unit, overlap, value=-1)


_weights: WeakIdKeyDictionary = WeakIdKeyDictionary()


def _in_dtype(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return _kept(weight, (dtype,), lambda: weight.to(dtype))


def _kept(weight: Tensor, form: tuple[Any, ...], made: Callable[[], Tensor]) -> Tensor:
    """Weights in another form, kept as long as they live unchanged."""
    forms = _weights.get(weight)
    if forms is None or forms[0] != weight._version:
        _weights[weight] = forms = (weight._version, {})
    if form not in forms[1]:
        forms[1][form] = made()
    kept: Tensor = forms[1][form]
    return kept
