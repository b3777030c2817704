"""What studies of images are about: data, features, a classifier, and checksums that tell finished stages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lyapmap.core.errors import CheckpointError, LyapmapError
from lyapmap.files.zoo import shipped

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.files.features import Features, Labels
    from lyapmap.files.model import Model


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
    from lyapmap.files.features import classifier

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


@dataclass(kw_only=True)
class ImageSubject:
    """Base of what a study is about: images, the features that compare them, a classifier, and networks.

    Attributes
    ----------
    train, test : ImageSet
        Those that the networks were trained on, and those held out.
    features : Features or None
        None for pixels.
    classify : Labels or None
        None where there is no classifier; `without` says why.
    seed : int
    """

    train: ImageSet
    test: ImageSet
    features: Features | None
    classify: Labels | None
    without: str
    seed: int

    @property
    def features_name(self) -> str:
        return "pixels" if self.features is None else self.features.name

    @cached_property
    def _marks(self) -> dict[str, str]:
        return {}

    def mark(self, name: str) -> str:
        """A checksum of "data", "features", "classifier" or a part of the study's own; the seed is in all."""
        if name not in self._marks:
            self._marks[name] = f"{self._mark(name)} seed {self.seed}"
        return self._marks[name]

    def _mark(self, name: str) -> str:
        if name == "data":
            return images_checksum(self.train, self.test)
        if name == "features":
            return "pixels" if self.features is None else self.features.fingerprint
        if name == "classifier":
            return self.without if self.classify is None else f"{self.classify.name} {self.classify.classes}"
        raise LyapmapError(f"uses: there is no {name!r}")


def model_mark(model: Model) -> str:
    """Name, checksum and precision of a model."""
    return f"{model.name} {model.map.provenance.get('sha256', '')} {model.map.ops.dtype}"
