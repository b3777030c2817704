"""From the statistics of a run of tangent frames to its result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis import orbit
from lyapmap.analysis.kaplan_yorke import KaplanYorke, kaplan_yorke_with_error
from lyapmap.analysis.spectrum_result import LyapunovSpectrum
from lyapmap.analysis.tangent_run import TangentRun
from lyapmap.core.map import rate_unit, time_per_step
from lyapmap.core.results import Status

FLOOR_MARGIN = 8.0
"""Roundings, in units of sqrt(n), that the noise in a tangent's image amounts to."""


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
        rate = 1 / time_per_step(self.run.map)
        steps, history = statistics.history() if statistics.steps else (np.zeros(0, np.int64), np.zeros((0, self.k)))
        return LyapunovSpectrum(
            status=status,
            message=message,
            settings=settings,
            provenance=origin,
            exponents=mean * rate,
            stderr=stderr * rate,
            per_trajectory=np.where(under, np.nan, per_trajectory) * rate,
            history=np.where(under, np.nan, history[:, order]) * rate,
            history_steps=steps,
            final_state=self.run.ops.to_numpy(self.run.x),
            kaplan_yorke=dimension_.dimension,
            kaplan_yorke_stderr=dimension_.stderr,
            kaplan_yorke_verdict=dimension_.verdict,
            entropy=float(mean[positive].sum()) * rate if known else np.nan,
            entropy_stderr=float(np.sqrt(max(entropy_variance, 0.0))) * rate if known else np.nan,
            n_positive=int(positive.sum()),
            attractor=attractor,
            n_steps=statistics.steps,
            unit=rate_unit(self.run.map),
            sum_rule=self._sum_rule(mean, rate),
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

    def _sum_rule(self, exponents: NDArray[np.float64], rate: float) -> dict[str, float] | None:
        if self.k != self.run.n or not np.isfinite(exponents).all():
            return None
        total = float(exponents.sum()) * rate
        known = getattr(self.run.map, "mean_log_abs_det", None)
        if known is not None:
            return {"sum": total, "log_det": float(known) * rate, "log_det_stderr": 0.0}
        if not self.run.determinants:
            return None
        samples = np.array(self.run.determinants)
        stderr = float(samples.std(ddof=1) / np.sqrt(samples.size)) if samples.size > 1 else np.inf
        return {"sum": total, "log_det": float(samples.mean()) * rate, "log_det_stderr": stderr * rate}
