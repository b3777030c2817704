"""Maps of flows from crossing to crossing, against closed forms, published cycles and differences."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError

TURN = 2 * np.pi


def hopf(s: np.ndarray) -> np.ndarray:
    """dr/dt = r (1 - r^2), dphi/dt = 2 pi."""
    x, y = s[:, 0], s[:, 1]
    r2 = x**2 + y**2
    return np.stack([x * (1 - r2) - TURN * y, y * (1 - r2) + TURN * x], axis=1)


def returned(r: np.ndarray, turns: float = 1.0) -> np.ndarray:
    """Where r is after so many turns."""
    return 1 / np.sqrt(1 + (1 / r**2 - 1) * np.exp(-2 * turns))


R = np.array([0.2, 0.8, 1.0, 2.0])


@pytest.fixture(scope="module")
def circle():
    return lm.flow(hopf, 0.1, state_shape=2, method="rk4", steps=16)


@pytest.mark.parametrize("section", [{1: 0.0}, pytest.param(([0.0, 2.0], 0.0), marks=pytest.mark.slow)])
def test_hopf_flow_returns_where_the_closed_form_says(circle, section) -> None:
    m = lm.poincare_map(circle, section)
    assert m.state_shape == (1,)
    np.testing.assert_allclose(m.apply(R[:, None])[:, 0], returned(R), rtol=2e-7)
    np.testing.assert_allclose(m.return_times(R[:, None]), 1.0, rtol=1e-7)
    np.testing.assert_allclose(m.jacobian(R[:, None]).ravel(), np.exp(-2) * (returned(R) / R) ** 3, rtol=1e-6)
    # The determinant from the divergence knows nothing of tangents.
    np.testing.assert_allclose(m.log_abs_det(R[:, None], 1), np.log(np.exp(-2) * (returned(R) / R) ** 3), atol=1e-6)


def test_both_directions_cross_twice_a_turn(circle) -> None:
    both = lm.poincare_map(circle, {1: 0.0}, direction="both")
    np.testing.assert_allclose(both.apply(R[:, None])[:, 0], -returned(R, 0.5), rtol=2e-7)
    down = lm.poincare_map(circle, {1: 0.0}, direction="down")
    np.testing.assert_allclose(down.starts([[0.8, 0.0]])[:, 0], -returned(np.array([0.8]), 0.5), rtol=2e-7)


def test_maxima_of_a_component_are_a_section_with_all_values(circle) -> None:
    m = lm.maxima_map(circle, 0)
    x = m.starts([[1.0, 0.1]])
    cycle = lm.periodic_orbits(m, x, n_guesses=2, seed=0)
    # On the circle r = 1 the velocity is (-2 pi y, 2 pi x): x is largest at (1, 0).
    np.testing.assert_allclose(cycle.orbits[0, 0], [1.0, 0.0], atol=1e-7)
    np.testing.assert_allclose(cycle.multipliers[0], [np.exp(-2), 0.0], atol=1e-7)
    assert len(cycle.orbits) == 1  # a state a little before a maximum is no fixed point
    assert lm.check_map(m, np.array([[0.9, 0.1], [1.2, -0.1]]))


@pytest.mark.slow
def test_functions_are_sections_and_agree_with_planes(circle) -> None:
    plane = lm.poincare_map(circle, ([1.0, -1.0], 0.0), direction="down")
    surface = lm.poincare_map(circle, lambda s: s[:, 0] - s[:, 1], direction="down")
    x = plane.full(plane.starts([[0.7, 0.0]]))
    np.testing.assert_allclose(surface.apply(x), plane.full(plane.apply(plane.starts([[0.7, 0.0]]))), rtol=1e-9)
    spectrum = lm.lyapunov_spectrum(surface, x, n_steps=8, transient=4, seed=0)
    assert spectrum.exponents[0] == pytest.approx(-2, abs=1e-3)
    assert spectrum.exponents[1] == -np.inf


@pytest.mark.parametrize(("period", "multiplier"), [(1, -2.40395), pytest.param(2, -3.51201, marks=pytest.mark.slow)])
def test_roessler_has_the_published_cycles(period: int, multiplier: float) -> None:
    """P. Cvitanovic et al., ChaosBook, table of cycles of the Roessler flow: exponents 0.14 and 0.10 per unit time."""
    m = lm.poincare_map(lm.systems.rossler(), {0: 0.0})
    cycles = lm.periodic_orbits(m, m.starts([-5.0, -4.0, 0.0]), period=period, n_guesses=3, seed=0)
    assert cycles.multipliers[0, 0].real == pytest.approx(multiplier, rel=1e-4)
    time = m.return_times(cycles.orbits[0]).sum()
    assert time == pytest.approx({1: 5.88109, 2: 11.75862}[period], abs=1e-4)


@pytest.mark.slow
def test_exponents_are_those_of_the_flow_times_the_return_time_without_the_zero() -> None:
    """At c = 2.5 a cycle with Floquet exponents, the last of which is far below the rounding of a return."""
    flow = lm.systems.rossler(c=2.5)
    m = lm.poincare_map(flow, {0: 0.0})
    x = m.starts([1.0, 1.0, 0.0])
    spectrum = lm.lyapunov_spectrum(m, x, n_steps=20, transient=20, seed=0)
    cycle = lm.limit_cycle(flow, [1.0, 1.0, 0.0])
    np.testing.assert_allclose(spectrum.exponents, cycle.exponents[1:] * cycle.period, rtol=2e-3)


@pytest.mark.slow
def test_exponents_of_chaos_are_those_of_the_flow_times_the_return_time() -> None:
    flow = lm.systems.rossler()
    m = lm.poincare_map(flow, {0: 0.0})
    x = m.initial_states(4)
    spectrum = lm.lyapunov_spectrum(m, x, n_steps=400, transient=50, seed=0)
    time = np.mean([m.return_times(u).mean() for u in lm.trajectory(m, x, n_steps=300, transient=50).states])
    rates = spectrum.exponents / time
    assert rates[0] == pytest.approx(0.0712, abs=3 * spectrum.stderr[0] / time)
    assert rates[1] == pytest.approx(-5.394, abs=0.02)


@pytest.mark.slow
def test_an_angle_that_comes_round_is_a_section() -> None:
    pendulum = lm.flow(
        lambda s: np.stack([s[:, 1], 1.5 - 0.2 * s[:, 1] - np.sin(s[:, 0])], axis=1), 0.1, state_shape=2,
        periods={0: TURN}, method="rk4", steps=5,
    )  # fmt: skip
    m = lm.poincare_map(pendulum, {0: 0.0})
    cycle = lm.periodic_orbits(m, m.starts([1.0, 3.0]), n_guesses=2, seed=0)
    # The divergence is -0.2 everywhere, and speeds at both ends of a closed orbit are the same.
    time = m.return_times(cycle.orbits[0])[0]
    assert cycle.multipliers[0, 0].real == pytest.approx(np.exp(-0.2 * time), rel=1e-6)
    whole = lm.limit_cycle(pendulum, [1.0, 3.0], transient=150)
    assert (whole.period, whole.multipliers[1].real) == pytest.approx((time, np.exp(-0.2 * time)), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["torch", "jax"])
def test_fields_of_other_libraries_return_alike(circle, library: str) -> None:
    arrays = pytest.importorskip({"torch": "torch", "jax": "jax.numpy"}[library])

    def field(s):
        x, y = s[:, 0], s[:, 1]
        r2 = x**2 + y**2
        return arrays.stack([x * (1 - r2) - TURN * y, y * (1 - r2) + TURN * x], 1)

    m = lm.poincare_map(lm.flow(field, 0.1, state_shape=2, dtype="float64", method="rk4", steps=16), lambda s: s[:, 1])
    orbit = lm.trajectory(m, [0.8, 0.0], n_steps=1).states[0]
    np.testing.assert_allclose(orbit[1], [returned(np.array([0.8]))[0], 0.0], atol=1e-7)


def test_stroboscopic_map_of_a_forced_oscillator_has_the_known_cycle() -> None:
    def forced(t, y):
        return [y[1], -0.2 * y[1] - y[0] + np.cos(2.0 * t)]

    flow = lm.flow(forced, 0.1, state_shape=2, method="rk4", steps=2)
    flashes = lm.stroboscopic_map(flow, np.pi)
    cycle = lm.periodic_orbits(flashes, [0.0, 0.0], n_guesses=2, seed=0)
    a = 1 / (1 - 4 + 0.4j)  # x = Re(a exp(2 i t))
    np.testing.assert_allclose(cycle.orbits[0, 0], [a.real, (2j * a).real], atol=1e-6)
    np.testing.assert_allclose(np.abs(cycle.multipliers[0]), np.exp(-0.1 * np.pi), rtol=1e-6)
    with pytest.raises(LyapmapError, match="period: the field is not the same after a time of 3"):
        lm.stroboscopic_map(flow, 3.0)
    with pytest.raises(LyapmapError, match=r"flow: expected a field that does not depend on time"):
        lm.poincare_map(flow, {0: 0.0})
    with pytest.raises(LyapmapError, match=r"flow: expected one of lyapmap.flow whose field does not depend on time"):
        lm.limit_cycle(flow, [0.0, 0.0])


def test_orbits_that_do_not_come_back_are_lost(circle) -> None:
    m = lm.poincare_map(circle, {0: 5.0}, max_time=3.0)
    assert np.isnan(m.apply(np.array([[0.1]]))).all()


def test_looks_that_miss_crossings_are_an_error() -> None:
    m = lm.poincare_map(lm.systems.lorenz(tau=0.5, steps=100), {2: 27.0})
    with pytest.raises(LyapmapError, match=r"step: looks 0.5 apart miss crossings .* give a shorter step"):
        m.apply(np.array([[-8.0, -12.0]]))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({5: 0.0}, "section: expected a coordinate below 2, got 5"),
        ({0: 0.0, 1: 0.0}, r"section: expected one coordinate \{i: value\}, got 2"),
        ("a", r"section: expected \{coordinate: value\}, \(normal, offset\) or a function, got 'a'"),
        (([1.0], 0.0), r"section: expected a normal of 2 values, got shape \(1,\)"),
        (([0.0, 0.0], 0.0), "section: expected a normal that is finite and not zero"),
        ({0: "a"}, "section: expected a finite number, got 'a'"),
        (lambda s: s, r"section: expected the function to give \(\d+,\), got"),
    ],
)
def test_what_is_no_section_is_refused(circle, section, words) -> None:
    with pytest.raises(LyapmapError, match=words):
        lm.poincare_map(circle, section)


def test_what_is_no_flow_is_refused(circle) -> None:
    for call in (
        lambda: lm.poincare_map(lm.systems.henon(), {0: 0.0}),
        lambda: lm.maxima_map(lm.systems.kuramoto_sivashinsky(), 0),
        lambda: lm.stroboscopic_map(lm.systems.henon(), 1.0),
    ):
        with pytest.raises(LyapmapError, match=r"flow: expected one of lyapmap.flow or of the catalogue, got a"):
            call()
    with pytest.raises(LyapmapError, match="coordinate: expected one below 2, got 2"):
        lm.maxima_map(circle, 2)
    with pytest.raises(LyapmapError, match="direction: expected 'up', 'down' or 'both', got 'left'"):
        lm.poincare_map(circle, {1: 0.0}, direction="left")
