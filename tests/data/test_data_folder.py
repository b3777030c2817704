"""Folders of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lyapmap import data
from lyapmap.core.errors import DataError


def picture(path: Path, value: int | np.ndarray, size: tuple[int, int] = (6, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    pixels = np.full((height, width, 3), value, np.uint8) if isinstance(value, int) else value
    Image.fromarray(pixels).save(path)
    return path


def test_subfolders_are_classes_in_the_order_of_their_names(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "b.png", 20)
    picture(tmp_path / "dog" / "deep" / "a.PNG", 10)
    picture(tmp_path / "cat" / "z.bmp", 30)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    picture(tmp_path / ".cache" / "x.png", 99)
    picture(tmp_path / "cat" / "._z.png", 99)
    found = data.load(tmp_path)
    assert found.class_names == {0: "cat", 1: "dog"}
    assert found.labels.tolist() == [0, 1, 1]
    assert found.state_shape == (3, 6, 6)
    np.testing.assert_allclose(found.images[:, 0, 0, 0], np.array([30, 20, 10]) / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(data.load(str(tmp_path)).images, found.images)
    assert len(data.load(tmp_path, classes=[1])) == 2


def test_a_flat_folder_is_one_class_and_not_split(tmp_path: Path) -> None:
    for i in range(3):
        picture(tmp_path / f"{i}.png", 10 * i)
    train, test = (data.load(tmp_path, split=split) for split in ("train", "test"))
    assert train.labels.tolist() == [0, 0, 0]
    assert train.class_names == {0: tmp_path.name}
    np.testing.assert_array_equal(train.images, test.images)


def test_train_and_test_number_their_classes_together(tmp_path: Path) -> None:
    for name in ("ant", "bee", "cow"):
        picture(tmp_path / "train" / name / "1.png", 10)
    picture(tmp_path / "test" / "cow" / "1.png", 20)
    test = data.load(tmp_path, split="test")
    assert test.labels.tolist() == [2]
    assert test.class_names == data.load(tmp_path).class_names == {0: "ant", 1: "bee", 2: "cow"}


def test_a_folder_with_train_only_has_no_test(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "1.png", 10)
    assert len(data.load(tmp_path)) == 1
    with pytest.raises(DataError, match=r"split: .* has a folder 'train' but none named 'test'"):
        data.load(tmp_path, split="test")


def test_sizes_that_differ_need_one_to_resize_to(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", 10, (6, 6))
    picture(tmp_path / "b.png", 20, (9, 6))
    with pytest.raises(DataError, match="differ in size; give image_size"):
        data.load(tmp_path)
    assert data.load(tmp_path, image_size=4).images.shape == (2, 3, 4, 4)


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    wide = np.zeros((4, 12, 3), np.uint8)
    wide[:, 4:8] = 255
    picture(tmp_path / "wide.png", wide)
    assert (data.load(tmp_path, image_size=4).images == 1).all()
    assert (data.load(tmp_path, image_size=2).images == 1).all()


def test_grey_and_colour(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = 255
    picture(tmp_path / "red.png", colours)
    red = data.load(tmp_path).images
    np.testing.assert_array_equal(red[0, :, 0, 0], [1, -1, -1])
    grey = data.load(tmp_path, channels=1).images
    assert grey.shape == (1, 1, 4, 4)
    assert grey[0, 0, 0, 0] == pytest.approx(76 / 127.5 - 1, abs=1e-6), "ITU-R 601 luma"


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40], ids=["empty", "text", "only a PNG's head"]
)
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes) -> None:
    picture(tmp_path / "a.png", 10)
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(DataError, match=r"b\.png: not a readable image") as error:
        data.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for suffix in ("png", "jpg", "bmp"):
        path = picture(tmp_path / suffix / f"a.{suffix}", noise)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(DataError, match=rf"a\.{suffix}: not a readable image"):
            data.load(path.parent)


def test_deep_pixels_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match="more than 8 bits"):
        data.load(tmp_path)


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"data: no image \(\.bmp, .*\) below"):
        data.load(tmp_path)


def test_one_image_is_a_data_set_of_one(tmp_path):
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    Image.fromarray(pixels).save(tmp_path / "seven.png")
    for split in ("train", "test"):
        one = data.load(tmp_path / "seven.png", split=split, channels=1, value_range=(0.0, 255.0))
        assert one.class_names == {0: "seven"}
        np.testing.assert_array_equal(one.images[0, 0], pixels)
    assert data.load(tmp_path / "seven.png", image_size=4).images.shape == (1, 3, 4, 4)
    (tmp_path / "seven.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="not a readable image"):
        data.load(tmp_path / "seven.png")
