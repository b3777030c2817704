"""What the study of latent spectral decomposition is about: three networks, their images, models beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.latent_basis import LatentBasis
from lyapmap.analysis.latent_triple import LatentTriple
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.points import channels_first, image_shape, laid_out, rescaled
from lyapmap.files.zoo import load_model
from lyapmap.study.subject import ImageSubject, category_labels, image_features

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.files.model import Model

CYCLE = "cycle-mnist-012"
"""The model that the rotation in image space is set beside where it fits."""


@dataclass
class LsdSubject(ImageSubject):
    """A generator, an encoder and a classifier with the data that they were trained on.

    Attributes
    ----------
    name : str
    triple : LatentTriple
    classes : tuple of int
        What the labels 0, 1, ... of the triple stand for in the data.
    train, test : ImageSet
        Images of these classes.
    value_range : (float, float)
        Values of black and of white, of the networks and of the images here.
    given : LatentBasis or None
        The basis that the model brings.
    classify : Labels or None
        One that had no part in the training; without it the triple's own judges.
    against : tuple of Model
        Cycle generators of images.
    cycle : tuple of int
        Classes that rotation in image space goes through.
    """

    name: str
    triple: LatentTriple
    classes: tuple[int, ...]
    value_range: tuple[float, float]
    given: LatentBasis | None
    against: tuple[Model, ...]
    cycle: tuple[int, ...]
    sha256: str = ""
    _maps: dict[str, TangentMap] = field(default_factory=dict)

    @property
    def judge_name(self) -> str:
        return "the triple's own classifier" if self.classify is None else self.classify.name

    @property
    def state_shape(self) -> tuple[int, ...]:
        """Of an image as the networks have it."""
        shape: tuple[int, ...] = self.train.images.shape[1:]
        return shape

    def places(self, images: ImageSet) -> NDArray[np.int64]:
        """Labels of the data as those of the triple, 0 to L - 1."""
        order = {label: place for place, label in enumerate(self.classes)}
        return np.array([order[int(label)] for label in images.labels], np.int64)

    def categories(self, shown: NDArray[Any]) -> NDArray[np.int64]:
        """Classes that the judge, or without one the triple's classifier, sees in what `shown` gave."""
        if self.classify is not None:
            return self.classify(shown)
        return np.array(self.classes, np.int64)[self.triple.labels(self.own(shown))]

    def test_sample(self, most: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Test images and their labels, the same ones every time."""
        some = self.test.some(min(most, len(self.test)), seed=self.seed)
        return some.images, self.places(some)

    def of_label(self, place: int, most: int) -> NDArray[Any]:
        """Test images of one label, in their order."""
        return self.test.of_class(self.classes[place])[:most]

    def shown(self, images: Any) -> NDArray[Any]:
        """Images of the networks as (..., channels, height, width) with values in [-1, 1]."""
        return channels_first(rescaled(images, self.value_range)).astype(np.float32)

    def own(self, shown: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `shown`."""
        return laid_out(rescaled(shown, (-1.0, 1.0), self.value_range), self.state_shape).astype(np.float32)

    def precise(self) -> TangentMap:
        """The round trip in float64 where the networks can be converted."""
        from lyapmap.models.latent_spectral.maps import round_trip_map

        if "precise" not in self._maps:
            try:
                self._maps["precise"] = round_trip_map(self.triple, dtype="float64")
            except LyapmapError:
                self._maps["precise"] = round_trip_map(self.triple)
        return self._maps["precise"]

    @property
    def held_out(self) -> ImageSet:
        return self.test.only(self.cycle)

    def _mark(self, name: str) -> str:
        if name == "model":
            return f"{self.name} {self.sha256} {'' if self.given is None else _digest(self.given.eta)}"
        if name == "against":
            marks = [f"{m.name} {m.map.provenance.get('sha256', '')}" for m in self.against]
            return " ".join([*marks, *map(str, self.cycle)])
        return super()._mark(name)


def subject_of(
    triple: LatentTriple,
    *,
    name: str,
    data: str,
    classes: Sequence[int] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    basis: LatentBasis | None = None,
    against: Sequence[str | Path] | None = None,
    cycle: Sequence[int] | None = None,
    features: str | None = None,
    classifier: str | None = None,
    weights: Path | None = None,
    device: str | None = None,
    seed: int = 0,
    sha256: str = "",
) -> LsdSubject:
    """Load everything that the stages need besides the networks.

    Parameters
    ----------
    triple : LatentTriple
        Any, such as `LatentTriple.of(generator, encoder, classifier)` of one's own networks.
    name : str
    data : str
        Data set, folder or file.
    classes : sequence of int, optional
        What the triple's labels 0, 1, ... are called in the data; the classes of the data in their order by default.
    value_range : (float, float)
        Values of black and of white in the networks' images.
    basis : LatentBasis, optional
        Built by the study by default.
    against : sequence of str or path, optional
        Cycle generators to set the rotation beside; the shipped one of MNIST by default, where it fits.
    cycle : sequence of int, optional
        Classes that rotation in image space goes through; 0, 1, 2 by default, or the first three there are.
    features, classifier, weights, device, seed
        As in the study of the cycle model.

    Raises
    ------
    LyapmapError
        If something cannot be loaded, or does not fit together.
    """
    from lyapmap.data import load

    shape = tuple(triple.images(np.zeros((1, triple.latent), np.float32)).shape[1:])
    sizes = image_shape(shape)
    if sizes is None or sizes[1] != sizes[2]:
        raise LyapmapError(f"triple: images of {name} have shape {shape} and are no square images")
    options: dict[str, Any] = {"image_size": sizes[1], "channels": sizes[0], "value_range": value_range}
    sets = [load(data, split=split, classes=classes, **options) for split in ("train", "test")]
    labels = tuple(int(c) for c in (classes if classes is not None else sorted(sets[0].class_names)))
    if len(labels) != triple.categories:
        raise LyapmapError(f"classes: expected {triple.categories}, one for each label of {name}, got {len(labels)}")
    train, test = (replace(images, images=laid_out(images.images, shape)) for images in sets)
    turned = tuple(int(c) for c in (cycle if cycle is not None else [c for c in labels if c < 3] or labels[:3]))
    turned = turned if cycle is not None or len(turned) > 1 else labels[:3]
    if len(set(turned)) < max(len(turned), 2) or not set(turned) <= set(labels):
        raise LyapmapError(f"cycle: expected two or more different ones of {', '.join(map(str, labels))}, got {turned}")
    named = against if against is not None else [CYCLE] * (data == "mnist" and turned == (0, 1, 2) and sizes[1] == 28)
    others = tuple(load_model(images, device=device) for images in named)
    for other in others:
        if image_shape(tuple(other.map.state_shape)) != sizes:
            raise LyapmapError(
                f"against: states of {other.name} have shape {tuple(other.map.state_shape)}, expected {shape}"
            )
    judge, without = category_labels(data, classifier, sizes, device)
    if judge is not None and not set(labels) <= set(judge.classes):
        raise LyapmapError(f"classifier: {judge.name} knows {judge.classes}, and not all of {labels}")
    return LsdSubject(
        name=name,
        triple=triple,
        classes=labels,
        train=train,
        test=test,
        value_range=value_range,
        given=basis,
        features=image_features(data, features, weights, sizes, device),
        classify=judge,
        without=without,
        against=others,
        cycle=turned,
        seed=seed,
        sha256=sha256,
    )


def load_subject(model: str | Path, *, data: str, classes: Sequence[int] | None = None, **options: Any) -> LsdSubject:
    """The subject of a model of `lyapmap train lsd`, by name or file; options as of `subject_of`."""
    from lyapmap.models.latent_spectral.network import load_lsd

    lsd = load_lsd(model, device=options.get("device"))
    if classes is not None and tuple(classes) != lsd.classes:
        raise LyapmapError(f"classes: {lsd.name} was trained on {', '.join(map(str, lsd.classes))}")
    bounds = getattr(getattr(lsd.generator, "config", None), "value_range", (-1.0, 1.0))
    return subject_of(
        lsd.triple(),
        name=lsd.name,
        data=data,
        classes=lsd.classes,
        value_range=(float(bounds[0]), float(bounds[1])),
        basis=lsd.basis,
        sha256=str(lsd.origin.get("sha256", "")),
        **options,
    )


def _digest(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
