"""What a run of tangent frames tells: exponents, dimension, entropy, attractor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.checks import Check
from lyapmap.core.arguments import positive
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result


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

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "exponents": ("exponent",),
        "stderr": ("exponent",),
        "per_trajectory": ("trajectory", "exponent"),
        "history": ("record", "exponent"),
        "history_steps": ("record",),
        "error_history": ("error_record", "exponent"),
        "error_steps": ("error_record",),
        "effective_samples": ("exponent",),
        "group": ("trajectory",),
        "final_state": ("trajectory", "component"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.exponents.pictures_spectrum.draw_spectrum"

    exponents: NDArray[np.float64]
    stderr: NDArray[np.float64]
    per_trajectory: NDArray[np.float64]
    history: NDArray[np.float64]
    history_steps: NDArray[np.int64]
    error_history: NDArray[np.float64]
    error_steps: NDArray[np.int64]
    effective_samples: NDArray[np.float64]
    group: NDArray[np.int64]
    final_state: NDArray[Any]
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
