"""Pictures of manifold metrics."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError

RNG = np.random.default_rng(0)
REAL = RNG.uniform(-1, 1, (100, 2))


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


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
        figure.savefig(tmp_path / "m.png")
        lines = {line.get_label(): line for axes in figure.axes for line in axes.lines}
        for name in ("precision", "recall", "density", "coverage"):
            np.testing.assert_array_equal(lines[name].get_ydata(), getattr(metrics, name))
        assert "100 real, 90 generated samples" in words(figure)
        assert "copies of real samples left out" in words(figure)


def test_steps_are_drawn_for_one_k(tmp_path):
    result = along(n_steps=4, reference=0.9 * REAL)
    figure = lm.ManifoldAlong.load(result.save(tmp_path / "a.npz")).plot(k=1)
    figure.savefig(tmp_path / "a.png")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_array_equal(lines["recall"].get_ydata(), result.recall[:, 0])
    assert "k = 1" in words(figure)
    assert "dashed: other real samples" in words(figure)
    assert "k = 3" in words(result.plot())
    with pytest.raises(LyapmapError, match="k: expected one of 1, 3, 5, got 2"):
        result.plot(k=2)


def test_trajectories_are_drawn_as_mean_and_spread(tmp_path):
    result = along(n_steps=20, over="trajectories")
    figure = result.plot()
    figure.savefig(tmp_path / "a.png")
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["precision"].get_ydata(), result.precision.mean(axis=0))
    assert "30 trajectories of 21 states" in words(figure)


def test_nothing_is_not_drawn():
    far = lm.wrap(lambda x: 1e200 * x, state_shape=2)
    empty = lm.manifold_along(REAL, far, REAL, n_steps=3, transient=3, k=3, seed=0, throw=False)
    assert empty.failed
    with pytest.raises(LyapmapError, match="nothing to draw"):
        empty.plot()
