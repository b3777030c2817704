"""Flows of fields that depend on time, dx/dt = f(t, x): maps that depend on the step."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.wrapped import StepMap


@final
class ForcedFlow(StepMap):
    """The flow of a field that depends on time: step i goes from start + i tau to start + (i + 1) tau.

    Time is no coordinate of the state, so the exponents are the n of the response to what the
    clock does; the zero that an autonomous flow has along itself is not among them.

    Attributes
    ----------
    inner : TangentMap
        The flow of the n + 1 values (x, t), dt/dt = 1.
    start : float
        Time at which step 0 begins.
    period : float or None
        After which the field repeats: times are taken modulo it.
    """

    is_flow = True

    def __init__(self, inner: TangentMap, start: float, period: float | None, state_shape: tuple[int, ...]) -> None:
        self.inner = inner
        self.start = start
        self.period = period
        self.state_shape = state_shape
        self.ops = inner.ops
        self.time_per_step = inner.time_per_step
        self.log_abs_det_is_independent = inner.log_abs_det_is_independent
        self.orthonormalizes_within = inner.orthonormalizes_within

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.inner.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        described = self.inner.provenance | {"start": self.start}
        return described if self.period is None else described | {"period": self.period}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.inner.log_abs_det_tolerance

    def time(self, step: int) -> float:
        """When a step begins."""
        since = step * self.time_per_step
        return self.start + (since if self.period is None else since % self.period)

    def at(self, step: int) -> ForcedStep:
        """The map of one step."""
        return ForcedStep(self, self.time(step))


@final
class ForcedStep(TangentMap):
    """A forced flow over one step that begins at a given time: an ordinary map.

    Where tau is a multiple of the period it is the stroboscopic map, the same at every step.
    """

    is_flow = True

    def __init__(self, whole: ForcedFlow, time: float) -> None:
        self.whole = whole
        self.start = time
        self.n = dimension(whole.state_shape)
        self.state_shape = whole.state_shape
        self.ops = whole.ops
        self.time_per_step = whole.time_per_step
        self.log_abs_det_is_independent = whole.log_abs_det_is_independent
        self.orthonormalizes_within = whole.orthonormalizes_within

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.whole.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.whole.provenance

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.whole.log_abs_det_tolerance

    def apply(self, x: Array) -> Array:
        return self.whole.inner.apply(self._timed(x))[:, : self.n]

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        # The clock is what it is: tangents do not move it.
        still = self.ops.from_numpy(np.zeros((x.shape[0], 1, v.shape[2])))
        y, u = self.whole.inner.jvp(self._timed(x), self.ops.concatenate([v, still], 1))
        return y[:, : self.n], u[:, : self.n]

    def propagate(
        self,
        x: Array,
        frame: Array,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        """Over steps that all begin at the same time; frames are orthonormalized as often as they need it."""
        if not (self.orthonormalizes_within and self.carries(frame_dtype)):
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
        still = self.ops.from_numpy(np.zeros((x.shape[0], 1, frame.shape[2])))
        total = np.zeros((frame.shape[0], frame.shape[2]))
        for _ in range(n_steps):
            with_time = self.ops.concatenate([frame, still], 1)
            y, turned, growth = self.whole.inner.propagate(self._timed(x), with_time, 1)
            x, frame = y[:, : self.n], turned[:, : self.n]
            total += growth
        return x, frame, total

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        """Integral of the divergence over steps that all begin at the same time, (b,)."""
        total = np.zeros(x.shape[0])
        for _ in range(n_steps):
            total += self.whole.inner.log_abs_det(self._timed(x), 1)
            x = self.apply(x)
        return total

    def _timed(self, x: Array) -> Array:
        return self.ops.concatenate([x, self.ops.from_numpy(np.full((x.shape[0], 1), self.start))], 1)
