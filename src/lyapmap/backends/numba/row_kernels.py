"""The compiled loops for maps of any size, and a Gram-Schmidt that stands anything.

One trajectory goes at a time, each tangent vector contiguous in memory. This is plain Python for
`numba_map` to compile, with the map's own functions in the place of `image` and `tangents`; nothing
here imports Numba. Frames are orthonormalized with a positive diagonal of R.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST, LARGEST = 1e-100, 1e100
"""Lengths within are squared and multiplied as they are; beyond, they are scaled first."""
FOUR_FROM = 8
"""Frames of this many vectors are projected four by four."""
NEGLIGIBLE = 1e-19
"""What is left of a vector below this part of its length, after repeated projection, is zero."""


def image(p: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Fill y (n,) with the image of x (n,). The map's own stands here in compiled code."""
    raise NotImplementedError


def tangents(p: Any, x: NDArray[np.float64], v: NDArray[np.float64], u: NDArray[np.float64]) -> None:
    """Fill u (k, m) with the Jacobian at x times the rows of v (k, m). The map's own stands here.

    m is at least n = len(x); what is beyond n is padding, to be left alone.
    """
    raise NotImplementedError


def stretch(
    p: Any, x: NDArray[np.float64], v: NDArray[np.float64], u: NDArray[np.float64], logs: NDArray[np.float64]
) -> None:
    """`tangents`, or those that were orthonormalized meanwhile, with log|diag R| of that added to logs (k,)."""
    tangents(p, x, v, u)


def apply_rows(p: Any, x: NDArray[np.float64], y: NDArray[np.float64]) -> None:
    """Fill y (b, n) with the images of x (b, n)."""
    for t in range(x.shape[0]):
        image(p, x[t], y[t])


def jvp_rows(
    p: Any, x: NDArray[np.float64], v: NDArray[np.float64], y: NDArray[np.float64], u: NDArray[np.float64]
) -> None:
    """Fill y (b, n) with images and u (b, n, k) with the Jacobians times v (b, n, k)."""
    b, n, k = v.shape
    before, after = np.zeros((k, stride(n))), np.zeros((k, stride(n)))
    for t in range(b):
        load(v[t], before)
        tangents(p, x[t], before, after)
        image(p, x[t], y[t])
        store(after, u[t])


def propagate_rows(
    p: Any,
    x: NDArray[np.float64],
    frame: NDArray[np.float64],
    total: NDArray[np.float64],
    n_steps: int,
    qr_every: int,
) -> None:
    """Carry x (b, n), frame (b, n, k) and total (b, k), all in place."""
    b, n, k = frame.shape
    state, moved = np.empty((1, n)), np.empty((1, n))
    lengths, r, logs = np.empty(k), np.empty(k), np.empty(k)
    for t in range(b):
        before, after = np.zeros((k, stride(n))), np.zeros((k, stride(n)))
        for i in range(n):
            state[0, i] = x[t, i]
        load(frame[t], before)
        for j in range(k):
            logs[j] = 0.0
        for number in range(1, n_steps + 1):
            stretch(p, state[0], before, after, logs)
            image(p, state[0], moved[0])
            state, moved = moved, state
            before, after = after, before
            if number % qr_every == 0 or number == n_steps:
                orthonormalize(before, n, lengths, r)
                for j in range(k):
                    total[t, j] += np.log(r[j])
        for i in range(n):
            x[t, i] = state[0, i]
        for j in range(k):
            total[t, j] += logs[j]
        store(before, frame[t])


