"""Cycles against closed forms, published counts and the trace formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.orbits.search import OrbitSearch, cycle_multipliers
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError
from lyapmap.core.results import Status
from sample_maps import Henon, Linear, henon, interval_map, logistic, orthogonal, rotation, torus_map

BOX = ((-2, -0.6), (2, 0.6))


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5])
def test_logistic_map_has_2_to_the_p_points_with_multipliers_plus_or_minus_2_to_the_p(p: int) -> None:
    """x = sin^2(pi k / (2^p +- 1)) solves f^p(x) = x at r = 4."""
    found = lm.periodic_orbits(logistic(4.0), region=(0, 1), period=p, divisors=True, n_guesses=600, seed=0)
    points = np.concatenate([orbit[:least, 0] for orbit, least in zip(found.orbits, found.period, strict=True)])
    k = np.arange(2**p)
    minus = np.sin(np.pi * k / (2**p - 1)) ** 2
    plus = np.sin(np.pi * k / (2**p + 1)) ** 2
    exact = np.unique(np.concatenate([minus, plus]).round(10))
    np.testing.assert_allclose(np.sort(points), exact, atol=1e-9)
    # The fixed point at 0, where the slope is 4, is the exception.
    modulus = np.abs(found.multipliers[:, 0]) ** (p / found.period)
    inside = np.abs(found.orbits[:, 0, 0]) > 1e-9
    np.testing.assert_allclose(modulus[inside], 2.0**p, rtol=1e-8)
    np.testing.assert_allclose(found.exponents[inside, 0], np.log(2), rtol=1e-8)
    assert set(found.stability) == {"unstable"}
    assert found.residual.max() < 1e-10


def test_henon_fixed_points_and_two_cycle_in_closed_form() -> None:
    fixed = lm.periodic_orbits(Henon(), region=BOX, n_guesses=50, seed=0)
    x = np.sort(np.roots([1.4, 0.7, -1]))
    np.testing.assert_allclose(np.sort(fixed.orbits[:, 0, 0]), x, atol=1e-12)
    for orbit, pair in zip(fixed.orbits, fixed.multipliers, strict=True):
        np.testing.assert_allclose(np.sort(pair.real), np.sort(np.roots([1, 2.8 * orbit[0, 0], -0.3])), atol=1e-12)
    two = lm.periodic_orbits(Henon(), [0.1, 0.1], period=2, n_guesses=50, seed=0)
    np.testing.assert_allclose(
        np.sort(two.orbits[0, :, 0]), np.sort(np.roots([1.4**2, -0.7 * 1.4, 0.49 - 1.4])), atol=1e-10
    )
    assert two.stability == ("saddle",)
    assert two.n_unstable.tolist() == [1]


@pytest.mark.parametrize(("p", "count"), [(3, 0), (4, 1), (5, 0), (6, 2), (7, 4), (8, 7)])
def test_henon_map_has_the_published_number_of_cycles(p: int, count: int) -> None:
    """O. Biham, W. Wenzel 1989; Z. Galias 2001 proved them by interval arithmetic."""
    found = lm.periodic_orbits(Henon(), [0.1, 0.1], period=p, n_guesses=800, seed=0, throw=False)
    assert len(found.period) == count
    assert (found.status is Status.OK) == (count > 0)
    if count:
        np.testing.assert_allclose(found.exponents.sum(axis=1), np.log(0.3), atol=1e-9)
        following = henon(found.orbits.reshape(-1, 2)).reshape(found.orbits.shape)
        np.testing.assert_allclose(following, np.roll(found.orbits, -1, axis=1), atol=1e-9)


def test_points_of_cycles_multiply_at_the_rate_of_the_expansion_entropy() -> None:
    """The number of points of period p grows as exp(h p), h the topological entropy."""
    found = lm.periodic_orbits(Henon(), [0.1, 0.1], period=11, divisors=True, n_guesses=1200, seed=0)
    h = lm.expansion_entropy(Henon(), (-2, 2), n_samples=8000, seed=0)
    assert found.period.sum() == 155  # Z. Galias 2001
    assert np.log(found.period.sum()) / 11 == pytest.approx(h.entropy, abs=0.03)


@pytest.mark.parametrize("p", [2, 3, 4])
def test_cat_map_has_as_many_points_as_the_determinant_says(p: int) -> None:
    matrix = np.array([[2, 1], [1, 1]])
    found = lm.periodic_orbits(torus_map(matrix), region=(0, 1), period=p, divisors=True, n_guesses=2500, seed=0)
    points = np.concatenate([orbit[:least] for orbit, least in zip(found.orbits, found.period, strict=True)])
    on_torus = np.unique(np.round(points, 8) % 1, axis=0)
    exact = abs(np.linalg.det(np.linalg.matrix_power(matrix, p) - np.eye(2)))
    # The point 0 lies on a jump of x mod 1, which halved steps approach from one side only.
    assert round(exact) - len(on_torus) in (0, 1)
    golden = ((3 + np.sqrt(5)) / 2) ** found.period
    np.testing.assert_allclose(np.abs(found.multipliers[:, 0]), golden, rtol=1e-9)


@settings(max_examples=15)
@given(a=st.floats(-1.9, 1.9), b=st.floats(-0.9, 0.9))
def test_fixed_points_of_any_quadratic_map_solve_its_polynomial(a: float, b: float) -> None:
    m = interval_map(lambda x: a * x**2 + b * x - 0.5, lambda x: 2 * a * x + b)
    found = lm.periodic_orbits(m, region=(-5, 5), n_guesses=60, seed=0, throw=False)
    roots = np.roots([a, b - 1, -0.5])
    real = np.sort(roots[np.abs(roots.imag) < 1e-12].real)
    apart = len(real) < 2 or abs(real[1] - real[0]) > 1e-3
    for x in found.orbits[:, 0, 0]:
        assert abs(a * x**2 + (b - 1) * x - 0.5) < 1e-8
    if apart and abs(a) > 0.05:
        np.testing.assert_allclose(np.sort(found.orbits[:, 0, 0]), real[np.abs(real) < 1e3], rtol=1e-6, atol=1e-6)


def test_multipliers_of_a_long_cycle_keep_what_a_product_would_lose() -> None:
    rng = np.random.default_rng(0)
    p = 60
    diagonals = np.exp(rng.normal(size=(p, 2)) + np.array([0.6, -1.6]))
    turn = rotation(0.7)
    matrices = np.array([turn @ np.diag(d) @ turn.T for d in diagonals])

    class Given(OrbitSearch):
        def jacobians(self, x: np.ndarray) -> np.ndarray:
            return matrices

    search = Given(lm.wrap(henon, state_shape=2, backend="numpy"), p)
    found, logs = cycle_multipliers(search, np.zeros((p, 2)), rng)
    np.testing.assert_allclose(np.log(np.abs(found)), logs, atol=1e-8)
    np.testing.assert_allclose(logs, np.log(diagonals).sum(axis=0), atol=1e-8)
    assert np.log(found.real[0] / found.real[1]) > 100


def test_stability_is_told_from_the_multipliers() -> None:
    def kind(matrix: Any) -> str:
        return lm.periodic_orbits(Linear(matrix), [0.1] * len(matrix), seed=0, n_guesses=2).stability[0]

    assert kind(0.5 * rotation(1.0)) == "stable"
    assert kind(2.0 * rotation(1.0)) == "unstable"
    assert kind(rotation(1.0)) == "neutral"
    assert kind(np.diag([2.0, 0.5])) == "saddle"
    spiral = lm.periodic_orbits(Linear(2.0 * rotation(1.0)), [0.1, 0.1], seed=0, n_guesses=2)
    np.testing.assert_allclose(spiral.multipliers[0], 2 * np.exp([1j, -1j]), atol=1e-12)


def network(n: int, gain: float) -> Any:
    weights = orthogonal(n, 3) * np.linspace(gain, 0.1, n)
    shift = np.random.default_rng(4).normal(size=n)

    def slope(x: np.ndarray) -> np.ndarray:
        return (1 - np.tanh(x @ weights.T + shift) ** 2)[:, :, None] * weights

    return lm.wrap(lambda x: np.tanh(x @ weights.T + shift), state_shape=n, backend="numpy", jacobian=slope)


def test_large_maps_without_matrices_agree_with_small_ones_with_them(monkeypatch: Any) -> None:
    m = network(40, 2.5)
    x0 = np.random.default_rng(0).normal(size=(4, 40))
    dense = lm.periodic_orbits(m, x0, n_guesses=8, seed=0)
    monkeypatch.setattr("lyapmap.analysis.orbits.search.DENSE", 1)
    monkeypatch.setattr("lyapmap.analysis.orbits.search.ALL_UP_TO", 1)
    krylov = lm.periodic_orbits(m, x0, n_guesses=8, seed=0)
    same = np.abs(krylov.orbits[:, None, 0] - dense.orbits[None, :, 0]).max(axis=2) < 1e-8
    assert same.any(axis=1).all()
    i, j = np.argwhere(same)[0]
    k = min(krylov.multipliers.shape[1], 4)
    np.testing.assert_allclose(np.abs(krylov.multipliers[i, :k]), np.abs(dense.multipliers[j, :k]), rtol=1e-6)
    assert krylov.n_unstable[i] == dense.n_unstable[j]


def test_two_cycle_of_a_map_of_600_dimensions() -> None:
    """x' = -tanh(2 x) in every component has the cycle x, -x with x = tanh 2x."""
    m = lm.wrap(
        lambda x: -np.tanh(2 * x),
        state_shape=600,
        backend="numpy",
        jacobian=lambda x: -2 * (1 - np.tanh(2 * x) ** 2)[:, :, None] * np.eye(x.shape[1]),
    )
    found = lm.periodic_orbits(m, np.full(600, 0.7), period=2, n_guesses=1, seed=0)
    assert found.status is Status.OK
    size = 0.9575040240772687
    np.testing.assert_allclose(np.abs(found.orbits), size, atol=1e-9)
    np.testing.assert_allclose(found.multipliers_real, (2 * (1 - size**2)) ** 2, rtol=1e-6)
    assert found.stability == ("stable",)


