"""Transitions between categories: exact chains, other methods, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.manifold import transitions as labelled
from lyapmap.analysis.proportions import variance_of_mean, wilson
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError

CHAIN = np.array([[0.1, 0.8, 0.1], [0.0, 0.5, 0.5], [0.7, 0.0, 0.3]])


def walk(matrix, b, n, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.zeros((b, n), int)
    steps = matrix.cumsum(axis=1)
    for t in range(1, n):
        labels[:, t] = (rng.random(b)[:, None] > steps[labels[:, t - 1]]).sum(axis=1)
    return labels


def exact(matrix):
    """Stationary distribution by iteration, and the entropy rate that belongs to it."""
    p = np.linalg.matrix_power(matrix, 500)[0]
    logs = np.log(matrix, out=np.zeros_like(matrix), where=matrix > 0)
    return p, -float(p @ (matrix * logs).sum(axis=1))


def lempel_ziv(labels):
    """Entropy rate by the lengths of matches with the past (A. D. Wyner and J. Ziv 1989), without any matrix."""
    text = "".join(map(str, labels))
    n = len(text) // 2
    lengths = []
    for i in range(n, len(text) - 60, 7):
        size = 1
        while text.find(text[i : i + size], i - n, i + size - 1) >= 0:
            size += 1
        lengths.append(size)
    return math.log(n) / np.mean(lengths)


@pytest.mark.parametrize("order", [None, (0, 1, 2), (1, 2, 0)])
def test_a_cycle_is_certain(order):
    found = lm.transitions(np.stack([np.roll(np.tile([0, 1, 2], 40), s) for s in range(3)]), order=order)
    np.testing.assert_array_equal(found.matrix, np.roll(np.eye(3), 1, axis=1))
    assert found.accuracy == 1.0
    assert found.accuracy_interval[1] == 1.0
    assert 0.98 < found.accuracy_interval[0] < 1.0
    assert found.entropy_rate == 0.0
    assert found.entropy_stderr == 0.0
    np.testing.assert_array_equal(found.memory_rates[1:], 0.0)
    np.testing.assert_allclose(found.stationary, 1 / 3)
    assert found.dwell_counts.sum() == 3 * 118
    np.testing.assert_array_equal(found.runs, [119] * 3)
    np.testing.assert_array_equal(found.cycles, [39] * 3)
    assert found.runs_cut.all()
    assert found.status is lm.Status.OK


def test_what_is_seen_by_hand():
    found = lm.transitions([0, 0, 0, 1, 1, 0, 1, 1, 0, 0], order=(0, 1))
    np.testing.assert_array_equal(found.counts, [[3, 2], [2, 2]])
    np.testing.assert_array_equal(found.dwell_counts, [[1, 0], [0, 2]])
    np.testing.assert_allclose(found.dwell_mean, [5 / 2, 2])
    assert found.accuracy == pytest.approx(4 / 9)
    np.testing.assert_array_equal(found.runs, [1, 2, 1])
    assert not found.runs_cut.any()
    np.testing.assert_allclose(found.occupation, [0.6, 0.4])
    plug_in = -(3 * math.log(3 / 5) + 2 * math.log(2 / 5) + 4 * math.log(1 / 2)) / 9
    assert found.entropy_rate == pytest.approx(plug_in + 2 / 18)
    assert found.memory_rates[1] == pytest.approx(found.entropy_rate)
    assert found.memory_bias[1] == pytest.approx(2 / 18)


def test_a_known_chain_within_its_errors():
    found = lm.transitions(walk(CHAIN, 5, 4000))
    p, rate = exact(CHAIN)
    seen = CHAIN > 0
    assert (np.abs(found.matrix - CHAIN)[seen] < 4 * found.matrix_stderr[seen]).all()
    assert (found.counts[~seen] == 0).all()
    np.testing.assert_allclose(found.stationary, p, atol=0.01)
    np.testing.assert_allclose(found.occupation, p, atol=0.01)
    assert abs(found.entropy_rate - rate) < 3 * found.entropy_stderr
    assert found.entropy_stderr < 0.01
    np.testing.assert_allclose(found.memory_rates[1:5], rate, atol=0.02)
    np.testing.assert_allclose(found.dwell_mean, 1 / (1 - CHAIN.diagonal()), rtol=0.05)
    lengths = np.arange(1, found.dwell_counts.shape[1] + 1)
    np.testing.assert_allclose(found.dwell_counts @ lengths / found.dwell_counts.sum(1), found.dwell_mean, rtol=0.02)


def test_errors_are_calibrated():
    """95 % limits of accuracy and entropy hold in about 95 % of runs, though the steps depend on each other."""
    sticky = np.array([[0.95, 0.05], [0.02, 0.98]])
    (p, rate), hits, within = exact(sticky), [], []
    accuracy = p[0] * sticky[0, 0]  # of 0 -> 0, which comes in long runs
    for seed in range(60):
        found = lm.transitions(walk(sticky, 4, 1000, seed), order=(0,))
        low, high = found.accuracy_interval
        hits.append(low <= accuracy <= high)
        within.append(abs(found.entropy_rate - rate) < 1.96 * found.entropy_stderr)
    assert 0.8 <= np.mean(hits) <= 1.0
    assert 0.8 <= np.mean(within) <= 1.0


def test_independent_labels_have_the_entropy_of_a_die():
    labels = np.random.default_rng(0).integers(0, 4, (4, 5000))
    found = lm.transitions(labels)
    assert abs(found.entropy_rate - math.log(4)) < 4 * found.entropy_stderr
    assert abs(found.entropy_rate - math.log(4)) < 1e-3
    # Without the correction, the longest memory would be far off.
    off = np.abs(found.memory_rates - math.log(4))
    assert len(off) >= 4
    assert (off < np.maximum(found.memory_bias / 2, 2e-3)).all()


def test_memory_beyond_one_step_is_seen():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 6000)
    labels[2:] = 0
    for t in range(2, len(labels)):
        labels[t] = labels[t - 2] ^ (rng.random() < 0.1)
    found = lm.transitions(labels)
    noise = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert found.entropy_rate > 0.69
    np.testing.assert_allclose(found.memory_rates[2:4], noise, atol=0.02)
    assert lempel_ziv(labels) == pytest.approx(noise, rel=0.25)


def test_lempel_and_ziv_agree():
    labels = walk(CHAIN, 1, 8000)[0]
    assert lempel_ziv(labels) == pytest.approx(lm.transitions(labels).entropy_rate, rel=0.15)


def test_the_halves_of_a_chaotic_map_give_its_exponent():
    """The partition at the maximum generates: its entropy rate is the Lyapunov exponent (Pesin)."""
    orbit = lm.trajectory(lm.systems.logistic(r=3.8), [[0.3], [0.4]], n_steps=10_000, transient=100)
    exponent = lm.lyapunov_spectrum(lm.systems.logistic(r=3.8), [0.3], n_steps=20_000, transient=100, seed=0)
    found = lm.transitions(orbit, lambda x: (x[:, 0] > 0.5).astype(int))
    assert found.memory_rates[-1] == pytest.approx(exponent.exponents[0], abs=0.03)
    assert found.entropy_rate > found.memory_rates[-1]
    assert found.provenance["map"] == "logistic"


@given(st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=5))
def test_whatever_the_labels_are(rows):
    labels = np.array(rows)
    found = lm.transitions(labels, throw=False)
    left = found.counts.sum(axis=1)
    np.testing.assert_allclose(found.matrix[left > 0].sum(axis=1), 1)
    assert np.isnan(found.matrix[left == 0]).all()
    assert found.counts.sum() == labels.size - len(labels)
    low, high = found.accuracy_interval
    if len(found.order):
        assert 0 <= low <= found.accuracy <= high <= 1
        assert found.runs.sum() == round(found.accuracy * found.counts.sum())
    else:
        assert np.isnan([low, found.accuracy, high]).all()
        assert not len(found.cycles)
    assert found.entropy_rate >= 0
    assert found.memory_rates[1] == pytest.approx(found.entropy_rate)
    assert found.occupation.sum() == pytest.approx(1)
    if not np.isnan(found.stationary).any():
        np.testing.assert_allclose(found.stationary @ found.matrix, found.stationary, atol=1e-9)
    else:
        assert found.status is lm.Status.UNRESOLVED
    # Other names for the categories change nothing else; neither does the order of trajectories.
    other = lm.transitions(labels[::-1] * 7 + 2, throw=False)
    np.testing.assert_array_equal(other.counts, found.counts)
    assert other.entropy_rate == pytest.approx(found.entropy_rate)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([3, 3, 3, 3], "category 3 was never left"),
        ([0, 1, 0, 1, 2], "no step from category 2 was seen"),
        ([[0, 0, 0], [1, 1, 1]], "several sets of categories are never left"),
    ],
)
def test_what_was_not_seen_is_not_made_up(labels, message):
    found = lm.transitions(labels)
    assert found.status is lm.Status.UNRESOLVED
    assert message in found.message
    assert "record more steps" in found.remedy


def test_an_escape_is_told_and_what_came_before_is_used():
    states = np.zeros((2, 6, 1))
    states[:, 1::2] = 1
    states[0, 3:] = np.nan
    states[0, 5] = 1.0

    def classify(x):
        return x[:, 0].astype(int)

    with pytest.raises(RunError, match="escaped: 1 of 2 trajectories have a state that is not finite"):
        lm.transitions(states, classify)
    found = lm.transitions(states, classify, throw=False)
    assert found.labels.tolist() == [[0, 1, 0, -1, -1, -1], [0, 1, 0, 1, 0, 1]]
    np.testing.assert_array_equal(found.counts, [[0, 4], [3, 0]])
    states[:, 1:] = np.nan
    with pytest.raises(LyapmapError, match="no trajectory has two finite states in a row"):
        lm.transitions(states, classify)


def test_images_reach_the_classifier_in_their_shape():
    seen = []

    def classify(x):
        seen.append(x.shape)
        return (x.mean(axis=(1, 2, 3)) > 0).astype(int)

    found = lm.transitions(np.random.default_rng(0).standard_normal((3, 1000, 1, 2, 2)), classify, categories=[5])
    assert seen == [(2048, 1, 2, 2), (952, 1, 2, 2)]
    assert found.categories.tolist() == [0, 1, 5]
    assert found.settings["classify"] == "classify"


def first(x):
    return np.zeros(len(x), int)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([0],), {}, ShapeError, "at least two steps"),
        ((np.zeros((2, 2, 2), int),), {}, ShapeError, r"expected categories \(b, steps\)"),
        (([0.5, 1.0],), {}, LyapmapError, "states: expected categories as integers"),
        (([0, -1],), {}, LyapmapError, "expected categories from 0"),
        (([0, 1],), {"order": (0, 0)}, LyapmapError, "order: expected every category once"),
        (([0, 1],), {"order": ()}, LyapmapError, "order: expected categories"),
        (([0, 1],), {"order": (0.5,)}, LyapmapError, "order: expected an integer"),
        (([0, 1],), {"level": 1.0}, LyapmapError, "level: expected a probability"),
        ((np.zeros((2, 3)), first), {}, ShapeError, r"states: expected \(b, steps, ...\)"),
        ((np.zeros((2, 3, 1)), "mnist"), {}, LyapmapError, "classify: expected a function"),
        ((np.zeros((2, 3, 1)), lambda x: np.zeros(2, int)), {}, ShapeError, "one category for each of 6"),
        ((np.zeros((2, 3, 1)), lambda x: x[:, 0]), {}, LyapmapError, "classify: expected categories as integers"),
        ((np.full((2, 3, 1), "a"), first), {}, LyapmapError, "states: expected real numbers"),
    ],
)
def test_bad_input(arguments, options, error, message):
    with pytest.raises(error, match=message):
        lm.transitions(*arguments, **options)


def test_a_trajectory_needs_a_classifier():
    with pytest.raises(LyapmapError, match="classify: expected a function"):
        lm.transitions(lm.trajectory(lm.systems.henon(), [0.1, 0.1], n_steps=3))


def test_ctrl_c_goes_on_rising():
    def stop(x):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lm.transitions(np.zeros((2, 3, 1)), stop)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
@pytest.mark.parametrize("labels", [[0, 1, 1, 0, 1, 2, 0, 1], [0, 0]])
def test_saved_and_loaded(tmp_path, suffix, labels):
    found = lm.transitions(labels)
    again = lm.Transitions.load(found.save(tmp_path / f"t{suffix}"))
    for name in found.DIMS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.to_json() == found.to_json()


def test_wilson_knows_the_textbook():
    """10 of 50 at 95 %: 0.112 to 0.330 (L. D. Brown, T. T. Cai and A. DasGupta 2001, by its formula)."""
    np.testing.assert_allclose(wilson(0.2, 50, 0.95), [0.1124, 0.3304], atol=2e-4)
    assert np.isnan(wilson(np.nan, 0, 0.95)).all()


def test_the_variance_of_a_mean_grows_with_correlation():
    rng = np.random.default_rng(0)
    white = [rng.standard_normal(2000) for _ in range(4)]
    correlated, independent = variance_of_mean(white)
    assert correlated == pytest.approx(independent, rel=0.5)
    repeated = [np.repeat(part[:200], 10) for part in white]
    correlated, independent = variance_of_mean(repeated)
    assert correlated == pytest.approx(10 * independent, rel=0.5)


def test_the_usual_order_starts_at_its_smallest():
    assert labelled.usual_order(np.array([[0, 9, 1], [1, 0, 8], [7, 2, 0]])) == [0, 1, 2]
    assert labelled.usual_order(np.array([[0, 9, 1], [0, 0, 8], [0, 7, 0]])) == [1, 2]


def test_labels_by_chance_follow_no_order():
    rng = np.random.default_rng(0)
    for k in (1, 2, 3, 5):
        found = lm.transitions(rng.integers(0, k, (4, 300)), throw=False)
        assert len(found.order) == 0
        assert np.isnan(found.accuracy)
    kept = lm.transitions(np.tile([0, 1, 2], 30))
    assert kept.order.tolist() == [0, 1, 2]
