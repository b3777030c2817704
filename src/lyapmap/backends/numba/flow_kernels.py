"""One step along a vector field, for Numba to compile: the map of a flow from the rule of its field.

Plain Python with the field's own functions in the place of `field` and `field_tangents`, as in
`row_kernels`; for fields of a few scalars, source of straight-line code as in `lane_kernels`.
Nothing here imports Numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.flows.schemes import (
    BLOWN_UP,
    ERRORS,
    GROW,
    MOST_STEPS,
    SAFETY,
    SHRINK,
    SMALLEST_STEP,
    STAGES,
    TANGENT_MOST,
    TANGENT_SHARE,
    TURN,
)

Pattern = Sequence[Sequence[bool]]

TABLEAU = np.array([[*row, *[0.0] * (6 - len(row))] for row in STAGES])
ERROR_WEIGHTS = np.array(ERRORS)


def field(p: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Fill y (n,) with the velocity at x (n,). The field's own stands here in compiled code."""
    raise NotImplementedError


def field_tangents(p: Any, x: NDArray[np.float64], v: NDArray[np.float64], u: NDArray[np.float64]) -> None:
    """Fill u (k, m) with the field's Jacobian at x times the rows of v (k, m), as `row_kernels.tangents`."""
    raise NotImplementedError


def rk4(
    p: Any,
    x: NDArray[np.float64],
    v: NDArray[np.float64],
    y: NDArray[np.float64],
    u: NDArray[np.float64],
    logs: NDArray[np.float64],
) -> None:
    """Carry x (n,) to y and the rows of v (k, m) to u by one classical Runge-Kutta step.

    States take the very operations of `lyapmap.core.flows.schemes.RungeKutta4`.
    """
    h, q = p[0], p[1:]
    n = x.shape[0]
    k, m = v.shape
    stage, slope, total = x.copy(), np.empty(n), np.zeros(n)
    moved, turned = v.copy(), np.zeros((k, m))
    for c in range(k):
        for i in range(m):
            u[c, i] = v[c, i]
    for number in range(4):
        weight = 1.0 if number == 0 or number == 3 else 2.0
        ahead = h / 2 if number < 2 else h
        field(q, stage, slope)
        if k > 0:
            field_tangents(q, stage, moved, turned)
        for i in range(n):
            total[i] += weight * slope[i]
            stage[i] = x[i] + ahead * slope[i]
        for c in range(k):
            for i in range(m):
                u[c, i] += h / 6 * weight * turned[c, i]
                moved[c, i] = v[c, i] + ahead * turned[c, i]
    for i in range(n):
        y[i] = x[i] + h / 6 * total[i]


