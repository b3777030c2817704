"""What the study of a cycle model is about: the network, the images, features and categories."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.metrics import RealManifold
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.points import image_shape, laid_out
from lyapmap.files.zoo import load_model, shipped
from lyapmap.study.subject import ImageSubject, category_labels, image_features, images_checksum, model_mark

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.files.features import Features
    from lyapmap.files.model import Model


@dataclass
class CycleSubject(ImageSubject):
    """A generator with the data it was trained on.

    Attributes
    ----------
    name : str
    model : Model
    train, test : ImageSet
        Images of the chosen classes, in the layout of the states.
    classes : tuple of int
        In the order of the cycle.
    run : Path or None
        Folder of the training run that the model lies in.
    also : tuple of Features
        Further feature spaces, in which generated images are compared with test images too.
    """

    name: str
    model: Model
    classes: tuple[int, ...]
    run: Path | None
    also: tuple[Features, ...] = ()
    _settled: dict[tuple[int, int], NDArray[Any]] = field(default_factory=dict)
    _sides: dict[tuple[int, int], RealManifold] = field(default_factory=dict)

    @property
    def map(self) -> TangentMap:
        return self.model.map

    def of(self, path: Path) -> CycleSubject:
        """Another network with the same data, features and classifier."""
        model = load_model(path, device=self.map.ops.device)
        if tuple(model.map.state_shape) != tuple(self.map.state_shape):
            raise LyapmapError(f"{path}: states have shape {model.map.state_shape}, expected {self.map.state_shape}")
        return replace(self, name=model.name, model=model, run=None, _settled={})

    @cached_property
    def first_category(self) -> NDArray[Any]:
        """Test images of the first class as rows, where trajectories start."""
        rows: NDArray[Any] = self.test.of_class(self.classes[0])
        return rows.reshape(len(rows), -1)

    def starts(self, most: int) -> NDArray[Any]:
        """The first test images of the first class, (b, n) with b at most `most`."""
        return self.first_category[:most]

    def settled(self, most: int, transient: int) -> NDArray[Any]:
        """States on the attractor: `starts` after so many steps, kept for the next stage that asks."""
        key = most, transient
        if key not in self._settled:
            self._settled[key] = trajectory(self.map, self.starts(most), n_steps=0, transient=transient).states[:, 0]
        return self._settled[key]

    def test_images(self, most: int | None = None) -> NDArray[Any]:
        """Test images, at most so many, drawn from all categories alike."""
        images: NDArray[Any] = self.test.images
        if most is None or most >= len(images):
            return images
        rows = np.random.default_rng(self.seed).choice(len(images), most, replace=False)
        drawn: NDArray[Any] = images[np.sort(rows)]
        return drawn

    def side(self, k: int, most: int | None = None) -> RealManifold:
        """The test images as one side of a comparison, made once for all that compare with them."""
        images = self.test_images(most)
        key = k, len(images)
        if key not in self._sides:
            self._sides[key] = RealManifold(images, k=min(k, len(images) - 1), features=self.features)
        return self._sides[key]

    @property
    def spaces(self) -> dict[str, Features | None]:
        """All feature spaces by name: the study's own, pixels, an untrained VGG, and those of `also`."""
        from lyapmap.files.features import features

        untrained = features("random-vgg", state_shape=image_shape(tuple(self.map.state_shape)))
        named = {self.features_name: self.features, "pixels": None, untrained.name: untrained}
        return named | {space.name: space for space in self.also}

    def _mark(self, name: str) -> str:
        if name == "spaces":
            return f"{super()._mark('features')} {[space.fingerprint for space in self.also]}"
        if name.startswith("file:"):
            return hashlib.sha256(Path(name.removeprefix("file:")).read_bytes()).hexdigest()
        if name == "model":
            return model_mark(self.model)
        if name == "data":
            return images_checksum(self.train, self.test, after=repr(self.classes))
        return super()._mark(name)


def load_subject(
    model: str | Path,
    *,
    data: str,
    classes: Sequence[int],
    features: str | None = None,
    classifier: str | None = None,
    weights: Path | None = None,
    device: str | None = None,
    seed: int = 0,
    also: Sequence[str] = (),
) -> CycleSubject:
    """Load everything that the stages need.

    Parameters
    ----------
    model : str or path
        As `lyapmap.load_model` takes it.
    data : str
        Data set or folder.
    classes : sequence of int
        In the order of the cycle.
    features : str, optional
        What precision and recall compare: "pixels", "classifier" or what else
        `lyapmap.training.features` knows. The shipped classifier of the data by default, else pixels.
    classifier : str, optional
        Tells categories; the shipped one of the data by default.
    weights : path, optional
        Of the features.
    device : str, optional
    seed : int
    also : sequence of str
        Further features, likewise, for the comparison in several feature spaces.

    Raises
    ------
    LyapmapError
        If something cannot be loaded, or does not fit together.
    """
    cycle = checked_classes(classes)
    loaded = load_model(model, device=device)
    shape = image_shape(tuple(loaded.map.state_shape))
    if shape is None or shape[1] != shape[2]:
        raise LyapmapError(
            f"model: states of {loaded.name} have shape {loaded.map.state_shape} and are no square images"
        )
    train, test = (images_of(data, split, cycle, tuple(loaded.map.state_shape)) for split in ("train", "test"))
    labels, without = category_labels(data, classifier, shape, device)
    more = (image_features(data, name, None, shape, device) for name in also)
    return CycleSubject(
        name=loaded.name,
        model=loaded,
        train=train,
        test=test,
        classes=cycle,
        features=image_features(data, features, weights, shape, device),
        classify=labels,
        without=without,
        run=_run_of(model),
        also=tuple(space for space in more if space is not None),
        seed=seed,
    )


def checked_classes(classes: Sequence[int]) -> tuple[int, ...]:
    """Two or more different categories."""
    cycle = tuple(int(c) for c in classes)
    if len(cycle) < 2 or len(set(cycle)) < len(cycle):
        raise LyapmapError(f"classes: expected two or more different ones, got {', '.join(map(str, cycle)) or 'none'}")
    return cycle


def images_of(data: str, split: str, classes: Sequence[int], state_shape: tuple[int, ...]) -> ImageSet:
    """Images of a data set, in size and layout of a map's states."""
    from lyapmap.data import load

    shape = image_shape(state_shape)
    assert shape is not None
    images = load(data, split=split, classes=classes, image_size=shape[1], channels=shape[0])
    empty = [c for c in classes if c not in images.labels]
    if empty:
        raise LyapmapError(f"classes: {data} has no {split} image of class {empty[0]}")
    return replace(images, images=laid_out(images.images, state_shape))


def _run_of(model: str | Path) -> Path | None:
    if str(model) in shipped():
        return None
    folder = Path(model).parent
    return folder if kept_epochs(folder) else None


def kept_epochs(folder: str | Path) -> dict[int, Path]:
    """Checkpoints `epoch-*.pt` of a training run, by their epoch."""
    epochs = {}
    for path in sorted(Path(folder).glob("epoch-*.pt")):
        number = path.stem.removeprefix("epoch-")
        if number.isdigit():
            epochs[int(number)] = path
    return dict(sorted(epochs.items()))
