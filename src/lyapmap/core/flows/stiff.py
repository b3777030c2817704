"""Stiff vector fields: an implicit method for the states, matrix exponentials for the tangents.

Where rates differ by orders of magnitude, explicit steps follow the fastest of them although the
orbit is slow. States go by the Rosenbrock method RODAS (order 4, L-stable), which takes the field's
own derivative. Tangents obey a linear equation, dv/dt = A(t) v with A = Df along the step's
continuous solution, and go by Magnus's exponentials of order 4: exact for any rate where A stays
what it is, and held against exponentials over halves of the way where it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.flows import schemes as flow
from lyapmap.core.flows.schemes import Course, DormandPrince, replaced, spoilt
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array
from lyapmap.core.propagate import quiet

STIFF_UP_TO = 64
"""Dimension up to which a time tau begins with a look at the Jacobian; up to eight times it the method is tried."""
RATE = 6.0
"""Norm of the Jacobian times tau from which the field may be stiff."""
TRIAL, LEAST = 40.0, 8.0
"""Length of the first step on trial, and the least that is worth while, in units of one over that norm."""
AGAIN, LONGER = 64, 8.0
"""Explicit steps after which the stiff method is tried (again), and how much longer its step must be."""
GAP = 20.0
"""Log of the ratio of growth factors that one exponential may have, for rounding to leave both alone."""
BETWEEN = 10.0
"""Error of the continuous solution between the ends of a step, in units of the tolerance of its end."""
SHARE = 10.0
"""Relative error of growth in one step, in units of rtol."""
PIECES = 4096
"""Most exponentials in one step of the states."""
STATE_TOLERANCE = 100.0
"""Default tolerance in units of that of the explicit method: a method of order 4 pays more for digits."""

Block = NDArray[np.float64]

TAYLOR = 14
"""Order of the series, for matrices of a norm up to 1/2: what follows is below rounding."""

GAMMA = 0.25
A = (
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.6878860361058950, 1.0),
)
C = (
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.70890893206160),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
DENSE = (
    (10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662, 0.0),
    (-0.6762803392806898, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872, 0.0),
)
"""Coefficients of RODAS; the last stage is the estimate of the error."""

GAUSS = (0.5 - np.sqrt(3) / 6, 0.5 + np.sqrt(3) / 6)
"""Where Magnus's method of order 4 looks at the matrix."""


