"""Pictures of trajectories, settling and burn-in, also of results that were saved."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from lyapmap import views
from lyapmap.analysis.orbits.pictures_orbits import STRIP_BLOCKS, STRIP_COLUMNS, save_trajectory
from picture_checks import check_picture

WELL = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1)


@pytest.fixture(scope="module")
def rest():
    return lm.settling(WELL, np.linspace(-1, 1, 20)[:, None], n_steps=60)


@pytest.fixture(scope="module")
def mixing():
    x0 = np.random.default_rng(0).uniform(-1, 1, (20, 1))
    return lm.burn_in(WELL, x0, n_steps=60, n_resamples=20, seed=0)


def texts(figure):
    return " ".join(text.get_text() for text in figure.texts)


def test_settling_is_drawn(rest, tmp_path):
    figure = rest.plot()
    check_picture(figure)
    assert "100.0% of 20 trajectories at rest, on 2 fixed points" in texts(figure)
    length, share, ends = figure.axes
    np.testing.assert_array_equal(share.lines[0].get_ydata(), rest.settled_share)
    assert length.get_yscale() == "log"
    assert sorted(ends.get_xticks()) == [1, 2]
    again = lm.Settling.load(rest.save(tmp_path / "rest.nc"))
    assert texts(views.draw_settling(again)) == texts(figure)


def test_settling_without_an_end_is_drawn():
    figure = lm.settling(lm.systems.logistic(r=4.0), [[0.3]], n_steps=50).plot()
    assert "none of 1 trajectories came to rest" in texts(figure)
    assert "neither at rest nor on a cycle" in texts(figure)


def test_burn_in_is_drawn(mixing, tmp_path):
    figure = mixing.plot()
    check_picture(figure)
    assert f"burn-in of {mixing.burn_in:.0f} steps" in texts(figure)
    (axes,) = figure.axes
    assert mixing.threshold in [line.get_ydata()[0] for line in axes.lines]
    again = lm.BurnIn.load(mixing.save(tmp_path / "burn.npz"))
    assert texts(views.draw_burn_in(again)) == texts(figure)


def test_burn_in_that_failed_is_drawn():
    x0 = np.random.default_rng(0).uniform(0, 0.1, (20, 1))
    drift = lm.burn_in(lm.wrap(lambda x: x + 0.1, state_shape=1), x0, n_steps=20, n_resamples=20, throw=False)
    assert "no burn-in to tell" in texts(drift.plot())
    escaped = lm.burn_in(lm.wrap(lambda x: x * x, state_shape=1), x0 + 3, n_steps=20, n_resamples=20, throw=False)
    assert "not finite" in texts(escaped.plot())


SIDE = 8


def drawn(n_steps, tmp_path):
    """Grey values of the strip of a map that makes its image a little brighter at each step."""
    brighter = lm.wrap(lambda x: x + 1 / 128, state_shape=(1, SIDE, SIDE), backend="numpy")
    result = lm.trajectory(brighter, np.full((1, SIDE * SIDE), -1.0), n_steps=n_steps)
    return np.asarray(Image.open(save_trajectory(result, tmp_path / "strip.png")).convert("L"))


@pytest.mark.parametrize("n_steps", [4, 12, 30, STRIP_BLOCKS * STRIP_COLUMNS - 1])
def test_a_strip_shows_every_step_of_a_short_trajectory(n_steps, tmp_path):
    shown, times = np.unique(drawn(n_steps, tmp_path), return_counts=True)
    # Numbers above the images have greys too, but of few pixels.
    filled = set(shown[times > SIDE**2].tolist())
    assert {round(step / 256 * 255) for step in range(n_steps + 1)} <= filled


def test_a_strip_of_a_long_trajectory_leaves_steps_out_but_not_the_first(tmp_path):
    blocks = drawn(STRIP_BLOCKS * STRIP_COLUMNS - 1, tmp_path).shape[0]
    picture = drawn(10 * STRIP_BLOCKS * STRIP_COLUMNS, tmp_path)
    assert picture.shape[0] <= blocks
    assert 0 in picture
