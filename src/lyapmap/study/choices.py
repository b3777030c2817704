"""What studies of image models choose by the name of the data, features and a classifier; the data's checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.core.errors import CheckpointError
from lyapmap.files.zoo import shipped

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.files.features import Features
    from lyapmap.files.labels import Labels


def image_features(
    data: str, name: str | None, weights: Path | None, shape: tuple[int, int, int], device: str | None
) -> Features | None:
    """What precision and recall compare: the shipped classifier's features by default, None for pixels."""
    if name == "pixels":
        return None
    from lyapmap.files.features import features

    options: dict[str, Any] = {"data": data, "state_shape": shape, "weights": weights, "device": device or "cpu"}
    if name is not None:
        return features(name, **options)
    if f"classifier-{data.replace('_', '-')}" not in shipped():
        return None
    return features("classifier", **options)


def category_labels(
    data: str, name: str | None, shape: tuple[int, int, int], device: str | None
) -> tuple[Labels | None, str]:
    """What tells categories, or why there is nothing that does."""
    from lyapmap.files.labels import classifier

    if name is None:
        name = f"classifier-{data.replace('_', '-')}"
        if name not in shipped():
            train = f"`lyapmap train classifier --data {data}` makes one"
            return None, f"no classifier is shipped for {data}; {train}, which --classifier takes"
    found = classifier(name, device=device or "cpu")
    if found.state_shape != shape:
        raise CheckpointError(
            f"classifier: {found.name} takes images {found.state_shape}, those of the model are {shape}"
        )
    return found, ""


def images_checksum(*sets: ImageSet, after: str = "") -> str:
    """SHA256 of the images and labels of some sets, in their order, after a text."""
    digest = hashlib.sha256(after.encode())
    for images in sets:
        digest.update(np.ascontiguousarray(images.images).tobytes() + images.labels.tobytes())
    return digest.hexdigest()
