"""Sweeps along a parameter against closed forms and single runs."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.core.results import Status
from sample_maps import Henon, interval_map
from sample_maps import logistic as plain

logistic = lm.systems.logistic
FEW: dict[str, Any] = {"n_steps": 300, "transient": 200, "n_kept": 8, "seed": 0}


def test_stable_cycles_of_the_logistic_map_in_closed_form() -> None:
    r = np.array([2.6, 2.8, 3.1, 3.3, 3.4])
    s = lm.sweep(logistic, "r", r, [0.3], **FEW | {"transient": 2000})
    multiplier = np.where(r < 3, 2 - r, 4 + 2 * r - r**2)
    np.testing.assert_allclose(s.exponents[:, 0], np.log(np.abs(multiplier)) / np.where(r < 3, 1, 2), atol=1e-9)
    assert s.attractors == ("fixed point",) * 2 + ("cycle of period 2",) * 3
    np.testing.assert_allclose(s.states[:2, :, 0], np.broadcast_to((1 - 1 / r[:2])[:, None], (2, 8)), atol=1e-12)
    root = np.sqrt((r[2:] - 3) * (r[2:] + 1))
    both = np.sort(((r[2:] + 1)[:, None] + np.array([-1, 1]) * root[:, None]) / (2 * r[2:, None]), axis=1)
    np.testing.assert_allclose(np.sort(s.states[2:, :2, 0], axis=1), both, atol=1e-9)
    assert s.statuses == ("ok",) * 5
    assert s.kaplan_yorke.tolist() == [0.0] * 5


def test_a_sweep_is_what_single_runs_give() -> None:
    s = lm.sweep(plain, "r", [3.7, 3.9], [0.3], **FEW)
    for row, r in enumerate((3.7, 3.9)):
        orbit = lm.trajectory(plain(r), [0.3], n_steps=207)
        np.testing.assert_allclose(s.states[row], orbit.states[0, 200:], atol=1e-12)
        alone = lm.lyapunov_spectrum(plain(r), [0.3], n_steps=300, transient=200, seed=0)
        np.testing.assert_allclose(s.exponents[row], alone.exponents, atol=1e-9)
        assert s.stderr[row] == pytest.approx(alone.stderr, rel=0.5)


@settings(max_examples=6)
@given(values=st.lists(st.floats(1.01, 2.0), min_size=1, max_size=4))
def test_tent_maps_of_any_slopes_have_their_logarithms(values: list[float]) -> None:
    def family(mu: float) -> Any:
        return interval_map(lambda x: mu * np.minimum(x, 1 - x), lambda x: np.where(x < 0.5, mu, -mu))

    s = lm.sweep(family, "mu", values, [0.3], analysis="spectrum", n_steps=20, transient=0, seed=0)
    np.testing.assert_allclose(s.exponents[:, 0], np.log(values), atol=1e-12)
    assert s.values.tolist() == values


def test_exponents_of_a_family_of_two_dimensions_keep_the_sum_rule() -> None:
    s = lm.sweep(functools.partial(lm.systems.henon, b=0.2), "a", np.linspace(1.0, 1.4, 5), **FEW, analysis="spectrum")
    np.testing.assert_allclose(s.exponents.sum(axis=1), np.log(0.2), atol=1e-9)
    assert s.states.shape == (5, 0, 0)
    assert s.provenance["parameters"] == {"b": 0.2}


def test_carrying_the_state_shows_hysteresis() -> None:
    def family(h: float) -> Any:
        return interval_map(lambda x: np.tanh(2 * x + h), lambda x: 2 / np.cosh(2 * x + h) ** 2)

    h = np.linspace(-1, 1, 21)
    options: dict[str, Any] = FEW | {"analysis": "bifurcation", "carry": True}
    up = lm.sweep(family, "h", h, [0.1], **options).states[:, -1, 0]
    down = lm.sweep(family, "h", h[::-1], [0.1], **options).states[::-1, -1, 0]
    fresh = lm.sweep(family, "h", h, [0.1], **options | {"carry": False}).states[:, -1, 0]
    assert up[10] < -0.9 < 0.9 < down[10]
    assert up[[0, -1]] == pytest.approx(down[[0, -1]])
    assert (np.diff(up) > 0).all()
    assert fresh[10] == pytest.approx(down[10])


def test_a_run_that_escapes_is_recorded_and_the_others_stand() -> None:
    s = lm.sweep(plain, "r", [3.5, 4.5, 3.9, 5.0], [0.3], **FEW)
    assert s.statuses == ("ok", "escaped", "ok", "escaped")
    assert np.isnan(s.exponents[[1, 3]]).all()
    assert np.isnan(s.states[[1, 3]]).all()
    assert np.isfinite(s.exponents[[0, 2]]).all()
    assert s.status is Status.OK
    assert "2 of 4 runs failed, the first at r = 4.5" in s.message
    with pytest.raises(RunError, match="2 of 2 runs failed"):
        lm.sweep(plain, "r", [4.5, 5.0], [0.3], **FEW)
    carried = lm.sweep(plain, "r", [3.5, 4.5, 3.9], [0.3], **FEW, carry=True)
    assert carried.statuses == ("ok", "escaped", "ok")


def test_any_function_can_be_measured() -> None:
    def moments(m: Any, x: np.ndarray) -> list[float]:
        states = lm.trajectory(m, x, n_steps=50).states
        return [float(states.mean()), float(states.std())]

    s = lm.sweep(logistic, "r", [2.6, 3.2], [0.3], analysis=moments, transient=500, seed=0)
    assert s.measured.shape == (2, 2)
    assert s.measured[0] == pytest.approx([1 - 1 / 2.6, 0], abs=1e-6)
    assert s.settings["analysis"] == ["moments"]

    def refuses(m: Any, x: np.ndarray) -> float:
        raise RunError("no", None)

    assert lm.sweep(logistic, "r", [3.0], [0.3], analysis=refuses, throw=False).statuses == ("not_converged",)
    with pytest.raises(LyapmapError, match="analysis: expected the function to give a number"):
        lm.sweep(logistic, "r", [3.0], [0.3], analysis=lambda m, x: np.zeros((2, 2)))


def test_threads_and_seeds_do_not_change_the_numbers() -> None:
    values = np.linspace(3.5, 4, 6)
    one = lm.sweep(logistic, "r", values, n_trajectories=2, **FEW)
    two = lm.sweep(logistic, "r", values, n_trajectories=2, workers=2, **FEW)
    np.testing.assert_array_equal(one.exponents, two.exponents)
    np.testing.assert_array_equal(one.states, two.states)
    assert one.states.shape == (6, 16, 1)


def test_maps_that_depend_on_the_step_are_swept_from_step_0() -> None:
    def family(scale: float) -> Any:
        return lm.noisy(plain(3.7), scale=scale, seed=1)

    s = lm.sweep(family, "scale", [0.0, 1e-3], [0.3], **FEW)
    orbit = lm.trajectory(family(1e-3), [0.3], n_steps=207)
    np.testing.assert_array_equal(s.states[1], orbit.states[0, 200:])
    alone = lm.lyapunov_spectrum(family(1e-3), [0.3], n_steps=300, transient=200, seed=0)
    np.testing.assert_array_equal(s.exponents[1], alone.exponents)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("logistic", "r", [3.0], [0.3]), {}, "factory: expected a function that makes a map, got str"),
        ((logistic, "s", [3.0], [0.3]), {}, "parameter: the factory does not take 's'"),
        ((logistic, "r", [3.0, 4.5], [0.3]), {}, "values: no map at r = 4.5"),
        ((logistic, "r", [], [0.3]), {}, "values: expected a row of finite numbers"),
        ((logistic, "r", [np.nan], [0.3]), {}, "values: expected a row of finite numbers"),
        ((logistic, "r", ["a"], [0.3]), {}, "values: expected numbers"),
        ((logistic, "r", [3.0], [0.3, 0.4, 0.5]), {}, "x0: expected one state"),
        ((plain, "r", [3.0]), {}, "x0: expected states to start from"),
        ((lambda r: Henon, "r", [3.0], [0.3]), {}, "map: expected an object|x0: expected one state"),
        ((logistic, "r", [3.0], [0.3]), {"analysis": "entropy"}, "analysis: expected 'spectrum', 'bifurcation'"),
        ((logistic, "r", [3.0], [0.3]), {"analysis": ()}, "analysis: expected at least one"),
        ((logistic, "r", [3.0], [0.3]), {"n_kept": 0}, "n_kept: expected at least 1"),
        ((logistic, "r", [3.0], [0.3]), {"carry": True, "workers": 2}, "workers: expected 1 together with carry"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(LyapmapError, match=message):
        lm.sweep(*arguments, **options)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_the_values_that_were_done(workers: int) -> None:
    def report(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.sweep(logistic, "r", np.linspace(3, 4, 6), [0.3], **FEW, workers=workers, progress=report)
    result = caught.value.result
    assert result.statuses.count("not_run") == 4
    assert np.isfinite(result.exponents).sum() == 2
    assert "interrupted after 2 of 6 values" in result.message


def test_ctrl_c_before_the_first_value_leaves_nothing() -> None:
    def stop(r: float) -> Any:
        m = plain(r)
        m.apply = interrupt
        return m

    def interrupt(x: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.sweep(stop, "r", [3.0], [0.3], **FEW)
    assert caught.value.result is None


@pytest.mark.parametrize("suffix", ["nc", "npz"])
def test_results_survive_saving(tmp_path: Any, suffix: str) -> None:
    s = lm.sweep(plain, "r", [3.5, 4.5], [0.3], **FEW)
    loaded = lm.Sweep.load(s.save(tmp_path / f"s.{suffix}"))
    np.testing.assert_array_equal(loaded.exponents, s.exponents)
    np.testing.assert_array_equal(loaded.states, s.states)
    assert loaded.statuses == s.statuses
    assert loaded.measured.shape == (2, 0)


@pytest.mark.parametrize(("x0", "wanted"), [([0.1, 0.1], 1), ([[0.1, 0.1], [0.2, 0.1]], 2), (None, 3)], ids=repr)
def test_the_number_of_trajectories_is_recorded(x0: Any, wanted: int) -> None:
    s = lm.sweep(lm.systems.henon, "a", [1.0, 1.2], x0, n_trajectories=3, **FEW)
    assert s.settings["n_trajectories"] == wanted
