"""One run of Ginelli's algorithm: frames forward with checkpoints, coefficients backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import ZERO, growth_rounding
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.analysis.progress import Report
from lyapmap.core.errors import MapError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.propagate import propagate, quiet, random_frame
from lyapmap.core.results import Status

Values = NDArray[np.float64]

FORGET = 16.0
"""Nats by which the wrong directions should fall behind in the backward transient."""
LEAST_BACKWARD, MOST_BACKWARD = 20, 1000
FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to."""


class CovariantRun:
    """States, frames, coefficients and what is sampled of them.

    Coefficients C (b, k, k) are upper triangular with unit columns: the covariant vectors are
    Q C. Because Q is orthonormal, growth and angles need C alone.
    """

    def __init__(self, tangent_map: TangentMap, x: Array, settings: dict[str, Any], rng: np.random.Generator) -> None:
        self.map, self.ops, self.x = tangent_map, tangent_map.ops, x
        self.b, self.n, self.k = int(x.shape[0]), dimension(tangent_map.state_shape), settings["n_vectors"]
        self.n_steps: int = settings["n_steps"]
        self.transient: int = settings["transient"]
        self.choose_backward = settings["backward_transient"] is None
        self.whole_length = self.n_steps + (settings["backward_transient"] or 0)
        self.every: int = settings["checkpoint_every"]
        self.split: int = settings["split"] or 0
        self.frame = random_frame(tangent_map, self.b, self.k, rng, self.ops.dtype)
        self.rng = rng
        self.statistics = GrowthStatistics(self.b, self.k)
        self.qr_growth: Values = np.full((self.b, self.k), np.nan)
        self.residual: Values = np.full(self.k, np.nan)
        self.sampled = np.arange(0, self.n_steps, settings["sample_every"])
        s = len(self.sampled)
        self.vectors: Values = np.full((self.b, s, self.n, self.k), np.nan)
        self.states = np.full((self.b, s, self.n), np.nan, self.ops.dtype)
        self.angles: Values = np.full((self.b, s), np.nan)
        self.lost, self.status = "", Status.OK
        self.resolved = self.k
        self._checkpoints: list[tuple[Array, Array]] = []

    def forward(self, report: Report) -> None:
        """Align the frames, then carry them over all steps and keep a checkpoint at times."""
        carried = propagate(self.map, self.x, self.frame, n_steps=self.transient)
        self.x, self.frame = carried.x, carried.frame
        growth = np.zeros((self.b, self.k))
        step = 0
        while step < self.whole_length:
            if step % self.every == 0:
                if not self._finite(self.transient + step):
                    return
                self._checkpoints.append((self.ops.copy(self.x), self.ops.copy(self.frame)))
                report(self.transient + step, self.transient + 2 * self.whole_length)
            logs, _ = self._step(step)
            if step < self.n_steps:
                growth += logs
            step += 1
            if step == self.n_steps and self.choose_backward:
                self.whole_length += _steps_to_forget(growth / self.n_steps)
        if not self._finite(self.transient + self.whole_length):
            return
        self.qr_growth = growth
        if np.isneginf(growth).any() or np.isnan(growth).any():
            first = int((~np.isfinite(growth)).any(axis=0).argmax()) + 1
            self.lost = f"direction {first} dies: the derivative has no such rank; take n_vectors={first - 1} or fewer"
            self.status = Status.NOT_CONVERGED
        self.resolved = self._resolved(growth / self.n_steps)
        if not self.split:
            least = max(ZERO, growth_rounding(self.map, self.ops.dtype))
            positive = int((growth.mean(axis=0) / self.n_steps > least).sum())
            self.split = min(max(positive, 1), max(self.k - 1, 1))

    def _resolved(self, growth: Values) -> int:
        """How many directions stand out of the rounding of the one that grows most in a step."""
        floor = np.log(np.finfo(self.ops.dtype).eps * FLOOR_MARGIN * np.sqrt(self.n))
        mean = growth.mean(axis=0)
        under = mean < mean[0] + floor
        return int(under.argmax()) if under.any() else self.k

    def _finite(self, step: int) -> bool:
        finite = self.ops.all_finite(self.x)
        if not finite.all():
            self.lost = f"{int((~finite).sum())} of {self.b} trajectories not finite after step {step}"
            self.status = Status.ESCAPED
        return bool(finite.all())

    def _step(self, step: int) -> tuple[Values, Array]:
        """Carry state and frame over one step after the transient; its growth and R.

        Both passes take this very step: a block of a compiled map may round otherwise, and chaos
        would tear the passes apart.
        """
        with quiet():
            self.x, tangents = self.map.at(self.transient + step).jvp(self.x, self.frame)
            self.frame, r = self.ops.qr(tangents)
        return self.ops.log_abs_diagonal(r), r

    def backward(self, report: Report) -> None:
        """Carry coefficients backward, segment by segment, and sample the vectors."""
        total = self.transient + 2 * self.whole_length
        coefficients, other = self._random_coefficients(), self._random_coefficients()
        sample_of = {int(step): i for i, step in enumerate(self.sampled)}
        end_state: Array | None = None
        for number in reversed(range(len(self._checkpoints))):
            first = number * self.every
            last = min(first + self.every, self.whole_length)
            self.x, self.frame = self._checkpoints[number]
            kept: dict[int, tuple[Array, Array]] = {}
            factors = []
            for step in range(first, last):
                if step in sample_of:
                    kept[step] = self.x, self.frame
                factors.append(self.ops.to_numpy(self._step(step)[1]).astype(np.float64))
            self._same(end_state)
            end_state = self._checkpoints.pop()[0]
            for step in reversed(range(first, last)):
                coefficients, growth = _pulled_back(factors[step - first], coefficients)
                if step >= self.n_steps - 1:
                    other, _ = _pulled_back(factors[step - first], other)
                if step == self.n_steps - 1:
                    self.residual = _apart(coefficients, other)
                if step < self.n_steps:
                    self.statistics.add(growth, 1)
                if step in kept:
                    self._sample(sample_of[step], *kept[step], coefficients)
            report(total - first, total)

    def _same(self, end_state: Array | None) -> None:
        """Refuse a map whose second pass ends elsewhere than the first."""
        if end_state is None or self.every == 1 or self.ops.rows_equal(self.x, end_state).all():
            return
        raise MapError(
            "map: the same steps from the same states end elsewhere the second time, so segments cannot be "
            "computed twice; pass checkpoint_every=1, which keeps every frame"
        )

    def _random_coefficients(self) -> Values:
        return _unit_columns(np.triu(self.rng.standard_normal((self.b, self.k, self.k))))[0]

    def _sample(self, i: int, x: Array, frame: Array, coefficients: Values) -> None:
        q = self.ops.to_numpy(frame).astype(np.float64)
        self.states[:, i] = self.ops.to_numpy(x)
        self.vectors[:, i] = q @ coefficients
        self.vectors[:, i, :, self.resolved :] = np.nan
        if self.k > 1:
            self.angles[:, i] = _smallest_angles(coefficients, self.split)