def record_rows(
    p: Any,
    x: NDArray[np.float64],
    frame: NDArray[np.float64],
    factors: NDArray[np.float64],
    states: NDArray[np.float64],
    frames: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    within: int,
    first: int,
    last: int,
) -> None:
    """Carry rows first ... last - 1 of x (b, n) and frame (b, n, k) in place, and keep every R.

    Parameters
    ----------
    factors : (n_steps, b, k, k)
        Filled with R of each step; zeros below its diagonal must be there.
    states, frames : (m, b, n), (m, b, n, k)
        Filled with those before the m steps that are `wanted` (n_steps,).
    within : int
        Steps of the map in one step.
    """
    n, k = frame.shape[1:]
    state, moved = np.empty((1, n)), np.empty((1, n))
    for t in range(first, last):
        before, after = np.zeros((k, stride(n))), np.zeros((k, stride(n)))
        for i in range(n):
            state[0, i] = x[t, i]
        load(frame[t], before)
        place = 0
        for number in range(wanted.shape[0]):
            if wanted[number]:
                for i in range(n):
                    states[place, t, i] = state[0, i]
                store(before, frames[place, t])
                place += 1
            for _ in range(within):
                tangents(p, state[0], before, after)
                image(p, state[0], moved[0])
                state, moved = moved, state
                before, after = after, before
            factorize(before, n, factors[number, t])
        for i in range(n):
            x[t, i] = state[0, i]
        store(before, frame[t])


def factorize(w: NDArray[np.float64], n: int, r: NDArray[np.float64]) -> None:
    """Orthonormalize the rows of w (k, m) in place, as `orthonormalize` does; r (k, k) takes all of R.

    Only the upper triangle of r is written.
    """
    k = w.shape[0]
    for j in range(k):
        scale, square = 1.0, squares(w, j)
        if not (square > SMALLEST**2 and square < LARGEST**2):
            scale = largest(w, j)
            if scale == np.inf:
                scale = np.nan
            if scale != 0.0:
                multiply(w, j, 1 / np.sqrt(scale))
                multiply(w, j, 1 / np.sqrt(scale))
                square = squares(w, j)
        for e in range(j):
            r[e, j] = 0.0
        length = rest = np.sqrt(square)
        least = NEGLIGIBLE * length
        again = j > 0
        while again:
            length = rest
            for e in range(j):
                a = 0.0
                for i in range(w.shape[1]):
                    a += w[e, i] * w[j, i]
                for i in range(w.shape[1]):
                    w[j, i] -= a * w[e, i]
                r[e, j] += scale * a
            rest = np.sqrt(squares(w, j))
            again = rest < 0.1 * length and rest > least
        if rest <= least:
            r[j, j] = 0.0
            replace(w, n, j)
        else:
            r[j, j] = scale * rest
            multiply(w, j, 1 / rest)


def stride(n: int) -> int:
    """Length of a row that holds n values: rows a power of two apart would fight for one part of the cache."""
    return n + 8 if n % 64 == 0 else n


def load(v: NDArray[np.float64], w: NDArray[np.float64]) -> None:
    """Fill the rows of w (k, m) with the columns of v (n, k), m >= n."""
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            w[j, i] = v[i, j]


def store(w: NDArray[np.float64], v: NDArray[np.float64]) -> None:
    """Fill the columns of v (n, k) with the rows of w (k, m), m >= n."""
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            v[i, j] = w[j, i]


def orthonormalize(w: NDArray[np.float64], n: int, lengths: NDArray[np.float64], r: NDArray[np.float64]) -> None:
    """Orthonormalize the rows of w (k, m) in place; r (k,) takes the diagonal of R, not negative.

    Rows hold n values, and zeros where m is larger.

    A vector is projected again while projecting shortens it much (twice is enough: L. Giraud et
    al. 2005). One that lies in the span of those before it has r = 0 and is replaced by another
    direction, so that the frame stays orthonormal. `lengths` (k,) is scratch space.
    """
    k = w.shape[0]
    for j in range(k):
        scale, square = 1.0, squares(w, j)
        if not (square > SMALLEST**2 and square < LARGEST**2):
            scale = largest(w, j)
            if scale == np.inf:
                scale = np.nan
            if scale != 0.0:
                # Two factors, since the inverse of the smallest floats is infinite.
                multiply(w, j, 1 / np.sqrt(scale))
                multiply(w, j, 1 / np.sqrt(scale))
                square = squares(w, j)
        lengths[j] = np.sqrt(square)
        r[j] = scale
    first = 0
    for j in range(k):
        if k >= FOUR_FROM and j > 0 and j % 4 == 0 and j + 4 <= k:
            project_four(w, j)
            first = j
        elif j % 4 == 0:
            first = 0
        length = lengths[j]
        least = NEGLIGIBLE * length
        rest = np.sqrt(project(w, first, j))
        while rest < 0.1 * length and rest > least:
            length = rest
            rest = np.sqrt(project(w, 0, j))
        if rest <= least:
            r[j] = 0.0
            replace(w, n, j)
        else:
            r[j] *= rest
            multiply(w, j, 1 / rest)


