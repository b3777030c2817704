"""Newton's method for cycles: all p points of a cycle at once, many guesses side by side.

Shooting from every point (multiple shooting) keeps the equations well conditioned for long cycles
of a chaotic map, where those of f^p(x) = x are as ill as its derivative is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.attractor import ROUNDINGS
from lyapmap.core.arguments import box
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, as_states, dimension
from lyapmap.core.propagate import quiet

DENSE = 512
"""Unknowns p n up to which the linear equations are written out: 2 MB a matrix, and faster than GMRES."""
HALVINGS = 12
"""Times that a step is halved, to 1/4096; a guess that needs shorter steps is given up."""
STALLED = 1e-4
"""A step must shrink the residual by at least this share of its length (L. Armijo 1966)."""
KRYLOV_TOLERANCE = 1e-3
"""Relative residual of the linear equations at which GMRES stops: Newton's method still gains three digits a step."""
KRYLOV_VECTORS = 60
"""Vectors that GMRES keeps before it begins again."""
NEIGHBORS = 8
"""Coordinates along which one looks beside a cycle, and as many random diagonals: a jump across any of them is
seen."""
ROWS = 4_000_000
"""Entries of matrices that are held at once: 32 MB."""

_Values = NDArray[np.float64]


class OrbitSearch:
    """Improves guesses of cycles of period p, each p states of n values.

    The states are kept in float64; the map computes in its own precision.
    """

    def __init__(self, tangent_map: TangentMap, period: int) -> None:
        self.map = tangent_map
        self.ops = tangent_map.ops
        self.n = dimension(tangent_map.state_shape)
        self.p = period
        self.dense = self.n * period <= DENSE

    def images(self, x: _Values) -> _Values:
        """Images of states (..., n)."""
        with quiet():
            y = self.map.apply(self.ops.from_numpy(x.reshape(-1, self.n)))
        return np.asarray(self.ops.to_numpy(y), np.float64).reshape(x.shape)

    def defects(self, x: _Values) -> _Values:
        """f(x_i) - x_{i+1} of guesses (m, p, n), cyclic."""
        with np.errstate(invalid="ignore", over="ignore"):
            return self.images(x) - np.roll(x, -1, axis=1)

    def residuals(self, x: _Values, defects: _Values) -> _Values:
        """Largest defect of each guess relative to its size, (m,); infinite where not finite."""
        sizes = np.abs(defects).max(axis=(1, 2)) / np.maximum(np.abs(x).max(axis=(1, 2)), 1.0)
        return np.where(np.isfinite(sizes), sizes, np.inf)

    def jacobians(self, x: _Values) -> _Values:
        """Derivatives (..., n, n) at states (..., n)."""
        with quiet():
            matrices = self.map.jacobian(self.ops.from_numpy(x.reshape(-1, self.n)))
        return np.asarray(self.ops.to_numpy(matrices), np.float64).reshape(*x.shape, self.n)

    def along(self, x: _Values, v: _Values) -> _Values:
        """Derivative at one state x (n,) times v (n,) or (n, k)."""
        columns = v.reshape(1, self.n, -1)
        with quiet():
            tangents = self.map.jvp(self.ops.from_numpy(x[None]), self.ops.from_numpy(columns))[1]
        return np.asarray(self.ops.to_numpy(tangents), np.float64).reshape(v.shape)

    def newton(self, x: _Values, *, tolerance: float, max_iterations: int) -> tuple[_Values, _Values]:
        """Improved guesses (m, p, n) and their residuals (m,), infinite for those that failed.

        Steps are halved until they shrink the residual; a guess that no step improves is given up.
        After the tolerance is met, steps go on as long as they halve the residual at least.
        """
        x = x.copy()
        defects = self.defects(x)
        residuals = self.residuals(x, defects)
        alive = np.isfinite(residuals)
        for _ in range(max_iterations):
            rows = np.flatnonzero(alive)
            if rows.size == 0:
                break
            steps = self._newton_steps(x[rows], defects[rows])
            x_new, defects_new, residuals_new, improved = self._line_search(x[rows], steps, residuals[rows])
            done = residuals[rows] <= tolerance
            # Below the tolerance rounding decides: only full steps that clearly help are taken.
            take = improved & (~done | (residuals_new <= 0.5 * residuals[rows]))
            x[rows[take]], defects[rows[take]] = x_new[take], defects_new[take]
            residuals[rows[take]] = residuals_new[take]
            alive[rows[~take]] = False
            alive[residuals == 0] = False
        return self._confirmed(x, defects, residuals, tolerance)

    def _confirmed(self, x: _Values, defects: _Values, residuals: _Values, tolerance: float) -> tuple[_Values, _Values]:
        """Guesses at which a full step stays on the cycle; the residuals of others are infinite.

        Beside a jump of the map (x mod 1) halved steps creep towards an image that is never reached.
        """
        rows = np.flatnonzero(residuals <= tolerance)
        residuals = np.where(residuals <= tolerance, residuals, np.inf)
        if rows.size:
            trial = x[rows] + self._newton_steps(x[rows], defects[rows])
            after = self.residuals(trial, self.defects(trial))
            better = after < residuals[rows]
            x[rows[better]] = trial[better]
            residuals[rows] = np.where(after <= tolerance, np.minimum(after, residuals[rows]), np.inf)
        return x, residuals

    def images_around(self, x: _Values, distance: float) -> _Values:
        """Images (s, p, n) of states beside each point of a cycle (p, n), to all sides."""
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (2 * NEIGHBORS, self.n))
        for i in range(min(self.n, NEIGHBORS)):
            # Some leave the point along one coordinate only.
            signs[2 * i : 2 * i + 2] = 0.0
            signs[2 * i : 2 * i + 2, i] = 1.0, -1.0
        signs = np.concatenate([signs, np.ones((1, self.n)), -np.ones((1, self.n))])
        return self.images(x + distance * np.maximum(np.abs(x).max(), 1.0) * signs[:, None, :])

    def _line_search(
        self, x: _Values, steps: _Values, residuals: _Values
    ) -> tuple[_Values, _Values, _Values, NDArray[np.bool_]]:
        best, best_defects, best_residuals = x.copy(), np.zeros_like(x), residuals.copy()
        improved = np.zeros(len(x), bool)
        waiting: NDArray[np.bool_] = np.asarray(np.isfinite(steps).all(axis=(1, 2)))
        length = 1.0
        for _ in range(HALVINGS):
            rows = np.flatnonzero(waiting)
            if rows.size == 0:
                break
            trial = x[rows] + length * steps[rows]
            defects = self.defects(trial)
            sizes = self.residuals(trial, defects)
            good = sizes <= (1 - STALLED * length) * residuals[rows]
            stepped = rows[good]
            best[stepped], best_defects[stepped], best_residuals[stepped] = trial[good], defects[good], sizes[good]
            improved[stepped] = True
            waiting[stepped] = False
            length /= 2
        return best, best_defects, best_residuals, improved

    def _newton_steps(self, x: _Values, defects: _Values) -> _Values:
        if not self.dense:
            return np.stack([self._krylov_step(*pair) for pair in zip(x, defects, strict=True)])
        size = self.n * self.p
        chunk = max(1, ROWS // size**2)
        parts = [self._dense_steps(x[i : i + chunk], defects[i : i + chunk]) for i in range(0, len(x), chunk)]
        return np.concatenate(parts)

    def _dense_steps(self, x: _Values, defects: _Values) -> _Values:
        matrices = self.cyclic(self.jacobians(x))
        size = self.n * self.p
        for i in range(self.p):
            # Added, since with p = 1 the derivative stands in the same block.
            rows, columns = slice(i * self.n, (i + 1) * self.n), ((i + 1) % self.p) * self.n
            matrices[:, rows, columns : columns + self.n] -= np.eye(self.n)
        right = -defects.reshape(-1, size, 1)
        broken = ~np.isfinite(matrices).all(axis=(1, 2))
        matrices[broken] = np.eye(size)
        try:
            steps = np.linalg.solve(matrices, right)
        except np.linalg.LinAlgError:  # one singular matrix spoils the batch
            steps = np.stack([np.linalg.lstsq(a, r, rcond=None)[0] for a, r in zip(matrices, right, strict=True)])
        steps[broken] = np.nan
        return np.asarray(steps.reshape(x.shape))

    def cyclic(self, jacobians: _Values) -> _Values:
        """Block-diagonal matrices (m, p n, p n) of the derivatives (m, p, n, n)."""
        m = len(jacobians)
        out = np.zeros((m, self.p * self.n, self.p * self.n))
        for i in range(self.p):
            block = slice(i * self.n, (i + 1) * self.n)
            out[:, block, block] = jacobians[:, i]
        return out

    def _krylov_step(self, x: _Values, defects: _Values) -> _Values:
        """Newton step of one guess without matrices.

        All steps follow from that of the first point: d_{i+1} = J_i d_i + defect_i; the cycle closes
        where (J_p ... J_1 - 1) d_0 = -(what the defects alone add up to).
        """
        from scipy.sparse.linalg import LinearOperator, gmres

        def around(v: _Values, defects: _Values | None) -> list[_Values]:
            path = [v]
            for i in range(self.p):
                moved = self.along(x[i], path[-1])
                path.append(moved if defects is None else moved + defects[i])
            return path

        added = around(np.zeros(self.n), defects)[-1]
        if not np.isfinite(added).all():
            return np.full_like(x, np.nan)
        operator = LinearOperator((self.n, self.n), matvec=lambda v: around(v.ravel(), None)[-1] - v.ravel())
        first, _ = gmres(operator, -added, rtol=KRYLOV_TOLERANCE, restart=KRYLOV_VECTORS, maxiter=1)
        return np.stack(around(first, defects)[: self.p])


LONGER = 5
"""States looked at for each guess that is taken from them."""
SHOWN = 4000
"""States kept for the picture."""
STARTS = 16
"""Initial states taken of the map's own where none are given."""


@dataclass(frozen=True)
class Guesses:
    """Guesses of cycles.

    Attributes
    ----------
    segments : (m, p, n)
        Pieces of orbits.
    visited : (s, n)
        Some of the states that they were chosen from, for a picture.
    origin : str
        Where they come from, in words.
    """

    segments: _Values
    visited: _Values
    origin: str


def make_guesses(search: OrbitSearch, x0: Any, region: Any, n_guesses: int, rng: np.random.Generator) -> Guesses:
    """Guesses from the orbits of x0, from a box, or half of each."""
    starts, origin = _starts(search, x0, region, rng)
    parts: list[_Values] = []
    visited = np.zeros((0, search.n))
    if starts is not None:
        wanted = n_guesses if region is None else -(-n_guesses // 2)
        orbits = _orbits(search, starts, wanted)
        parts.append(_along(orbits, search.p, len(starts), wanted, rng))
        flat = orbits.reshape(-1, search.n)
        flat = flat[np.isfinite(flat).all(axis=1)]
        visited = flat[:: max(1, -(-len(flat) // SHOWN))]
    if region is not None:
        low, high = box("region", region, search.n)
        left = n_guesses - sum(len(part) for part in parts)
        parts.append(_segments(search, rng.uniform(low, high, (max(left, 1), search.n))))
    segments = np.concatenate(parts)
    return Guesses(segments[np.isfinite(segments).all(axis=(1, 2))], visited, origin)


def _starts(search: OrbitSearch, x0: Any, region: Any, rng: np.random.Generator) -> tuple[_Values | None, str]:
    if x0 is not None:
        rows, _ = as_states(x0, search.map)
        return np.asarray(search.ops.to_numpy(rows), np.float64), "x0"
    if region is not None:
        return None, "region"
    own = search.map.initial_states(STARTS, rng)
    if own is None:
        raise LyapmapError("x0: expected states to start from, or a region to draw guesses from, got neither")
    return np.asarray(own, np.float64), "the map's own region"


def _segments(search: OrbitSearch, x: _Values) -> _Values:
    """States (m, n) with the p - 1 that follow each, (m, p, n)."""
    points = [x]
    for _ in range(search.p - 1):
        points.append(search.images(points[-1]))
    return np.stack(points, axis=1)


def _orbits(search: OrbitSearch, starts: _Values, wanted: int) -> _Values:
    """Orbits (b, t, n) long enough to choose from."""
    steps = search.p + -(-LONGER * wanted // len(starts))
    points = [starts]
    for _ in range(steps):
        points.append(search.images(points[-1]))
    return np.stack(points, axis=1)


def _along(orbits: _Values, p: int, b: int, wanted: int, rng: np.random.Generator) -> _Values:
    """Pieces of orbits: those that begin at the starts, the closest returns, and as many at random."""
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.linalg.norm(orbits[:, p:] - orbits[:, :-p], axis=2)
    usable = np.isfinite(distance) & np.isfinite(orbits[:, :-p]).all(axis=2)
    rows, times = np.nonzero(usable)
    by_closeness = np.argsort(distance[rows, times], kind="stable")
    at_start = np.flatnonzero(times == 0)[:wanted]
    closest = by_closeness[: max(0, (wanted - len(at_start)) // 2)]
    rest = np.setdiff1d(np.arange(len(rows)), np.concatenate([at_start, closest]))
    more = rng.permutation(rest)[: max(0, wanted - len(at_start) - len(closest))]
    picked = np.concatenate([at_start, closest, more]).astype(np.int64)
    index = times[picked, None] + np.arange(p)
    return np.asarray(orbits[rows[picked, None], index])


ALL_UP_TO = 64
"""Dimension up to which all multipliers are computed."""
LEADING = 8
"""Multipliers of larger maps, doubled until one lies inside the unit circle."""
MOST = 128
"""Multipliers of a large map at most: beyond, Arnoldi's vectors cost more than the cycle."""
REAL = 1e-9
"""Imaginary part, relative to p times the modulus, below which a multiplier is real: rounding of p products."""

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
        multipliers = _leading(search, orbit, rng)
        with np.errstate(divide="ignore"):
            return largest_first(multipliers, np.log(np.abs(multipliers)), p)
    multipliers, logs = multipliers_of(search.jacobians(orbit))
    eps = float(np.finfo(search.ops.dtype).eps)
    small = logs < 0.5 * np.log(eps)
    if small.any():
        size = ROUNDINGS * eps * np.maximum(np.linalg.norm(orbit, axis=1, keepdims=True), 1.0)
        moved = -np.sort(-multipliers_of(search.jacobians(orbit + size))[1])
        rank = np.argsort(np.argsort(-logs, kind="stable"))
        with np.errstate(invalid="ignore"):
            noise = small & ~(np.abs(moved[rank] - logs) < np.log(2))
        multipliers, logs = np.where(noise, 0.0, multipliers), np.where(noise, -np.inf, logs)
    return largest_first(multipliers, logs, p)


def largest_first(multipliers: _Complex, logs: NDArray[np.float64], p: int) -> tuple[_Complex, NDArray[np.float64]]:
    real = np.abs(multipliers.imag) <= REAL * p * np.abs(multipliers)
    multipliers = np.where(real, multipliers.real + 0j, multipliers)
    order = np.lexsort((-multipliers.imag, -multipliers.real, -np.abs(multipliers), -logs))
    return np.asarray(multipliers[order]), logs[order]


def multipliers_of(jacobians: NDArray[np.float64]) -> tuple[_Complex, NDArray[np.float64]]:
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
        eigenvalues = np.linalg.eigvals(product).astype(np.complex128)
        return np.asarray(eigenvalues * np.exp(log_scale)), np.log(np.abs(eigenvalues)) + log_scale


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
            eigenvalues = eigs(operator, k=k, which="LM", v0=start, tol=100 * eps, return_eigenvectors=False)
        except ArpackNoConvergence as unfinished:
            eigenvalues = unfinished.eigenvalues
        eigenvalues = np.asarray(eigenvalues, np.complex128)
        if k >= min(MOST, n - 2) or (eigenvalues.size and np.abs(eigenvalues).min() < 1):
            return eigenvalues
        k = min(2 * k, n - 2)
