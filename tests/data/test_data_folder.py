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
    with pytest.raises(DataError, match=r"differ in size; give image_size .*, got 6 x 6 \(a.png\) and 6 x 9 \(b.png\)"):
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
    small = data.load(tmp_path / "seven.png", image_size=4)
    assert small.images.shape == (1, 1, 4, 4)
    assert small.notes == ("1 of 1 images were cut to a square and resized to 4 x 4 pixels",)
    (tmp_path / "seven.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="not a readable image"):
        data.load(tmp_path / "seven.png")


def saved(path: Path, mode: str, **options) -> Path:
    """A picture of one mode of Pillow's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


def test_grey_files_are_grey_and_colours_are_colours(tmp_path):
    for mode in ("L", "1"):
        saved(tmp_path / "grey" / f"{mode}.png", mode)
    palette = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).convert("P")
    palette.save(tmp_path / "grey" / "p.png")
    for name, mode in (("a.png", "RGB"), ("b.png", "P"), ("c.jpg", "CMYK"), ("d.png", "RGB")):
        saved(tmp_path / "colour" / name, mode)
    Image.fromarray(np.full((6, 8, 4), 255, np.uint8)).save(tmp_path / "colour" / "opaque.png")
    grey, colour = (data.load(tmp_path / name) for name in ("grey", "colour"))
    assert (grey.state_shape, colour.state_shape) == ((1, 6, 8), (3, 6, 8))
    assert grey.notes == colour.notes == ()
    with pytest.raises(DataError, match=r"are grey .* and in colour .*; give channels=1 or 3 \(--colour grey or rgb\)"):
        data.load(tmp_path, classes=None)
    assert data.load(tmp_path, channels=3).notes == ("3 of 8 images were given three equal channels",)
    assert data.load(tmp_path, channels=1).notes == ("5 of 8 images were made grey",)


def test_transparent_pixels_and_further_frames_are_refused(tmp_path):
    clear = np.full((4, 4, 4), 255, np.uint8)
    clear[0, 0, 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match=r"clear.png: has transparent pixels; lay it on a background"):
        data.load(tmp_path)
    frames = [Image.fromarray(np.full((4, 4), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match=r"pages.tif: holds 2 images; store each in a file of its own"):
        data.load(tmp_path / "pages.tif")


def test_deep_colours_are_refused_rather_than_cut_to_8_bits(tmp_path):
    """A PNG with 16 bits for each channel, which Pillow reads as 8 without a word; written by hand."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + struct.pack(">6H", *range(1000 * i, 1000 * i + 6)) for i in range(2))
    head = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(DataError, match=r"deep\.png: has more than 8 bits"):
        data.load(tmp_path)


def test_cameras_that_were_held_upright_are_heeded(tmp_path):
    pixels = np.zeros((8, 16, 3), np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is on the right
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    found = data.load(tmp_path)
    assert found.state_shape == (3, 16, 8)
    assert found.images[0, 0, 0, 0] == 1
    assert found.images[0, 0, -1, 0] == -1
    assert found.notes == ("1 of 1 images were turned as their EXIF orientation says",)


def test_data_sets_say_what_was_done_to_them():
    small = data.load("digits", image_size=4, channels=3)
    assert small.notes == (
        "images were cut to a square and resized from 8 x 8 to 4 x 4 pixels",
        "images were given three equal channels",
    )
    assert data.load("digits", image_size=8, channels=1).notes == ()
