"""The idx files in which MNIST and its relatives come: found in the cache, or downloaded.

Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits". Checked by the
SHA-256 of the decompressed content, so a file that was merely compressed again is still good.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import DataError
from lyapmap.core.reading.bounded import content, gunzipped
from lyapmap.data.download import download

_IMAGES_MAGIC = 2051
_LABELS_MAGIC = 2049
LARGEST = 2**26
"""Bytes of a compressed file."""


@dataclass(frozen=True)
class IdxSource:
    """Where an idx data set comes from and what its files must contain."""

    url: str
    sha256: Mapping[str, str]

    @staticmethod
    def files(split: str) -> tuple[str, str]:
        """Names of the images' and the labels' file of a split."""
        prefix = "train" if split == "train" else "t10k"
        return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


SOURCES = {
    "mnist": IdxSource(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion_mnist": IdxSource(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def cache_folder(kind: str = "data") -> Path:
    """The folder of what is kept between runs.

    Parameters
    ----------
    kind : str
        "data" for data sets, which lie in `LYAPMAP_DATA` where that is set; others, such as "features", lie below
        `LYAPMAP_CACHE`. Without them all lie in the platform's cache folder.
    """
    if kind == "data" and os.environ.get("LYAPMAP_DATA"):
        return Path(os.environ["LYAPMAP_DATA"])
    if kind != "data" and os.environ.get("LYAPMAP_CACHE"):
        return Path(os.environ["LYAPMAP_CACHE"], kind)
    import platformdirs

    return platformdirs.user_cache_path("lyapmap") / kind


def load_idx(name: str, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, height, width) and labels (n,) of a data set, downloaded if they are missing.

    Raises
    ------
    DataError
        If a file is damaged, or is missing and cannot be downloaded.
    """
    images_file, labels_file = IdxSource.files(split)
    images = _parse(_content(name, images_file), images_file, _IMAGES_MAGIC)
    labels = _parse(_content(name, labels_file), labels_file, _LABELS_MAGIC)
    if len(images) != len(labels):
        raise DataError(f"{name}: {len(images)} images but {len(labels)} labels")
    return images, labels.astype(np.int64)


def _content(name: str, file: str) -> bytes:
    source = SOURCES[name]
    path = cache_folder() / name / f"{file}.gz"
    wanted = source.sha256[file]
    if not path.is_file():
        download(source.url + path.name, path, most=LARGEST, check=lambda packed, url: _checked(packed, url, wanted))
    return _checked(content(path, DataError), path, wanted)


def _checked(packed: bytes, source: str | Path, wanted: str) -> bytes:
    """What a compressed file holds, if it is what was published."""
    unpacked = gunzipped(packed, source, "not a complete gzip file; delete it to download it again", DataError)
    digest = hashlib.sha256(unpacked).hexdigest()
    if digest != wanted:
        raise DataError(
            f"{source}: the content has SHA-256 {digest}, expected {wanted}; delete it to download it again"
        )
    return unpacked


def _parse(data: bytes, file: str, magic: int) -> NDArray[np.uint8]:
    number, *_ = struct.unpack_from(">I", data) if len(data) >= 4 else (0,)
    if number != magic:
        raise DataError(f"{file}: not an idx file of this kind (magic number {number}, expected {magic})")
    axes = magic % 256
    start = 4 + 4 * axes
    shape = struct.unpack_from(f">{axes}I", data, 4) if len(data) >= start else None
    if shape is None or len(data) != start + math.prod(shape):
        raise DataError(f"{file}: {len(data)} bytes, which is not what its header asks for")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
