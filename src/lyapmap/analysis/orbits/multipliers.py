"""Multipliers of cycles: the eigenvalues of the derivative of one round."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.ended_orbit import ROUNDINGS
from lyapmap.analysis.orbits.search import DENSE, OrbitSearch

ALL_UP_TO = 64
"""Dimension up to which all multipliers are computed."""
LEADING = 8
"""Multipliers of larger maps, doubled until one lies inside the unit circle."""
MOST = 128
REAL = 1e-9
"""Imaginary part, relative to p times the modulus, below which a multiplier is real."""

_Complex = NDArray[np.complex128]


def cycle_multipliers(
    search: OrbitSearch, orbit: NDArray[np.float64], rng: np.random.Generator
) -> tuple[_Complex, NDArray[np.float64]]:
    """Multipliers of one cycle (p, n), largest modulus first, and ln of their moduli; of large maps the leading ones.

    The logarithms stay right where multipliers leave the range of floating point. Multipliers that are smaller than
    what rounding of the states makes of them are 0: a superstable cycle is met to a rounding only.
    """
    n, p = search.n, len(orbit)
    if n > ALL_UP_TO:
        found = _leading(search, orbit, rng)
        with np.errstate(divide="ignore"):
            return _sorted(found, np.log(np.abs(found)), p)
    found, logs = _all(search.jacobians(orbit))
    eps = float(np.finfo(search.ops.dtype).eps)
    small = logs < 0.5 * np.log(eps)
    if small.any():
        size = ROUNDINGS * eps * np.maximum(np.linalg.norm(orbit, axis=1, keepdims=True), 1.0)
        moved = -np.sort(-_all(search.jacobians(orbit + size))[1])
        rank = np.argsort(np.argsort(-logs, kind="stable"))
        with np.errstate(invalid="ignore"):
            noise = small & ~(np.abs(moved[rank] - logs) < np.log(2))
        found, logs = np.where(noise, 0.0, found), np.where(noise, -np.inf, logs)
    return _sorted(found, logs, p)


def _sorted(found: _Complex, logs: NDArray[np.float64], p: int) -> tuple[_Complex, NDArray[np.float64]]:
    found = np.where(np.abs(found.imag) <= REAL * p * np.abs(found), found.real + 0j, found)
    order = np.lexsort((-found.imag, -found.real, -np.abs(found), -logs))
    return np.asarray(found[order]), logs[order]


def _all(jacobians: NDArray[np.float64]) -> tuple[_Complex, NDArray[np.float64]]:
    """All multipliers of a cycle with these derivatives (p, n, n), and the logarithms of their moduli."""
    p, n, _ = jacobians.shape
    with np.errstate(divide="ignore", under="ignore"):
        if p > 1 and n * p <= DENSE:
            roots = _roots(jacobians)
            if roots is not None:
                return np.asarray(roots**p), p * np.log(np.abs(roots))
        product, log_scale = np.eye(n), 0.0
        for matrix in jacobians:
            product = matrix @ product
            size = float(np.abs(product).max()) or 1.0
            product, log_scale = product / size, log_scale + float(np.log(size))
        found = np.linalg.eigvals(product).astype(np.complex128)
        return np.asarray(found * np.exp(log_scale)), np.log(np.abs(found)) + log_scale


def _roots(jacobians: NDArray[np.float64]) -> _Complex | None:
    """p-th roots of the multipliers, one of each: the eigenvalues of the block-cyclic matrix of the derivatives.

    A product of p derivatives loses the small multipliers beside the large ones; the roots lie
    close together. Each multiplier has p roots, of which one lies in any sector of 360 / p degrees:
    the border of the sector is laid where no root is near.
    """
    p, n, _ = jacobians.shape
    cyclic = np.zeros((p * n, p * n))
    for i in range(p):
        to = (i + 1) % p
        cyclic[to * n : (to + 1) * n, i * n : (i + 1) * n] = jacobians[i]
    roots = np.linalg.eigvals(cyclic).astype(np.complex128)
    turn = 2 * np.pi
    angles = np.sort((p * np.angle(roots)) % turn)
    gaps = np.diff(np.append(angles, angles[0] + turn))
    widest = int(gaps.argmax())
    border = (angles[widest] + gaps[widest] / 2) / p
    inside = (np.angle(roots) - border) % turn < turn / p
    # Roots of multipliers that are zero have no direction; the product tells zeros well enough.
    return np.asarray(roots[inside]) if inside.sum() == n else None


def _leading(search: OrbitSearch, orbit: NDArray[np.float64], rng: np.random.Generator) -> _Complex:
    """The largest multipliers by Arnoldi iteration, enough of them that one lies inside the unit circle."""
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

    def around(v: Any) -> Any:
        v = np.asarray(v, np.float64).ravel()
        for x in orbit:
            v = search.along(x, v)
        return v

    n = search.n
    operator = LinearOperator((n, n), matvec=around, dtype=np.float64)
    eps = float(np.finfo(search.ops.dtype).eps)
    start = rng.standard_normal(n)
    k = LEADING
    while True:
        try:
            found = eigs(operator, k=k, which="LM", v0=start, tol=100 * eps, return_eigenvectors=False)
        except ArpackNoConvergence as unfinished:
            found = unfinished.eigenvalues
        found = np.asarray(found, np.complex128)
        if k >= min(MOST, n - 2) or (found.size and np.abs(found).min() < 1):
            return found
        k = min(2 * k, n - 2)
