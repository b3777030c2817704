"""Spectra against exact and published exponents, and one way to the same number against another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lyapmap as lm
from sample_maps import Henon, henon, orthogonal, torus_map

CAT = np.log((3 + np.sqrt(5)) / 2)
HENON, HENON_ERROR = (0.419251, -1.623224), 2.5e-5


def test_the_cat_map_has_its_exact_exponents() -> None:
    spectrum = lm.lyapunov_spectrum(torus_map([[2, 1], [1, 1]]), [0.1, 0.2], n_steps=500, transient=50, seed=0)
    np.testing.assert_allclose(spectrum.exponents, [CAT, -CAT], rtol=1e-12)
    assert spectrum.attractor == "chaotic"
    assert spectrum.kaplan_yorke == 2.0
    assert spectrum.entropy == pytest.approx(CAT)
    zero = pytest.approx(0, abs=1e-13)
    assert spectrum.sum_rule == {"sum": zero, "log_det": zero, "log_det_stderr": zero, "residual": zero, "steps": 500}


@pytest.mark.parametrize(("framework", "rotated"), [("torch", False), ("torch", True), ("numpy", True)])
def test_784_exponents_of_a_contraction_are_exact(framework: str, rotated: bool) -> None:
    exponents = np.linspace(-0.01, -3, 784)
    m = lm.systems.linear_map(exponents, rotated=rotated, seed=5, framework=framework)
    spectrum = lm.lyapunov_spectrum(m, np.zeros(784), n_steps=1, n_exponents="all", seed=0)
    np.testing.assert_allclose(spectrum.exponents, exponents, rtol=1e-6)
    assert (spectrum.status, spectrum.attractor) == ("ok", "fixed point")


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_leading_exponents_of_784_are_exact_once_the_frame_is_aligned(framework: str, rotated: bool) -> None:
    exponents = np.concatenate([[0.4, 0.1, -0.2], np.linspace(-0.6, -3, 781)])
    m = lm.systems.linear_map(exponents, rotated=rotated, seed=5, framework=framework)
    spectrum = lm.lyapunov_spectrum(
        lm.noisy(m, scale=1e-3), np.zeros(784), n_steps=20, transient=60, n_exponents=3, seed=0
    )
    np.testing.assert_allclose(spectrum.exponents, exponents[:3], rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_averages_along_a_chaotic_orbit_are_exact_where_the_derivative_is_constant(seed: int) -> None:
    exponents = np.array([0.5, 0.1, -0.4, -1.0])
    u = orthogonal(4, seed)
    m = torus_map(u @ np.diag(np.exp(exponents)) @ u.T)
    x0 = np.random.default_rng(seed).random((3, 4))
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=100, transient=100, seed=seed)
    assert spectrum.attractor == "chaotic"
    np.testing.assert_allclose(spectrum.exponents, exponents, rtol=1e-10)
    assert spectrum.kaplan_yorke == pytest.approx(3 + 0.2 / 1.0, rel=1e-9)


def test_the_henon_map_has_the_exponents_of_the_reference() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(32, 0)
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=4000, transient=200, seed=0)
    tolerance = 4 * np.hypot(spectrum.stderr, HENON_ERROR)
    assert (np.abs(spectrum.exponents - HENON) < tolerance).all()
    assert (spectrum.stderr < 2e-3).all()
    assert spectrum.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-9)
    assert spectrum.kaplan_yorke == pytest.approx(1.25828, abs=4 * spectrum.kaplan_yorke_stderr)
    assert spectrum.kaplan_yorke_verdict == "certified"
    assert spectrum.entropy == spectrum.exponents[0]
    assert spectrum.entropy_stderr == pytest.approx(spectrum.stderr[0])


DERIVATIVES: dict[str, Any] = {
    "a user's Jacobian": Henon(),
    "numpy, complex step": lm.wrap(henon, state_shape=2, backend="numpy"),
    "numpy, differences": lm.wrap(lambda x: henon(np.real(x)), state_shape=2, backend="numpy"),
    "torch": lm.wrap(
        lambda x: torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1),
        state_shape=2,
        backend="torch",
        dtype="float64",
    ),
    "numba": lm.systems.henon(),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_way_to_the_derivative_gives_the_same_exponents(name: str) -> None:
    # Few steps: rounding alone drives the orbits apart after about 80.
    found = lm.lyapunov_spectrum(DERIVATIVES[name], [0.1, 0.1], n_steps=40, seed=0)
    wanted = lm.lyapunov_spectrum(Henon(), [0.1, 0.1], n_steps=40, seed=0)
    np.testing.assert_allclose(found.exponents, wanted.exponents, atol=1e-7)
    np.testing.assert_allclose(found.final_state, wanted.final_state, atol=1e-7)


def test_a_network_has_the_same_spectrum_in_torch_and_numpy() -> None:
    x0 = np.random.default_rng(0).standard_normal((2, 200))
    spectra = [
        lm.lyapunov_spectrum(
            lm.systems.random_tanh_network(n=200, seed=1, framework=framework),
            x0,
            n_steps=50,
            transient=20,
            n_exponents=10,
            seed=0,
        )
        for framework in ("numpy", "torch")
    ]
    np.testing.assert_allclose(spectra[1].exponents, spectra[0].exponents, atol=1e-10)
    np.testing.assert_allclose(spectra[1].per_trajectory, spectra[0].per_trajectory, atol=1e-10)
    np.testing.assert_allclose(spectra[1].final_state, spectra[0].final_state, atol=1e-9)


def test_the_sum_rule_holds_for_a_network_whose_determinant_varies() -> None:
    m = lm.systems.random_tanh_network(n=20, g=2.5, seed=1)
    spectrum = lm.lyapunov_spectrum(m, m.initial_states(4, 0), n_steps=2000, transient=100, seed=0)
    rule = spectrum.sum_rule
    assert rule is not None
    assert rule["sum"] == pytest.approx(spectrum.exponents.sum())
    assert 0 < rule["log_det_stderr"] < 1
    assert abs(rule["sum"] - rule["log_det"]) < 4 * rule["log_det_stderr"]


def test_iterating_backwards_turns_the_spectrum_around() -> None:
    """The cat map and its inverse."""
    forward = lm.lyapunov_spectrum(torus_map([[2, 1], [1, 1]]), [0.1, 0.2], n_steps=200, transient=50, seed=0)
    backward = lm.lyapunov_spectrum(torus_map([[1, -1], [-1, 2]]), [0.1, 0.2], n_steps=200, transient=50, seed=0)
    np.testing.assert_allclose(forward.exponents, -backward.exponents[::-1], rtol=1e-12)


def test_intervals_of_two_errors_cover_the_exponent_in_about_95_of_100_runs() -> None:
    m = lm.systems.henon()
    inside = []
    for start in m.initial_states(100, 1):
        spectrum = lm.lyapunov_spectrum(m, start, n_steps=2000, transient=100, n_exponents=1, seed=0)
        inside.append(abs(spectrum.exponents[0] - HENON[0]) <= 1.96 * np.hypot(spectrum.stderr[0], HENON_ERROR))
    assert 0.9 <= np.mean(inside) <= 1.0
    assert not all(inside)


def dimension_per_unit(n: int, seeds: range, steps: int) -> np.ndarray:
    found = []
    for seed in seeds:
        m = lm.systems.random_tanh_network(n=n, g=1.5, seed=seed)
        spectrum = lm.lyapunov_spectrum(m, m.initial_states(1, seed), n_steps=steps, transient=steps, seed=0)
        assert spectrum.kaplan_yorke_verdict == "certified"
        assert spectrum.attractor == "chaotic"
        found.append(spectrum.kaplan_yorke / n)
    return np.array(found)


def test_the_dimension_of_random_networks_is_near_that_of_the_reference() -> None:
    # 0.16511 for n = 4096; a network of 200 units scatters by a third and is smaller on average.
    found = dimension_per_unit(200, range(3), 300)
    assert ((found > 0.08) & (found < 0.2)).all()
    assert 0.1 < found.mean() < 0.18


@pytest.mark.slow
def test_the_dimension_of_large_random_networks_is_that_of_the_reference() -> None:
    found = dimension_per_unit(784, range(4), 300)
    assert found.mean() == pytest.approx(0.16511, abs=4 * found.std(ddof=1) / 2)
    assert found.mean() == pytest.approx(0.16511, rel=0.15)
