"""Newton's method for cycles: all p points of a cycle at once, many guesses side by side.

Shooting from every point (multiple shooting) keeps the equations well conditioned for long cycles
of a chaotic map, where those of f^p(x) = x are as ill as its derivative is large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.propagate import quiet

DENSE = 512
"""Unknowns p n up to which the linear equations are written out."""
HALVINGS = 12
STALLED = 1e-4
"""A step must shrink the residual by at least this share of its length."""
KRYLOV_TOLERANCE = 1e-3
KRYLOV_VECTORS = 60
NEIGHBORS = 8
"""Coordinates along which one looks beside a cycle, and as many random diagonals."""
ROWS = 4_000_000
"""Entries of matrices that are held at once."""

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
            found = self._line_search(x[rows], steps, residuals[rows])
            x_new, defects_new, residuals_new, improved = found
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
        open_: NDArray[np.bool_] = np.asarray(np.isfinite(steps).all(axis=(1, 2)))
        length = 1.0
        for _ in range(HALVINGS):
            rows = np.flatnonzero(open_)
            if rows.size == 0:
                break
            trial = x[rows] + length * steps[rows]
            defects = self.defects(trial)
            sizes = self.residuals(trial, defects)
            good = sizes <= (1 - STALLED * length) * residuals[rows]
            chosen = rows[good]
            best[chosen], best_defects[chosen], best_residuals[chosen] = trial[good], defects[good], sizes[good]
            improved[chosen] = True
            open_[chosen] = False
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
