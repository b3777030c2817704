"""Pictures of transitions and of memorization."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm

RNG = np.random.default_rng(0)


def words(figure):
    return " ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


def test_transitions_are_drawn_and_drawn_again_from_a_file(tmp_path):
    labels = np.tile([0, 1, 2], (3, 60))
    labels[RNG.random(labels.shape) < 0.1] = 1
    found = lm.transitions(labels, order=(0, 1, 2))
    for result in (found, lm.Transitions.load(found.save(tmp_path / "t.nc"))):
        figure = result.plot()
        figure.savefig(tmp_path / "t.png")
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
    figure.savefig(tmp_path / "t.png")
    assert len(figure.axes) == 5
    assert found.message[:40] in words(figure)


def test_what_never_happened_is_said(tmp_path):
    figure = lm.transitions([0, 0, 0], order=(0, 1)).plot()
    figure.savefig(tmp_path / "t.png")
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
        figure.savefig(tmp_path / "m.png")
        assert len(figure.axes) == 2
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
    figure.savefig(tmp_path / "m.png")
    assert len(figure.axes) == 1
    assert "training, each without itself (50)" in words(figure)
