"""Flows along compiled vector fields, which carry whole blocks of steps themselves."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numba_compile import FlowRule, FunctionRule, LaneRule, RowRule
from lyapmap.backends.numba_map import ANALYTIC, NumbaMap
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flow import DormandPrince, RungeKutta4, finite_time
from lyapmap.core.map import jacobian_from_jvp

__all__ = ["CompiledFlow", "LaneRule", "RowRule"]


@final
class CompiledFlow:
    """The time-tau map of a compiled vector field.

    Parameters
    ----------
    field : LaneRule, RowRule or FunctionRule
        The vector field: its "image" is the velocity.
    tau : float
        Time of one step.
    scheme : RungeKutta4 or DormandPrince
        A `LaneRule` needs `RungeKutta4`.
    state_shape : tuple of int
    parameters : tuple of float
        Of the vector field.
    derivative : str
    provenance : dict

    Notes
    -----
    With `RungeKutta4` the compiled map is a single step of length tau / steps, of which `steps`
    make one step of the flow; frames are orthonormalized only after the last of them.
    """

    def __init__(
        self,
        field: LaneRule | RowRule | FunctionRule,
        tau: float,
        scheme: RungeKutta4 | DormandPrince,
        *,
        state_shape: tuple[int, ...],
        parameters: tuple[float, ...] = (),
        derivative: str = ANALYTIC,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        self.time_per_step = finite_time(tau)
        settings: tuple[float, ...]
        if isinstance(scheme, RungeKutta4):
            self._substeps, settings = scheme.steps, (self.time_per_step / scheme.steps,)
            rule = FlowRule(field, "rk4")
        elif isinstance(field, LaneRule):
            raise LyapmapError("scheme: a field of lanes takes steps of equal length, RungeKutta4")
        else:
            self._substeps, settings = 1, (self.time_per_step, scheme.rtol, scheme.atol)
            rule = FlowRule(field, "dopri5")
        self._one = NumbaMap(rule, state_shape=state_shape, parameters=(*settings, *parameters))
        self._lanes = isinstance(field, LaneRule)
        if hasattr(self._one, "log_abs_det"):
            self.log_abs_det = self._log_abs_det  # absent where core's own way is the better one
        self.state_shape = state_shape
        self.ops = self._one.ops
        self.derivative = derivative
        described = {"numba": version("numba")} | (provenance or {})
        self.provenance: dict[str, Any] = described | {"tau": self.time_per_step} | scheme.described

    def apply(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        if self._lanes:
            return self._one.propagate(x, np.empty((*x.shape, 0)), self._substeps, self._substeps)[0]
        for _ in range(self._substeps):
            x = self._one.apply(x)
        return x

    def jvp(self, x: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        for _ in range(self._substeps):
            x, v = self._one.jvp(x, v)
        return x, v

    def jacobian(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        matrices: NDArray[np.float64] = jacobian_from_jvp(self, x)
        return matrices

    def propagate(
        self, x: NDArray[np.float64], frame: NDArray[np.float64], n_steps: int, qr_every: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """States, frames and log growth (b, k) after a block of steps; see `lyapmap.core.propagate`."""
        qr_every = whole("qr_every", qr_every, 1)
        return self._one.propagate(x, frame, n_steps * self._substeps, qr_every * self._substeps)

    def propagate_blocks(
        self, x: NDArray[np.float64], frame: NDArray[np.float64], n_blocks: int, n_steps: int, qr_every: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """States, frames and log growth after each of several blocks; see `lyapmap.core.propagate`."""
        qr_every = whole("qr_every", qr_every, 1)
        return self._one.propagate_blocks(x, frame, n_blocks, n_steps * self._substeps, qr_every * self._substeps)

    def _log_abs_det(self, x: NDArray[np.float64], n_steps: int) -> NDArray[np.float64]:
        """Sum of log|det J| over a block of steps, (b,); see `lyapmap.core.propagate`."""
        return self._one.log_abs_det(x, n_steps * self._substeps)
