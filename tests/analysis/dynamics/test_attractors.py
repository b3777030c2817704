"""Maps whose attractors and basins are known: Newton's fractal, Duffing, the magnetic pendulum, memories."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.dynamics.attractors import Attractors
from lyapmap.analysis.dynamics.basins import basin_entropy, uncertainty_exponent
from lyapmap.core.errors import LyapmapError, RunError

QUICK = {"n_exponents": 0, "seed": 0}


def newton(u):
    z = u[..., 0] + 1j * u[..., 1]
    z = z - (z**3 - 1) / (3 * z**2)
    return np.stack([z.real, z.imag], axis=-1)


@pytest.fixture(scope="module")
def fractal() -> Attractors:
    plane = lm.grid([-2.01, -2], [2, 2.013], (160, 160))
    return lm.attractors(lm.wrap(newton, state_shape=2), plane, transient=60, n_steps=16, **QUICK)


def test_newtons_method_has_three_roots_with_a_third_of_the_plane_each(fractal):
    roots = np.sort_complex(fractal.state[:, 0] + 1j * fractal.state[:, 1])
    np.testing.assert_allclose(roots, np.sort_complex(np.roots([1, 0, 0, -1])), atol=1e-6)
    np.testing.assert_allclose(fractal.share, 1 / 3, atol=0.04)
    assert fractal.kinds == ("fixed point",) * 3
    assert fractal.unseen == 0


def test_the_boundary_of_newtons_basins_has_the_published_dimension(fractal):
    assert 2 - fractal.uncertainty_exponent == pytest.approx(1.42, abs=0.07)
    assert fractal.uncertainty_exponent_stderr < 0.05
    assert fractal.boundary_entropy > 0.6


def test_a_result_is_saved_and_drawn(fractal, tmp_path):
    again = Attractors.load(fractal.save(tmp_path / "attractors.npz"))
    np.testing.assert_array_equal(again.basins, fractal.basins)
    assert "3" in repr(fractal)
    fractal.plot().canvas.draw()


def test_a_smooth_boundary_and_boxes_in_closed_form():
    rows, columns = np.indices((128, 128))
    alpha, error = uncertainty_exponent((rows + columns > 120).astype(np.int64))
    assert alpha == pytest.approx(1, abs=0.03)
    assert error < 0.05
    assert np.isnan(uncertainty_exponent(np.zeros((128, 128), np.int64))[0])
    checks = (rows + columns) % 2
    part = np.array([12, 13]) / 25
    assert basin_entropy(checks)[1] == pytest.approx(-(part @ np.log(part)), abs=1e-9)


def test_chaos_is_a_single_attractor_and_what_leaves_is_counted():
    henon = lm.systems.henon()
    result = lm.attractors(henon, region=([-2, -2], [2, 2]), n_starts=150, transient=300, exponent_steps=300, seed=1)
    assert result.kinds == ("chaotic",)
    assert 0 < result.escaped < 150
    assert result.exponents[0, 0] == pytest.approx(0.419, abs=0.05)
    assert result.share[0] == pytest.approx(1 - result.escaped / 150)


def duffing(u):
    """Stroboscopic map of x'' = x - x^3 - 0.15 x' + 0.2 cos t, by Runge-Kutta steps."""

    def field(t, x, v):
        return v, x - x**3 - 0.15 * v + 0.2 * np.cos(t)

    x, v, dt = u[..., 0], u[..., 1], 2 * np.pi / 60
    for i in range(60):
        a = field(i * dt, x, v)
        b = field((i + 0.5) * dt, x + a[0] * dt / 2, v + a[1] * dt / 2)
        c = field((i + 0.5) * dt, x + b[0] * dt / 2, v + b[1] * dt / 2)
        d = field((i + 1) * dt, x + c[0] * dt, v + c[1] * dt)
        x, v = x + (a[0] + 2 * b[0] + 2 * c[0] + d[0]) * dt / 6, v + (a[1] + 2 * b[1] + 2 * c[1] + d[1]) * dt / 6
    return np.stack([x, v], -1)


