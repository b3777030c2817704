"""Derivatives by differences that stay on one side of a jump, and what differences say of another derivative.

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

from lyapmap.core.errors import MapError, ShapeError
from lyapmap.core.map import TangentMap, WrappedMap, dimension
from lyapmap.core.ops import Array

_Array = NDArray[Any]

CENTRAL_DIFFERENCES = "central differences"
ROWS = 4096
"""States that go through a function at once."""
COLUMNS = 64
"""Dimension up to which differences are taken coordinate by coordinate, each by its own size."""
LIKELY, MOST_UNSURE = 1000, 0.1
"""From so many differences on, no more than this part of them may lie across a jump."""

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


def tangents_by_differences(call: Callable[[_Array], _Array], x: _Array, v: _Array) -> tuple[_Array, NDArray[np.bool_]]:
    """Derivatives (b, n, k) of a function of rows at x (b, n) in directions v (b, n, k).

    Up to `COLUMNS` coordinates, or k, by coordinates, each over lengths that its own size asks for; beyond along the
    directions themselves.

    Returns
    -------
    (b, n, k) of the dtype of x
    (b, d) of bool
        Which of the d differences at each state are sure.
    """
    _, n, k = v.shape
    if n > max(COLUMNS, k):
        along = np.moveaxis(v, 2, 1)  # (b, k, n)
        longest = np.abs(along / sizes(x)[:, None]).max(axis=2, keepdims=True)
        longest = np.where(longest > 0, longest, 1.0)
        slopes, sure = _slopes(call, x, along / longest)
        return np.ascontiguousarray(np.moveaxis(slopes * longest, 1, 2), dtype=x.dtype), sure
    size = sizes(x)
    slopes, sure = _slopes(call, x, size[:, :, None] * np.eye(n, dtype=x.dtype))
    columns = slopes / size[:, :, None]  # (b, coordinate, component)
    return np.ascontiguousarray(np.moveaxis(columns, 1, 2) @ v, dtype=x.dtype), sure


def _slopes(call: Callable[[_Array], _Array], x: _Array, u: _Array) -> tuple[_Array, NDArray[np.bool_]]:
    """Derivatives (b, d, n) in d directions u (b, d, n) at x (b, n), and which (b, d) are sure."""
    b, d, n = u.shape
    slopes, sure = np.empty((b, d, n)), np.ones((b, d), bool)
    together = max(1, ROWS // max(3 * d, 1))
    for i in range(0, b if d else 0, together):
        states = np.repeat(x[i : i + together], d, axis=0)
        values, certain = slopes_along(call, states, u[i : i + together].reshape(-1, n).astype(x.dtype))
        slopes[i : i + together], sure[i : i + together] = values.reshape(-1, d, n), certain.reshape(-1, d)
    return slopes, sure


class UncertainDifferences:
    """Counts the differences of one map that could not tell; too many are an error."""

    def __init__(self) -> None:
        self.taken = self.unsure = 0

    def add(self, tangents: _Array, sure: NDArray[np.bool_], provenance: dict[str, Any]) -> None:
        """Take in which differences (b, d) at b states were sure; the count goes to the provenance.

        Raises
        ------
        MapError
            If more than a tenth of at least a thousand lie across jumps or noise.
        """
        # Where an orbit escapes there is nothing to tell.
        self.taken += sure.size
        finite = np.isfinite(tangents).reshape(len(tangents), -1).all(axis=1)
        self.unsure += int((~sure[finite]).sum())
        if self.unsure:
            provenance["uncertain_differences"] = f"{self.unsure} of {self.taken}"
        if self.taken >= LIKELY and self.unsure > MOST_UNSURE * self.taken:
            raise MapError(
                f"function: {self.unsure} of {self.taken} differences lie across jumps or noise; "
                "give its jacobian, or write it in functions that its framework can differentiate"
            )


class Differences(WrappedMap):
    """A map with the images of another one and tangents by differences.

    Parameters
    ----------
    inner : TangentMap
        If its `in_float64()` gives a map, tangents are taken in double precision (good to about
        1e-10, else, in float32, to about 1e-5).
    reason : str
        Why; `derivative` tells it.
    """

    depends_on_step = False  # unless the map within does

    def __init__(self, inner: TangentMap, reason: str) -> None:
        super().__init__(inner)
        precise = inner.in_float64() if inner.ops.dtype == "float32" else None
        self._precise = inner if precise is None else precise
        self._double = "" if precise is None else " in float64"
        self.reason = reason
        self._count = UncertainDifferences()
        self._noted: dict[str, Any] = {}

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return f"{CENTRAL_DIFFERENCES}{self._double} ({self.reason})"

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return super().provenance | self._noted

    def at(self, step: int) -> TangentMap:
        now = super().at(step)
        if isinstance(now, Differences):
            now._precise = self._precise.at(step)
        return now

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        dtype = self._precise.ops.dtype
        states = np.asarray(self.ops.to_numpy(x), dtype)
        directions = np.asarray(self.ops.to_numpy(v), dtype)
        slopes, sure = tangents_by_differences(self._images, states, directions)
        self._count.add(slopes, sure, self._noted)
        return self.apply(x), self.ops.from_numpy(slopes)

    def jacobian(self, x: Array) -> Array:
        return TangentMap.jacobian(self, x)

    def _images(self, x: _Array) -> _Array:
        ops = self._precise.ops
        return np.asarray(ops.to_numpy(self._precise.apply(ops.from_numpy(x)))).reshape(-1, dimension(self.state_shape))


EVIDENCE = 20.0
"""How many times the spread of differences among themselves a derivative must be off to be wrong."""
STEADY = 0.1
"""Spread of differences, relative to themselves, up to which they count as one value."""
STANDSTILL = 1e3
"""Roundings that a value should have moved by, according to its derivative, where it stands still."""


class Absent(Exception):  # noqa: N818  # no error: the caller takes another way
    """A map has no derivative in its framework, or one that is zero where its image moves."""


class Samples:
    """Tangents at some states beside differences of several steps, in units of the image."""

    def __init__(self, look: Any, x: NDArray[np.float64], steps: tuple[float, ...]) -> None:
        self.look, self.steps = look, np.array(steps)
        size = np.sqrt(np.mean(x**2, axis=1, keepdims=True))
        v = look.rounded(size * look.rng.standard_normal(x.shape))
        self.x = x
        y = look.images(look.fill(1.0), x)
        self.y = np.full_like(x, np.nan) if y is None else y
        try:
            images, self.tangents = look.carried(x, v)
        except ShapeError:
            raise
        except Exception as error:
            if "OutOfMemory" in type(error).__name__ or isinstance(error, MemoryError):
                raise
            raise Absent(" ".join(str(error).split()).removeprefix("function: ")[:150]) from error
        self._same_images(images)
        self.central, self.gap = [], []
        fine = np.isfinite(self.y).all(axis=1)
        for h in steps:
            both = look.apply(np.concatenate([look.rounded(x + h * v), look.rounded(x - h * v)]))
            both = np.full((2 * len(x), look.n), np.nan) if both is None else both
            ahead, behind = both[: len(x)], both[len(x) :]
            self.central.append((ahead - behind) / (2 * h))
            self.gap.append(np.linalg.norm((ahead - 2 * self.y + behind) / h, axis=1))
            fine &= np.isfinite(both).reshape(2, len(x), -1).all(axis=(0, 2))
        self.length = np.linalg.norm(self.tangents, axis=1)
        if look.given:  # a user's jacobian may say itself that there is none
            fine &= np.isfinite(self.length)
        self.fine: NDArray[np.bool_] = np.asarray(fine)
        self.lengths = [np.linalg.norm(d, axis=1) for d in self.central]
        self.off = np.array([np.linalg.norm(self.tangents - d, axis=1) for d in self.central])
        if look.n == 1:  # slopes are given without their signs, which exponents do not need
            self.off = np.array([np.abs(self.length - size) for size in self.lengths])
        sizes = np.maximum(self.lengths, self.length)
        # NaN where the image moves is as wrong as can be.
        self.off[:, ~np.isfinite(self.length)] = np.inf
        sizes = np.where(np.isfinite(sizes), sizes, 1.0)
        self.relative = self.off / np.maximum(sizes, np.finfo(np.float64).tiny)
        self.sizes = sizes
        # Rounding of the state, of its image, and of what lies between them.
        inner = np.linalg.norm(x, axis=1) + np.linalg.norm(self.y, axis=1) + np.nan_to_num(self.length, posinf=0.0)
        self.noise = 4 * look.roundoff * inner / self.steps[:, None]

    def _same_images(self, images: NDArray[np.float64]) -> None:
        look = self.look
        fine = np.isfinite(self.y).all(axis=1)
        size = np.abs(self.y).max(axis=1)
        apart = ~(np.abs(images - self.y).max(axis=1) <= 0.01 * size) & fine
        if apart.sum() > fine.sum() / 2:
            near = look.images(look.beside[: len(self.x)], look.rounded(self.x * (1 + 4 * look.eps)))
            if near is not None and np.abs(near - self.y)[fine].max() < 0.1 * np.abs(images - self.y)[fine].max():
                raise MapError("function: the image that comes with the tangents is not that of apply")

    @property
    def errors(self) -> NDArray[np.float64]:
        """Least relative error of each state's tangents."""
        least: NDArray[np.float64] = np.nan_to_num(self.relative.min(axis=0), nan=10.0, posinf=10.0)
        return least

    def doubtful(self) -> NDArray[np.bool_]:
        """Where no difference agrees with the tangents, or the image stands still although they move."""
        agrees = (self.off <= self.look.agreement * self.sizes + self.noise).any(axis=0)
        doubt: NDArray[np.bool_] = self.fine & (~agrees | self.halted(1))
        return doubt

    def wrong(self) -> NDArray[np.bool_]:
        """Where differences of three steps agree far better with each other than with the tangents."""
        agreement = self.look.agreement
        never = (self.relative > agreement).all(axis=0)
        conclusive = np.zeros(len(self.x), bool)
        for i in range(len(self.steps) - 2):
            three = self.central[i : i + 3]
            spread = np.max([np.linalg.norm(three[a] - three[c], axis=1) for a, c in ((0, 1), (1, 2), (0, 2))], axis=0)
            allowed = EVIDENCE * spread + 3 * self.gap[i + 1] + 8 * self.noise[i + 2] + agreement * self.sizes[i + 1]
            # Beyond the reach of a steep function differences are small, and fall as the steps grow.
            steady = spread <= STEADY * self.lengths[i + 1]
            if not self.look.map.steps_inside:
                steady &= self.lengths[i + 1] > 0  # else the image drowns a change that is too small for it
            conclusive |= steady & self.within_reach(self.steps[i + 1]) & (self.off[i + 1] > allowed)
        wrong: NDArray[np.bool_] = self.fine & ((never & conclusive) | self.halted(2))
        return wrong

    def within_reach(self, h: float) -> NDArray[np.bool_]:
        """Where a step is not far larger than all that the image can move by: else differences say nothing."""
        size = np.linalg.norm(np.where(self.fine[:, None], self.y, 0), axis=1).max() + np.linalg.norm(self.x, axis=1)
        reach: NDArray[np.bool_] = ~(self.length * h > 10 * size)
        return reach

    def halted(self, times: int) -> NDArray[np.bool_]:
        """Where most values stand still, under some steps, that should have moved far beyond rounding."""
        halted = np.zeros(len(self.x), int)
        if not self.look.map.steps_inside:
            return halted >= times
        size = np.maximum(np.abs(self.y).max(axis=1, keepdims=True), np.abs(self.x).max(axis=1, keepdims=True))
        for h, central in zip(self.steps, self.central, strict=True):
            moved = np.abs(self.tangents) * h > STANDSTILL * self.look.roundoff * size
            stands = (moved & (central == 0)).sum(axis=1) > 0.8 * np.maximum(moved.sum(axis=1), 1)
            halted += stands & self.within_reach(h)
        return halted >= times
