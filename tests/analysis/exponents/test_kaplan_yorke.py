"""The Kaplan-Yorke dimension: exact cases, limits, error bars, certificates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.exponents.kaplan_yorke import (
    CERTIFIED,
    NEEDS_MORE,
    NEEDS_RESOLUTION,
    NEEDS_STEPS,
    SIGN_UNKNOWN,
    UNCERTAIN,
    kaplan_yorke,
    kaplan_yorke_with_error,
)
from lyapmap.core.errors import ShapeError

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("exponents", "dimension"),
    [
        ([0.419251, -1.623224], 1 + 0.419251 / 1.623224),  # Hénon
        ([0.9056, 0.0, -14.5723], 2 + 0.9056 / 14.5723),  # Lorenz
        ([0.430501, 0.377600, -3.301183], 2 + 0.808101 / 3.301183),  # folded towel
        ([1.0, -0.5, -0.25, -0.5], 3.5),
        ([-1.623224, 0.419251], 1 + 0.419251 / 1.623224),  # in any order
        ([0.0, -0.3], 1.0),
        ([0.0, 0.0, -0.3], 2.0),
        ([-0.1], 0.0),
        ([-0.1, -5.0], 0.0),
        ([-INF], 0.0),
        ([0.4, -INF], 1.0),
        ([0.4, 0.1, -INF, -INF], 2.0),
        ([0.5, -0.5], 2.0),  # conserves volume
        ([0.9624236501192069, -0.9624236501192069], 2.0),
        ([0.1, 0.2, -0.3], 3.0),  # its sum is zero up to rounding
        ([0.4, -0.1, NAN], NAN),  # more is needed, and it was not resolved
        ([0.4, -1.0, NAN], 1.4),  # unresolved ones beyond the crossing do not matter
        ([NAN, 0.4, NAN, -1.0], 1.4),
        ([0.5, 0.2], NAN),
        ([0.5], NAN),
        ([0.0], NAN),
        ([NAN], NAN),
        ([INF], NAN),
        ([INF, -1.0], NAN),
        ((1, -2), 1.5),
    ],
)
def test_exact_cases(exponents: Any, dimension: float) -> None:
    assert kaplan_yorke(exponents) == pytest.approx(dimension, rel=1e-14, nan_ok=True)
    assert kaplan_yorke(np.array(exponents)) == pytest.approx(dimension, rel=1e-14, nan_ok=True)


@pytest.mark.parametrize("exponents", [[], [[0.5, -1.0]], 0.5])
def test_what_is_not_one_row_of_numbers_is_refused(exponents: Any) -> None:
    with pytest.raises(ShapeError, match="exponents: expected one row of at least one number, got shape"):
        kaplan_yorke(exponents)


def test_the_public_name_is_this_function() -> None:
    assert lm.kaplan_yorke is kaplan_yorke
    assert type(lm.kaplan_yorke([1, -2])) is float


rates = st.floats(-5, 5).filter(lambda value: abs(value) > 1e-6)
spectra = st.lists(rates, min_size=1, max_size=8).map(lambda values: sorted(values, reverse=True))


@given(spectra)
def test_it_lies_between_0_and_the_number_of_exponents(exponents: list[float]) -> None:
    dimension = kaplan_yorke([*exponents, -100.0])
    assert 0 <= dimension < len(exponents) + 1
    assert dimension >= sum(value > 0 for value in exponents)
    assert (dimension == 0) == (exponents[0] < 0)


@given(spectra, st.floats(0, 2))
def test_it_grows_with_the_largest_exponent(exponents: list[float], more: float) -> None:
    larger = [exponents[0] + more, *exponents[1:]]
    assert kaplan_yorke([*larger, -200.0]) >= kaplan_yorke([*exponents, -200.0]) - 1e-12


@given(spectra, st.integers(0, 2**32 - 1))
def test_small_changes_of_the_exponents_change_it_little(exponents: list[float], seed: int) -> None:
    # It jumps only where the largest exponent goes through zero.
    assume(abs(exponents[0]) > 1e-3)
    values = np.array([*exponents, -100.0])
    moved = values + 1e-10 * np.random.default_rng(seed).uniform(-1, 1, len(values))
    assert kaplan_yorke(moved) == pytest.approx(kaplan_yorke(values), abs=1e-3)


@given(spectra, st.randoms(use_true_random=False))
def test_the_order_of_the_exponents_does_not_matter(exponents: list[float], random: Any) -> None:
    shuffled = [*exponents, -100.0]
    random.shuffle(shuffled)
    assert kaplan_yorke(shuffled) == kaplan_yorke([*exponents, -100.0])


def test_the_error_is_that_of_random_exponents() -> None:
    exponents = np.array([0.5, 0.2, -0.1, -0.9, -2.0])
    rng = np.random.default_rng(0)
    mixing = 0.01 * rng.standard_normal((5, 5))
    covariance = mixing @ mixing.T
    draws = rng.multivariate_normal(exponents, covariance, 4000)
    spread = np.std([kaplan_yorke(draw) for draw in draws])
    found = kaplan_yorke_with_error(exponents, covariance)
    assert found.dimension == pytest.approx(3 + 0.6 / 0.9)
    assert found.stderr == pytest.approx(spread, rel=0.05)


def test_correlations_count_in_the_error() -> None:
    exponents, s = np.array([0.42, -1.62]), 0.01
    together = kaplan_yorke_with_error(exponents, s**2 * np.array([[1, -1], [-1, 1]])).stderr  # a fixed sum
    apart = kaplan_yorke_with_error(exponents, s**2 * np.eye(2)).stderr
    assert together == pytest.approx(s * (1 / 1.62 - 0.42 / 1.62**2))
    assert together < apart


@pytest.mark.parametrize(
    ("exponents", "errors", "complete", "verdict"),
    [
        ([0.5, -1.0], [0.01, 0.01], False, CERTIFIED),
        ([0.5, -0.51], [0.01, 0.01], False, UNCERTAIN),
        ([0.5, -0.51, -0.6], [0.01, 0.01, 0.01], False, CERTIFIED),  # a later sum brackets the crossing
        ([0.5, -0.51, -0.02], [0.01, 0.01, 0.01], False, UNCERTAIN),
        ([0.5, -0.51], [0.01, 0.01], True, CERTIFIED),  # there are no others
        ([0.5, 0.1], [0.0, 0.0], False, NEEDS_MORE),
        ([0.5, 0.1], [0.0, 0.0], True, CERTIFIED),
        ([0.5, NAN], [0.0, 0.0], False, NEEDS_RESOLUTION),
        ([0.5, NAN], [0.0, 0.0], True, NEEDS_RESOLUTION),
        ([0.5, -1.0, NAN], [0.01, 0.01, 0.0], True, CERTIFIED),
        ([-0.1, -1.0], [0.01, 0.01], False, CERTIFIED),
        ([-0.01], [0.01], False, UNCERTAIN),
        ([-0.01], [0.01], True, SIGN_UNKNOWN),
        ([0.01, -0.5], [0.01, 0.01], True, SIGN_UNKNOWN),
        ([0.0, -0.5], [0.01, 0.01], True, CERTIFIED),  # zero is meant
        ([0.5, -1.0], [INF, INF], False, NEEDS_STEPS),
        ([0.5, 0.1], [INF, INF], True, NEEDS_STEPS),
        ([0.5, -INF], [0.01, 0.0], False, CERTIFIED),
        ([0.5, -INF], [0.01, NAN], False, CERTIFIED),
        ([0.5, -0.5], [0.0, 0.0], False, CERTIFIED),
    ],
)
def test_a_certificate_asks_for_a_sum_below_zero_by_three_errors(
    exponents: list[float], errors: list[float], complete: bool, verdict: str
) -> None:
    found = kaplan_yorke_with_error(np.array(exponents), np.diag(np.square(errors)), complete=complete)
    assert found.verdict == verdict
    open_sign = 0 < abs(exponents[0]) <= 3 * errors[0]
    assert np.isnan(found.dimension) == (verdict.startswith("needs") or open_sign)


def test_all_exponents_being_there_a_sum_above_zero_means_the_whole_space() -> None:
    found = kaplan_yorke_with_error(np.array([0.5, -0.1]), complete=True)
    assert (found.dimension, found.stderr) == (2.0, 0.0)


def test_infinite_errors_of_a_short_run_leave_the_dimension_open() -> None:
    found = kaplan_yorke_with_error(np.array([0.5, -1.0]), np.diag([INF, INF]), complete=True)
    assert np.isnan([found.dimension, found.stderr]).all()


def test_what_rounding_leaves_of_zero_is_zero() -> None:
    noise = np.array([3e-8, 1e-8, -5e-8])
    assert kaplan_yorke_with_error(noise, complete=True).dimension < 3
    found = kaplan_yorke_with_error(noise, complete=True, zero=1e-6)
    assert (found.dimension, found.stderr, found.verdict) == (3.0, 0.0, CERTIFIED)
    assert kaplan_yorke_with_error(noise, zero=1e-6).verdict == NEEDS_MORE
    conserved = np.array([0.5, 1e-8, -0.5 - 2e-8])
    assert kaplan_yorke_with_error(conserved, complete=True, zero=1e-6).dimension == 3.0


def test_errors_of_exponents_that_do_not_enter_do_not_matter() -> None:
    found = kaplan_yorke_with_error(np.array([0.5, -1.0, -2.0]), np.diag([0.01, 0.01, INF]))
    assert np.isfinite(found.stderr)
