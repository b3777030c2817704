"""Pictures of trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from lyapmap.analysis.orbits.pictures_orbits import STRIP_BLOCKS, STRIP_COLUMNS, save_trajectory

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
