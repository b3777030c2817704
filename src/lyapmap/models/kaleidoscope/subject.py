"""What the study of a kaleidoscopic network is about: the network, others beside it, images, categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.combinators import NoisyMap, noisy
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.points import channels_first, image_shape, laid_out, rescaled
from lyapmap.core.propagate import states_at
from lyapmap.files.zoo import load_model
from lyapmap.study.subject import ImageSubject, category_labels, image_features, model_mark

if TYPE_CHECKING:
    from lyapmap.data import ImageSet
    from lyapmap.files.model import Model

UNIFORM = 3**0.5
"""Half width of uniform noise with a standard deviation of 1."""


@dataclass
class KaleidoscopeSubject(ImageSubject):
    """A network that gives back images, with the data that it was trained on.

    Attributes
    ----------
    name : str
    model : Model
    train, test : ImageSet
        Values in the range of the network's output.
    against : tuple of Model
        Further networks for states of the same shape.
    """

    name: str
    model: Model
    against: tuple[Model, ...]
    source: str
    device: str | None = None
    _visited: dict[Any, dict[int, NDArray[Any]]] = field(default_factory=dict)

    @property
    def map(self) -> TangentMap:
        return self.model.map

    @cached_property
    def precise(self) -> TangentMap:
        """The map in float64, in which fixed points are told apart."""
        return load_model(self.source, dtype="float64", device=self.device).map

    @property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of a state."""
        return value_range(self.model)

    def starts(self, count: int, model: Model | None = None) -> NDArray[Any]:
        """Uniform noise, (count, n); the first rows are the same for every count."""
        low, high = value_range(model or self.model)
        rng = np.random.default_rng(self.seed)
        noise = rng.uniform(low, high, (count, dimension(tuple(self.map.state_shape))))
        return noise.astype(self.map.ops.dtype)

    def noisy(self, deviation: float, kind: str = "uniform", stream: int = 0) -> TangentMap | NoisyMap:
        """The map with noise of this standard deviation after each step, held in its range; itself for none."""
        if deviation == 0:
            return self.map
        scale = deviation * (UNIFORM if kind == "uniform" else 1.0)
        return noisy(self.map, scale=scale, kind=kind, seed=self.seed + stream, clamp=self.value_range)

    def along(self, count: int, at: Sequence[int], deviation: float = 0.0) -> list[NDArray[Any]]:
        """States (count, n) of trajectories from `starts` at ascending steps, kept for the next stage that asks."""
        known = self._visited.setdefault((count, deviation), {})
        if not set(at) <= set(known):
            tangent_map = self.noisy(deviation)
            states = states_at(tangent_map, tangent_map.ops.from_numpy(self.starts(count)), at)
            known.update({step: tangent_map.ops.to_numpy(x) for step, x in zip(at, states, strict=True)})
        return [known[step] for step in at]

    def settled(self, count: int, n_steps: int, deviation: float = 0.0) -> NDArray[Any]:
        """`starts` after so many steps."""
        return self.along(count, (n_steps,), deviation)[0]

    def images(self, states: NDArray[Any], model: Model | None = None) -> NDArray[Any]:
        """States (..., n) as images (..., channels, height, width) with values in [-1, 1]."""
        shaped = np.asarray(states).reshape(*np.shape(states)[:-1], *self.map.state_shape)
        return channels_first(rescaled(shaped, value_range(model or self.model)))

    def real(self, images: ImageSet, most: int | None = None) -> NDArray[Any]:
        """Images of the data with values in [-1, 1], as many as asked for, the same ones every time."""
        states: NDArray[Any] = images.states
        if most is not None and most < len(states):
            rows = np.random.default_rng(self.seed).choice(len(states), most, replace=False)
            states = states[np.sort(rows)]
        return self.images(states)

    def _mark(self, name: str) -> str:
        if name == "model":
            return model_mark(self.model)
        if name.startswith("against:"):
            return model_mark(self.against[int(name.removeprefix("against:"))])
        return super()._mark(name)


def value_range(model: Model) -> tuple[float, float]:
    """Smallest and largest value of a model's states; those of images in [-1, 1] where it does not say."""
    bounds = getattr(getattr(model.module, "config", None), "value_range", (-1.0, 1.0))
    return float(bounds[0]), float(bounds[1])


def load_subject(
    model: str | Path,
    *,
    data: str,
    classes: Sequence[int] | None = None,
    against: Sequence[str | Path] = (),
    features: str | None = None,
    classifier: str | None = None,
    weights: Path | None = None,
    device: str | None = None,
    seed: int = 0,
) -> KaleidoscopeSubject:
    """Load everything that the stages need.

    Parameters
    ----------
    model : str or path
        As `lyapmap.load_model` takes it.
    data : str
        Data set or folder.
    classes : sequence of int, optional
        Those that the network was trained on by default.
    against : sequence of str or path
        Further models to measure beside it.
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
    loaded = load_model(model, device=device)
    state_shape = tuple(loaded.map.state_shape)
    shape = image_shape(state_shape)
    if shape is None or shape[1] != shape[2]:
        raise LyapmapError(f"model: states of {loaded.name} have shape {state_shape} and are no square images")
    others = tuple(load_model(other, device=device) for other in against)
    for other in others:
        if tuple(other.map.state_shape) != state_shape:
            raise LyapmapError(
                f"against: states of {other.name} have shape {tuple(other.map.state_shape)}, expected {state_shape}"
            )
    names = [loaded.name, *(other.name for other in others)]
    if len(set(names)) < len(names):
        others = tuple(
            replace(other, name=f"{Path(path).parent.name}/{other.name}")
            for other, path in zip(others, against, strict=True)
        )
    train, test = _images(data, classes, loaded)
    labels, without = category_labels(data, classifier, shape, device)
    return KaleidoscopeSubject(
        name=loaded.name,
        model=loaded,
        train=train,
        test=test,
        features=image_features(data, features, weights, shape, device),
        classify=labels,
        without=without,
        against=others,
        seed=seed,
        source=str(model),
        device=device,
    )


def _images(data: str, classes: Sequence[int] | None, model: Model) -> tuple[ImageSet, ImageSet]:
    """The images that a network was trained on, as far as its file tells, and those held out."""
    from lyapmap.data import load

    shape = image_shape(tuple(model.map.state_shape))
    assert shape is not None
    settings = model.training.get("settings", {})
    same = settings.get("data") == data
    if classes is None and same:
        classes = settings.get("classes")
    sets = []
    for split in ("train", "test"):
        images = load(
            data,
            split=split,
            classes=classes,
            image_size=shape[1],
            channels=shape[0],
            value_range=value_range(model),
        )
        if split == "train" and same and settings.get("samples", len(images)) < len(images):
            images = images.some(settings["samples"], seed=settings["seed"])
        sets.append(replace(images, images=laid_out(images.images, tuple(model.map.state_shape))))
    return sets[0], sets[1]
