"""The idx files in which MNIST and its relatives come: found in the cache, or downloaded.

Format: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits". Checked by the
MD5 of the decompressed content, so a file that was merely compressed again is still good.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import DataError
from lyapmap.core.reading.bounded import gunzipped

logger = logging.getLogger(__name__)

_IMAGES_MAGIC = 2051
_LABELS_MAGIC = 2049


@dataclass(frozen=True)
class IdxSource:
    """Where an idx data set comes from and what its files must contain."""

    url: str
    md5: Mapping[str, str]

    @staticmethod
    def files(split: str) -> tuple[str, str]:
        """Names of the images' and the labels' file of a split."""
        prefix = "train" if split == "train" else "t10k"
        return f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"


SOURCES = {
    "mnist": IdxSource(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion_mnist": IdxSource(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
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
    if not path.is_file():
        download(source.url + path.name, path)
    content = gunzipped(path, "not a complete gzip file; delete it to download it again", DataError)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != source.md5[file]:
        raise DataError(
            f"{path}: the content has MD5 {digest}, expected {source.md5[file]}; delete it to download it again"
        )
    return content


def download(url: str, path: Path) -> None:
    """Bring a file of a data set into the cache; the caller checks its content.

    Raises
    ------
    DataError
        If it cannot be had.
    """
    import pooch

    logger.info("downloading %s to %s", url, path)
    # Pooch would advise the user on its own parameter `known_hash`.
    chatter = pooch.get_logger()
    level = chatter.level
    chatter.setLevel(logging.WARNING)
    try:
        pooch.retrieve(url, known_hash=None, path=path.parent, fname=path.name)
    except Exception as error:  # whatever pooch and the network raise, the user needs the same line
        raise DataError(
            f"{path.parent.name}: {path} is missing and {url} could not be downloaded "
            f"({type(error).__name__}); set LYAPMAP_DATA to a folder that holds {path.parent.name}/{path.name}"
        ) from None
    finally:
        chatter.setLevel(level)


def _parse(content: bytes, file: str, magic: int) -> NDArray[np.uint8]:
    number, *_ = struct.unpack_from(">I", content) if len(content) >= 4 else (0,)
    if number != magic:
        raise DataError(f"{file}: not an idx file of this kind (magic number {number}, expected {magic})")
    axes = magic % 256
    start = 4 + 4 * axes
    shape = struct.unpack_from(f">{axes}I", content, 4) if len(content) >= start else None
    if shape is None or len(content) != start + math.prod(shape):
        raise DataError(f"{file}: {len(content)} bytes, which is not what its header asks for")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
