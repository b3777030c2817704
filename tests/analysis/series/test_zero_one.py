"""The 0-1 test: maps and series whose nature is known, and the formula of the paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.series.zero_one import ZeroOneTest, correlations, displacements
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from series_samples import henon_points, logistic_series, lorenz_points

STEP = np.arange(3000)


@pytest.mark.parametrize(("r", "verdict"), [(3.2, "regular"), (3.55, "regular"), (3.97, "chaotic"), (4.0, "chaotic")])
def test_logistic(r, verdict):
    result = lm.zero_one_test(lm.systems.logistic(r=r), [0.3], n_steps=3000, transient=1000, seed=0)
    assert result.verdict == verdict
    assert result.K < 0.1 if verdict == "regular" else result.K > 0.95


@pytest.mark.parametrize(
    ("series", "verdict"),
    [
        (henon_points(2000)[:, 0], "chaotic"),
        (np.cos(2 * np.pi * STEP * (5**0.5 - 1) / 2), "regular"),
        (lorenz_points(2000, 0.5)[0, :, 0], "chaotic"),
        (np.tile([0.0, 1.0], 500), "regular"),
    ],
)
def test_series(series, verdict):
    result = lm.zero_one_test(series, seed=1)
    assert result.verdict == verdict
    assert result.every == 1


def test_agrees_with_the_sign_of_the_exponent():
    for r in (3.5, 3.6, 3.83, 3.9):
        logistic = lm.systems.logistic(r=r)
        exponent = lm.lyapunov_spectrum(logistic, [0.3], n_steps=3000, transient=2000, seed=0).exponents[0]
        found = lm.zero_one_test(logistic, [0.3], n_steps=3000, transient=2000, seed=0)
        assert found.verdict == ("chaotic" if exponent > 0 else "regular")


def test_a_flow_sampled_finely_is_thinned_out():
    series = lorenz_points(3000, 0.05)[0, :, 0]
    result = lm.zero_one_test(series, seed=0)
    assert result.every > 1
    assert result.verdict == "chaotic"
    assert "sampled finely" in result.message
    slow = np.sin(0.05 * STEP)
    kept = lm.zero_one_test(slow, every=1, seed=0, throw=False)
    assert (kept.status, kept.verdict) == ("not_converged", "undetermined")
    assert "too finely" in kept.message
    with pytest.raises(RunError):
        lm.zero_one_test(slow, every=1, seed=0)
    short = lm.zero_one_test(slow[:600], every=10, seed=0, throw=False)
    assert "60 values are too few" in short.message


def test_displacements_against_the_definition():
    rng = np.random.default_rng(0)
    walks = np.cumsum(rng.normal(size=(3, 200)) + 1j * rng.normal(size=(3, 200)), axis=1)
    found = displacements(walks, 20)
    starts = 180
    for n in range(1, 21):
        expected = (np.abs(walks[:, n : n + starts] - walks[:, :starts]) ** 2).mean(axis=1)
        np.testing.assert_allclose(found[:, n - 1], expected)


@pytest.mark.parametrize("series", [logistic_series(2000), logistic_series(2000, r=3.55)])
def test_paper_formula_agrees(series):
    """G. A. Gottwald and I. Melbourne (2009), equations 2.1 to 3.2, with the mean left in the series."""
    frequencies = np.random.default_rng(0).uniform(np.pi / 5, 4 * np.pi / 5, 20)
    cut = len(series) // 10
    lags, j = np.arange(1, cut + 1), np.arange(1, len(series) + 1)
    expected = []
    for c in frequencies:
        p, q = np.cumsum(series * np.cos(j * c)), np.cumsum(series * np.sin(j * c))
        starts = len(series) - cut
        moved = [((p[n : n + starts] - p[:starts]) ** 2 + (q[n : n + starts] - q[:starts]) ** 2).mean() for n in lags]
        wave = series.mean() ** 2 * (1 - np.cos(lags * c)) / (1 - np.cos(c))
        expected.append(np.corrcoef(lags, np.array(moved) - wave)[0, 1])
    assert np.median(correlations(series, frequencies)) == pytest.approx(np.median(expected), abs=0.05)


@settings(max_examples=10)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-100, 100))
def test_offset_and_scale_do_not_matter(scale, shift):
    series = logistic_series(400)
    frequencies = np.linspace(0.7, 2.4, 5)
    found = correlations(scale * (series + shift), frequencies)
    np.testing.assert_allclose(found, correlations(series, frequencies), atol=1e-6)


def test_several_series_and_observables():
    henon = lm.systems.henon()
    x0 = henon.initial_states(3, 0)
    result = lm.zero_one_test(henon, x0, n_steps=600, transient=100, observable=1, n_frequencies=30, seed=0)
    assert result.K_per_frequency.shape == (3, 30)
    path = lm.trajectory(henon, x0, n_steps=600, transient=100)
    same = lm.zero_one_test(path, observable=lambda s: s[:, 1], n_frequencies=30, seed=0)
    np.testing.assert_array_equal(same.K_per_frequency, result.K_per_frequency)
    rows = lm.zero_one_test(path.states[..., 1], n_frequencies=30, seed=0)
    np.testing.assert_array_equal(rows.K_per_frequency, result.K_per_frequency)


def test_what_stands_still_is_regular_and_told():
    result = lm.zero_one_test(np.full(500, 0.7), seed=0)
    assert (result.K, result.verdict) == (0.0, "regular")
    assert "stands still" in result.message
    fixed = lm.zero_one_test(lm.systems.logistic(r=2.5), [0.3], n_steps=500, transient=500, seed=0)
    assert fixed.verdict == "regular"


def test_an_orbit_that_escapes():
    grow = lm.wrap(lambda x: 3 * x + 1, state_shape=1)
    result = lm.zero_one_test(grow, [1.0], n_steps=2000, seed=0, throw=False)
    assert (result.status, result.verdict) == ("escaped", "undetermined")
    with pytest.raises(RunError, match="escaped"):
        lm.zero_one_test(grow, [1.0], n_steps=2000, seed=0)


def test_ctrl_c():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lm.zero_one_test(logistic_series(300), seed=0, progress=stop)


@pytest.mark.parametrize(
    ("given_", "options", "words"),
    [
        ([1.0], {}, "at least 200"),
        (np.full(300, np.nan), {}, "not finite"),
        (np.zeros((2, 2, 300)), {}, "series: expected"),
        (["a"] * 300, {}, "real numbers"),
        (np.zeros(300), {"n_steps": 5}, "for maps"),
        (np.zeros(300), {"every": 0}, "every"),
        (np.zeros(300), {"n_frequencies": 0}, "n_frequencies"),
        (lm.systems.henon(), {}, "x0: a map needs"),
        (lm.systems.henon(), {"x0": [0.1, 0.1], "n_steps": 10}, "n_steps"),
        (lm.systems.henon(), {"x0": [0.1, 0.1], "observable": 2}, "observable"),
        (lm.systems.henon(), {"x0": [0.1, 0.1], "observable": lambda s: s}, "observable: expected"),
    ],
)
def test_bad_input(given_, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.zero_one_test(given_, **options)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_save_and_load(suffix, tmp_path):
    result = lm.zero_one_test(logistic_series(400), n_frequencies=10, seed=0)
    loaded = ZeroOneTest.load(result.save(tmp_path / f"r{suffix}"))
    assert loaded.to_dict() == result.to_dict()
    loaded.plot().savefig(tmp_path / "p.png", dpi=40)


def test_a_coordinate_that_grows_without_bound_gives_no_verdict() -> None:
    turning = lm.wrap(lambda s: np.stack([s[:, 0] + s[:, 1], s[:, 1]], axis=1), state_shape=2)
    z = lm.zero_one_test(turning, [0.0, 1.3], n_steps=2000, seed=0, throw=False)
    assert (z.verdict, z.status) == ("undetermined", "not_converged")
    assert "drifts" in z.message
    assert np.isnan(z.K)
    kept = lm.wrap(lambda s: np.stack([s[:, 0] + s[:, 1], s[:, 1]], axis=1), state_shape=2, periods={0: 2 * np.pi})
    assert lm.zero_one_test(kept, [0.0, 1.3], n_steps=2000, seed=0).verdict == "regular"
