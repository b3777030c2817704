"""The idx files of MNIST and its relatives: found, downloaded, checked, refused when damaged."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import logging
import shutil
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from lyapmap import data
from lyapmap.core.errors import DataError
from lyapmap.data import idx

IMAGES = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([3, 1, 4, 1, 5], np.uint8)
FILES = idx.IdxSource.files("train")


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


class Source:
    """A small data set under the name "tiny", whose contents a test may replace."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "tiny"
        self.folder.mkdir()
        self.monkeypatch = monkeypatch
        monkeypatch.setenv("LYAPMAP_DATA", str(folder))
        self.publish(idx_bytes(IMAGES), idx_bytes(LABELS))

    def publish(self, images: bytes, labels: bytes) -> None:
        """Write the files and make their checksums the published ones."""
        contents = dict(zip(FILES, (images, labels), strict=True))
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        self.monkeypatch.setitem(idx.SOURCES, "tiny", idx.IdxSource("https://example.invalid/", digests))
        for name, content in contents.items():
            self.path(name).write_bytes(gzip.compress(content, mtime=0))

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.gz"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    return Source(tmp_path, monkeypatch)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network\nin tests")

    monkeypatch.setattr(requests, "get", refuse)


def test_images_and_labels_as_written(source: Source) -> None:
    images, labels = idx.load_idx("tiny", "train")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)


def test_a_file_compressed_again_is_still_good(source: Source) -> None:
    content = gzip.decompress(source.path(FILES[0]).read_bytes())
    source.path(FILES[0]).write_bytes(gzip.compress(content, compresslevel=1, mtime=12345))
    np.testing.assert_array_equal(idx.load_idx("tiny", "train")[0], IMAGES)


def test_files_of_the_splits() -> None:
    assert idx.IdxSource.files("test") == ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    assert FILES == ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")


def damaged(good: bytes) -> dict[str, tuple[bytes, str]]:
    middle = len(good) // 2
    flipped = good[:middle] + bytes([good[middle] ^ 0xFF]) + good[middle + 1 :]
    return {
        "truncated": (good[:-12], "not a complete gzip file"),
        "a bit flipped": (flipped, "not a complete gzip file"),
        "no deflate stream": (good[:10] + b"\xff" * 20 + good[30:], "not a complete gzip file"),
        "empty": (b"", "SHA-256|not a complete gzip file"),
        "not gzip": (b"<html>please log in</html>", "not a complete gzip file"),
        "other content": (gzip.compress(idx_bytes(IMAGES[::-1]), mtime=0), "the content has SHA-256"),
    }


@pytest.mark.parametrize("how", damaged(b"x" * 10))
def test_a_damaged_file_is_refused_with_the_mend(source: Source, how: str) -> None:
    path = source.path(FILES[0])
    content, said = damaged(path.read_bytes())[how]
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        idx.load_idx("tiny", "train")
    assert str(error.value).startswith(str(path))
    assert "delete it to download it again" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (b"hello, world of idx", idx_bytes(LABELS), "train-images-idx3-ubyte: not an idx file of this kind"),
        (b"", idx_bytes(LABELS), "not an idx file of this kind .magic number 0"),
        (idx_bytes(LABELS), idx_bytes(LABELS), "magic number 2049, expected 2051"),
        (idx_bytes(IMAGES), idx_bytes(IMAGES), "train-labels-idx1-ubyte: .*magic number 2051, expected 2049"),
        (idx_bytes(IMAGES)[:-1], idx_bytes(LABELS), "75 bytes, which is not what its header asks for"),
        (idx_bytes(IMAGES) + b"x", idx_bytes(LABELS), "77 bytes, which is not"),
        (idx_bytes(IMAGES)[:10], idx_bytes(LABELS), "10 bytes, which is not"),
        (idx_bytes(IMAGES), idx_bytes(LABELS[:4]), "tiny: 5 images but 4 labels"),
    ],
    ids=["text", "empty", "labels for images", "images for labels", "short", "long", "half a header", "fewer labels"],
)
def test_what_is_no_idx_file_is_refused(source: Source, images: bytes, labels: bytes, said: str) -> None:
    source.publish(images, labels)
    with pytest.raises(DataError, match=said):
        idx.load_idx("tiny", "train")


