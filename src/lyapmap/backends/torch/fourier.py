"""Convolutions of many small images as products in Fourier space, with real matrices only.

y[o] = sum over taps of x[o + shift] K[tap] becomes one small matrix product for each frequency. On a
map of 7 x 7 pixels a kernel of 3 x 3 takes 124 such products in place of 361, and the transforms are
matrix products themselves. Cosines and sines amplify no rounding, as the transforms of Winograd do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


class Transforms(NamedTuple):
    """Matrices of one geometry.

    Attributes
    ----------
    forward : (f, pixels in)
        Real parts of all independent frequencies, then imaginary parts of those that have one.
    backward : (pixels out, f)
    cosines, sines : (independent frequencies, taps), (frequencies with an imaginary part, taps)
        Of the kernel.
    real : int
        Frequencies without an imaginary part.
    """

    forward: Tensor
    backward: Tensor
    cosines: Tensor
    sines: Tensor
    real: int


def lengths(size: tuple[int, int], out: tuple[int, int], shifts: tuple[tuple[int, ...], tuple[int, ...]]) -> list[int]:
    """Periods, height and width, at which nothing wanted wraps around."""
    return [max(n, n - min(s), m + max(s)) for n, m, s in zip(size, out, shifts, strict=True)]


def products(periods: list[int]) -> int:
    """Real matrix products, channels in x channels out, that all frequencies take."""
    total = periods[0] * periods[1]
    real = (2 - periods[0] % 2) * (2 - periods[1] % 2)
    return real + 2 * (total - real)


@lru_cache(maxsize=64)
def transforms(
    size: tuple[int, int], out: tuple[int, int], shifts: tuple[tuple[int, ...], tuple[int, ...]], dtype: torch.dtype
) -> Transforms:
    """The matrices for maps of `size` pixels, `out` wanted pixels, and the shifts of the taps along both axes."""
    ny, nx = lengths(size, out, shifts)
    fy, fx = (grid.ravel() for grid in np.meshgrid(np.arange(ny), np.arange(nx), indexing="ij"))
    number, mirrored = fy * nx + fx, (-fy % ny) * nx + (-fx % nx)
    real = int((number == mirrored).sum())
    # Of two frequencies that are conjugate to each other one is enough, counted twice.
    modes = np.concatenate([np.flatnonzero(number == mirrored), np.flatnonzero(number < mirrored)])
    fy, fx = fy[modes] / ny, fx[modes] / nx
    weights = np.where(np.arange(len(modes)) < real, 1.0, 2.0)[:, None] / (ny * nx)

    def angles(along_y: Any, along_x: Any) -> Any:
        y, x = (grid.ravel() for grid in np.meshgrid(along_y, along_x, indexing="ij"))
        return 2 * np.pi * (np.outer(fy, y) + np.outer(fx, x))

    given, wanted = angles(range(size[0]), range(size[1])), angles(range(out[0]), range(out[1]))
    taps = angles(*shifts)
    forward = np.concatenate([np.cos(given), -np.sin(given[real:])])
    backward = np.concatenate([weights * np.cos(wanted), (-weights * np.sin(wanted))[real:]]).T

    def tensor(matrix: Any) -> Tensor:
        return torch.tensor(np.ascontiguousarray(matrix), dtype=dtype)

    return Transforms(tensor(forward), tensor(backward), tensor(np.cos(taps)), tensor(np.sin(taps[real:])), real)


class Spectra(NamedTuple):
    """A kernel at all frequencies: real (f, channels in, channels out), and imaginary parts of those that have one."""

    even: Tensor
    odd: Tensor


_kept: WeakIdKeyDictionary = WeakIdKeyDictionary()


def spectra(weight: Tensor, t: Transforms, arrange: Callable[[Tensor], Tensor]) -> Spectra:
    """The kernel that `arrange` makes of a layer's weights, (taps, taps, channels in, channels out), transformed.

    Kept as long as the weights live unchanged, since tangents come in many chunks.
    """
    cached = _kept.get(weight)
    if cached is None or cached[0] != (weight._version, id(t)):
        kernel = arrange(weight)
        channels = kernel.shape[-2:]
        taps = kernel.reshape(-1, channels.numel())
        made = Spectra((t.cosines @ taps).unflatten(1, channels), (t.sines @ taps).unflatten(1, channels))
        _kept[weight] = cached = ((weight._version, id(t)), made)
    return cached[1]


def correlate(x: Tensor, kernel: Spectra, t: Transforms, out: tuple[int, int]) -> Tensor:
    """Sum over taps of x[o + shift] K[tap], zero outside.

    Parameters
    ----------
    x : (h, w, rows, channels in)
    kernel : Spectra
    t : Transforms
        For maps of this size.
    out : (height, width)

    Returns
    -------
    Tensor
        (height, width, rows, channels out)
    """
    (h, w, rows, c_in), c_out = x.shape, kernel.even.shape[-1]
    f, pairs = len(t.forward), len(t.sines)
    seen = (t.forward @ x.reshape(h * w, -1)).view(f, rows, c_in)
    answer = x.new_empty(f, rows, c_out)
    torch.bmm(seen[: t.real], kernel.even[: t.real], out=answer[: t.real])
    even, odd = kernel.even[t.real :], kernel.odd
    first = slice(t.real, t.real + pairs)
    re, im, out_re, out_im = seen[first], seen[first.stop :], answer[first], answer[first.stop :]
    torch.bmm(re, even, out=out_re)
    out_re.baddbmm_(im, odd, alpha=-1)
    torch.bmm(re, odd, out=out_im)
    out_im.baddbmm_(im, even)
    return (t.backward @ answer.view(f, -1)).view(*out, rows, c_out)
