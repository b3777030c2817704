"""Covariant Lyapunov vectors: the directions that the dynamics itself singles out.

F. Ginelli et al. (2007). Frames are carried forward, then coefficients are carried backward
through the triangular factors; no n x n matrix is ever made. Frames are kept at checkpoints only
and the segments between them computed twice, so that memory grows like the root of the length.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.covariant_run import CovariantRun
from lyapmap.analysis.progress import Report, reporting
from lyapmap.core.arguments import seeded, whole
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.map import Map, as_states, as_tangent_map, dimension, rate_unit, time_per_step
from lyapmap.core.results import Cause, Result, Status, provenance

Values = NDArray[np.float64]

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
