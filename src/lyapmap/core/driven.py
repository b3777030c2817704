"""Driven maps: x_{n+1} = F(x_n, u_n) with inputs u_n from outside, recorded or random.

Their exponents are those of the response alone, with the drive held to what it was: conditional
exponents (L. M. Pecora and T. L. Carroll 1990), and the exponents of random maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import Map, TangentMap, as_tangent_map, dimension
from lyapmap.core.ops import Array
from lyapmap.core.wrapped import StepMap

Inputs = Callable[[int, int], Any]
"""Takes the step and the number of trajectories b; gives (m,), the same for all, or (b, m)."""

KINDS = ("normal", "uniform", "binary")


@dataclass(frozen=True)
class RecordedInputs:
    """Inputs that are known beforehand.

    Attributes
    ----------
    values : (T, 1, m) or (T, b, m)
        At each step, the same for all trajectories or one row for each.
    """

    values: NDArray[np.float64]

    def __call__(self, step: int, b: int) -> NDArray[np.float64]:
        n_steps, rows, _ = self.values.shape
        if step >= n_steps:
            raise LyapmapError(
                f"inputs: hold {n_steps} steps, and step {step} was asked for; give as many as transient and "
                "n_steps together"
            )
        if rows == 1:
            only: NDArray[np.float64] = self.values[step, 0]
            return only
        if b > rows:
            raise ShapeError(f"inputs: hold {rows} trajectories, and {b} were asked for")
        return self.values[step, :b]


@dataclass(frozen=True)
class RandomInputs:
    """Inputs drawn anew at each step, frozen by counters; `random_inputs` makes them.

    Those of trajectory t at step s are a function of (seed, s, t) alone, so that a run is the same
    however it is split or resumed.
    """

    m: int
    kind: str
    scale: float
    center: float
    shared: bool
    seed: int

    def __call__(self, step: int, b: int) -> NDArray[np.float64]:
        # The second half of the key keeps these draws apart from those of a noisy map of the same seed.
        rng = np.random.Generator(np.random.Philox(key=np.array([self.seed, 1], np.uint64), counter=[0, 0, 0, step]))
        shape = (self.m,) if self.shared else (b, self.m)
        if self.kind == "normal":
            draws = rng.standard_normal(shape)
        else:
            draws = rng.uniform(-1, 1, shape)
            if self.kind == "binary":
                draws = np.where(draws < 0, -1.0, 1.0)
        return self.center + self.scale * draws


def random_inputs(
    m: int, *, kind: str = "normal", scale: float = 1.0, center: float = 0.0, shared: bool = False, seed: int = 0
) -> RandomInputs:
    """Random inputs for `driven`, independent from step to step.

    Parameters
    ----------
    m : int
        Values at each step.
    kind : "normal", "uniform" or "binary"
        Distribution: normal, uniform, or one of two values with equal chances.
    scale : float
        Standard deviation of normal inputs, half width of uniform ones, distance of each of two
        values from their middle.
    center : float
        Mean.
    shared : bool
        Whether all trajectories feel the same inputs (common noise), else each its own.
    seed : int
        Not negative.

    Returns
    -------
    RandomInputs
        A function of (step, b), frozen by counters.

    Examples
    --------
    >>> u = random_inputs(2, kind="binary", seed=1)
    >>> bool((u(7, 3)[:2] == u(7, 2)).all())
    True
    """
    if kind not in KINDS:
        raise LyapmapError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if not 0 <= scale < np.inf:
        raise LyapmapError(f"scale: expected a finite number >= 0, got {scale}")
    if not np.isfinite(center):
        raise LyapmapError(f"center: expected a finite number, got {center}")
    seed = whole("seed", seed, 0)
    if seed >= 2**64:
        raise LyapmapError(f"seed: expected an integer below 2**64, got {seed}")
    return RandomInputs(whole("m", m, 1), kind, float(scale), float(center), bool(shared), seed)


class DrivenMap(StepMap):
    """The response x_{n+1} = F(x_n, u_n) to given inputs; `driven` makes it."""

    def __init__(self, joint: TangentMap, inputs: Inputs, m: int, first_trajectory: int) -> None:
        self.joint = joint
        self.inputs = inputs
        self.m = m
        self.first_trajectory = first_trajectory
        self.n = dimension(joint.state_shape) - m
        self.state_shape: tuple[int, ...] = (self.n,)
        self.ops = joint.ops
        self.is_flow, self.time_per_step = joint.is_flow, joint.time_per_step
        self.structure = None if joint.structure is None else joint.structure.without_last(m)

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.joint.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.joint.provenance | {"driven_by": _described(self.inputs, self.m)}

    def at(self, step: int) -> DrivenStep:
        """The map of one step."""
        return DrivenStep(self, step)

    def input_rows(self, step: int, b: int) -> NDArray[np.float64]:
        """Inputs of b trajectories at one step, (b, m)."""
        first = self.first_trajectory
        given = np.asarray(self.inputs(step, first + b), np.float64)
        if given.shape == (self.m,):
            rows = np.broadcast_to(given, (b, self.m))
        elif given.shape == (first + b, self.m):
            rows = given[first:]
        else:
            raise ShapeError(
                f"inputs: expected ({self.m},) or ({first + b}, {self.m}) at step {step}, got {given.shape}"
            )
        if not np.isfinite(rows).all():
            raise LyapmapError(f"inputs: those of step {step} are not all finite")
        return rows


class DrivenStep(TangentMap):
    """A driven map at one step, an ordinary map."""

    def __init__(self, whole: DrivenMap, step: int) -> None:
        self.whole = whole
        self.step = step
        self.state_shape = whole.state_shape
        self.ops = whole.ops
        self.joint = whole.joint.at(step)

    def apply(self, x: Array) -> Array:
        return self.joint.apply(self._with_inputs(x))[:, : self.whole.n]

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        # The inputs are what they are: tangents do not move them.
        still = self.ops.from_numpy(np.zeros((x.shape[0], self.whole.m, v.shape[2])))
        joined = self.ops.concatenate([v, still], 1)
        y, tangents = self.joint.jvp(self._with_inputs(x), joined)
        return y[:, : self.whole.n], tangents[:, : self.whole.n]

    def _with_inputs(self, x: Array) -> Array:
        rows = self.ops.from_numpy(self.whole.input_rows(self.step, x.shape[0]))
        return self.ops.concatenate([x, rows], 1)


def driven(joint: Map, inputs: Any, *, first_trajectory: int = 0) -> DrivenMap:
    """A map driven from outside: x_{n+1} = F(x_n, u_n).

    Its exponents are conditional ones: those of the response x, with the inputs held to what they
    were. All negative, they say that the response forgets where it started and follows the drive
    (generalized synchronization).

    Parameters
    ----------
    joint : Map
        A map of the n + m values (x, u), one after the other. Of its image the first n count. Where
        its state is a tuple or dict of arrays, the last ones are the inputs: (h, c, u).
    inputs : (T, m), (T, b, m), trajectory or callable
        u at each step: an array for all trajectories or for each; the result of
        `lyapmap.trajectory`, whose one orbit drives all or each orbit one row; or a function of
        (step, b) that gives (m,) or (b, m), such as `random_inputs`. Steps of the transient count.
    first_trajectory : int
        Number of the first row, for a run that is split over trajectories.

    Returns
    -------
    DrivenMap
        With n dimensions and `at(step)`.

    Raises
    ------
    LyapmapError, ShapeError
        If the inputs are no numbers of such a shape, or leave no response; later, if a run asks
        for more steps or trajectories than they hold.

    References
    ----------
    L. M. Pecora and T. L. Carroll, Phys. Rev. Lett. 64 (1990) 821.

    Examples
    --------
    A logistic map that is pulled towards another one by c = 0.6 follows it: its exponent is
    that of the drive plus ln(1 - c), which is negative.

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def joint(z):
    ...     x, u = z[:, :1], z[:, 1:]
    ...     return np.concatenate([0.4 * 4 * x * (1 - x) + 0.6 * 4 * u * (1 - u), u], axis=1)
    >>> drive = lm.trajectory(lm.systems.logistic(), [0.3], n_steps=3000)
    >>> response = lm.driven(lm.wrap(joint, state_shape=2), drive)
    >>> s = lm.lyapunov_spectrum(response, [0.7], n_steps=2800, transient=200, seed=0)
    >>> bool(abs(s.exponents[0] - np.log(2 * 0.4)) < 0.05)
    True
    """
    tangent_map = as_tangent_map(joint)
    function, m = _as_inputs(inputs)
    if not 0 < m < dimension(tangent_map.state_shape):
        raise ShapeError(
            f"inputs: expected fewer values per step than the {dimension(tangent_map.state_shape)} of the joint map, "
            f"which takes (x, u), got {m}"
        )
    return DrivenMap(tangent_map, function, m, whole("first_trajectory", first_trajectory, 0))


def _as_inputs(inputs: Any) -> tuple[Inputs, int]:
    """A function of (step, b), and the number of values m that it gives."""
    if isinstance(inputs, RandomInputs):
        return inputs, inputs.m
    if callable(inputs):
        first = np.asarray(inputs(0, 1))
        if first.dtype.kind not in "fiub" or first.ndim not in (1, 2):
            raise ShapeError(
                f"inputs: expected the function to give (m,) or (b, m) numbers, got {first.dtype} {first.shape}"
            )
        return inputs, int(first.shape[-1])
    states = getattr(inputs, "states", None)
    values = np.asarray(inputs if states is None else np.swapaxes(states, 0, 1))
    if values.dtype.kind not in "fiub":
        raise LyapmapError(f"inputs: expected numbers or a function of (step, b), got {type(inputs).__name__}")
    if values.ndim == 2:
        values = values[:, None, :]
    if values.ndim != 3 or 0 in values.shape:
        raise ShapeError(f"inputs: expected (T, m) or (T, b, m), got {values.shape}")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2)))
    if bad.size:
        raise LyapmapError(f"inputs: those of step {bad[0]} are not all finite")
    return RecordedInputs(values.astype(np.float64)), values.shape[2]


def _described(inputs: Inputs, m: int) -> dict[str, Any]:
    """What results record of the inputs."""
    if isinstance(inputs, RandomInputs):
        return {name: getattr(inputs, name) for name in ("kind", "scale", "center", "shared", "seed", "m")}
    if isinstance(inputs, RecordedInputs):
        return {"kind": "recorded", "n_steps": len(inputs.values), "m": m}
    return {"kind": getattr(inputs, "__name__", type(inputs).__name__), "m": m}