@pytest.mark.usefixtures("no_network")
def test_a_missing_file_that_cannot_be_downloaded(source: Source) -> None:
    path = source.path(FILES[1])
    path.unlink()
    with pytest.raises(DataError, match="tiny: ") as error:
        idx.load_idx("tiny", "train")
    said = str(error.value)
    assert str(path) in said
    assert f"https://example.invalid/{path.name} could not be downloaded (ConnectionError)" in said
    assert f"set LYAPMAP_DATA to a folder that holds tiny/{path.name}" in said
    assert "\n" not in said


@pytest.mark.usefixtures("no_network")
def test_an_empty_cache_says_the_same_through_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LYAPMAP_DATA", str(tmp_path / "not" / "yet"))
    for name in ("mnist", "fashion_mnist"):
        with pytest.raises(DataError, match=f"{name}: .*train-images-idx3-ubyte.gz is missing"):
            data.load(name)


class Answer(contextlib.AbstractContextManager["Answer"]):
    """What a server sends."""

    def __init__(self, content: bytes, url: str, history: Sequence[Answer] = ()) -> None:
        self.content, self.url, self.history = content, url, history

    def __exit__(self, *_: object) -> None:
        pass

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, size: int) -> Iterator[bytes]:
        for begin in range(0, len(self.content), size):
            yield self.content[begin : begin + size]


def test_a_missing_file_is_downloaded_once(
    source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    contents = {f"https://example.invalid/{name}.gz": source.path(name).read_bytes() for name in FILES}
    shutil.rmtree(source.folder)
    asked: list[str] = []

    def get(url: str, **_: Any) -> Answer:
        asked.append(url)
        return Answer(contents[url], url)

    monkeypatch.setattr(requests, "get", get)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            np.testing.assert_array_equal(idx.load_idx("tiny", "train")[0], IMAGES)
    assert asked == list(contents)
    assert "downloading https://example.invalid/" in caplog.text


@pytest.mark.parametrize(
    ("content", "url", "said"),
    [
        (b"<html>please log in</html>", "https://example.invalid/a", "not a complete gzip file"),
        (gzip.compress(b"another file", mtime=0), "https://example.invalid/a", "the content has SHA-256"),
        (bytes(2000), "https://example.invalid/a", "has more than 1000 bytes"),
        (b"", "http://example.invalid/a", "leads to http://example.invalid/a, expected an address of https"),
    ],
)
def test_a_download_of_something_else_does_not_enter_the_cache(
    source: Source, monkeypatch: pytest.MonkeyPatch, content: bytes, url: str, said: str
) -> None:
    source.path(FILES[0]).unlink()
    monkeypatch.setattr(idx, "LARGEST", 1000)
    monkeypatch.setattr(requests, "get", lambda *_, **__: Answer(content, url))
    with pytest.raises(DataError, match=said):
        idx.load_idx("tiny", "train")
    assert [path.name for path in source.folder.iterdir()] == [f"{FILES[1]}.gz"]


def test_no_redirection_over_plain_http(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = source.path(FILES[0]).read_bytes()
    source.path(FILES[0]).unlink()
    detour = Answer(packed, "https://b.invalid/", [Answer(b"", "http://a.invalid/")])
    monkeypatch.setattr(requests, "get", lambda *_, **__: detour)
    with pytest.raises(DataError, match=r"leads to http://a.invalid/"):
        idx.load_idx("tiny", "train")


def test_all_sources_are_read_over_https() -> None:
    assert all(known.url.startswith("https://") for known in idx.SOURCES.values())
    assert all(len(digest) == 64 for known in idx.SOURCES.values() for digest in known.sha256.values())


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LYAPMAP_DATA", str(tmp_path))
    assert data.cache_folder() == tmp_path
    monkeypatch.delenv("LYAPMAP_DATA")
    assert data.cache_folder().name == "data"
    assert "lyapmap" in str(data.cache_folder())