@final
@dataclass(frozen=True)
class Rodas4:
    """RODAS for states, exponentials for tangents; with steps for each trajectory.

    The error of the states is kept below atol + rtol |x|, that of growth factors, orthogonal to the
    directions before, below 10 rtol (but 1e-4) of their size. Steps depend on the state alone.

    Attributes
    ----------
    rtol, atol : float

    References
    ----------
    E. Hairer and G. Wanner, "Solving Ordinary Differential Equations II", Section IV.7 and the code
    RODAS, for the coefficients.
    A. Iserles, H. Munthe-Kaas, S. P. Nørsett and A. Zanna, Acta Numerica 9, 215 (2000), for Magnus's
    method.
    """

    rtol: float
    atol: float

    @property
    def described(self) -> dict[str, Any]:
        return {"method": "rodas4", "rtol": self.rtol, "atol": self.atol}

    def over(self, part: float) -> Rodas4:
        return self

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        return self.tangent_rtol * n * max(steps, 1)

    @property
    def tangent_rtol(self) -> float:
        """Relative error of the growth along each direction in one step."""
        return max(self.rtol, min(SHARE * self.rtol, flow.TANGENT_MOST))

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> Course:
        course = Course(x, v)
        left = np.full(int(x.shape[0]), tau)
        with quiet():
            self.finish(field, tau, course, np.arange(len(left)), left, np.full(len(left), np.inf))
        if course.lost.any():
            course.x, course.v = spoilt(field.ops, (course.x, course.v), course.lost)
        return course

    def finish(
        self,
        field: TangentMap,
        tau: float,
        course: Course,
        rows: NDArray[np.int64],
        left: Block,
        h: Block,
        least: Block | None = None,
    ) -> NDArray[np.int64]:
        """Carry some rows of a course over the rest of tau, beginning with steps h (inf: by the field's rate).

        With `least` (inf: by the field's rate) the first step is one on trial: rows of which it
        shows that steps must be shorter are left to the explicit method. Those taken are returned.
        """
        ops = field.ops
        x = ops.to_numpy(course.x)[rows].astype(np.float64)
        v = None if course.v is None else ops.to_numpy(course.v)[rows].astype(np.float64)
        velocity, matrices = _on_host(field)
        rest, h = left[rows].copy(), h[rows].copy()
        fast = np.full(len(rows), np.inf)
        lost, released, refused = (np.zeros(len(rows), bool) for _ in range(3))
        for tried in range(flow.MOST_STEPS + 1):
            m = np.flatnonzero((rest > 0) & ~lost & ~released)
            if not m.size:
                break
            jacobian, slope = matrices(x[m]), velocity(x[m])
            rate = np.linalg.norm(jacobian, axis=(1, 2))
            if tried == 0:
                speed = np.linalg.norm(slope, axis=1)
                fast = flow.BLOWN_UP * np.maximum(speed, 1.0)
                lost = ~(np.isfinite(x).all(axis=1) & np.isfinite(speed))
                h = np.where(np.isinf(h), TRIAL / np.maximum(rate, 1e-300), h)
                if least is not None:
                    released = lost | ~(rate * rest > RATE)
                    lost[:] = False
                if lost.any() or released.any():
                    m = np.flatnonzero(~lost & ~released)
                    jacobian, slope, rate = jacobian[m], slope[m], rate[m]
                    if not m.size:
                        break
            stuck = m[(h[m] < flow.SMALLEST_STEP * tau) | (tried == flow.MOST_STEPS)]
            if stuck.size:
                if (np.linalg.norm(velocity(x[stuck]), axis=1) < fast[stuck]).any():
                    raise flow.too_stiff("rodas4", tau)
                lost[stuck] = True
                continue
            course.steps[rows[m]] += 1
            last = h[m] >= rest[m] * (1 - 1e-10)
            step = np.where(last, rest[m], h[m])
            error, end, stages = self.step(velocity, jacobian, slope, x[m], step)
            good = error <= 1
            with np.errstate(divide="ignore"):
                factor = flow.SAFETY * np.nan_to_num(error, nan=np.inf) ** -0.25
            limit = np.where(refused[m], 1.0, flow.GROW)
            h[m] = step * np.clip(factor, flow.SHRINK, np.where(good, limit, 1.0))
            refused[m] = ~good
            if tried == 0 and least is not None:
                worth = np.minimum(least[rows[m]], LEAST / np.maximum(rate, 1e-300))
                released[m] = ~good & (step * factor < worth)
            done = m[good]
            if v is not None and done.size:
                pieces = np.ceil(step * rate / (GAP / 2))[good]
                way = _Way(x[done], end[good], [stage[good] for stage in stages])
                v[done] = self._tangents(matrices, way, step[good], pieces, v[done], course, rows[done], tau)
            x[done] = end[good]
            rest[m] = np.where(good, np.where(last, 0.0, rest[m] - step), rest[m])
        course.lost[rows[lost]] = True
        kept = np.flatnonzero(~released)
        if kept.size:
            course.x = replaced(ops, course.x, ops.from_numpy(x[kept]), rows[kept])
            if v is not None:
                course.v = replaced(ops, course.v, ops.from_numpy(v[kept]), rows[kept])
        return rows[kept]

    def step(
        self, velocity: Callable[[Block], Block], jacobian: Block, slope: Block, x: Block, h: Block
    ) -> tuple[Block, Block, list[Block]]:
        """One step of the states (m, n): its error in units of the tolerance, its end, its stages."""
        n = x.shape[1]
        system = np.eye(n) / (GAMMA * h[:, None, None]) - jacobian
        inverse = _inverse(system)
        stages: list[Block] = [(inverse @ slope[:, :, None])[:, :, 0]]
        for a, c in zip(A, C, strict=True):
            end = x + sum(weight * stage for weight, stage in zip(a, stages, strict=True))
            right = velocity(end) + sum(weight * s for weight, s in zip(c, stages, strict=True)) / h[:, None]
            stages.append((inverse @ right[:, :, None])[:, :, 0])
        end = end + stages[-1]
        scale = self.atol + self.rtol * np.maximum(np.abs(x), np.abs(end))
        error: Block = np.sqrt(np.mean((stages[-1] / scale) ** 2, axis=1))
        # A step may leap over a fast transient, of which tangents need every moment: the middle of
        # the continuous solution is held against that from the velocities at both ends.
        half = np.array([0.5])
        middle = (x + end) / 2 + h[:, None] / 8 * (slope - velocity(end))
        off = (inverse @ (_Way(x, end, stages).at(half)[:, 0] - middle)[:, :, None])[:, :, 0] / (GAMMA * h[:, None])
        between = np.sqrt(np.mean((off / scale) ** 2, axis=1)) / BETWEEN
        return np.fmax(error, between) + 0.0 * error, end, stages

    def _tangents(
        self,
        matrices: Callable[[Block], Block],
        way: _Way,
        h: Block,
        pieces: Block,
        v: Block,
        course: Course,
        rows: NDArray[np.int64],
        tau: float,
    ) -> Block:
        """Tangents (m, n, k) after steps h of the states; what they grew by goes to the course."""
        out = np.empty_like(v)
        wanted = np.maximum(pieces, 1).astype(np.int64)
        open_ = np.arange(len(h))
        while open_.size:
            again: list[int] = []
            # Rows that need as many exponentials go together.
            for count in np.unique(wanted[open_]):
                m = open_[wanted[open_] == count]
                ends, r, logs, good = self._exponentials(matrices, way.of(m), h[m], int(count), v[m])
                out[m[good]] = ends[good]
                if good.any():
                    course.turn(rows[m[good]], r[good], logs[good])
                again += list(m[~good])
            open_ = np.array(again, np.int64)
            wanted[open_] *= 2
            if open_.size and wanted[open_].max() > PIECES:
                raise flow.too_stiff("rodas4", tau)
        return out

    def _exponentials(
        self, matrices: Callable[[Block], Block], way: _Way, h: Block, count: int, v: Block
    ) -> tuple[Block, Block, Block, NDArray[np.bool_]]:
        """Frames after `count` equal pieces, their factor (m, k, k), log|diag| of it, and whether it is good enough."""
        m, n, k = v.shape
        whole = np.arange(count)[:, None] + np.array(GAUSS)
        halves = np.arange(2 * count)[:, None] / 2 + np.array(GAUSS) / 2
        at = np.concatenate([whole.ravel(), halves.ravel()]) / count
        derivatives = matrices(way.at(at).reshape(-1, n)).reshape(m, 3 * count, 2, n, n)
        first, second = derivatives[:, :, 0], derivatives[:, :, 1]
        length = np.concatenate([np.full(count, 1.0), np.full(2 * count, 0.5)]) / count
        length = length[None, :, None, None] * h[:, None, None, None]
        turn = np.sqrt(3) / 12 * length**2 * (second @ first - first @ second)
        exponents = length / 2 * (first + second) + turn
        good = np.isfinite(exponents).all(axis=(1, 2, 3))
        propagators = exponentials(np.where(good[:, None, None, None], exponents, 0.0))
        factor, logs = np.broadcast_to(np.eye(k), (m, k, k)).copy(), np.zeros((m, k))
        for piece in range(count):
            rough = propagators[:, piece] @ v
            fine = propagators[:, count + 2 * piece + 1] @ (propagators[:, count + 2 * piece] @ v)
            v, r = np.linalg.qr(fine)
            size = np.abs(np.diagonal(r, axis1=1, axis2=2))
            off = fine - rough
            # What lies along the directions before changes no rate.
            off = off - v @ np.triu(np.swapaxes(v, 1, 2) @ off, 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                worst = (np.linalg.norm(off, axis=1) / size).max(axis=1, initial=0.0)
                gap = np.log(size.max(axis=1, initial=0.0) / size.min(axis=1, initial=np.inf))
                logs += np.log(size)
            good &= (worst <= self.tangent_rtol) & (gap <= GAP)
            factor = r @ factor
        return v, factor, logs, good


@final
@dataclass(frozen=True)
class Automatic:
    """The explicit method, and the stiff one where it goes further at a time.

    Whether it does is tried: at the start of tau where the field's rates are large, and whenever
    64 more explicit steps have not been enough. That depends on the trajectory's own state alone.

    Attributes
    ----------
    explicit : DormandPrince
    stiff : Rodas4
    """

    explicit: DormandPrince
    stiff: Rodas4

    @property
    def described(self) -> dict[str, Any]:
        return {"method": "auto", "rtol": self.explicit.rtol, "atol": self.explicit.atol}

    def over(self, part: float) -> Automatic:
        return self

    def tolerance(self, n: int, steps: int, rate: float) -> float:
        return max(self.explicit.tolerance(n, steps, rate), self.stiff.tolerance(n, steps, rate))

    def carry(self, field: TangentMap, tau: float, x: Array, v: Array) -> Course:
        n = dimension(field.state_shape)

        def relieve(course: Course, left: Block, h: Block, tried: int) -> None:
            if tried % AGAIN or (tried == 0 and n > STIFF_UP_TO) or n > 8 * STIFF_UP_TO:
                return
            rows = np.flatnonzero((left > 0) & ~course.lost)
            if tried:
                rows = rows[left[rows] > 2 * LONGER * h[rows]]
            if rows.size:
                begin = LONGER * h if tried else np.full(len(h), np.inf)
                taken = self.stiff.finish(field, tau, course, rows, left, begin, begin)
                course.stiff[taken] = True
                left[taken] = 0.0

        return self.explicit.carry(field, tau, x, v, relieve)


@final
@dataclass(frozen=True)
class _Way:
    """The continuous solution of steps of RODAS, for parts s of them."""

    begin: Block
    end: Block
    stages: list[Block]

    def of(self, rows: NDArray[np.int64]) -> _Way:
        return _Way(self.begin[rows], self.end[rows], [stage[rows] for stage in self.stages])

    def at(self, s: Block) -> Block:
        """States (m, len(s), n)."""
        first, second = (np.tensordot(row, np.array(self.stages), 1)[:, None] for row in DENSE)
        s = s[None, :, None]
        between: Block = (1 - s) * self.begin[:, None] + s * (self.end[:, None] + (1 - s) * (first + s * second))
        return between


def _on_host(field: TangentMap) -> tuple[Callable[[Block], Block], Callable[[Block], Block]]:
    """Velocities and Jacobians of a field of any backend, as NumPy float64."""
    ops = field.ops

    def velocity(x: Block) -> Block:
        return np.asarray(ops.to_numpy(field.apply(ops.from_numpy(x))), np.float64)

    def matrices(x: Block) -> Block:
        return np.asarray(ops.to_numpy(field.jacobian(ops.from_numpy(x))), np.float64)

    return velocity, matrices


def exponentials(matrices: Block) -> Block:
    """Exponentials of matrices (..., n, n): a Taylor series of a part that is small, squared again and again.

    Examples
    --------
    >>> exponentials(np.array([[[0.0, np.pi], [-np.pi, 0.0]]])).round(12) + 0.0
    array([[[-1.,  0.],
            [ 0., -1.]]])
    """
    shape, n = matrices.shape, matrices.shape[-1]
    rows = matrices.reshape(-1, n, n)
    size = np.abs(rows).sum(axis=2).max(axis=1, initial=0.0)
    halvings = np.maximum(np.ceil(np.log2(np.maximum(2 * size, 1.0))), 0).astype(int)
    part = rows * 0.5 ** halvings[:, None, None]
    unit = np.eye(n)
    out: Block = np.broadcast_to(unit, rows.shape).copy()
    for order in range(TAYLOR, 0, -1):
        out = unit + part @ out / order
    for halving in range(int(halvings.max(initial=0))):
        more = halvings > halving
        out[more] = out[more] @ out[more]
    return out.reshape(shape)


def _inverse(matrices: Block) -> Block:
    """Inverses; NaN where there is none."""
    try:
        return np.asarray(np.linalg.inv(matrices), np.float64)
    except np.linalg.LinAlgError:
        out = np.full_like(matrices, np.nan)
        for i, matrix in enumerate(matrices):
            if np.linalg.matrix_rank(matrix) == len(matrix):
                out[i] = np.linalg.inv(matrix)
        return out
