"""Maps that stand on others: what they hand on stands here, once."""

from __future__ import annotations

import abc
import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import Blocks, Recording, TangentMap
from lyapmap.core.ops import Array
from lyapmap.core.structure import Structure

# mypy: disable-error-code="override"
# What can be set on a map in general is what another one says, here.


class WrappedMap(TangentMap):
    """A map that stands on another one: of its states, arrays, time and steps.

    What it does to volumes and frames, and what is known of it, is not taken from there.
    """

    depends_on_step = False  # unless the map within does, or a subclass says so

    def __init__(self, inner: TangentMap) -> None:
        self.inner = inner
        self.state_shape = tuple(inner.state_shape)
        self.ops = inner.ops
        self.depends_on_step = type(self).depends_on_step or inner.depends_on_step

    @property
    def derivative(self) -> str:
        return self.inner.derivative

    @property
    def provenance(self) -> dict[str, Any]:
        return dict(self.inner.provenance)

    @property
    def structure(self) -> Structure | None:
        return self.inner.structure

    @property
    def time_per_step(self) -> float:
        return self.inner.time_per_step

    @property
    def is_flow(self) -> bool:
        return self.inner.is_flow

    def at(self, step: int) -> TangentMap:
        if not self.depends_on_step:
            return self
        now = copy.copy(self)
        now.inner = self.inner.at(step)
        now.depends_on_step = False
        return now

    def apply(self, x: Array) -> Array:
        return self.inner.apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.inner.jvp(x, v)

    def jacobian(self, x: Array) -> Array:
        return self.inner.jacobian(x)

    def restore(self, flat: Array) -> Any:
        return self.inner.restore(flat)


class SameTangents(WrappedMap):
    """A wrapped map with the tangents of the one within, which therefore does the same to frames and volumes."""

    @property
    def compiled(self) -> bool:
        return self.inner.compiled

    @property
    def orthonormalizes_within(self) -> bool:
        return self.inner.orthonormalizes_within

    @property
    def mean_log_abs_det(self) -> float | None:
        return self.inner.mean_log_abs_det

    @property
    def log_abs_det_is_independent(self) -> bool:
        return self.inner.log_abs_det_is_independent

    @property
    def log_abs_det_in_blocks(self) -> bool:
        return self.inner.log_abs_det_in_blocks

    @property
    def log_abs_det_tolerance(self) -> float:
        return self.inner.log_abs_det_tolerance

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
        return self.inner.propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)

    def propagate_blocks(
        self,
        x: Array,
        frame: Array,
        n_blocks: int,
        n_steps: int,
        qr_every: int = 1,
        *,
        frame_dtype: str | None = None,
        first_step: int = 0,
    ) -> Blocks:
        return self.inner.propagate_blocks(
            x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step
        )

    def record(
        self, x: Array, frame: Array, n_steps: int, wanted: NDArray[np.bool_], *, first_step: int = 0
    ) -> Recording:
        return self.inner.record(x, frame, n_steps, wanted, first_step=first_step)

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        return self.inner.log_abs_det(x, n_steps, first_step=first_step)


class StepMap(TangentMap):
    """A map that depends on the step, and is that of step 0 where no step is named."""

    depends_on_step = True

    @abc.abstractmethod
    def at(self, step: int) -> TangentMap:
        """The map of one step."""

    def apply(self, x: Array) -> Array:
        return self.at(0).apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.at(0).jvp(x, v)

    def jacobian(self, x: Array) -> Array:
        return self.at(0).jacobian(x)
