"""The two sides of a comparison: a map or data, as trajectories of features that can be exchanged.

States of thousands of values are never all held: a few of the reference's give the leading principal components, and
every state is recorded in those, with its distance from them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dynamics.quantities import mapped, observed
from lyapmap.analysis.orbits.trajectory import Trajectory
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import TangentMap, as_states, dimension, resembles_map
from lyapmap.core.ops import Array
from lyapmap.core.points import as_points
from lyapmap.core.propagate import step_states

Values = NDArray[np.float64]
Function = Callable[[Any], Any]
Steps = Callable[[int], None]
"""Takes the number of steps that were done since the last call."""

AS_THEY_ARE = 32
"""Components up to which states are compared as they are, and principal components beyond."""
SHORTEST = 16
"""States of a trajectory that are needed at least."""
PILOT = 8
"""States of each trajectory that say how large features are, and which components lead."""
BLOCK = 16
"""Steps between two reports."""
SAME = 1e-6
"""Deviation, relative to the size of the values, below which a component counts as constant."""


@dataclass(frozen=True)
class Data:
    """Trajectories that are known: rows of states, one after the other.

    Attributes
    ----------
    rows : list of (T, n)
    shape : tuple of int
        Of one state.
    """

    rows: list[Values]
    shape: tuple[int, ...]

    @property
    def n(self) -> int:
        """Values of a state."""
        return int(self.rows[0].shape[1])

    def units(self, wanted: int, longest: int | None, name: str) -> Values:
        """So many stretches of equal length, (wanted, T, n): whole trajectories where there are enough of them."""
        pieces = -(-wanted // len(self.rows))
        steps = min(len(row) // pieces for row in self.rows)
        steps = steps if longest is None else min(steps, longest)
        if steps < SHORTEST:
            raise LyapmapError(
                f"{name}: expected at least {SHORTEST * wanted} states for {wanted} stretches of {SHORTEST}, got "
                f"{sum(map(len, self.rows))} in {len(self.rows)} trajectories; give more, or lower n_trajectories"
            )
        cut = [row[i * (len(row) // pieces) :][:steps] for row in self.rows for i in range(pieces)]
        # Of more than are wanted, some from everywhere.
        return np.stack([cut[i] for i in np.linspace(0, len(cut) - 1, wanted).round().astype(int)])


def side(given: Any, name: str) -> TangentMap | Data:
    """A map, or data: a `Trajectory`, an array (T, ...) of states in a row, or a list of such arrays."""
    if isinstance(given, Trajectory):
        return Data([as_points(states, name) for states in given.states], tuple(given.state_shape))
    if resembles_map(given):
        return as_tangent_map(given)
    if isinstance(given, list | tuple) and len(given) and np.ndim(given[0]) >= 2:
        rows = [as_points(part, f"{name}[{i}]") for i, part in enumerate(given)]
        if len({row.shape[1] for row in rows}) > 1:
            raise ShapeError(f"{name}: expected trajectories of one kind of states, got {[r.shape[1] for r in rows]}")
        return Data(rows, np.shape(given[0])[1:])
    if callable(given):
        raise LyapmapError(f"{name}: expected a map or data, got a function; lyapmap.wrap(...) makes a map of it")
    return Data([as_points(given, name)], np.shape(given)[1:])


class Features:
    """What states are compared by: themselves, or principal components of the reference and the distance from them.

    Parameters
    ----------
    pilot : (m, n)
        States of the reference.
    shape : tuple of int
        Of a state.
    own : callable, optional
        The user's, of states (b, n) in the place of both; gives (b, d).
    """

    def __init__(self, pilot: Values, shape: tuple[int, ...], own: Function | None, least: float = SAME) -> None:
        self.own, self.shape = own, shape
        self.basis: Values | None = None
        self.mean = pilot.mean(axis=0)
        if own is None and pilot.shape[1] > AS_THEY_ARE:
            _, size, axes = np.linalg.svd(pilot - self.mean, full_matrices=False)
            known = max(1, int((size > SAME * max(size[0], 1e-300)).sum()))
            self.basis = axes[: min(AS_THEY_ARE, known)]
        values = self._raw(pilot)
        deviation = values.std(axis=0)
        if self.basis is not None:  # small components stay small
            deviation = np.full(values.shape[1], np.sqrt((deviation**2).sum()))
        smallest = least * np.maximum(np.abs(values).max(axis=0), 1e-9)
        self.centre, self.scale = values.mean(axis=0), np.maximum(deviation, smallest)
        self.words = (
            "features" if own is not None else f"{len(self.basis)} principal components and the distance from them"
            if self.basis is not None else "states"
        )  # fmt: skip

    def __call__(self, states: Any) -> Values:
        """Features (b, d) of states (b, n), in deviations of the reference."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((self._raw(np.asarray(states, np.float64)) - self.centre) / self.scale)

    def _raw(self, states: Values) -> Values:
        if self.own is not None:
            values = np.asarray(self.own(states.reshape(len(states), *self.shape)))
            if values.ndim == 1:
                values = values[:, None]
            if values.ndim != 2 or len(values) != len(states) or values.dtype.kind not in "biuf":
                raise ShapeError(
                    f"features: expected real numbers ({len(states)}, d) of {len(states)} states, got {values.shape}"
                )
            return values.astype(np.float64)
        if self.basis is None:
            return states
        with np.errstate(over="ignore", invalid="ignore"):
            centred = states - self.mean
            inside = centred @ self.basis.T
            rest = np.maximum((centred**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
            return np.concatenate([inside, np.sqrt(rest)[:, None]], axis=1)


@dataclass(frozen=True)
class Observer:
    """What is recorded of a state: its features, observables, and the features of its images under symmetries.

    Attributes
    ----------
    shape : tuple of int
        Of a state, as the user's functions know it.
    features : Features
    observables, symmetries : dict of str to callable
    """

    shape: tuple[int, ...]
    features: Features
    observables: dict[str, Function]
    symmetries: dict[str, Function]

    def __call__(self, states: Any) -> Values:
        """All of it (b, d + ...) of states (b, n)."""
        own = np.asarray(states).reshape(len(states), *self.shape)
        images = [mapped(name, symmetry, own).reshape(len(states), -1) for name, symmetry in self.symmetries.items()]
        numbers = [observed(name, function, own)[:, None] for name, function in self.observables.items()]
        parts = [self.features(states), *numbers, *(self.features(image) for image in images)]
        return np.concatenate(parts, axis=1)

    @property
    def d(self) -> int:
        """Number of features."""
        return len(self.features.centre)

    def of_data(self, states: Values) -> Values:
        """Of trajectories (b, T, n), (b, T, d + ...)."""
        b, steps, n = states.shape
        return self(states.reshape(b * steps, n)).reshape(b, steps, -1)


def on_attractor(tangent_map: TangentMap, x0: Any, wanted: int, apart: int, transient: int, report: Steps) -> Array:
    """So many states (wanted, n) after a transient, from whatever number of initial states.

    Where there are fewer, states of their trajectories are taken so many steps apart.
    """
    x, _ = as_states(x0, tangent_map)
    ops = tangent_map.ops
    x = stepped(tangent_map, x[:wanted], transient, report)
    parts = [ops.to_numpy(x)]
    while sum(map(len, parts)) < wanted:
        x = stepped(tangent_map, x, apart, report)
        parts.append(ops.to_numpy(x))
    states = np.concatenate(parts)[:wanted]
    if not np.isfinite(states).all():
        raise LyapmapError("x0: the reference leaves the range of numbers from there; start within its basin")
    return ops.from_numpy(states, ops.dtype)


def stepped(tangent_map: TangentMap, x: Array, steps: int, report: Steps) -> Array:
    """States after so many steps, with reports on the way."""
    for done in range(0, steps, BLOCK):
        block = min(BLOCK, steps - done)
        x = step_states(tangent_map, x, n_steps=block)
        report(block)
    return x


def recorded(tangent_map: TangentMap, x: Array, steps: int, observe: Function, report: Steps) -> Values:
    """What is observed of the states from `x` on, (b, steps, d)."""
    values: Values | None = None
    for step in range(steps):
        seen = observe(tangent_map.ops.to_numpy(x))
        if values is None:
            values = np.empty((len(seen), steps, seen.shape[1]))
        values[:, step] = seen
        if step + 1 < steps:
            x = step_states(tangent_map, x, n_steps=1)
        if step % BLOCK == BLOCK - 1:
            report(BLOCK)
    assert values is not None
    return values


def forecast_errors(
    tangent_map: TangentMap, start: Values, truth: Values, features: Features, threshold: float, report: Steps
) -> Values:
    """Distance of forecasts from the truth (b, T, d), in units of its deviation, (b, h).

    `start` (b, n) are the states of which the first of `truth` are the features; forecasts end where none holds.
    """
    ops = tangent_map.ops
    x = ops.from_numpy(start, ops.dtype)
    scale = deviation(truth)
    errors = []
    for step in range(1, truth.shape[1]):
        x = step_states(tangent_map, x, n_steps=1)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.sqrt(((features(ops.to_numpy(x)) - truth[:, step]) ** 2).sum(axis=1)) / scale
        errors.append(np.where(np.isfinite(error), error, np.inf))
        if step % BLOCK == 0:
            report(BLOCK)
            if np.min(np.max(errors, axis=0)) > threshold:
                break
    return np.stack(errors, axis=1)


def deviation(features: Values) -> float:
    """Root of the mean squared distance of features (b, T, d) from their mean."""
    return max(float(np.sqrt(features.reshape(-1, features.shape[2]).var(axis=0).sum())), SAME)


def common_shape(model: TangentMap | Data, reference: TangentMap | Data, *, read: bool) -> tuple[int, ...]:
    """Shape of a state of the reference, which has as many values on both sides unless the model's are read."""
    sizes = [part.n if isinstance(part, Data) else dimension(part.state_shape) for part in (model, reference)]
    if sizes[0] != sizes[1] and not read:
        raise ShapeError(
            f"model: expected states of {sizes[1]} values like the reference, got {sizes[0]}; readout= makes them "
            "alike, and several trajectories are a list of arrays"
        )
    for name, part in (("model", model), ("reference", reference)):
        if isinstance(part, TangentMap) and part.depends_on_step:
            raise LyapmapError(
                f"{name}: a map that depends on the step (noise, input) has no trajectories that can be exchanged; "
                "give a Trajectory of it"
            )
    if isinstance(model, TangentMap) and isinstance(reference, TangentMap):
        times = model.time_per_step, reference.time_per_step
        if model.is_flow and reference.is_flow and not np.isclose(*times):
            raise LyapmapError(f"model: a step takes {times[0]:g}, of the reference {times[1]:g}; give both the same")
    shapes = [reference.state_shape if isinstance(reference, TangentMap) else reference.shape]
    if isinstance(model, TangentMap) and not isinstance(reference, TangentMap) and not read:
        shapes = [model.state_shape]
    return tuple(int(size) for size in shapes[0])
