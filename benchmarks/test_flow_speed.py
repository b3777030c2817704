"""pytest-benchmark cases of flows: `make bench-tests`."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.propagate import random_frame


@pytest.mark.parametrize("k", [1, 3])
def test_lorenz_of_256(benchmark, k):
    """256 trajectories x 200 steps of tau = 0.05, ten Runge-Kutta steps each, one QR decomposition."""
    m = lm.systems.lorenz()
    x = m.initial_states(256, 0)
    frame = random_frame(m, 256, k, np.random.default_rng(0), "float64")
    x, frame, _ = m.propagate(x, frame, 200, 1)
    benchmark(m.propagate, x, frame, 200, 1)
    benchmark.extra_info["ns_per_trajectory_substep"] = 1e9 * benchmark.stats.stats.min / (256 * 200 * 10)


def test_lorenz_largest_exponent_to_a_thousandth(benchmark):
    """By the public function: 256 trajectories for a time of 150 each, after 50."""
    m = lm.systems.lorenz()
    x0 = m.initial_states(256, 0)
    lm.lyapunov_spectrum(m, x0, n_steps=16, n_exponents=1, seed=0, throw=False)
    spectrum = benchmark(lm.lyapunov_spectrum, m, x0, n_steps=3000, transient=1000, n_exponents=1, seed=0)
    benchmark.extra_info["standard_error"] = float(spectrum.stderr[0])
    assert spectrum.stderr[0] < 1.2e-3
    assert abs(spectrum.exponents[0] - 0.9056) < 5e-3


def test_step_of_lorenz96(benchmark):
    """8 trajectories with all 40 tangents, and their QR."""
    m = lm.systems.lorenz96()
    x = m.initial_states(8, 0)
    frame = random_frame(m, 8, 40, np.random.default_rng(0), "float64")
    benchmark(m.propagate, x, frame, 10, 1)


@pytest.mark.parametrize(("n", "b", "k"), [(32, 8, 20), (32, 64, 10), (256, 8, 20)])
def test_step_of_kuramoto_sivashinsky(benchmark, n, b, k):
    """One step of tau = 0.25, five of the integrator, with tangents."""
    m = lm.systems.kuramoto_sivashinsky(length=22.0 * n / 32, n=n)
    x = m.initial_states(b, 0)
    frame = random_frame(m, b, k, np.random.default_rng(0), "float64")
    benchmark(m.jvp, x, frame)
    benchmark.extra_info["us_per_trajectory_substep"] = 1e6 * benchmark.stats.stats.min / (b * 5)


@pytest.mark.parametrize("method", [{"method": "dopri5"}, {"method": "rk4", "steps": 10}], ids=str)
def test_step_of_a_numpy_flow(benchmark, method):
    """Lorenz's field as a user writes it, 64 trajectories with 3 tangents over tau = 0.05."""

    def field(s):
        x, y, z = s[:, 0], s[:, 1], s[:, 2]
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)

    m = lm.flow(field, 0.05, state_shape=3, **method)
    x = lm.systems.lorenz().initial_states(64, 0)
    frame = random_frame(m, 64, 3, np.random.default_rng(0), "float64")
    benchmark(m.jvp, x, frame)
