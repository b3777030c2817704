"""What the study of adversarial networks is about: trained pairs, the images they learned, a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.metrics import RealManifold
from lyapmap.core.errors import LyapmapError
from lyapmap.models.gan.config import DcganConfig, GranConfig
from lyapmap.models.gan.pair import Gan, load_gan, sample_gan
from lyapmap.study.subject import ImageSubject, category_labels, image_features

if TYPE_CHECKING:
    from lyapmap.data import ImageSet


@dataclass
class GanSubject(ImageSubject):
    """Adversarial pairs for images of one shape, with the data that they were trained on.

    Attributes
    ----------
    gans : dict of str to Gan
        By names that differ.
    kinds : dict of str to str
        Of each name: what it shares with its runs of other seeds.
    """

    gans: dict[str, Gan]
    kinds: dict[str, str]
    _drawn: dict[tuple[str, int], NDArray[np.float32]] = field(default_factory=dict)
    _sides: dict[tuple[int, int], RealManifold] = field(default_factory=dict)

    def images(self, name: str, count: int) -> NDArray[np.float32]:
        """Samples of a model, values in [-1, 1]; the same whenever it is asked."""
        key = (name, count)
        if key not in self._drawn:
            self._drawn = {k: v for k, v in self._drawn.items() if k[0] == name}
            gan = self.gans[name]
            self._drawn[key] = symmetric(gan, sample_gan(gan, count, seed=self.seed).images)
        return self._drawn[key]

    def side(self, k: int, most: int) -> RealManifold:
        """Test images as one side of a comparison."""
        if (k, most) not in self._sides:
            real = self.real(self.test, most)
            self._sides[k, most] = RealManifold(real, k=min(k, len(real) - 1), features=self.features)
        return self._sides[k, most]

    def real(self, images: ImageSet, most: int) -> NDArray[np.float32]:
        """Images of the data, as many as asked for, the same ones every time."""
        return images.some(min(most, len(images)), seed=self.seed).images

    def trained_on(self, name: str) -> NDArray[np.float32]:
        """The images that a model was trained on, as far as its file tells."""
        told = self.gans[name].training.get("settings", {})
        limit = told.get("images", len(self.train))
        chosen = self.train.only(told["classes"]) if told.get("classes") else self.train
        return chosen.some(limit, seed=told["seed"]).images if limit < len(chosen) else chosen.images

    def _mark(self, name: str) -> str:
        if name.startswith("gan:"):
            gan = self.gans[name.removeprefix("gan:")]
            return f"{gan.origin.get('sha256', '')} {gan.dtype}"
        return super()._mark(name)


def symmetric(gan: Gan, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images of a generator with values in [-1, 1]."""
    low, high = gan.config.value_range
    scaled: NDArray[np.float32] = ((2 * images - low - high) / (high - low)).astype(np.float32)
    return scaled


def kind_of(config: DcganConfig) -> str:
    """What a pair is, without its sizes.

    Examples
    --------
    >>> kind_of(DcganConfig()), kind_of(GranConfig(steps=3)), kind_of(GranConfig(steps=5, noise="fresh"))
    ('DCGAN', 'GRAN3', 'GRAN5 fresh noise')
    """
    if not isinstance(config, GranConfig):
        return "DCGAN"
    words = [f"GRAN{config.steps}"]
    if config.noise == "fresh" and config.steps > 1:
        words.append("fresh noise")
    if config.weights == "separate" and config.steps > 1:
        words.append("separate weights")
    return " ".join(words)


def load_gans(
    models: Sequence[str | Path],
    *,
    data: str,
    classes: Sequence[int] | None = None,
    features: str | None = None,
    classifier: str | None = None,
    weights: Path | None = None,
    device: str | None = None,
    seed: int = 0,
) -> GanSubject:
    """Load everything that the stages need.

    Parameters
    ----------
    models : sequence of str or path
        Each as `load_gan` takes it.
    data : str
        Data set, folder or file.
    classes : sequence of int, optional
        Those of the first model's training by default.
    features : str, optional
        What precision and recall compare; the shipped classifier of the data by default, else pixels.
    classifier : str, optional
        Tells categories; the shipped one of the data by default.
    weights : path, optional
        Of the features.
    device : str, optional
    seed : int

    Raises
    ------
    LyapmapError
        If something cannot be loaded, or does not fit together.
    """
    from lyapmap.data import load

    if not models:
        raise LyapmapError("MODEL: expected at least one, got none")
    gans: dict[str, Gan] = {}
    for given in models:
        gan = load_gan(given, device=device)
        name = Path(given).resolve().parent.name if Path(given).suffix and gan.name == "last.pt" else gan.name
        if name in gans:
            name = str(given)
        if name in gans:
            raise LyapmapError(f"MODEL: {given} was given twice")
        gans[name] = replace(gan, name=name)
    first = next(iter(gans.values()))
    shape = first.config.state_shape
    for gan in gans.values():
        if gan.config.state_shape != shape:
            raise LyapmapError(
                f"MODEL: images of {gan.name} have shape {gan.config.state_shape}, those of {first.name} {shape}"
            )
        if gan.config.value_range != first.config.value_range:
            raise LyapmapError(
                f"MODEL: pixels of {gan.name} lie in {gan.config.value_range}, "
                f"those of {first.name} in {first.config.value_range}"
            )
    told = first.training.get("settings", {})
    if classes is None and told.get("data") == data:
        classes = told.get("classes") or None
    train, test = (
        load(data, split=split, classes=classes, image_size=shape[1], channels=shape[0]) for split in ("train", "test")
    )
    labels, without = category_labels(data, classifier, shape, device)
    return GanSubject(
        gans=gans,
        kinds={name: kind_of(gan.config) for name, gan in gans.items()},
        train=train,
        test=test,
        features=image_features(data, features, weights, shape, device),
        classify=labels,
        without=without,
        seed=seed,
    )
