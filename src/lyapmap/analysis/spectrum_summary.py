"""From the statistics of a run of tangent frames to its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis import orbit
from lyapmap.analysis.attractors import group_trajectories
from lyapmap.analysis.checks import Check, homogeneity, rounding, worst
from lyapmap.analysis.kaplan_yorke import KaplanYorke, kaplan_yorke_with_error
from lyapmap.analysis.spectrum_result import LyapunovSpectrum
from lyapmap.analysis.tangent_run import TangentRun
from lyapmap.core.map import rate_unit, time_per_step
from lyapmap.core.results import Status

FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to."""


@dataclass(frozen=True)
class Endings:
    """What trajectories ended on: periods (0 for none), whether an unstable orbit, names."""

    period: NDArray[np.int64]
    unstable: NDArray[np.bool_]
    names: list[str]

    def in_words(self) -> str:
        return orbit.counted(self.names)


class Summary:
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
        if getattr(self.run.map, "orthonormalizes_within", False) and self.coarsest == self.run.ops.dtype:
            return -np.inf
        noise = np.log(np.finfo(self.coarsest).eps * FLOOR_MARGIN * np.sqrt(self.run.n))
        return float(largest + noise / self.run.qr_every)

    def result(self, settings: dict[str, Any], origin: dict[str, Any], interrupted: bool) -> LyapunovSpectrum:
        """Everything that the run gathered."""
        lost = self.run.lost()
        statistics = self.run.statistics
        per_trajectory = statistics.per_trajectory()
        stderr, covariance, within = statistics.stderr(), statistics.covariance(), statistics.within()
        endings = self._endings(per_trajectory, within, stderr, lost)
        if lost is None and endings.period.all() and not interrupted:
            exact = self._on_cycles(endings.period)
            if np.isfinite(exact[:, 0]).all():
                per_trajectory = np.where(np.isnan(exact), per_trajectory, exact)
                # Identical cycles leave nothing uncertain; different ones differ by what they are.
                spread = per_trajectory.std(axis=0, ddof=1) / np.sqrt(self.run.b) if self.run.b > 1 else None
                stderr = np.zeros(self.k) if spread is None else spread
                covariance, within = np.diag(stderr**2), np.zeros((self.run.b, self.k))
        with np.errstate(invalid="ignore"):
            mean = per_trajectory.mean(axis=0)
        order = np.argsort(-mean, kind="stable")
        mean, stderr, per_trajectory, within = mean[order], stderr[order], per_trajectory[:, order], within[:, order]
        covariance = covariance[np.ix_(order, order)]
        under = np.zeros(self.k, bool)
        under[1:] = mean[1:] < self._floor(float(mean[0]))
        collapsed = self.run.autonomous and self._collapsed(endings.unstable)
        status, message = self._verdict(
            lost, collapsed, under, interrupted, float(stderr[0]) / time_per_step(self.run.map)
        )
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
        positive = mean > np.maximum(orbit.CERTAIN * stderr, orbit.ZERO)
        known = bool(np.isfinite(mean[:1]).all() or mean[0] == -np.inf)
        entropy_variance = covariance[np.ix_(positive, positive)].sum() if positive.any() else 0.0
        rate = 1 / time_per_step(self.run.map)
        nothing = np.zeros(0, np.int64), np.zeros((0, self.k))
        steps, history = statistics.history() if statistics.steps else nothing
        error_steps, errors = statistics.error_history() if statistics.steps else nothing
        sum_rule = self._sum_rule(mean, rate)
        checks = self._checks(mean * rate, stderr * rate, per_trajectory, within, order, sum_rule, lost)
        return LyapunovSpectrum(
            status=status,
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
            entropy=float(mean[positive].sum()) * rate if known else np.nan,
            entropy_stderr=float(np.sqrt(max(entropy_variance, 0.0))) * rate if known else np.nan,
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
        rate = 1 / time_per_step(self.run.map)
        for number in range(int(group.max()) + 1):
            rows = group == number
            count = int(rows.sum())
            mean = np.where(under, np.nan, per_trajectory[rows].mean(axis=0))
            error = np.where(under, np.nan, np.sqrt((within[rows] ** 2).mean(axis=0) / count))
            names = [name for name, member in zip(endings.names, rows, strict=True) if member]
            complete = self.k == self.run.n
            dimension_ = kaplan_yorke_with_error(
                mean, np.diag(np.nan_to_num(error, posinf=np.inf) ** 2), complete=complete
            )
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
            error = rounding(self.coarsest, self.run.n, size)
            residual, total = sum_rule["residual"], sum_rule["log_det"]
            words = "sum of all exponents against log|det J| over the same steps; error: rounding"
            found.append(Check("sum rule", total + residual, total, error, words))
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
        known = getattr(self.run.map, "known", None)
        if known is not None and moving.any():
            many = min(self.k, len(known.exponents))
            off = np.zeros(many) if known.standard_error is None else np.array(known.standard_error[:many])
            errors = np.hypot(stderr[:many], off)
            words = "exponent {i} against the catalogue's (" + known.kind + ")"
            found.append(worst("known", mean[:many], np.array(known.exponents[:many]), errors, words))
        return tuple(check.to_dict() for check in found if check is not None)

    def _dimension(
        self, mean: NDArray[np.float64], stderr: NDArray[np.float64], covariance: NDArray[np.float64], attractor: str
    ) -> KaplanYorke:
        """Kaplan-Yorke dimension; on a torus, exponents that are zero within their error are zero.

        The dimension jumps from 0 to 1 where the largest exponent goes through zero: rounding would
        throw a coin.
        """
        if attractor in (orbit.TORUS, orbit.LIMIT_CYCLE):
            mean = np.where(np.abs(mean) <= np.maximum(orbit.CERTAIN * stderr, orbit.ZERO), 0.0, mean)
        covariance = np.nan_to_num(covariance, nan=0.0, posinf=np.inf)
        return kaplan_yorke_with_error(mean, covariance, complete=self.k == self.run.n)

    def _endings(
        self,
        per_trajectory: NDArray[np.float64],
        within: NDArray[np.float64],
        stderr: NDArray[np.float64],
        lost: str | None,
    ) -> Endings:
        """What each trajectory ended on."""
        b = self.run.b
        largest = per_trajectory.max(axis=1)
        unstable = self.run.watch.repeats & (self.run.watch.growth > orbit.ZERO)
        if lost is not None or self.run.statistics.steps == 0:
            return Endings(np.zeros(b, np.int64), unstable, [orbit.UNDETERMINED] * b)
        # The error of one trajectory: from its own variation, or judged from that of their mean.
        leading = int(per_trajectory.mean(axis=0).argmax())
        together = float(np.nan_to_num(stderr[leading], posinf=np.inf)) * np.sqrt(b)
        error = np.where(np.isfinite(within[:, leading]), within[:, leading], together)
        period = np.zeros(b, np.int64)
        if self.run.autonomous and (
            self.run.watch.repeats.any() or (largest <= np.maximum(orbit.CERTAIN * error, orbit.ZERO)).any()
        ):
            period = orbit.find_recurrence(self.run.map, self.run.x).period
        judged = np.where(self.run.watch.repeats & ~unstable, self.run.watch.growth, largest)
        names = [orbit.describe(float(judged[t]), float(error[t]), int(period[t]), bool(unstable[t])) for t in range(b)]
        if rate_unit(self.run.map) == "per unit time":
            # A flow's orbit has an exponent of zero along itself; only a second one makes a torus.
            second = np.sort(per_trajectory, axis=1)[:, -2] if self.k > 1 else np.full(b, np.nan)
            certain = np.maximum(orbit.CERTAIN * error, orbit.ZERO)
            for t, name in enumerate(names):
                if name == orbit.TORUS and not abs(second[t]) <= certain[t]:
                    names[t] = orbit.LIMIT_CYCLE if second[t] < 0 else orbit.UNDETERMINED
        wandering = (orbit.CHAOTIC, orbit.TORUS, orbit.LIMIT_CYCLE, orbit.UNDETERMINED)
        settled = np.array([name not in wandering for name in names])
        return Endings(np.where(settled, period, 0), unstable, names)

    def _on_cycles(self, periods: NDArray[np.int64]) -> NDArray[np.float64]:
        """Exponents of each trajectory from the multipliers of the cycle that it ended on."""
        exact = np.full((self.run.b, self.k), np.nan)
        for period in np.unique(periods):
            rows = np.flatnonzero(periods == period)
            x, frame = (self.run.ops.take(array, rows) for array in (self.run.x, self.run.frame))
            exact[rows] = orbit.cycle_exponents(self.run.map, x, frame[:, :, : self.k], int(period))
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

    def _sum_rule(self, exponents: NDArray[np.float64], rate: float) -> dict[str, float] | None:
        if self.k != self.run.n or not np.isfinite(exponents).all():
            return None
        total = float(exponents.sum()) * rate
        known = getattr(self.run.map, "mean_log_abs_det", None)
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
