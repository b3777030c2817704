"""Rotations of latent space from label to label, and the projections that stand for them in the literature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.latent import Floats


def turned(z: Floats, first: Floats, second: Floats, angle: float) -> Floats:
    """Latent vectors (..., M) turned in the plane of two orthogonal vectors (M,) of the same norm.

    >>> turned(np.array([1.0, 0.0, 5.0]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), math.pi / 2).round(9).tolist()
    [0.0, 1.0, 5.0]
    """
    norm = first @ first
    a, b = (np.asarray(z @ one / norm)[..., None] for one in (first, second))
    cosine, sine = math.cos(angle), math.sin(angle)
    found: Floats = z + ((cosine - 1) * a - sine * b) * first + (sine * a + (cosine - 1) * b) * second
    return found


def projector(first: Floats, second: Floats, angle: float, start: float) -> Floats:
    """The matrix (M, M) of Eq. 12: the direction at `start` to that at `start + angle`, all else to 0."""
    target = math.cos(start + angle) * first + math.sin(start + angle) * second
    found: Floats = np.outer(target, math.cos(start) * first + math.sin(start) * second) / (first @ first)
    return found


def cycle_planes(basis: LatentBasis, labels: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Planes (i, j) of the rotations from label to label, and from the last back to the first, in set 1."""
    chosen = list(range(basis.categories)) if labels is None else [whole("labels", one, 0) for one in labels]
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise LyapmapError(f"labels: expected two or more different ones, got {chosen}")
    places = [basis.index(one) for one in chosen]
    return list(zip(places, [*places[1:], places[0]], strict=True))


def cycle_phases(
    basis: LatentBasis, labels: Sequence[int] | None = None, steps: int = 1
) -> list[tuple[int, int, float]]:
    """(i, j, angle) of every step of one turn round the labels: each quarter turn in so many equal steps."""
    angle = math.pi / 2 / whole("steps", steps, 1)
    return [(i, j, angle) for i, j in cycle_planes(basis, labels) for _ in range(steps)]


def shift(basis: LatentBasis, labels: Sequence[int] | None = None) -> Floats:
    """The matrix (M, M) that takes the vector of each label in set 1 to that of the next, and leaves the others.

    The sum of the operators of Eq. 11 over the cycle, with the identity on what is orthogonal to it: a rotation of
    all labels at once that needs no clock.
    """
    found: Floats = np.eye(basis.latent)
    for i, j in cycle_planes(basis, labels):
        found += np.outer(basis.xi[j] - basis.xi[i], basis.xi[i]) / basis.latent
    return found