@pytest.mark.slow
def test_duffings_oscillator_has_two_attractors_that_mirror_each_other_in_size():
    """The example of Attractors.jl: omega = 1, f = 0.2, d = 0.15, beta = -1."""
    result = lm.attractors(
        lm.wrap(duffing, state_shape=2), region=([-2, -2], [2, 2]), n_starts=300, transient=150, n_steps=32, **QUICK
    )
    assert result.n_attractors == 2
    np.testing.assert_allclose(result.share, 0.5, atol=0.1)


@pytest.mark.slow
def test_the_magnetic_pendulum_comes_to_rest_over_each_of_three_magnets():
    angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
    magnets = np.stack([np.cos(angles), np.sin(angles)], 1)

    def field(u):
        away = magnets - u[..., None, :2]
        force = (away / (0.3**2 + (away**2).sum(-1, keepdims=True)) ** 1.5).sum(-2)
        return np.concatenate([u[..., 2:], -u[..., :2] - 0.2 * u[..., 2:] + force], -1)

    pendulum = lm.flow(field, 0.5, state_shape=4, method="rk4", steps=10)
    result = lm.attractors(
        pendulum, region=([-2, -2, -1e-9, -1e-9], [2, 2, 1e-9, 1e-9]), n_starts=300, transient=250, n_steps=16, **QUICK
    )
    assert result.n_attractors == 3
    np.testing.assert_allclose(result.share, 1 / 3, atol=0.12)


def test_memories_are_told_from_spurious_attractors():
    """A modern Hopfield network remembers patterns that are far apart, and merges two that are close."""
    rng = np.random.default_rng(0)
    patterns = rng.choice([-1.0, 1.0], (5, 60))
    patterns[4] = patterns[3]
    patterns[4, :4] *= -1

    def recall(x):
        scores = 0.1 * (x @ patterns.T)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        return weights / weights.sum(-1, keepdims=True) @ patterns

    result = lm.attractors(
        lm.wrap(recall, state_shape=60), rng.normal(size=(120, 60)) + patterns[rng.integers(5, size=120)],
        data=patterns, transient=300, n_steps=16, **QUICK,
    )  # fmt: skip
    kept = sorted(result.nearest_data[result.memorized].tolist())
    assert kept == [0, 1, 2]
    assert result.n_attractors == 4
    assert not result.memorized[np.isin(result.nearest_data, (3, 4))].any()


def test_two_attractors_in_a_thousand_dimensions():
    u = np.random.default_rng(1).normal(size=1000)
    u /= np.linalg.norm(u)
    wells = lm.wrap(lambda x: np.tanh(2 * (x @ u))[..., None] * u, state_shape=1000)
    starts = np.random.default_rng(2).normal(size=(80, 1000))
    result = lm.attractors(wells, starts, transient=100, n_steps=16, **QUICK)
    assert result.n_attractors == 2
    side = (starts @ u > 0).astype(int)
    assert len({*zip(side.tolist(), result.label.tolist(), strict=True)}) == 2


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((lm.systems.henon(), [0, 0]), {"region": (0, 1)}, "x0 and region: expected one of them, got both"),
        ((lm.wrap(np.tanh, state_shape=2),), {}, r"region: expected a box to start from"),
        ((lm.systems.henon(),), {"region": (1, 0)}, "region: expected finite low < high"),
        ((lm.systems.henon(),), {"n_steps": 5}, "n_steps: expected at least 16, got 5"),
        ((lm.systems.henon(),), {"separation": 0}, "separation: expected a positive number"),
        ((lm.systems.henon(),), {"data": np.zeros((9, 3))}, r"data: expected at least 2 samples of 2 values"),
        ((lm.noisy(lm.systems.henon(), scale=0.1),), {}, "map: a map that depends on the step"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line(arguments, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.attractors(*arguments, **options)


def test_nothing_is_left_where_all_starts_escape():
    with pytest.raises(RunError, match="all starts escape"):
        lm.attractors(lm.wrap(lambda x: x**2 + 2, state_shape=1), [[2.0], [3.0]], transient=50)
