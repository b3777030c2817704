"""Delay, dimension and delay vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyapmap.analysis.series.delays import (
    autocorrelation,
    cao,
    choose_delay,
    choose_dimension,
    decorrelation_time,
    embed_delay,
    mutual_information,
)
from lyapmap.core.errors import LyapmapError
from series_samples import henon_points, logistic_series, lorenz_points


@given(n=st.integers(10, 60), m=st.integers(1, 3), dimension=st.integers(1, 3), delay=st.integers(1, 4))
def test_every_entry_is_a_value_of_the_series(n, m, dimension, delay):
    series = np.arange(n * m, dtype=float).reshape(n, m)
    points = embed_delay(series, dimension=dimension, delay=delay)
    assert points.shape == (n - (dimension - 1) * delay, m * dimension)
    for row in (0, len(points) - 1):
        expected = [series[row + i * delay] for i in range(dimension)]
        np.testing.assert_array_equal(points[row], np.concatenate(expected))


def test_autocorrelation_against_the_definition():
    series = np.random.default_rng(0).normal(size=200).cumsum()
    centred = series - series.mean()
    expected = [(centred[: 200 - k] * centred[k:]).mean() / centred.var() for k in range(20)]
    np.testing.assert_allclose(autocorrelation(series, 19), expected, atol=1e-12)
    assert autocorrelation(np.full(50, 3.3), 5).tolist() == [1.0] * 6


def test_decorrelation_of_a_known_process():
    """An autoregression x' = a x + noise has autocorrelation a^k."""
    rng, a = np.random.default_rng(1), 0.95
    x = np.zeros(40_000)
    for i in range(1, len(x)):
        x[i] = a * x[i - 1] + rng.normal()
    assert abs(decorrelation_time(x) - -1 / np.log(a)) < 3


def test_mutual_information_of_independent_and_equal_values():
    noise = np.random.default_rng(2).uniform(size=20_000)
    information = mutual_information(noise, 3)
    assert information[0] == pytest.approx(np.log(31), rel=0.02)
    assert information[1:].max() < 0.05


def test_delay_of_maps_and_waves():
    assert choose_delay(logistic_series(2000)) == 1
    assert choose_delay(henon_points(2000)[:, 0]) == 1
    period = 60
    wave = np.sin(2 * np.pi * np.arange(6000) / period * 1.0007)
    assert choose_delay(wave + 0.05 * np.random.default_rng(0).normal(size=6000)) in range(10, 21)


@pytest.mark.parametrize(
    ("series", "dimensions"),
    [
        (logistic_series(2000), (1, 2)),
        (henon_points(2000)[:, 0], (2,)),
        (lorenz_points(3000, 0.05)[0, :, 0], (3, 4, 5)),
    ],
)
def test_dimension(series, dimensions):
    delay = choose_delay(series)
    e1, e2 = cao(series, delay=delay, theiler=3 * delay)
    assert choose_dimension(e1) in dimensions
    assert np.abs(e2 - 1).max() > 0.2


def test_noise_shows_in_e2():
    e1, e2 = cao(np.random.default_rng(3).normal(size=1500), delay=1, theiler=3)
    assert np.abs(e2 - 1).max() < 0.1
    assert choose_dimension(e1) > 6


@pytest.mark.parametrize(
    ("series", "options", "words"),
    [
        ([1.0, 2.0], {"dimension": 3, "delay": 1}, "need 3, got 2"),
        ([1.0, np.inf], {"dimension": 1}, "value 1 is not finite"),
        ([], {"dimension": 1}, "series: expected"),
        (np.zeros((2, 2, 2)), {"dimension": 1}, "series: expected"),
        (["a"], {"dimension": 1}, "real numbers"),
        ([1.0, 2.0], {"dimension": 0}, "dimension"),
        ([1.0, 2.0], {"dimension": 1, "delay": 0}, "delay"),
    ],
)
def test_bad_input(series, options, words):
    with pytest.raises(LyapmapError, match=words):
        embed_delay(series, **options)