def _steps_to_forget(growth: Values) -> int:
    """Steps in which the backward pass forgets its start, from the gaps of the growth (b, k) per step."""
    gaps = -np.diff(growth.mean(axis=0))
    smallest = float(gaps.min()) if gaps.size and np.isfinite(gaps).all() else np.inf
    if smallest <= FORGET / MOST_BACKWARD:
        return MOST_BACKWARD
    return max(LEAST_BACKWARD, int(np.ceil(FORGET / smallest)))


def _pulled_back(r: Values, coefficients: Values) -> tuple[Values, Values]:
    """Coefficients one step earlier, and the growth (b, k) of each vector over that step."""
    earlier, logs = _unit_columns(np.linalg.solve(r, coefficients))
    return earlier, -logs


def _unit_columns(matrices: NDArray[Any]) -> tuple[Values, Values]:
    norms = np.linalg.norm(matrices, axis=1)
    scaled: Values = matrices / norms[:, None, :]
    return scaled, np.log(norms)


def _apart(a: Values, b: Values) -> Values:
    """Largest sine, over trajectories, of the angle between columns of the same number, (k,)."""
    cosine = np.einsum("bik,bik->bk", a, b)
    distance = np.linalg.norm(a - np.sign(cosine)[:, None, :] * b, axis=1)  # 2 sin of half the angle
    sines: Values = (distance * np.sqrt(np.maximum(1 - distance**2 / 4, 0.0))).max(axis=0)
    return np.where(np.abs(cosine).min(axis=0) == 0, 1.0, sines)


def _smallest_angles(coefficients: Values, split: int) -> Values:
    """Smallest principal angle (b,) between the spans of the first columns and of the others.

    C is upper triangular, so its first columns span the first coordinates, and the part of a unit
    vector outside them is the sine of its angle to them: exact for small angles.
    """
    others, _ = np.linalg.qr(coefficients[:, :, split:])
    sines = np.linalg.svd(others[:, split:], compute_uv=False)[:, -1]
    cosines = np.linalg.svd(others[:, :split], compute_uv=False)[:, 0]
    angles: Values = np.arctan2(sines, cosines)
    return angles
