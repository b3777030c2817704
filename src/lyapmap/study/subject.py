"""What studies of images are about: data, features, a classifier, and checksums that tell finished stages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.metrics import ManifoldMetrics, RealManifold
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
    judge = classifier(name, device=device or "cpu")
    if judge.state_shape != shape:
        raise CheckpointError(
            f"classifier: {judge.name} takes images {judge.state_shape}, those of the model are {shape}"
        )
    return judge, ""


def images_checksum(*sets: ImageSet, after: str = "") -> str:
    """SHA256 of the images and labels of some sets, in their order, after a text."""
    digest = hashlib.sha256(after.encode())
    for images in sets:
        digest.update(np.ascontiguousarray(images.images).tobytes() + images.labels.tobytes())
    return digest.hexdigest()


METRICS = ("precision", "recall", "density", "coverage")


def quality(metrics: ManifoldMetrics, name: str = "{}", *, intervals: bool = True) -> dict[str, Any]:
    """Precision, recall, density and coverage by name, such as "last_{}", and their intervals by NAME_interval."""
    numbers: dict[str, Any] = {}
    for metric in METRICS:
        numbers[name.format(metric)] = float(getattr(metrics, metric)[0])
        if intervals:
            numbers[f"{name.format(metric)}_interval"] = getattr(metrics, f"{metric}_interval")[0]
    return numbers


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
    _compared: dict[tuple[int, int | None], RealManifold] = field(default_factory=dict, init=False, repr=False)

    def shown(self, images: Any) -> NDArray[Any]:
        """Images of the data as (..., channels, height, width) with values in [-1, 1]."""
        return np.asarray(images)

    def real(self, images: ImageSet, most: int | None = None) -> NDArray[Any]:
        """Images of the data as they are shown, as many as asked for, the same ones every time."""
        some = images if most is None else images.some(min(most, len(images)), seed=self.seed)
        return self.shown(some.images)

    @property
    def held_out(self) -> ImageSet:
        """What generated images are compared with."""
        return self.test

    def side(self, k: int, most: int | None = None) -> RealManifold:
        """Held-out images, at most so many, as one side of a comparison, made once for all that compare with them."""
        if (k, most) not in self._compared:
            real = self.real(self.held_out, most)
            self._compared[k, most] = RealManifold(real, k=min(k, len(real) - 1), features=self.features)
        return self._compared[k, most]

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
