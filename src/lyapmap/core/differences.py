"""Derivatives by differences that stay on one side of a jump.

Where nothing better is to be had: a function that cannot be looked into. Three slopes are held against each other,
to both sides of the state and over another length; where a jump lies between, they disagree, and
slopes of one side are taken, over ever shorter lengths, until three agree. The state's own image
tells which side it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Array = NDArray[Any]

INNER = 0.37
"""The length of the third slope, as a part of the others'. No simple fraction: steps of a regular staircase would
agree with it by chance."""
SHORTER = 30.0
"""By which lengths shrink from one attempt to the next."""
AGREEMENT, NOISE, COARSEST = 1e-6, 100.0, 1e-2
"""How well slopes must agree, relative to their size: the first, or where rounding spoils more, so many times its
share; never worse than the last."""
FLAT = 1e-4
"""Part of the image up to which its rounding may hide a change, where slopes are zero exactly."""
SMALLEST_SIZE = 1e-3
"""Of a coordinate, where lengths are chosen; zero tells nothing of how large it may become."""


def sizes(x: _Array) -> _Array:
    """The size of every coordinate, by which a difference step is measured."""
    return np.maximum(np.abs(x), SMALLEST_SIZE)


def lengths(dtype: Any) -> list[float]:
    """Lengths of differences that are tried, relative to the size of a coordinate.

    The first balances truncation and rounding.

    >>> len(lengths("float64")), len(lengths("float32"))
    (6, 2)
    """
    eps = float(np.finfo(dtype).eps)
    tried = [eps ** (1 / 3)]
    while eps * SHORTER / tried[-1] < 1e-3:
        tried.append(tried[-1] / SHORTER)
    return tried


def slopes_along(call: Callable[[_Array], _Array], x: _Array, u: _Array) -> tuple[_Array, NDArray[np.bool_]]:
    """Derivatives (m, n) of a function of rows at x (m, n) in directions u (m, n), and which are sure.

    Parameters
    ----------
    call : callable
        Images of rows.
    x : (m, n)
        States.
    u : (m, n)
        One direction for each, as long as the sizes of the coordinates.

    Returns
    -------
    (m, n), (m,) of bool
        Where slopes agree nowhere the best guess is returned, and is not sure.

    Examples
    --------
    >>> x = np.array([[0.4999999], [0.5], [0.7]])
    >>> slope, sure = slopes_along(lambda x: 2 * x % 1, x, np.ones((3, 1)))
    >>> slope.ravel().round(6).tolist(), sure.tolist()
    ([2.0, 2.0, 2.0], [True, True, True])
    """
    eps = float(np.finfo(x.dtype).eps)
    image = call(x).astype(np.float64)
    slopes, sure = np.full(x.shape, np.nan), np.zeros(len(x), bool)
    calmest = np.full(len(x), np.inf)
    square = np.maximum((u.astype(np.float64) ** 2).sum(axis=1), np.finfo(np.float64).tiny)

    def tried(rows: NDArray[np.int64], parts: tuple[float, float, float]) -> None:
        """The slope at 0 by the line through those over two lengths, held against the third."""
        moved = np.concatenate([x[rows] + (part * u[rows]).astype(x.dtype) for part in parts])
        at = np.tile(x[rows], (3, 1)).astype(np.float64)
        # The length as rounding left it, not as it was meant.
        t = ((moved - at) * np.tile(u[rows], (3, 1))).sum(axis=1) / np.tile(square[rows], 3)
        values = (call(moved) - np.tile(image[rows], (3, 1))) / np.where(t == 0, np.nan, t)[:, None]
        (a, b, c), (ta, tb, tc) = values.reshape(3, len(rows), -1), t.reshape(3, len(rows), 1)
        tilt = (a - b) / (ta - tb)
        slope = b - tilt * tb
        shortest = np.abs(t.reshape(3, -1)).min(axis=0)[:, None]
        largest = np.abs(values.reshape(3, len(rows), -1)).max(axis=0)
        most = largest.max(axis=1, keepdims=True)
        scale = np.maximum(largest, 1e-3 * most)
        tolerance = np.clip(NOISE * eps / shortest, AGREEMENT, COARSEST)
        noise = 30 * eps * np.abs(image[rows]) / shortest
        # Short steps tell nothing where rounding of the image outweighs its change.
        drowned = (noise > np.where(most > 0, COARSEST * most, FLAT * np.abs(image[rows]))).any(axis=1)
        drowned &= abs(parts[0]) < longest
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.abs(slope + tilt * tc - c)
            misfit = np.where(off == 0, 0.0, off / (tolerance * scale + noise)).max(axis=1)
        sure[rows] = (misfit <= 1) & ~drowned
        # A jump makes a slope steep: of those that disagree the flattest is the likeliest.
        better = sure[rows] | (~drowned & (most[:, 0] < calmest[rows]))
        slopes[rows[better]], calmest[rows[better]] = slope[better], most[better, 0]

    longest = lengths(x.dtype)[0]
    with np.errstate(all="ignore"):
        for h in lengths(x.dtype):
            inner = INNER * h
            for parts in ((h, -h, inner), (h, inner, inner / SHORTER), (-h, -inner, -inner / SHORTER)):
                rows = np.flatnonzero(~sure)
                if not rows.size:
                    return slopes, sure
                tried(rows, parts)
    return slopes, sure
