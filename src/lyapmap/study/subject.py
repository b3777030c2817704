"""What the subjects of all studies of images share: their parts' checksums, by which finished stages are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lyapmap.core.errors import LyapmapError
from lyapmap.study.choices import images_checksum

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.files.features import Features
    from lyapmap.files.labels import Labels
    from lyapmap.files.model import Model


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
    return f"{model.name} {getattr(model.map, 'provenance', {}).get('sha256', '')} {model.map.ops.dtype}"
