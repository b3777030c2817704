"""Lyapunov spectra: exact answers, options, calibration of the error bars."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, MapError, PrecisionError, RunError, ShapeError
from sample_maps import Henon, Linear, henon, orthogonal, torus_map

CAT = np.log((3 + np.sqrt(5)) / 2)
HENON, HENON_ERROR = (0.419251, -1.623224), 2.5e-5


def test_the_cat_map_has_its_exact_exponents() -> None:
    spectrum = lm.lyapunov_spectrum(torus_map([[2, 1], [1, 1]]), [0.1, 0.2], n_steps=500, transient=50, seed=0)
    np.testing.assert_allclose(spectrum.exponents, [CAT, -CAT], rtol=1e-12)
    assert spectrum.attractor == "chaotic"
    assert spectrum.kaplan_yorke == 2.0
    assert spectrum.entropy == pytest.approx(CAT)
    zero = pytest.approx(0, abs=1e-13)
    assert spectrum.sum_rule == {"sum": zero, "log_det": zero, "log_det_stderr": zero, "residual": zero, "steps": 500}


@pytest.mark.parametrize(("framework", "rotated"), [("torch", False), ("torch", True), ("numpy", True)])
def test_784_exponents_of_a_contraction_are_exact(framework: str, rotated: bool) -> None:
    exponents = np.linspace(-0.01, -3, 784)
    m = lm.systems.linear_map(exponents, rotated=rotated, seed=5, framework=framework)
    spectrum = lm.lyapunov_spectrum(m, np.zeros(784), n_steps=1, n_exponents="all", seed=0)
    np.testing.assert_allclose(spectrum.exponents, exponents, rtol=1e-6)
    assert (spectrum.status, spectrum.attractor) == ("ok", "fixed point")


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_the_leading_exponents_of_784_are_exact_once_the_frame_is_aligned(framework: str, rotated: bool) -> None:
    exponents = np.concatenate([[0.4, 0.1, -0.2], np.linspace(-0.6, -3, 781)])
    m = lm.systems.linear_map(exponents, rotated=rotated, seed=5, framework=framework)
    spectrum = lm.lyapunov_spectrum(
        lm.noisy(m, scale=1e-3), np.zeros(784), n_steps=20, transient=60, n_exponents=3, seed=0
    )
    np.testing.assert_allclose(spectrum.exponents, exponents[:3], rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_averages_along_a_chaotic_orbit_are_exact_where_the_derivative_is_constant(seed: int) -> None:
    exponents = np.array([0.5, 0.1, -0.4, -1.0])
    u = orthogonal(4, seed)
    m = torus_map(u @ np.diag(np.exp(exponents)) @ u.T)
    x0 = np.random.default_rng(seed).random((3, 4))
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=100, transient=100, seed=seed)
    assert spectrum.attractor == "chaotic"
    np.testing.assert_allclose(spectrum.exponents, exponents, rtol=1e-10)
    assert spectrum.kaplan_yorke == pytest.approx(3 + 0.2 / 1.0, rel=1e-9)


def test_the_henon_map_has_the_exponents_of_the_reference() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(32, 0)
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=4000, transient=200, seed=0)
    tolerance = 4 * np.hypot(spectrum.stderr, HENON_ERROR)
    assert (np.abs(spectrum.exponents - HENON) < tolerance).all()
    assert (spectrum.stderr < 2e-3).all()
    assert spectrum.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-9)
    assert spectrum.kaplan_yorke == pytest.approx(1.25828, abs=4 * spectrum.kaplan_yorke_stderr)
    assert spectrum.kaplan_yorke_verdict == "certified"
    assert spectrum.entropy == spectrum.exponents[0]
    assert spectrum.entropy_stderr == pytest.approx(spectrum.stderr[0])


DERIVATIVES: dict[str, Any] = {
    "a user's Jacobian": Henon(),
    "numpy, complex step": lm.wrap(henon, state_shape=2, backend="numpy"),
    "numpy, differences": lm.wrap(lambda x: henon(np.real(x)), state_shape=2, backend="numpy"),
    "torch": lm.wrap(
        lambda x: torch.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1),
        state_shape=2,
        backend="torch",
        dtype="float64",
    ),
    "numba": lm.systems.henon(),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_every_way_to_the_derivative_gives_the_same_exponents(name: str) -> None:
    # Few steps: rounding alone drives the orbits apart after about 80.
    found = lm.lyapunov_spectrum(DERIVATIVES[name], [0.1, 0.1], n_steps=40, seed=0)
    wanted = lm.lyapunov_spectrum(Henon(), [0.1, 0.1], n_steps=40, seed=0)
    np.testing.assert_allclose(found.exponents, wanted.exponents, atol=1e-7)
    np.testing.assert_allclose(found.final_state, wanted.final_state, atol=1e-7)


def test_a_network_has_the_same_spectrum_in_torch_and_numpy() -> None:
    x0 = np.random.default_rng(0).standard_normal((2, 200))
    spectra = [
        lm.lyapunov_spectrum(
            lm.systems.random_tanh_network(n=200, seed=1, framework=framework),
            x0,
            n_steps=50,
            transient=20,
            n_exponents=10,
            seed=0,
        )
        for framework in ("numpy", "torch")
    ]
    np.testing.assert_allclose(spectra[1].exponents, spectra[0].exponents, atol=1e-10)
    np.testing.assert_allclose(spectra[1].per_trajectory, spectra[0].per_trajectory, atol=1e-10)
    np.testing.assert_allclose(spectra[1].final_state, spectra[0].final_state, atol=1e-9)


def test_the_sum_rule_holds_for_a_network_whose_determinant_varies() -> None:
    m = lm.systems.random_tanh_network(n=20, g=2.5, seed=1)
    spectrum = lm.lyapunov_spectrum(m, m.initial_states(4, 0), n_steps=2000, transient=100, seed=0)
    rule = spectrum.sum_rule
    assert rule is not None
    assert rule["sum"] == pytest.approx(spectrum.exponents.sum())
    assert 0 < rule["log_det_stderr"] < 1
    assert abs(rule["sum"] - rule["log_det"]) < 4 * rule["log_det_stderr"]


def test_iterating_backwards_turns_the_spectrum_around() -> None:
    """The cat map and its inverse."""
    forward = lm.lyapunov_spectrum(torus_map([[2, 1], [1, 1]]), [0.1, 0.2], n_steps=200, transient=50, seed=0)
    backward = lm.lyapunov_spectrum(torus_map([[1, -1], [-1, 2]]), [0.1, 0.2], n_steps=200, transient=50, seed=0)
    np.testing.assert_allclose(forward.exponents, -backward.exponents[::-1], rtol=1e-12)


def test_intervals_of_two_errors_cover_the_exponent_in_about_95_of_100_runs() -> None:
    m = lm.systems.henon()
    inside = []
    for start in m.initial_states(100, 1):
        spectrum = lm.lyapunov_spectrum(m, start, n_steps=2000, transient=100, n_exponents=1, seed=0)
        inside.append(abs(spectrum.exponents[0] - HENON[0]) <= 1.96 * np.hypot(spectrum.stderr[0], HENON_ERROR))
    assert 0.9 <= np.mean(inside) <= 1.0
    assert not all(inside)


def dimension_per_unit(n: int, seeds: range, steps: int) -> np.ndarray:
    found = []
    for seed in seeds:
        m = lm.systems.random_tanh_network(n=n, g=1.5, seed=seed)
        spectrum = lm.lyapunov_spectrum(m, m.initial_states(1, seed), n_steps=steps, transient=steps, seed=0)
        assert spectrum.kaplan_yorke_verdict == "certified"
        assert spectrum.attractor == "chaotic"
        found.append(spectrum.kaplan_yorke / n)
    return np.array(found)


def test_the_dimension_of_random_networks_is_near_that_of_the_reference() -> None:
    # 0.16511 for n = 4096; a network of 200 units scatters by a third and is smaller on average.
    found = dimension_per_unit(200, range(3), 300)
    assert ((found > 0.08) & (found < 0.2)).all()
    assert 0.1 < found.mean() < 0.18


@pytest.mark.slow
def test_the_dimension_of_large_random_networks_is_that_of_the_reference() -> None:
    found = dimension_per_unit(784, range(4), 300)
    assert found.mean() == pytest.approx(0.16511, abs=4 * found.std(ddof=1) / 2)
    assert found.mean() == pytest.approx(0.16511, rel=0.15)


X0 = [0.1, 0.1]


def run(m: Any = None, x0: Any = X0, n_steps: int = 300, **options: Any) -> lm.LyapunovSpectrum:
    return lm.lyapunov_spectrum(m or Henon(), x0, n_steps=n_steps, **{"seed": 0} | options)


def network(n: int = 80, g: float = 2.0) -> Any:
    return lm.systems.random_tanh_network(n=n, g=g, seed=3)


# Exponents asked for.


@pytest.mark.parametrize(
    ("asked", "k"), [(None, 2), ("all", 2), (1, 1), (2, 2), (2.0, 2), (np.int64(1), 1), ("auto", 2)]
)
def test_as_many_exponents_come_as_were_asked_for(asked: Any, k: int) -> None:
    spectrum = run(n_exponents=asked)
    assert spectrum.exponents.shape == spectrum.stderr.shape == (k,)
    assert spectrum.per_trajectory.shape == (1, k)
    assert spectrum.history.shape == (len(spectrum.history_steps), k)
    assert spectrum.settings["n_exponents"] == asked


@pytest.mark.parametrize(("n", "full"), [(64, True), (65, False)])
def test_by_default_the_spectrum_is_full_up_to_64_dimensions(n: int, full: bool) -> None:
    exponents = np.concatenate([[0.5, -0.2, -0.6], np.linspace(-1, -3, n - 3)])
    m = torus_map(np.diag(np.exp(exponents)))
    spectrum = run(m, np.random.default_rng(0).random(n), n_steps=40, transient=40)
    assert (len(spectrum.exponents) == n) is full
    assert spectrum.kaplan_yorke_verdict == "certified"
    assert spectrum.kaplan_yorke == pytest.approx(2.5, rel=1e-6)
    assert (spectrum.sum_rule is not None) is full


def test_leading_exponents_do_not_depend_on_how_many_are_carried() -> None:
    few = run(n_exponents=1, transient=50)
    both = run(n_exponents=2, transient=50)
    assert few.exponents[0] == pytest.approx(both.exponents[0], rel=1e-12)
    assert few.kaplan_yorke_verdict == "needs more exponents"
    assert np.isnan(few.kaplan_yorke)


def test_auto_finds_as_many_as_certify_the_dimension() -> None:
    m = network()
    x0 = m.initial_states(2, 0)
    auto = run(m, x0, transient=200, n_exponents="auto")
    full = run(m, x0, transient=200, n_exponents="all")
    assert len(auto.exponents) < len(full.exponents) == 80
    assert auto.kaplan_yorke_verdict == full.kaplan_yorke_verdict == "certified"
    error = np.hypot(auto.kaplan_yorke_stderr, full.kaplan_yorke_stderr)
    assert abs(auto.kaplan_yorke - full.kaplan_yorke) < 4 * error
    sums = auto.exponents.cumsum()
    assert sums[-1] < 0


@pytest.mark.parametrize("transient", [0, 1, 100])
def test_auto_grows_until_the_certificate_whatever_the_transient(transient: int) -> None:
    """The first 16 exponents, with which it starts, do not have a negative sum."""
    exponents = np.concatenate([np.linspace(0.5, 0.2, 20), np.linspace(-0.6, -0.9, 60)])
    m = torus_map(np.diag(np.exp(exponents)))
    spectrum = run(m, np.random.default_rng(0).random(80), n_steps=200, transient=transient)
    assert spectrum.kaplan_yorke_verdict == "certified"
    assert 20 < len(spectrum.exponents) < 80
    assert spectrum.n_steps == 200
    assert spectrum.kaplan_yorke == pytest.approx(lm.kaplan_yorke(exponents), rel=0.05)


def test_auto_stops_growing_where_no_error_bar_could_certify_anything() -> None:
    m = network()
    spectrum = run(m, m.initial_states(1, 0), n_steps=4, transient=4, n_exponents="auto", throw=False)
    assert len(spectrum.exponents) < 80
    assert spectrum.kaplan_yorke_verdict != "certified"


# Steps, tolerance, seed, precision.


def test_a_tolerance_stops_the_run_early() -> None:
    spectrum = run(lm.systems.henon(), lm.systems.henon().initial_states(8, 0), n_steps=100_000, tolerance=0.01)
    assert spectrum.status == "ok"
    assert spectrum.n_steps < 100_000
    assert spectrum.history_steps[-1] == spectrum.n_steps
    assert spectrum.stderr[0] <= 0.01


def test_a_tolerance_that_is_not_met_raises() -> None:
    with pytest.raises(RunError, match=r"not_converged: standard error .* is above the tolerance 1e-09; raise n_steps"):
        run(tolerance=1e-9)
    spectrum = run(tolerance=1e-9, throw=False)
    assert spectrum.status == "not_converged"
    assert np.isfinite(spectrum.exponents).all()


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = run(x0=[X0, [0.2, 0.1]], transient=5), run(x0=[X0, [0.2, 0.1]], transient=5)
    for f in fields(first):
        if f.name != "provenance":
            assert repr(getattr(first, f.name)) == repr(getattr(second, f.name)), f.name


def test_another_seed_gives_another_frame() -> None:
    assert not np.array_equal(run(seed=1, n_steps=20).exponents, run(seed=2, n_steps=20).exponents)


def test_the_seed_is_recorded_also_where_none_was_given() -> None:
    assert run(seed=7).provenance["seed"] == 7
    drawn = run(seed=None, n_steps=20)
    again = run(seed=drawn.provenance["seed"], n_steps=20)
    np.testing.assert_array_equal(again.exponents, drawn.exponents)
    assert run(seed=None, n_steps=20).provenance["seed"] != drawn.provenance["seed"]


@pytest.mark.parametrize("qr_every", [2, 5, 7, 300, 1000])
def test_rarer_decompositions_give_the_same_exponents(qr_every: int) -> None:
    wanted = run(transient=49).exponents
    rare = run(transient=49, qr_every=qr_every, throw=False)
    assert (rare.status == "ok") is (qr_every < 10)  # a single batch has no error bar
    tolerance = 1e-10 if qr_every < 10 else 0.05
    assert rare.exponents[0] == pytest.approx(wanted[0], abs=max(tolerance, 1e-10))
    if qr_every < 10:
        np.testing.assert_allclose(rare.exponents, wanted, atol=tolerance)


def single(exponents: Any) -> Any:
    """A rotated map of the torus in float32."""
    u = orthogonal(len(exponents), 2)
    matrix = (u @ np.diag(np.exp(exponents)) @ u.T).astype(np.float32)
    return lm.wrap(
        lambda x: (x @ matrix.T) % 1,
        state_shape=len(exponents),
        backend="numpy",
        dtype="float32",
        jacobian=lambda x: matrix[None].repeat(len(x), 0),
    )


def test_exponents_under_the_floor_of_float32_are_nan_and_those_above_are_right() -> None:
    exponents = np.array([0.5, -1.0, -6.0, -30.0, -60.0])
    spectrum = run(single(exponents), np.full(5, 0.3), n_steps=200, transient=50)
    assert spectrum.status == "unresolved"
    assert spectrum.message == "2 exponents lie under the floor that float32 can resolve"
    np.testing.assert_allclose(spectrum.exponents[:3], exponents[:3], atol=1e-3)
    assert np.isnan(spectrum.exponents[3:]).all()
    assert spectrum.kaplan_yorke == pytest.approx(1.5, abs=1e-3)
    assert spectrum.sum_rule is None


@pytest.mark.parametrize("rotated", [False, True])
def test_the_floor_holds_for_linear_maps_of_float32_down_to_minus_60(rotated: bool) -> None:
    exponents = np.linspace(-0.5, -60, 12)
    m = lm.systems.linear_map(exponents, rotated=rotated, seed=4, dtype="float32")
    spectrum = run(m, np.full(12, 0.5), n_steps=200, transient=50)
    resolved = np.isfinite(spectrum.exponents)
    assert spectrum.status == "unresolved"
    assert 2 <= resolved.sum() < 5
    np.testing.assert_allclose(spectrum.exponents[resolved], exponents[: resolved.sum()], rtol=0.01)


def test_a_coarse_frame_raises_the_floor_of_a_fine_map() -> None:
    exponents = np.array([0.5, -10.0, -25.0])
    u = orthogonal(3, 1)
    m = torus_map(u @ np.diag(np.exp(exponents)) @ u.T)
    fine = run(m, [0.1, 0.2, 0.3], transient=50)
    coarse = run(m, [0.1, 0.2, 0.3], transient=50, frame_dtype="float32")
    np.testing.assert_allclose(fine.exponents, exponents, rtol=1e-3)
    assert coarse.status == "unresolved"
    assert "float32" in coarse.message
    np.testing.assert_allclose(coarse.exponents[:2], exponents[:2], rtol=0.02)
    assert np.isnan(coarse.exponents[2])


def test_rarer_decompositions_raise_the_floor() -> None:
    exponents = np.array([0.5, -2.0, -10.0])
    u = orthogonal(3, 1)
    m = torus_map(u @ np.diag(np.exp(exponents)) @ u.T)
    often = run(m, [0.1, 0.2, 0.3], transient=50)
    rare = run(m, [0.1, 0.2, 0.3], transient=50, qr_every=5)
    np.testing.assert_allclose(often.exponents, exponents, rtol=1e-6)
    np.testing.assert_allclose(rare.exponents[:2], exponents[:2], rtol=1e-6)
    assert np.isnan(rare.exponents[2])
    assert rare.status == "unresolved"


def test_a_float64_frame_can_be_kept_under_a_float32_map() -> None:
    spectrum = run(single([0.5, -1.0]), [0.3, 0.4], transient=50, frame_dtype="float64")
    np.testing.assert_allclose(spectrum.exponents, [0.5, -1.0], atol=1e-4)
    assert spectrum.settings["frame_dtype"] == "float64"
    assert spectrum.provenance["dtype"] == "float32"
    assert spectrum.final_state.dtype == np.float32
    assert spectrum.exponents.dtype == np.float64


# Trajectories and continuation.


def test_every_trajectory_has_a_row_and_the_exponents_are_their_mean() -> None:
    x0 = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 2))
    spectrum = run(x0=x0, transient=20)
    assert spectrum.per_trajectory.shape == (5, 2)
    np.testing.assert_allclose(spectrum.per_trajectory.mean(axis=0), spectrum.exponents, rtol=1e-13)
    assert len(np.unique(spectrum.per_trajectory[:, 0])) == 5
    assert spectrum.settings["n_trajectories"] == 5


def test_a_row_of_a_batch_ends_where_it_ends_alone() -> None:
    x0 = np.array([X0, [0.2, -0.1]])
    np.testing.assert_array_equal(run(x0=x0).final_state[1:], run(x0=x0[1]).final_state)


def test_a_run_continues_from_its_final_state() -> None:
    whole = run(n_steps=60)
    first = run(n_steps=25)
    second = run(x0=first.final_state, n_steps=35)
    np.testing.assert_array_equal(second.final_state, whole.final_state)
    np.testing.assert_array_equal(first.final_state, lm.trajectory(Henon(), X0, n_steps=25).states[:, -1])


def test_noise_goes_by_the_step_through_blocks_of_many_steps() -> None:
    m = lm.noisy(Henon(), scale=1e-3, seed=4)
    along = lm.trajectory(m, X0, n_steps=1000, transient=600).states[:, -1]
    np.testing.assert_array_equal(run(m, n_steps=1000, transient=600).final_state, along)


def test_the_transient_is_not_averaged_over() -> None:
    spectrum = run(n_steps=10, transient=1000, throw=False)
    assert spectrum.n_steps == 10
    assert spectrum.history_steps[-1] == 10


def test_the_arrays_of_the_caller_are_left_as_they_are() -> None:
    x0 = np.array([X0])
    run(x0=x0)
    np.testing.assert_array_equal(x0, [X0])


# Ctrl-C, progress, memory.


def stop_at(step: int) -> Any:
    def report(done: int, total: int) -> None:
        if done >= step:
            raise KeyboardInterrupt

    return report


def test_an_interrupted_run_carries_what_was_done() -> None:
    with pytest.raises(Interrupted) as raised:
        run(n_steps=1000, transient=100, progress=stop_at(600))
    result: Any = raised.value.result
    assert result.status == "not_converged"
    assert 450 < result.n_steps < 600
    assert result.message == f"interrupted after {result.n_steps} of 1000 steps"
    assert result.exponents[0] == pytest.approx(0.42, abs=0.1)


def test_a_run_interrupted_within_its_transient_carries_nothing() -> None:
    with pytest.raises(Interrupted) as raised:
        run(n_steps=1000, transient=500, progress=stop_at(200))
    assert raised.value.result is None


@pytest.mark.parametrize("step", [300, 301, 350, 420])
def test_a_run_interrupted_while_it_grows_carries_what_was_done_before(step: int) -> None:
    exponents = np.concatenate([np.linspace(0.5, 0.2, 20), np.linspace(-0.6, -0.9, 60)])
    m = torus_map(np.diag(np.exp(exponents)))
    with pytest.raises(Interrupted) as raised:
        run(m, np.random.default_rng(0).random(80), n_steps=300, n_exponents="auto", progress=stop_at(step))
    result: Any = raised.value.result
    if result is not None:
        assert result.exponents.shape == result.per_trajectory.shape[1:] == result.history.shape[1:]


def test_a_map_that_escapes_while_the_run_grows_has_escaped() -> None:
    exponents = np.full(80, 0.1)
    m = lm.systems.linear_map(exponents)
    spectrum = run(m, np.full(80, 1e290), n_steps=400, n_exponents="auto", throw=False)
    assert spectrum.status == "escaped"


def test_progress_counts_the_transient_too_and_ends_complete() -> None:
    seen: list[tuple[int, int]] = []
    run(n_steps=300, transient=50, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (350, 350)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_memory_does_not_grow_with_the_steps() -> None:
    m = lm.systems.henon()
    peaks = []
    for n_steps in (20_000, 20_000, 200_000):
        tracemalloc.start()
        run(m, n_steps=n_steps)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.5 * peaks[1] + 20_000


# What comes out.


def test_json_has_the_names_of_the_attributes() -> None:
    spectrum = run(single([0.5, -40.0]), [0.3, 0.4])
    plain = json.loads(spectrum.to_json(), parse_constant=lambda text: pytest.fail(f"{text} in JSON"))
    assert set(plain) == {f.name for f in fields(lm.LyapunovSpectrum)}
    assert plain["exponents"] == [spectrum.exponents[0], None]
    assert plain["kaplan_yorke_verdict"] == spectrum.kaplan_yorke_verdict
    assert {"exponents", "stderr", "per_trajectory", "kaplan_yorke", "entropy", "n_positive", "status"} <= set(plain)


def test_settings_and_provenance_tell_how_to_do_it_again() -> None:
    spectrum = run(transient=3, qr_every=2, bounds=(-5, 5), n_steps=60)
    assert spectrum.settings == {
        "n_steps": 60,
        "transient": 3,
        "n_exponents": None,
        "qr_every": 2,
        "tolerance": None,
        "bounds": (-5.0, 5.0),
        "frame_dtype": "float64",
        "tangent_dtype": "auto",
        "n_trajectories": 1,
        "qr_every_used": 2,
    }
    assert {"map", "library", "device", "dtype", "derivative", "seed", "seconds"} <= set(spectrum.provenance)
    assert spectrum.provenance["derivative"] == "jacobian given"


def test_the_history_ends_with_the_result() -> None:
    spectrum = run(transient=20)
    np.testing.assert_allclose(spectrum.history[-1], spectrum.exponents, rtol=1e-13)
    assert spectrum.history_steps[-1] == spectrum.n_steps == 300


def test_exponents_come_in_descending_order() -> None:
    spectrum = run(Linear(np.diag([0.2, 0.9, 0.5])), [1.0, 1.0, 1.0], n_steps=2, throw=False)
    assert (np.diff(spectrum.exponents) <= 0).all()


BAD: list[tuple[dict[str, Any], type[LyapmapError], str]] = [
    ({"n_steps": 0}, LyapmapError, "n_steps: expected at least 1, got 0"),
    ({"n_steps": -5}, LyapmapError, "n_steps: expected at least 1, got -5"),
    ({"n_steps": 2.5}, LyapmapError, "n_steps: expected an integer, got 2.5"),
    ({"n_steps": "many"}, LyapmapError, "n_steps: expected an integer, got 'many'"),
    ({"n_steps": None}, LyapmapError, "n_steps: expected an integer, got None"),
    ({"transient": -1}, LyapmapError, "transient: expected at least 0, got -1"),
    ({"transient": 0.5}, LyapmapError, "transient: expected an integer, got 0.5"),
    ({"qr_every": 0}, LyapmapError, "qr_every: expected at least 1, got 0"),
    ({"qr_every": 1.5}, LyapmapError, "qr_every: expected an integer, got 1.5"),
    ({"n_exponents": 0}, LyapmapError, "n_exponents: expected 1 to 2, 'auto' or 'all', got 0"),
    ({"n_exponents": 3}, LyapmapError, "n_exponents: expected 1 to 2, 'auto' or 'all', got 3"),
    ({"n_exponents": 1.5}, LyapmapError, "n_exponents: expected 1 to 2, 'auto' or 'all', got 1.5"),
    ({"n_exponents": True}, LyapmapError, "n_exponents: expected 1 to 2, 'auto' or 'all', got True"),
    ({"n_exponents": "some"}, LyapmapError, "n_exponents: expected 1 to 2, 'auto' or 'all', got 'some'"),
    ({"tolerance": 0}, LyapmapError, "tolerance: expected a positive number, got 0"),
    ({"tolerance": np.nan}, LyapmapError, "tolerance: expected a positive number, got nan"),
    ({"tolerance": "small"}, LyapmapError, "tolerance: expected a positive number, got 'small'"),
    ({"bounds": (1, 0)}, LyapmapError, "bounds: expected (low, high) with low < high, got (1, 0)"),
    ({"bounds": 5}, LyapmapError, "bounds: expected (low, high) with low < high, got 5"),
    ({"bounds": (0, 1, 2)}, LyapmapError, "bounds: expected (low, high) with low < high, got (0, 1, 2)"),
    ({"seed": -1}, LyapmapError, "seed: expected at least 0, got -1"),
    ({"seed": 1.5}, LyapmapError, "seed: expected an integer, got 1.5"),
    ({"frame_dtype": "float16"}, LyapmapError, "frame_dtype: expected 'float32' or 'float64', got 'float16'"),
    ({"x0": [0.1]}, ShapeError, "x0: expected one state (2,) or a batch (b, 2), got (1,)"),
    ({"x0": [0.1, np.nan]}, LyapmapError, "x0: state 0 is not finite"),
    ({"x0": [0.1, 1j]}, PrecisionError, "x0: expected real numbers, got dtype complex128"),
    ({"map": henon}, MapError, "map: expected an object with state_shape, apply and jacobian, got function"),
    ({"map": None}, MapError, "map: expected an object with state_shape, apply and jacobian, got NoneType"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD)
def test_what_cannot_be_used_is_refused_in_one_line(
    options: dict[str, Any], error: type[LyapmapError], message: str
) -> None:
    given = {"map": Henon(), "x0": X0, "n_steps": 10} | options
    with pytest.raises(error) as raised:
        lm.lyapunov_spectrum(given.pop("map"), given.pop("x0"), **given)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


RUNS = 500
Z = 1.959964
LATTICE = (0.44685, 0.44002, 0.43312)
"""Leading exponents of 16 sites from 256 x 40 000 steps (standard error 5e-5)."""
CASES = {
    "henon": (lm.systems.henon, {}, None, (0.419251, -1.623224), 1.25828),
    "logistic": (lm.systems.logistic, {"r": 4.0}, None, (np.log(2),), None),
    "ikeda": (lm.systems.ikeda, {}, None, (0.507595, -0.718316), 1.70665),
    "lattice": (lm.systems.coupled_map_lattice, {"n": 16}, 3, LATTICE, None),
}


@pytest.mark.slow
@pytest.mark.parametrize(("b", "n_steps"), [(1, 2000), (8, 500)])
@pytest.mark.parametrize("name", CASES)
def test_95_percent_intervals_hold_the_truth_in_92_to_98_percent_of_runs(name, b, n_steps):
    factory, parameters, k, truth, dimension = CASES[name]
    m = factory(**parameters)
    rng = np.random.default_rng(11)
    inside, dimensions, entropies = [], [], []
    while len(inside) < RUNS:
        x0 = m.initial_states(b, rng)
        s = lm.lyapunov_spectrum(m, x0, n_steps=n_steps, transient=300, n_exponents=k, seed=3, throw=False)
        if s.failed:  # an orbit that died of rounding is reported as such
            continue
        inside.append(np.abs(s.exponents - truth) <= Z * s.stderr)
        if dimension is not None:
            dimensions.append(abs(s.kaplan_yorke - dimension) <= Z * s.kaplan_yorke_stderr)
            entropies.append(abs(s.entropy - truth[0]) <= Z * s.entropy_stderr)
    share = np.mean(inside, axis=0)
    # Of 500 runs, chance alone moves a share of 95 % by 1 %.
    assert (share >= 0.92).all(), share
    assert (share <= 0.985).all(), share
    if dimension is not None:
        assert 0.92 <= np.mean(dimensions) <= 0.985
        assert 0.92 <= np.mean(entropies) <= 0.985


@pytest.mark.parametrize(("dtype", "last"), [("float64", -28.0), ("float32", -8.0)])
def test_exponents_under_the_floor_are_marked_and_those_above_it_are_right(dtype, last):
    true = -4.0 * np.arange(16)
    m = lm.systems.linear_map(list(true), rotated=True, dtype=dtype)
    s = lm.lyapunov_spectrum(m, np.zeros(16), n_steps=300, transient=50, seed=0, throw=False)
    resolved = np.isfinite(s.exponents)
    assert s.status == "unresolved"
    assert resolved[true >= last].all()
    assert not resolved[true < 2 * last].any()
    np.testing.assert_allclose(s.exponents[resolved], true[resolved], atol=5e-3)
    assert "floor" in s.message
