"""Lyapunov spectrum of a map from tangent frames, with error bars.

G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn (1980); I. Shimada and T. Nagashima (1979).
k exponents cost about k + 1 evaluations of the map per step, and memory does not grow with time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis import orbit
from lyapmap.analysis.kaplan_yorke import KaplanYorke, kaplan_yorke_with_error
from lyapmap.analysis.progress import Report, reporting
from lyapmap.analysis.tangent_run import FULL_UP_TO, TangentRun
from lyapmap.core.arguments import interval, positive, whole
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.map import Map, as_states, as_tangent_map, dimension
from lyapmap.core.results import Result, Status, provenance

AUTO_START = 16
"""Exponents carried until it is known how many are needed."""
FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to."""


@dataclass(frozen=True, kw_only=True)
class LyapunovSpectrum(Result):
    """Lyapunov exponents in nats per step, largest first, and what follows from them.

    Attributes
    ----------
    exponents : (k,)
        Mean over trajectories; NaN where they lie under the floor that the dtype can resolve.
    stderr : (k,)
        Standard errors; infinite where the run was too short to tell.
    per_trajectory : (b, k)
        Of each trajectory.
    history : (h, k)
        Running estimates after `history_steps` steps.
    history_steps : (h,)
    final_state : (b, n)
        States after the last step.
    kaplan_yorke, kaplan_yorke_stderr : float
        Kaplan-Yorke dimension, NaN where the exponents at hand do not determine it.
    kaplan_yorke_verdict : str
        "certified" where a partial sum is negative by more than 3 standard errors, else what is
        missing.
    entropy, entropy_stderr : float
        Sum of the positive exponents (Pesin's bound on the metric entropy), nats per step.
    n_positive : int
        Exponents that exceed zero by more than 3 standard errors.
    attractor : str
        "chaotic", "fixed point", "cycle of period p", "torus" or "undetermined"; what each is and
        how many, if trajectories ended on different ones.
    sum_rule : dict or None
        For a full spectrum: "sum" of the exponents, "log_det" = mean of log|det J| along the
        trajectories (from the map where it is constant, else sampled), its "log_det_stderr".
    n_steps : int
        Steps that were averaged over.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "exponents": ("exponent",),
        "stderr": ("exponent",),
        "per_trajectory": ("trajectory", "exponent"),
        "history": ("record", "exponent"),
        "history_steps": ("record",),
        "final_state": ("trajectory", "component"),
    }
    DRAWN_BY: ClassVar[str] = "spectrum.draw_spectrum"

    exponents: NDArray[np.float64]
    stderr: NDArray[np.float64]
    per_trajectory: NDArray[np.float64]
    history: NDArray[np.float64]
    history_steps: NDArray[np.int64]
    final_state: NDArray[Any]
    kaplan_yorke: float
    kaplan_yorke_stderr: float
    kaplan_yorke_verdict: str
    entropy: float
    entropy_stderr: float
    n_positive: int
    attractor: str
    n_steps: int
    sum_rule: dict[str, float] | None = field(default=None)

    @property
    def failed(self) -> bool:
        """Also where nothing at all could be resolved: tangents that overflow leave no exponent."""
        return self.status.failed or bool(np.isnan(self.exponents).all())


def lyapunov_spectrum(
    map: Map,  # noqa: A002  # the field's own word
    x0: Any,
    *,
    n_steps: int,
    transient: int = 0,
    n_exponents: int | str | None = None,
    qr_every: int = 1,
    tolerance: float | None = None,
    bounds: tuple[float, float] | None = None,
    seed: int | None = None,
    frame_dtype: str | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> LyapunovSpectrum:
    """Lyapunov exponents of a map, with standard errors.

    Parameters
    ----------
    map : Map
        Any map; `lyapmap.wrap` makes one of a function or a network.
    x0 : (n,), (b, n), state_shape or (b, *state_shape)
        One initial state or a batch; every trajectory carries its own tangent frame.
    n_steps : int
        Steps to average over.
    transient : int
        Steps before, for states to reach the attractor and frames to align.
    n_exponents : int, "auto", "all" or None
        How many, counted from the largest. "auto" takes as many as certify the Kaplan-Yorke
        dimension: until the partial sum is negative by more than 3 standard errors. None means
        all up to n = 64, "auto" above.
    qr_every : int
        Steps between re-orthonormalizations.
    tolerance : float, optional
        Stop as soon as the standard error of the largest exponent is below this.
    bounds : (float, float), optional
        A state with a value outside has escaped.
    seed : int, optional
        Of the initial frames. Without it they are drawn from the operating system, and the seed
        that stands for them is recorded.
    frame_dtype : "float32" or "float64", optional
        In which frames are kept and orthonormalized; the map's by default.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if the run ends collapsed, escaped or not converged; else return it with that status.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    LyapmapError
        If an argument cannot be used.
    RunError
        If the run failed and `throw`.
    Interrupted
        On Ctrl-C, with what was computed until then as its `result`.

    References
    ----------
    G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Meccanica 15 (1980) 9 and 21.
    I. Shimada, T. Nagashima, Prog. Theor. Phys. 61 (1979) 1605.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> cat = lm.wrap(lambda x: x @ np.array([[2.0, 1.0], [1.0, 1.0]]) % 1, state_shape=2)
    >>> s = lm.lyapunov_spectrum(cat, [0.1, 0.2], n_steps=1000, transient=50, seed=0)
    >>> np.round(s.exponents, 6).tolist(), s.attractor
    ([0.962424, -0.962424], 'chaotic')
    """
    tangent_map = as_tangent_map(map)
    x, _ = as_states(x0, tangent_map)
    k, auto = _requested(n_exponents, dimension(tangent_map.state_shape))
    if frame_dtype not in (None, "float32", "float64"):
        raise LyapmapError(f"frame_dtype: expected 'float32' or 'float64', got {frame_dtype!r}")
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else whole("seed", seed, 0)
    settings = {
        "n_steps": whole("n_steps", n_steps, 1),
        "transient": whole("transient", transient, 0),
        "n_exponents": n_exponents,
        "qr_every": whole("qr_every", qr_every, 1),
        "tolerance": None if tolerance is None else positive("tolerance", tolerance),
        "bounds": None if bounds is None else interval("bounds", bounds),
        "frame_dtype": frame_dtype or tangent_map.ops.dtype,
        "n_trajectories": int(x.shape[0]),
    }
    begin = time.perf_counter()
    with reporting(progress, "spectrum") as report:
        run = TangentRun(tangent_map, x, k, np.random.default_rng(seed), settings, report)
        interrupted = False
        try:
            run.transient(auto)
            run.measure(auto)
            run.look_for_late_repeat()
        except KeyboardInterrupt:
            interrupted = True
    if interrupted and run.statistics.steps == 0:
        raise Interrupted(None)
    origin = provenance(tangent_map, seed=seed, seconds=time.perf_counter() - begin)
    result = _Summary(run).result(settings, origin, interrupted)
    if interrupted:
        raise Interrupted(result)
    return result.checked(throw)


def _requested(n_exponents: int | str | None, n: int) -> tuple[int, bool]:
    """Number of exponents to start with, and whether it may change."""
    if n_exponents == "all" or (n_exponents is None and n <= FULL_UP_TO):
        return n, False
    if n_exponents is None or n_exponents == "auto":
        return min(AUTO_START, n), True
    message = f"n_exponents: expected 1 to {n}, 'auto' or 'all', got {n_exponents!r}"
    try:
        k = whole("n_exponents", n_exponents, 1)
    except LyapmapError:
        raise LyapmapError(message) from None
    if k > n:
        raise LyapmapError(message)
    return k, False


class _Summary:
    """Draws the conclusions from a run that has ended."""

    def __init__(self, run: TangentRun) -> None:
        self.run = run
        # A run that stopped while it grew carries more directions than it has statistics of.
        self.k = run.statistics.totals.shape[1]
        self.coarsest = min(run.ops.dtype, run.frame_dtype)  # "float32" < "float64"

    def _floor(self, largest: float) -> float:
        """Growth per step under which rounding in the map's arithmetic hides an exponent.

        A tangent's image carries noise of the size of one rounding of the largest growth; what is
        left of it after orthogonalization cannot be smaller.
        """
        noise = np.log(np.finfo(self.coarsest).eps * FLOOR_MARGIN * np.sqrt(self.run.n))
        return float(largest + noise / self.run.qr_every)

    def result(self, settings: dict[str, Any], origin: dict[str, Any], interrupted: bool) -> LyapunovSpectrum:
        """Everything that the run gathered."""
        lost = self.run.lost()
        statistics = self.run.statistics
        per_trajectory = statistics.per_trajectory()
        stderr, covariance = statistics.stderr(), statistics.covariance()
        periods, unstable, attractor = self._attractor(per_trajectory, stderr, lost)
        if lost is None and periods.all() and not interrupted:
            exact = self._on_cycles(periods)
            if np.isfinite(exact[:, 0]).all():
                per_trajectory = np.where(np.isnan(exact), per_trajectory, exact)
                # Identical cycles leave nothing uncertain; different ones differ by what they are.
                stderr = (
                    per_trajectory.std(axis=0, ddof=1) / np.sqrt(self.run.b) if self.run.b > 1 else np.zeros(self.k)
                )
                covariance = np.diag(stderr**2)
        with np.errstate(invalid="ignore"):
            mean = per_trajectory.mean(axis=0)
        order = np.argsort(-mean, kind="stable")
        mean, stderr, per_trajectory = mean[order], stderr[order], per_trajectory[:, order]
        covariance = covariance[np.ix_(order, order)]
        under = np.zeros(self.k, bool)
        under[1:] = mean[1:] < self._floor(float(mean[0]))
        collapsed = self.run.autonomous and self._collapsed(unstable)
        status, message = self._verdict(lost, collapsed, under, interrupted, float(stderr[0]))
        mean, stderr = np.where(under, np.nan, mean), np.where(under, np.nan, stderr)
        if status in (Status.ESCAPED, Status.COLLAPSED) or self.run.overflowed:
            mean, stderr = np.full(self.k, np.nan), np.full(self.k, np.nan)
            attractor = orbit.UNDETERMINED if status is Status.UNRESOLVED else str(status)
        dimension_ = self._dimension(mean, stderr, covariance, attractor)
        positive = mean > np.maximum(orbit.CERTAIN * stderr, orbit.ZERO)
        known = bool(np.isfinite(mean[:1]).all() or mean[0] == -np.inf)
        entropy_variance = covariance[np.ix_(positive, positive)].sum() if positive.any() else 0.0
        steps, history = statistics.history() if statistics.steps else (np.zeros(0, np.int64), np.zeros((0, self.k)))
        return LyapunovSpectrum(
            status=status,
            message=message,
            settings=settings,
            provenance=origin,
            exponents=mean,
            stderr=stderr,
            per_trajectory=np.where(under, np.nan, per_trajectory),
            history=np.where(under, np.nan, history[:, order]),
            history_steps=steps,
            final_state=self.run.ops.to_numpy(self.run.x),
            kaplan_yorke=dimension_.dimension,
            kaplan_yorke_stderr=dimension_.stderr,
            kaplan_yorke_verdict=dimension_.verdict,
            entropy=float(mean[positive].sum()) if known else np.nan,
            entropy_stderr=float(np.sqrt(max(entropy_variance, 0.0))) if known else np.nan,
            n_positive=int(positive.sum()),
            attractor=attractor,
            n_steps=statistics.steps,
            sum_rule=self._sum_rule(mean),
        )

    def _dimension(
        self, mean: NDArray[np.float64], stderr: NDArray[np.float64], covariance: NDArray[np.float64], attractor: str
    ) -> KaplanYorke:
        """Kaplan-Yorke dimension; on a torus, exponents that are zero within their error are zero.

        The dimension jumps from 0 to 1 where the largest exponent goes through zero: rounding would
        throw a coin.
        """
        if attractor == orbit.TORUS:
            mean = np.where(np.abs(mean) <= np.maximum(orbit.CERTAIN * stderr, orbit.ZERO), 0.0, mean)
        covariance = np.nan_to_num(covariance, nan=0.0, posinf=np.inf)
        return kaplan_yorke_with_error(mean, covariance, complete=self.k == self.run.n)

    def _attractor(
        self, per_trajectory: NDArray[np.float64], stderr: NDArray[np.float64], lost: str | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], str]:
        """Period of each trajectory (0 for none), whether it is an unstable one, and all in words."""
        nothing = np.zeros(self.run.b, np.int64)
        largest = per_trajectory.max(axis=1)
        unstable = self.run.watch.repeats & (self.run.watch.growth > orbit.ZERO)
        if lost is not None or self.run.statistics.steps == 0:
            return nothing, unstable, orbit.UNDETERMINED
        # The error of one trajectory, judged from that of their mean.
        error = float(np.nan_to_num(stderr[int(per_trajectory.mean(axis=0).argmax())], posinf=np.inf))
        error *= np.sqrt(self.run.b)
        period = nothing
        if self.run.autonomous and (
            self.run.watch.repeats.any() or (largest <= max(orbit.CERTAIN * error, orbit.ZERO)).any()
        ):
            period = orbit.find_recurrence(self.run.map, self.run.x).period
        judged = np.where(self.run.watch.repeats & ~unstable, self.run.watch.growth, largest)
        names = [orbit.describe(float(judged[t]), error, int(period[t]), bool(unstable[t])) for t in range(self.run.b)]
        settled = np.array([name not in (orbit.CHAOTIC, orbit.TORUS, orbit.UNDETERMINED) for name in names])
        kinds = {name: names.count(name) for name in dict.fromkeys(names)}
        words = names[0] if len(kinds) == 1 else ", ".join(f"{name} ({count})" for name, count in kinds.items())
        return np.where(settled, period, 0), unstable, words

    def _on_cycles(self, periods: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exponents of each trajectory from the multipliers of the cycle that it ended on."""
        exact = np.full((self.run.b, self.k), np.nan)
        for period in np.unique(periods):
            rows = np.flatnonzero(periods == period)
            frame = self.run.frame[rows][:, :, : self.k]
            exact[rows] = orbit.cycle_exponents(self.run.map, self.run.x[rows], frame, int(period))
        return exact

    def _collapsed(self, unstable: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Trajectories that rounding has put on an unstable orbit; those started on one are meant."""
        if not unstable.any():
            return unstable
        return unstable & ~orbit.starts_on_cycle(self.run.map, self.run.x0, self.run.x)

    def _verdict(
        self,
        lost: str | None,
        collapsed: NDArray[np.bool_] | bool,
        under: NDArray[np.bool_],
        interrupted: bool,
        stderr: float,
    ) -> tuple[Status, str]:
        if lost is not None:
            return (Status.ESCAPED if self.run.escaped.any() else Status.UNRESOLVED), lost
        count = int(np.sum(collapsed))
        if count:
            if self.run.b == 1:
                return Status.COLLAPSED, "the computed orbit repeats exactly although it is unstable"
            return (
                Status.COLLAPSED,
                f"{count} of {self.run.b} computed orbits repeat exactly although they are unstable",
            )
        if interrupted:
            return Status.NOT_CONVERGED, f"interrupted after {self.run.statistics.steps} of {self.run.n_steps} steps"
        if self.run.tolerance is not None and not stderr <= self.run.tolerance:
            return Status.NOT_CONVERGED, (
                f"standard error {stderr:.2g} of the largest exponent is above the tolerance {self.run.tolerance:.2g}"
            )
        if under.any():
            many = "1 exponent lies" if under.sum() == 1 else f"{int(under.sum())} exponents lie"
            return Status.UNRESOLVED, f"{many} under the floor that {self.coarsest} can resolve"
        return Status.OK, ""

    def _sum_rule(self, exponents: NDArray[np.float64]) -> dict[str, float] | None:
        if self.k != self.run.n or not np.isfinite(exponents).all():
            return None
        total = float(exponents.sum())
        known = getattr(self.run.map, "mean_log_abs_det", None)
        if known is not None:
            return {"sum": total, "log_det": float(known), "log_det_stderr": 0.0}
        if not self.run.determinants:
            return None
        samples = np.array(self.run.determinants)
        stderr = float(samples.std(ddof=1) / np.sqrt(samples.size)) if samples.size > 1 else np.inf
        return {"sum": total, "log_det": float(samples.mean()), "log_det_stderr": stderr}
