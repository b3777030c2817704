"""Images in one NumPy archive, as many data sets are passed around."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.errors import DataError

EVERY = 10
"""The last of so many images is a test image."""


def load_npz(path: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[int, str]]:
    """Images (n, c, h, w), labels (n,) and their names from an archive of `images` and, perhaps, `labels`.

    `images` is uint8, (n, h, w), (n, h, w, 1) or (n, h, w, 3). Every tenth image is a test image, the
    others train.

    Raises
    ------
    DataError
        If the file is damaged or does not hold such arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if "images" not in stored:
                raise DataError(f"{path}: holds {', '.join(stored.files) or 'nothing'}, expected an array 'images'")
            images = stored["images"]
            labels = stored["labels"] if "labels" in stored else np.zeros(len(images), np.int64)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a readable .npz archive of arrays ({error})") from None
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise DataError(
            f"{path}: 'images' is {images.dtype} of shape {images.shape}, expected uint8 (n, height, width) "
            "or (n, height, width, 1 or 3)"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(
            f"{path}: 'labels' is {labels.dtype} of shape {labels.shape}, expected one integer for each of "
            f"{len(images)} images"
        )
    number = np.arange(len(images))
    tests = number % EVERY == EVERY - 1
    keep = tests if split == "test" else ~tests
    if not keep.any():
        raise DataError(f"{path}: {len(images)} images are too few for a test image, which every tenth is")
    names = {int(label): str(int(label)) for label in np.unique(labels)}
    pixels = np.ascontiguousarray(images[keep].transpose(0, 3, 1, 2))
    return pixels, labels[keep].astype(np.int64), names
