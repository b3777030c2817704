"""What chance does: trajectories drawn anew for intervals, labels exchanged for significance.

Trajectories that start independently on one attractor can be exchanged. So the labels model and reference are, and how
often exchanged labels give as large a difference is exact whatever the statistics are and however they hang together
(P. Westfall, S. Young 1993).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Statistics = Callable[[Values], Values]
"""Takes weights (3, units) of the model and two halves of the reference; gives one number for each quantity."""


def labels(b: int) -> Values:
    """Weights (3, 3 b) of b trajectories of the model and b each of two halves of the reference.

    >>> labels(1).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return np.repeat(np.eye(3), b, axis=1)


def exchanged(b: int, times: int, rng: np.random.Generator) -> list[Values]:
    """Weights with labels dealt out anew."""
    return [labels(b)[:, rng.permutation(3 * b)] for _ in range(times)]


def drawn_anew(b: int, times: int, rng: np.random.Generator) -> list[Values]:
    """Weights with b trajectories drawn from each set, with replacement."""
    drawn = []
    for _ in range(times):
        weights = np.zeros((3, 3 * b))
        for part in range(3):
            weights[part, part * b : (part + 1) * b] = np.bincount(rng.integers(b, size=b), minlength=b)
        drawn.append(weights)
    return drawn


def adjusted(differences: Values) -> Values:
    """Probabilities that any of m differences would be as large by chance, (m,).

    Parameters
    ----------
    differences : (times + 1, m)
        The first row as observed, the others with exchanged labels.

    Returns
    -------
    (m,)
        At most so many of them are below a level as the level says, all m together.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> chance = np.abs(rng.normal(size=(200, 2)))
    >>> float(adjusted(np.vstack([[0.5, 9.0], chance[1:]]))[1])
    0.005
    """
    spread = differences.std(axis=0)
    # What rounding makes of numbers that are all the same is no spread.
    still = spread <= 1e-9 * np.abs(differences).max(axis=0)
    height = np.where(still, 0.0, (differences - differences.mean(axis=0)) / np.where(still, 1.0, spread))
    largest = height.max(axis=1)
    return np.asarray((largest[:, None] >= height[0] - 1e-12).mean(axis=0))
