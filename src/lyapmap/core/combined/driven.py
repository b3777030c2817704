"""Maps driven from outside: inputs that are known for every step, or drawn at every step, and the response to them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.conformance import as_tangent_map, vouched
from lyapmap.core.differences import Differences
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import Map, StepMap, TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.structure import as_numpy

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
    repeat : bool
        Whether the first follows upon the last.
    """

    values: NDArray[np.float64]
    repeat: bool = False

    def __call__(self, step: int, b: int) -> NDArray[np.float64]:
        n_steps, rows, _ = self.values.shape
        if self.repeat:
            step %= n_steps
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
    shape: tuple[int, ...] = ()
    stream: int = 1
    """Which of several inputs of the same seed it is; stream 0 is the noise of a noisy map."""

    def __call__(self, step: int, b: int) -> NDArray[np.float64]:
        key = np.array([self.seed, self.stream], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, step]))
        shape = (self.m,) if self.shared else (b, self.m)
        if self.kind == "normal":
            draws = rng.standard_normal(shape)
        else:
            draws = rng.uniform(-1, 1, shape)
            if self.kind == "binary":
                draws = np.where(draws < 0, -1.0, 1.0)
        return self.center + self.scale * draws


def random_inputs(
    m: int | tuple[int, ...],
    *,
    kind: str = "normal",
    scale: float = 1.0,
    center: float = 0.0,
    shared: bool = False,
    seed: int = 0,
) -> RandomInputs:
    """Inputs drawn anew at each step, for `wrap` (`inputs=`) and `driven`, independent from step to step.

    Parameters
    ----------
    m : int or tuple of int
        Values at each step, or their shape.
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
    shape = tuple(whole("m", size, 1) for size in (m if np.iterable(m) else (m,)))
    return RandomInputs(math.prod(shape), kind, float(scale), float(center), bool(shared), seed, shape)


@dataclass(frozen=True)
class StepInputs:
    """One value of an input for each step; `each_step` makes them.

    Attributes
    ----------
    source : callable
        As `driven` takes them, with values laid out in rows.
    shape : tuple of int
        Of the value that one state is given at one step.
    whole_numbers : bool
        Whether the values are whole numbers, as of a class or a time step.
    """

    source: Inputs
    shape: tuple[int, ...]
    whole_numbers: bool = False


def each_step(values: Any, *, per_trajectory: bool = False, repeat: bool = False) -> StepInputs:
    """An input of `wrap` that has another value at each step: `inputs={"u": lm.each_step(series)}`.

    For values drawn anew at each step see `random_inputs`.

    Parameters
    ----------
    values : (T, *shape), (T, b, *shape), trajectory or callable
        The value at each step, from that of step 0 on; steps of the transient count. It comes to the function with a
        batch axis in front: (b, *shape), so (b,) where there is one number for each step. The result of
        `lyapmap.trajectory` gives its states, of one orbit to all trajectories or of each to one. A function takes the
        step and gives (*shape), or, with `per_trajectory`, the step and b, and gives (b, *shape).
    per_trajectory : bool
        Whether each trajectory has values of its own, along the second axis.
    repeat : bool
        Whether the first value follows upon the last; else a run that is longer than the values is an error.

    Returns
    -------
    StepInputs

    Raises
    ------
    LyapmapError
        If the values are no finite numbers, or none.

    Examples
    --------
    >>> import lyapmap as lm
    >>> def pulled(x, u):
    ...     return 0.5 * x + u
    >>> m = lm.wrap(pulled, state_shape=1, inputs=lm.each_step(np.sin(np.arange(300.0))[:, None]))
    >>> s = lm.lyapunov_spectrum(m, [0.0], n_steps=200, transient=100, seed=0)
    >>> s.exponents.round(6).tolist()
    [-0.693147]
    """
    if callable(values):
        if repeat:
            raise LyapmapError("repeat: a function of the step gives what it likes at every step; take an array")
        first = _numbers(values(0, 1) if per_trajectory else values(0))
        shape = first.shape[1:] if per_trajectory else first.shape
        m = math.prod(shape)

        def source(step: int, b: int) -> NDArray[np.float64]:
            given = _numbers(values(step, b) if per_trajectory else values(step))
            wanted = (b, *shape) if per_trajectory else shape
            if given.shape != wanted:
                raise ShapeError(f"inputs: expected {wanted} at step {step}, got {given.shape}")
            return given.astype(np.float64).reshape((b, m) if per_trajectory else m)

        source.__name__ = getattr(values, "__name__", type(values).__name__)
        return StepInputs(source, shape, first.dtype.kind in "iub")
    states = getattr(values, "states", None)
    if states is not None:
        return StepInputs(RecordedInputs(np.swapaxes(states, 0, 1).astype(np.float64), repeat), states.shape[2:])
    array = _numbers(values)
    axes = 2 if per_trajectory else 1
    if array.ndim < axes or 0 in array.shape:
        wanted = "(T, b, *shape)" if per_trajectory else "(T, *shape)"
        raise ShapeError(f"values: expected {wanted}, one for each step, got {array.shape}")
    shape = array.shape[axes:]
    rows = array.astype(np.float64).reshape(len(array), array.shape[1] if per_trajectory else 1, math.prod(shape))
    return StepInputs(RecordedInputs(rows, repeat), shape, array.dtype.kind in "iub")


def _numbers(values: Any) -> NDArray[Any]:
    array = as_numpy(values)
    if array.dtype.kind not in "fiub":
        raise LyapmapError(f"values: expected numbers, one for each step, got {array.dtype}")
    if not np.isfinite(array).all():
        raise LyapmapError("values: expected finite numbers")
    return array


def step_inputs(value: Any) -> StepInputs | None:
    """An input that changes from step to step; None for one that is held."""
    if isinstance(value, RandomInputs):
        return StepInputs(value, value.shape)
    return value if isinstance(value, StepInputs) else None


class JoinedInputs:
    """Several inputs, side by side; random ones of the same seed are independent of each other."""

    def __init__(self, parts: list[StepInputs]) -> None:
        self.sources = [
            replace(part.source, stream=1 + i) if isinstance(part.source, RandomInputs) else part.source
            for i, part in enumerate(parts)
        ]
        self.sizes = [math.prod(part.shape) for part in parts]

    def __call__(self, step: int, b: int) -> NDArray[np.float64]:
        rows = [np.asarray(source(step, b), np.float64) for source in self.sources]
        return np.concatenate([np.broadcast_to(r, (b, m)) for r, m in zip(rows, self.sizes, strict=True)], axis=1)


class DrivenMap(StepMap):
    """The response x_{n+1} = F(x_n, u_n) to given inputs; `driven` makes it."""

    def __init__(self, joint: TangentMap, inputs: Inputs, m: int, first_trajectory: int) -> None:
        self.joint = joint
        self.inputs = inputs
        self._provenance: dict[str, Any] = {}
        self.m = m
        self.first_trajectory = first_trajectory
        self.n = dimension(joint.state_shape) - m
        self.state_shape: tuple[int, ...] = (self.n,)
        self.ops = joint.ops
        self.is_flow, self.time_per_step = joint.is_flow, joint.time_per_step
        self.structure = None if joint.structure is None else joint.structure.without_last(m)

    def vouched(self, *, example: Any = None, differences: bool = False, verify: bool = True) -> DrivenMap:
        """Itself, once the map of step 0 has been looked at, with a derivative by differences where there is no other.

        The joint map itself is not: its inputs may be whole numbers, or draws that are nowhere else.
        """
        alike = copy.copy(self)  # with the same inputs for all rows, which have to be independent of each other
        alike.inputs = lambda step, b: np.asarray(self.inputs(step, 1)).reshape(self.m)
        first = alike.at(0)
        judged = vouched(first, example=example, differences=differences, verify=verify)
        if isinstance(judged, Differences):
            self.joint = Differences(self.joint, judged.reason)
        return self

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.joint.derivative

    @property
    def provenance(self) -> dict[str, Any]:
        return self.joint.provenance | {"driven_by": _described(self.inputs, self.m)} | self._provenance

    @provenance.setter
    def provenance(self, described: dict[str, Any]) -> None:
        self._provenance = described

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
        self.structure = whole.structure
        self.roundoff, self.steps_inside = self.joint.roundoff, self.joint.steps_inside

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self.joint.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.whole.provenance

    def other_derivative(self, reason: str) -> bool:
        return self.joint.other_derivative(reason)

    def in_float64(self) -> DrivenStep | None:
        joint = self.joint.in_float64()
        if joint is None:
            return None
        precise = copy.copy(self.whole)
        precise.joint, precise.ops = joint, joint.ops
        return DrivenStep(precise, self.step)

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
    changing = step_inputs(inputs)
    if changing is not None:
        return changing.source, math.prod(changing.shape)
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
    if isinstance(inputs, JoinedInputs):
        parts = zip(inputs.sources, inputs.sizes, strict=True)
        return {"kind": "joined", "m": m, "parts": [_described(*part) for part in parts]}
    return {"kind": getattr(inputs, "__name__", type(inputs).__name__), "m": m}
