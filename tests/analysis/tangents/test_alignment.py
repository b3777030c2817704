"""GALI and SALI: chaotic or regular."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from sample_maps import Henon, Linear, orthogonal, rotation, torus_map

ISLAND, SEA = [3.0, 0.1], [0.1, 0.1]


def direct(matrix: np.ndarray, vectors: np.ndarray, n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """log GALI and log SALI by the definition, for vectors (n, k) of a linear map."""
    gali, sali = [], []
    for _ in range(n_steps + 1):
        gali.append(np.log(np.linalg.svd(vectors, compute_uv=False)).sum())
        first, second = vectors[:, 0], vectors[:, 1]
        sali.append(np.log(min(np.linalg.norm(first - second), np.linalg.norm(first + second))))
        vectors = matrix @ vectors
        vectors = vectors / np.linalg.norm(vectors, axis=0)
    return np.array(gali), np.array(sali)


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 5))
@settings(max_examples=25)
def test_volume_and_angle_are_those_of_the_definition(seed: int, n: int, k: int) -> None:
    k = min(k, n)
    matrix = np.eye(n) + 0.2 * np.random.default_rng(seed).uniform(-1, 1, (n, n))
    found = lm.alignment(Linear(matrix), np.zeros(n), n_steps=12, k=k, seed=seed)
    start = np.linalg.qr(np.random.default_rng(seed).standard_normal((1, n, k)))[0][0]
    gali, sali = direct(matrix, start, 12)
    np.testing.assert_allclose(found.log_gali[0], gali, atol=1e-8)
    np.testing.assert_allclose(found.log_sali[0], sali, atol=1e-8)
    assert found.log_sali[0, 0] == pytest.approx(0.5 * np.log(2))


def test_the_decay_rate_of_a_torus_map_is_exact_far_below_the_smallest_float() -> None:
    exponents = np.array([0.6, 0.3, -0.2, -0.7])
    u = orthogonal(4, 1)
    m = torus_map(u @ np.diag(np.exp(exponents)) @ u.T)
    for k in (2, 3, 4):
        found = lm.alignment(m, [0.1, 0.2, 0.3, 0.4], n_steps=2000, k=k, seed=0)
        expected = (exponents[0] - exponents[1:k]).sum()
        assert found.decay_rate[0] == pytest.approx(expected, rel=1e-6)
        assert found.verdict == ["chaotic"]
    assert found.log_gali[0, -1] < -3000
    assert found.sali[0, -1] < 1e-200


def test_islands_and_the_sea_of_the_standard_map() -> None:
    found = lm.alignment(lm.systems.standard(k=1.0), [SEA, ISLAND, [3.1, 0.3]], n_steps=1000, seed=0)
    assert found.verdict == ["chaotic", "regular", "regular"]
    assert found.counts == {"chaotic": 1, "regular": 2, "undetermined": 0}
    island = found.log_gali[1]
    assert island[-1] > -2.5 * np.log(1000)
    assert island[-1] < island[1]


def test_at_zero_kick_every_orbit_is_regular_and_falls_like_a_power() -> None:
    m = lm.systems.standard(k=0.0)
    found = lm.alignment(m, m.initial_states(10, 0), n_steps=4000, seed=0)
    assert set(found.verdict) == {"regular"}
    late = found.steps >= 500
    slopes = np.polyfit(np.log(found.steps[late]), found.log_gali[:, late].T, 1)[0]
    np.testing.assert_allclose(slopes, -2, atol=0.05)


def test_the_decay_rate_of_the_henon_map_is_the_difference_of_its_exponents() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(20, 0)
    found = lm.alignment(m, x0, n_steps=3000, transient=100, seed=0)
    spectrum = lm.lyapunov_spectrum(m, x0, n_steps=3000, transient=100, seed=1).exponents
    error = found.decay_rate.std(ddof=1) / np.sqrt(20)
    assert abs(found.decay_rate.mean() - (spectrum[0] - spectrum[1])) < 4 * error
    assert 0.4 < found.decay_stderr.mean() / found.decay_rate.std(ddof=1) < 2.5


def test_attracting_orbits_align_without_chaos() -> None:
    node = lm.alignment(Linear(np.diag([0.9, 0.5])), [0.1, 0.1], n_steps=300, seed=0)
    assert node.decay_rate[0] == pytest.approx(np.log(0.9 / 0.5), rel=1e-6)
    assert node.verdict == ["regular"]


def test_a_rotation_keeps_its_volume() -> None:
    found = lm.alignment(Linear(rotation(0.4)), [1.0, 0.0], n_steps=200, seed=0)
    np.testing.assert_allclose(found.log_gali, 0, atol=1e-10)
    assert found.verdict == ["regular"]


def test_expansion_without_alignment_is_left_open() -> None:
    found = lm.alignment(Linear(1.05 * rotation(0.4)), [1e-9, 0.0], n_steps=200, seed=0)
    assert found.verdict == ["undetermined"]


def test_few_steps_give_no_verdict() -> None:
    found = lm.alignment(lm.systems.standard(), [SEA], n_steps=20, seed=0)
    assert found.verdict == ["undetermined"]
    assert (found.status, found.cause, found.remedy) == ("unresolved", "too_short", "raise n_steps")
    assert "64" in found.message


def test_a_noisy_map_is_followed_by_its_step() -> None:
    m = lm.noisy(Linear(np.diag([1.2, 0.7])), scale=1e-3)
    found = lm.alignment(m, np.zeros((3, 2)), n_steps=100, transient=5, seed=0)
    np.testing.assert_allclose(found.decay_rate, np.log(1.2 / 0.7), rtol=1e-4)


def test_escape_is_told_and_the_others_stand() -> None:
    with pytest.raises(RunError, match="1 of 2"):
        lm.alignment(Henon(), [[0.1, 0.1], [9.0, 9.0]], n_steps=100, seed=0)
    found = lm.alignment(Henon(), [[0.1, 0.1], [9.0, 9.0]], n_steps=100, seed=0, throw=False)
    assert (found.status, found.verdict) == ("escaped", ["chaotic", "undetermined"])
    assert np.isnan(found.log_gali[1, -1])


def test_interrupts_bring_what_was_done() -> None:
    def stop(done: int, total: int) -> None:
        if done >= 90:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.alignment(Henon(), [0.1, 0.1], n_steps=300, seed=0, progress=stop)
    assert caught.value.result.steps[-1] == 90
    assert caught.value.result.status == "not_converged"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"n_steps": 10, "k": 1}, "k: expected 2 to 2"),
        ({"n_steps": 10, "k": 3}, "k: expected 2 to 2"),
        ({"n_steps": 10, "transient": -1}, "transient"),
        ({"n_steps": 10, "seed": "x"}, "seed"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(LyapmapError, match=named):
        lm.alignment(Henon(), [0.1, 0.1], **options)


def test_one_dimension_has_nothing_to_align() -> None:
    with pytest.raises(LyapmapError, match="at least 2 dimensions"):
        lm.alignment(lm.systems.logistic(), [0.1], n_steps=100)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_result_survives_its_file(suffix: str, tmp_path: Any) -> None:
    found = lm.alignment(lm.systems.standard(), lm.grid([0, 0], [6, 6], 3), n_steps=70, seed=0)
    again = lm.Alignment.load(found.save(tmp_path / f"a{suffix}"))
    assert again.to_dict() == found.to_dict()
    assert again.counts == found.counts
