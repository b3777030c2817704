"""Images in archives: .npz files, and CIFAR-10 as it is published. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lyapmap import data
from lyapmap.core.errors import DataError
from lyapmap.data import image_set as cifar


def npz(path: Path, n: int = 25, shape: tuple[int, ...] = (6, 4, 3), **arrays: Any) -> Path:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n, *shape), np.uint8)
    np.savez(path, **{"images": images, "labels": np.arange(n) % 3} | arrays)
    return path


def test_every_tenth_image_of_a_file_is_a_test_image(tmp_path: Path) -> None:
    path = npz(tmp_path / "some.npz")
    stored = np.load(path)["images"]
    train, test = (data.load(path, split=split, value_range=(0, 255)) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((23, 3, 6, 4), (2, 3, 6, 4))
    np.testing.assert_array_equal(test.images, stored[[9, 19]].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(train.images[9], stored[10].transpose(2, 0, 1))
    assert test.labels.tolist() == [0, 1]
    assert train.class_names == {0: "0", 1: "1", 2: "2"}
    assert len(data.load(path, classes=(1,))) == 7


@given(st.integers(10, 60))
@settings(max_examples=15, deadline=None)
def test_training_and_test_images_are_all_images_once(tmp_path_factory: pytest.TempPathFactory, n: int) -> None:
    images = np.arange(n, dtype=np.uint8)[:, None, None]
    path = npz(tmp_path_factory.mktemp("npz") / "some.npz", n=n, images=images)
    both = [data.load(path, split=split, value_range=(0, 255)).images.ravel() for split in ("train", "test")]
    assert sorted(np.concatenate(both).tolist()) == list(range(n))


def test_grey_images_and_files_without_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "grey.npz", images=np.full((12, 5, 5), 255, np.uint8))
    found = data.load(tmp_path / "grey.npz", image_size=4)
    assert found.images.shape == (11, 1, 4, 4)
    assert set(found.labels.tolist()) == {0}
    assert found.images.min() == 1


def test_colours_become_grey_by_their_luma(tmp_path: Path) -> None:
    images = np.zeros((10, 2, 2, 3), np.uint8)
    images[..., 1] = 200
    np.savez(tmp_path / "green.npz", images=images)
    grey = data.load(tmp_path / "green.npz", channels=1, value_range=(0, 255)).images
    np.testing.assert_allclose(grey, 0.587 * 200, rtol=1e-6)
    assert grey.shape == (9, 1, 2, 2)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros((12, 4, 4))}, "'images' is float64 of shape .12, 4, 4."),
        ({"images": np.zeros((12, 4, 4, 2), np.uint8)}, "expected uint8 .n, height, width. or"),
        ({"images": np.zeros((0, 4, 4), np.uint8), "labels": np.zeros(0, int)}, "'images' is uint8 of shape"),
        ({"labels": np.zeros(24, int)}, "'labels' is int64 of shape .24,., expected one integer for each of 25"),
        ({"labels": np.zeros(25)}, "'labels' is float64"),
        ({"images": np.array([None])}, "not a readable .npz archive"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        data.load(npz(tmp_path / "odd.npz", **arrays))


def test_files_that_cannot_be_read_or_split(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", pixels=np.zeros(3))
    np.savez(tmp_path / "few.npz", images=np.zeros((9, 4, 4), np.uint8))
    for name, words in (("text", "not a readable .npz"), ("other", "holds pixels, expected an array 'images'")):
        with pytest.raises(DataError, match=words):
            data.load(tmp_path / f"{name}.npz")
    assert len(data.load(tmp_path / "few.npz")) == 9
    with pytest.raises(DataError, match="9 images are too few for a test image"):
        data.load(tmp_path / "few.npz", split="test")
    with pytest.raises(DataError, match=r"neither a folder nor one of .*, nor an image or .npz file"):
        data.load(tmp_path / "missing.npz")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small archive laid out as the published one, in the cache."""
    path = tmp_path / "cifar10" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w:gz") as tar:
        for i, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
            rows = rng.integers(0, 256, (2, 3072), np.uint8)
            rows[0] = np.repeat([10 * i, 10 * i + 1, 10 * i + 2], 1024)  # red, green, blue planes
            content = pickle.dumps({b"data": rows, b"labels": [i, 9]})
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setenv("LYAPMAP_DATA", str(tmp_path))
    monkeypatch.setattr(cifar, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_cifar_by_name(archive: Path) -> None:
    train, test = (data.load("cifar10", split=split, value_range=(0, 255)) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((10, 3, 32, 32), (2, 3, 32, 32))
    assert train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert test.labels.tolist() == [5, 9]
    np.testing.assert_array_equal(train.images[4].mean((1, 2)), [20, 21, 22])
    assert train.class_names[5] == "dog"
    assert len(train.class_names) == 10
    assert data.load("cifar10", image_size=8, channels=1).images.shape == (10, 1, 8, 8)


def test_a_damaged_archive_is_not_opened(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes() + b" ")
    with pytest.raises(DataError, match=r"has SHA-256 .*; delete it to download it again"):
        data.load("cifar10")


def test_an_archive_that_is_missing_is_asked_for_once(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive.read_bytes()
    archive.unlink()
    asked = []

    def bring(url: str, path: Path, **_: Any) -> None:
        asked.append(url)
        path.write_bytes(content)

    monkeypatch.setattr(cifar, "download", bring)
    data.load("cifar10")
    data.load("cifar10")
    assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"]


def test_some_images_at_random() -> None:
    digits = data.load("digits")
    some = digits.some(50, seed=1)
    assert len(some) == 50
    np.testing.assert_array_equal(some.images, digits.some(50, seed=1).images)
    assert not np.array_equal(some.images, digits.some(50, seed=2).images)
    places = [int(np.flatnonzero((digits.images == image).all((1, 2, 3)))[0]) for image in some.images]
    assert places == sorted(places)
    for n in (0, 1501):
        with pytest.raises(DataError, match="n: expected 1 to 1500 images of digits"):
            digits.some(n)
