"""Cross-checks: right numbers pass, wrong ones are caught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.analysis.exponents.spectrum_result import Check, homogeneity, worst


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
