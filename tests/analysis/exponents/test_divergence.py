"""The largest exponent from neighbouring trajectories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.exponents.straight import find_line, least_squares_slopes, line_through, slope_error
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.core.map import SameTangents
from sample_maps import Henon, Linear, logistic, rotation, tent

CAT = np.log((3 + np.sqrt(5)) / 2)
KNOWN = {"henon": 0.419251, "logistic": np.log(2), "ikeda": 0.507595}


@pytest.mark.parametrize("method", ["fit", "rescaled"])
@pytest.mark.parametrize("name", KNOWN)
def test_published_exponents_lie_within_the_error(name: str, method: str) -> None:
    m = lm.systems.create(name)
    found = lm.divergence(m, m.initial_states(100, 1), transient=500, method=method, seed=0)
    assert found.status == "ok"
    assert abs(found.exponent - KNOWN[name]) < 3.5 * found.stderr < 0.04
    assert found.unit == "per step"


@pytest.mark.parametrize("direction", ["neighbour", "random", "tangent"])
def test_two_trajectories_and_a_tangent_agree(direction: str) -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(30, 3)
    tangent = lm.lyapunov_spectrum(m, x0, n_steps=1000, transient=300, n_exponents=1, seed=0).exponents[0]
    pairs = lm.divergence(m, x0, n_steps=1000, transient=250, direction=direction, method="rescaled", seed=0)
    assert abs(pairs.exponent - tangent) < 4 * pairs.stderr < 0.02


def test_the_growth_of_a_linear_torus_map_is_exact() -> None:
    m = lm.systems.arnold_cat()
    found = lm.divergence(m, m.initial_states(5, 0), method="rescaled", n_steps=200, seed=0)
    assert found.exponent == pytest.approx(CAT, abs=1e-5)
    fitted = lm.divergence(m, m.initial_states(5, 0), window=(5, 15), direction="random", seed=0)
    assert fitted.exponent == pytest.approx(CAT, abs=1e-3)
    assert fitted.window == (5, 15)


def test_errors_cover_the_true_exponent_as_often_as_they_say() -> None:
    m = lm.systems.henon()
    scores = []
    for repeat in range(50):
        x0 = m.initial_states(20, 500 + repeat)
        found = lm.divergence(m, x0, transient=200, direction="random", seed=repeat)
        scores.append((found.exponent - KNOWN["henon"]) / found.stderr)
    assert 0.85 <= np.mean(np.abs(scores) < 1.96) <= 1.0
    assert 0.7 < np.std(scores) < 1.5


def test_single_precision_finds_the_exponent_of_a_small_network() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(12, 12, bias=False)
    with torch.no_grad():
        network.weight.copy_(2.5 * torch.randn(12, 12) / 12**0.5)
    m = lm.wrap(torch.nn.Sequential(network, torch.nn.Tanh()).eval(), state_shape=(12,))
    assert m.ops.dtype == "float32"
    x0 = np.random.default_rng(0).uniform(-1, 1, (20, 12))
    tangent = lm.lyapunov_spectrum(m, x0, n_steps=150, transient=60, n_exponents=1, seed=0)
    found = lm.divergence(m, x0, n_steps=150, transient=60, direction="random", method="rescaled", seed=0)
    assert found.size > 50 * np.finfo(np.float32).eps
    assert abs(found.exponent - tangent.exponents[0]) < 5 * np.hypot(found.stderr, tangent.stderr[0]) + 1e-3


def test_contraction_is_followed_down_to_rounding() -> None:
    m = Linear(0.6 * rotation(0.3))
    x0 = np.random.default_rng(0).standard_normal((6, 2)) + 3
    found = lm.divergence(m, x0, direction="random", seed=0)
    assert found.exponent == pytest.approx(np.log(0.6), abs=1e-3)
    assert found.window[1] < 100
    rescaled = lm.divergence(m, x0, direction="random", method="rescaled", n_steps=50, seed=0)
    assert rescaled.exponent == pytest.approx(np.log(0.6), abs=1e-3)


def test_a_superstable_cycle_has_no_exponent_and_says_so() -> None:
    for method in ("fit", "rescaled"):
        found = lm.divergence(
            logistic(2.0), [[0.3], [0.4]], transient=20, direction="random", method=method, throw=False
        )
        assert (found.status, found.failed) == ("unresolved", True)
        assert np.isnan(found.exponent)
        assert found.message


def test_a_rotation_neither_grows_nor_shrinks() -> None:
    found = lm.divergence(Linear(rotation(0.7)), [[1.0, 0.0], [0.0, 2.0]], direction="random", n_steps=200, seed=0)
    assert found.exponent == pytest.approx(0, abs=1e-6)


def test_distance_that_grows_like_the_step_is_no_exponent() -> None:
    shear = Linear([[1.0, 1.0], [0.0, 1.0]])
    x0 = np.random.default_rng(0).standard_normal((10, 2)) * [1, 0]
    found = lm.divergence(shear, x0, direction="random", n_steps=400, seed=0, throw=False)
    assert found.status == "not_converged"
    assert "slope" in found.message


def test_orbits_that_died_of_rounding_are_refused() -> None:
    x0 = np.random.default_rng(0).random((10, 1))
    for method in ("fit", "rescaled"):
        found = lm.divergence(
            tent(), x0, transient=100, direction="random", method=method, n_steps=30, seed=0, throw=False
        )
        assert found.status == "collapsed"
        assert np.isnan(found.exponent)


def test_an_unstable_fixed_point_on_which_the_orbit_starts_is_a_true_one() -> None:
    found = lm.divergence(logistic(4.0), [[0.75], [0.75]], direction="random", n_steps=25, seed=0)
    assert found.exponent == pytest.approx(np.log(2), abs=2e-3)


def test_escape_is_told() -> None:
    with pytest.raises(RunError, match="escaped"):
        lm.divergence(Henon(), [[5.0, 5.0], [6.0, 5.0]], direction="random", n_steps=50)
    found = lm.divergence(Henon(), [[5.0, 5.0], [6.0, 5.0]], transient=50, n_steps=50, throw=False)
    assert (found.status, np.isnan(found.exponent)) == ("escaped", True)


def test_copies_of_a_trajectory_count_as_one() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(10, 5)
    once = lm.divergence(m, x0, transient=100, window=(5, 35), direction="neighbour", seed=0)
    thrice = lm.divergence(m, np.repeat(x0, 3, axis=0), transient=100, window=(5, 35), direction="neighbour", seed=0)
    assert thrice.stderr == pytest.approx(once.stderr, rel=1e-6)
    assert thrice.exponent == pytest.approx(once.exponent, rel=1e-9)


def test_one_pair_over_few_steps_has_no_error_bar() -> None:
    options = {"transient": 100, "window": (2, 10), "direction": "random", "seed": 0}
    found = lm.divergence(lm.systems.henon(), [0.1, 0.1], throw=False, **options)
    assert found.stderr == np.inf
    assert (found.status, found.cause) == ("not_converged", "too_short")
    assert "error bar" in found.message
    with pytest.raises(RunError, match="give more initial states, or more steps"):
        lm.divergence(lm.systems.henon(), [0.1, 0.1], **options)


def test_pairs_that_part_like_a_power_of_time_have_a_rate_no_more_certain_than_large() -> None:
    twist = lm.wrap(lambda s: np.stack([s[:, 0] + s[:, 1], s[:, 1]], axis=1), state_shape=2)
    x0 = np.random.default_rng(0).random((8, 2))
    found = lm.divergence(twist, x0, method="rescaled", direction="random", n_steps=500, seed=0)
    assert found.exponent > 0
    assert found.stderr >= found.exponent


def test_both_trajectories_of_a_pair_feel_the_same_noise() -> None:
    m = lm.noisy(Linear(2.0 * np.eye(2)), scale=0.1)
    found = lm.divergence(m, np.ones((4, 2)) * np.arange(1, 5)[:, None], direction="random", window=(0, 12), seed=0)
    np.testing.assert_allclose(found.per_trajectory, np.log(2), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"direction": "up"}, "direction"),
        ({"method": "guess"}, "method"),
        ({"size": 0.0}, "size"),
        ({"size": 1e-17}, "size"),
        ({"window": (5, 6)}, "window"),
        ({"window": "some"}, "window"),
        ({"window": (2, 30), "n_steps": 20}, "window"),
        ({"window": (2, 30), "method": "rescaled"}, "window"),
        ({"n_steps": 0}, "n_steps"),
        ({"transient": -1}, "transient"),
        ({"renormalize_every": 0}, "renormalize_every"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(LyapmapError, match=named):
        lm.divergence(Henon(), [[0.1, 0.1], [0.2, 0.1]], **options)


@pytest.mark.parametrize("x0", [[[0.1, 0.1]], [[0.1, 0.1], [0.1, 0.1]]])
def test_a_neighbour_needs_another_state(x0: Any) -> None:
    with pytest.raises(LyapmapError, match="at least 2 states that differ"):
        lm.divergence(Henon(), x0)


def test_bad_states_are_refused() -> None:
    for x0 in ([[0.1, np.nan]], [[0.1, 0.2, 0.3]], np.zeros((0, 2))):
        with pytest.raises(LyapmapError, match="x0"):
            lm.divergence(Henon(), x0)


def test_too_large_a_size_leaves_no_window() -> None:
    m = lm.systems.arnold_cat()
    options: dict[str, Any] = {"transient": 20, "size": 0.3, "direction": "random", "seed": 0, "throw": False}
    found = lm.divergence(m, m.initial_states(8, 0), **options)
    assert (found.status, found.window) == ("unresolved", ())
    rescaled = lm.divergence(m, m.initial_states(8, 0), method="rescaled", n_steps=50, **options)
    assert rescaled.status == "not_converged"
    assert "lower size" in rescaled.message


@pytest.mark.parametrize("method", ["fit", "rescaled"])
def test_an_interrupt_brings_what_was_done(method: str) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 70:
            raise KeyboardInterrupt

    m = lm.systems.arnold_cat()
    with pytest.raises(Interrupted) as caught:
        lm.divergence(m, m.initial_states(5, 0), n_steps=100, method=method, progress=stop)
    assert caught.value.result.status == "not_converged"
    assert "interrupted after 70 steps" in caught.value.result.message


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_result_survives_its_file(suffix: str, tmp_path: Any) -> None:
    m = lm.systems.henon()
    found = lm.divergence(m, m.initial_states(8, 0), transient=100, seed=0)
    again = lm.Divergence.load(found.save(tmp_path / f"d{suffix}"))
    assert again.to_dict() == found.to_dict()
    assert again.window == found.window


@given(st.floats(0.15, 0.9), st.integers(0, 1000))
@settings(max_examples=20)
def test_the_line_is_found_between_bend_and_plateau(rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(120)
    clean = np.minimum(-24 + rate * t + 2 * np.exp(-t / 3), 0.0)
    curves = clean + 0.02 * rng.standard_normal((30, 120))
    line = find_line(curves, np.arange(30), low=-40, high=-2)
    assert line is not None
    assert line.straight
    assert line.last <= (22 + 1) / rate + 3
    assert line.slopes.mean() == pytest.approx(rate, abs=0.01)


@given(st.integers(2, 30), st.integers(0, 100))
@settings(max_examples=20)
def test_slopes_are_those_of_a_polynomial_fit(length: int, seed: int) -> None:
    curves = np.random.default_rng(seed).standard_normal((3, length + 5))
    expected = np.polyfit(np.arange(2, length + 3), curves[:, 2 : length + 3].T, 1)[0]
    np.testing.assert_allclose(least_squares_slopes(curves, 2, length + 2), expected, atol=1e-9)


def test_the_error_of_few_curves_is_wider_than_their_spread() -> None:
    curves = np.array([[0.0, 1, 2, 3], [0.0, 2, 4, 6]])
    line = line_through(curves, np.arange(2), 0, 3)
    assert slope_error(curves, np.arange(2), line) > line.slopes.std(ddof=1) / np.sqrt(2)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_scaling_a_linear_map_shifts_its_exponent(seed: int) -> None:
    rng = np.random.default_rng(seed)
    q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    scale = rng.uniform(1.1, 2.0)
    found = lm.divergence(
        Linear(scale * q), rng.standard_normal((3, 3)), direction="random", window=(0, 20), size=1e-9, seed=seed
    )
    np.testing.assert_allclose(found.per_trajectory, np.log(scale), atol=1e-4)


class HalfTime(SameTangents):
    time_per_step = 0.5
    is_flow = True


def test_exponents_of_a_flow_are_per_unit_time() -> None:
    m = HalfTime(lm.systems.henon())
    x0 = lm.systems.henon().initial_states(20, 0)
    found = lm.divergence(m, x0, transient=100, window=(0, 30), seed=0)
    plain = lm.divergence(lm.systems.henon(), x0, transient=100, window=(0, 30), seed=0)
    assert found.exponent == pytest.approx(2 * plain.exponent)
    assert found.stderr == pytest.approx(2 * plain.stderr)
    assert found.unit == "per unit time"
