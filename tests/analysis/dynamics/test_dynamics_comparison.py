"""Known pairs: the truth against itself, against a changed parameter, against its own states in another order."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.dynamics.comparison import AS_GOOD, DIFFERS, DynamicsComparison
from lyapmap.core.errors import LyapmapError, RunError
from lyapmap.core.results import Status

SHORT = {"n_steps": 100, "transient": 50, "n_trajectories": 8, "n_permutations": 100, "seed": 1}
WITHOUT = SHORT | {"n_exponents": 0}
HENON = lm.systems.henon()


@pytest.fixture(scope="module")
def changed() -> DynamicsComparison:
    return lm.compare_dynamics(lm.systems.henon(a=1.3), HENON, **SHORT)


@pytest.fixture(scope="module")
def orbits():
    starts = np.random.default_rng(0).uniform(0.1, 0.9, (24, 1))
    return lm.trajectory(lm.systems.logistic(r=4.0), starts, n_steps=99).states


def test_the_truth_is_as_good_as_itself():
    result = lm.compare_dynamics(HENON, HENON, **SHORT)
    assert result.verdict == AS_GOOD
    assert result.as_good
    assert result.differences == ()
    assert result.prediction_time == 99  # the same map: forecasts hold to the end
    assert result.prediction_time_chance < 5
    assert result.divergence < 3 * result.divergence_floor + 0.3


def test_a_changed_parameter_is_seen(changed):
    assert changed.verdict == DIFFERS
    assert "states" in changed.differences
    assert changed.divergence > changed.divergence_interval[0] > changed.divergence_floor
    assert 3 < changed.prediction_time < 12
    known = dict(zip(changed.quantities, changed.reference, strict=True))
    assert known["exponent 1"] == pytest.approx(0.419, abs=0.05)
    assert known["exponent 1"] + known["exponent 2"] == pytest.approx(np.log(0.3), abs=1e-6)
    assert known["Kaplan-Yorke dimension"] == pytest.approx(1.258, abs=0.03)


def test_a_result_is_saved_and_drawn(changed, tmp_path):
    again = DynamicsComparison.load(changed.save(tmp_path / "comparison.nc"))
    assert again.differences == changed.differences
    np.testing.assert_array_equal(again.model_interval, changed.model_interval)
    assert "differs" in repr(changed)
    figure = changed.plot()
    figure.canvas.draw()
    assert len(figure.axes) == 4


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(changed):
    again = lm.compare_dynamics(lm.systems.henon(a=1.3), HENON, **SHORT)
    np.testing.assert_array_equal(again.p_value, changed.p_value)


def test_right_states_in_the_wrong_order_differ_in_their_transitions_alone(orbits):
    """The logistic map at r = 4 has a white spectrum: neither the measure nor the spectrum tells its order."""
    rng = np.random.default_rng(1)
    shuffled = [rng.permutation(orbit) for orbit in orbits[:8]]
    result = lm.compare_dynamics(shuffled, list(orbits[8:]), **WITHOUT)
    assert result.differences == ("transitions",)
    assert lm.compare_dynamics(list(orbits[:8]), list(orbits[8:]), **WITHOUT).as_good


def test_right_forecasts_and_the_wrong_climate():
    """A model that is the truth wherever it is started, and slowly leaves for a fixed point."""
    logistic = lm.systems.logistic(r=4.0)

    def leaving(x):
        return np.where(x < 0.001, 0.0, 4 * x * (1 - x))

    result = lm.compare_dynamics(lm.wrap(leaving, state_shape=1), logistic, **WITHOUT)
    assert result.prediction_time > 5
    assert result.verdict == DIFFERS


def test_a_forecast_holds_as_long_as_its_error_takes_to_grow():
    off = lm.wrap(lambda x: np.stack([1 - 1.4 * x[..., 0] ** 2 + x[..., 1] + 1e-7, 0.3 * x[..., 0]], -1), state_shape=2)
    result = lm.compare_dynamics(off, HENON, **SHORT)
    assert result.as_good
    assert result.prediction_time == pytest.approx(np.log(0.4 / 1e-7) / 0.419, rel=0.25)
    assert result.lyapunov_times == pytest.approx(np.log(0.4 / 1e-7), rel=0.25)


@pytest.mark.slow
def test_a_broken_symmetry_is_seen():
    flow = {"transient": 200, "n_steps": 200} | {k: v for k, v in WITHOUT.items() if k not in ("transient", "n_steps")}
    turn = {"turn": lambda states: states * [-1.0, -1.0, 1.0]}
    truth = lm.trajectory(
        lm.systems.lorenz(), lm.systems.lorenz().initial_states(24, 0), n_steps=199, transient=500
    ).states
    one_side = np.abs(truth[:8]) * [1, 1, 1]
    result = lm.compare_dynamics(list(one_side), list(truth[8:]), symmetries=turn, **flow)
    at = result.quantities.index("asymmetry under turn")
    assert result.model[at] > 3 * result.reference[at]
    assert "asymmetry under turn" in result.differences


def test_a_model_that_escapes_differs_and_has_no_other_number():
    doubled = lm.wrap(lambda x: 2 * x + 1, state_shape=2)
    result = lm.compare_dynamics(doubled, HENON, **WITHOUT)
    assert result.verdict == DIFFERS
    assert result.differences == ("escapes",)
    assert result.escaped == 8
    assert np.isnan(result.divergence)
    assert result.prediction_time < 3
    assert result.status is Status.OK
    result.plot().canvas.draw()


def test_states_of_another_kind_are_read():
    """Hénon's map in other coordinates, with one more that means nothing."""

    def other(u):
        x, y = u[..., 0] - 5, u[..., 1] / 2
        return np.stack([1 - 1.4 * x**2 + y + 5, 0.6 * x, 0.5 * u[..., 2]], -1)

    result = lm.compare_dynamics(
        lm.wrap(other, state_shape=3), HENON, readout=lambda u: np.stack([u[:, 0] - 5, u[:, 1] / 2], -1),
        model_x0=np.random.default_rng(0).uniform(-0.1, 0.1, (8, 3)) + np.array([5, 0, 1]), **WITHOUT,
    )  # fmt: skip
    assert result.as_good
    assert np.isnan(result.prediction_time)


