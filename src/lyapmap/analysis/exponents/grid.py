"""Initial states on a regular grid, for fields: one number for each point of a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, ShapeError


@dataclass(frozen=True)
class Grid:
    """States on a regular grid.

    Attributes
    ----------
    states : (b, n)
        In the order of a C array of `shape`: the last axis varies fastest.
    shape : tuple of int
        Points along each axis; their product is b.
    axes : tuple of int
        Components that vary, one for each axis.
    low, high : tuple of float
        First and last value along each axis.
    """

    states: NDArray[np.float64]
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """What a result records of it."""
        return {"shape": self.shape, "axes": self.axes, "low": self.low, "high": self.high}


def grid(
    low: Sequence[float],
    high: Sequence[float],
    shape: Sequence[int] | int,
    *,
    axes: Sequence[int] = (0, 1),
    base: Any = None,
    n: int | None = None,
) -> Grid:
    """Initial states on a regular grid that includes its ends.

    `lyapmap.finite_time_exponents` and `lyapmap.alignment` take it in place of initial states and
    draw their result as an image.

    Parameters
    ----------
    low, high : sequence of float
        First and last value along each axis.
    shape : int or sequence of int
        Points along each axis, at least 2.
    axes : sequence of int
        Components of a state that vary, one or two.
    base : (n,), optional
        The other components; zeros by default.
    n : int, optional
        Components of a state; those of `base`, else as many as `axes` need.

    Returns
    -------
    Grid

    Raises
    ------
    LyapmapError
        If the arguments do not fit together.

    Examples
    --------
    >>> import lyapmap as lm
    >>> plane = lm.grid([0, 0], [1, 2], (3, 2))
    >>> plane.states.tolist()
    [[0.0, 0.0], [0.0, 2.0], [0.5, 0.0], [0.5, 2.0], [1.0, 0.0], [1.0, 2.0]]
    """
    chosen = tuple(whole("axes", axis, 0) for axis in axes)
    if len(chosen) not in (1, 2) or len(set(chosen)) != len(chosen):
        raise LyapmapError(f"axes: expected one or two different components, got {tuple(axes)}")
    counts = (shape,) * len(chosen) if isinstance(shape, int) else tuple(shape)
    points = tuple(whole("shape", count, 2) for count in counts)
    first, last = (np.array(bounds, float).reshape(-1) for bounds in (low, high))
    for name, found in (("shape", len(points)), ("low", len(first)), ("high", len(last))):
        if found != len(chosen):
            raise ShapeError(f"{name}: expected {len(chosen)} values, one for each of axes {chosen}, got {found}")
    if not (np.isfinite(first).all() and np.isfinite(last).all() and (first < last).all()):
        raise LyapmapError(f"low, high: expected finite values with low < high, got {low} and {high}")
    needed = max(chosen) + 1
    if base is None:
        rest = np.zeros(needed if n is None else whole("n", n, needed))
    else:
        rest = np.asarray(base, float).reshape(-1)
        if len(rest) < needed or (n is not None and len(rest) != n):
            raise ShapeError(f"base: expected {n or f'at least {needed}'} values, got {len(rest)}")
    lines = [np.linspace(a, b, count) for a, b, count in zip(first, last, points, strict=True)]
    mesh = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(chosen))
    states = np.tile(rest, (len(mesh), 1))
    states[:, list(chosen)] = mesh
    return Grid(states, points, chosen, tuple(first.tolist()), tuple(last.tolist()))
