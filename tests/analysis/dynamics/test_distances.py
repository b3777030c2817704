"""Distances against closed forms; what chance makes of many numbers; numbers of single trajectories."""

from __future__ import annotations

import numpy as np
import pytest

from lyapmap.analysis.dynamics.distances import (
    BinnedDivergence,
    MixtureDivergence,
    NeighborDivergence,
    SpectralDistance,
)
from lyapmap.analysis.dynamics.quantities import of_observable
from lyapmap.analysis.dynamics.resampling import adjusted, exchanged, labels

B = 8
REFERENCE = labels(B)[0] == 0


def gaussians(shift: float, d: int, steps: int = 100) -> np.ndarray:
    """Independent normal numbers, those of the model shifted along the first axis."""
    values = np.random.default_rng(3).normal(size=(3 * B, steps, d))
    values[:B, :, 0] += shift
    return values


@pytest.mark.parametrize("d", [1, 2, 4])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_neighbours_give_the_divergence_of_shifted_gaussians(d, shift):
    distance = NeighborDivergence(gaussians(shift, d), REFERENCE)
    assert distance.dimension == pytest.approx(d, rel=0.15)
    assert distance.of(labels(B)) == pytest.approx(shift**2 / 2, abs=0.15)
    assert distance.floor(labels(B)) == pytest.approx(0, abs=0.1)


def test_a_mixture_gives_the_divergence_of_wider_gaussians():
    """Of two normal distributions of variance 1 that a kernel of variance v makes wider: shift squared / 2 (1 + v)."""
    distance = MixtureDivergence(gaussians(1.0, 2), variance=0.5)
    assert distance.of(labels(B)) == pytest.approx(1 / (2 * 1.5), abs=0.08)


def test_bins_give_the_divergence_of_a_coin():
    coins = np.zeros((3 * B, 100, 1))
    coins[:, :50] = 1.0
    coins[:B, :75] = 1.0
    distance = BinnedDivergence(coins, REFERENCE, 2)
    exact = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    assert distance.of(labels(B)) == pytest.approx(exact, abs=1e-6)
    assert distance.floor(labels(B)) == pytest.approx(0, abs=1e-6)


def test_what_lies_outside_the_box_costs_the_smoothing():
    far = gaussians(1e6, 3)
    assert 10 < BinnedDivergence(far, REFERENCE, None).of(labels(B)) < 25


def test_spectra_of_two_tones_are_as_far_apart_as_can_be():
    t = np.arange(256)
    tones = np.empty((3 * B, 256, 1))
    tones[:B, :, 0] = np.cos(2 * np.pi * 0.1 * t)
    tones[B:, :, 0] = np.cos(2 * np.pi * 0.4 * t)
    distance = SpectralDistance(tones, 1.0)
    assert distance.of(labels(B)) == pytest.approx(1, abs=1e-3)
    assert distance.floor(labels(B)) == pytest.approx(0, abs=1e-6)
    still = np.concatenate([0 * tones[:B], tones[B:]])
    assert SpectralDistance(still, 1.0).of(labels(B)) == pytest.approx(1)
    assert SpectralDistance(0 * tones, 1.0).of(labels(B)) == 0


def test_an_autoregression_has_the_correlation_time_that_it_must():
    rng = np.random.default_rng(0)
    values = np.zeros((40, 3000))
    for i in range(1, 3000):
        values[:, i] = 0.8 * values[:, i - 1] + rng.normal(size=40)
    mean, deviation, time = of_observable("x", values[:, 200:] + 1e6)
    weights = np.ones(40)
    assert mean.of(weights) == pytest.approx(1e6, abs=0.1)
    assert deviation.of(weights) == pytest.approx(1 / 0.6, rel=0.02)
    assert time.of(weights) == pytest.approx(1.8 / 0.2, rel=0.08)
    assert np.isnan(of_observable("x", np.ones((40, 50)))[2].of(weights))


def test_of_many_differences_the_truth_is_called_different_as_seldom_as_was_asked():
    rng = np.random.default_rng(5)
    false = 0
    for _ in range(200):
        values = rng.normal(size=(3 * B, 12)) + rng.normal(size=(3 * B, 1))

        def difference(weights, values=values):
            return np.abs(weights[0] @ values - (weights[1] + weights[2]) @ values / 2)

        rows = [difference(labels(B)), *map(difference, exchanged(B, 60, rng))]
        false += bool((adjusted(np.stack(rows)) <= 0.1).any())
    assert 5 <= false <= 34  # 20 expected, within 3.5 deviations
    assert adjusted(np.zeros((50, 3))).tolist() == [1, 1, 1]
