"""What a run of tangent frames tells: exponents, dimension, entropy, attractor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

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
        "chaotic", "fixed point", "cycle of period p", "torus" or "undetermined"; what each is and
        how many, if trajectories ended on different ones.
    sum_rule : dict or None
        For a full spectrum: "sum" of the exponents, "log_det" = mean of log|det J| along the
        trajectories (from the map where it is constant, else sampled), its "log_det_stderr".
    n_steps : int
        Steps that were averaged over.
    unit : str
        "per step", or "per unit time" of a flow.
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
    unit: str = "per step"
    sum_rule: dict[str, float] | None = field(default=None)

    @property
    def failed(self) -> bool:
        """Also where nothing at all could be resolved: tangents that overflow leave no exponent."""
        return self.status.failed or bool(np.isnan(self.exponents).all())
