"""Verdicts on systems that are not in the catalogue: none without an error that means something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import RunError


def run(m: Any, x0: Any, n_steps: int = 300, **options: Any) -> lm.LyapunovSpectrum:
    return lm.lyapunov_spectrum(m, x0, n_steps=n_steps, **{"seed": 0, "throw": False} | options)


def linear(matrix: Any, dtype: str = "float64") -> Any:
    a = np.asarray(matrix, dtype)
    n = len(a)
    return lm.wrap(
        lambda x: x @ a.T,
        state_shape=n,
        backend="numpy",
        jacobian=lambda x: np.broadcast_to(a, (len(x), n, n)).copy(),
        dtype=dtype,
    )


def logistic(r: float) -> Any:
    return lm.wrap(
        lambda x: r * x * (1 - x), state_shape=1, backend="numpy", jacobian=lambda x: r * (1 - 2 * x)[:, :, None]
    )


# Too short.

SHORT = {
    "henon": (lm.systems.henon(), [0.1, 0.1]),
    "standard": (lm.systems.standard(), [0.1, 0.1]),
    "logistic": (logistic(3.9), [0.3]),
    "ikeda, 3 trajectories": (lm.systems.ikeda(), lm.systems.ikeda().initial_states(3, 0)),
}


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("n_steps", [1, 2])
def test_few_steps_give_no_number_that_has_no_error(name: str, n_steps: int) -> None:
    s = run(*SHORT[name], n_steps=n_steps)
    assert (s.status, s.cause, s.attractor.split(" (")[0]) == ("not_converged", "too_short", "undetermined")
    assert "too few for error bars" in s.message
    assert s.remedy == "raise n_steps or the number of trajectories"
    assert np.isnan([s.kaplan_yorke, s.kaplan_yorke_stderr, s.entropy, s.entropy_stderr]).all()
    assert (s.n_positive, s.kaplan_yorke_verdict) == (0, "needs more steps")
    with pytest.raises(RunError, match="raise n_steps or the number of trajectories"):
        run(*SHORT[name], n_steps=n_steps, throw=True)


def test_a_sweep_says_of_every_value_that_its_run_was_too_short() -> None:
    found = lm.sweep(lm.systems.henon, "a", [1.2, 1.4], [0.1, 0.1], n_steps=10, seed=0, throw=False)
    assert found.statuses == ("not_converged", "not_converged")
    assert (found.status, found.cause) == ("not_converged", "too_short")
    assert np.isnan(found.kaplan_yorke).all()
    assert set(found.attractors) == {"undetermined"}


def test_what_repeats_is_known_however_short_the_run() -> None:
    s = run(logistic(2.5), [0.6], n_steps=3)
    assert (s.status, s.attractor) == ("ok", "fixed point")
    assert s.exponents[0] == pytest.approx(-np.log(2))
    s = run(linear([[2, 1], [1, 1]]), [0.0, 0.0], n_steps=3)
    assert (s.status, s.attractor, s.n_positive) == ("ok", "unstable fixed point", 1)


def test_covariant_vectors_of_few_steps_stand_and_their_exponents_are_open() -> None:
    found = lm.covariant_vectors(lm.systems.henon(), [0.1, 0.1], n_steps=8, seed=0)
    assert (found.status, found.cause) == ("unresolved", "too_short")
    assert np.isposinf(found.stderr).all()
    assert np.isfinite(found.vectors).all()


# Zero within rounding.


def isometries() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    turned = {n: np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (3, 8, 20)}
    return {
        "identity": np.eye(3),
        "permutation": np.eye(4)[[1, 2, 3, 0]],
        "permutation of 7": np.eye(7)[rng.permutation(7)],
        "reflection": np.diag([1, -1, 1, -1]),
        **{f"orthogonal {n}": q for n, q in turned.items()},
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", isometries())
@pytest.mark.parametrize("b", [1, 4])
def test_an_isometry_has_exponents_of_zero_and_the_dimension_of_its_space(name: str, dtype: str, b: int) -> None:
    matrix = isometries()[name]
    n = len(matrix)
    x0 = np.random.default_rng(1).standard_normal((b, n)).astype(dtype)
    s = run(linear(matrix, dtype), x0, n_steps=200, transient=20)
    assert s.status == "ok"
    assert (s.n_positive, s.kaplan_yorke, s.kaplan_yorke_verdict) == (0, n, "certified")
    assert (np.abs(s.exponents) <= np.maximum(4 * s.stderr, 1e-9)).all()
    assert s.attractor in ("torus", "neutral fixed point") or s.attractor.startswith("neutral cycle")
    assert s.entropy == 0


# Chaos needs e-foldings.


def twist(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0] + x[:, 1], x[:, 1]], axis=1)


def curved_twist(x: np.ndarray) -> np.ndarray:
    return np.stack([x[:, 0] + np.sqrt(1 + x[:, 1] ** 2), x[:, 1]], axis=1)


def skew(x: np.ndarray) -> np.ndarray:
    """Tangents grow like the square of time."""
    return np.stack([x[:, 0] + x[:, 1], x[:, 1] + x[:, 2], x[:, 2]], axis=1)


def mcmillan(x: np.ndarray) -> np.ndarray:
    """E. McMillan's integrable map of the plane."""
    return np.stack([x[:, 1], -x[:, 0] + 1.6 * x[:, 1] / (1 + x[:, 1] ** 2)], axis=1)


