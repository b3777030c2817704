"""Coordinates that come round: angles and phases, kept within one period."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Blocks, TangentMap, as_tangent_map, dimension
from lyapmap.core.ops import Array
from lyapmap.core.wrapped import SameTangents


@final
class PeriodicStates(SameTangents):
    """A map whose images have some coordinates taken modulo their periods. Tangents are untouched.

    Parameters
    ----------
    inner : Map
    periods : dict or sequence
        See `as_periods`.
    """

    def __init__(self, inner: Any, periods: Any) -> None:
        super().__init__(as_tangent_map(inner))
        self.periods = as_periods(periods, dimension(self.state_shape))

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        declared = {str(i): float(p) for i, p in enumerate(self.periods) if np.isfinite(p)}
        return super().provenance | {"periods": declared}

    def apply(self, x: Array) -> Array:
        return self._within(super().apply(x))

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        y, u = super().jvp(x, v)
        return self._within(y), u

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        if self._left_to_inner(frame_dtype):
            x, frame, growth = super().propagate(x, frame, n_steps, qr_every)
            return self._within(x), frame, growth
        return TangentMap.propagate(self, x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)

    def propagate_blocks(
        self,
        x: Array,
        frame: Array,
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        if self._left_to_inner(frame_dtype):
            states, frames, growths = super().propagate_blocks(x, frame, n_blocks, n_steps, qr_every)
            return [self._within(x) for x in states], frames, growths
        return TangentMap.propagate_blocks(
            self, x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step
        )

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        if n_steps == 1 or self.log_abs_det_is_independent or self.log_abs_det_in_blocks:
            return super().log_abs_det(x, n_steps, first_step=first_step)
        return TangentMap.log_abs_det(self, x, n_steps, first_step=first_step)

    def _left_to_inner(self, frame_dtype: str | None) -> bool:
        """Whether the map within carries blocks in a way of its own: its states are brought back at their ends."""
        return (self.compiled or self.orthonormalizes_within) and self.carries(frame_dtype)

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
