"""Flows along NumPy fields with equal steps, of which long runs are compiled."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends.numpy.compiled import Twin, rk4_step
from lyapmap.backends.numpy.map import NumpyMap
from lyapmap.core.flow import FlowMap
from lyapmap.core.flow_schemes import RungeKutta4
from lyapmap.core.map import Blocks, TangentMap
from lyapmap.core.wrapped import SameTangents


@final
class NumpyFlow(SameTangents):
    """`FlowMap` of a NumPy field and equal steps, with a compiled twin of one of these: the same states to the bit."""

    def __init__(self, field: NumpyMap, tau: float, scheme: RungeKutta4) -> None:
        super().__init__(FlowMap(field, tau, scheme))
        self.field, self.steps = field, scheme.steps
        self._h = tau / scheme.steps
        own = field.twin
        self.twin = Twin(
            own.function,
            rk4_step(own.call, self._h),
            own.n,
            branches=own.branches,
            calls=4 * scheme.steps,
            wanted=own.wanted,
        )
        self._described: dict[str, Any] = {}

    @property
    def provenance(self) -> dict[str, Any]:
        return self.inner.provenance | self._described

    def propagate(
        self,
        x: NDArray[Any],
        frame: NDArray[Any],
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        states, frames, totals = self.propagate_blocks(x, frame, 1, n_steps, qr_every, frame_dtype=frame_dtype)
        return states[0], frames[0], totals[0]

    def propagate_blocks(
        self,
        x: NDArray[Any],
        frame: NDArray[Any],
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        fits = 0 < frame.shape[2] <= x.shape[1] and self.carries(frame_dtype)
        twin = self._compiled(x, n_steps) if fits else None
        if twin is None:
            return self.inner.propagate_blocks(x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype)
        self.inner.apply(x[:1])  # which holds steps against steps half as long, at times
        return twin.propagate_blocks(x, frame, n_blocks, n_steps * self.steps, qr_every * self.steps)

    def _compiled(self, x: NDArray[Any], n_steps: int) -> TangentMap | None:
        if not self.twin.pays(n_steps):
            return None
        one = RungeKutta4(1)

        def image(states: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(one.carry(self.field, self._h, states, None).x)

        def tangents(states: NDArray[Any], v: NDArray[Any]) -> NDArray[Any]:
            return np.asarray(one.carry(self.field, self._h, states, v).v)

        made = self.twin.now(x, image, tangents)
        reason = f"not compiled: {self.twin.reason}" if made is None else made.provenance["numba"]
        self._described = {"compiled": reason}
        return made
