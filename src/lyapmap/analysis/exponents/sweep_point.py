"""One value of a sweep: what is measured there, and how it can fail without ending the sweep."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.core.errors import LyapmapError, RunError
from lyapmap.core.map import TangentMap, as_states, dimension
from lyapmap.core.ops import Array
from lyapmap.core.propagate import propagate, step_states
from lyapmap.core.results import Cause, Status

ALIGN = 100
"""Steps for tangent frames to align."""

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """What is done at every value."""

    analyses: tuple[str | Callable[[Any, Any], Any], ...]
    n_steps: int
    transient: int
    n_kept: int
    n_exponents: int | None
    n_trajectories: int


@dataclass
class Point:
    """What was found at one value."""

    status: Status = Status.OK
    message: str = ""
    cause: Cause = Cause.NONE
    exponents: _Values = field(default_factory=lambda: np.zeros(0))
    stderr: _Values = field(default_factory=lambda: np.zeros(0))
    kaplan_yorke: float = np.nan
    kaplan_yorke_stderr: float = np.nan
    attractor: str = ""
    states: _Values = field(default_factory=lambda: np.zeros((0, 0)))
    measured: _Values = field(default_factory=lambda: np.zeros(0))
    final: Any = None
    """States (b, n) to go on from; None after a failure."""

    def fail(self, status: Status, message: str, cause: Cause = Cause.NONE) -> None:
        """Note the first failure."""
        if not self.status.failed:
            self.status, self.message, self.cause = status, message, cause
        self.final = None


def measure(tangent_map: TangentMap, x0: Any, task: Task, seed: int) -> Point:
    """Do at one value what is asked for."""
    ops = tangent_map.ops
    x, _ = as_states(_start(tangent_map, task, seed) if x0 is None else x0, tangent_map)
    point = Point()
    settled = None
    for analysis in task.analyses:
        if analysis == "spectrum":
            _spectrum(point, tangent_map, x, task, seed)
            continue
        if settled is None:
            settled = _settled(tangent_map, x, task.transient)
        if analysis == "bifurcation":
            last = _bifurcation(point, tangent_map, settled, task)
            if not point.status.failed:
                point.final = ops.to_numpy(last)
        elif callable(analysis):
            _measured(point, analysis, tangent_map, settled)
            if not point.status.failed and point.final is None:
                point.final = ops.to_numpy(settled)
    return point


def _start(tangent_map: TangentMap, task: Task, seed: int) -> Any:
    own = tangent_map.initial_states(task.n_trajectories, seed)
    if own is None:
        raise LyapmapError("x0: expected states to start from, as the map has no initial_states of its own")
    return own


def _settled(tangent_map: TangentMap, x: Array, n_steps: int) -> Array:
    """States after the transient; in one go where the map is compiled."""
    if tangent_map.depends_on_step or not tangent_map.compiled:
        return step_states(tangent_map, x, n_steps=n_steps)
    frame = np.zeros((x.shape[0], dimension(tangent_map.state_shape), 1))
    frame[:, 0] = 1.0
    return propagate(tangent_map, x, tangent_map.ops.from_numpy(frame), n_steps=n_steps, qr_every=n_steps or 1).x


def _spectrum(point: Point, tangent_map: TangentMap, x: Array, task: Task, seed: int) -> None:
    align = task.transient
    if not tangent_map.depends_on_step:
        # Frames align in far fewer steps than states may need to reach the attractor.
        align = min(task.transient, ALIGN) if dimension(tangent_map.state_shape) > 1 else 0
        x = _settled(tangent_map, x, task.transient - align)
    states = tangent_map.ops.to_numpy(x)
    if not np.isfinite(states).all():
        point.fail(Status.ESCAPED, "a state is not finite after the transient")
        return
    found = lyapunov_spectrum(
        tangent_map,
        states,
        n_steps=task.n_steps,
        transient=align,
        n_exponents=task.n_exponents,
        seed=seed,
        throw=False,
    )
    point.exponents, point.stderr = found.exponents, found.stderr
    point.kaplan_yorke, point.kaplan_yorke_stderr = found.kaplan_yorke, found.kaplan_yorke_stderr
    point.attractor = found.attractor
    if found.failed:
        point.fail(found.status, found.message, found.cause)
    elif not point.status.failed:
        if point.status is Status.OK:
            point.status, point.message = found.status, found.message
        point.final = found.final_state


def _bifurcation(point: Point, tangent_map: TangentMap, x: Array, task: Task) -> Array:
    ops = tangent_map.ops
    kept = np.full((x.shape[0], task.n_kept, dimension(tangent_map.state_shape)), np.nan)
    for i in range(task.n_kept):
        kept[:, i] = ops.to_numpy(x)
        x = step_states(tangent_map, x, n_steps=1, first_step=task.transient + i)
    lost: NDArray[np.bool_] = np.asarray(~np.isfinite(kept).all(axis=(1, 2)))
    if lost.any():
        kept[lost] = np.nan
        point.fail(Status.ESCAPED, f"{int(lost.sum())} of {len(lost)} trajectories are not finite")
    point.states = kept.reshape(-1, kept.shape[2])
    return x


def _measured(point: Point, analysis: Callable[[Any, Any], Any], tangent_map: TangentMap, x: Array) -> None:
    states = tangent_map.ops.to_numpy(x)
    if not np.isfinite(states).all():
        point.fail(Status.ESCAPED, "a state is not finite after the transient")
        return
    try:
        found = np.atleast_1d(np.asarray(analysis(tangent_map, states), np.float64))
    except RunError as error:
        point.fail(Status.NOT_CONVERGED, str(error))
        return
    if found.ndim != 1:
        raise LyapmapError(f"analysis: expected the function to give a number or a row of them, got {found.shape}")
    point.measured = found