def dopri5(
    p: Any,
    x: NDArray[np.float64],
    v: NDArray[np.float64],
    y: NDArray[np.float64],
    u: NDArray[np.float64],
    logs: NDArray[np.float64],
) -> None:
    """Carry x (n,) to y and the rows of v (k, m) to u over the time tau, as `flows.schemes.DormandPrince` does.

    With `logs` (k,) rather than (0,), u stays as it was orthonormalized within tau, and log|diag R| of that is
    added to them; without, u is what became of v.

    Both become NaN where the orbit leaves for infinity, and minus infinity where the tolerance
    takes more steps than there may be; such a state stays what it is.
    """
    tau, rtol, atol, q = p[0], p[1], p[2], p[3:]
    n = x.shape[0]
    k, m = v.shape
    slopes, turned = np.zeros((7, n)), np.zeros((7, k, m))
    ahead, moved = np.empty(n), np.empty((k, m))
    factor, bent, turns = np.zeros((k, k)), 0.0, 0
    tangent_rtol = max(rtol, min(TANGENT_SHARE * rtol, TANGENT_MOST))
    for i in range(n):
        y[i] = x[i]
    for c in range(k):
        factor[c, c] = 1.0
        for i in range(m):
            u[c, i] = v[c, i]
    field(q, y, slopes[0])
    if k > 0:
        field_tangents(q, y, u, turned[0])
    # Of tangents when they were last orthonormal: once aligned they show the slowest rate only.
    rate = frame_rate(u, turned[0])
    h = first_step(q, y, slopes, ahead, tau, rtol, atol)
    fast = BLOWN_UP * max(1.0, length(slopes[0]))
    gone = x[0] == -np.inf
    left, refused, lost, steps = tau, False, not np.isfinite(h) or gone, 0
    while left > 0 and not lost:
        last = h >= left * (1 - 1e-10)
        if last:
            h = left
        for number in range(6):
            stage(y, h, slopes, number, ahead)
            field(q, ahead, slopes[number + 1])
        size = error_size(y, ahead, h, slopes, rtol, atol)
        if k > 0 and size <= 1:
            # A step that is refused for the states' sake costs no tangents.
            tangent_size = carry_tangents(q, y, h, slopes, ahead, u, moved, turned, tangent_rtol)
            if not tangent_size <= size:
                size = tangent_size
        change = SHRINK
        if np.isfinite(size):
            change = GROW if size == 0.0 else min(GROW, max(SHRINK, SAFETY * size**-0.2))
        if size <= 1:
            if k > 0:
                bent += h * max(rate, frame_rate(u, turned[0]))
            for i in range(n):
                y[i] = ahead[i]
                slopes[0, i] = slopes[6, i]
            for c in range(k):
                for i in range(m):
                    u[c, i] = moved[c, i]
                    turned[0, c, i] = turned[6, c, i]
            if bent > TURN:
                turn(u, turned[0], factor, logs)
                bent, turns = 0.0, turns + 1
                rate = frame_rate(u, turned[0])
            left = 0.0 if last else left - h
            h *= min(change, 1.0) if refused else change
            refused = False
        else:
            h *= min(change, 1.0)
            refused = True
        steps += 1
        lost = left > 0 and (h < SMALLEST_STEP * tau or steps >= MOST_STEPS)
    if lost:
        stuck = gone or (np.isfinite(h) and length(slopes[0]) < fast)
        for i in range(n):
            y[i] = -np.inf if stuck else np.nan
        for c in range(k):
            for i in range(n):
                u[c, i] = -np.inf if stuck else np.nan
    elif turns > 0 and logs.shape[0] == 0:
        for c in range(k):
            for i in range(m):
                moved[c, i] = 0.0
                for e in range(c + 1):
                    moved[c, i] += u[e, i] * factor[e, c]
        for c in range(k):
            for i in range(m):
                u[c, i] = moved[c, i]


def length(values: NDArray[np.float64]) -> float:
    """Euclidean length."""
    square = 0.0
    for i in range(values.shape[0]):
        square += values[i] * values[i]
    return np.sqrt(square)


def frame_rate(u: NDArray[np.float64], velocity: NDArray[np.float64]) -> float:
    """Rate at which the rows of u (k, m) change, the root of the sum of their squares."""
    square = 0.0
    for c in range(u.shape[0]):
        own = length(u[c])
        if own > 0.0:
            square += (length(velocity[c]) / own) ** 2
    return np.sqrt(square) if np.isfinite(square) else 0.0


def turn(
    u: NDArray[np.float64], velocity: NDArray[np.float64], factor: NDArray[np.float64], logs: NDArray[np.float64]
) -> None:
    """Orthonormalize the rows of u (k, m) and their velocities; tangents are sums of rows by columns of factor.

    Its diagonal, which may leave the range of floats, is also added to `logs` (k,), or to none where it is (0,).
    """
    k, m = u.shape
    for c in range(k):
        before = length(u[c])
        upper = np.zeros(k)
        for _ in range(2):
            for e in range(c):
                along = 0.0
                for i in range(m):
                    along += u[e, i] * u[c, i]
                square = length(u[e]) ** 2
                if square > 0.0:
                    along /= square
                    for i in range(m):
                        u[c, i] -= along * u[e, i]
                        velocity[c, i] -= along * velocity[e, i]
                    upper[e] += along
        own = length(u[c])
        if own <= 1e-13 * before:
            own = 1.0
        if logs.shape[0] > 0:
            logs[c] += np.log(own)
        for i in range(m):
            u[c, i] /= own
            velocity[c, i] /= own
        # The row was upper[0] u_0 + ... + own u_c: what held its part in the tangents holds those.
        for column in range(c, k):
            part = factor[c, column]
            for e in range(c):
                factor[e, column] += upper[e] * part
            factor[c, column] = own * part


def stage(
    y: NDArray[np.float64], h: float, slopes: NDArray[np.float64], number: int, ahead: NDArray[np.float64]
) -> None:
    """Fill `ahead` with the state of a stage; that of the last stage is where the step leads."""
    for i in range(y.shape[0]):
        total = 0.0
        for s in range(number + 1):
            total += TABLEAU[number, s] * slopes[s, i]
        ahead[i] = y[i] + h * total


