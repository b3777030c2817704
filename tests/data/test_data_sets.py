"""Data sets by name: their counts, values, sizes, classes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from lyapmap import data
from lyapmap.core.errors import DataError
from lyapmap.data.idx import IdxSource

MNIST = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
FASHION = {"train": [6000] * 10, "test": [1000] * 10}
# Mean and standard deviation of the training pixels, 0 to 255, as published.
MOMENTS = {"mnist": (33.3184, 78.5675), "fashion_mnist": (72.9404, 90.0212)}


def at_hand(name: str, split: str) -> None:
    """Skip a test whose data set is not in the cache: no test touches the network."""
    folder = data.cache_folder() / name
    missing = [file for file in IdxSource.files(split) if not (folder / f"{file}.gz").is_file()]
    if missing:
        pytest.skip(f"{name} is not at hand: {folder / missing[0]}.gz is missing (LYAPMAP_DATA names another folder)")


@functools.cache
def loaded(name: str, split: str) -> data.ImageSet:
    return data.load(name, split=split)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(("name", "counts"), [("mnist", MNIST), ("fashion_mnist", FASHION)])
def test_counts_and_values_as_published(name: str, split: str, counts: dict[str, list[int]]) -> None:
    at_hand(name, split)
    found = loaded(name, split)
    assert np.bincount(found.labels).tolist() == counts[split]
    assert found.images.shape == (sum(counts[split]), 1, 28, 28)
    assert (found.images.dtype, found.labels.dtype) == (np.float32, np.int64)
    assert (found.images.min(), found.images.max()) == (-1.0, 1.0)
    if split == "train":
        mean, std = MOMENTS[name]
        assert found.images.mean(dtype=float) == pytest.approx(mean / 127.5 - 1, abs=1e-6)
        assert found.images.std(dtype=float) == pytest.approx(std / 127.5, abs=1e-6)


def test_mnist_begins_with_its_first_digits() -> None:
    at_hand("mnist", "train")
    assert loaded("mnist", "train").labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    at_hand("mnist", "test")
    assert loaded("mnist", "test").labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_the_paper_s_test_set() -> None:
    at_hand("mnist", "test")
    assert len(data.load("mnist", split="test", classes=(0, 1, 2))) == 980 + 1135 + 1032


def test_fashion_has_names() -> None:
    at_hand("fashion_mnist", "test")
    names = loaded("fashion_mnist", "test").class_names
    assert (names[0], names[7], names[8]) == ("T-shirt", "sneaker", "bag")


@pytest.mark.parametrize(("split", "count"), [("train", 1500), ("test", 297)])
def test_digits(split: str, count: int) -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rows = slice(0, 1500) if split == "train" else slice(1500, None)
    digits = data.load("digits", split=split)
    assert len(digits) == count
    np.testing.assert_allclose(digits.images[:, 0], bunch.images[rows] / 8 - 1, atol=1e-6)
    np.testing.assert_array_equal(digits.labels, bunch.target[rows])
    assert digits.state_shape == (1, 8, 8)
    assert digits.class_names[7] == "7"
    np.testing.assert_array_equal(digits.states.reshape(-1, 8, 8), digits.images[:, 0])


def test_classes_keep_their_labels_and_order() -> None:
    every, some = data.load("digits"), data.load("digits", classes=(7, 3))
    keep = np.isin(every.labels, (3, 7))
    np.testing.assert_array_equal(some.images, every.images[keep])
    np.testing.assert_array_equal(some.labels, every.labels[keep])
    assert some.class_names == {7: "7", 3: "3"}
    np.testing.assert_array_equal(some.of_class(3), every.of_class(3))


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-0.1, 0.7), (0.0, 0.3)])
def test_value_range_is_kept_to_the_last_bit(value_range: tuple[float, float]) -> None:
    low, high = value_range
    digits = data.load("digits", value_range=value_range)
    assert digits.images.min() >= np.float32(low)
    assert digits.images.max() <= np.float32(high)
    assert digits.images.max() == pytest.approx(high)
    assert digits.value_range == value_range


def test_enlarged_and_shrunk() -> None:
    small = data.load("digits")
    assert data.load("digits", image_size=8).images.tobytes() == small.images.tobytes()
    halved = data.load("digits", image_size=4).images
    blocks = small.images.reshape(-1, 1, 4, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(halved, blocks, atol=1e-5)
    larger = data.load("digits", image_size=28).images
    assert larger.shape == (1500, 1, 28, 28)
    assert larger.min() >= -1
    assert larger.max() <= 1
    np.testing.assert_allclose(larger.mean((1, 2, 3)), small.images.mean((1, 2, 3)), atol=0.05)


def test_colour() -> None:
    grey, colour = data.load("digits"), data.load("digits", channels=3)
    assert colour.state_shape == (3, 8, 8)
    for channel in range(3):
        np.testing.assert_array_equal(colour.images[:, channel], grey.images[:, 0])
    assert data.load("digits", channels=1).images.tobytes() == grey.images.tobytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "validation"}, "split: expected 'train' or 'test', got 'validation'"),
        ({"classes": (0, 11)}, "classes: digits has no class 11; it has 0, 1, 2"),
        ({"classes": ()}, "classes: expected at least one"),
        ({"channels": 2}, "channels: expected 1 or 3, got 2"),
        ({"image_size": 0}, "image_size: expected at least 1 pixel, got 0"),
        ({"value_range": (1.0, -1.0)}, "value_range: expected"),
    ],
)
def test_options_that_cannot_be_met(options: dict, said: str) -> None:
    with pytest.raises(DataError, match=said):
        data.load("digits", **options)


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert data.names() == ("cifar10", "digits", "fashion_mnist", "mnist")
    known = "cifar10, digits, fashion_mnist, mnist"
    with pytest.raises(DataError, match=rf"data: 'mnits' is neither a folder nor one of {known}"):
        data.load("mnits")
