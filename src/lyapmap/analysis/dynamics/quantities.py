"""Numbers that a learned system and its reference each have: of observables, of symmetries, exponents, the dimension.

Each is a function of means over trajectories, so that trajectories that are exchanged or drawn anew give it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.kaplan_yorke import kaplan_yorke
from lyapmap.core.errors import LyapmapError, ShapeError

Values = NDArray[np.float64]

COMPONENTS = 3
"""Components that are observables of themselves where the user names none."""
LONGEST_LAG = 4
"""The longest lag is a trajectory's length over this."""


@dataclass(frozen=True)
class Quantity:
    """A number of a set of trajectories.

    Attributes
    ----------
    name : str
    means : (units, m)
        What each trajectory brings.
    value : callable
        The number, of the mean over trajectories (m,).
    """

    name: str
    means: Values
    value: Callable[[Values], float]

    def of(self, weights: Values) -> float:
        """The number of trajectories with weights (units,)."""
        return float(self.value(weights @ self.means / weights.sum()))


def of_observable(name: str, values: Values) -> list[Quantity]:
    """Mean, deviation and autocorrelation time of what is observed (units, T)."""
    # Sums of squares about a value in the middle lose no digits.
    middle = float(values.mean())
    lags = max(1, values.shape[1] // LONGEST_LAG)
    products = _products(values - middle, lags)
    first, square = (values - middle).mean(axis=1), products[:, 0]
    both = np.stack([first, square], axis=1)
    return [
        Quantity(f"mean of {name}", first[:, None], lambda m: middle + float(m[0])),
        Quantity(f"deviation of {name}", both, lambda m: float(np.sqrt(max(m[1] - m[0] ** 2, 0.0)))),
        Quantity(f"correlation time of {name}", np.concatenate([first[:, None], products], axis=1), _correlation_time),
    ]


def _products(values: Values, lags: int) -> Values:
    """Mean of x(t) x(t + lag) of each trajectory, (units, lags)."""
    steps = values.shape[1]
    transformed = np.fft.rfft(values, 2 * steps, axis=1)
    sums = np.fft.irfft(np.abs(transformed) ** 2, axis=1)[:, :lags]
    return np.asarray(sums / (steps - np.arange(lags)))


def _correlation_time(means: Values) -> float:
    """Steps, 1 + 2 sum of the autocorrelation up to where it first vanishes; NaN of what does not change."""
    covariance = means[1:] - means[0] ** 2
    if not covariance[0] > 1e-12 * abs(means[1]):
        return float("nan")
    correlation = covariance / covariance[0]
    negative = np.flatnonzero(correlation <= 0)
    end = int(negative[0]) if negative.size else len(correlation)
    return 1 + 2 * float(correlation[1:end].sum())


def of_symmetry(name: str, states: Values, images: Values) -> Quantity:
    """How far states (units, m, d) lie from their images under a symmetry: means and squares, in deviations.

    0 of a set that the symmetry maps onto itself.
    """
    values = np.concatenate([states - images, states**2 - images**2], axis=2).mean(axis=1)
    return Quantity(f"asymmetry under {name}", values, lambda m: float(np.sqrt((m**2).mean())))


def of_exponents(per_trajectory: Values) -> list[Quantity]:
    """Each exponent, and the dimension that they give where they do."""
    exponents = [
        Quantity(f"exponent {i + 1}", per_trajectory[:, i : i + 1], lambda m: float(m[0]))
        for i in range(per_trajectory.shape[1])
    ]
    return [*exponents, Quantity("Kaplan-Yorke dimension", per_trajectory, lambda m: float(kaplan_yorke(m)))]


def checked_functions(name: str, given: Mapping[str, Callable[[Any], Any]] | None) -> dict[str, Callable[[Any], Any]]:
    """Functions of states by their names."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(callable(function) for function in given.values()):
        raise LyapmapError(f"{name}: expected functions of states by name, such as {{'energy': f}}, got {given!r}")
    return {str(key): function for key, function in given.items()}


def observed(name: str, function: Callable[[Any], Any], states: Any) -> Values:
    """One number (b,) for each state."""
    values = np.asarray(function(states), np.float64)
    if values.shape not in ((len(states),), (len(states), 1)):
        raise ShapeError(
            f"observables: {name} gave {values.shape}, expected one number for each of {len(states)} states"
        )
    return values.reshape(len(states))


def mapped(name: str, function: Callable[[Any], Any], states: Any) -> Any:
    """Images of states (b, n) under a symmetry."""
    images = np.asarray(function(states))
    if images.shape != states.shape:
        raise ShapeError(f"symmetries: {name} made states {images.shape} of {states.shape}")
    return images
