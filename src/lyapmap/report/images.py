"""Images of states: sheets, film strips and GIFs, one pixel of a state always a whole square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.writing import written_whole

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

VISIBLE = 56
"""Pixels that an image is enlarged to at least, so that 8 x 8 states can be seen."""

_INK, _PAPER = 60, 255
_FONT_SIZE = 13
_MARGIN = 6


def sheet(
    images: NDArray[np.floating], *, value_range: tuple[float, float] = (-1.0, 1.0), scale: int = 1, gap: int = 2
) -> NDArray[np.uint8]:
    """Images in rows and columns as one picture.

    Parameters
    ----------
    images : (rows, columns, channels, height, width)
        1 or 3 channels; values outside `value_range` are clipped, NaN is drawn black.
    value_range : (float, float)
        Values of black and of white.
    scale : int
        Pixels on the sheet for each pixel of an image.
    gap : int
        White pixels between images.

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    ShapeError
        If the images do not have these axes.

    Examples
    --------
    >>> sheet(np.zeros((2, 3, 1, 8, 8)), scale=4).shape
    (70, 104, 3)
    """
    if images.ndim != 5 or images.shape[2] not in (1, 3) or 0 in images.shape:
        raise ShapeError(f"images: expected (rows, columns, 1 or 3, height, width), got {images.shape}")
    low, high = value_range
    if not low < high:
        raise LyapmapError(f"value_range: expected (low, high) with low < high, got {value_range}")
    if scale < 1:
        raise LyapmapError(f"scale: expected at least 1, got {scale}")
    if gap < 0:
        raise LyapmapError(f"gap: expected at least 0 pixels, got {gap}")
    pixels = np.clip((np.nan_to_num(images, nan=low) - low) / (high - low), 0, 1)
    pixels = np.rint(255 * pixels).astype(np.uint8).repeat(scale, axis=3).repeat(scale, axis=4)
    rows, columns, _, height, width = pixels.shape
    cells = np.full((rows, height + gap, columns, width + gap, 3), 255, np.uint8)
    cells[:, :height, :, :width] = pixels.transpose(0, 3, 1, 4, 2)
    picture = cells.reshape(rows * (height + gap), columns * (width + gap), 3)
    return np.pad(picture, ((gap, 0), (gap, 0), (0, 0)), constant_values=255)


def in_rows(images: NDArray[Any], columns: int = 0, empty: float | None = None) -> NDArray[Any]:
    """Images (n, channels, height, width) in rows and columns, near a square by default.

    Parameters
    ----------
    images : (n, channels, height, width)
    columns : int
        0 for as many as rows, about.
    empty : float, optional
        Value of the places that are left; the smallest of all by default.

    Examples
    --------
    >>> in_rows(np.zeros((7, 1, 8, 8))).shape
    (3, 3, 1, 8, 8)
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = -(-len(images) // columns)
    cells = np.full((rows * columns, *images.shape[1:]), images.min() if empty is None else empty, images.dtype)
    cells[: len(images)] = images
    return cells.reshape(rows, columns, *images.shape[1:])


def save_sheet(
    images: NDArray[np.floating],
    path: str | Path,
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    scale: int | None = None,
) -> Path:
    """Write a sheet of images (rows, columns, channels, height, width) as PNG.

    `scale=None` enlarges small images so that each is at least 56 pixels wide.
    """
    return _save_pixels(sheet(images, value_range=value_range, scale=scale or _enlargement(images)), path)


def film_strip(
    states: NDArray[np.floating],
    *,
    steps: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    columns: int = 16,
    scale: int | None = None,
) -> NDArray[np.uint8]:
    """Trajectories as rows of images, with the number of each step above and a label before each row.

    Parameters
    ----------
    states : (b, steps, channels, height, width) or (steps, channels, height, width)
        One or several trajectories; 1 or 3 channels.
    steps : sequence of int, optional
        Number of each step; 0, 1, 2, ... by default.
    labels : sequence of str, optional
        Name of each trajectory; its number by default, and none where there is only one.
    value_range : (float, float)
        Values of black and of white.
    columns : int
        Images side by side; longer trajectories go on below.
    scale : int, optional
        Pixels on the strip for each pixel of an image; enough for 56 by default.

    Returns
    -------
    (height, width, 3) uint8

    Raises
    ------
    ShapeError
        If the states do not have these axes, or steps or labels are not as many as they are.

    Examples
    --------
    >>> film_strip(np.zeros((2, 5, 1, 8, 8))).shape
    (149, 318, 3)
    """
    from PIL import Image, ImageDraw

    states = _trajectories(states[None] if states.ndim == 4 else states)
    b, n_steps = states.shape[:2]
    numbers = list(range(n_steps)) if steps is None else [int(step) for step in steps]
    names = ([""] if b == 1 else [str(t + 1) for t in range(b)]) if labels is None else [str(name) for name in labels]
    if len(numbers) != n_steps:
        raise ShapeError(f"steps: expected {n_steps} numbers, one for each step, got {len(numbers)}")
    if len(names) != b:
        raise ShapeError(f"labels: expected {b} of them, one for each trajectory, got {len(names)}")
    if columns < 1:
        raise LyapmapError(f"columns: expected at least 1, got {columns}")
    factor = scale or _enlargement(states)
    gap = 2
    cell_height, cell_width = factor * states.shape[3] + gap, factor * states.shape[4] + gap
    font = _font(_FONT_SIZE)
    left = max(int(font.getlength(name)) for name in names)
    left += 2 * _MARGIN if left else _MARGIN
    head = _FONT_SIZE + _MARGIN
    n_blocks = -(-n_steps // columns)
    block_height = head + b * cell_height + _MARGIN
    across = min(columns, n_steps)
    size = (left + across * cell_width + gap + _MARGIN, n_blocks * block_height + gap + _MARGIN)
    picture = Image.new("RGB", size, (_PAPER,) * 3)
    draw = ImageDraw.Draw(picture)
    # Numbers that would touch their neighbours are thinned out.
    widest = max(font.getlength(str(number)) for number in numbers)
    every = math.ceil((widest + _MARGIN) / cell_width)
    for block in range(n_blocks):
        first = block * columns
        part = states[:, first : first + columns]
        top = block * block_height + _MARGIN
        images = sheet(part, value_range=value_range, scale=factor, gap=gap)
        picture.paste(Image.fromarray(images), (left, top + head - gap))
        for column in range(0, part.shape[1], every):
            place = (left + gap + column * cell_width + (cell_width - gap) / 2, top)
            draw.text(place, str(numbers[first + column]), fill=(_INK,) * 3, font=font, anchor="ma")
        for row, name in enumerate(names):
            place = (left - _MARGIN + 2, top + head + (row + 0.5) * cell_height)
            draw.text(place, name, fill=(_INK,) * 3, font=font, anchor="rm")
    return np.asarray(picture)


def save_film_strip(
    path: str | Path,
    states: NDArray[np.floating],
    *,
    steps: Sequence[int] | None = None,
    labels: Sequence[str] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    columns: int = 16,
    scale: int | None = None,
) -> Path:
    """Write a film strip, as `film_strip` draws it, to a picture file."""
    strip = film_strip(states, steps=steps, labels=labels, value_range=value_range, columns=columns, scale=scale)
    return _save_pixels(strip, path)


def save_gif(
    path: str | Path,
    states: NDArray[np.floating],
    *,
    steps: Sequence[int] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    seconds_per_step: float = 0.25,
    scale: int | None = None,
) -> Path:
    """Write trajectories as a GIF that repeats for ever: a grid of them, one frame for each step.

    Parameters
    ----------
    path : path
    states : (b, steps, channels, height, width) or (steps, channels, height, width)
        Any number of trajectories, laid out in a grid that is near a square.
    steps : sequence of int, optional
        Number of each step, written above the grid; 0, 1, 2, ... by default.
    value_range : (float, float)
        Values of black and of white.
    seconds_per_step : float
        Time that a frame stays; GIF viewers know hundredths of a second, from 0.02 on.
    scale : int, optional
        Pixels for each pixel of an image, without smoothing. By default an image gets at least 56
        of them, a small grid 224 and a large one not much more than 1000.

    Returns
    -------
    Path

    Raises
    ------
    ShapeError
        If the states do not have these axes, or steps are not as many as they are.
    """
    from PIL import Image, ImageDraw

    states = _trajectories(states[None] if states.ndim == 4 else states)
    b, n_steps, channels, height, width = states.shape
    numbers = list(range(n_steps)) if steps is None else [int(step) for step in steps]
    if len(numbers) != n_steps:
        raise ShapeError(f"steps: expected {n_steps} numbers, one for each step, got {len(numbers)}")
    if not seconds_per_step >= 0.02:
        raise LyapmapError(f"seconds_per_step: expected at least 0.02, got {seconds_per_step}")
    columns = math.ceil(math.sqrt(b))
    rows = -(-b // columns)
    grid = np.full((n_steps, rows * columns, channels, height, width), value_range[1], states.dtype)
    grid[:, :b] = states.swapaxes(0, 1)
    grid = grid.reshape(n_steps, rows, columns, channels, height, width)
    factor = scale or max(1, min(_enlargement(states, max(VISIBLE, 224 // columns)), 1000 // (columns * width)))
    font = _font(_FONT_SIZE)
    head = _FONT_SIZE + _MARGIN
    frames = []
    for number, images in zip(numbers, grid, strict=True):
        picture = sheet(images, value_range=value_range, scale=factor)
        frame = Image.fromarray(np.pad(picture, ((head, 0), (0, 0), (0, 0)), constant_values=_PAPER))
        ImageDraw.Draw(frame).text((4, 3), f"step {number}", fill=(_INK,) * 3, font=font)
        # A palette holds every grey exactly, and colours closely.
        frames.append(frame.convert("L") if channels == 1 else frame.quantize(256, dither=Image.Dither.NONE))
    duration = round(100 * seconds_per_step) * 10
    return save_frames(path, frames, duration)


def save_frames(path: str | Path, frames: Sequence[Image], milliseconds: int | Sequence[int]) -> Path:
    """Write pictures of Pillow as a GIF that repeats for ever, each staying for a time, or for one of its own."""
    with written_whole(path) as beside:
        frames[0].save(beside, format="GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0)
    return Path(path)


def _save_pixels(pixels: NDArray[np.uint8], path: str | Path) -> Path:
    from PIL import Image

    with written_whole(path) as beside:
        Image.fromarray(pixels).save(beside)
    return Path(path)


def _trajectories(states: NDArray[np.floating]) -> NDArray[np.floating]:
    if states.ndim != 5 or states.shape[2] not in (1, 3) or 0 in states.shape:
        raise ShapeError(f"states: expected (trajectories, steps, 1 or 3, height, width), got {states.shape}")
    return states


def _enlargement(images: NDArray[np.floating], width: int = VISIBLE) -> int:
    """Factor that makes an image at least so many pixels wide."""
    return max(1, -(-width // images.shape[-1])) if images.ndim and images.shape[-1] else 1


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)
