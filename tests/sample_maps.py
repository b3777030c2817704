"""Small maps for the tests, written in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import lyapmap as lm

HENON_SUM = np.log(0.3)


class Henon:
    """A `Map` as a user writes it: state_shape, apply, jacobian and nothing else."""

    state_shape = (2,)

    def apply(self, x: np.ndarray) -> np.ndarray:
        return henon(x)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        out = np.zeros((len(x), 2, 2))
        out[:, 0, 0], out[:, 0, 1], out[:, 1, 0] = -2.8 * x[:, 0], 1, 0.3
        return out


class Linear:
    """x' = M x, as a `Map`."""

    def __init__(self, matrix: Any) -> None:
        self.matrix = np.asarray(matrix, float)
        self.state_shape = (len(self.matrix),)

    def apply(self, x: np.ndarray) -> np.ndarray:
        return x @ self.matrix.T

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.matrix, (len(x), *self.matrix.shape)).copy()


def henon(x: np.ndarray) -> np.ndarray:
    return np.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], axis=1)


def interval_map(function: Callable[[Any], Any], slope: Callable[[Any], Any] | None = None) -> Any:
    """A map of the real line."""
    if slope is None:
        return lm.wrap(function, state_shape=1, backend="numpy")
    return lm.wrap(function, state_shape=1, backend="numpy", jacobian=lambda x: slope(x)[:, :, None])


def logistic(r: float) -> Any:
    return interval_map(lambda x: r * x * (1 - x), lambda x: r * (1 - 2 * x))


def tent() -> Any:
    return interval_map(lambda x: np.where(x < 0.5, 2 * x, 2 * (1 - x)), lambda x: np.where(x < 0.5, 2.0, -2.0))


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def orthogonal(n: int, seed: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def torus_map(matrix: Any) -> Any:
    """x' = M x mod 1, whose exponents are ln of the moduli of M's eigenvalues."""
    m = np.asarray(matrix, float)
    return lm.wrap(
        lambda x: (x @ m.T) % 1,
        state_shape=len(m),
        backend="numpy",
        jacobian=lambda x: np.broadcast_to(m, (len(x), *m.shape)).copy(),
    )
