"""Pictures of precision and recall, memorization and transitions."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from picture_checks import check_picture, line, words

RNG = np.random.default_rng(0)
REAL = RNG.uniform(-1, 1, (100, 2))


def along(**options):
    shrink = lm.wrap(lambda x: 0.8 * x, state_shape=2)
    return lm.manifold_along(REAL, shrink, REAL[:30], k=(1, 3, 5), seed=0, **options)


def test_metrics_are_drawn_and_drawn_again_from_a_file(tmp_path):
    generated = 0.8 * RNG.uniform(-1, 1, (90, 2))
    generated[:10] = REAL[:10]
    metrics = lm.manifold_metrics(REAL, generated, k=(1, 3, 5), seed=0)
    loaded = lm.ManifoldMetrics.load(metrics.save(tmp_path / "m.nc"))
    for result in (metrics, loaded):
        figure = result.plot()
        check_picture(figure)
        for place, name in enumerate(("precision", "recall", "density", "coverage")):
            drawn = line(figure.axes[place // 2], name).get_ydata()
            np.testing.assert_array_equal(drawn, getattr(metrics, name))
        known = metrics.realism[1][np.isfinite(metrics.realism[1])]
        assert sum(patch.get_height() for patch in figure.axes[2].patches) == len(known)
        assert "100 real, 90 generated samples" in words(figure)
        assert "copies of real samples left out" in words(figure)


def test_steps_are_drawn_for_one_k(tmp_path):
    result = along(n_steps=4, reference=0.9 * REAL)
    figure = lm.ManifoldAlong.load(result.save(tmp_path / "a.npz")).plot(k=1)
    check_picture(figure)
    np.testing.assert_array_equal(line(figure.axes[0], "recall").get_ydata(), result.recall[:, 0])
    assert "k = 1" in words(figure)
    assert "dashed: other real samples" in words(figure)
    assert "k = 3" in words(result.plot())
    with pytest.raises(LyapmapError, match="k: expected one of 1, 3, 5, got 2"):
        result.plot(k=2)


def test_trajectories_are_drawn_as_mean_and_spread(tmp_path):
    result = along(n_steps=20, over="trajectories")
    figure = result.plot()
    check_picture(figure)
    np.testing.assert_allclose(line(figure.axes[0], "precision").get_ydata(), result.precision.mean(axis=0))
    assert "30 trajectories of 21 states" in words(figure)


def test_nothing_is_not_drawn():
    far = lm.wrap(lambda x: 1e200 * x, state_shape=2)
    empty = lm.manifold_along(REAL, far, REAL, n_steps=3, transient=3, k=3, seed=0, throw=False)
    assert empty.failed
    with pytest.raises(LyapmapError, match="nothing to draw"):
        empty.plot()


def test_transitions_are_drawn_and_drawn_again_from_a_file(tmp_path):
    labels = np.tile([0, 1, 2], (3, 60))
    labels[RNG.random(labels.shape) < 0.1] = 1
    found = lm.transitions(labels, order=(0, 1, 2))
    for result in (found, lm.Transitions.load(found.save(tmp_path / "t.nc"))):
        figure = result.plot()
        check_picture(figure)
        text = words(figure)
        assert "0 → 1 → 2 → 0 holds in" in text
        assert "the first 3 × 100 of 3 × 180" in text
        assert "ln 3" in text
        strip, matrix, _, _, memory = figure.axes
        np.testing.assert_array_equal(strip.images[0].get_array(), labels[:, :100])
        np.testing.assert_array_equal(matrix.images[0].get_array(), found.matrix)
        np.testing.assert_array_equal(memory.lines[0].get_ydata(), found.memory_rates)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1], RNG.integers(0, 30, (40, 300))])
def test_extremes_are_drawn(tmp_path, labels):
    found = lm.transitions(labels)
    figure = found.plot()
    check_picture(figure)
    strip, matrix, _, runs, memory = figure.axes
    np.testing.assert_array_equal(
        strip.images[0].get_array(), np.searchsorted(found.categories, found.labels[:16, :100])
    )
    np.testing.assert_array_equal(np.ma.getmaskarray(matrix.images[0].get_array()), np.isnan(found.matrix))
    np.testing.assert_array_equal(memory.lines[0].get_ydata(), found.memory_rates)
    assert sum(patch.get_height() for patch in runs.patches) == len(found.runs)
    assert found.message[:40] in words(figure)


def test_what_never_happened_is_said(tmp_path):
    figure = lm.transitions([0, 0, 0], order=(0, 1)).plot()
    check_picture(figure)
    assert "no whole stay was seen" in words(figure)
    assert "the order never held" in words(figure)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 6, 6)])
def test_nearest_pairs_are_drawn_from_a_file_too(tmp_path, shape):
    training, held_out = RNG.uniform(-1, 1, (2, 60, *shape))
    generated = RNG.uniform(-1, 1, (40, *shape))
    generated[3] = training[7]
    found = lm.memorization(generated, training, held_out=held_out, n_pairs=10)
    for result in (found, lm.Memorization.load(found.save(tmp_path / "m.npz"))):
        figure = result.plot()
        check_picture(figure)
        bars = [patch.get_height() for patch in figure.axes[0].patches]
        assert sum(bars) == pytest.approx(2)  # of both kinds of samples all
        picture = figure.axes[1].images[0].get_array()
        cell = 56 if shape[1] == 8 else 60
        # The copy is the first pair: both of its images are the same.
        first, below = (picture[top : top + cell, 14 : 14 + cell] for top in (14, 14 + cell + 14))
        np.testing.assert_array_equal(first, below)
        assert first.std() > 10
        assert "1 copy" in words(figure)
        assert "held out (60)" in words(figure)


def test_samples_that_are_no_images_have_their_distances(tmp_path):
    figure = lm.memorization(RNG.standard_normal((50, 3)), RNG.standard_normal((60, 3)), seed=0).plot()
    check_picture(figure)
    (axes,) = figure.axes
    assert sum(patch.get_height() for patch in axes.patches) == pytest.approx(2)
    assert "training, each without itself (50)" in words(figure)
