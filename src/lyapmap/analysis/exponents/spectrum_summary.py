"""From the statistics of a run of tangent frames to its result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents import ended_orbit as orbit
from lyapmap.analysis.exponents.attractors import group_trajectories
from lyapmap.analysis.exponents.checks import AGREES, FAILS, Check, homogeneity, rounding, worst
from lyapmap.analysis.exponents.endings import Endings, find_endings, on_cycles
from lyapmap.analysis.exponents.growth_shape import FEWEST_FOLDS
from lyapmap.analysis.exponents.kaplan_yorke import KaplanYorke, kaplan_yorke_with_error
from lyapmap.analysis.exponents.spectrum_result import LyapunovSpectrum
from lyapmap.analysis.exponents.tangent_run import TangentRun
from lyapmap.core.map import rate_unit, time_per_step
from lyapmap.core.results import Cause, Status

FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to."""


class Summary:
    """Draws the conclusions from a run that has ended."""

    def __init__(self, run: TangentRun) -> None:
        self.run = run
        # A run that stopped while it grew carries more directions than it has statistics of.
        self.k = run.statistics.totals.shape[1]
        self.coarsest = min(run.ops.dtype, run.frame_dtype)  # "float32" < "float64"
        self.rounding = orbit.growth_rounding(run.map, self.coarsest)
        self.zero = max(orbit.ZERO, self.rounding)

    def _floor(self, largest: float) -> float:
        """Growth per step under which rounding in the map's arithmetic hides an exponent.

        A tangent's image carries noise of the size of one rounding of the largest growth; what is
        left of it after orthogonalization cannot be smaller.
        """
        if self.run.map.orthonormalizes_within and self.coarsest == self.run.ops.dtype:
            return -np.inf
        noise = np.log(np.finfo(self.coarsest).eps * FLOOR_MARGIN * np.sqrt(self.run.n))
        return float(largest + noise / self.run.qr_every)

    def result(self, settings: dict[str, Any], origin: dict[str, Any], interrupted: bool) -> LyapunovSpectrum:
        """Everything that the run gathered."""
        lost = self.run.lost()
        statistics = self.run.statistics
        per_trajectory = statistics.per_trajectory()
        stderr, covariance, within = statistics.stderr(), statistics.covariance(), statistics.within()
        # Rounding is the same at every step, so that no scatter shows it.
        stderr = np.where(stderr > 0, np.fmax(stderr, self.rounding), stderr)
        endings = find_endings(self.run, per_trajectory, within, stderr, rounding=self.rounding, zero=self.zero)
        folds = statistics.folds()
        grows = endings.exponential.any() & ((folds > np.log(2)) | (stderr <= self.rounding))
        exact = (
            on_cycles(self.run, endings.period) if lost is None and endings.period.all() and not interrupted else None
        )
        if exact is not None and not np.isnan(exact[:, 0]).any():
            per_trajectory = np.where(np.isnan(exact), per_trajectory, exact)
            # Identical cycles leave nothing uncertain; different ones differ by what they are.
            alike = (per_trajectory == per_trajectory[:1]).all(axis=0)
            with np.errstate(invalid="ignore"):
                spread = np.std(per_trajectory, axis=0, ddof=min(self.run.b - 1, 1)) / np.sqrt(self.run.b)
            stderr = np.where(alike, 0.0, spread)
            covariance, within = np.diag(stderr**2), np.zeros((self.run.b, self.k))
            grows = np.ones(self.k, bool)
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
        mean, stderr, per_trajectory, within = mean[order], stderr[order], per_trajectory[:, order], within[:, order]
        covariance, grows = covariance[np.ix_(order, order)], grows[order]
        under = np.zeros(self.k, bool)
        under[1:] = mean[1:] < self._floor(float(mean[0]))
        collapsed = self.run.autonomous and self._collapsed(endings.unstable)
        rate = 1 / time_per_step(self.run.map)
        sum_rule = self._sum_rule(np.where(under, np.nan, mean), rate) if lost is None else None
        known = np.where(under, np.nan, stderr) * rate
        checks = self._checks(
            np.where(under, np.nan, mean) * rate, known, per_trajectory, within, order, sum_rule, lost
        )
        status, cause, message = self._verdict(lost, collapsed, under, interrupted, stderr, checks)
        mean, stderr = np.where(under, np.nan, mean), np.where(under, np.nan, stderr)
        attractor = endings.in_words()
        if status in (Status.ESCAPED, Status.COLLAPSED) or self.run.overflowed:
            mean, stderr = np.full(self.k, np.nan), np.full(self.k, np.nan)
            attractor = orbit.UNDETERMINED if status is Status.UNRESOLVED else str(status)
        group = np.zeros(self.run.b, np.int64)
        if status is not Status.ESCAPED and statistics.steps:
            group = group_trajectories(per_trajectory, within, endings.period)
        groups = self._groups(group, per_trajectory, within, endings, under) if group.any() else ()
        if groups and not message:
            message = f"the trajectories lie on {len(groups)} attractors, see groups: the means belong to none of them"
        dimension_ = self._dimension(mean, stderr, covariance, attractor)
        too_short = bool(np.isposinf(stderr).any())
        positive = grows & (mean > np.maximum(orbit.CERTAIN * stderr, self.zero)) & (not too_short)
        entropy = self._entropy(mean, stderr, covariance, positive, attractor) if not too_short else (np.nan, np.nan)
        nothing = np.zeros(0, np.int64), np.zeros((0, self.k))
        steps, history = statistics.history() if statistics.steps else nothing
        error_steps, errors = statistics.error_history() if statistics.steps else nothing
        return LyapunovSpectrum(
            status=status,
            cause=cause,
            message=message,
            settings=settings | {"qr_every_used": self.run.qr_every},
            provenance=origin,
            exponents=mean * rate,
            stderr=stderr * rate,
            per_trajectory=np.where(under, np.nan, per_trajectory) * rate,
            history=np.where(under, np.nan, history[:, order]) * rate,
            history_steps=steps,
            error_history=np.where(under, np.nan, errors[:, order]) * rate,
            error_steps=error_steps,
            effective_samples=np.where(under, np.nan, statistics.effective_samples()[order]),
            group=group,
            final_state=self.run.ops.to_numpy(self.run.x),
            kaplan_yorke=dimension_.dimension,
            kaplan_yorke_stderr=dimension_.stderr,
            kaplan_yorke_verdict=dimension_.verdict,
            entropy=entropy[0] * rate,
            entropy_stderr=entropy[1] * rate,
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

    def _entropy(
        self,
        mean: NDArray[np.float64],
        stderr: NDArray[np.float64],
        covariance: NDArray[np.float64],
        positive: NDArray[np.bool_],
        attractor: str,
    ) -> tuple[float, float]:
        """Sum of the positive exponents and its error; NaN where it is not known whether there are any."""
        if positive.any():
            variance = max(float(covariance[np.ix_(positive, positive)].sum()), 0.0)
            return float(mean[positive].sum()), float(np.sqrt(variance))
        none = orbit.UNDETERMINED not in attractor or mean[0] < -orbit.CERTAIN * stderr[0]
        return (0.0, 0.0) if none and not np.isnan(mean[0]) else (np.nan, np.nan)

    def _groups(
        self,
        group: NDArray[np.int64],
        per_trajectory: NDArray[np.float64],
        within: NDArray[np.float64],
        endings: Endings,
        under: NDArray[np.bool_],
    ) -> tuple[dict[str, Any], ...]:
        """What each attractor is like, where there are several."""
        found = []
        statistics = self.run.statistics
        rate = 1 / time_per_step(self.run.map)
        for number in range(int(group.max()) + 1):
            rows = group == number
            count = int(rows.sum())
            mean = np.where(under, np.nan, per_trajectory[rows].mean(axis=0))
            error = np.where(under, np.nan, np.sqrt((within[rows] ** 2).mean(axis=0) / count))
            names = [name for name, member in zip(endings.names, rows, strict=True) if member]
            if not endings.exponential[rows].any() and not endings.period[rows].all():
                # As of all trajectories: growth like a power of time is no more certain than its size.
                error = np.fmax(
                    error, np.where(np.abs(mean) * statistics.steps < 4 * np.log(statistics.steps), np.abs(mean), 0)
                )
            covariance = np.diag(np.nan_to_num(error, nan=0.0, posinf=np.inf) ** 2)
            dimension_ = self._dimension(mean, error, covariance, orbit.counted(names))
            found.append(
                {
                    "attractor": orbit.counted(names),
                    "trajectories": count,
                    "exponents": [float(v) for v in mean * rate],
                    "stderr": [float(v) for v in error * rate],
                    "kaplan_yorke": dimension_.dimension,
                }
            )
        return tuple(found)

    def _checks(
        self,
        mean: NDArray[np.float64],
        stderr: NDArray[np.float64],
        per_trajectory: NDArray[np.float64],
        within: NDArray[np.float64],
        order: NDArray[np.int64],
        sum_rule: dict[str, float] | None,
        lost: str | None,
    ) -> tuple[dict[str, Any], ...]:
        """What can be held against something else; see `LyapunovSpectrum.check`."""
        statistics = self.run.statistics
        if lost is not None or statistics.steps == 0:
            return ()
        rate = 1 / time_per_step(self.run.map)
        found: list[Check | None] = []
        if sum_rule is not None:
            size = float(np.abs(mean).max())
            error = rounding(self.coarsest, self.run.n, size) + self._contracted() * rate
            # A map's own figure may be known less well than to rounding; no more than a quarter of what fails is it.
            error = max(error, self.run.map.log_abs_det_tolerance * rate / AGREES)
            residual, total = sum_rule["residual"], sum_rule["log_det"]
            name, words = "sum rule", "sum of all exponents against log|det J| over the same steps; error: rounding"
            if rate_unit(self.run.map) == "per unit time" and self.run.map.log_abs_det_is_independent:
                name, words = "divergence", "sum of all exponents against the mean divergence along the orbit"
            found.append(Check(name, total + residual, total, error, words))
        moving = np.isfinite(stderr) & (stderr > 0)
        if moving.any():
            # Two halves of a run each have twice the variance of the whole.
            drift = np.where(moving, statistics.drift()[order] * rate, np.nan)
            words = "exponent {i}, second half of the run minus the first"
            found.append(worst("halves", drift, 0.0, 2 * stderr, words))
            correlation, error = statistics.mixing()
            words = "exponent {i}, correlation of neighbouring 32nds of the run, which should be none"
            found.append(worst("mixing", np.where(moving, np.fmax(correlation[order], 0), np.nan), 0.0, error, words))
        found.append(homogeneity(per_trajectory, within))
        if self.k > 1 and moving.all():
            falls = statistics.mean() * rate
            before = np.maximum.accumulate(falls[::-1])[::-1]  # the largest from here on
            words = "direction {i} of the frame grows less than a later one"
            found.append(worst("order", before - falls, 0.0, np.sqrt(2) * np.abs(stderr).max(), words))
        frame = self.run.ops.to_numpy(self.run.frame).astype(np.float64)
        overlap = np.abs(np.swapaxes(frame, 1, 2) @ frame - np.eye(frame.shape[2])).max()
        tolerance = np.finfo(self.coarsest).eps * self.run.n
        found.append(
            Check("frame", float(overlap), 0.0, float(tolerance), "orthonormality of the last frame; error: rounding")
        )
        if rate_unit(self.run.map) == "per unit time" and np.isfinite(mean[0]) and mean[0] > -orbit.CERTAIN * stderr[0]:
            i = int(np.nanargmin(np.abs(mean)))
            found.append(worst("flow", mean[i], 0.0, stderr[i], f"exponent {i + 1}, of the direction along the flow"))
        known = self.run.map.known
        if known is not None and moving.any():
            many = min(self.k, len(known.exponents))
            off = np.zeros(many) if known.standard_error is None else np.array(known.standard_error[:many])
            errors = np.hypot(stderr[:many], off)
            words = "exponent {i} against the catalogue's (" + known.kind + ")"
            found.append(worst("known", mean[:many], np.array(known.exponents[:many]), errors, words))
        return tuple(check.to_dict() for check in found if check is not None)

    def _contracted(self) -> float:
        """What rounding in the directions that grow most may do to the sum of all, per step.

        Between two decompositions it shows in those that grow least, larger by as much as they part.
        """
        growth, eps = self.run.statistics.mean(), float(np.finfo(self.coarsest).eps)
        # Differences take shorter steps beside a jump, where they are less good than elsewhere.
        error = eps if orbit.derivative_error(self.run.map, self.coarsest) == eps else np.sqrt(eps)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = (growth.max() - growth) * self.run.qr_every
            noise = error * FLOOR_MARGIN * np.sqrt(self.run.n) * np.exp(apart)
        return float(np.fmin(noise, 1.0).sum() / self.run.qr_every)

    def _dimension(
        self, mean: NDArray[np.float64], stderr: NDArray[np.float64], covariance: NDArray[np.float64], attractor: str
    ) -> KaplanYorke:
        """Kaplan-Yorke dimension; on a torus, exponents that are zero within their error are zero.

        The dimension jumps from 0 to 1 where the largest exponent goes through zero: rounding would
        throw a coin.
        """
        if attractor in (orbit.TORUS, orbit.LIMIT_CYCLE):
            mean = np.where(np.abs(mean) <= np.maximum(orbit.CERTAIN * stderr, self.zero), 0.0, mean)
        covariance = np.nan_to_num(covariance, nan=0.0, posinf=np.inf)
        return kaplan_yorke_with_error(mean, covariance, complete=self.k == self.run.n, zero=self.zero)

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
        stderr: NDArray[np.float64],
        checks: tuple[dict[str, Any], ...],
    ) -> tuple[Status, Cause, str]:
        steps, b = self.run.statistics.steps, self.run.b
        if lost is not None:
            return (Status.ESCAPED if self.run.escaped.any() else Status.UNRESOLVED), Cause.NONE, lost
        count = int(np.sum(collapsed))
        if count:
            if b == 1:
                return Status.COLLAPSED, Cause.NONE, "the computed orbit repeats exactly although it is unstable"
            message = f"{count} of {b} computed orbits repeat exactly although they are unstable"
            return Status.COLLAPSED, Cause.NONE, message
        if interrupted:
            return Status.NOT_CONVERGED, Cause.INTERRUPTED, f"interrupted after {steps} of {self.run.n_steps} steps"
        if np.isposinf(stderr).any():
            of = f"{b} trajectories" if b > 1 else "one trajectory"
            length = self.run.statistics.batch_steps
            blocks = f" in batches of {length}" if length > 1 else ""
            message = f"{_many(steps, 'step')} of {of}{blocks} {'is' if steps == 1 else 'are'} too few for error bars"
            return Status.NOT_CONVERGED, Cause.TOO_SHORT, message
        error = float(stderr[0]) / time_per_step(self.run.map)
        if self.run.tolerance is not None and not error <= self.run.tolerance:
            message = (
                f"standard error {error:.2g} of the largest exponent is above the tolerance {self.run.tolerance:.2g}"
            )
            return Status.NOT_CONVERGED, Cause.TOLERANCE, message
        for check in (Check(**values) for values in checks):
            if check.name in ("sum rule", "divergence") and abs(check.residual) > FAILS:
                message = (
                    f"the exponents add up to {check.measured:.6g}, {check.words.split(' against ')[1].split(';')[0]} "
                    f"is {check.expected:.6g}: {abs(check.measured - check.expected):.2g} apart"
                )
                return Status.NOT_CONVERGED, Cause.CROSS_CHECK, message
        if under.any():
            many = "1 exponent lies" if under.sum() == 1 else f"{int(under.sum())} exponents lie"
            return Status.UNRESOLVED, Cause.NONE, f"{many} under the floor that {self.coarsest} can resolve"
        return Status.OK, Cause.NONE, ""

    def _sum_rule(self, exponents: NDArray[np.float64], rate: float) -> dict[str, float] | None:
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