def squares(w: NDArray[np.float64], j: int) -> float:
    """Squared length of row j."""
    total = 0.0
    for i in range(w.shape[1]):
        total += w[j, i] * w[j, i]
    return total


def largest(w: NDArray[np.float64], j: int) -> float:
    """Largest size of a component of row j, NaN if there is one."""
    size_so_far = 0.0
    for i in range(w.shape[1]):
        size = abs(w[j, i])
        if not size <= size_so_far:
            size_so_far = size
    return size_so_far


def multiply(w: NDArray[np.float64], j: int, factor: float) -> None:
    """Multiply row j by a number."""
    for i in range(w.shape[1]):
        w[j, i] *= factor


def project(w: NDArray[np.float64], first: int, j: int) -> float:
    """Take from row j its parts along the orthonormal rows first ... j - 1; its squared length then."""
    square = 0.0
    for e in range(first, j):
        a = 0.0
        for i in range(w.shape[1]):
            a += w[e, i] * w[j, i]
        square = 0.0
        for i in range(w.shape[1]):
            left = w[j, i] - a * w[e, i]
            w[j, i] = left
            square += left * left
    return square if first < j else squares(w, j)


def project_four(w: NDArray[np.float64], j: int) -> None:
    """Take from rows j ... j + 3 their parts along all rows before them, four by four.

    Each number that is read serves four times: memory is what holds this back.
    """
    n = w.shape[1]
    for e in range(0, j, 4):
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = 0.0
        c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = 0.0
        for i in range(n):
            a, b, c, d = w[e, i], w[e + 1, i], w[e + 2, i], w[e + 3, i]
            v0, v1, v2, v3 = w[j, i], w[j + 1, i], w[j + 2, i], w[j + 3, i]
            a0, a1, a2, a3 = a0 + a * v0, a1 + a * v1, a2 + a * v2, a3 + a * v3
            b0, b1, b2, b3 = b0 + b * v0, b1 + b * v1, b2 + b * v2, b3 + b * v3
            c0, c1, c2, c3 = c0 + c * v0, c1 + c * v1, c2 + c * v2, c3 + c * v3
            d0, d1, d2, d3 = d0 + d * v0, d1 + d * v1, d2 + d * v2, d3 + d * v3
        take(w, e, j, a0, b0, c0, d0)
        take(w, e, j + 1, a1, b1, c1, d1)
        take(w, e, j + 2, a2, b2, c2, d2)
        take(w, e, j + 3, a3, b3, c3, d3)


def leave(w: NDArray[np.float64], j: int) -> None:
    """In the place of `project_four` where it is never called, so that nothing is compiled for it."""


def take(w: NDArray[np.float64], e: int, j: int, a: float, b: float, c: float, d: float) -> None:
    """Take multiples of rows e ... e + 3 from row j."""
    for i in range(w.shape[1]):
        w[j, i] -= a * w[e, i] + b * w[e + 1, i] + c * w[e + 2, i] + d * w[e + 3, i]


def replace(w: NDArray[np.float64], n: int, j: int) -> None:
    """Make row j a unit vector orthogonal to the orthonormal rows before it."""
    best, least = 0, np.inf
    for i in range(n):
        inside = 0.0
        for earlier in range(j):
            inside += w[earlier, i] * w[earlier, i]
        if inside < least:
            best, least = i, inside
        w[j, i] = 0.0
    w[j, best] = 1.0
    if j > 0:
        project(w, 0, j)
    multiply(w, j, 1 / np.sqrt(project(w, 0, j)))
