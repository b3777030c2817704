"""From a run of tangents to a spectrum: exponents with their errors, the dimension, cross-checks, and the verdict.

One file, as all of it reads the same few arrays and is read from top to bottom: `Check`, `Summary`, `LyapunovSpectrum`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import (
    CERTAIN,
    LIMIT_CYCLE,
    TORUS,
    UNDETERMINED,
    ZERO,
    Endings,
    counted,
    derivative_error,
    find_endings,
    group_trajectories,
    growth_rounding,
    on_cycles,
    starts_on_cycle,
)
from lyapmap.analysis.exponents.growth import FEWEST_FOLDS
from lyapmap.analysis.exponents.kaplan_yorke import KaplanYorke, kaplan_yorke_with_error
from lyapmap.analysis.exponents.tangent_precision import floor_under
from lyapmap.analysis.exponents.tangent_run import TangentRun
from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import rate_unit, time_per_step
from lyapmap.core.plain import with_error
from lyapmap.core.results import Cause, Result, Status, Verdict, dims
from lyapmap.core.run import Run

Values = NDArray[np.float64]

AGREES = 4.0
"""Standard errors within which two numbers agree. The worst of many is shown: of 1000 exponents the largest
deviation is about 3.3 errors by chance alone."""
FAILS = 10.0
"""Standard errors beyond which a run says of itself that it cannot be trusted. In the calibration the largest
residual of the sum rule was 0.8 (`docs/calibration.md`)."""


@dataclass(frozen=True)
class Check:
    """One number held against what it must be.

    Attributes
    ----------
    name : str
    measured, expected : float
    stderr : float
        Standard error of their difference; the rounding to be expected where both are exact.
    words : str
        What is compared.
    """

    name: str
    measured: float
    expected: float
    stderr: float
    words: str

    @property
    def residual(self) -> float:
        """Difference in standard errors."""
        difference = self.measured - self.expected
        if difference == 0:
            return 0.0
        return float(difference / self.stderr) if self.stderr > 0 else float(np.copysign(np.inf, difference))

    @property
    def passed(self) -> bool:
        """Whether the difference is no larger than chance or rounding makes it."""
        return abs(self.residual) <= AGREES

    def __str__(self) -> str:
        verdict = "ok  " if self.passed else "FAIL"
        return f"{verdict} {self.name:<16} {self.residual:+8.2f}  {self.words}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `check_of` makes the object again."""
        return {name: getattr(self, name) for name in ("name", "measured", "expected", "stderr", "words")}


def worst(name: str, measured: Any, expected: Any, stderr: Any, words: str) -> Check | None:
    """The check of several numbers that agree least; None where none can be compared.

    {i} in `words` stands for the number, counted from 1, of the one that is shown.
    """
    measured, expected, stderr = (np.atleast_1d(np.asarray(v, float)) for v in (measured, expected, stderr))
    measured, expected, stderr = np.broadcast_arrays(measured, expected, stderr)
    usable = np.isfinite(measured) & np.isfinite(expected) & np.isfinite(stderr)
    if not usable.any():
        return None
    difference = np.abs(measured - expected)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(difference == 0, 0.0, difference / stderr)
    i = int(np.argmax(np.where(usable, ratio, -1.0)))
    return Check(name, float(measured[i]), float(expected[i]), float(stderr[i]), words.format(i=i + 1))


def rounding(dtype: str, n: int, size: float) -> float:
    """What rounding may do to a sum of n exponents, per step."""
    return float(16 * np.finfo(dtype).eps * n * max(1.0, size))


def homogeneity(per_trajectory: Values, within: Values) -> Check | None:
    """Do trajectories differ by more than their variation in time explains? Chi square of the largest exponent."""
    values, errors = per_trajectory[:, 0], within[:, 0]
    freedom = len(values) - 1
    usable = np.isfinite(errors).all() and (errors > 0).all() and np.isfinite(values).all()
    if freedom < 2 or not usable:
        return None
    reduced = float(((values - values.mean()) ** 2).sum() / (errors**2).mean() / freedom)
    # The cube root of chi square is nearly normal (E. Wilson, M. Hilferty 1931).
    spread = float(np.sqrt(2 / (9 * freedom)))
    words = "spread of the largest exponent over trajectories against its variation in time"
    return Check("trajectories", reduced ** (1 / 3), 1 - 2 / (9 * freedom), spread, words)


FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to. Measured with known exponents
(`docs/calibration.md`, what can be resolved)."""


@dataclass(frozen=True)
class _Rates:
    """Growth per step of k directions, largest first, and how sure it is.

    Attributes
    ----------
    order : (k,)
        Number of the direction in the run.
    mean, stderr : (k,)
    covariance : (k, k)
    per_trajectory, within : (b, k)
        Of each trajectory, and its error from variation in time.
    grows : (k,)
        Whether growth is exponential.
    """

    order: NDArray[np.int64]
    mean: Values
    stderr: Values
    covariance: Values
    per_trajectory: Values
    within: Values
    grows: NDArray[np.bool_]


class Summary:
    """Draws the conclusions from a run that has ended."""

    def __init__(self, run: TangentRun) -> None:
        self.run = run
        # A run that stopped while it grew carries more directions than it has statistics of.
        self.k = run.statistics.totals.shape[1]
        self.coarsest = min(run.ops.dtype, run.frame_dtype)  # "float32" < "float64"
        self.rounding = growth_rounding(run.map, self.coarsest)
        self.zero = max(ZERO, self.rounding)

    def _floor(self, largest: float) -> float:
        """Growth per step under which rounding in the map's arithmetic hides an exponent.

        A tangent's image carries noise of the size of one rounding of the largest growth; what is
        left of it after orthogonalization cannot be smaller.
        """
        if self.run.map.orthonormalizes_within and self.coarsest == self.run.ops.dtype:
            return -np.inf
        noise = np.log(np.finfo(self.coarsest).eps * FLOOR_MARGIN * np.sqrt(self.run.n))
        floor = float(largest + noise / self.run.qr_every)
        if self.run.tangents.noise:
            return max(floor, floor_under(self.run.tangents.noise, largest, self.run.qr_every))
        return floor

    def result(self, settings: dict[str, Any], run: Run) -> LyapunovSpectrum:
        """Everything that the run gathered."""
        lost, statistics, b = self.run.lost(), self.run.statistics, self.run.b
        endings = find_endings(
            self.run,
            statistics.per_trajectory(),
            statistics.within(),
            self._never_below_rounding(statistics.stderr()),
            rounding=self.rounding,
            zero=self.zero,
        )
        rates = self._rates(endings, complete=lost is None and not run.interrupted)
        under = np.zeros(self.k, bool)
        under[1:] = rates.mean[1:] < self._floor(float(rates.mean[0]))
        mean, stderr = np.where(under, np.nan, rates.mean), np.where(under, np.nan, rates.stderr)
        per_time = 1 / time_per_step(self.run.map)
        sum_rule = self._sum_rule(mean, per_time) if lost is None else None
        checks = self._checks(mean * per_time, stderr * per_time, rates, sum_rule) if lost is None else ()
        collapsed = self.run.autonomous and self._collapsed(endings.unstable)
        verdict = self._verdict(lost, collapsed, under, rates.stderr, checks)
        ending = run.ending(verdict, done=f"{statistics.steps} of {self.run.n_steps} steps")
        status, attractor = ending["status"], endings.in_words()
        if status in (Status.ESCAPED, Status.COLLAPSED) or self.run.overflowed:
            mean, stderr = np.full(self.k, np.nan), np.full(self.k, np.nan)
            attractor = UNDETERMINED if status is Status.UNRESOLVED else str(status)
        group = np.zeros(b, np.int64)
        if status is not Status.ESCAPED and statistics.steps:
            group = group_trajectories(rates.per_trajectory, rates.within, endings.period)
        groups = self._groups(group, rates, endings, under) if group.any() else ()
        if groups and not ending["message"]:
            ending["message"] = (
                f"the trajectories lie on {len(groups)} attractors, see groups: the means belong to none of them"
            )
        dimension_ = self._dimension(mean, stderr, rates.covariance, attractor)
        too_short = bool(np.isposinf(stderr).any())
        positive = rates.grows & (mean > np.maximum(CERTAIN * stderr, self.zero)) & (not too_short)
        entropy = (np.nan, np.nan)
        if not too_short:
            entropy = self._entropy(mean, stderr, rates.covariance, positive, attractor)
        nothing = np.zeros(0, np.int64), np.zeros((0, self.k))
        steps, history = statistics.history() if statistics.steps else nothing
        error_steps, errors = statistics.error_history() if statistics.steps else nothing
        return LyapunovSpectrum(
            **ending,
            settings=settings | {"qr_every_used": self.run.qr_every},
            exponents=mean * per_time,
            stderr=stderr * per_time,
            per_trajectory=np.where(under, np.nan, rates.per_trajectory) * per_time,
            history=np.where(under, np.nan, history[:, rates.order]) * per_time,
            history_steps=steps,
            error_history=np.where(under, np.nan, errors[:, rates.order]) * per_time,
            error_steps=error_steps,
            effective_samples=np.where(under, np.nan, statistics.effective_samples()[rates.order]),
            group=group,
            final_state=self.run.ops.to_numpy(self.run.x),
            kaplan_yorke=dimension_.dimension,
            kaplan_yorke_stderr=dimension_.stderr,
            kaplan_yorke_verdict=dimension_.verdict,
            entropy=entropy[0] * per_time,
            entropy_stderr=entropy[1] * per_time,
            n_positive=int(positive.sum()),
            attractor=attractor,
            n_steps=statistics.steps,
            batch_steps=statistics.batch_steps,
            n_batches=statistics.batches,
            unit=rate_unit(self.run.map),
            sum_rule=sum_rule,
            groups=groups,
            checks=checks,
        )

    def _never_below_rounding(self, stderr: Values) -> Values:
        """Rounding is the same at every step, so that no scatter shows it."""
        return np.where(stderr > 0, np.fmax(stderr, self.rounding), stderr)

    def _rates(self, endings: Endings, *, complete: bool) -> _Rates:
        """Growth per step and its errors: of cycles from their multipliers, else from the statistics of the run."""
        statistics, b = self.run.statistics, self.run.b
        per_trajectory, within = statistics.per_trajectory(), statistics.within()
        stderr, covariance = self._never_below_rounding(statistics.stderr()), statistics.covariance()
        folds = statistics.folds()
        grows = endings.exponential.any() & ((folds > np.log(2)) | (stderr <= self.rounding))
        exact = on_cycles(self.run, endings.period) if complete and endings.period.all() else None
        if exact is not None and not np.isnan(exact[:, 0]).any():
            per_trajectory = np.where(np.isnan(exact), per_trajectory, exact)
            # Identical cycles leave nothing uncertain; different ones differ by what they are.
            alike = (per_trajectory == per_trajectory[:1]).all(axis=0)
            with np.errstate(invalid="ignore"):
                spread = np.std(per_trajectory, axis=0, ddof=min(b - 1, 1)) / np.sqrt(b)
            stderr = np.where(alike, 0.0, spread)
            covariance, within, grows = np.diag(stderr**2), np.zeros((b, self.k)), np.ones(self.k, bool)
        elif not endings.exponential.any():
            # What a power of time contributes to the mean rate is no smaller than the rate itself.
            biased = (np.abs(folds) < FEWEST_FOLDS) & (stderr > self.rounding)
            wider = np.where(biased, np.fmax(stderr, np.abs(statistics.mean())), stderr)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = np.where((stderr > 0) & np.isfinite(stderr), wider / stderr, 1.0)
            covariance, stderr = covariance * np.outer(ratio, ratio), wider
        with np.errstate(invalid="ignore"):
            mean = per_trajectory.mean(axis=0)
        order = np.argsort(-mean, kind="stable")
        return _Rates(
            order,
            mean[order],
            stderr[order],
            covariance[np.ix_(order, order)],
            per_trajectory[:, order],
            within[:, order],
            grows[order],
        )

    def _entropy(
        self, mean: Values, stderr: Values, covariance: Values, positive: NDArray[np.bool_], attractor: str
    ) -> tuple[float, float]:
        """Sum of the positive exponents and its error; NaN where it is not known whether there are any."""
        if positive.any():
            variance = max(float(covariance[np.ix_(positive, positive)].sum()), 0.0)
            return float(mean[positive].sum()), float(np.sqrt(variance))
        none = UNDETERMINED not in attractor or mean[0] < -CERTAIN * stderr[0]
        return (0.0, 0.0) if none and not np.isnan(mean[0]) else (np.nan, np.nan)

    def _groups(
        self, group: NDArray[np.int64], rates: _Rates, endings: Endings, under: NDArray[np.bool_]
    ) -> tuple[dict[str, Any], ...]:
        """What each attractor is like, where there are several."""
        groups = []
        statistics = self.run.statistics
        per_time = 1 / time_per_step(self.run.map)
        for number in range(int(group.max()) + 1):
            rows = group == number
            count = int(rows.sum())
            mean = np.where(under, np.nan, rates.per_trajectory[rows].mean(axis=0))
            error = np.where(under, np.nan, np.sqrt((rates.within[rows] ** 2).mean(axis=0) / count))
            names = [name for name, member in zip(endings.names, rows, strict=True) if member]
            if not endings.exponential[rows].any() and not endings.period[rows].all():
                # As of all trajectories: growth like a power of time is no more certain than its size.
                error = np.fmax(
                    error, np.where(np.abs(mean) * statistics.steps < 4 * np.log(statistics.steps), np.abs(mean), 0)
                )
            covariance = np.diag(np.nan_to_num(error, nan=0.0, posinf=np.inf) ** 2)
            dimension_ = self._dimension(mean, error, covariance, counted(names))
            groups.append(
                {
                    "attractor": counted(names),
                    "trajectories": count,
                    "exponents": [float(v) for v in mean * per_time],
                    "stderr": [float(v) for v in error * per_time],
                    "kaplan_yorke": dimension_.dimension,
                }
            )
        return tuple(groups)

    def _checks(
        self, mean: Values, stderr: Values, rates: _Rates, sum_rule: dict[str, float] | None
    ) -> tuple[dict[str, Any], ...]:
        """What can be held against something else; see `LyapunovSpectrum.check`."""
        statistics, order = self.run.statistics, rates.order
        if statistics.steps == 0:
            return ()
        rate = 1 / time_per_step(self.run.map)
        checks: list[Check | None] = []
        if sum_rule is not None:
            size = float(np.abs(mean).max())
            error = rounding(self.coarsest, self.run.n, size) + self._contracted() * rate
            # A map's own figure may be known less well than to rounding; no more than a quarter of what fails is it.
            error = max(error, self.run.map.log_abs_det_tolerance * rate / AGREES)
            residual, total = sum_rule["residual"], sum_rule["log_det"]
            name, words = "sum rule", "sum of all exponents against log|det J| over the same steps; error: rounding"
            if rate_unit(self.run.map) == "per unit time" and self.run.map.log_abs_det_is_independent:
                name, words = "divergence", "sum of all exponents against the mean divergence along the orbit"
            checks.append(Check(name, total + residual, total, error, words))
        moving = np.isfinite(stderr) & (stderr > 0)
        if moving.any():
            # Two halves of a run each have twice the variance of the whole.
            drift = np.where(moving, statistics.drift()[order] * rate, np.nan)
            words = "exponent {i}, second half of the run minus the first"
            checks.append(worst("halves", drift, 0.0, 2 * stderr, words))
            correlation, error = statistics.mixing()
            words = "exponent {i}, correlation of neighbouring 32nds of the run, which should be none"
            checks.append(worst("mixing", np.where(moving, np.fmax(correlation[order], 0), np.nan), 0.0, error, words))
        checks.append(homogeneity(rates.per_trajectory, rates.within))
        if self.k > 1 and moving.all():
            falls = statistics.mean() * rate
            before = np.maximum.accumulate(falls[::-1])[::-1]  # the largest from here on
            words = "direction {i} of the frame grows less than a later one"
            checks.append(worst("order", before - falls, 0.0, np.sqrt(2) * np.abs(stderr).max(), words))
        frame = self.run.ops.to_numpy(self.run.frame).astype(np.float64)
        overlap = np.abs(np.swapaxes(frame, 1, 2) @ frame - np.eye(frame.shape[2])).max()
        tolerance = np.finfo(self.coarsest).eps * self.run.n
        checks.append(
            Check("frame", float(overlap), 0.0, float(tolerance), "orthonormality of the last frame; error: rounding")
        )
        if rate_unit(self.run.map) == "per unit time" and np.isfinite(mean[0]) and mean[0] > -CERTAIN * stderr[0]:
            i = int(np.nanargmin(np.abs(mean)))
            checks.append(worst("flow", mean[i], 0.0, stderr[i], f"exponent {i + 1}, of the direction along the flow"))
        known = self.run.map.known
        if known is not None and moving.any():
            many = min(self.k, len(known.exponents))
            off = np.zeros(many) if known.standard_error is None else np.array(known.standard_error[:many])
            errors = np.hypot(stderr[:many], off)
            words = "exponent {i} against the catalogue's (" + known.kind + ")"
            checks.append(worst("known", mean[:many], np.array(known.exponents[:many]), errors, words))
        return tuple(check.to_dict() for check in checks if check is not None)

    def _contracted(self) -> float:
        """What rounding in the directions that grow most may do to the sum of all, per step.

        Between two decompositions it shows in those that grow least, larger by as much as they part.
        """
        growth, eps = self.run.statistics.mean(), float(np.finfo(self.coarsest).eps)
        # Differences take shorter steps beside a jump, where they are less good than elsewhere.
        error = eps if derivative_error(self.run.map, self.coarsest) == eps else np.sqrt(eps)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = (growth.max() - growth) * self.run.qr_every
            noise = np.fmax(error * FLOOR_MARGIN * np.sqrt(self.run.n), self.run.tangents.noise) * np.exp(apart)
        return float(np.fmin(noise, 1.0).sum() / self.run.qr_every)

    def _dimension(self, mean: Values, stderr: Values, covariance: Values, attractor: str) -> KaplanYorke:
        """Kaplan-Yorke dimension; on a torus, exponents that are zero within their error are zero.

        The dimension jumps from 0 to 1 where the largest exponent goes through zero: rounding would
        throw a coin.
        """
        if attractor in (TORUS, LIMIT_CYCLE):
            mean = np.where(np.abs(mean) <= np.maximum(CERTAIN * stderr, self.zero), 0.0, mean)
        covariance = np.nan_to_num(covariance, nan=0.0, posinf=np.inf)
        return kaplan_yorke_with_error(mean, covariance, complete=self.k == self.run.n, zero=self.zero)

    def _collapsed(self, unstable: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Trajectories that rounding has put on an unstable orbit; those started on one are meant."""
        if not unstable.any():
            return unstable
        return unstable & ~starts_on_cycle(self.run.map, self.run.x0, self.run.x)

    def _verdict(
        self,
        lost: str | None,
        collapsed: NDArray[np.bool_] | bool,
        under: NDArray[np.bool_],
        stderr: Values,
        checks: tuple[dict[str, Any], ...],
    ) -> Verdict:
        steps, b = self.run.statistics.steps, self.run.b
        if lost is not None:
            return Verdict(Status.ESCAPED if self.run.escaped.any() else Status.UNRESOLVED, lost)
        count = int(np.sum(collapsed))
        if count:
            if b == 1:
                return Verdict(Status.COLLAPSED, "the computed orbit repeats exactly although it is unstable")
            message = f"{count} of {b} computed orbits repeat exactly although they are unstable"
            return Verdict(Status.COLLAPSED, message)
        if np.isposinf(stderr).any():
            of = f"{b} trajectories" if b > 1 else "one trajectory"
            length = self.run.statistics.batch_steps
            blocks = f" in batches of {length}" if length > 1 else ""
            message = f"{_many(steps, 'step')} of {of}{blocks} {'is' if steps == 1 else 'are'} too few for error bars"
            return Verdict(Status.NOT_CONVERGED, message, Cause.TOO_SHORT)
        error = float(stderr[0]) / time_per_step(self.run.map)
        if self.run.tolerance is not None and not error <= self.run.tolerance:
            message = (
                f"standard error {error:.2g} of the largest exponent is above the tolerance {self.run.tolerance:.2g}"
            )
            return Verdict(Status.NOT_CONVERGED, message, Cause.TOLERANCE)
        for check in (Check(**values) for values in checks):
            if check.name in ("sum rule", "divergence") and abs(check.residual) > FAILS:
                message = (
                    f"the exponents add up to {check.measured:.6g}, {check.words.split(' against ')[1].split(';')[0]} "
                    f"is {check.expected:.6g}: {abs(check.measured - check.expected):.2g} apart"
                )
                return Verdict(Status.NOT_CONVERGED, message, Cause.CROSS_CHECK)
        if under.any():
            many = "1 exponent lies" if under.sum() == 1 else f"{int(under.sum())} exponents lie"
            dtype = self.run.tangents.dtype if self.run.tangents.noise else self.coarsest
            return Verdict(Status.UNRESOLVED, f"{many} under the floor that {dtype} can resolve")
        return Verdict()

    def _sum_rule(self, exponents: Values, rate: float) -> dict[str, float] | None:
        if self.k != self.run.n or not np.isfinite(exponents).all():
            return None
        total = float(exponents.sum()) * rate
        known = self.run.map.mean_log_abs_det
        if known is not None:
            log_det = float(known) * rate
            return {"sum": total, "log_det": log_det, "log_det_stderr": 0.0, "residual": total - log_det}
        determinants = self.run.determinants
        if determinants.steps == 0:
            return None
        log_det = float(determinants.mean()[0]) * rate
        beside = float(self.run.beside_determinants.mean()) / determinants.steps * rate
        return {
            "sum": total,
            "log_det": log_det,
            "log_det_stderr": float(determinants.stderr()[0]) * rate,
            "residual": beside - log_det,
            "steps": determinants.steps,
        }


