"""Coordinates that come round, such as angles: maps whose images are kept within their periods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Blocks, SameTangents, TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.qr_loop import Recording

MANY = 64
"""Coordinates that come round, beyond which they are moved together rather than one by one."""
NEAR = 1e-6
"""Part of a period by which images may be off whole periods."""


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
        self._goes_round: bool | None = None

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
        if self._left_to_inner(x, frame_dtype):
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
        if self._left_to_inner(x, frame_dtype):
            states, frames, growths = super().propagate_blocks(x, frame, n_blocks, n_steps, qr_every)
            return [self._within(x) for x in states], frames, growths
        return TangentMap.propagate_blocks(
            self, x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step
        )

    def record(
        self, x: Array, frame: Array, n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        return TangentMap.record(self, x, frame, n_steps, wanted, first_step=first_step)

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        if n_steps == 1 or self.log_abs_det_is_independent or self.log_abs_det_in_blocks:
            return super().log_abs_det(x, n_steps, first_step=first_step)
        return TangentMap.log_abs_det(self, x, n_steps, first_step=first_step)

    def _left_to_inner(self, x: Array, frame_dtype: str | None) -> bool:
        """Whether the map within carries whole blocks in a way of its own, after which its states are brought back."""
        if not ((self.compiled or self.orthonormalizes_within) and self.carries(frame_dtype)):
            return False
        if self._goes_round is None:
            self._goes_round = self._seen_to_go_round(x)
        return bool(self._goes_round)

    def _seen_to_go_round(self, x: Array) -> bool | None:
        """Whether images of states that are periods apart are whole periods apart, and stay near each other.

        Else (x' = 2.3 x; x' = 2 x, whose states would double until nothing of them is left) every image has to
        be brought back, not the last of a block only. None where there is no finite state to see it at.
        """
        host = np.asarray(self.ops.to_numpy(x), np.float64)
        host = host[np.isfinite(host).all(axis=1)][:1]
        which = np.flatnonzero(np.isfinite(self.periods))
        if not len(host) or not len(which):
            return True if len(host) else None
        if len(which) > MANY:  # all at once
            shifts = np.where(np.isfinite(self.periods), self.periods, 0.0)[None]
        else:
            shifts = np.zeros((len(which), host.shape[1]))
            shifts[np.arange(len(which)), which] = self.periods[which]
        images = self.ops.to_numpy(self.inner.apply(self.ops.from_numpy(np.concatenate([host, host + shifts]))))
        moves = images[1:] - images[0]
        turns = moves[:, which] / self.periods[which]
        still = np.abs(np.delete(moves, which, axis=1)) <= NEAR * (1 + np.abs(np.delete(images[0], which)))
        if not (np.abs(turns - turns.round()) <= NEAR).all() or not still.all():
            return False
        turns = turns.round()
        largest = np.abs(np.linalg.eigvals(turns)) if len(which) <= MANY else np.abs(turns)
        return bool((largest < 1.01).all())

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
