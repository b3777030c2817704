"""The flows of the catalogue: exact solutions, symmetries, published exponents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import lyapmap as lm
from lyapmap import systems
from lyapmap.core.propagate import log_abs_det, propagate, random_frame, step_states
from lyapmap.systems import spectral_flows


def velocity(name):
    """The vector fields, written once more in plain NumPy."""
    return {
        "lorenz": lambda s: np.array([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]),
        "rossler": lambda s: np.array([-s[1] - s[2], s[0] + 0.2 * s[1], 0.2 + s[2] * (s[0] - 5.7)]),
        "lorenz96": lambda s: (np.roll(s, -1) - np.roll(s, 2)) * np.roll(s, 1) - s + 8,
    }[name]


@pytest.mark.parametrize(("name", "tolerance"), [("lorenz", 1e-6), ("rossler", 1e-8), ("lorenz96", 2e-3)])
def test_a_step_is_that_of_another_solver(name, tolerance):
    m = systems.create(name)
    x = step_states(m, m.initial_states(3, 0), n_steps=20)
    field = velocity(name)
    for start, end in zip(x, m.apply(x), strict=True):
        span = (0, m.time_per_step)
        other = solve_ivp(lambda t, s: field(s), span, start, method="DOP853", rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(end, other.y[:, -1], atol=tolerance)


@pytest.mark.parametrize("name", ["lorenz", "rossler", "lorenz96", "kuramoto_sivashinsky"])
def test_steps_are_of_order_four(name):
    x = step_states(systems.create(name), systems.create(name).initial_states(4, 1), n_steps=40)
    v = np.random.default_rng(0).standard_normal((4, x.shape[1], 2))
    steps = {"lorenz96": 8, "kuramoto_sivashinsky": 16}.get(name, 10)
    exact, tangents = systems.create(name, tau=0.2, steps=16 * steps).jvp(x, v)
    errors = []
    for factor in (1, 2):
        y, u = systems.create(name, tau=0.2, steps=factor * steps).jvp(x, v)
        errors.append([np.abs(y - exact).max(), np.abs(u - tangents).max()])
    orders = np.log2(np.array(errors)[0] / np.array(errors)[1])
    assert (np.abs(orders - 4) < 0.4).all(), orders


@pytest.mark.parametrize(("name", "tolerance"), [("lorenz", 3e-5), ("rossler", 3e-5), ("lorenz96", 1e-2)])
def test_volumes_shrink_by_the_divergence(name, tolerance):
    """The integral of the trace against determinants of the steps, which share nothing but the states."""
    m = systems.create(name)
    x = step_states(m, m.initial_states(3, 0), n_steps=20)
    expected, y = np.zeros(3), x
    for _ in range(4):
        expected += np.linalg.slogdet(m.jacobian(y))[1]
        y = m.apply(y)
    found = log_abs_det(m, x, n_steps=4)
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert np.abs(found - expected).max() < 4 * m.log_abs_det_tolerance


def test_lorenz_contracts_by_its_divergence():
    m = systems.lorenz()
    x = step_states(m, m.initial_states(16, 0), n_steps=100)
    found = log_abs_det(m, x, n_steps=500) / (500 * m.time_per_step)
    np.testing.assert_allclose(found, -(10 + 1 + 8 / 3), atol=3e-5)


@pytest.mark.parametrize(("name", "steps"), [("lorenz", 20_000), ("rossler", 5_000)])
def test_published_exponents_per_unit_time(name, steps):
    m = systems.create(name)
    spectrum = lm.lyapunov_spectrum(m, m.initial_states(32, 2), n_steps=steps, transient=1000, seed=0)
    error = np.hypot(spectrum.stderr, m.known.standard_error)
    assert (np.abs(spectrum.exponents - m.known_exponents) < 4 * error).all(), (spectrum.exponents, error)
    assert (spectrum.stderr < 3e-3).all()
    assert spectrum.unit == m.info.unit == "per unit time"
    assert abs(spectrum.exponents[1]) < 4 * spectrum.stderr[1] + 1e-4  # along the flow
    published = {"lorenz": 2.06215, "rossler": 2.0132}[name]
    assert abs(spectrum.kaplan_yorke - published) < 4 * spectrum.kaplan_yorke_stderr + 5e-5


def test_exponents_do_not_depend_on_tau():
    found = []
    for tau, steps in ((0.05, 10), (0.2, 40)):
        m = systems.lorenz(tau=tau, steps=steps)
        x = np.array([[1.0, 2.0, 20.0]])
        frame = random_frame(m, 1, 3, np.random.default_rng(0), "float64")
        found.append(propagate(m, x, frame, n_steps=round(8 / tau)).log_growth / 8)
    np.testing.assert_allclose(found[0], found[1], atol=1e-7)


def test_lorenz_settles_on_a_fixed_point_below_its_bifurcation():
    m = systems.lorenz(rho=0.5)
    x = step_states(m, m.initial_states(4, 0), n_steps=2000)
    np.testing.assert_allclose(x, 0, atol=1e-12)
    jacobian = np.array([[-10.0, 10.0, 0.0], [0.5, -1.0, 0.0], [0.0, 0.0, -8 / 3]])
    exact = np.sort(np.linalg.eigvals(jacobian).real)[::-1]
    frame = random_frame(m, 4, 3, np.random.default_rng(0), "float64")
    settled = propagate(m, x, frame, n_steps=200)
    growth = propagate(m, settled.x, settled.frame, n_steps=100).log_growth / (100 * m.time_per_step)
    np.testing.assert_allclose(growth, np.tile(exact, (4, 1)), atol=1e-6)


def test_small_rings_are_those_written_out():
    m = systems.lorenz96(n=4, tau=1e-6, steps=1)
    x = np.array([[1.0, 2.0, 3.0, 5.0]])
    slope = (m.apply(x) - x) / 1e-6
    np.testing.assert_allclose(
        slope, [[(2 - 3) * 5 - 1 + 8, (3 - 5) * 1 - 2 + 8, (5 - 1) * 2 - 3 + 8, (1 - 2) * 3 - 5 + 8]], atol=1e-4
    )


def fourier(profile, modes):
    """States of a profile (b, n)."""
    c = np.fft.rfft(profile, axis=1)[:, 1 : modes + 1] / profile.shape[1]
    return np.sqrt(2) * np.stack([c.real, c.imag], axis=2).reshape(len(profile), -1)


def test_profiles_hold_the_norm():
    m = systems.kuramoto_sivashinsky()
    x = m.initial_states(5, 0)
    u = systems.kuramoto_sivashinsky_profile(x, 64)
    assert u.shape == (5, 64)
    np.testing.assert_allclose(np.sqrt((u**2).mean(axis=1)), np.linalg.norm(x, axis=1))
    np.testing.assert_allclose(u.mean(axis=1), 0, atol=1e-14)
    np.testing.assert_allclose(fourier(u, 10), x, atol=1e-13)


def test_the_equation_is_that_of_finite_differences():
    """A short step against the right-hand side by differences on a fine grid."""
    length, points = 22.0, 512
    m = systems.kuramoto_sivashinsky(length=length, n=64, tau=1e-5, steps=1)
    grid = length * np.arange(points) / points
    u = (np.cos(2 * np.pi * grid / length) + 0.5 * np.sin(4 * np.pi * grid / length))[None]
    h = length / points

    def slope(f, by):
        return (np.roll(f, -by, axis=1) - np.roll(f, by, axis=1)) / (2 * by * h)

    second = (np.roll(u, -1, axis=1) - 2 * u + np.roll(u, 1, axis=1)) / h**2
    fourth = (np.roll(second, -1, axis=1) - 2 * second + np.roll(second, 1, axis=1)) / h**2
    expected = -u * slope(u, 1) - second - fourth
    x = fourier(u, 21)
    found = systems.kuramoto_sivashinsky_profile((m.apply(x) - x) / 1e-5, points)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_transforms_and_matrices_agree(monkeypatch):
    for n in (32, 33):
        by_matrices = systems.kuramoto_sivashinsky(n=n)
        monkeypatch.setattr(spectral_flows, "MATRICES_UP_TO", 0)
        by_transforms = systems.kuramoto_sivashinsky(n=n)
        monkeypatch.undo()
        x = by_matrices.initial_states(3, 0)
        v = np.random.default_rng(0).standard_normal((*x.shape, 4))
        for ours, theirs in zip(by_matrices.jvp(x, v), by_transforms.jvp(x, v), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-13)


def test_kuramoto_sivashinsky_moves_with_its_frame():
    """Shifted in space, and mirrored with the sign changed, solutions stay solutions."""
    m = systems.kuramoto_sivashinsky()
    x = step_states(m, m.initial_states(3, 0), n_steps=40)
    modes = x.reshape(3, -1, 2)
    c = modes[..., 0] + 1j * modes[..., 1]

    def states(c):
        return np.stack([c.real, c.imag], axis=2).reshape(3, -1)

    turn = np.exp(1j * 0.7 * np.arange(1, c.shape[1] + 1))
    y = m.apply(x).reshape(3, -1, 2)
    y = y[..., 0] + 1j * y[..., 1]
    np.testing.assert_allclose(m.apply(states(c * turn)), states(y * turn), atol=1e-12)
    np.testing.assert_allclose(m.apply(states(-c.conj())), states(-y.conj()), atol=1e-12)


def test_a_short_domain_is_linear():
    """Below length 2 pi every mode is damped, at the rate q^4 - q^2 when it is small."""
    length = 5.0
    m = systems.kuramoto_sivashinsky(length=length, n=10, tau=0.05, steps=2)
    x = 1e-9 * m.initial_states(2, 0)
    frame = np.broadcast_to(np.eye(6), (2, 6, 6)).copy()
    growth = propagate(m, x, frame, n_steps=4).log_growth / 0.2
    q = 2 * np.pi / length * np.arange(1, 4)
    np.testing.assert_allclose(growth, np.tile(np.repeat(q**2 - q**4, 2), (2, 1)), rtol=1e-7)


def test_kuramoto_sivashinsky_has_two_exponents_that_are_zero():
    """Shifts in time and space are tangents that neither grow nor shrink."""
    m = systems.kuramoto_sivashinsky()
    x = step_states(m, m.initial_states(2, 0), n_steps=400)
    modes = x.reshape(2, -1, 2)
    number = np.arange(1, modes.shape[1] + 1)
    shift = np.stack([-number * modes[..., 1], number * modes[..., 0]], axis=2).reshape(2, -1)
    y, carried = m.jvp(x, shift[:, :, None])
    modes = y.reshape(2, -1, 2)
    expected = np.stack([-number * modes[..., 1], number * modes[..., 0]], axis=2).reshape(2, -1)
    np.testing.assert_allclose(carried[:, :, 0], expected, atol=1e-11)
