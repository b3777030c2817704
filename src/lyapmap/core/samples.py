"""Tangents beside differences: is a derivative right? Judged so that rounding and kinks never speak against it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import MapError, ShapeError

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
