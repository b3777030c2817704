"""CIFAR-10 in its official archive: found in the cache, or downloaded.

A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). The archive holds Python
pickles, which are read only after its SHA-256 has been checked.
"""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import DataError
from lyapmap.data.idx import cache_folder, download

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)}


def load_cifar10(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,), downloaded if they are missing.

    Raises
    ------
    DataError
        If the archive is damaged, or is missing and cannot be downloaded.
    """
    path = cache_folder() / "cifar10" / Path(URL).name
    if not path.is_file():
        download(URL, path)
    _check(path)
    images, labels = [], []
    with tarfile.open(path) as archive:
        for name in _FILES[split]:
            member = archive.extractfile(f"cifar-10-batches-py/{name}")
            if member is None:
                raise DataError(f"{path}: holds no {name}")
            batch = pickle.loads(member.read(), encoding="bytes")
            images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(batch[b"labels"], np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _check(path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise DataError(f"{path}: has SHA-256 {found}, expected {SHA256}; delete it to download it again")
