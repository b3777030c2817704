"""Maps made of maps: composed, iterated, in turn, noisy.

One file: each is short, and hands on to the maps within what it does not change, which is easier to see side by side.
"""

from __future__ import annotations

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
    def n_tangents(self) -> int:
        return min(part.n_tangents for part in self.parts)

    def tangent_frame(self, x: Array, frame: Array) -> Array:
        return self.parts[0].tangent_frame(x, frame)

    def on_surface(self, x: Array) -> Array:
        return self.parts[0].on_surface(x)

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
