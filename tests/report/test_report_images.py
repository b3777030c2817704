"""Sheets, film strips and GIFs: pixels where they belong, words that fit, wrong shapes refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.report.images import film_strip, save_film_strip, save_gif, save_sheet, sheet


def random_states(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def test_sheet_puts_every_pixel_where_it_belongs() -> None:
    images = random_states(2, 3, 3, 4, 5)
    picture = sheet(images, scale=2, gap=1)
    assert picture.shape == (2 * (8 + 1) + 1, 3 * (10 + 1) + 1, 3)
    for row in range(2):
        for column in range(3):
            top, left = 1 + row * 9, 1 + column * 11
            cell = picture[top : top + 8, left : left + 10]
            wanted = np.rint(255 * (images[row, column] + 1) / 2).transpose(1, 2, 0)
            np.testing.assert_array_equal(cell[::2, ::2], wanted)
            np.testing.assert_array_equal(cell[1::2, 1::2], wanted)
    assert (picture[0] == 255).all()
    assert (picture[:, 0] == 255).all()


def test_sheet_clips_and_draws_nan_black() -> None:
    images = np.array([np.nan, -np.inf, -5.0, 0.0, 5.0, np.inf]).reshape(1, 6, 1, 1, 1)
    assert sheet(images, gap=0)[0, :, 0].tolist() == [0, 0, 0, 128, 255, 255]


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (1, 3, 2, 8, 8), (0, 3, 1, 8, 8), (5,)])
def test_sheet_refuses_other_shapes(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="images: expected"):
        sheet(np.zeros(shape))
    with pytest.raises(ShapeError, match="images: expected"):
        save_sheet(np.zeros(shape), tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("options", "named"), [({"scale": 0}, "scale"), ({"gap": -1}, "gap"), ({"value_range": (1.0, 1.0)}, "value_range")]
)
def test_sheet_refuses_other_options(options: dict, named: str) -> None:
    with pytest.raises(LyapmapError, match=named):
        sheet(np.zeros((1, 1, 1, 8, 8)), **options)


def test_save_sheet_enlarges_small_images(tmp_path: Path) -> None:
    with Image.open(save_sheet(np.zeros((2, 3, 1, 8, 8)), tmp_path / "sheet.png")) as picture:
        assert picture.size == (2 + 3 * 58, 2 + 2 * 58)


def cells(strip: np.ndarray, states: np.ndarray, left: int, top: int, scale: int, across: int) -> np.ndarray:
    """The images of a one-channel strip, read back from it as states."""
    b, steps, _, h, w = states.shape
    found = np.zeros_like(states)
    block = 19 + b * (scale * h + 2) + 6
    for t in range(b):
        for i in range(steps):
            y = top + (i // across) * block + t * (scale * h + 2)
            x = left + (i % across) * (scale * w + 2)
            found[t, i, 0] = strip[y : y + scale * h : scale, x : x + scale * w : scale, 0] / 127.5 - 1
    return found


@pytest.mark.parametrize(("steps", "columns"), [(5, 16), (7, 3), (6, 3), (1, 1)])
def test_film_strip_shows_all_states_in_order(steps: int, columns: int) -> None:
    states = random_states(2, steps, 1, 8, 8)
    strip = film_strip(states, columns=columns, scale=3, labels=["", ""])
    found = cells(strip, states, left=8, top=25, scale=3, across=columns)
    np.testing.assert_allclose(found, states, atol=1 / 127)


def test_film_strip_of_one_trajectory() -> None:
    states = random_states(6, 3, 16, 16)
    np.testing.assert_array_equal(film_strip(states), film_strip(states[None]))


def ink(picture: np.ndarray) -> int:
    return int((picture < 150).sum())


def test_film_strip_writes_step_numbers_and_labels() -> None:
    white = np.ones((2, 4, 1, 8, 8))
    bare = film_strip(white, labels=["", ""], steps=[1] * 4)
    assert ink(film_strip(white, labels=["", ""], steps=[1000] * 4)) > ink(bare) > 0
    labelled = film_strip(white, labels=["first start", "noise"], steps=[1] * 4)
    assert ink(labelled) > ink(bare)
    assert labelled.shape[1] > bare.shape[1]
    assert ink(labelled[:, :2]) == ink(labelled[:, -2:]) == ink(labelled[:2]) == 0, "words are cut off"


def test_film_strip_thins_out_numbers_that_would_touch() -> None:
    white = np.ones((1, 12, 1, 8, 8))
    head = film_strip(white, scale=1, steps=range(1000, 1012))[:25]
    dark = np.flatnonzero((head < 150).any(axis=(0, 2)))
    gaps = np.diff(dark)
    assert (gaps >= 6).sum() == len(range(0, 12, 4)) - 1, "three numbers of four digits, well apart"


def test_film_strip_refuses_other_shapes() -> None:
    states = np.zeros((2, 4, 1, 8, 8))
    with pytest.raises(ShapeError, match=r"states: expected .* got \(2, 4, 2, 8, 8\)"):
        film_strip(np.zeros((2, 4, 2, 8, 8)))
    with pytest.raises(ShapeError, match="states: expected"):
        film_strip(np.zeros((2, 784)))
    with pytest.raises(ShapeError, match="steps: expected 4 numbers, one for each step, got 3"):
        film_strip(states, steps=[0, 1, 2])
    with pytest.raises(ShapeError, match="labels: expected 2"):
        film_strip(states, labels=["a"])
    with pytest.raises(LyapmapError, match="columns"):
        film_strip(states, columns=0)


def test_save_film_strip(tmp_path: Path) -> None:
    states = random_states(2, 4, 3, 8, 8)
    path = save_film_strip(tmp_path / "strip.png", states, steps=[0, 10, 20, 30], value_range=(-2, 2))
    with Image.open(path) as picture:
        np.testing.assert_array_equal(
            np.asarray(picture), film_strip(states, steps=[0, 10, 20, 30], value_range=(-2, 2))
        )


def frames_of(path: Path) -> list[np.ndarray]:
    with Image.open(path) as gif:
        assert gif.info["loop"] == 0
        frames = []
        for i in range(gif.n_frames):
            gif.seek(i)
            frames.append(np.asarray(gif.convert("RGB")))
    return frames


def test_gif_has_one_exact_frame_for_each_step(tmp_path: Path) -> None:
    states = random_states(5, 4, 1, 8, 8)
    frames = frames_of(save_gif(tmp_path / "orbit.gif", states, scale=4))
    assert len(frames) == 4
    for step, frame in enumerate(frames):
        assert frame.shape == (19 + 2 + 2 * 34, 2 + 3 * 34, 3), "five trajectories in two rows of three"
        for t in range(5):
            top, left = 21 + (t // 3) * 34, 2 + (t % 3) * 34
            cell = frame[top : top + 32 : 4, left : left + 32 : 4, 0]
            np.testing.assert_array_equal(cell, np.rint(127.5 * (states[t, step, 0] + 1)))
        assert (frame[55:, 70:] == 255).all(), "the sixth place is empty"


def test_gif_of_states_that_stand_still_keeps_its_frames(tmp_path: Path) -> None:
    frames = frames_of(save_gif(tmp_path / "still.gif", np.zeros((1, 3, 1, 8, 8)), steps=[7, 8, 9]))
    assert len(frames) == 3


def test_gif_in_colour_is_close(tmp_path: Path) -> None:
    states = np.zeros((1, 2, 3, 8, 8))
    states[0, :, 0], states[0, :, 1], states[0, :, 2] = 1.0, -1.0, 0.0
    frame = frames_of(save_gif(tmp_path / "colour.gif", states, scale=4))[1]
    assert np.abs(frame[30, 10].astype(int) - [255, 0, 128]).max() <= 4


def test_gif_duration_and_default_size(tmp_path: Path) -> None:
    for b, width in [(1, 224), (4, 2 * 112), (100, 10 * 56)]:
        with Image.open(save_gif(tmp_path / "g.gif", np.zeros((b, 2, 1, 8, 8)), seconds_per_step=0.1)) as gif:
            assert gif.info["duration"] == 100
            assert gif.width == width + 2 * (round(b**0.5) + 1)


def test_gif_refuses_other_shapes(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="states: expected"):
        save_gif(tmp_path / "g.gif", np.zeros((4, 784)))
    with pytest.raises(ShapeError, match="steps: expected 2"):
        save_gif(tmp_path / "g.gif", np.zeros((2, 1, 8, 8)), steps=[1])
    with pytest.raises(LyapmapError, match="seconds_per_step"):
        save_gif(tmp_path / "g.gif", np.zeros((2, 1, 8, 8)), seconds_per_step=0)
    assert not list(tmp_path.iterdir())
