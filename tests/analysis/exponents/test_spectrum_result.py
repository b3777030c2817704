"""What is concluded from a run: status, checks, attractors."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents.spectrum_result import Check, homogeneity, worst
from lyapmap.core.errors import RunError
from sample_maps import Henon, Linear, henon, interval_map, logistic, rotation, tent

GOLDEN = np.pi * (np.sqrt(5) - 1)


def run(m: Any, x0: Any, n_steps: int = 500, **options: Any) -> lm.LyapunovSpectrum:
    return lm.lyapunov_spectrum(m, x0, n_steps=n_steps, **{"seed": 0, "throw": False} | options)


def assert_no_numbers(spectrum: lm.LyapunovSpectrum) -> None:
    assert np.isnan(spectrum.exponents).all()
    assert np.isnan(spectrum.stderr).all()
    assert np.isnan([spectrum.kaplan_yorke, spectrum.entropy]).all()
    assert spectrum.n_positive == 0


# Collapsed: rounding has put the orbit where no exact orbit would stay.


@pytest.mark.parametrize("transient", [0, 100])
def test_the_tent_map_collapses(transient: int) -> None:
    spectrum = run(tent(), [0.2], transient=transient)
    assert (spectrum.status, spectrum.attractor) == ("collapsed", "collapsed")
    assert spectrum.message == "the computed orbit repeats exactly although it is unstable"
    assert_no_numbers(spectrum)


def test_a_collapse_raises_with_the_remedy_and_the_result() -> None:
    with pytest.raises(RunError, match=r"collapsed: .*start elsewhere, run fewer steps, use float64 or add noise") as e:
        run(tent(), [0.2], throw=True)
    assert e.value.result.status == "collapsed"  # type: ignore[attr-defined]


def test_some_trajectories_collapsed_are_counted() -> None:
    spectrum = run(logistic(4.0), [[0.3], [0.5], [0.25]], n_steps=100)
    assert spectrum.message == "2 of 3 computed orbits repeat exactly although they are unstable"
    assert_no_numbers(spectrum)


def test_the_logistic_map_from_0_4_collapses_after_15_million_steps() -> None:
    spectrum = run(lm.systems.logistic(r=4.0), [0.4], n_steps=15_600_000)
    assert spectrum.status == "collapsed"
    assert_no_numbers(spectrum)


def test_the_baker_map_collapses_once_its_second_coordinate_is_gone_too() -> None:
    assert run(lm.systems.baker(), [0.2, 0.3], n_steps=3000).status == "collapsed"


def test_noise_keeps_a_map_alive_that_would_collapse() -> None:
    def reflected(x: np.ndarray) -> np.ndarray:
        y = np.abs(x) % 2
        return np.where(y > 1, 2 - y, y)

    m = interval_map(lambda x: 1 - np.abs(2 * reflected(x) - 1), lambda x: np.full_like(x, 2.0))
    spectrum = run(lm.noisy(m, scale=1e-9), [0.2])
    assert (spectrum.status, spectrum.attractor) == ("ok", "chaotic")
    assert spectrum.exponents[0] == pytest.approx(np.log(2), rel=1e-12)


# Escaped: a state is not finite, or left the bounds.


@pytest.mark.parametrize("transient", [0, 40])
def test_a_map_that_overflows_has_escaped(transient: int) -> None:
    spectrum = run(interval_map(lambda x: 2 * x**2 + 1), [1.0], transient=transient)
    assert (spectrum.status, spectrum.attractor) == ("escaped", "escaped")
    assert re.fullmatch(r"the state is not finite after step \d+", spectrum.message)
    assert_no_numbers(spectrum)
    assert spectrum.history.shape[1] == 1


def test_trajectories_that_escape_are_counted() -> None:
    spectrum = run(Henon(), [[0.1, 0.1], [10.0, 10.0], [0.2, 0.1]])
    assert spectrum.status == "escaped"
    assert spectrum.message.startswith("1 of 3 trajectories is not finite after step")


def test_a_state_that_leaves_the_bounds_has_escaped() -> None:
    spectrum = run(Henon(), [0.1, 0.1], bounds=(-1, 1))
    assert spectrum.status == "escaped"
    assert re.fullmatch(r"the state left the bounds or is not finite after step \d+", spectrum.message)
    assert run(Henon(), [0.1, 0.1], bounds=(-2, 2)).status == "ok"


def test_an_escape_raises_by_default() -> None:
    with pytest.raises(RunError, match=r"escaped: the state is not finite after step \d+; start within the basin"):
        run(interval_map(lambda x: 2 * x**2 + 1), [1.0], throw=True)


# Unresolved: exponents under the floor of the dtype.


def test_a_map_of_rank_one_has_one_exponent_and_nan() -> None:
    """Both coordinates follow the logistic map of their mean."""

    def image(x: np.ndarray) -> np.ndarray:
        u = x.mean(axis=1, keepdims=True)
        return np.repeat(3.9 * u * (1 - u), 2, axis=1)

    m = lm.wrap(image, state_shape=2, backend="numpy")
    spectrum = run(m, [0.3, 0.5], n_steps=4000, transient=100, throw=True)
    assert (spectrum.status, spectrum.attractor) == ("unresolved", "chaotic")
    assert spectrum.message == "1 exponent lies under the floor that float64 can resolve"
    assert abs(spectrum.exponents[0] - 0.496038) < 4 * spectrum.stderr[0]
    assert np.isnan([spectrum.exponents[1], spectrum.stderr[1]]).all()
    assert np.isnan(spectrum.per_trajectory[:, 1]).all()
    assert np.isnan(spectrum.history[:, 1]).all()
    assert np.isnan(spectrum.kaplan_yorke)
    assert spectrum.kaplan_yorke_verdict == "needs exponents that were not resolved"
    assert spectrum.entropy == spectrum.exponents[0]


def test_a_run_of_which_nothing_is_resolved_raises_by_default() -> None:
    m = interval_map(lambda x: (1e200 * x) % 1, lambda x: np.full_like(x, 1e200))
    with pytest.raises(RunError, match=r"unresolved: tangents overflowed within 4 steps .*; lower qr_every") as caught:
        run(m, [0.3], qr_every=4, throw=True)
    assert caught.value.result.failed


def test_tangents_that_overflow_between_decompositions_are_unresolved() -> None:
    m = lm.wrap(lambda x: np.array([1e30, 1.0]) * x, state_shape=2, backend="numpy")
    spectrum = run(m, [0.0, 0.0], qr_every=50)
    assert (spectrum.status, spectrum.attractor) == ("unresolved", "undetermined")
    assert "lower qr_every" in spectrum.message
    assert_no_numbers(spectrum)


# Attractors that are not chaotic: their exponents are exact, the status ok.


@pytest.mark.parametrize("transient", [0, 300])
def test_a_stable_fixed_point_has_the_exponents_of_its_multiplier(transient: int) -> None:
    spectrum = run(logistic(2.5), [0.3], transient=transient)
    assert (spectrum.status, spectrum.attractor) == ("ok", "fixed point")
    assert spectrum.exponents[0] == pytest.approx(-np.log(2), rel=1e-12)
    assert (spectrum.stderr[0], spectrum.kaplan_yorke, spectrum.entropy, spectrum.n_positive) == (0, 0, 0, 0)


@pytest.mark.parametrize("transient", [0, 1])
def test_a_stable_cycle_of_period_2_has_the_exponents_of_its_multipliers(transient: int) -> None:
    r = 3.2
    spectrum = run(logistic(r), [0.3], n_steps=999, transient=transient)
    assert (spectrum.status, spectrum.attractor) == ("ok", "cycle of period 2")
    assert spectrum.exponents[0] == pytest.approx(np.log(abs(4 + 2 * r - r**2)) / 2, rel=1e-12)


def test_a_cycle_of_period_3_is_recognized_behind_a_chaotic_transient() -> None:
    spectrum = run(logistic(3.83), [[0.3], [0.5], [0.77]], n_steps=3000)
    assert (spectrum.status, spectrum.attractor) == ("ok", "cycle of period 3")
    settled = lm.trajectory(logistic(3.83), [0.3], n_steps=2, transient=5000).states[0, :, 0]
    wanted = np.log(np.abs(3.83 * (1 - 2 * settled))).mean()
    assert spectrum.exponents[0] == pytest.approx(wanted, rel=1e-9)
    np.testing.assert_allclose(spectrum.per_trajectory, wanted, rtol=1e-9)


def test_a_spiral_into_a_fixed_point_has_two_equal_exponents() -> None:
    spectrum = run(Linear(0.9 * rotation(1.0)), [1.0, 0.0], n_steps=1000)
    assert (spectrum.status, spectrum.attractor) == ("ok", "fixed point")
    np.testing.assert_allclose(spectrum.exponents, np.log(0.9), rtol=1e-12)


def test_complex_multipliers_of_a_sheared_spiral_are_exact_where_averages_are_not() -> None:
    matrix = np.array([[0.9, -0.5], [0.2, 0.7]])
    spectrum = run(Linear(matrix), [1.0, 0.0], n_steps=1000)
    wanted = np.log(np.abs(np.linalg.eigvals(matrix)))
    np.testing.assert_allclose(spectrum.exponents, wanted, rtol=1e-12)
    one = run(Linear(matrix), [1.0, 0.0], n_steps=1000, n_exponents=1)  # one direction is not invariant, all are
    assert one.exponents[0] == pytest.approx(wanted[0], rel=1e-12)


def test_a_rotation_is_a_torus_with_exponents_of_zero() -> None:
    spectrum = run(Linear(rotation(GOLDEN)), [1.0, 0.0], n_steps=1000)
    assert (spectrum.status, spectrum.attractor) == ("ok", "torus")
    np.testing.assert_allclose(spectrum.exponents, 0, atol=1e-12)
    assert (spectrum.kaplan_yorke, spectrum.n_positive, spectrum.entropy) == (2, 0, 0)


def test_an_attracting_circle_is_a_torus_of_dimension_one() -> None:
    def image(x: np.ndarray) -> np.ndarray:
        size = np.sqrt((x**2).sum(axis=1, keepdims=True))
        return x @ rotation(GOLDEN).T * (1 + 0.5 * (1 - size))

    m = lm.wrap(image, state_shape=2, backend="numpy")
    spectrum = run(m, [0.7, 0.0], n_steps=1000, transient=200)
    assert (spectrum.status, spectrum.attractor) == ("ok", "torus")
    np.testing.assert_allclose(spectrum.exponents, [0, np.log(0.5)], atol=1e-9)
    assert spectrum.kaplan_yorke == 1.0


@pytest.mark.parametrize(
    ("m", "x0", "exponent"),
    [(logistic(4.0), 0.0, np.log(4)), (logistic(4.0), 0.75, np.log(2)), (tent(), 0.0, np.log(2))],
)
def test_an_unstable_fixed_point_that_was_asked_for_is_no_collapse(m: Any, x0: float, exponent: float) -> None:
    spectrum = run(m, [x0], throw=True)
    assert (spectrum.status, spectrum.attractor) == ("ok", "unstable fixed point")
    assert spectrum.exponents[0] == pytest.approx(exponent, rel=1e-12)
    assert spectrum.n_positive == 1


def test_an_unstable_fixed_point_known_to_rounding_only_is_no_collapse() -> None:
    """The fixed point of the Hénon map, which its float does not meet exactly."""
    x = (-0.7 + np.sqrt(0.49 + 5.6)) / 2.8
    point = np.array([[x, 0.3 * x]])
    spectrum = run(Henon(), point, n_steps=20)
    assert not np.array_equal(henon(point), point)
    assert (spectrum.status, spectrum.attractor) == ("ok", "unstable fixed point")
    wanted = np.log(np.abs(np.linalg.eigvals(Henon().jacobian(point)[0])))
    np.testing.assert_allclose(spectrum.exponents, np.sort(wanted)[::-1], rtol=1e-9)


def test_attractors_that_coexist_are_told_with_their_numbers() -> None:
    m = interval_map(lambda x: np.where(x < 0, 2.5 * x * (1 + x), 3.9 * x * (1 - x)))
    spectrum = run(m, [[0.3], [-0.3], [0.7], [0.6], [-0.9]], n_steps=3000, transient=100)
    assert spectrum.attractor == "chaotic (3), fixed point (2)"
    assert spectrum.status == "ok"
    np.testing.assert_allclose(spectrum.per_trajectory[[1, 4], 0], -np.log(2), atol=1e-8)
    assert (spectrum.per_trajectory[[0, 2, 3], 0] > 0.4).all()


def test_two_stable_fixed_points_of_different_strength_both_count() -> None:
    m = interval_map(lambda x: np.where(x < 0, (x - 1) / 2, (x + 3) / 4))
    spectrum = run(m, [[-2.0], [3.0]], n_steps=200)
    assert spectrum.attractor == "fixed point"
    np.testing.assert_allclose(spectrum.per_trajectory[:, 0], [-np.log(2), -np.log(4)], rtol=1e-7)
    assert spectrum.stderr[0] > 0.1


def test_a_superstable_fixed_point_has_an_exponent_of_minus_infinity() -> None:
    spectrum = run(logistic(2.0), [0.5])
    assert (spectrum.status, spectrum.attractor) == ("ok", "fixed point")
    assert spectrum.exponents[0] == -np.inf
    assert spectrum.kaplan_yorke == 0


def test_a_run_too_short_for_an_error_bar_says_so() -> None:
    spectrum = run(Henon(), [0.1, 0.1], n_steps=5)
    assert np.isposinf(spectrum.stderr).all()
    assert (spectrum.status, spectrum.cause, spectrum.attractor) == ("not_converged", "too_short", "undetermined")
    assert spectrum.message == "5 steps of one trajectory are too few for error bars"
    assert spectrum.remedy == "raise n_steps or the number of trajectories"
    assert np.isnan([spectrum.kaplan_yorke, spectrum.kaplan_yorke_stderr, spectrum.entropy]).all()
    assert (spectrum.n_positive, spectrum.kaplan_yorke_verdict) == (0, "needs more steps")


def checks_of(m, **options):
    given = {"n_steps": 4000, "transient": 200, "seed": 0} | options
    s = lm.lyapunov_spectrum(m, m.initial_states(8, 1), **given)
    return {check.name: check for check in s.check()}


@pytest.mark.parametrize("name", ["henon", "ikeda", "folded_towel", "generalized_henon", "logistic", "tinkerbell"])
def test_all_checks_pass_for_reference_maps(name):
    found = checks_of(lm.systems.create(name))
    assert {"sum rule", "halves", "mixing", "trajectories", "frame"} <= set(found)
    assert all(check.passed for check in found.values()), [str(c) for c in found.values() if not c.passed]


@pytest.mark.parametrize("name", ["folded_towel", "tinkerbell", "logistic"])
def test_the_sum_rule_holds_to_rounding_where_the_determinant_varies(name):
    m = lm.systems.create(name)
    s = lm.lyapunov_spectrum(m, m.initial_states(8, 1), n_steps=3000, transient=200, seed=0)
    assert abs(s.sum_rule["residual"]) < 1e-12
    assert s.sum_rule["log_det"] == pytest.approx(s.exponents.sum(), abs=1e-12)
    assert s.sum_rule["steps"] == 3000
    assert s.sum_rule["log_det_stderr"] > 0


def test_a_map_without_compiled_determinants_takes_them_along_part_of_the_run():
    m = lm.systems.coupled_map_lattice(n=8)
    s = lm.lyapunov_spectrum(m, m.initial_states(4, 1), n_steps=2560, transient=100, seed=0)
    assert 0 < s.sum_rule["steps"] < 2560
    assert abs(s.sum_rule["residual"]) < 1e-12
    assert s.sum_rule["log_det"] == pytest.approx(s.exponents.sum(), abs=5 * s.sum_rule["log_det_stderr"])


class Wrong:
    """A Hénon map whose jvp disagrees with its jacobian."""

    def __init__(self, inner):
        self.inner = inner
        self.state_shape, self.ops = inner.state_shape, inner.ops

    def apply(self, x):
        return self.inner.apply(x)

    def jacobian(self, x):
        return self.inner.jacobian(x)

    def jvp(self, x, v):
        y, u = self.inner.jvp(x, v)
        return y, u * (1 + 1e-6)


def test_a_wrong_derivative_breaks_the_sum_rule():
    m = lm.systems.folded_towel()
    s = lm.lyapunov_spectrum(Wrong(m), m.initial_states(2, 1), n_steps=300, transient=20, seed=0, throw=False)
    assert (s.status, s.cause) == ("not_converged", "cross_check")
    assert s.message.startswith("the exponents add up to -2.49594, log|det J| over the same steps is -2.49595")
    assert "derivative" in s.remedy
    rule = next(check for check in s.check() if check.name == "sum rule")
    assert not rule.passed
    assert rule.measured - rule.expected == pytest.approx(3e-6, rel=1e-3)


def test_a_run_that_drifts_fails_its_halves():
    slow = lm.wrap(lambda x: np.stack([x[:, 0] + 1e-3, np.exp(x[:, 0]) * x[:, 1]], axis=1), state_shape=2)
    s = lm.lyapunov_spectrum(slow, [[0.0, 1e-9]], n_steps=600, n_exponents=1, seed=0, throw=False)
    failed = {check.name for check in s.check() if not check.passed}
    assert failed & {"halves", "mixing"}


def test_a_wrong_reference_is_caught():
    m = lm.systems.henon()
    m.known = replace(m.known, exponents=(0.43, -1.634), standard_error=(1e-5, 1e-5))
    assert not checks_of(m, n_steps=20_000)["known"].passed


def test_checks_survive_saving(tmp_path):
    m = lm.systems.henon()
    s = lm.lyapunov_spectrum(m, m.initial_states(8, 1), n_steps=500, transient=50, seed=0)
    for name in ("s.nc", "s.npz"):
        assert lm.LyapunovSpectrum.load(s.save(tmp_path / name)).check() == s.check()


def test_a_check_in_numbers_and_words():
    check = Check("sum rule", 1.5, 1.0, 0.1, "what is compared")
    assert check.residual == pytest.approx(5.0)
    assert not check.passed
    assert str(check).startswith("FAIL sum rule")
    assert Check("x", 1.0, 1.0, 0.0, "").residual == 0.0
    assert Check("x", 1.0, 2.0, 0.0, "").residual == -np.inf
    assert Check(**check.to_dict()) == check


def test_the_worst_of_many_is_found_and_numbered():
    check = worst("halves", [0.1, 0.5, np.nan], 0.0, [0.1, 0.1, 0.1], "exponent {i}")
    assert (check.measured, check.words) == (0.5, "exponent 2")
    assert worst("halves", [np.nan], 0.0, 1.0, "") is None


def test_homogeneity_needs_three_trajectories_with_errors():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((50, 1))
    assert homogeneity(values, np.ones((50, 1))).passed
    assert not homogeneity(10 * values, np.ones((50, 1))).passed
    assert homogeneity(values[:2], np.ones((2, 1))) is None
    assert homogeneity(values, np.full((50, 1), np.inf)) is None


def test_steps_for_a_tolerance_follow_the_square_root():
    m = lm.systems.henon()
    s = lm.lyapunov_spectrum(m, m.initial_states(8, 1), n_steps=1000, transient=50, seed=0)
    assert s.steps_for(s.stderr[0] / 2) == pytest.approx(4000, rel=0.01)
    with pytest.raises(lm.LyapmapError, match="tolerance"):
        s.steps_for(-1)
    short = lm.lyapunov_spectrum(m, [0.1, 0.1], n_steps=3, seed=0, throw=False)
    with pytest.raises(lm.LyapmapError, match="no standard error"):
        short.steps_for(0.1)


def test_re_orthonormalizing_seldom_gives_the_same_exponents():
    m = lm.systems.coupled_map_lattice(n=32)
    x0 = m.initial_states(4, 1)
    often, seldom = (
        lm.lyapunov_spectrum(m, x0, n_steps=2000, transient=200, n_exponents=8, qr_every=every, seed=0)
        for every in (1, "auto")
    )
    assert seldom.settings["qr_every_used"] > 1
    np.testing.assert_allclose(seldom.exponents, often.exponents, atol=2e-4)  # orbits part by rounding in the end


def test_directions_that_grow_very_unlike_are_kept_apart_at_every_step():
    m = lm.systems.linear_map([0.0, -20.0])
    s = lm.lyapunov_spectrum(m, [0.0, 0.0], n_steps=200, transient=20, seed=0)
    assert s.settings["qr_every_used"] == 1
    np.testing.assert_allclose(s.exponents, [0, -20], atol=1e-9)


def test_the_two_halves_of_a_run_differ_by_one_error_on_average():
    m = lm.systems.henon()
    residuals = []
    for seed, start in enumerate(m.initial_states(60, 3)):
        s = lm.lyapunov_spectrum(m, start, n_steps=1000, transient=100, n_exponents=1, seed=seed)
        residuals.append(next(check.residual for check in s.check() if check.name == "halves"))
    assert 0.75 < np.std(residuals) < 1.35


def test_a_map_may_know_its_own_figure_less_well_than_to_rounding():
    class Coarse:
        """The folded towel map, with a determinant that is off by 0.01, and may say so."""

        def __init__(self, inner, tolerance):
            self.inner, self.state_shape, self.ops = inner, inner.state_shape, inner.ops
            self.apply, self.jvp, self.jacobian = inner.apply, inner.jvp, inner.jacobian
            self.log_abs_det_tolerance = tolerance

        def log_abs_det(self, x, n_steps):
            return self.inner.log_abs_det(x, n_steps) + 0.01 * n_steps

    m = lm.systems.folded_towel()
    for tolerance, status in ((0.0, "not_converged"), (1e-4, "not_converged"), (0.02, "ok")):
        s = lm.lyapunov_spectrum(
            Coarse(m, tolerance), m.initial_states(2, 1), n_steps=200, transient=20, seed=0, throw=False
        )
        assert s.status == status
