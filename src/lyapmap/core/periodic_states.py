"""Coordinates that come round: angles and phases, kept within one period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, as_tangent_map, dimension
from lyapmap.core.ops import Array

HANDED_ON = (
    "derivative",
    "time_per_step",
    "mean_log_abs_det",
    "log_abs_det",
    "log_abs_det_in_blocks",
    "orthonormalizes_within",
    "structure",
    "restore",
)
"""Optional members of a map that periods leave as they are."""


@final
class PeriodicStates:
    """A map whose images have some coordinates taken modulo their periods. Tangents are untouched.

    Parameters
    ----------
    inner : Map
    periods : dict or sequence
        See `as_periods`.
    """

    def __init__(self, inner: Any, periods: Any) -> None:
        self.inner: TangentMap = as_tangent_map(inner)
        self.state_shape = tuple(self.inner.state_shape)
        self.ops = self.inner.ops
        self.periods = as_periods(periods, dimension(self.state_shape))
        for name in HANDED_ON:
            if hasattr(self.inner, name):
                setattr(self, name, getattr(self.inner, name))
        if hasattr(self.inner, "at"):
            self.at = self._at
        if hasattr(self.inner, "propagate"):
            self.propagate = self._propagate
        if hasattr(self.inner, "propagate_blocks"):
            self.propagate_blocks = self._propagate_blocks

    @property
    def provenance(self) -> dict[str, Any]:
        declared = {str(i): float(p) for i, p in enumerate(self.periods) if np.isfinite(p)}
        return dict(getattr(self.inner, "provenance", {})) | {"periods": declared}

    @property
    def log_abs_det_tolerance(self) -> float:
        return float(getattr(self.inner, "log_abs_det_tolerance", 0.0))

    def apply(self, x: Array) -> Array:
        return self._within(self.inner.apply(x))

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        y, u = self.inner.jvp(x, v)
        return self._within(y), u

    def jacobian(self, x: Array) -> Array:
        return self.inner.jacobian(x)

    def _at(self, step: int) -> PeriodicStates:
        return PeriodicStates(self.inner.at(step), self.periods)  # type: ignore[attr-defined]

    def _propagate(self, x: Array, frame: Array, n_steps: int, qr_every: int = 1) -> tuple[Array, Array, Array]:
        x, frame, growth = self.inner.propagate(x, frame, n_steps, qr_every)  # type: ignore[attr-defined]
        return self._within(x), frame, growth

    def _propagate_blocks(
        self, x: Array, frame: Array, n_blocks: int, n_steps: int, qr_every: int = 1
    ) -> tuple[Array, Array, Array]:
        blocks = self.inner.propagate_blocks(x, frame, n_blocks, n_steps, qr_every)  # type: ignore[attr-defined]
        states = np.asarray(blocks[0])
        return within(states, self.periods), blocks[1], blocks[2]

    def _within(self, x: Array) -> Array:
        host = np.asarray(self.ops.to_numpy(x))
        return self.ops.from_numpy(within(host, self.periods))


def within(states: NDArray[Any], periods: NDArray[np.float64]) -> NDArray[Any]:
    """States (..., n) with every coordinate that has a finite period in [0, period)."""
    out = states.copy()
    for i in np.flatnonzero(np.isfinite(periods)):
        # The remainder of a tiny negative number rounds to the period itself.
        rest = np.mod(out[..., i], periods[i])
        out[..., i] = np.where(rest >= periods[i], 0.0, rest)
    return out


def as_periods(periods: Any, n: int) -> NDArray[np.float64]:
    """Periods (n,) of coordinates, infinite where there is none.

    Parameters
    ----------
    periods : dict of int to float, or sequence of n floats and None
        Coordinates are counted from 0, those from the end with negative numbers.
    n : int

    Raises
    ------
    LyapmapError
        That names `periods`.

    Examples
    --------
    >>> as_periods({0: 1.0}, 3)
    array([ 1., inf, inf])
    """
    out = np.full(n, np.inf)
    if isinstance(periods, Mapping):
        entries = list(periods.items())
    elif np.iterable(periods) and not isinstance(periods, str):
        entries = [(i, p) for i, p in enumerate(periods) if p is not None]
        if len(list(periods)) != n:
            raise LyapmapError(f"periods: expected {n} values, None for coordinates without, got {len(list(periods))}")
    else:
        raise LyapmapError(f"periods: expected a dict {{coordinate: period}} or {n} values, got {periods!r}")
    for coordinate, period in entries:
        i = whole("periods", coordinate, -n)
        if i >= n:
            raise LyapmapError(f"periods: expected coordinates below {n}, got {coordinate}")
        out[i] = positive("periods", period)
    return out
