"""Flows along NumPy fields with equal steps, of which long runs are compiled."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.compiled import CompiledRun, Twin, divergence_step, rk4_step
from lyapmap.core.flow import FlowMap
from lyapmap.core.flow_schemes import RungeKutta4
from lyapmap.core.map import SameTangents, TangentMap


@final
class NumpyFlow(SameTangents):
    """`FlowMap` of a NumPy field and equal steps, which has a compiled twin of one of these steps."""

    def __init__(self, field: TangentMap, own: Twin, tau: float, scheme: RungeKutta4) -> None:
        super().__init__(FlowMap(field, tau, scheme))
        self.field, self.scheme, self.steps = field, scheme, scheme.steps
        self._h = tau / scheme.steps
        self.twin = own.of_step(rk4_step(own.call, self._h), 4 * scheme.steps)
        self.volume = own.of_step(rk4_step(divergence_step(own.call, own.n), self._h), 4 * scheme.steps, more=1)
        self._described: dict[str, Any] = {}

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.inner.provenance | self._described

    def for_run(self, x: NDArray[Any], k: int, n_steps: int) -> TangentMap:
        if not self.twin.pays(n_steps):
            return self
        rk4 = RungeKutta4(1)

        def image(states: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(rk4.carry(self.field, self._h, states, None).x)

        def tangents(states: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(rk4.carry(self.field, self._h, states, v).v)

        made = self.twin.now(x, k, image, tangents)
        if made is None:
            self._described = {"compiled": f"no: {self.twin.reason}"}
            return self
        self._described = {}
        return CompiledRun(self, made, self.steps, self.volume.unchecked())
