"""Maps made of maps: composed, iterated, in turn, noisy, seen at returns, driven by inputs.

One file: each is short, and hands on to the maps within what it does not change, which is easier to see side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import interval, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, PrecisionError, ShapeError
from lyapmap.core.map import Map, StepMap, TangentMap, WrappedMap, dimension
from lyapmap.core.ops import Array, quiet


class ComposedMap(TangentMap):
    """Several maps, one after the other: x -> f_m(... f_2(f_1(x)))."""

    def __init__(self, parts: tuple[TangentMap, ...]) -> None:
        first = parts[0]
        for part in parts[1:]:
            if dimension(part.state_shape) != dimension(first.state_shape):
                raise ShapeError(f"maps: cannot join states of shape {first.state_shape} and {part.state_shape}")
            if (part.ops.dtype, part.ops.device) != (first.ops.dtype, first.ops.device):
                raise PrecisionError(
                    f"maps: cannot join {first.ops.dtype} on {first.ops.device} "
                    f"and {part.ops.dtype} on {part.ops.device}"
                )
        self.parts = parts
        self.state_shape = tuple(first.state_shape)
        self.ops = first.ops
        self.structure = first.structure
        self.is_flow = first.is_flow
        if any(part.is_flow != first.is_flow for part in parts):
            raise LyapmapError("maps: cannot join a flow, whose steps take time, and a map, whose steps are counted")
        self.orthonormalizes_within = all(part.orthonormalizes_within for part in parts)
        if self.is_flow:
            self.time_per_step = sum(part.time_per_step for part in parts)
        self.log_abs_det_is_independent = all(part.log_abs_det_is_independent for part in parts)

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return ", ".join(dict.fromkeys(part.derivative for part in self.parts))

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.parts[0].provenance | {"composed_of": len(self.parts)}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return sum(part.log_abs_det_tolerance for part in self.parts)

    def apply(self, x: Array) -> Array:
        for part in self.parts:
            x = part.apply(x)
        return x

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        for part in self.parts:
            x, v = part.jvp(x, v)
        return x, v

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        total = np.zeros(x.shape[0])
        with quiet():
            for _ in range(n_steps):
                for part in self.parts:
                    # Of each part by its own way, which may know nothing of tangents.
                    total += part.log_abs_det(x, 1)
                    x = part.apply(x)
        return total

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
        """Parts that orthonormalize the frame as often as they need it do so here as well."""
        if not (self.orthonormalizes_within and self.carries(frame_dtype)):
            return super().propagate(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
        total = np.zeros((frame.shape[0], frame.shape[2]))
        for _ in range(n_steps):
            for part in self.parts:
                x, frame, growth = part.propagate(x, frame, 1)
                total += growth
        return x, frame, total


def compose(*maps: Map) -> TangentMap:
    """The maps applied in the order given.

    Parameters
    ----------
    *maps : Map
        At least one; none may depend on the step.

    Returns
    -------
    TangentMap

    Examples
    --------
    >>> import numpy as np
    >>> class Double:
    ...     state_shape = (1,)
    ...     def apply(self, x): return 2 * x
    ...     def jacobian(self, x): return np.full((len(x), 1, 1), 2.0)
    >>> compose(Double(), Double()).apply(np.array([[1.0]]))
    array([[4.]])
    """
    if not maps:
        raise LyapmapError("maps: expected at least one map")
    parts = tuple(as_tangent_map(m) for m in maps)
    if any(part.depends_on_step for part in parts):
        raise LyapmapError("maps: a map that depends on the step cannot be composed")
    return ComposedMap(parts)


def iterate(inner: Map, n: int) -> TangentMap:
    """The map applied n times: one step of the result is n steps of `inner`.

    Exponents of the result are n times those of `inner`. For a generator that goes round c
    categories, `iterate(generator, c)` is its return map to one category.
    """
    return compose(*[inner] * whole("n", n, 1))


return_map = iterate
"""Another name for `iterate`: what generators that go round their categories have."""


class NoisyMap(StepMap, WrappedMap):
    """A map with additive noise, x -> clamp(f(x) + noise(step)), frozen by counters.

    The noise of trajectory t at step s is a function of (seed, s, t) alone: a run is the same
    however it is split or resumed, and all tangent directions feel the same noise.
    """

    def __init__(
        self,
        inner: TangentMap,
        scale: float,
        kind: str,
        seed: int,
        first_trajectory: int,
        clamp: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(inner)
        self.scale = scale
        self.kind = kind
        self.seed = seed
        self.first_trajectory = first_trajectory
        self.clamp = clamp

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        described: dict[str, Any] = {"noise": self.kind, "noise_scale": self.scale, "noise_seed": self.seed}
        if self.clamp is not None:
            described["noise_clamp"] = list(self.clamp)
        return super().provenance | described

    @property
    def log_abs_det_is_independent(self) -> bool:  # type: ignore[override]
        return self.clamp is None and self.inner.log_abs_det_is_independent

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self.inner.log_abs_det_tolerance

    def at(self, step: int) -> NoisyStep:
        """The map of one step."""
        return NoisyStep(self, step)

    def noise(self, step: int, b: int) -> NDArray[np.float64]:
        """Noise of b trajectories at one step, (b, n)."""
        if self.scale == 0:
            return np.zeros((b, dimension(self.state_shape)))
        bits = np.random.Philox(key=np.array([self.seed, 0], np.uint64), counter=[0, 0, 0, step])
        rng = np.random.Generator(bits)
        # Draws fill rows in order, so those of a trajectory do not depend on how many follow it.
        shape = (self.first_trajectory + b, dimension(self.state_shape))
        draws = rng.standard_normal(shape) if self.kind == "normal" else rng.uniform(-1, 1, shape)
        return self.scale * draws[self.first_trajectory :]


class NoisyStep(WrappedMap):
    """A noisy map at one step, an ordinary map."""

    def __init__(self, whole: NoisyMap, step: int) -> None:
        super().__init__(whole.inner)
        self.whole = whole
        self.step = step

    def apply(self, x: Array) -> Array:
        return self._clamped(self.inner.apply(x) + self._noise(x))

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        y, tangents = self.inner.jvp(x, v)
        y = y + self._noise(x)
        return self._clamped(y), self._stopped(tangents, y)

    def jacobian(self, x: Array) -> Array:
        if self.whole.clamp is None:
            return self.inner.jacobian(x)
        return self._stopped(self.inner.jacobian(x), self.inner.apply(x) + self._noise(x))

    def log_abs_det(self, x: Array, n_steps: int, *, first_step: int = 0) -> NDArray[np.float64]:
        if n_steps == 1 and self.whole.clamp is None:  # what is added changes no volume
            return self.inner.log_abs_det(x, 1)
        return super().log_abs_det(x, n_steps)

    def _clamped(self, y: Array) -> Array:
        return y if self.whole.clamp is None else self.ops.clip(y, *self.whole.clamp)

    def _stopped(self, tangents: Array, y: Array) -> Array:
        """Tangents (b, n, k) without the components in which the state y (b, n) is held at a bound."""
        if self.whole.clamp is None:
            return tangents
        low, high = self.whole.clamp
        return self.ops.zeroed(tangents, ((y < low) | (y > high))[:, :, None])

    def _noise(self, x: Array) -> Array:
        return self.ops.from_numpy(self.whole.noise(self.step, x.shape[0]))


def noisy(
    inner: Map,
    *,
    scale: float,
    kind: str = "normal",
    seed: int = 0,
    first_trajectory: int = 0,
    clamp: tuple[float, float] | None = None,
) -> NoisyMap:
    """A map with additive noise after every step.

    Parameters
    ----------
    inner : Map
    scale : float
        Standard deviation of normal noise; half width of uniform noise.
    kind : "normal" or "uniform"
    seed : int
        Not negative.
    first_trajectory : int
        Number of the first row, for a run that is split over trajectories.
    clamp : (float, float), optional
        Smallest and largest value of a state: after the noise, components outside are moved to
        these bounds, where their tangents are zero.

    Returns
    -------
    NoisyMap

    Examples
    --------
    >>> import numpy as np
    >>> class Double:
    ...     state_shape = (1,)
    ...     def apply(self, x): return 2 * x
    ...     def jacobian(self, x): return np.full((len(x), 1, 1), 2.0)
    >>> held = noisy(Double(), scale=0.01, clamp=(-1, 1))
    >>> held.apply(np.array([[3.0]])), held.jacobian(np.array([[3.0]]))
    (array([[1.]]), array([[[0.]]]))
    """
    if not 0 <= scale < np.inf:
        raise LyapmapError(f"scale: expected a finite number >= 0, got {scale}")
    if kind not in ("normal", "uniform"):
        raise LyapmapError(f"kind: expected 'normal' or 'uniform', got {kind!r}")
    seed, first_trajectory = whole("seed", seed, 0), whole("first_trajectory", first_trajectory, 0)
    if seed >= 2**64:
        raise LyapmapError(f"seed: expected an integer below 2**64, got {seed}")
    bounds = None if clamp is None else interval("clamp", clamp)
    tangent_map = as_tangent_map(inner)
    if tangent_map.depends_on_step:
        raise LyapmapError("inner: a map that already depends on the step cannot be made noisy")
    return NoisyMap(tangent_map, scale, kind, seed, first_trajectory, bounds)


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


class MapsInTurn(StepMap):
    """A map that depends on the step, with period p; `in_turn` makes it.

    Attributes
    ----------
    parts : tuple of TangentMap
        Those of steps 0 to p - 1.
    """

    def __init__(self, parts: tuple[TangentMap, ...]) -> None:
        whole = ComposedMap(parts)  # refuses what does not fit together
        self.parts = parts
        self.state_shape, self.ops, self.structure = whole.state_shape, whole.ops, whole.structure
        self.is_flow, self.time_per_step = whole.is_flow, whole.time_per_step
        if self.is_flow:
            self.time_per_step /= len(parts)
        self.log_abs_det_is_independent = whole.log_abs_det_is_independent
        self._all = whole

    @property
    def derivative(self) -> str:  # type: ignore[override]
        return self._all.derivative

    @property
    def provenance(self) -> dict[str, Any]:  # type: ignore[override]
        return self.parts[0].provenance | {"in_turn": len(self.parts)}

    @property
    def log_abs_det_tolerance(self) -> float:  # type: ignore[override]
        return self._all.log_abs_det_tolerance / len(self.parts)

    @property
    def period(self) -> int:
        """p, after which the maps come again."""
        return len(self.parts)

    def at(self, step: int) -> TangentMap:
        """The map of one step."""
        return self.parts[step % len(self.parts)]

    def whole_turn(self, first: int = 0) -> TangentMap:
        """All maps once, from the one of step `first` on: an ordinary map, whose exponents are p times as large."""
        return compose(*(self.at(first + i) for i in range(self.period)))


def in_turn(*maps: Map) -> MapsInTurn:
    """Maps of the same space that take turns: the first acts at step 0, and again after all others.

    Parameters
    ----------
    *maps : Map
        None may depend on the step itself.

    Returns
    -------
    MapsInTurn
        With `at(step)`, and `whole_turn()`, which has fixed points.

    Raises
    ------
    LyapmapError
        If there is none, or they do not fit together.

    Examples
    --------
    >>> import lyapmap as lm
    >>> turns = lm.in_turn(lm.systems.linear_map([0.1]), lm.systems.linear_map([-0.3]))
    >>> lm.lyapunov_spectrum(turns, [1.0], n_steps=200, seed=0).exponents.round(3).tolist()
    [-0.1]
    """
    if not maps:
        raise LyapmapError("maps: expected at least one map")
    parts = compose(*maps)
    assert isinstance(parts, ComposedMap)
    return MapsInTurn(parts.parts)
