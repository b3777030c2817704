"""Products of many matrices whose singular values part by more than floating point can hold side by side."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import ZERO, growth_rounding
from lyapmap.analysis.exponents.growth import GrowthStatistics
from lyapmap.core.arguments import seeded, whole
from lyapmap.core.errors import Interrupted, LyapmapError, MapError
from lyapmap.core.map import Map, TangentMap, as_states, as_tangent_map, dimension, rate_unit, time_per_step
from lyapmap.core.ops import Array
from lyapmap.core.propagate import propagate, quiet, random_frame
from lyapmap.core.results import Cause, Result, Status, provenance
from lyapmap.core.run import Report, reporting

_Values = NDArray[np.float64]


class GradedProduct:
    """Products A_t ... A_1 of b n x n matrices, kept as Q diag(d) T.

    Q is orthogonal, the sizes d are held as logarithms, and the rows of T are about as long as
    one another, so that large singular values do not swamp small ones, down to exp(-700) of them.
    Multiplied out, a product loses those below 1e-16 of the largest (E. Y. Loh and J. E. Gubernatis
    1992; G. W. Stewart 1997).
    """

    def __init__(self, b: int, n: int) -> None:
        self.directions: _Values = np.broadcast_to(np.eye(n), (b, n, n)).copy()
        """Q: multiply these, then give the product to `times`."""
        self._log_sizes: _Values = np.zeros((b, n))
        self._rest: _Values = np.broadcast_to(np.eye(n), (b, n, n)).copy()

    def times(self, stretched: _Values) -> None:
        """Take in A Q for the next factor A."""
        with np.errstate(divide="ignore"):
            lengths = np.log(np.linalg.norm(stretched, axis=1)) + self._log_sizes
        # Longest column first, as in a pivoted QR decomposition: the diagonal of R then descends.
        order = np.argsort(-lengths, axis=1, kind="stable")
        sizes = np.take_along_axis(self._log_sizes, order, axis=1)
        q, r = np.linalg.qr(np.take_along_axis(stretched, order[:, None, :], axis=2))
        rest = np.take_along_axis(self._rest, order[:, :, None], axis=1)
        with np.errstate(divide="ignore"):
            diagonal = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
        new = diagonal + sizes
        # Rows of R diag(sizes) over their own new size; a row of zeros has size -inf and stays zero.
        upper = np.triu(r)
        there = (upper != 0) & ~np.isneginf(new)[:, :, None] & ~np.isneginf(sizes)[:, None, :]
        exponent = np.where(there, sizes[:, None, :], 0.0) - np.where(there, new[:, :, None], 0.0)
        scaled = np.where(there, upper, 0.0) * np.exp(exponent)
        self.directions = q
        self._log_sizes = new
        self._rest = scaled @ rest

    def log_singular_values(self) -> _Values:
        """Logarithms of the singular values (b, n), largest first; -inf where they are zero."""
        sizes = self._log_sizes
        top = sizes.max(axis=1, keepdims=True)
        safe = np.where(np.isneginf(top), 0.0, top)
        # The transposed T^T diag(d) has columns of falling length. Its triangle is graded from the upper left.
        columns = np.swapaxes(self._rest, 1, 2)
        order = np.argsort(-sizes, axis=1, kind="stable")
        columns = np.take_along_axis(columns, order[:, None, :], axis=2)
        relative = np.take_along_axis(sizes, order, axis=1) - safe
        r = np.linalg.qr(columns)[1] * np.exp(relative)[:, None, :]
        # One more turn brings the triangle close to diagonal, in which the SVD loses little.
        r = np.linalg.qr(np.swapaxes(np.triu(r), 1, 2))[1]
        with np.errstate(divide="ignore"):
            logs: _Values = np.log(np.linalg.svd(np.triu(r), compute_uv=False)) + safe
        return np.where(np.isneginf(top), -np.inf, logs)


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


GUESSED_BACKWARD = 100
"""Steps of the backward transient that are reckoned with where it is chosen on the way."""
TOLERANCE = 0.01
"""Sine of the angle between vectors from two different ends of the backward pass that is let pass."""


@dataclass(frozen=True, kw_only=True)
class CovariantVectors(Result):
    """Covariant Lyapunov vectors at sampled states.

    Attributes
    ----------
    exponents, stderr : (k,)
        Growth of the covariant vectors themselves, largest first, and its standard error.
    per_trajectory : (b, k)
    qr_exponents : (k,)
        From the frames, over the same steps: they agree up to a term of order 1 / n_steps.
    vectors : (b, s, n, k)
        Unit vectors; J v(t) is parallel to v(t + 1), with the same sign.
    states : (b, s, n)
    steps : (s,)
        Steps from the end of the transient to each sample.
    angles : (b, s)
        Smallest angle, in radians, between the span of the first `split` vectors and that of the
        others; NaN where there is only one of the two. Bounded away from 0: hyperbolic, as far as
        k vectors tell.
    split : int
        By default the number of positive exponents.
    backward_residual : (k,)
        Sine of the largest angle at the end of the measured steps between vectors from two
        different starts of the backward pass: the error that it had not yet forgotten there.
    state_shape : tuple of int
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "exponents": ("exponent",),
        "stderr": ("exponent",),
        "per_trajectory": ("trajectory", "exponent"),
        "qr_exponents": ("exponent",),
        "vectors": ("trajectory", "sample", "component", "exponent"),
        "states": ("trajectory", "sample", "component"),
        "steps": ("sample",),
        "angles": ("trajectory", "sample"),
        "backward_residual": ("exponent",),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_covariant.draw_covariant"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "raise backward_transient or transient, or ask for fewer vectors",
        Status.UNRESOLVED: "use float64, or ask for fewer vectors",
    }

    exponents: Values
    stderr: Values
    per_trajectory: Values
    qr_exponents: Values
    vectors: Values
    states: NDArray[Any]
    steps: NDArray[np.int64]
    angles: Values
    split: int
    backward_residual: Values
    state_shape: tuple[int, ...]
    unit: str = "per step"

    @property
    def smallest_angle(self) -> float:
        """Over all samples; NaN where there are no two subspaces."""
        known = self.angles[np.isfinite(self.angles)]
        return float(known.min()) if known.size else math.nan

    def images(self) -> Values:
        """Vectors in the shape of a state, (b, s, k, *state_shape)."""
        turned = np.moveaxis(self.vectors, 3, 2)
        return turned.reshape(*turned.shape[:3], *self.state_shape)


