"""Flows along NumPy fields, of which long runs are compiled."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.compiled import ORBIT, Form, Twin, first_images
from lyapmap.core.flows.map import FlowMap
from lyapmap.core.flows.schemes import DormandPrince, RungeKutta4
from lyapmap.core.flows.stiff import Automatic
from lyapmap.core.map import SameTangents, TangentMap

ADAPTIVE_CALLS = 20
"""Calls of the field that a time tau takes with steps that follow the states, about; not measured, as `CALL`."""


@final
class NumpyFlow(SameTangents):
    """`FlowMap` of a NumPy field, of which a run may be carried by `CompiledFlow` along the field's compiled twin.

    With equal steps states are the same to the last bit, else to the tolerance of the steps.
    """

    inner: FlowMap

    def __init__(self, field: TangentMap, twin: Twin, tau: float, scheme: RungeKutta4 | DormandPrince | Automatic):
        super().__init__(FlowMap(field, tau, scheme))
        self.twin = twin
        self._described: dict[str, Any] = {}

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.inner.provenance | self._described

    def over(self, tau: float) -> NumpyFlow:
        return NumpyFlow(self.field, self.twin, tau, self.scheme.over(tau / self.time_per_step))

    def for_run(self, x: NDArray[Any], k: int, n_steps: int) -> TangentMap:
        scheme, tau = self.scheme, self.time_per_step
        equal = isinstance(scheme, RungeKutta4)
        if not self.twin.pays(n_steps, 4 * scheme.steps if isinstance(scheme, RungeKutta4) else ADAPTIVE_CALLS):
            return self

        def image(states: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(scheme.carry(self.field, tau, states, None).x)

        def ahead(states: NDArray[Any]) -> NDArray[Any]:
            moved: NDArray[Any] = states + tau / ORBIT * self.field.apply(states)
            return moved

        made: TangentMap | None = self.twin.now(
            x,
            k,
            self.field.apply,
            lambda states, v: np.asarray(self.field.jvp(states, v)[1]),
            Form(self._compiled, True, image, first_images, image)
            if equal
            else Form(self._compiled, False, ahead, _velocities, self.field.apply),
        )
        self._described = {} if made is not None else {"compiled": f"no: {self.twin.reason}"}
        return made or self

    def _compiled(self, rule: Any, constants: tuple[float, ...]) -> TangentMap:
        from lyapmap.backends.numba.flow import CompiledFlow

        return CompiledFlow(
            rule,
            self.time_per_step,
            self.scheme,
            state_shape=self.state_shape,
            parameters=constants,
            derivative=self.derivative,
            provenance=self.field.provenance | {"compiled": f"numba {version('numba')}"},
            written=self.field,
        )


def _velocities(made: Any, x: NDArray[Any], frames: NDArray[Any]) -> NDArray[Any]:
    velocities: NDArray[Any] = made.field.jvp(x, frames[:, :, :0])[0]
    return velocities
