"""Memorization: exact distances, other tests, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp, mannwhitneyu

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, ShapeError

RNG = np.random.default_rng(0)
TRAINING, HELD_OUT, HONEST = RNG.standard_normal((3, 300, 4))


def test_numbers_on_a_line():
    found = lm.memorization(
        [[0.1], [5.0], [5.0], [9.75]], [[0.0], [5.0], [10.0]], held_out=[[1.0], [2.0], [6.5], [8.0]], quantile=0.5
    )
    assert found.nearest.tolist() == [0, 1, 1, 2]
    np.testing.assert_allclose(found.distance, [0.1, 0, 0, 0.25])
    np.testing.assert_allclose(found.reference_distance, [1, 2, 1.5, 2])
    assert found.threshold == 1.75
    assert found.closer == 1.0
    assert found.preference == 1.0
    assert (found.copies, found.reference_copies, found.duplicates_generated) == (2, 0, 1)
    assert found.pair.tolist() == [1, 0, 3]
    np.testing.assert_array_equal(found.pair_generated.ravel(), [5, 0.1, 9.75])
    np.testing.assert_array_equal(found.pair_training.ravel(), [5, 0, 10])
    assert found.value_range == (0.0, 10.0)
    assert "2 of 4 generated samples equal training samples" in found.message
    assert "1 of 4 generated samples repeat others" in found.message


def test_by_brute_force_and_by_scipy():
    generated = np.concatenate([HONEST[:100], TRAINING[:50] + 0.05])
    found = lm.memorization(generated, TRAINING, held_out=HELD_OUT)
    table, other = cdist(generated, TRAINING), cdist(HELD_OUT, TRAINING)
    np.testing.assert_array_equal(found.nearest, table.argmin(axis=1))
    np.testing.assert_allclose(found.distance, table.min(axis=1))
    np.testing.assert_allclose(found.reference_distance, other.min(axis=1))
    near, far = table.min(axis=1), other.min(axis=1)
    wins = (near[:, None] < far).mean() + 0.5 * (near[:, None] == far).mean()
    assert found.preference == pytest.approx(wins)
    assert found.p_value == pytest.approx(mannwhitneyu(near, far, alternative="less").pvalue)
    assert found.p_value_ks == pytest.approx(ks_2samp(near, far, alternative="greater").pvalue, rel=0.5)
    assert found.closer == (near <= np.quantile(far, 0.05)).mean()


def test_honest_samples_pass_and_noisy_copies_do_not():
    honest = lm.memorization(HONEST, TRAINING, held_out=HELD_OUT)
    assert honest.p_value > 0.01
    thief = lm.memorization(TRAINING + 0.01 * HONEST, TRAINING, held_out=HELD_OUT)
    assert thief.closer > 0.95
    assert thief.preference > 0.98
    assert thief.p_value < 1e-20
    assert thief.p_value_ks < 1e-20
    assert thief.copies == 0
    far = lm.memorization(10 + HONEST, TRAINING, held_out=HELD_OUT)
    assert far.closer == 0
    assert far.preference < 0.01
    assert far.p_value > 0.99


def test_p_values_of_honest_samples_are_spread_evenly_and_limits_hold():
    rng = np.random.default_rng(5)
    values, within = [], []
    for _ in range(100):
        training, held_out, honest = rng.standard_normal((3, 60, 2))
        found = lm.memorization(honest, training, held_out=held_out, quantile=0.3)
        values.append(found.p_value)
        within.append(found.closer_interval[0] <= 0.3 <= found.closer_interval[1])
    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) < 0.05) < 0.12
    assert 0.88 <= np.mean(within) <= 1.0


def test_without_held_out_samples_training_ones_are_compared_with_the_others():
    found = lm.memorization(HONEST, TRAINING, seed=0)
    table = cdist(TRAINING, TRAINING)
    np.fill_diagonal(table, np.inf)
    np.testing.assert_allclose(found.reference_distance, table.min(axis=1))
    assert found.settings["reference"] == "training"
    assert found.p_value > 0.01
    few = lm.memorization(HONEST[:20], TRAINING, seed=0)
    assert len(few.reference_distance) == 20
    assert set(few.reference_distance) <= set(found.reference_distance)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12),
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=12),
)
def test_whatever_the_samples_are(generated, training, held_out):
    generated, training, held_out = (np.array(x, float) for x in (generated, training, held_out))
    found = lm.memorization(generated, training, held_out=held_out)
    known = set(map(tuple, training))
    assert found.copies == sum(tuple(x) in known for x in generated) == (found.distance == 0).sum()
    assert found.reference_copies == (found.reference_distance == 0).sum()
    assert found.duplicates_generated == len(generated) - len(set(map(tuple, generated)))
    low, high = found.closer_interval
    assert 0 <= low <= found.closer <= high <= 1
    assert 0 <= found.preference <= 1
    assert (np.diff(found.distance[found.pair]) >= 0).all()
    moved = lm.memorization(2 * generated + 3, 2 * training + 3, held_out=2 * held_out + 3)
    np.testing.assert_allclose(moved.distance, 2 * found.distance)
    assert moved.p_value == pytest.approx(found.p_value)


def test_features_are_compared_and_copies_are_not():
    images = RNG.standard_normal((40, 1, 2, 2))

    def size(x):
        return np.abs(np.asarray(x)).sum(axis=(1, 2, 3))[:, None]

    found = lm.memorization(-images, images, held_out=RNG.standard_normal((30, 1, 2, 2)), features=size)
    assert (found.distance == 0).all()
    assert found.copies == 0
    assert found.settings["features"] == "size"
    assert found.sample_shape == (1, 2, 2)
    assert found.pair_training.shape == (16, 4)
    with pytest.raises(ShapeError, match="features: expected one row for each of 40 training samples"):
        lm.memorization(images, images, features=lambda x: np.zeros((3, 2)))


def test_tensors_are_taken():
    found = lm.memorization(torch.zeros(3, 2), torch.eye(2), held_out=torch.ones(2, 2))
    np.testing.assert_array_equal(found.distance, 1.0)


@pytest.mark.parametrize(
    ("generated", "held_out", "message"),
    [
        (HONEST, TRAINING, "300 held-out samples equal training samples"),
        (np.ones((5, 4)), HELD_OUT, "4 of 5 generated samples repeat others"),
    ],
)
def test_no_reference_and_one_sample_are_unresolved(generated, held_out, message):
    found = lm.memorization(generated, TRAINING, held_out=held_out)
    assert found.status is lm.Status.UNRESOLVED
    assert message in found.message


def test_copies_of_one_sample_are_one_piece_of_evidence():
    many = lm.memorization(np.repeat(HONEST[:10], 30, axis=0), TRAINING, held_out=HELD_OUT)
    once = lm.memorization(HONEST[:10], TRAINING, held_out=HELD_OUT)
    assert many.p_value == once.p_value
    np.testing.assert_allclose(many.closer_interval, once.closer_interval)


@pytest.mark.parametrize(
    ("generated", "training", "options", "error", "message"),
    [
        (np.zeros(3), TRAINING, {}, ShapeError, "generated: expected points"),
        (np.zeros((0, 4)), TRAINING, {}, ShapeError, "generated: expected at least one point"),
        (HONEST[:, :3], TRAINING, {}, ShapeError, r"generated: expected samples of shape \(4,\)"),
        (HONEST, TRAINING, {"held_out": np.zeros((3, 2))}, ShapeError, "held_out: expected samples of shape"),
        (np.full((2, 4), np.nan), TRAINING, {}, LyapmapError, "generated: point 0 is not finite"),
        (HONEST, TRAINING[:1], {}, LyapmapError, "training: expected at least two samples"),
        (HONEST, TRAINING, {"quantile": 1.0}, LyapmapError, "quantile: expected a probability"),
        (HONEST, TRAINING, {"level": 0}, LyapmapError, "level: expected a positive"),
        (HONEST, TRAINING, {"n_pairs": -1}, LyapmapError, "n_pairs: expected at least 0"),
    ],
)
def test_bad_input(generated, training, options, error, message):
    with pytest.raises(error, match=message):
        lm.memorization(generated, training, **options)


def test_ctrl_c_goes_on_rising():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lm.memorization(HONEST, TRAINING, progress=stop)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
@pytest.mark.parametrize("n_pairs", [0, 3])
def test_saved_and_loaded(tmp_path, suffix, n_pairs):
    found = lm.memorization(HONEST, TRAINING, held_out=HELD_OUT, n_pairs=n_pairs)
    again = lm.Memorization.load(found.save(tmp_path / f"m{suffix}"))
    for name in found.DIMS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.to_json() == found.to_json()
    assert again.sample_shape == (4,)
