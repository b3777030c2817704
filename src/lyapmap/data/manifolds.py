"""Points on manifolds of known dimension, by formula: what estimators of dimension are tried on.

The set that M. Hein and J.-Y. Audibert (2005) began and P. Campadelli et al. (2015) completed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import DataError

Points = NDArray[np.float64]
TURN = 2 * np.pi


@dataclass(frozen=True)
class Manifold:
    """A manifold to draw points from.

    Attributes
    ----------
    name : str
    dimension, ambient : int
        Of the manifold, and of the space about it.
    formula : str
    draw : function
        Takes a generator and a number of points, returns (n, ambient).
    """

    name: str
    dimension: int
    ambient: int
    formula: str
    draw: Callable[[np.random.Generator, int], Points]


def manifolds() -> dict[str, Manifold]:
    """All benchmark manifolds by name.

    Examples
    --------
    >>> manifolds()["swiss-roll"].dimension
    2
    """
    return dict(_BY_NAME)


def sample_manifold(name: str, n: int, *, seed: int = 0) -> Points:
    """Points of a benchmark manifold.

    Parameters
    ----------
    name : str
        One of `manifolds()`.
    n : int
    seed : int

    Returns
    -------
    (n, ambient) float64

    Raises
    ------
    DataError
        If the name is unknown, or n is less than 1.

    References
    ----------
    M. Hein, J.-Y. Audibert, ICML 22 (2005) 289.
    P. Campadelli, E. Casiraghi, C. Ceruti, A. Rozza, Math. Probl. Eng. 2015, 759567, Table 1.

    Examples
    --------
    >>> sample_manifold("sphere", 5).shape
    (5, 11)
    """
    if name not in _BY_NAME:
        raise DataError(f"name: expected one of {', '.join(_BY_NAME)}, got {name!r}")
    if n < 1:
        raise DataError(f"n: expected at least 1 point, got {n}")
    return _BY_NAME[name].draw(np.random.default_rng(seed), n)


def _sphere(rng: np.random.Generator, n: int) -> Points:
    x = rng.standard_normal((n, 11))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _affine(rng: np.random.Generator, n: int) -> Points:
    basis = np.array([[1.2, 0.0, 0.5, 1.0, 0.0], [-0.5, 3.0, 1.0, 0.0, 0.5], [0.0, 1.0, 2.5, -1.0, 1.0]])
    return 4 * rng.random((n, 3)) @ basis + np.array([3.0, -1.0, 0.0, 0.0, 2.0])


def _concentrated(rng: np.random.Generator, n: int) -> Points:
    a, b, c, d = rng.random((4, n))
    return np.stack(
        [
            b**2 * np.cos(TURN * a),
            b**2 * np.sin(TURN * a),
            b + c + (b - d) ** 2,
            b - 2 * c + (a - d) ** 2,
            -b - 2 * c + (c - d) ** 2,
            a**2 - b**2 + c**2 - d**2,
        ],
        axis=1,
    )


def _wound(dimension: int, copies: int) -> Callable[[np.random.Generator, int], Points]:
    """Each parameter is the radius of a circle that the one before it runs around; all of it repeated."""

    def draw(rng: np.random.Generator, n: int) -> Points:
        u = rng.random((n, dimension))
        radius = np.roll(u, -1, axis=1)
        return np.tile(np.concatenate([radius * np.cos(TURN * u), radius * np.sin(TURN * u)], axis=1), copies)

    return draw


def _helix(rng: np.random.Generator, n: int) -> Points:
    t = TURN * rng.random(n)
    radius = 2 + np.cos(8 * t)
    return np.stack([radius * np.cos(t), radius * np.sin(t), np.sin(8 * t)], axis=1)


def _helicoid(rng: np.random.Generator, n: int) -> Points:
    radius, t = 10 * rng.random(n), 5 * TURN * rng.random(n)
    return np.stack([radius * np.cos(t), radius * np.sin(t), 0.5 * t], axis=1)


def _swiss_roll(rng: np.random.Generator, n: int) -> Points:
    t, height = 1.5 * np.pi * (1 + 2 * rng.random(n)), 21 * rng.random(n)
    return np.stack([t * np.cos(t), height, t * np.sin(t)], axis=1)


def _cube(rng: np.random.Generator, n: int) -> Points:
    return rng.random((n, 20))


def _faces(dimension: int) -> Callable[[np.random.Generator, int], Points]:
    """The surface of a cube with one dimension more."""

    def draw(rng: np.random.Generator, n: int) -> Points:
        x = rng.random((n, dimension + 1))
        x[np.arange(n), rng.integers(0, dimension + 1, n)] = rng.integers(0, 2, n)
        return x

    return draw


def _moebius(rng: np.random.Generator, n: int) -> Points:
    t, width = TURN * rng.random(n), rng.uniform(-1, 1, n)
    radius = 1 + 0.5 * width * np.cos(5 * t)  # ten half turns
    return np.stack([radius * np.cos(t), radius * np.sin(t), 0.5 * width * np.sin(5 * t)], axis=1)


def _gaussian(rng: np.random.Generator, n: int) -> Points:
    return rng.standard_normal((n, 20))


def _s_curve(rng: np.random.Generator, n: int) -> Points:
    t, height = 1.5 * np.pi * rng.uniform(-1, 1, n), 2 * rng.random(n)
    return np.stack([np.sin(t), height, np.sign(t) * (np.cos(t) - 1)], axis=1)


def _spiral(rng: np.random.Generator, n: int) -> Points:
    """A curve through 13 dimensions: each pair of coordinates turns at its own rate."""
    t = TURN * rng.random((n, 1))
    rates = np.arange(1, 7)
    return np.concatenate([t * np.cos(rates * t) / rates, t * np.sin(rates * t) / rates, t], axis=1)


def _paraboloid(dimension: int) -> Callable[[np.random.Generator, int], Points]:
    """A paraboloid over ratios of exponential variables, with the sines and squares of its coordinates."""

    def draw(rng: np.random.Generator, n: int) -> Points:
        u = rng.exponential(size=(n, dimension)) / (1 + rng.exponential(size=(n, 1)))
        x = np.concatenate([u, (u**2).sum(axis=1, keepdims=True)], axis=1)
        return np.concatenate([x, np.sin(x), x**2], axis=1)

    return draw


_ALL = (
    Manifold("sphere", 10, 11, "unit sphere", _sphere),
    Manifold("affine", 3, 5, "a box on an affine subspace", _affine),
    Manifold("concentrated", 4, 6, "polynomials and one circle, close to three dimensions", _concentrated),
    Manifold("wound-4", 4, 8, "u_(i+1) (cos, sin) 2 pi u_i", _wound(4, 1)),
    Manifold("helix", 1, 3, "8 turns about a circle", _helix),
    Manifold("helicoid", 2, 3, "(r cos t, r sin t, t / 2)", _helicoid),
    Manifold("wound-6", 6, 36, "wound-4's formula for 6 parameters, three times", _wound(6, 3)),
    Manifold("swiss-roll", 2, 3, "(t cos t, h, t sin t)", _swiss_roll),
    Manifold("wound-12", 12, 72, "wound-4's formula for 12 parameters, three times", _wound(12, 3)),
    Manifold("cube", 20, 20, "unit cube", _cube),
    Manifold("faces-10", 10, 11, "surface of a cube", _faces(10)),
    Manifold("faces-17", 17, 18, "surface of a cube", _faces(17)),
    Manifold("faces-24", 24, 25, "surface of a cube", _faces(24)),
    Manifold("faces-70", 70, 71, "surface of a cube", _faces(70)),
    Manifold("moebius", 2, 3, "a band with ten half turns", _moebius),
    Manifold("gaussian", 20, 20, "isotropic normal", _gaussian),
    Manifold("s-curve", 2, 3, "(sin t, h, sign(t) (cos t - 1))", _s_curve),
    Manifold("spiral", 1, 13, "t cos(j t) / j, t sin(j t) / j, t", _spiral),
    Manifold("paraboloid-3", 3, 12, "u, |u|^2, with their sines and squares", _paraboloid(3)),
)
_BY_NAME = {manifold.name: manifold for manifold in _ALL}
