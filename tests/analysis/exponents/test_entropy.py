"""Expansion entropy against exact values, lap numbers and Lyapunov exponents."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.exponents.entropy import GradedProduct
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError
from lyapmap.core.results import Status
from sample_maps import Henon, Linear, interval_map, logistic, tent, torus_map

CAT = np.log((3 + np.sqrt(5)) / 2)
FEW: dict[str, Any] = {"n_samples": 4000, "seed": 1}


def doubling() -> Any:
    return interval_map(lambda x: 2 * x % 1, lambda x: 2 + 0 * x)


def baker() -> Any:
    def image(x: np.ndarray) -> np.ndarray:
        half = np.floor(2 * x[:, 0])
        return np.stack([2 * x[:, 0] - half, (x[:, 1] + half) / 2], axis=1)

    matrix = np.diag([2.0, 0.5])
    return lm.wrap(
        image, state_shape=2, backend="numpy", jacobian=lambda x: np.broadcast_to(matrix, (len(x), 2, 2)).copy()
    )


@pytest.mark.parametrize(
    ("make", "entropy"),
    [
        (tent, np.log(2)),
        (doubling, np.log(2)),
        (baker, np.log(2)),
        (lambda: torus_map([[2, 1], [1, 1]]), CAT),
        (lambda: torus_map(np.kron(np.eye(2), [[2, 1], [1, 1]])), 2 * CAT),
        (lambda: interval_map(lambda x: 0.5 * x, lambda x: 0.5 + 0 * x), 0.0),
        (lambda: interval_map(lambda x: (x + 0.3) % 1, lambda x: 1 + 0 * x), 0.0),
    ],
)
def test_maps_of_constant_stretching_have_their_exact_entropy(make: Any, entropy: float) -> None:
    found = lm.expansion_entropy(make(), (0, 1), n_samples=60, n_steps=15, seed=0)
    assert found.status is Status.OK
    assert found.entropy == pytest.approx(entropy, abs=2e-4)
    assert found.stderr < 1e-3
    assert (found.surviving == 1).all()


def test_logistic_map_has_ln_2_where_it_fills_the_interval_and_where_points_leave_it() -> None:
    whole = lm.expansion_entropy(logistic(4.0), (0, 1), **FEW)
    assert abs(whole.entropy - np.log(2)) < 4 * whole.stderr < 0.03
    leaking = lm.expansion_entropy(logistic(4.2), (0, 1), n_steps=12, n_samples=20_000, seed=0)
    assert abs(leaking.entropy - np.log(2)) < 4 * leaking.stderr < 0.05  # every step covers [0, 1] twice still
    assert leaking.surviving[-1] < 0.5


def test_entropy_agrees_with_the_growth_of_the_variation_of_the_iterates() -> None:
    """M. Misiurewicz, W. Szlenk 1980: the entropy of an interval map is the growth rate of its variation."""
    x = np.linspace(0, 1, 2_000_001)
    variation = []
    for _ in range(14):
        x = 3.9 * x * (1 - x)
        variation.append(np.log(np.abs(np.diff(x)).sum()))
    slope = np.polyfit(np.arange(6, 14), variation[6:], 1)[0]
    found = lm.expansion_entropy(logistic(3.9), (0, 1), n_steps=16, n_samples=20_000, seed=0)
    assert abs(found.entropy - slope) < 4 * found.stderr + 0.005
    assert found.stderr < 0.02


def test_henon_map_has_the_published_entropy() -> None:
    """0.46493 bounds it from below rigorously (S. Newhouse et al. 2008); other estimates give 0.465."""
    found = lm.expansion_entropy(Henon(), (-2, 2), **FEW | {"n_samples": 8000, "seed": 0})
    assert abs(found.entropy - 0.465) < 4 * found.stderr < 0.06
    assert 0.4 < found.surviving[-1] < 0.5


@settings(max_examples=12)
@given(a=st.floats(-2.5, 2.5), b=st.floats(-2.5, 2.5), c=st.floats(-2.5, 2.5), d=st.floats(-2.5, 2.5))
def test_torus_maps_of_any_matrix_expand_as_their_powers_do(a: float, b: float, c: float, d: float) -> None:
    matrix = np.array([[a, b], [c, d]])
    found = lm.expansion_entropy(torus_map(matrix), (0, 1), n_samples=40, n_steps=6, seed=0, throw=False)
    powers = [np.linalg.svd(np.linalg.matrix_power(matrix, t), compute_uv=False) for t in range(7)]
    np.testing.assert_allclose(found.log_expansion, [np.log(s[s > 1]).sum() for s in powers], atol=1e-6)


def test_products_keep_singular_values_that_multiplying_out_would_lose() -> None:
    """Against compound matrices, whose largest singular values are products of those of the matrices."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((70, 1, 3, 3)) * np.array([30.0, 1.0, 0.03])[:, None]
    kept = GradedProduct(1, 3)
    for a in factors:
        kept.times(a @ kept.directions)
    logs = kept.log_singular_values()[0]
    assert logs[0] - logs[2] > 300
    sums = []
    for k in (1, 2, 3):
        rows = list(combinations(range(3), k))
        total, scale = np.eye(len(rows)), 0.0
        for a in factors[:, 0]:
            total = np.array([[np.linalg.det(a[np.ix_(i, j)]) for j in rows] for i in rows]) @ total
            scale += np.log(np.abs(total).max())
            total = total / np.abs(total).max()
        sums.append(scale + np.log(np.linalg.norm(total, 2)))
    np.testing.assert_allclose(np.cumsum(logs), sums, atol=1e-8)