REGULAR: dict[str, tuple[Any, int]] = {
    "twist": (twist, 2),
    "twist that curves": (curved_twist, 2),
    "skew": (skew, 3),
    "McMillan": (mcmillan, 2),
}


@pytest.mark.parametrize("name", REGULAR)
@pytest.mark.parametrize(("n_steps", "transient"), [(100, 0), (1000, 0), (1000, 300)])
def test_regular_motion_is_not_chaotic(name: str, n_steps: int, transient: int) -> None:
    function, n = REGULAR[name]
    x0 = np.random.default_rng(n_steps).uniform(0.2, 0.7, (4, n))
    for start in (x0, *x0):
        s = run(lm.wrap(function, state_shape=n, backend="numpy"), start, n_steps=n_steps, transient=transient)
        assert "chaotic" not in s.attractor
        assert s.n_positive == 0
        assert not s.entropy > 0
        assert s.exponents[0] <= 2 * max(s.stderr[0], 1e-9)
        assert s.kaplan_yorke == n


def test_groups_of_regular_orbits_have_errors_that_hold_zero() -> None:
    x0 = np.random.default_rng(0).uniform(0, 6, (12, 2))
    s = run(lm.systems.standard(k=0.5), x0, n_steps=2000)
    regular = [g for g in s.groups if "chaotic" not in g["attractor"]]
    assert regular
    for g in regular:
        assert abs(g["exponents"][0]) <= 2 * g["stderr"][0]


def test_a_pendulum_that_swings_is_not_chaotic() -> None:
    f = lm.flow(lambda s: np.stack([s[:, 1], -np.sin(s[:, 0])], 1), 0.5, state_shape=2)
    s = run(f, [[0.5, 0.0], [2.3, 0.0], [3.0, 0.0]], n_steps=150)
    assert "chaotic" not in s.attractor
    assert s.n_positive == 0


@pytest.mark.parametrize(
    ("m", "x0", "n_steps"),
    [
        (lm.systems.standard(k=1.0), [0.1, 0.1], 1000),
        (lm.systems.henon(), [0.1, 0.1], 60),
        (logistic(3.6), [0.3], 300),
        (lm.systems.standard(k=6.0), [0.3, 0.2], 30),
        (logistic(3.828), [0.3], 1000),  # intermittency
    ],
)
def test_weak_and_short_chaos_is(m: Any, x0: Any, n_steps: int) -> None:
    s = run(m, x0, n_steps=n_steps, transient=100)
    assert s.attractor == "chaotic"
    assert s.n_positive == 1


# Superstable, neutral, out of range.


def superstable(period: int) -> float:
    """Parameter in (3, 4) at which the critical point of the logistic map has that period."""
    from scipy.optimize import brentq

    def back(r: float) -> float:
        x = 0.5
        for _ in range(period):
            x = r * x * (1 - x)
        return x - 0.5

    return float(brentq(back, *{2: (3.1, 3.4), 3: (3.83, 3.84), 4: (3.49, 3.51), 5: (3.73, 3.75)}[period], xtol=1e-15))


