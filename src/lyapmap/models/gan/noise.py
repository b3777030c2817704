"""Noise that adversarial generators draw from, frozen by counters, and ways between two pieces of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, ShapeError

PARALLEL = 1e-6
"""Angle, in radians, below which the straight line is taken for the arc."""


def gan_latents(latent_shape: tuple[int, ...], n: int, *, seed: int = 0, first: int = 0) -> NDArray[np.float32]:
    """Standard normal noise, (n, *latent_shape): that of sample i is a function of (seed, i) alone.

    With fresh noise for each step, (steps, latent), the first steps are the same however many follow.

    Parameters
    ----------
    latent_shape : (latent,) or (steps, latent)
    n : int
    seed : int
    first : int
        Number of the first sample.

    Examples
    --------
    >>> z = gan_latents((5,), 3, seed=1)
    >>> bool((z[2] == gan_latents((5,), 1, seed=1, first=2)[0]).all())
    True
    """
    n, first, seed = whole("n", n, 1), whole("first", first, 0), whole("seed", seed, 0)
    if seed >= 2**64:
        raise LyapmapError(f"seed: expected an integer below 2**64, got {seed}")
    steps, latent = (1, *latent_shape)[-2:]
    draws = [noise_of(seed, i, step, latent) for i in range(first, first + n) for step in range(steps)]
    return np.stack(draws).reshape(n, *latent_shape)


def noise_of(seed: int, sample: int, step: int, latent: int) -> NDArray[np.float32]:
    """The noise of one sample at one step, (latent,)."""
    # The second half of the key keeps these draws apart from those of inputs and of noisy maps.
    # Seeds beyond 2**63 in a list would go through floating point.
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 3], np.uint64), counter=[0, 0, step, sample]))
    return rng.standard_normal(latent).astype(np.float32)


def spherical(start: NDArray[np.floating], end: NDArray[np.floating], steps: int) -> NDArray[np.float32]:
    """Noise on the way between two others, (n, steps, d) from (n, d) each, both ends included.

    Directions follow the arc at constant speed and lengths go over linearly, so that in high dimensions all of it
    stays where normal noise has its mass; a straight line would cut through the empty middle.

    Raises
    ------
    ShapeError, LyapmapError
        If shapes differ, there are fewer than two steps, or an end is zero or opposite to the other.

    Examples
    --------
    >>> spherical(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]]), 3)[0, 1].round(4)
    array([1.0607, 1.0607], dtype=float32)
    """
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if a.shape != b.shape or a.ndim != 2 or 0 in a.shape:
        raise ShapeError(f"start and end: expected two arrays of the same shape (n, d), got {a.shape} and {b.shape}")
    steps = whole("steps", steps, 2)
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    if not all(np.isfinite(length).all() and (length > 0).all() for length in lengths):
        raise LyapmapError("start and end: expected finite noise that is not zero")
    p, q = a / lengths[0][:, None], b / lengths[1][:, None]
    angle = 2 * np.arctan2(np.linalg.norm(q - p, axis=1), np.linalg.norm(q + p, axis=1))
    if (angle > np.pi - PARALLEL).any():
        raise LyapmapError("start and end: two of them are opposite, and no arc between them is the shortest")
    t = np.linspace(0, 1, steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.sin(np.stack([1 - t, t])[:, None] * angle[:, None]) / np.sin(angle)[:, None]
    weights = np.where((angle < PARALLEL)[:, None], np.stack([1 - t, t])[:, None], weights)
    direction = weights[0][..., None] * p[:, None] + weights[1][..., None] * q[:, None]
    length = (1 - t) * lengths[0][:, None] + t * lengths[1][:, None]
    return (length[..., None] * direction).astype(np.float32)
