"""Flows of fields that depend on time, dx/dt = f(t, x): maps that depend on the step."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import TangentMap, dimension, jacobian_from_jvp, time_per_step
from lyapmap.core.ops import Array
from lyapmap.core.structure import keep_structure


@final
class ForcedFlow:
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

    def __init__(self, inner: TangentMap, start: float, period: float | None, state_shape: tuple[int, ...]) -> None:
        self.inner = inner
        self.start = start
        self.period = period
        self.state_shape = state_shape
        self.ops = inner.ops
        self.derivative = getattr(inner, "derivative", "given")
        self.time_per_step = time_per_step(inner)
        self.orthonormalizes_within = bool(getattr(inner, "orthonormalizes_within", False))
        keep_structure(self, None)

    @property
    def provenance(self) -> dict[str, Any]:
        described = dict(getattr(self.inner, "provenance", {})) | {"start": self.start}
        return described if self.period is None else described | {"period": self.period}

    @property
    def log_abs_det_tolerance(self) -> float:
        return float(getattr(self.inner, "log_abs_det_tolerance", 0.0))

    def time(self, step: int) -> float:
        """When a step begins."""
        since = step * self.time_per_step
        return self.start + (since if self.period is None else since % self.period)

    def at(self, step: int) -> ForcedStep:
        """The map of one step."""
        return ForcedStep(self, self.time(step))

    def apply(self, x: Array) -> Array:
        return self.at(0).apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.at(0).jvp(x, v)

    def jacobian(self, x: Array) -> Array:
        return self.at(0).jacobian(x)


@final
class ForcedStep:
    """A forced flow over one step that begins at a given time: an ordinary map.

    Where tau is a multiple of the period it is the stroboscopic map, the same at every step.
    """

    log_abs_det_in_blocks = False

    def __init__(self, whole: ForcedFlow, time: float) -> None:
        self.whole = whole
        self.start = time
        self.n = dimension(whole.state_shape)
        self.state_shape = whole.state_shape
        self.ops = whole.ops
        self.derivative = whole.derivative
        self.time_per_step = whole.time_per_step
        self.orthonormalizes_within = whole.orthonormalizes_within
        if self.orthonormalizes_within:
            self.propagate = self._propagate

    @property
    def provenance(self) -> dict[str, Any]:
        return self.whole.provenance

    @property
    def log_abs_det_tolerance(self) -> float:
        return self.whole.log_abs_det_tolerance

    def apply(self, x: Array) -> Array:
        return self.whole.inner.apply(self._timed(x))[:, : self.n]

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        # The clock is what it is: tangents do not move it.
        still = self.ops.from_numpy(np.zeros((x.shape[0], 1, v.shape[2])))
        y, u = self.whole.inner.jvp(self._timed(x), self.ops.concatenate([v, still], 1))
        return y[:, : self.n], u[:, : self.n]

    def jacobian(self, x: Array) -> Array:
        return jacobian_from_jvp(self, x)

    def _propagate(
        self, x: Array, frame: Array, n_steps: int, qr_every: int = 1
    ) -> tuple[Array, Array, NDArray[np.float64]]:
        """As `lyapmap.core.propagate`, over steps that all begin at the same time; frames as often as they need it."""
        still = self.ops.from_numpy(np.zeros((x.shape[0], 1, frame.shape[2])))
        total = np.zeros((frame.shape[0], frame.shape[2]))
        for _ in range(n_steps):
            with_time = self.ops.concatenate([frame, still], 1)
            y, turned, growth = self.whole.inner.propagate(self._timed(x), with_time, 1)  # type: ignore[attr-defined]
            x, frame = y[:, : self.n], turned[:, : self.n]
            total += growth
        return x, frame, total

    def log_abs_det(self, x: Array, n_steps: int) -> NDArray[np.float64]:
        """Integral of the divergence over steps that all begin at the same time, (b,); see `core.propagate`."""
        total = np.zeros(x.shape[0])
        for _ in range(n_steps):
            total += self.whole.inner.log_abs_det(self._timed(x), 1)  # type: ignore[attr-defined]
            x = self.apply(x)
        return total

    def _timed(self, x: Array) -> Array:
        return self.ops.concatenate([x, self.ops.from_numpy(np.full((x.shape[0], 1), self.start))], 1)
