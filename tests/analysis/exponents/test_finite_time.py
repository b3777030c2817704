"""Finite-time exponents and the grids that they are drawn over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from sample_maps import Henon, Linear, logistic, orthogonal

CAT = np.log((3 + np.sqrt(5)) / 2)


@pytest.mark.parametrize("qr_every", [1, 3])
def test_the_mean_over_windows_is_the_spectrum_of_the_same_orbit(qr_every: int) -> None:
    m = Henon()
    x0 = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 2))
    windows = lm.finite_time_exponents(
        m, x0, n_steps=60, n_windows=5, n_exponents=2, transient=30, qr_every=qr_every, seed=4
    )
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=300, transient=30, n_exponents=2, qr_every=qr_every, seed=4)
    np.testing.assert_allclose(windows.exponents.mean(axis=1), spectrum.per_trajectory, atol=1e-12)
    assert windows.window_starts.tolist() == [30, 90, 150, 210, 270]


def test_both_measures_of_the_cat_map_are_exact() -> None:
    m = lm.systems.arnold_cat()
    local = lm.finite_time_exponents(m, [0.1, 0.2], n_steps=7, n_exponents=2, transient=30, seed=0)
    np.testing.assert_allclose(local.exponents[0, 0], [CAT, -CAT], rtol=1e-10)
    stretching = lm.finite_time_exponents(m, [0.1, 0.2], n_steps=7, n_exponents=2, measure="stretching")
    np.testing.assert_allclose(stretching.exponents[0, 0], [CAT, -CAT], rtol=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(2, 5))
@settings(max_examples=25)
def test_stretching_is_the_singular_values_of_the_power(seed: int, n_steps: int, n: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((n, n)) / np.sqrt(n)
    found = lm.finite_time_exponents(
        Linear(matrix), np.zeros(n), n_steps=n_steps, n_exponents=n, measure="stretching", throw=False
    )
    expected = np.log(np.linalg.svd(np.linalg.matrix_power(matrix, n_steps), compute_uv=False)) / n_steps
    known = np.isfinite(found.exponents[0, 0])
    assert known[0]
    np.testing.assert_allclose(found.exponents[0, 0][known], expected[known], atol=1e-4)
    np.testing.assert_allclose(found.exponents[0, 0, 0], expected[0], atol=1e-9)


def test_local_growth_never_exceeds_stretching() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(50, 2)
    local = lm.finite_time_exponents(m, x0, n_steps=5, transient=100, seed=0)
    stretching = lm.finite_time_exponents(m, x0, n_steps=5, transient=100, measure="stretching")
    assert (stretching.exponents >= local.exponents - 1e-9).all()
    assert (stretching.exponents > local.exponents + 1e-3).any()


def test_the_variance_falls_like_one_over_the_length() -> None:
    m = lm.systems.ikeda()  # correlations along its orbits die out fast
    x0 = m.initial_states(400, 0)
    spread = [
        lm.finite_time_exponents(m, x0, n_steps=n, n_windows=5, transient=200, seed=0).values().var() * n
        for n in (50, 200)
    ]
    assert spread[1] == pytest.approx(spread[0], rel=0.25)


def test_small_singular_values_are_not_made_up() -> None:
    m = Linear(np.diag([2.0, 1e-3]))
    found = lm.finite_time_exponents(m, [0.0, 0.0], n_steps=20, n_exponents=2, measure="stretching", throw=False)
    assert found.status == "unresolved"
    assert found.exponents[0, 0, 0] == pytest.approx(np.log(2))
    assert np.isnan(found.exponents[0, 0, 1])
    short = lm.finite_time_exponents(m, [0.0, 0.0], n_steps=2, n_exponents=2, measure="stretching")
    np.testing.assert_allclose(short.exponents[0, 0], np.log([2, 1e-3]), rtol=1e-9)


def test_a_field_separates_islands_from_the_sea() -> None:
    m = lm.systems.standard(k=1.0)
    plane = lm.grid([0, 0], [6.28, 6.28], (30, 20))
    field = lm.finite_time_exponents(m, plane, n_steps=40, measure="stretching")
    assert field.image().shape == (30, 20)
    assert field.image()[15, 0] < 0.1 < field.image()[0, 0] + 0.3
    sea = lm.finite_time_exponents(m, [[0.1, 0.1]], n_steps=400, measure="stretching").exponents[0, 0, 0]
    island = lm.finite_time_exponents(m, [[3.0, 0.1]], n_steps=400, measure="stretching").exponents[0, 0, 0]
    assert island < 0.03 < 0.05 < sea


def test_chunks_of_trajectories_change_nothing(monkeypatch: Any) -> None:
    from lyapmap.analysis.exponents import finite_time

    x0 = np.random.default_rng(0).uniform(-0.1, 0.1, (7, 2))
    whole = lm.finite_time_exponents(Henon(), x0, n_steps=6, n_windows=2, measure="stretching")
    monkeypatch.setattr(finite_time, "CHUNK_VALUES", 12)
    cut = lm.finite_time_exponents(Henon(), x0, n_steps=6, n_windows=2, measure="stretching")
    np.testing.assert_array_equal(whole.exponents, cut.exponents)


def test_a_noisy_map_is_followed_by_its_step() -> None:
    m = lm.noisy(Henon(), scale=1e-4, seed=3)
    x0 = np.zeros((4, 2))
    windows = lm.finite_time_exponents(m, x0, n_steps=40, n_windows=3, transient=20, seed=1)
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=120, transient=20, n_exponents=1, seed=1)
    np.testing.assert_allclose(windows.exponents.mean(axis=1), spectrum.per_trajectory, atol=1e-12)


def test_histogram_and_modes() -> None:
    m = lm.systems.henon()
    found = lm.finite_time_exponents(m, m.initial_states(200, 0), n_steps=100, transient=100, seed=0)
    density, edges = found.histogram()
    assert (density * np.diff(edges)).sum() == pytest.approx(1)
    assert found.modes() == 1
    both = lm.finite_time_exponents(logistic(3.2), [[0.3]], n_steps=10, transient=100, n_windows=12, seed=0)
    assert both.modes() == 1
    few = lm.finite_time_exponents(logistic(3.2), [[0.3]], n_steps=10, n_windows=3, seed=0)
    assert few.modes() == 0
    assert both.histogram()[0].shape == (1,)
    for call in (found.histogram, found.modes, found.values):
        with pytest.raises(LyapmapError, match="i:"):
            call(5)
    with pytest.raises(LyapmapError, match="grid"):
        found.image()


def test_two_attractors_show_as_two_peaks() -> None:
    m = lm.wrap(
        lambda x: np.where(x > 0, 0.5, 0.9) * (x - np.sign(x)) + np.sign(x),
        state_shape=1,
        backend="numpy",
        jacobian=lambda x: np.where(x > 0, 0.5, 0.9)[:, :, None],
    )
    x0 = np.concatenate([np.linspace(-2, -0.5, 20), np.linspace(0.5, 2, 20)])[:, None]
    assert lm.finite_time_exponents(m, x0, n_steps=5, seed=0).modes() == 2


def test_escape_is_told_and_the_others_stand() -> None:
    x0 = [[0.1, 0.1], [9.0, 9.0]]
    for measure in ("local", "stretching"):
        with pytest.raises(RunError, match="1 of 2 trajectories"):
            lm.finite_time_exponents(Henon(), x0, n_steps=30, measure=measure, seed=0)
        found = lm.finite_time_exponents(Henon(), x0, n_steps=30, measure=measure, seed=0, throw=False)
        assert np.isnan(found.exponents[1]).all()
        assert np.isfinite(found.exponents[0]).all()


def test_interrupts_bring_the_windows_that_were_done() -> None:
    def stop(done: int, total: int) -> None:
        if done > 35:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.finite_time_exponents(Henon(), [0.1, 0.1], n_steps=10, n_windows=6, progress=stop)
    assert caught.value.result.exponents.shape == (1, 4, 1)
    with pytest.raises(Interrupted) as early:
        lm.finite_time_exponents(Henon(), [0.1, 0.1], n_steps=1000, progress=stop)
    assert early.value.result is None


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"n_steps": 5, "n_windows": 0}, "n_windows"),
        ({"n_steps": 5, "n_exponents": 3}, "n_exponents"),
        ({"n_steps": 5, "transient": -1}, "transient"),
        ({"n_steps": 5, "measure": "largest"}, "measure"),
        ({"n_steps": 5, "qr_every": 0}, "qr_every"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(LyapmapError, match=named):
        lm.finite_time_exponents(Henon(), [0.1, 0.1], **options)


def test_matrices_that_would_not_fit_are_refused() -> None:
    m = lm.systems.linear_map(np.linspace(0, -1, 1030), seed=0)
    with pytest.raises(LyapmapError, match="1024"):
        lm.finite_time_exponents(m, np.zeros(1030), n_steps=1, measure="stretching")


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_result_survives_its_file(suffix: str, tmp_path: Any) -> None:
    plane = lm.grid([-0.1, -0.1], [0.1, 0.1], (3, 4))
    found = lm.finite_time_exponents(Henon(), plane, n_steps=5, n_windows=2, n_exponents=2, seed=0)
    again = lm.FiniteTimeExponents.load(found.save(tmp_path / f"f{suffix}"))
    assert again.to_dict() == found.to_dict()
    np.testing.assert_array_equal(again.image(1, 1), found.image(1, 1))


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 100))
@settings(max_examples=20)
def test_grids_hold_the_points_that_they_say(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(5)
    low = rng.standard_normal(2)
    made = lm.grid(low, low + 1, (rows, columns), axes=(3, 1), base=base)
    assert made.states.shape == (rows * columns, 5)
    cube = made.states.reshape(rows, columns, 5)
    np.testing.assert_allclose(cube[:, 0, 3], np.linspace(low[0], low[0] + 1, rows))
    np.testing.assert_allclose(cube[0, :, 1], np.linspace(low[1], low[1] + 1, columns))
    np.testing.assert_array_equal(cube[..., [0, 2, 4]], np.broadcast_to(base[[0, 2, 4]], (rows, columns, 3)))


@pytest.mark.parametrize(
    ("arguments", "options", "named"),
    [
        (([0, 0], [1, 1], (3, 1)), {}, "shape"),
        (([0, 0], [1, 1], (3,)), {}, "shape"),
        (([0], [1, 1], 3), {}, "low"),
        (([0, 0], [1], 3), {}, "high"),
        (([0, 0], [1, 0], 3), {}, "low < high"),
        (([0, 0], [1, np.nan], 3), {}, "low < high"),
        (([0, 0], [1, 1], 3), {"axes": (1, 1)}, "axes"),
        (([0, 0], [1, 1], 3), {"axes": (0, 4), "base": [1, 2]}, "base"),
        (([0, 0], [1, 1], 3), {"n": 1}, "n:"),
    ],
)
def test_bad_grids_are_named(arguments: Any, options: dict[str, Any], named: str) -> None:
    with pytest.raises(LyapmapError, match=named):
        lm.grid(*arguments, **options)


def test_orthogonal_maps_have_exponents_of_zero() -> None:
    found = lm.finite_time_exponents(
        Linear(orthogonal(4, 0)), np.ones(4), n_steps=9, n_exponents=4, measure="stretching"
    )
    np.testing.assert_allclose(found.exponents, 0, atol=1e-12)