@pytest.mark.parametrize("period", [2, 3, 4, 5])
@pytest.mark.parametrize("x0", [[0.3], [[0.3], [0.4], [0.55]]])
def test_a_superstable_cycle_has_an_exponent_of_minus_infinity(period: int, x0: Any) -> None:
    m = logistic(superstable(period))
    s = run(m, x0, n_steps=1000, transient=2000)
    assert (s.status, s.attractor) == ("ok", f"cycle of period {period}")
    assert s.exponents[0] == -np.inf
    assert s.stderr[0] == 0
    assert (s.kaplan_yorke, s.entropy) == (0, 0)
    cycles = lm.periodic_orbits(m, np.array([[0.5]]), period=period, seed=0)
    assert np.isneginf(cycles.exponents).any()


def test_a_steep_contraction_keeps_its_exponent() -> None:
    rates = np.array([-600.0, -650.0])
    m = linear(np.diag(np.exp(rates)))
    for qr_every in ("auto", 1, 7):
        s = run(m, [1.0, 1.0], n_steps=50, qr_every=qr_every)
        assert s.exponents[0] == pytest.approx(-600)
    cycles = lm.periodic_orbits(linear([[np.exp(-600.0)]]), np.array([[0.5]]), seed=0)
    assert cycles.exponents[0, 0] == pytest.approx(-600)
    for measure in ("local", "stretching"):
        found = lm.finite_time_exponents(m, [1.0, 1.0], n_steps=9, measure=measure, qr_every=3, transient=3, seed=0)
        assert found.exponents[0, 0, 0] == pytest.approx(-600, rel=1e-6)


def test_the_multipliers_of_a_long_cycle_stay_in_range() -> None:
    """x -> a x around 4 points: each round contracts by exp(-1200)."""
    turn = np.exp(-300.0) * np.eye(2)[::-1] * np.array([1.0, -1.0])
    cycles = lm.periodic_orbits(linear(turn), np.array([[0.5, 0.2]]), seed=0)
    np.testing.assert_allclose(cycles.exponents, -300)


def test_an_expansion_beyond_the_digits_has_collapsed() -> None:
    class Steep:
        state_shape = (1,)

        def apply(self, x: np.ndarray) -> np.ndarray:
            return (1e300 * x) % 1

        def jacobian(self, x: np.ndarray) -> np.ndarray:
            return np.full((len(x), 1, 1), 1e300)

    assert run(Steep(), np.random.default_rng(0).random((4, 1))).status == "collapsed"


def test_a_centre_is_neutral() -> None:
    for angle in (1.0, 2.5):
        # Not a circle but an ellipse: growth over part of a turn is not zero.
        shape = np.array([[3.0, 1.0], [0.0, 0.5]])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        m = linear(shape @ turn @ np.linalg.inv(shape))
        s = run(m, [0.0, 0.0], n_steps=101)
        assert (s.status, s.attractor, s.n_positive) == ("ok", "neutral fixed point", 0)
        np.testing.assert_array_equal(s.exponents, 0)
        assert lm.periodic_orbits(m, np.array([[0.1, 0.1]]), seed=0).stability == ("neutral",)
    s = run(linear([[1, 1], [0, 1]]), [0.0, 0.0])  # a shear about its fixed point
    assert (s.attractor, s.n_positive) == ("neutral fixed point", 0)


# A check that fails.


class Counting:
    """A map with a hidden counter: another derivative at every call."""

    state_shape = (2,)

    def __init__(self) -> None:
        self.calls = 0

    def apply(self, x: np.ndarray) -> np.ndarray:
        return np.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], axis=1)

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        self.calls += 1
        out = np.zeros((len(x), 2, 2))
        out[:, 0, 0], out[:, 0, 1], out[:, 1, 0] = -2.8 * x[:, 0], 1, 0.3 + 0.2 * (self.calls % 2)
        return out


def test_a_sum_rule_that_fails_is_said_in_the_status() -> None:
    s = run(lm.wrap(Counting(), verify=False), [0.1, 0.1], n_steps=400)
    assert (s.status, s.cause) == ("not_converged", "cross_check")
    assert s.message.startswith("the exponents add up to -")
    assert "derivative" in s.remedy
