"""Carrying states and tangent frames forward, the generic way.

The frame is re-orthonormalized every few steps and the growth collected as log|diag R|
(G. Benettin et al. 1980; I. Shimada and T. Nagashima 1979). A map with a `propagate` of its own
(a compiled kernel) must agree with this loop, which is the definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.ops import Array


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
    at = getattr(tangent_map, "at", None)
    with quiet():
        for step in range(first_step, first_step + n_steps):
            x = (at(step) if at else tangent_map).apply(x)
    return x


def quiet() -> np.errstate:
    """Context without NumPy's warnings, for orbits that may escape: the status tells of it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


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
    ops = tangent_map.ops
    frame_dtype = frame_dtype or ops.dtype
    at = getattr(tangent_map, "at", None)
    block = getattr(tangent_map, "propagate", None)
    if block is not None and at is None and frame_dtype == ops.dtype:
        return Carried(*block(x, frame, n_steps, qr_every))
    total = np.zeros((frame.shape[0], frame.shape[2]))
    with quiet():
        for step in range(1, n_steps + 1):
            now = at(first_step + step - 1) if at else tangent_map
            if getattr(now, "orthonormalizes_within", False) and block is None and frame_dtype == ops.dtype:
                x, frame, growth = now.propagate(x, frame, 1)  # type: ignore[union-attr]
                total += growth
                continue
            x, tangents = now.jvp(x, ops.cast(frame, ops.dtype))
            frame = ops.cast(tangents, frame_dtype)
            if step % qr_every == 0 or step == n_steps:
                frame, r = ops.qr(frame)
                total += ops.log_abs_diagonal(r)
    return Carried(x, frame, total)


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
    """Carry states and frames over blocks of `n_steps` each; what `propagate` gives after every one.

    A map with a `propagate_blocks(x, frame, n_blocks, n_steps, qr_every)` of its own, which returns
    arrays (m, b, n), (m, b, n, k) and (m, b, k), is asked for it: that spares short blocks the
    time that calls take.
    """
    several = getattr(tangent_map, "propagate_blocks", None)
    autonomous = getattr(tangent_map, "at", None) is None
    if n_blocks > 1 and several is not None and autonomous and frame_dtype in (None, tangent_map.ops.dtype):
        blocks = several(x, frame, n_blocks, n_steps, whole("qr_every", qr_every, 1))
        return [Carried(*block) for block in zip(*blocks, strict=True)]
    carried = []
    for i in range(n_blocks):
        after = propagate(
            tangent_map,
            x,
            frame,
            n_steps=n_steps,
            qr_every=qr_every,
            frame_dtype=frame_dtype,
            first_step=first_step + i * n_steps,
        )
        x, frame = after.x, after.frame
        carried.append(after)
    return carried


def log_abs_det(tangent_map: TangentMap, x: Array, *, n_steps: int, first_step: int = 0) -> NDArray[np.float64]:
    """Sum of log|det J| along the orbits from states x (b, n) over `n_steps` steps, (b,).

    What the growth of a full frame over the same steps adds up to: an independent way to the sum
    of all exponents. A map with a `log_abs_det(x, n_steps)` of its own is asked for it.
    """
    at = getattr(tangent_map, "at", None)
    block = getattr(tangent_map, "log_abs_det", None)
    if block is not None and at is None:
        return np.asarray(block(x, n_steps))
    ops = tangent_map.ops
    total = np.zeros(x.shape[0])
    with quiet():
        for step in range(first_step, first_step + n_steps):
            now = at(step) if at else tangent_map
            own = getattr(now, "log_abs_det", None)
            if own is not None:
                total += own(x, 1)
            else:
                total += np.linalg.slogdet(ops.to_numpy(now.jacobian(x)).astype(np.float64))[1]
            if step + 1 < first_step + n_steps:
                x = now.apply(x)
    return total
