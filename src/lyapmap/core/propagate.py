"""Carrying states and tangent frames forward.

The frame is re-orthonormalized every few steps and the growth collected as log|diag R|. The loop
stands in `TangentMap.propagate`, which is the definition; compiled maps have their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.map import TangentMap, dimension, unchecked
from lyapmap.core.ops import Array
from lyapmap.core.ops import quiet as quiet


@dataclass(frozen=True)
class Carried:
    """What `propagate` carries from one block of steps to the next.

    Attributes
    ----------
    x : (b, n)
        States.
    frame : (b, n, k)
        Orthonormal tangent frames.
    log_growth : (b, k) float64 NumPy
        Sum over the block of log|diag R|.
    """

    x: Array
    frame: Array
    log_growth: NDArray[np.float64]


def random_frame(tangent_map: TangentMap, b: int, k: int, rng: np.random.Generator, dtype: str) -> Array:
    """Orthonormal frames (b, n, k) in random directions."""
    n = dimension(tangent_map.state_shape)
    q, _ = np.linalg.qr(rng.standard_normal((b, n, k)))
    return tangent_map.ops.from_numpy(q, dtype)


def step_states(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int = 0) -> Array:
    """States after `n_steps` steps."""
    with quiet():
        for step in range(first_step, first_step + n_steps):
            x = tangent_map.at(step).apply(x)
    return x


def states_at(tangent_map: TangentMap, x: Array, steps: Iterable[int]) -> Iterator[Array]:
    """States after ascending numbers of steps, one after the other."""
    done = 0
    for step in steps:
        x = step_states(tangent_map, x, n_steps=step - done, first_step=done)
        done = step
        yield x


def propagate(
    tangent_map: TangentMap,
    x: Array,
    frame: Array,
    *,
    n_steps: int,
    qr_every: int = 1,
    frame_dtype: str | None = None,
    first_step: int = 0,
) -> Carried:
    """Carry states and frames over a block of steps.

    Parameters
    ----------
    tangent_map : TangentMap
    x : (b, n)
        States, in the map's dtype.
    frame : (b, n, k)
        Orthonormal frames, in `frame_dtype`.
    n_steps : int
        Length of the block; the last step is always followed by a QR decomposition.
    qr_every : int
        Steps between QR decompositions.
    frame_dtype : str, optional
        dtype in which frames are kept and orthonormalized; the map's own by default.
    first_step : int
        Number of the first step, for a map that depends on it.

    Returns
    -------
    Carried
    """
    qr_every = whole("qr_every", qr_every, 1)
    carry = unchecked(tangent_map).propagate
    return Carried(*carry(x, frame, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step))


def propagate_blocks(
    tangent_map: TangentMap,
    x: Array,
    frame: Array,
    *,
    n_blocks: int,
    n_steps: int,
    qr_every: int = 1,
    frame_dtype: str | None = None,
    first_step: int = 0,
) -> list[Carried]:
    """Carry states and frames over blocks of `n_steps` each; what `propagate` gives after every one."""
    qr_every = whole("qr_every", qr_every, 1)
    carry = unchecked(tangent_map).propagate_blocks
    blocks = carry(x, frame, n_blocks, n_steps, qr_every, frame_dtype=frame_dtype, first_step=first_step)
    return [Carried(*block) for block in zip(*blocks, strict=True)]


def log_abs_det(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int = 0) -> NDArray[np.float64]:
    """Sum of log|det J| along the orbits from states x (b, n) over `n_steps` steps, (b,).

    What the growth of a full frame over the same steps adds up to: an independent way to the sum
    of all exponents.
    """
    return np.asarray(unchecked(tangent_map).log_abs_det(x, n_steps, first_step=first_step))
