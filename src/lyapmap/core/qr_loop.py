"""The loop under every exponent: carry tangents, take their QR decomposition, collect log|diag R|.

It is the method of G. Benettin et al. 1980 and of I. Shimada and T. Nagashima 1979. Compiled maps have loops of
their own, which must agree with this one.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.ops import Array, ArrayOps, quiet
from lyapmap.core.progress import step_done


class Recording(NamedTuple):
    """Every R of a block of steps, and some of its states and frames; what `TangentMap.record` gives.

    Attributes
    ----------
    x : (b, n)
        States after the block, in the map's own arrays.
    frame : (b, n, k)
        Frames after it.
    factors : (n_steps, b, k, k) float64 NumPy
        R of every step: its tangents are the frame after it times R.
    states : (m, b, n) NumPy
        Before those steps that are wanted.
    frames : (m, b, n, k) float64 NumPy
    """

    x: Array
    frame: Array
    factors: NDArray[np.float64]
    states: NDArray[Any]
    frames: NDArray[np.float64]


class Carrier(Protocol):
    """What the loop asks of a map; see `lyapmap.core.map.TangentMap`."""

    ops: ArrayOps
    orthonormalizes_within: bool

    def at(self, step: int) -> Carrier: ...

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]: ...

    def carries(self, frame_dtype: str | None) -> bool: ...

    def propagate(
        self, x: Array, frame: Array, n_steps: int, qr_every: int = 1
    ) -> tuple[Array, Array, NDArray[np.float64]]: ...


def qr_loop(
    tangent_map: Carrier, x: Array, frame: Array, n_steps: int, qr_every: int, frame_dtype: str | None, first_step: int
) -> tuple[Array, Array, NDArray[np.float64]]:
    """States (b, n), frames (b, n, k) and log growth (b, k) after a block of steps; see `TangentMap.propagate`."""
    ops = tangent_map.ops
    frame_dtype = frame_dtype or ops.dtype
    total = np.zeros((frame.shape[0], frame.shape[2]))
    with quiet():
        for step in range(1, n_steps + 1):
            now = tangent_map.at(first_step + step - 1)
            if now is not tangent_map and now.orthonormalizes_within and now.carries(frame_dtype):
                x, frame, growth = now.propagate(x, frame, 1)
                total += growth
                step_done(len(growth))
                continue
            x, tangents = now.jvp(x, ops.cast(frame, ops.dtype))
            frame = ops.cast(tangents, frame_dtype)
            if step % qr_every == 0 or step == n_steps:
                frame, r = ops.qr(frame)
                total += ops.log_abs_diagonal(r)
            step_done(len(total))
    return x, frame, total


def recorded(
    tangent_map: Carrier, x: Array, frame: Array, n_steps: int, wanted: NDArray[np.bool_], first_step: int
) -> Recording:
    """The same with a QR decomposition after every step, of which every R is kept; see `TangentMap.record`."""
    ops = tangent_map.ops
    b, n, k = frame.shape
    factors = np.empty((n_steps, b, k, k))
    states, frames = [], []
    with quiet():
        for step in range(n_steps):
            if wanted[step]:
                states.append(ops.to_numpy(x))
                frames.append(ops.to_numpy(frame))
            x, tangents = tangent_map.at(first_step + step).jvp(x, frame)
            frame, r = ops.qr(tangents)
            factors[step] = ops.to_numpy(r)
            step_done(b)
    return Recording(
        x,
        frame,
        factors,
        np.array(states, ops.dtype).reshape(-1, b, n),
        np.array(frames, np.float64).reshape(-1, b, n, k),
    )