def error_size(
    y: NDArray[np.float64], ahead: NDArray[np.float64], h: float, slopes: NDArray[np.float64], rtol: float, atol: float
) -> float:
    """Estimated error of a step in units of the tolerance."""
    square = 0.0
    for i in range(y.shape[0]):
        error = 0.0
        for s in range(7):
            error += ERROR_WEIGHTS[s] * slopes[s, i]
        error *= h / (atol + rtol * max(abs(y[i]), abs(ahead[i])))
        square += error * error
    return np.sqrt(square / y.shape[0])


def carry_tangents(
    q: Any,
    y: NDArray[np.float64],
    h: float,
    slopes: NDArray[np.float64],
    ahead: NDArray[np.float64],
    u: NDArray[np.float64],
    moved: NDArray[np.float64],
    turned: NDArray[np.float64],
    rtol: float,
) -> float:
    """Take the tangents u (k, m) through a step to `moved`; the largest error of one, by its own size, over rtol."""
    k, m = u.shape
    for number in range(6):
        stage(y, h, slopes, number, ahead)
        for c in range(k):
            for i in range(m):
                total = 0.0
                for s in range(number + 1):
                    total += TABLEAU[number, s] * turned[s, c, i]
                moved[c, i] = u[c, i] + h * total
        field_tangents(q, ahead, moved, turned[number + 1])
    worst = 0.0
    for c in range(k):
        square = 0.0
        for i in range(m):
            error = 0.0
            for s in range(7):
                error += ERROR_WEIGHTS[s] * turned[s, c, i]
            square += error * error
        own = max(length(u[c]), length(moved[c]))
        if own == 0.0:
            continue
        size = h * np.sqrt(square) / (rtol * own)
        if not size <= worst:
            worst = size
            if not np.isfinite(worst):
                return np.inf
    return worst


def first_step(
    q: Any,
    y: NDArray[np.float64],
    slopes: NDArray[np.float64],
    ahead: NDArray[np.float64],
    tau: float,
    rtol: float,
    atol: float,
) -> float:
    """A first step as `flows.schemes.DormandPrince` finds it; NaN where the state or its velocity is not finite."""
    n = y.shape[0]
    first = second = change = 0.0
    for i in range(n):
        scale = atol + rtol * abs(y[i])
        first += (y[i] / scale) ** 2
        second += (slopes[0, i] / scale) ** 2
    first, second = np.sqrt(first / n), np.sqrt(second / n)
    if not (np.isfinite(first) and np.isfinite(second)):
        return np.nan
    guess = 1e-6 * tau if first < 1e-5 or second < 1e-5 else min(0.01 * first / second, tau)
    for i in range(n):
        ahead[i] = y[i] + guess * slopes[0, i]
    field(q, ahead, slopes[1])
    for i in range(n):
        scale = atol + rtol * abs(y[i])
        change += ((slopes[1, i] - slopes[0, i]) / scale) ** 2
    strongest = max(second, np.sqrt(change / n) / guess)
    step = max(1e-6 * tau, 1e-3 * guess) if strongest <= 1e-15 else (0.01 / strongest) ** 0.2
    step = min(100 * guess, step)
    return min(max(step, 1e-6 * tau), tau) if np.isfinite(step) else 1e-6 * tau


HELPERS = ("length", "frame_rate", "turn", "stage", "error_size", "carry_tangents", "first_step")
"""What `dopri5` calls, in an order in which each needs only those before."""


def image_of(advance: Any) -> Any:
    """`row_kernels.image` of a flow from `rk4` or `dopri5`."""

    def image(p: Any, x: Any, y: Any) -> None:
        none = np.empty((0, x.shape[0]))
        advance(p, x, none, y, none, y[:0])

    return image


def tangents_of(advance: Any) -> Any:
    """`row_kernels.tangents` of a flow from `rk4` or `dopri5`."""

    def tangents(p: Any, x: Any, v: Any, u: Any) -> None:
        advance(p, x, v, np.empty(x.shape[0]), u, np.empty(0))

    return tangents


def stretch_of(advance: Any) -> Any:
    """`row_kernels.stretch` of a flow from `dopri5`."""

    def stretch(p: Any, x: Any, v: Any, u: Any, logs: Any) -> None:
        advance(p, x, v, np.empty(x.shape[0]), u, logs)

    return stretch