def test_a_shipped_network_has_a_fixed_point_that_stays_where_it_is() -> None:
    pytest.importorskip("torch")
    model = lm.load_model("cycle-digits-012", dtype="float64")
    found = lm.periodic_orbits(model.map, model.sample_states[3], n_guesses=1, max_iterations=20, seed=0)
    stable = found.stability.index("stable")
    again = model.map.ops.to_numpy(model.map.apply(model.map.ops.from_numpy(found.orbits[stable])))
    np.testing.assert_allclose(again, found.orbits[stable], atol=1e-10)
    assert found.images().shape == (len(found.period), 1, 1, 8, 8)


def test_nothing_found_is_a_failure_with_words() -> None:
    shift = interval_map(lambda x: x + 1, lambda x: 1 + 0 * x)
    found = lm.periodic_orbits(shift, [0.1], n_guesses=5, seed=0, throw=False)
    assert found.status is Status.NOT_CONVERGED
    assert found.failed
    assert "none of 5 guesses led to a cycle of period 1" in found.message
    assert found.orbits.shape == (0, 1, 1)
    with pytest.raises(RunError, match="3; 20 led to cycles of a shorter period"):
        lm.periodic_orbits(Linear(0.5 * np.eye(2)), [0.1, 0.2], period=3, n_guesses=20, seed=0)