@pytest.mark.slow
def test_large_states_are_compared_in_principal_components():
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.normal(size=(60, 60)))[0][:, :2]
    orbits = lm.trajectory(HENON, HENON.initial_states(24, 0), n_steps=99, transient=100).states
    truth = orbits[8:] @ mixing.T
    aside = np.linalg.qr(np.column_stack([mixing, rng.normal(size=60)]))[0][:, 2]
    same = lm.compare_dynamics(list(orbits[:8] @ mixing.T), list(truth), **WITHOUT)
    assert same.as_good
    assert "principal components" in same.provenance["compared"]
    off = lm.compare_dynamics(list(orbits[:8] @ mixing.T + aside), list(truth), **WITHOUT)
    assert off.verdict == DIFFERS


@pytest.mark.slow
@pytest.mark.parametrize("method", ["neighbors", "mixture"])
def test_other_estimates_see_the_change_too(method):
    other = lm.compare_dynamics(lm.systems.henon(a=1.2), HENON, method=method, variance=0.01, **WITHOUT)
    assert "states" in other.differences


LORENZ = lm.systems.lorenz()


@pytest.mark.parametrize(
    ("model", "reference", "options", "words"),
    [
        (HENON, LORENZ, {}, r"model: expected states of 3 values like the reference, got 2; readout="),
        (np.sin, HENON, {}, r"model: expected a map or data, got a function; lyapmap\.wrap"),
        (HENON, np.zeros((50, 2)), {}, r"reference: expected at least 256 states .* got 50 in 1 trajectories"),
        (np.zeros(9), HENON, {}, r"model: expected points .*model\[:, None\]"),
        (HENON, np.full((900, 2), np.nan), {}, r"reference: point 0 is not finite"),
        (HENON, HENON, {"n_trajectories": 2}, r"n_trajectories: expected at least 6, got 2"),
        (HENON, HENON, {"n_permutations": 50}, r"n_permutations: expected at least 100"),
        (HENON, HENON, {"method": "kde"}, r"method: expected 'auto'"),
        (HENON, HENON, {"x0": [50.0, 50.0]}, r"x0: the reference leaves the range of numbers"),
        (HENON, np.zeros((900, 2)), {"x0": [0.0, 0.0]}, r"x0: only where the reference is a map"),
        (HENON, HENON, {"observables": np.sin}, r"observables: expected functions of states by name"),
        (HENON, HENON, {"observables": {"sine": np.sin}}, r"observables: sine gave \(16, 2\)"),
        (HENON, HENON, {"symmetries": {"cut": lambda s: s[:, :1]}}, r"symmetries: cut made states \(16, 1\)"),
        (HENON, HENON, {"features": lambda s: "x"}, r"features: expected real numbers"),
        (HENON, HENON, {"readout": np.sin}, r"model_x0: needed with readout"),
        (lm.noisy(HENON, scale=0.01), HENON, {}, r"model: a map that depends on the step"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_line(model, reference, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.compare_dynamics(model, reference, **(WITHOUT | options))


def test_a_reference_that_escapes_late_is_no_reference():
    slow = lm.wrap(lambda x: x * 2.0**8, state_shape=1)
    with pytest.raises(RunError, match="the reference leaves"):
        lm.compare_dynamics(HENON_LINE, slow, np.ones((24, 1)), **(WITHOUT | {"n_steps": 200, "transient": 0}))


HENON_LINE = lm.wrap(lambda x: 0.5 * x, state_shape=1)
