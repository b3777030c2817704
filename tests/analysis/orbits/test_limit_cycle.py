"""Limit cycles against closed forms and published periods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, RunError


def hopf(s: np.ndarray, sign: float = 1.0) -> np.ndarray:
    """dr/dt = sign r (1 - r^2), dphi/dt = 2, dz/dt = -3 z."""
    x, y, z = s[:, 0], s[:, 1], s[:, 2]
    growth = sign * (1 - x**2 - y**2)
    return np.stack([x * growth - 2 * y, y * growth + 2 * x, -3 * z], axis=1)


def van_der_pol(mu: float) -> Any:
    return lambda s: np.stack([s[:, 1], mu * (1 - s[:, 0] ** 2) * s[:, 1] - s[:, 0]], axis=1)


def test_hopf_normal_form_has_its_period_and_multipliers() -> None:
    cycle = lm.limit_cycle(lm.flow(hopf, 0.1, state_shape=3), [0.5, 0.1, 0.2], transient=20)
    assert cycle.period == pytest.approx(np.pi, abs=1e-8)
    np.testing.assert_allclose(cycle.exponents, [0, -2, -3], atol=1e-7)
    np.testing.assert_allclose(cycle.multipliers, np.exp(np.pi * np.array([0, -2, -3])), atol=1e-8)
    assert (cycle.stability, cycle.n_unstable, str(cycle.status)) == ("stable", 0, "ok")
    np.testing.assert_allclose(np.hypot(cycle.orbit[:, 0], cycle.orbit[:, 1]), 1.0, atol=1e-7)
    assert max(cycle.trivial_error, abs(cycle.divergence_error)) < 1e-7


def test_unstable_cycles_are_found_as_well() -> None:
    flow = lm.flow(lambda s: hopf(s, -0.1), 0.1, state_shape=3)
    cycle = lm.limit_cycle(flow, [0.95, 0.05, 0.01], transient=0, period=3.0)
    assert (cycle.stability, cycle.n_unstable) == ("saddle", 1)
    np.testing.assert_allclose(cycle.exponents, [0.2, 0, -3], atol=1e-7)


@pytest.mark.parametrize(("mu", "period"), [(1.0, 6.66328686), pytest.param(5.0, 11.61223067, marks=pytest.mark.slow)])
def test_van_der_pol_has_the_published_period(mu: float, period: float) -> None:
    """C. M. Andersen and J. F. Geer 1982, to the digits given; the multiplier is exp of the divergence."""
    cycle = lm.limit_cycle(lm.flow(van_der_pol(mu), 0.2, state_shape=2), [1.0, 0.0], transient=60)
    assert cycle.period == pytest.approx(period, abs=1e-7)
    mean = np.mean(mu * (1 - cycle.orbit[:, 0] ** 2))  # equal distances of time: a spectral rule
    assert cycle.exponents.sum() == pytest.approx(mean, rel=1e-5 if mu == 1 else 1e-2)


def test_a_cycle_that_is_gone_through_twice_is_told_once() -> None:
    cycle = lm.limit_cycle(lm.flow(hopf, 0.1, state_shape=3), [0.9, 0.1, 0.0], transient=20, period=2 * np.pi)
    assert cycle.period == pytest.approx(np.pi, abs=1e-8)


def test_results_are_saved_drawn_and_shown(tmp_path: Any) -> None:
    cycle = lm.limit_cycle(lm.flow(hopf, 0.1, state_shape=3), [0.9, 0.1, 0.0], transient=5)
    back = lm.load(cycle.save(tmp_path / "cycle.nc"))
    assert isinstance(back, lm.LimitCycle)
    assert back.period == cycle.period
    assert "period" in repr(cycle)
    assert len(cycle.plot().axes) == 3


def test_orbits_without_a_cycle_end_with_the_reason() -> None:
    def sink(s: np.ndarray) -> np.ndarray:
        return np.stack([-s[:, 0], -2 * s[:, 1]], axis=1)

    flow = lm.flow(sink, 0.5, state_shape=2)
    with pytest.raises(RunError, match="came to rest"):
        lm.limit_cycle(flow, [1.0, 1.0], transient=60)
    nothing = lm.limit_cycle(flow, [1.0, 1.0], transient=0, period=1.0, throw=False)
    assert str(nothing.status) == "not_converged"
    assert np.isnan(nothing.period)
    assert "equilibrium" in nothing.message
    assert nothing.plot() is not None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"period": -1.0}, "period: expected a positive number"),
        ({"transient": -1}, "transient: expected at least 0"),
        ({"tolerance": 0}, "tolerance: expected a positive number"),
        ({"x0": [1.0]}, "x0: expected one state"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(LyapmapError, match=words):
        lm.limit_cycle(lm.systems.rossler(), **options)


def test_maps_have_no_limit_cycle() -> None:
    with pytest.raises(LyapmapError, match=r"flow: expected one of lyapmap.flow .* got a map"):
        lm.limit_cycle(lm.systems.henon())
