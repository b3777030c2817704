"""What kind of orbit a run ended on: does it repeat, and is that real or an artefact of rounding?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import TangentMap
from lyapmap.core.ops import Array
from lyapmap.core.propagate import step_states

LONGEST_PERIOD = 512
ROUNDINGS = 64
"""Roundings of a state's size within which two states are the same point, known inexactly."""
CHAOTIC, TORUS, LIMIT_CYCLE, UNDETERMINED = "chaotic", "torus", "limit cycle", "undetermined"
ZERO = 1e-9
"""Exponents closer to zero than this (nats per step) are zero, whatever their error."""
TORUS_ERROR = 0.003
"""A zero exponent says torus only if its standard error is no larger than this."""
CERTAIN = 3.0
"""Standard errors from zero at which the sign of an exponent counts as known."""


class RepeatWatch:
    """Notices trajectories whose computed orbit repeats in every bit.

    A snapshot is kept and renewed at block numbers that are powers of two (R. Brent 1980), so any
    period is found in the end. Growth since the snapshot is growth along the repeating orbit: if
    that is positive, a deterministic orbit could not have been attracted to it, and rounding must
    have put it there.
    """

    def __init__(self, tangent_map: TangentMap, x: Array, k: int) -> None:
        self.ops = tangent_map.ops
        b = x.shape[0]
        self.repeats: NDArray[np.bool_] = np.zeros(b, bool)
        self.growth: NDArray[np.float64] = np.full(b, np.nan)
        """Largest growth per step along the repeating orbit, (b,); NaN where there is none."""
        self._snapshot = self.ops.copy(x)
        self._since = np.zeros((b, k))
        self._steps = 0
        self._blocks = 0
        self._renew_at = 1

    def see(self, x: Array, log_growth: NDArray[np.float64], n_steps: int) -> None:
        """Look at the states after a block and take in its growth (b, k)."""
        self._since += log_growth
        self._steps += n_steps
        self._blocks += 1
        equal = self.ops.rows_equal(x, self._snapshot)
        if equal.any():
            self.repeats |= equal
            self.growth = np.where(equal, (self._since / self._steps).max(axis=1), self.growth)
        if self._blocks >= self._renew_at:
            self._renew_at *= 2
            self._blocks = 0
            self._steps = 0
            self._snapshot = self.ops.copy(x)
            self._since = np.zeros_like(self._since)


@dataclass(frozen=True)
class Recurrence:
    """Where trajectories return to, looked for from their final states.

    Attributes
    ----------
    period : (b,) int
        Smallest number of steps after which a state is back where it was, 0 where there is none
        up to `LONGEST_PERIOD`.
    """

    period: NDArray[np.int64]


def find_recurrence(tangent_map: TangentMap, x: Array) -> Recurrence:
    """Periods of the orbits from states (b, n), to within the square root of the precision."""
    ops = tangent_map.ops
    scale = np.maximum(ops.norm(x), 1.0)
    tolerance = np.sqrt(np.finfo(ops.dtype).eps) * scale
    period = np.zeros(x.shape[0], np.int64)
    y = x
    for p in range(1, LONGEST_PERIOD + 1):
        y = step_states(tangent_map, y, n_steps=1)
        back = (ops.norm(y - x) <= tolerance) & (period == 0)
        period[back] = p
        if period.all():
            break
    return Recurrence(period)


def starts_on_cycle(tangent_map: TangentMap, x0: Array, x: Array) -> NDArray[np.bool_]:
    """For each initial state whether it lies, to rounding, on the cycle through the state x of its row."""
    ops = tangent_map.ops
    tolerance = ROUNDINGS * np.finfo(ops.dtype).eps * np.maximum(ops.norm(x0), 1.0)
    found = np.zeros(x0.shape[0], bool)
    for _ in range(LONGEST_PERIOD):
        found |= ops.norm(x - x0) <= tolerance
        if found.all():
            break
        x = step_states(tangent_map, x, n_steps=1)
    return found


def cycle_exponents(tangent_map: TangentMap, x: Array, frame: Array, period: int) -> NDArray[np.float64]:
    """Exponents (b, k) of the cycle on which the states lie, from its multipliers.

    The frame spans an invariant subspace of the derivative of one period; in that basis the
    derivative is a small k x k matrix, whose eigenvalues are the multipliers. NaN where the frame
    is not invariant yet or the multipliers leave the range of floating point, and, for flows,
    where they are below the rounding of the largest.
    """
    ops = tangent_map.ops
    b, _, k = frame.shape
    start = ops.to_numpy(frame).astype(np.float64)
    product = np.broadcast_to(np.eye(k), (b, k, k)).copy()
    log_scale = np.zeros(b)
    for _ in range(period):
        x, tangents = tangent_map.jvp(x, ops.cast(frame, ops.dtype))
        frame, r = ops.qr(tangents)
        product = np.triu(ops.to_numpy(r).astype(np.float64)) @ product
        size = np.abs(product).max(axis=(1, 2))
        size[size == 0] = 1.0
        product /= size[:, None, None]
        log_scale += np.log(size)
    end = ops.to_numpy(frame).astype(np.float64)
    turned = end @ product
    monodromy = np.swapaxes(start, 1, 2) @ turned
    residual = np.abs(turned - start @ monodromy).max(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.abs(np.linalg.eigvals(monodromy))) + log_scale[:, None]
    # A multiplier of a flow may be far below all others, where eigenvalues are rounding.
    if hasattr(tangent_map, "time_per_step"):
        logs[logs < logs.max(axis=1, keepdims=True) + np.log(ROUNDINGS * np.finfo(ops.dtype).eps)] = np.nan
    exponents: NDArray[np.float64] = -np.sort(-logs, axis=1) / period
    exponents[residual > np.sqrt(np.finfo(ops.dtype).eps)] = np.nan
    return exponents


def describe(largest: float, stderr: float, period: int, repeats_unstable: bool) -> str:
    """The attractor of one trajectory in words."""
    if repeats_unstable:
        return f"unstable {_cycle(period)}"
    if period and largest <= max(CERTAIN * stderr, ZERO):
        return _cycle(period)
    if largest > max(CERTAIN * stderr, ZERO):
        return CHAOTIC
    if abs(largest) <= max(CERTAIN * stderr, ZERO):
        return TORUS if stderr <= TORUS_ERROR else UNDETERMINED
    return UNDETERMINED


def counted(names: list[str]) -> str:
    """One name for all trajectories, or each with their number."""
    kinds = {name: names.count(name) for name in dict.fromkeys(names)}
    return names[0] if len(kinds) == 1 else ", ".join(f"{name} ({count})" for name, count in kinds.items())


def _cycle(period: int) -> str:
    return "fixed point" if period == 1 else f"cycle of period {period}" if period else "cycle"
