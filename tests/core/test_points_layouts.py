"""Layouts of images: channels first or last."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyapmap.core.points import channels_first, channels_last, image_shape, laid_out

sides = st.integers(1, 9)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((1, 28, 20), (1, 28, 20)),
        ((28, 20, 3), (3, 28, 20)),
        ((3, 3, 3), (3, 3, 3)),
        ((1, 5, 3), (1, 5, 3)),
        ((28, 28), None),
        ((784,), None),
        ((2, 28, 28), None),
        ((1, 1, 28, 28), None),
    ],
)
def test_shape_of_images_in_either_layout(shape, wanted):
    assert image_shape(shape) == wanted
    assert channels_last(shape) == (wanted is not None and wanted != shape)


@given(sides.filter(lambda n: n not in (1, 3)), sides, st.sampled_from([1, 3]), st.integers(0, 3))
def test_laying_out_and_back_is_the_identity(height, width, channels, batch):
    images = np.arange(batch * channels * height * width, dtype=float).reshape(batch, channels, height, width)
    last = laid_out(images, (height, width, channels))
    assert last.shape == (batch, height, width, channels)
    assert np.array_equal(channels_first(last), images)
    assert last.flags.c_contiguous
    assert laid_out(images, (channels, height, width)) is images


def test_a_pixel_keeps_its_colour():
    images = np.zeros((1, 3, 4, 5))
    images[0, 2, 1, 3] = 1
    assert laid_out(images, (4, 5, 3))[0, 1, 3].tolist() == [0, 0, 1]
