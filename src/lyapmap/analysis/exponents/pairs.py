"""Pairs of neighbouring trajectories: how twins are placed, stepped, measured and set back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.propagate import propagate, quiet, random_frame, step_states

Values = NDArray[np.float64]

ALIGN_STEPS = 50
"""Steps over which a tangent or a twin turns to the direction that grows fastest."""
LEAST_ROUNDINGS = 16
"""Roundings of a state that a distance must measure at least to mean something."""
_BLOCK = 512  # rows of the matrix of distances held at once


def usual_size(dtype: str) -> float:
    """Distance of twins as a fraction of a state's norm: far from rounding, far from saturation.

    eps^(2/3) leaves a third of the digits between rounding and the distance, and two thirds
    between the distance and the size of the attractor.
    """
    return float(np.finfo(dtype).eps ** (2 / 3))


def resolution(dtype: str, scale: float) -> float:
    """Distance below which two states of that norm differ by little more than rounding."""
    return float(LEAST_ROUNDINGS * np.finfo(dtype).eps * scale)


def typical_norm(tangent_map: TangentMap, x: Array) -> float:
    """Median norm of states; 1 where they are all zero."""
    return float(np.median(tangent_map.ops.norm(x))) or 1.0


def directions_to_nearest(states: NDArray[np.floating]) -> Values:
    """Unit vectors (b, n) from each state to the nearest that differs from it.

    Raises
    ------
    LyapmapError
        If all states are the same.
    """
    from scipy.spatial.distance import cdist

    points = states.astype(np.float64)
    eps = float(np.finfo(states.dtype).eps)
    out = np.empty_like(points)
    for start in range(0, len(points), _BLOCK):
        rows = points[start : start + _BLOCK]
        apart = cdist(rows, points)
        same = apart <= LEAST_ROUNDINGS * eps * np.linalg.norm(rows, axis=1)[:, None]
        apart[same] = np.inf
        nearest = apart.argmin(axis=1)
        distance = apart[np.arange(len(rows)), nearest]
        if np.isinf(distance).any():
            raise LyapmapError(
                "direction: 'neighbour' needs at least 2 states that differ after the transient, "
                f"got {len(points)} of which number {start + int(np.isinf(distance).argmax())} differs from none; "
                "take direction='random' or 'tangent'"
            )
        out[start : start + _BLOCK] = (points[nearest] - rows) / distance[:, None]
    return out


class Pairs:
    """States and their twins, b pairs, from the end of the transient on.

    Twins are stepped in a call of their own: a noisy map gives row t of both the same noise.
    """

    def __init__(
        self,
        tangent_map: TangentMap,
        x: Array,
        *,
        direction: str,
        size: float | None,
        transient: int,
        rng: np.random.Generator,
    ) -> None:
        self.map, self.ops, self.rng = tangent_map, tangent_map.ops, rng
        aligning = min(ALIGN_STEPS, transient)
        if direction == "tangent":
            frame = random_frame(tangent_map, x.shape[0], 1, rng, self.ops.dtype)
            x = step_states(tangent_map, x, n_steps=transient - aligning)
            carried = propagate(tangent_map, x, frame, n_steps=ALIGN_STEPS, first_step=transient - aligning)
            self.step, self.x = transient - aligning + ALIGN_STEPS, carried.x
            self._refuse_escape()
            unit = self.ops.to_numpy(carried.frame)[:, :, 0]
        else:
            self.step, self.x = transient, step_states(tangent_map, x, n_steps=transient)
            self._refuse_escape()
            n = dimension(tangent_map.state_shape)
            host = self.ops.to_numpy(self.x)
            unit = directions_to_nearest(host) if direction == "neighbour" else rng.standard_normal((len(host), n))
        self.escaped = ~self.ops.all_finite(self.x)
        self.scale = typical_norm(self.map, self.x) if not self.escaped.any() else 1.0
        self.size = usual_size(self.ops.dtype) * self.scale if size is None else size
        self.twin = self.x
        if self.escaped.any():
            return
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        with quiet():
            self.twin = self.x + self.ops.from_numpy(self.size * unit)
        self._check_size()

    def _refuse_escape(self) -> None:
        """A state that is not finite has no neighbour: such pairs are never placed."""
        if not self.ops.all_finite(self.x).all():
            raise Escape(self.step, int((~self.ops.all_finite(self.x)).sum()))

    def _check_size(self) -> None:
        found = self.distances()
        least = resolution(self.ops.dtype, self.scale)
        if not (found >= 0.5 * self.size).all() or self.size < least:
            raise LyapmapError(
                f"size: expected at least {least:.1e}, which {self.ops.dtype} still resolves "
                f"beside states of norm {self.scale:.3g}, got {self.size:.1e}"
            )

    def advance(self) -> None:
        """Carry both trajectories over one step."""
        self.x = step_states(self.map, self.x, n_steps=1, first_step=self.step)
        self.twin = step_states(self.map, self.twin, n_steps=1, first_step=self.step)
        self.step += 1
        self.escaped = ~(self.ops.all_finite(self.x) & self.ops.all_finite(self.twin))

    def distances(self) -> Values:
        """Distance of each twin from its state, (b,)."""
        return self.ops.norm(self.twin - self.x)

    def set_back(self) -> Values:
        """Bring the twins back to the initial distance along the same direction; the distances now.

        Twins as near as rounding are left to grow apart first: their direction is mostly noise.
        Those that became one are placed anew, anywhere.
        """
        apart = self.distances()
        with quiet():
            factors = np.where(apart < resolution(self.ops.dtype, self.scale), 1.0, self.size / apart)
            factor = self.ops.from_numpy(factors[:, None])
            self.twin = self.x + (self.twin - self.x) * factor
        if (apart == 0).any():
            anew = self.rng.standard_normal((len(apart), dimension(self.map.state_shape)))
            anew *= np.where(apart == 0, self.size, 0.0)[:, None] / np.linalg.norm(anew, axis=1, keepdims=True)
            self.twin = self.twin + self.ops.from_numpy(anew)
        return self.distances()


class Escape(Exception):  # noqa: N818  # an event, turned into a status
    """States became infinite or NaN before there were pairs to follow."""

    def __init__(self, step: int, count: int) -> None:
        super().__init__(f"{count} of the states are not finite after step {step}")


class Extent:
    """How far apart states of the attractor are, as log distance: where growth must end.

    The distance between different trajectories at the same time, averaged in its logarithm; for a
    single trajectory, the root of twice its variance over time.
    """

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.least = float(np.log(10 * pairs.size))
        self.rounding = float(np.log(100 * resolution(pairs.ops.dtype, pairs.scale)))
        self._logs: list[float] = []
        self._count = 0
        self._mean: Values = np.zeros(0)
        self._squares = 0.0

    def see(self) -> None:
        """Take in the states of one step."""
        ops, x = self.pairs.ops, self.pairs.x
        b = int(x.shape[0])
        if b > 1:
            apart = ops.norm(ops.concatenate([x[1:], x[:1]], 0) - x)
            apart = apart[np.isfinite(apart) & (apart > 0)]
            if apart.size:
                self._logs.append(float(np.log(apart).mean()))
            return
        state = ops.to_numpy(x)[0].astype(np.float64)
        self._count += 1
        self._mean = np.zeros_like(state) if self._count == 1 else self._mean
        before = state - self._mean
        self._mean = self._mean + before / self._count
        self._squares += float(before @ (state - self._mean))

    def log_level(self, *, growing: bool = False) -> float:
        """Log distance at which twins are as far apart as any two states; infinite where none is seen.

        States no farther apart than twins at the start may all be converging to one orbit, which
        then has no extent; where twins are known to keep apart, that is the extent all the same.
        """
        if self._logs:
            level = float(np.mean(self._logs))
        elif self._count > 1 and self._squares > 0:
            level = 0.5 * float(np.log(2 * self._squares / (self._count - 1)))
        else:
            return np.inf
        return level if level > (self.rounding if growing else self.least) else np.inf
