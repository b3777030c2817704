"""What kind of orbit a run ended on: does it repeat, and is that real or an artefact of rounding?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import TangentMap
from lyapmap.core.ops import Array
from lyapmap.core.propagate import step_states

LONGEST_PERIOD = 512
LONGEST_PERIOD_OF_FLOW = 32
"""Steps of a flow are dear, and an orbit of a period that is no multiple of tau never comes back."""
ROUNDINGS = 64
"""Roundings of a state's size within which two states are the same point, known inexactly."""
CHAOTIC, TORUS, LIMIT_CYCLE, UNDETERMINED = "chaotic", "torus", "limit cycle", "undetermined"
ZERO = 1e-9
"""Exponents closer to zero than this (nats per step) are zero, whatever their error."""
NEUTRAL = 1e-6
"""Distance of a modulus from 1 within which a multiplier is neutral, in float64; its root in float32."""
TORUS_ERROR = 0.003
"""A zero exponent says torus only if its standard error is no larger than this."""
CERTAIN = 3.0
"""Standard errors from zero at which the sign of an exponent counts as known."""


def derivative_error(tangent_map: TangentMap, dtype: str) -> float:
    """Relative error of a map's derivative: a rounding, or what differences leave."""
    eps = float(np.finfo(dtype).eps)
    return eps ** (2 / 3) if "differences" in tangent_map.derivative else eps


def growth_rounding(tangent_map: TangentMap, dtype: str) -> float:
    """Growth per step that rounding of derivatives and frames makes where there is none: no statistics shows it."""
    eps, derivative = float(np.finfo(dtype).eps), derivative_error(tangent_map, dtype)
    return ROUNDINGS * eps if derivative == eps else 8 * derivative


def neutral_within(dtype: str) -> float:
    """Distance of a modulus from 1 within which a multiplier counts as 1; a root, as eigenvalues may meet there."""
    return NEUTRAL if np.finfo(dtype).eps < 1e-10 else float(np.sqrt(NEUTRAL))


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
        up to `LONGEST_PERIOD`, or `LONGEST_PERIOD_OF_FLOW`.
    """

    period: NDArray[np.int64]


def find_recurrence(tangent_map: TangentMap, x: Array) -> Recurrence:
    """Periods of the orbits from states (b, n), to within the square root of the precision."""
    ops = tangent_map.ops
    scale = np.maximum(ops.norm(x), 1.0)
    tolerance = np.sqrt(np.finfo(ops.dtype).eps) * scale
    period = np.zeros(x.shape[0], np.int64)
    y = x
    for p in range(1, (LONGEST_PERIOD_OF_FLOW if tangent_map.is_flow else LONGEST_PERIOD) + 1):
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
    is not invariant yet. Multipliers that are 1 up to rounding give 0; -inf those that are smaller
    than what rounding of the states makes of them: a superstable cycle is met to a rounding only.
    Those of a flow that are below the rounding of its largest are NaN.
    """
    ops = tangent_map.ops
    b, _, _ = frame.shape
    products = _Products(tangent_map, frame), _Products(tangent_map, frame)
    for _ in range(period):
        size = ROUNDINGS * np.finfo(ops.dtype).eps * np.maximum(ops.norm(x), 1.0)
        beside = x + ops.from_numpy(np.broadcast_to(size[:, None], (b, x.shape[1])))
        products[1].times(beside)
        x = products[0].times(x)
    exponents, residual = products[0].log_multipliers()
    moved, _ = products[1].log_multipliers()
    with np.errstate(invalid="ignore"):
        noise = (exponents < 0.5 * np.log(np.finfo(ops.dtype).eps)) & ~(np.abs(moved - exponents) < np.log(2))
    exponents[noise] = -np.inf
    exponents[np.abs(exponents) <= neutral_within(ops.dtype)] = 0.0
    exponents[residual > np.sqrt(np.finfo(ops.dtype).eps)] = np.nan
    return exponents / period


class _Products:
    """Derivatives of a map multiplied along states, in the basis of a frame (b, n, k), sizes as logarithms."""

    def __init__(self, tangent_map: TangentMap, frame: Array) -> None:
        self.map, self.ops, self.frame = tangent_map, tangent_map.ops, frame
        b, _, k = frame.shape
        self._start = self.ops.to_numpy(frame).astype(np.float64)
        self._product = np.broadcast_to(np.eye(k), (b, k, k)).copy()
        self._log_scale = np.zeros(b)

    def times(self, x: Array) -> Array:
        """Take in the derivative at states; their images."""
        image, tangents = self.map.jvp(x, self.ops.cast(self.frame, self.ops.dtype))
        self.frame, r = self.ops.qr(tangents)
        self._product = np.triu(self.ops.to_numpy(r).astype(np.float64)) @ self._product
        size = np.abs(self._product).max(axis=(1, 2))
        size[size == 0] = 1.0
        self._product /= size[:, None, None]
        self._log_scale += np.log(size)
        return image

    def log_multipliers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Logarithms of the moduli (b, k), largest first, and by how much (b,) the frame is not invariant."""
        turned = self.ops.to_numpy(self.frame).astype(np.float64) @ self._product
        monodromy = np.swapaxes(self._start, 1, 2) @ turned
        residual = np.abs(turned - self._start @ monodromy).max(axis=(1, 2))
        usable = np.isfinite(monodromy).all(axis=(1, 2))
        monodromy[~usable] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(np.abs(np.linalg.eigvals(monodromy))) + self._log_scale[:, None]
        logs[~usable] = np.nan
        # A multiplier of a flow is never zero, but may be far below all others, where eigenvalues are rounding.
        if self.map.is_flow:
            floor = logs.max(axis=1, keepdims=True) + np.log(ROUNDINGS * np.finfo(self.ops.dtype).eps)
            logs[~(logs > floor)] = np.nan  # also where all underflow
        return -np.sort(-logs, axis=1), residual


def describe(
    largest: float,
    stderr: float,
    period: int,
    repeats_unstable: bool,
    *,
    exponential: bool = True,
    neutral: bool = False,
    zero: float = ZERO,
) -> str:
    """The attractor of one trajectory in words.

    Parameters
    ----------
    largest, stderr : float
        Of its largest exponent.
    period : int
        Of the cycle that it lies on, 0 for none.
    repeats_unstable, neutral : bool
        Whether that cycle is unstable, or has a largest multiplier of modulus 1.
    exponential : bool
        Whether tangents grow as no power of time does.
    zero : float
        Exponents closer to zero are zero.
    """
    certain = max(CERTAIN * stderr, zero)
    if repeats_unstable:
        return f"unstable {_cycle(period)}"
    if period and largest <= certain:
        return f"neutral {_cycle(period)}" if neutral else _cycle(period)
    if largest > certain:
        return CHAOTIC if exponential else UNDETERMINED
    if abs(largest) <= certain:
        return TORUS if stderr <= TORUS_ERROR else UNDETERMINED
    return UNDETERMINED


def counted(names: list[str]) -> str:
    """One name for all trajectories, or each with their number."""
    kinds = {name: names.count(name) for name in dict.fromkeys(names)}
    return names[0] if len(kinds) == 1 else ", ".join(f"{name} ({count})" for name, count in kinds.items())


def _cycle(period: int) -> str:
    return "fixed point" if period == 1 else f"cycle of period {period}" if period else "cycle"
