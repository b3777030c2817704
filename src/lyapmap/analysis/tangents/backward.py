"""The backward pass over recorded R factors, compiled once for the maps of all backends."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.machine_code import machine_code


def carried_back(
    factors: NDArray[np.float64], coefficients: NDArray[np.float64], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Carry coefficients from the end of a block of steps to its beginning.

    Parameters
    ----------
    factors : (n_steps, b, k, k)
        R of every step.
    coefficients : (b, k, k)
        Upper triangular, with columns of length 1, after the last step.
    wanted : (n_steps,) bool

    Returns
    -------
    coefficients : (b, k, k)
        Before the first step.
    growth : (n_steps, b, k)
        Logarithm of the growth of each column in each step.
    kept : (m, b, k, k)
        Coefficients before those m steps that are wanted.

    Examples
    --------
    >>> shear = np.array([[[[2.0, 1.0], [0.0, 0.5]]]])
    >>> coefficients, growth, _ = carried_back(shear, np.eye(2)[None], np.zeros(1, bool))
    >>> np.round(growth[0, 0], 4).tolist()  # the second vector began as (-0.5, 1) / 0.5
    [0.6931, -0.8047]
    """
    n_steps, b, k, _ = factors.shape
    rows = np.ascontiguousarray(np.swapaxes(coefficients, 1, 2))
    growth = np.empty((n_steps, b, k))
    kept = np.empty((int(wanted.sum()), b, k, k))
    _machine_code()(np.ascontiguousarray(factors), rows, growth, kept, wanted)
    return np.swapaxes(rows, 1, 2), growth, np.swapaxes(kept, 2, 3)


def pull_back(
    factors: NDArray[np.float64],
    rows: NDArray[np.float64],
    growth: NDArray[np.float64],
    kept: NDArray[np.float64],
    wanted: NDArray[np.bool_],
) -> None:
    """Plain Python for Numba: `carried_back`, with the columns of coefficients as rows, changed in place."""
    n_steps, b, k, _ = factors.shape
    for t in range(b):
        place = kept.shape[0]
        for step in range(n_steps - 1, -1, -1):
            for c in range(k):
                # Back substitution. Column c of an upper triangle has c + 1 entries.
                largest = 0.0
                for i in range(c, -1, -1):
                    rest = rows[t, c, i]
                    for j in range(i + 1, c + 1):
                        rest -= factors[step, t, i, j] * rows[t, c, j]
                    rest /= factors[step, t, i, i]
                    rows[t, c, i] = rest
                    if not abs(rest) <= largest:
                        largest = abs(rest)
                # Scaled first: what contracts by 1e-200 in a step grows by as much here, and is squared.
                square = 0.0
                for i in range(c + 1):
                    rows[t, c, i] /= largest
                    square += rows[t, c, i] * rows[t, c, i]
                length = np.sqrt(square)
                for i in range(c + 1):
                    rows[t, c, i] /= length
                growth[step, t, c] = -(np.log(largest) + np.log(length))
            if wanted[step]:
                place -= 1
                for c in range(k):
                    for i in range(k):
                        kept[place, t, c, i] = rows[t, c, i]


@lru_cache(maxsize=1)
def _machine_code() -> Callable[..., None]:
    cubes, blocks = "float64[:, :, ::1]", "float64[:, :, :, ::1]"
    # Sums may be reordered, so that they become vector instructions; infinity and NaN keep their meaning.
    return machine_code(
        pull_back, f"void({blocks}, {cubes}, {cubes}, {blocks}, boolean[::1])", fastmath={"reassoc", "contract"}
    )