def covariant_vectors(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    n_vectors: int | None = None,
    transient: int = 100,
    backward_transient: int | None = None,
    split: int | None = None,
    sample_every: int = 1,
    checkpoint_every: int | None = None,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> CovariantVectors:
    """Covariant Lyapunov vectors along trajectories.

    Parameters
    ----------
    map : Map
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        One initial state or a batch.
    n_steps : int
        Steps along which the vectors are computed; `vectors` holds those before every
        `sample_every`-th of them.
    n_vectors : int, optional
        How many, k; all up to n = 64, 8 above.
    transient : int
        Steps before, for states to reach the attractor and frames to align. What is left of the
        first frame falls by the gap between successive exponents in every step.
    backward_transient : int, optional
        Steps after, for the backward pass to forget where it began. By default 16 over the smallest
        gap between successive exponents (a factor e^16), 20 to 1000.
    split : int, optional
        Vectors on the first side of `angles`; the number of positive exponents by default.
    sample_every : int
    checkpoint_every : int, optional
        Steps between the frames that are kept; the root of all steps by default. 1 keeps every
        frame, for a map whose arithmetic does not repeat itself bit for bit.
    seed : int, optional
        Of the first frames, and of the coefficients from which the backward pass begins.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if the run failed; else return what there is with its status.

    Returns
    -------
    CovariantVectors

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If a state escapes, or vectors still depend on where the backward pass began
        (`backward_residual` above 0.01: exponents that are equal or nearly so), and `throw`.
    Interrupted
        On Ctrl-C; its `result` is None.

    References
    ----------
    F. Ginelli, P. Poggi, A. Turchi, H. Chaté, R. Livi, A. Politi, Phys. Rev. Lett. 99 (2007) 130601.
    P. V. Kuptsov, U. Parlitz, J. Nonlinear Sci. 22 (2012) 727.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> found = lm.covariant_vectors(lm.systems.arnold_cat(), [0.1, 0.2], n_steps=20, seed=0)
    >>> np.round(np.abs(found.vectors[0, 0]), 6).tolist(), round(float(np.degrees(found.smallest_angle)), 6)
    ([[0.525731, 0.850651], [0.850651, 0.525731]], 90.0)
    """
    tangent_map = as_tangent_map(map)
    x, _ = as_states(x0, tangent_map)
    n = dimension(tangent_map.state_shape)
    k = whole("n_vectors", (n if n <= 64 else 8) if n_vectors is None else n_vectors, 1)
    if k > n:
        raise LyapmapError(f"n_vectors: expected 1 to {n}, got {k}")
    if split is not None and not 1 <= whole("split", split, 1) < max(k, 2):
        raise LyapmapError(f"split: expected 1 to {k - 1}, got {split}")
    settings: dict[str, Any] = {
        "n_steps": whole("n_steps", n_steps, 1),
        "n_vectors": k,
        "transient": whole("transient", transient, 0),
        "backward_transient": None
        if backward_transient is None
        else whole("backward_transient", backward_transient, 0),
        "split": split,
        "sample_every": whole("sample_every", sample_every, 1),
        "n_trajectories": int(x.shape[0]),
    }
    usual = math.isqrt(settings["n_steps"] + (backward_transient or GUESSED_BACKWARD)) + 1
    every = usual if checkpoint_every is None else checkpoint_every
    settings["checkpoint_every"] = whole("checkpoint_every", every, 1)
    seed, rng = seeded(seed)
    begin = time.perf_counter()
    run = CovariantRun(tangent_map, x, settings, rng)
    with reporting(progress, "covariant vectors") as report:
        try:
            run.forward(report)
            if not run.lost:
                run.backward(report)
        except KeyboardInterrupt:
            raise Interrupted(None) from None
    settings["backward_transient"] = run.whole_length - run.n_steps
    status, cause, message = _verdict(run)
    measured = run.statistics.steps > 0 and not run.lost
    known = np.where((np.arange(k) < run.resolved) & measured, 1.0, np.nan)
    rate = known / time_per_step(tangent_map)
    result = CovariantVectors(
        status=status,
        cause=cause,
        message=message,
        settings=settings,
        provenance=provenance(tangent_map, seed=seed, seconds=time.perf_counter() - begin),
        exponents=run.statistics.mean() * rate,
        stderr=run.statistics.stderr() * rate,
        per_trajectory=run.statistics.per_trajectory() * rate,
        qr_exponents=run.qr_growth.mean(axis=0) / settings["n_steps"] * rate,
        vectors=run.vectors,
        states=run.states,
        steps=run.sampled,
        angles=run.angles,
        split=run.split,
        backward_residual=run.residual,
        state_shape=tuple(tangent_map.state_shape),
        unit=rate_unit(tangent_map),
    )
    return result.checked(throw)


def _verdict(run: CovariantRun) -> tuple[Status, Cause, str]:
    if run.lost:
        return run.status, Cause.NONE, run.lost
    bad = np.flatnonzero(~(run.residual[: run.resolved] <= TOLERANCE))
    if bad.size:
        which = ", ".join(str(i + 1) for i in bad)
        return (
            Status.NOT_CONVERGED,
            Cause.NONE,
            (
                f"vectors {which} still depend on where the backward pass began (residual up to "
                f"{np.max(run.residual[bad]):.1e}); raise backward_transient, unless their exponents are equal"
            ),
        )
    if run.resolved < run.k:
        return (
            Status.UNRESOLVED,
            Cause.NONE,
            (
                f"vectors from number {run.resolved + 1} on contract so much in one step that {run.ops.dtype} "
                f"leaves nothing but rounding of them; take n_vectors={run.resolved}"
            ),
        )
    if np.isposinf(run.statistics.stderr()).any():
        # The vectors stand: only what is averaged over time is open.
        of = f"{run.b} trajectories" if run.b > 1 else "one trajectory"
        return Status.UNRESOLVED, Cause.TOO_SHORT, f"{run.n_steps} steps of {of} are too few for error bars"
    return Status.OK, Cause.NONE, ""
