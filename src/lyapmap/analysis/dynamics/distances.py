"""How far apart two sets of trajectories are, from what each trajectory brings by itself.

A measure is made once of all trajectories, and then asked for its value with a weight for each of them: which belong to
the model, which to one and the other half of the reference. Relabelled and resampled trajectories are other weights, so
that chance is measured with the same lines as the number itself.
"""

from __future__ import annotations

import abc
import math

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Weights = NDArray[np.float64]

SMOOTHING = 1e-5
"""Points added to each bin, so that one that the model never visits does not make the divergence infinite."""
MOST_BINS, FEWEST_BINS, POINTS_PER_BIN = 30, 4, 5
MARGIN = 0.01
"""Of the reference's range, that the box of bins goes beyond it."""
NEIGHBOR = 4
"""Which neighbour's distance tells the density."""
KEPT = 24
"""Neighbours of each point that are looked at first; nearly always enough."""
NEAREST = 1e-9
"""Distances, in deviations of the reference, below which points count as the same."""


class Distance(abc.ABC):
    """A distance between two weighted sets of trajectories: `between` from the first to the second."""

    @abc.abstractmethod
    def between(self, first: Weights, second: Weights) -> float:
        """From trajectories of weights (units,) to others."""

    def of(self, weights: Weights) -> float:
        """From both halves of the reference to the model; weights (3, units) of model and halves."""
        model, one_half, other_half = weights
        return (self.between(one_half, model) + self.between(other_half, model)) / 2

    def floor(self, weights: Weights) -> float:
        """Between the halves of the reference, in both directions."""
        _, one_half, other_half = weights
        return (self.between(one_half, other_half) + self.between(other_half, one_half)) / 2


class BinnedDivergence(Distance):
    """Kullback-Leibler divergence of visits to the bins of a box (D. Brenner et al. 2022; G. Koppe et al. 2019).

    Parameters
    ----------
    features : (units, T, d)
    reference : (units,) of bool
        Which trajectories say how large the box is.
    bins : int, optional
        Along each axis.
    """

    def __init__(self, features: Values, reference: NDArray[np.bool_], bins: int | None) -> None:
        units, steps, d = features.shape
        usual = round((int(reference.sum()) * steps / 2 / POINTS_PER_BIN) ** (1 / d))
        self.bins = int(np.clip(usual, FEWEST_BINS, MOST_BINS)) if bins is None else bins
        known = features[reference].reshape(-1, d)
        low, high = known.min(axis=0), known.max(axis=0)
        margin = MARGIN * np.maximum(high - low, NEAREST)
        scaled = (features - (low - margin)) / (high - low + 2 * margin) * self.bins
        inside = ((scaled >= 0) & (scaled < self.bins)).all(axis=2)
        places = np.where(inside[..., None], scaled, 0).astype(np.int64)
        inner = np.ravel_multi_index(tuple(np.moveaxis(places, 2, 0)), (self.bins,) * d)
        # What lies outside has a bin of its own.
        index = np.where(inside, inner, self.bins**d)
        visited, column = np.unique(index, return_inverse=True)
        self.count = np.zeros((units, len(visited)))
        np.add.at(self.count, (np.repeat(np.arange(units), steps), column.ravel()), 1.0)
        self.all_bins = self.bins**d + 1

    def between(self, first: Weights, second: Weights) -> float:
        """Sum of p ln(p / q)."""
        p, q = (weights @ self.count for weights in (first, second))
        p, q = p / p.sum(), (q + SMOOTHING) / (q.sum() + SMOOTHING * self.all_bins)
        seen = p > 0
        return float(p[seen] @ np.log(p[seen] / q[seen]))


