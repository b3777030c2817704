"""Exponents of series: known maps and flows, honest errors, and series that have none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.series import exponent as module
from lyapmap.analysis.series.exponent import SeriesExponent
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from series_samples import henon_points, logistic_series, lorenz_points

HENON, LORENZ = 0.4192, 0.9056


@pytest.mark.parametrize("method", ["rosenstein", "kantz"])
def test_logistic_is_ln_2(method):
    result = lm.from_series(logistic_series(3000), method=method)
    assert abs(result.exponent - np.log(2)) < 3 * result.stderr
    assert result.stderr < 0.02


def test_henon_with_the_defaults_and_an_honest_error():
    found = [lm.from_series(henon_points(2000, seed)[:, 0]) for seed in range(6)]
    inside = sum(abs(r.exponent - HENON) < 2 * r.stderr for r in found)
    assert inside >= 5
    assert max(r.stderr for r in found) < 0.05


def test_henon_equals_the_tangents_of_its_map():
    henon = lm.systems.henon()
    path = lm.trajectory(henon, henon.initial_states(1, 0), n_steps=4000, transient=100)
    spectrum = lm.lyapunov_spectrum(henon, path.states[0, 0], n_steps=4000, seed=0)
    result = lm.from_series(path.states[0, :, 0])
    assert abs(result.exponent - spectrum.exponents[0]) < 3 * np.hypot(result.stderr, spectrum.stderr[0])


@pytest.mark.parametrize(("dt", "n"), [(0.02, 4000), (0.05, 3000)])
def test_lorenz_from_x_alone(dt, n):
    result = lm.from_series(lorenz_points(n, dt)[0, :, 0], dt=dt)
    assert abs(result.exponent - LORENZ) < 2 * result.stderr
    assert result.stderr < 0.25
    assert result.unit == "per unit time"
    assert result.delay > 1


def test_states_are_taken_as_they_are():
    result = lm.from_series(lorenz_points(2500, 0.05)[0], dt=0.05)
    assert (result.dimension, result.delay) == (1, 1)
    assert abs(result.exponent - LORENZ) < 2 * result.stderr


def test_time_unit_scales_the_exponent():
    series = henon_points(1500)[:, 0]
    steps, seconds = lm.from_series(series), lm.from_series(series, dt=0.1)
    assert seconds.exponent == pytest.approx(10 * steps.exponent)
    assert seconds.stderr == pytest.approx(10 * steps.stderr)


def test_curve_against_the_definition():
    """Mean log distance of each point and its nearest neighbour, by brute force."""
    series = logistic_series(300)
    result = lm.from_series(series, dimension=2, theiler=3, n_steps=6, throw=False)
    points = np.stack([series[:-1], series[1:]], axis=1)
    n = len(points) - 6
    table = np.linalg.norm(points[:n, None] - points[None, :n], axis=2)
    i = np.arange(n)
    table[np.abs(i[:, None] - i) <= 3] = np.inf
    j = table.argmin(axis=1)
    expected = [np.log(np.linalg.norm(points[i + t] - points[j + t], axis=1)).mean() for t in range(7)]
    np.testing.assert_allclose(result.curve, expected)


@settings(max_examples=6)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), sign=st.sampled_from([-1, 1]))
def test_the_unit_of_the_values_does_not_matter(scale, shift, sign):
    series = logistic_series(600)
    result = lm.from_series(series, throw=False)
    moved = lm.from_series(sign * scale * (series + shift), throw=False)
    assert moved.exponent == pytest.approx(result.exponent, abs=1e-6)
    np.testing.assert_allclose(moved.curve - result.curve, np.log(scale), atol=1e-6)


RNG = np.random.default_rng(0)
REGULAR = {
    "noise": RNG.normal(size=2000),
    "coloured noise": np.convolve(RNG.normal(size=3000), 0.8 ** np.arange(30))[:2000],
    "walk": RNG.normal(size=2000).cumsum(),
    "sine": np.sin(0.1 * np.arange(3000)),
    "noisy sine": np.sin(0.1 * np.arange(3000)) + 0.02 * RNG.normal(size=3000),
    "two waves": np.sin(0.1 * np.arange(3000)) + np.sin(0.1 * 2**0.5 * np.arange(3000)),
    "noisy logistic": logistic_series(2000) + 0.05 * RNG.normal(size=2000),
    "cycle": np.tile([0.0, 1.0, 3.0, 2.0], 200),
    "constant": np.ones(500),
}


@pytest.mark.parametrize("name", REGULAR)
def test_no_confident_exponent_where_there_is_none(name):
    result = lm.from_series(REGULAR[name], throw=False)
    assert result.status == "not_converged"
    assert result.message
    assert np.isnan([result.exponent, result.stderr]).all()
    with pytest.raises(RunError, match="not_converged"):
        lm.from_series(REGULAR[name])


def test_words_that_fit():
    assert "than a linear rule" in lm.from_series(REGULAR["noise"], throw=False).message
    assert "constant" in lm.from_series(REGULAR["constant"], throw=False).message
    assert "drifts" in lm.from_series(REGULAR["walk"], throw=False).message
    assert "4 different values" in lm.from_series(REGULAR["cycle"], throw=False).message
    assert "regular" in lm.from_series(REGULAR["sine"], throw=False).message


def test_given_options_are_used():
    series = logistic_series(800)
    result = lm.from_series(series, delay=2, dimension=3, theiler=5, window=(1, 5), n_steps=12, throw=False)
    assert (result.delay, result.dimension, result.theiler, result.window) == (2, 3, 5, (1.0, 5.0))
    assert result.steps[-1] == 12
    near = lm.from_series(series, radius=1e-3, throw=False)
    assert near.n_pairs < lm.from_series(series).n_pairs
    assert near.curve[0] < np.log(1e-3)


def test_ctrl_c(monkeypatch):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "followed", stop)
    with pytest.raises(Interrupted):
        lm.from_series(logistic_series(300))


@pytest.mark.parametrize(
    ("series", "options", "words"),
    [
        ([0.1], {}, "at least 200"),
        (np.full(300, np.nan), {}, "not finite"),
        (np.zeros((3, 3, 3)), {}, "series: expected"),
        (logistic_series(300), {"method": "wolf"}, "method: expected"),
        (logistic_series(300), {"delay": 0}, "delay"),
        (logistic_series(300), {"dimension": 40, "delay": 10}, "need"),
        (logistic_series(300), {"theiler": 140}, "need"),
        (logistic_series(300), {"window": (5, 2)}, "window"),
        (logistic_series(300), {"dt": -1}, "dt: expected a positive"),
        (logistic_series(300), {"radius": 0}, "radius"),
        (logistic_series(300), {"n_steps": 299}, "n_steps"),
        (logistic_series(300), {"n_neighbors": 0}, "n_neighbors"),
    ],
)
def test_bad_input(series, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.from_series(series, **options)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
@pytest.mark.parametrize("series", [logistic_series(500), np.ones(300)])
def test_save_and_load(series, suffix, tmp_path):
    result = lm.from_series(series, throw=False)
    loaded = SeriesExponent.load(result.save(tmp_path / f"r{suffix}"))
    assert loaded.to_dict() == result.to_dict()
    loaded.plot().savefig(tmp_path / "p.png", dpi=40)