def test_products_of_singular_matrices_have_a_zero() -> None:
    kept = GradedProduct(1, 2)
    for _ in range(3):
        kept.times(np.diag([2.0, 0.0])[None] @ kept.directions)
    np.testing.assert_allclose(np.exp(kept.log_singular_values()), [[8.0, 0.0]])


def test_a_flow_has_its_entropy_per_unit_time() -> None:
    m = torus_map([[2, 1], [1, 1]])
    m.time_per_step = 0.5
    found = lm.expansion_entropy(m, (0, 1), n_samples=40, n_steps=10, seed=0)
    assert found.entropy == pytest.approx(2 * CAT, abs=1e-4)
    assert found.unit == "per unit time"


def test_noise_belongs_to_steps_and_rows() -> None:
    found = lm.expansion_entropy(lm.noisy(logistic(3.8), scale=1e-3), (-0.1, 1.1), n_samples=2000, n_steps=12, seed=0)
    assert 0.3 < found.entropy < 0.7


def test_what_gives_no_slope_says_so() -> None:
    gone = lm.expansion_entropy(interval_map(lambda x: x + 10), (0, 1), n_samples=40, seed=0, throw=False)
    assert gone.status is Status.ESCAPED
    assert "no sample is left in the region after step 1" in gone.message
    assert np.isnan(gone.entropy)
    with pytest.raises(RunError, match="escaped"):
        lm.expansion_entropy(interval_map(lambda x: x * np.nan), (0, 1), n_samples=40, seed=0)
    rare = lm.expansion_entropy(logistic(3.5), (0, 1), n_samples=4000, seed=0, throw=False)
    assert rare.status is Status.NOT_CONVERGED
    assert np.isnan(rare.entropy)


def test_a_window_of_the_caller_is_used_as_it_is() -> None:
    found = lm.expansion_entropy(logistic(4.0), (0, 1), window=(2, 6), **FEW)
    assert found.window == (2, 6)
    assert abs(found.entropy - np.log(2)) < 4 * found.stderr


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (((1, 0),), {}, LyapmapError, "region: expected finite low < high"),
        (((0, np.inf),), {}, LyapmapError, "region: expected finite low < high"),
        ((5,), {}, LyapmapError, r"region: expected \(low, high\)"),
        (((np.zeros(3), np.ones(3)),), {}, ShapeError, "region: expected"),
        (((0, 1),), {"n_steps": 3}, LyapmapError, "n_steps: expected at least 4"),
        (((0, 1),), {"n_samples": 1}, LyapmapError, "n_samples: expected at least 40"),
        (((0, 1),), {"window": (3, 30)}, LyapmapError, "window: expected steps from 0 to n_steps"),
        (((0, 1),), {"window": 3}, LyapmapError, r"window: expected \(first, last\)"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        lm.expansion_entropy(tent(), *arguments, **options)


def test_large_maps_and_broken_derivatives_are_refused() -> None:
    with pytest.raises(LyapmapError, match="map: expected at most 64 dimensions, got 65"):
        lm.expansion_entropy(Linear(np.eye(65)), (0, 1))
    with pytest.raises(LyapmapError, match="derivative at a state inside the region is not finite"):
        lm.expansion_entropy(interval_map(lambda x: x, lambda x: np.nan * x), (0, 1), n_samples=40, seed=0)


@pytest.mark.parametrize("stop", [2, 9])
def test_ctrl_c_keeps_what_was_done(stop: int) -> None:
    def report(done: int, total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.expansion_entropy(tent(), (0, 1), n_samples=40, seed=0, progress=report)
    result = caught.value.result
    assert (result is None) == (stop == 2)
    if result is not None:
        assert len(result.log_expansion) == 10
        assert "interrupted after 9 of 20 steps" in result.message


@pytest.mark.parametrize("suffix", ["nc", "npz"])
def test_results_survive_saving(tmp_path: Any, suffix: str) -> None:
    found = lm.expansion_entropy(logistic(4.0), (-0.5, 1.5), n_samples=400, n_steps=8, seed=0, throw=False)
    loaded = lm.ExpansionEntropy.load(found.save(tmp_path / f"e.{suffix}"))
    np.testing.assert_array_equal(loaded.log_expansion, found.log_expansion)
    assert loaded.window == found.window
    assert loaded.settings == found.settings