def _many(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


@dataclass(frozen=True, kw_only=True)
class LyapunovSpectrum(Result):
    """Lyapunov exponents in nats, largest first, and what follows from them.

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
    error_history : (e, k)
        Standard errors after `error_steps` steps, which double towards the last: their fall shows
        whether to go on.
    error_steps : (e,)
    effective_samples : (k,)
        Independent samples that the standard error amounts to, each of `batch_steps` steps of one
        trajectory (of the mean of several, beyond eight); there are `n_batches` batches in all.
        Fewer mean that growth varies slowly, more that it makes up for what it lost. NaN where
        nothing varies.
    group : (b,)
        Number of the attractor that each trajectory lies on; see `groups`.
    final_state : (b, n)
        States after the last step.
    kaplan_yorke, kaplan_yorke_stderr : float
        Kaplan-Yorke dimension, NaN where the exponents at hand do not determine it.
    kaplan_yorke_verdict : str
        "certified" where a partial sum is negative by more than 3 standard errors, else what is
        missing.
    entropy, entropy_stderr : float
        Sum of the positive exponents (Pesin's bound on the metric entropy).
    n_positive : int
        Exponents that exceed zero by more than 3 standard errors.
    attractor : str
        "chaotic", "fixed point", "cycle of period p", "torus", "limit cycle" (of a flow) or
        "undetermined"; what each is and how many, if trajectories ended on different ones.
    groups : tuple of dict
        Where trajectories lie on several attractors, told apart by their exponents: for each its
        "attractor", number of "trajectories", "exponents", "stderr" and "kaplan_yorke". Empty where
        there is one. The exponents above are means over all trajectories, and then belong to none.
    sum_rule : dict or None
        For a full spectrum: "sum" of the exponents, "log_det" = mean of log|det J| along the
        trajectories (from the map where it is constant, else along `steps` steps), its
        "log_det_stderr", and the "residual": by how much both differ over the same steps.
    checks : tuple of dict
        What `check` returns, as plain values.
    n_steps : int
        Steps that were averaged over.
    batch_steps, n_batches : int
        Length and number of the batches that the standard errors stand on.
    unit : str
        "per step", or "per unit time" of a flow.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_spectrum.draw_spectrum"
    SUMMARY: ClassVar[tuple[str, ...]] = ("exponents", "kaplan_yorke", "entropy", "attractor", "n_steps")

    exponents: Values = dims("exponent")
    stderr: Values = dims("exponent")
    per_trajectory: Values = dims("trajectory", "exponent")
    history: Values = dims("record", "exponent")
    history_steps: NDArray[np.int64] = dims("record")
    error_history: Values = dims("error_record", "exponent")
    error_steps: NDArray[np.int64] = dims("error_record")
    effective_samples: Values = dims("exponent")
    group: NDArray[np.int64] = dims("trajectory")
    final_state: NDArray[Any] = dims("trajectory", "component")
    kaplan_yorke: float
    kaplan_yorke_stderr: float
    kaplan_yorke_verdict: str
    entropy: float
    entropy_stderr: float
    n_positive: int
    attractor: str
    n_steps: int
    batch_steps: int = 0
    n_batches: int = 0
    unit: str = "per step"
    sum_rule: dict[str, float] | None = field(default=None)
    groups: tuple[dict[str, Any], ...] = ()
    checks: tuple[dict[str, Any], ...] = ()

    @property
    def failed(self) -> bool:
        """Also where nothing at all could be resolved: tangents that overflow leave no exponent."""
        return self.status.failed or bool(np.isnan(self.exponents).all())

    def _finding(self) -> str:
        value, error = float(self.exponents[0]), float(self.stderr[0])
        if self.groups:
            kinds = ", ".join(f"{group['trajectories']} {group['attractor']}" for group in self.groups)
            end = f"The trajectories end on {len(self.groups)} different attractors"
            return f"{end} ({kinds}): means over all belong to none."
        if UNDETERMINED in self.attractor or not np.isfinite(value):
            size = f", {with_error(value, error)}," if np.isfinite(value) else ""
            return f"Undetermined: the largest exponent{size} cannot be told from zero after {self.n_steps} steps."
        time = "steps" if self.unit == "per step" else "units of time"
        if value > 0 and self.n_positive:
            dimension_ = f"the attractor has dimension {with_error(self.kaplan_yorke, self.kaplan_yorke_stderr)}"
            if np.isnan(self.kaplan_yorke):
                dimension_ = "the exponents at hand do not determine the dimension of the attractor"
            elif self.kaplan_yorke_verdict != "certified":
                dimension_ += f" (not certified: {self.kaplan_yorke_verdict})"
            return f"Chaotic: neighbouring states part by a factor e every {1 / value:.3g} {time}; {dimension_}."
        meet = f", and neighbours approach each other by a factor e every {-1 / value:.3g} {time}" if value < 0 else ""
        return f"Not chaotic: every trajectory ends on a {self.attractor}{meet}."

    def check(self) -> tuple[Check, ...]:
        """Every cross-check of these numbers, each with its residual in standard errors.

        Returns
        -------
        tuple of Check
            Those that apply: "sum rule" (the sum of all exponents against log|det J| along the same
            steps), "halves" (second half of the run against the first), "trajectories" (their
            spread against their variation in time), "order" (directions sorted by growth), "frame"
            (orthonormality of the last frame), "flow" (a flow has an exponent of zero), "known"
            (the exponents that the catalogue lists). Each has `residual` and `passed`; printed, one
            line.

        Examples
        --------
        >>> import lyapmap as lm
        >>> s = lm.lyapunov_spectrum(lm.systems.henon(), [0.1, 0.1], n_steps=10_000, transient=100, seed=0)
        >>> [check.name for check in s.check()]
        ['sum rule', 'halves', 'mixing', 'order', 'frame', 'known']
        >>> all(check.passed for check in s.check())
        True
        """
        return tuple(Check(**values) for values in self.checks)

    def steps_for(self, tolerance: float) -> int:
        """Steps that a run of as many trajectories needs for a standard error of the largest exponent.

        The error falls with the square root of the steps; of an exponent whose growth makes up for
        what it lost it falls faster, so that fewer will do.
        """
        ratio = float(self.stderr[0]) / positive("tolerance", tolerance)
        if not np.isfinite(ratio):
            raise LyapmapError("tolerance: this run gave no standard error to go by")
        return int(np.ceil(self.n_steps * ratio**2))