def test_orbits_that_escape_leave_guesses_behind() -> None:
    found = lm.periodic_orbits(Henon(), [[5.0, 5.0], [0.1, 0.1]], n_guesses=20, seed=0)
    assert len(found.period) >= 1
    assert np.isfinite(found.visited).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((), {}, LyapmapError, "x0: expected states to start from, or a region"),
        (([0.1, 0.1, 0.1],), {}, ShapeError, "x0: expected one state"),
        (([np.nan, 0.1],), {}, LyapmapError, "x0: state 0 is not finite"),
        (([0.1, 0.1],), {"period": 0}, LyapmapError, "period: expected at least 1"),
        (([0.1, 0.1],), {"n_guesses": 0}, LyapmapError, "n_guesses: expected at least 1"),
        (([0.1, 0.1],), {"tolerance": -1}, LyapmapError, "tolerance: expected a positive number"),
        (([0.1, 0.1],), {"region": (1, 0)}, LyapmapError, "region: expected finite low < high"),
        (([0.1, 0.1],), {"region": (np.zeros(3), np.ones(3))}, ShapeError, "region: expected"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        lm.periodic_orbits(Henon(), *arguments, **options)


def test_a_map_that_depends_on_the_step_is_refused() -> None:
    with pytest.raises(LyapmapError, match="map: a map that depends on the step has no cycles"):
        lm.periodic_orbits(lm.noisy(Henon(), scale=0.1), [0.1, 0.1])


def test_ctrl_c_keeps_the_cycles_found(monkeypatch: Any) -> None:
    monkeypatch.setattr("lyapmap.analysis.orbits.periodic_orbits.TOGETHER", 20)

    def report(done: int, total: int) -> None:
        if done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.periodic_orbits(Henon(), [0.1, 0.1], n_guesses=100, seed=0, progress=report)
    assert caught.value.result.status is Status.NOT_CONVERGED
    assert len(caught.value.result.period) == 1


@pytest.mark.parametrize("suffix", ["nc", "npz"])
@pytest.mark.parametrize("period", [2, 3])
def test_results_survive_saving(tmp_path: Any, suffix: str, period: int) -> None:
    found = lm.periodic_orbits(Henon(), [0.1, 0.1], period=period, n_guesses=40, seed=0, throw=False)
    loaded = lm.PeriodicOrbits.load(found.save(tmp_path / f"o.{suffix}"))
    np.testing.assert_array_equal(loaded.orbits, found.orbits)
    np.testing.assert_array_equal(loaded.multipliers, found.multipliers)
    assert loaded.stability == found.stability
    assert loaded.state_shape == (2,)