class NeighborDivergence(Distance):
    """Kullback-Leibler divergence from distances to nearest neighbours (Q. Wang, S. Kulkarni, S. Verdú 2009).

    A point's neighbours are those of other trajectories: its own past and future would be nearer than any.

    Parameters
    ----------
    features : (units, m, d)
        So few states of each trajectory that all distances can be held.
    reference : (units,) of bool
        Which trajectories tell the dimension of the set.
    """

    def __init__(self, features: Values, reference: NDArray[np.bool_]) -> None:
        from scipy.spatial.distance import cdist

        units, m, d = features.shape
        rows = features.reshape(units * m, d)
        self.unit = np.repeat(np.arange(units), m)
        distances = cdist(rows, rows).reshape(len(rows), units, m)
        distances[np.arange(len(rows)), self.unit] = np.inf
        k = min(NEIGHBOR, m)
        nearest = np.sort(np.partition(distances, k - 1, axis=2)[:, :, :k], axis=2).reshape(len(rows), units * k)
        order = np.argsort(nearest, axis=1, kind="stable")
        self.log = np.log(np.maximum(np.take_along_axis(nearest, order, axis=1), NEAREST))
        self.neighbor = (order // k).astype(np.int16)
        self.near = np.ascontiguousarray(self.neighbor[:, :KEPT])
        self.k = k
        self.dimension = self._dimension(reference, d)

    def between(self, first: Weights, second: Weights) -> float:
        """Mean log ratio of distances, over the points of the first, times the dimension."""
        rows = first[self.unit]
        own, other = self._log_distance(first, rows > 0), self._log_distance(second, rows > 0)
        weight = rows[rows > 0]
        # A point has one trajectory less of its own kind to find neighbours in.
        fewer = math.log(second.sum() / max(first.sum() - 1, 1e-9))
        return float(self.dimension * ((other - own) @ weight) / weight.sum() + fewer)

    def _log_distance(self, weights: Weights, rows: NDArray[np.bool_]) -> Values:
        """Of the point at which so much weight lies within reach as k points of one trajectory have."""
        small, where = weights.astype(np.uint8), np.flatnonzero(rows)
        place = self._reached(small, self.near[where])
        late = np.flatnonzero(place < 0)
        if late.size:
            place[late] = self._reached(small, self.neighbor[where[late]])
        return np.asarray(self.log[where, np.where(place < 0, self.log.shape[1] - 2 * self.k, place)])

    def _reached(self, weights: NDArray[np.uint8], neighbor: NDArray[np.int16]) -> NDArray[np.int64]:
        reach = np.cumsum(weights[neighbor], axis=1, dtype=np.uint16) >= self.k
        return np.where(reach[:, -1], reach.argmax(axis=1), -1)

    def _dimension(self, reference: NDArray[np.bool_], most: int) -> float:
        """Of the reference (E. Levina, P. Bickel 2004), by which a log ratio of distances becomes one of densities."""
        rows = reference[self.unit]
        log, own = self.log[rows], reference[self.neighbor[rows]]
        first = np.argsort(~own, axis=1, kind="stable")[:, : 3 * self.k]
        near = np.take_along_axis(log, first, axis=1)
        inverse = float((near[:, -1:] - near[:, :-1]).mean())
        return float(np.clip(1 / inverse, 0.1, most)) if inverse > 0 else float(most)


class MixtureDivergence(Distance):
    """Kullback-Leibler divergence of mixtures of Gaussians at the states (D. Brenner et al. 2022, F. Hess et al. 2023).

    Parameters
    ----------
    features : (units, m, d)
    variance : float
        Of each Gaussian, in squared deviations of the reference.
    """

    def __init__(self, features: Values, variance: float) -> None:
        from scipy.spatial.distance import cdist

        units, m, d = features.shape
        rows = features.reshape(units * m, d)
        self.unit = np.repeat(np.arange(units), m)
        exponent = -cdist(rows, rows, "sqeuclidean") / (2 * variance)
        exponent[self.unit[:, None] == self.unit] = -np.inf
        # The largest exponent of a row is taken out, so that no density vanishes.
        top = exponent.max(axis=1, keepdims=True)
        self.density = np.exp(exponent - top).reshape(len(rows), units, m).mean(axis=2)

    def between(self, first: Weights, second: Weights) -> float:
        """Mean log ratio of densities over the points of the first."""
        rows = first[self.unit]
        some = rows > 0
        weight, density = rows[some], self.density[some]
        own = density @ first / np.maximum(first.sum() - first[self.unit[some]], 1e-9)
        other = density @ second / second.sum()
        tiny = np.finfo(float).tiny
        return float(np.log(np.maximum(own, tiny) / np.maximum(other, tiny)) @ weight / weight.sum())


class SpectralDistance(Distance):
    """Hellinger distance of smoothed power spectra, the mean over components (J. Mikhaeil et al. 2022).

    Parameters
    ----------
    features : (units, T, d)
    smoothing : float, optional
        Standard deviation of the Gaussian, in frequencies of the spectrum.
    """

    def __init__(self, features: Values, smoothing: float | None) -> None:
        from scipy.ndimage import gaussian_filter1d
        from scipy.signal import get_window

        steps = features.shape[1]
        centred = features - features.mean(axis=1, keepdims=True)
        window = get_window("hann", steps)[:, None]
        power = np.abs(np.fft.rfft(centred * window, axis=1))[:, 1:] ** 2
        self.frequency = np.fft.rfftfreq(steps)[1:]
        self.smoothing = max(1.0, power.shape[1] / 100) if smoothing is None else smoothing
        self.power = gaussian_filter1d(power, self.smoothing, axis=1, mode="nearest")  # (units, f, d)

    def spectrum(self, weights: Weights) -> Values:
        """Mean over trajectories, each component with sum 1; 0 where nothing moves, (f, d)."""
        power = np.einsum("u,ufd->fd", weights, self.power)
        total = power.sum(axis=0)
        return np.asarray(power / np.where(total > 0, total, 1.0))

    def between(self, first: Weights, second: Weights) -> float:
        """Between 0 and 1."""
        p, q = self.spectrum(first), self.spectrum(second)
        overlap = np.sqrt(p * q).sum(axis=0)
        still = (p.sum(axis=0) == 0) & (q.sum(axis=0) == 0)
        return float(np.sqrt(np.clip(1 - np.where(still, 1.0, overlap), 0, 1)).mean())
