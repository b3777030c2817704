"""pytest-benchmark cases: `make bench-tests`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.models.cycle.network import CycleConfig, Generator


@pytest.mark.parametrize("name", ["logistic", "henon", "ikeda", "folded_towel"])
def test_ensemble_of_256_full_spectrum(benchmark, name):
    """256 trajectories x 4096 steps through the public function."""
    system = lm.systems.create(name)
    x0 = system.initial_states(256, 0)
    lm.lyapunov_spectrum(system, x0, n_steps=16, seed=0)
    spectrum = benchmark(lm.lyapunov_spectrum, system, x0, n_steps=4096, seed=0, throw=False)
    benchmark.extra_info["ns_per_trajectory_step"] = 1e9 * benchmark.stats.stats.median / (256 * 4096)
    assert np.isfinite(spectrum.exponents).all()


def test_numpy_function_by_complex_step(benchmark):
    """64 trajectories x 256 steps of a plain NumPy Hénon map."""

    def henon(s):
        return np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1)

    m = lm.wrap(henon, state_shape=2)
    benchmark(lm.lyapunov_spectrum, m, np.full((64, 2), 0.1), n_steps=256, seed=0)


@pytest.mark.parametrize("width", [32, 64])
def test_step_of_the_cycle_generator(benchmark, width):
    """One step of 8 trajectories with 16 tangents each, and its QR."""
    torch.manual_seed(0)
    m = lm.wrap(Generator(CycleConfig(width=width)).eval(), state_shape=(1, 28, 28))
    x = torch.rand(8, 784) * 2 - 1
    frame, _ = torch.linalg.qr(torch.randn(8, 784, 16))
    benchmark(lambda: m.ops.qr(m.jvp(x, frame)[1]))


@pytest.mark.parametrize("width", [32, 64])
def test_forward_passes_of_the_cycle_generator(benchmark, width):
    """What the step above is compared with: 128 forward passes."""
    torch.manual_seed(0)
    generator = Generator(CycleConfig(width=width)).eval()
    images = torch.rand(128, 1, 28, 28) * 2 - 1
    with torch.no_grad():
        benchmark(generator, images)