def rk4_source(n: int, pattern: Pattern) -> tuple[str, tuple[tuple[bool, ...], ...]]:
    """Source of `step(p, x0, x1, ...)` of a `LaneRule`: one step of `rk4` along `field`, and what its pattern is.

    `field` must be in its globals: the `step` of the vector field, whose entries `pattern` marks.
    """
    states = [f"x{i}" for i in range(n)]
    lines = [f"def step(p, {', '.join(states)}):", "    h, q = p[0], p[1:]"]
    present: list[list[list[bool]]] = []
    for s, part in enumerate(("", "h / 2", "h / 2", "h")):
        if s:
            lines += [f"    a = {part}"]
        at = ", ".join(f"x{i} + a * f{s - 1}_{i}" if s else f"x{i}" for i in range(n))
        entries = "".join(f"d{s}_{i}_{j}, " for i, j in _marked(pattern))
        lines.append(f"    ({''.join(f'f{s}_{i}, ' for i in range(n))}), ({entries}) = field(q, {at})")
        # D_s is the derivative of stage s: Df (I + a D_{s-1}).
        before = present[-1] if s else [[False] * n for _ in range(n)]
        now = [
            [pattern[i][j] or any(pattern[i][e] and before[e][j] for e in range(n)) for j in range(n)] for i in range(n)
        ]
        for i, j in _marked(now):
            own = [f"d{s}_{i}_{j}"] if pattern[i][j] else []
            terms = [f"d{s}_{i}_{e} * D{s - 1}_{e}_{j}" for e in range(n) if pattern[i][e] and before[e][j]]
            chain = [f"a * ({' + '.join(terms)})"] if terms else []
            lines.append(f"    D{s}_{i}_{j} = {' + '.join(own + chain)}")
        present.append(now)
    full = [[i == j or any(part[i][j] for part in present) for j in range(n)] for i in range(n)]
    image = "".join(f"x{i} + h / 6 * (f0_{i} + 2 * f1_{i} + 2 * f2_{i} + f3_{i}), " for i in range(n))
    derivative = []
    for i, j in _marked(full):
        weighted = [f"{w} * D{s}_{i}_{j}" for s, w in enumerate((1, 2, 2, 1)) if present[s][i][j]]
        start = "1.0" if i == j else "0.0"
        derivative.append(f"{start} + h / 6 * ({' + '.join(weighted)})" if weighted else start)
    lines.append(f"    return ({image}), ({''.join(entry + ', ' for entry in derivative)})")
    return "\n".join(lines) + "\n", tuple(tuple(entries) for entries in full)


def divergence_source(n: int, pattern: Pattern) -> str:
    """Source of `log_det(p, x, total, n_steps)` for flows: RK4 steps, and the field's divergence along them.

    It adds the integral of the trace of the field's derivative to total (b,), by the weights of the
    stages, and knows nothing of tangents. States take the very operations of `rk4_source`. `field`
    must be in its globals.
    """
    marked = _marked(pattern)
    lines = [
        "def log_det(p, x, total, n_steps):",
        "    h, q = p[0], p[1:]",
        "    for t in range(x.shape[0]):",
        *(f"        x{i} = x[t, {i}]" for i in range(n)),
        "        integral = 0.0",
        "        for number in range(n_steps):",
    ]
    for s, part in enumerate(("", "h / 2", "h / 2", "h")):
        if s:
            lines += [f"            a = {part}"]
        at = ", ".join(f"x{i} + a * f{s - 1}_{i}" if s else f"x{i}" for i in range(n))
        entries = "".join(f"d{s}_{i}_{j}, " for i, j in marked)
        lines.append(f"            ({''.join(f'f{s}_{i}, ' for i in range(n))}), ({entries}) = field(q, {at})")
    traces = [" + ".join([f"d{s}_{i}_{i}" for i in range(n) if (i, i) in marked] or ["0.0"]) for s in range(4)]
    lines += [
        f"            integral += h / 6 * (({traces[0]}) + 2 * (({traces[1]}) + ({traces[2]})) + ({traces[3]}))",
        *(f"            x{i} = x{i} + h / 6 * (f0_{i} + 2 * f1_{i} + 2 * f2_{i} + f3_{i})" for i in range(n)),
        "        total[t] += integral",
        *(f"        x[t, {i}] = x{i}" for i in range(n)),
    ]
    return "\n".join(lines) + "\n"


def _marked(pattern: Pattern) -> list[tuple[int, int]]:
    return [(i, j) for i, entries in enumerate(pattern) for j, there in enumerate(entries) if there]
