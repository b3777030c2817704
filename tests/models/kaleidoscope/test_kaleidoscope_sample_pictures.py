"""Pictures of kaleidoscopic sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lyapmap as lm
from lyapmap.core.errors import LyapmapError
from lyapmap.models.kaleidoscope.pictures import save_kaleidoscope_samples
from lyapmap.models.kaleidoscope.sampling import KaleidoscopeSamples, sample


def samples(state_shape: tuple[int, ...], n: int = 5, steps: int = 6) -> KaleidoscopeSamples:
    m = lm.wrap(lambda x: 0.9 * x, state_shape=state_shape, backend="numpy")
    return sample(m, n, steps=steps, eps=0.1, keep=range(steps + 1))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (8, 8, 3), (1,), (2,)])
def test_samples_are_drawn_and_so_are_loaded_ones(tmp_path: Path, shape: tuple[int, ...]) -> None:
    found = samples(shape)
    back = KaleidoscopeSamples.load(found.save(tmp_path / "samples.nc"))
    for i, result in enumerate((found, back)):
        result.plot().savefig(tmp_path / f"{i}.png")
    first, second = (np.asarray(Image.open(tmp_path / f"{i}.png")) for i in range(2))
    assert first.std() > 1
    np.testing.assert_array_equal(first, second)


def test_files_show_the_steps_and_the_last_states(tmp_path: Path) -> None:
    found = samples((1, 8, 8))
    files = save_kaleidoscope_samples(tmp_path, found.only([0, 6]), found)
    assert [file.name for file in files] == ["strip.png", "grid.png", "kaleidoscope.gif"]
    with Image.open(tmp_path / "kaleidoscope.gif") as film:
        assert film.n_frames == 7
    grid = np.asarray(Image.open(tmp_path / "grid.png"))[:, :, 0]
    assert grid.shape == (2 * 58 + 2, 3 * 58 + 2)  # five images in two rows of three, 56 pixels each
    assert (grid[62:, 120:] == 255).all()
    wanted = np.rint(127.5 * (found.images()[0, -1, 0] + 1))
    np.testing.assert_allclose(grid[2:58:7, 2:58:7], wanted, atol=1)


def test_points_have_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(LyapmapError, match=r"samples: states of shape \(2,\) are no images"):
        save_kaleidoscope_samples(tmp_path, samples((2,)))
