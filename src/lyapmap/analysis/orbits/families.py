"""Families of maps that depend on a parameter: made by a function, or given as one map of states and parameter."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap, WrappedMap, dimension, resembles_map
from lyapmap.core.ops import Array

Values = NDArray[np.float64]

KEPT_MAPS = 16
"""Maps of a family that are kept: the same values are asked for again while a point is improved."""


class Family(abc.ABC):
    """Maps of n values that depend on a parameter.

    Attributes
    ----------
    derivative : str
        How that by the parameter is computed.
    """

    derivative: str

    @abc.abstractmethod
    def at(self, value: float) -> TangentMap:
        """The map of a value."""

    @abc.abstractmethod
    def slope(self, x: Values, value: float) -> Values:
        """Derivatives (b, n) of images of states (b, n) by the parameter."""


class Made(Family):
    """What a user's function makes."""

    derivative = "central differences"

    def __init__(self, factory: Callable[..., Map], parameter: str, ends: tuple[float, float]) -> None:
        self.factory, self.parameter, self.ends = factory, parameter, ends
        self._by_name = _takes(factory, parameter)
        self._known: dict[float, TangentMap] = {}

    def at(self, value: float) -> TangentMap:
        value = float(value)
        if value not in self._known:
            try:
                made = self.factory(**{self.parameter: value}) if self._by_name else self.factory(value)
            except LyapmapError as error:
                raise LyapmapError(f"factory: failed at {self.parameter} = {value:g}: {error}") from error
            while len(self._known) >= KEPT_MAPS:
                self._known.pop(next(iter(self._known)))
            self._known[value] = as_tangent_map(made)
        return self._known[value]

    def slope(self, x: Values, value: float) -> Values:
        # The derivative steers Newton's method along the branch; what it converges to does not depend on it.
        ops = self.at(value).ops
        h = max(1.0, abs(value)) * float(np.finfo(ops.dtype).eps) ** (1 / 3)
        # Not beyond the range, where there may be no map.
        above, below = min(value + h, self.ends[1]), max(value - h, self.ends[0])
        slope: Values = (_images(self.at(above), x) - _images(self.at(below), x)) / (above - below)
        return slope


class Joint(Family):
    """A map of the n + 1 values (x, a)."""

    derivative = "that of the map"

    def __init__(self, joint: TangentMap) -> None:
        self.joint = joint
        if dimension(joint.state_shape) < 2:
            raise LyapmapError("factory: expected a map of (x, a), which has 2 values at least, got one of 1")

    def at(self, value: float) -> TangentMap:
        return HeldParameter(self.joint, float(value))

    def slope(self, x: Values, value: float) -> Values:
        along = np.zeros((len(x), x.shape[1] + 1, 1))
        along[:, -1] = 1.0
        ops = self.joint.ops
        z = ops.from_numpy(np.column_stack([x, np.full(len(x), value)]))
        return np.asarray(ops.to_numpy(self.joint.jvp(z, ops.from_numpy(along))[1]), np.float64)[:, :-1, 0]


class HeldParameter(WrappedMap):
    """A map of (x, a) as one of x, with a held."""

    def __init__(self, joint: TangentMap, value: float) -> None:
        super().__init__(joint)
        self.value, self.n = value, dimension(joint.state_shape) - 1
        self.state_shape = (self.n,)

    @property
    def structure(self) -> Any:  # type: ignore[override]
        within = self.inner.structure
        return None if within is None else within.without_last(1)

    def apply(self, x: Array) -> Array:
        return self.inner.apply(self._joined(x))[:, : self.n]

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        still = self.ops.from_numpy(np.zeros((int(x.shape[0]), 1, int(v.shape[2]))))
        y, u = self.inner.jvp(self._joined(x), self.ops.concatenate([v, still], 1))
        return y[:, : self.n], u[:, : self.n]

    def jacobian(self, x: Array) -> Array:
        return self.inner.jacobian(self._joined(x))[:, : self.n, : self.n]

    def _joined(self, x: Array) -> Array:
        held = self.ops.from_numpy(np.full((int(x.shape[0]), 1), self.value))
        return self.ops.concatenate([x, held], 1)


def family_of(factory: Any, parameter: str, ends: tuple[float, float]) -> Family:
    if resembles_map(factory):
        return Joint(as_tangent_map(factory))
    if not callable(factory):
        raise LyapmapError(f"factory: expected a function that makes a map, or a map of (x, a), got {factory!r}")
    return Made(factory, parameter, ends)


def _takes(factory: Any, parameter: str) -> bool:
    try:
        known = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return False
    if parameter in known or any(p.kind is p.VAR_KEYWORD for p in known.values()):
        return True
    open_places = [
        p for p in known.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if not open_places or sum(p.default is p.empty and p.kind is not p.VAR_POSITIONAL for p in open_places) > 1:
        there = ", ".join(known) or "none"
        raise LyapmapError(f"parameter: the factory has no parameter {parameter!r}; there are {there}")
    if all(p.default is not p.empty for p in open_places):
        raise LyapmapError(f"parameter: the factory has no parameter {parameter!r}; there are {', '.join(known)}")
    return False


def _images(of: TangentMap, x: Values) -> Values:
    with np.errstate(all="ignore"):
        return np.asarray(of.ops.to_numpy(of.apply(of.ops.from_numpy(x))), np.float64)
