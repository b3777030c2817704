"""Generator, encoder and classifier as one object: functions of NumPy arrays, whatever framework they live in.

A generator takes latent vectors (b, M) to images, an encoder images to latent vectors or to the mean and the
logarithm of the standard deviation of a normal distribution of them, a classifier images to logits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError, MapError, ShapeError
from lyapmap.core.ops import adapter_of
from lyapmap.core.structure import as_numpy

Floats = NDArray[np.float64]
Network = Callable[[NDArray[Any]], Any]
"""Takes a batch as NumPy, gives an array or a tuple of arrays."""

BATCH = 500
"""Rows that networks receive at once."""


@dataclass(frozen=True)
class LatentTriple:
    """Generator, encoder and classifier of the same images.

    Attributes
    ----------
    generate : callable
        z (b, M) -> images (b, ...).
    encode : callable
        (images, rng) -> z (b, M): a draw where `rng` is a `numpy.random.Generator`, the mean where it is None.
    classify : callable
        images -> logits (b, L), or labels (b,) from 0 to L - 1.
    latent : int
        M.
    categories : int
        L.
    batch : int
        Rows that each of them receives at once.
    networks : tuple of three, optional
        What `of` was given: maps with derivatives are made of these.

    Examples
    --------
    >>> names = LatentTriple.of(lambda z: z, lambda x: x, lambda x: x, latent=3, categories=3)
    >>> names.labels(np.array([[0.1, 2.0, 0.3]])).tolist()
    [1]
    """

    generate: Callable[[NDArray[Any]], Any]
    encode: Callable[[NDArray[Any], np.random.Generator | None], Any]
    classify: Callable[[NDArray[Any]], Any]
    latent: int
    categories: int
    batch: int = field(default=BATCH, compare=False)
    networks: tuple[Any, Any, Any] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name, least in (("latent", 1), ("categories", 2), ("batch", 1)):
            object.__setattr__(self, name, whole(name, getattr(self, name), least))
        if self.categories > self.latent:
            raise LyapmapError(
                f"categories: expected at most as many as latent dimensions ({self.latent}), got {self.categories}"
            )

    @classmethod
    def of(
        cls,
        generator: Any,
        encoder: Any,
        classifier: Any,
        *,
        latent: int | None = None,
        categories: int | None = None,
        batch: int = BATCH,
    ) -> LatentTriple:
        """A triple of torch modules, Keras models or functions of NumPy arrays, mixed as one likes.

        Parameters
        ----------
        generator : callable
            Latent vectors (b, M) to images.
        encoder : callable
            Images to (mean, log standard deviation), each (b, M), or to latent vectors (b, M). A function of two
            arguments receives the random generator, or None for the mean, as the second.
        classifier : callable
            Images to logits (b, L), or to labels (b,).
        latent, categories : int, optional
            M and L; found out by running the networks on an image of zeros where torch or Keras modules tell how
            large their input is, else needed.
        batch : int
            Rows that each receives at once.

        Raises
        ------
        MapError
            If one of them cannot be called, or is a torch module in training mode.
        LyapmapError
            If M or L has to be given.
        """
        generate, classify = as_network(generator, "generator"), as_network(classifier, "classifier")
        encode = as_encoder(encoder)
        n_latent = latent if latent is not None else _latent_of(generator)
        if n_latent is None:
            raise LyapmapError("latent: expected the number of latent dimensions, which the generator does not tell")
        count = categories
        if count is None:
            logits = first_array(classify(first_array(generate(np.zeros((2, n_latent), np.float32)))))
            if logits.ndim != 2:
                raise LyapmapError(
                    "categories: expected their number, which a classifier that gives labels does not tell"
                )
            count = logits.shape[1]
        return cls(generate, encode, classify, n_latent, count, batch, (generator, encoder, classifier))

    def images(self, z: Any) -> NDArray[Any]:
        """Images of latent vectors, (b, M) -> (b, ...)."""
        rows = self._rows(z)
        return self._batched(lambda part: first_array(self.generate(part)), rows, "generator")

    def latents(self, images: Any, rng: np.random.Generator | None = None) -> Floats:
        """Latent vectors of images, (b, ...) -> (b, M): drawn with `rng`, the means without."""
        given = as_numpy(images)
        if given.ndim < 2 or not len(given):
            raise ShapeError(f"images: expected a batch (b, ...), got {given.shape}")
        codes = self._batched(lambda part: np.asarray(self.encode(part, rng), np.float64), given, "encoder")
        if codes.shape != (len(given), self.latent):
            raise ShapeError(f"encoder: expected {(len(given), self.latent)} latent vectors, got {codes.shape}")
        return codes

    def labels(self, images: Any) -> NDArray[np.int64]:
        """Labels that the classifier gives images, (b, ...) -> (b,)."""
        given = as_numpy(images)
        scores = self._batched(lambda part: first_array(self.classify(part)), given, "classifier")
        if scores.ndim == 2 and scores.shape[1] == self.categories:
            places: NDArray[np.int64] = scores.argmax(axis=1).astype(np.int64)
            return places
        if scores.ndim == 1 and len(scores) and not (scores % 1).any() and 0 <= scores.min() <= scores.max():
            if scores.max() < self.categories:
                return scores.astype(np.int64)
            raise LyapmapError(f"classifier: gave label {int(scores.max())}, expected less than {self.categories}")
        raise ShapeError(f"classifier: expected logits (b, {self.categories}) or labels (b,), got {scores.shape}")

    def labels_of_latents(self, z: Any) -> NDArray[np.int64]:
        """Labels of the images of latent vectors, (b, M) -> (b,), without keeping the images."""
        rows = self._rows(z)
        parts = [
            self.labels(first_array(self.generate(rows[at : at + self.batch])))
            for at in range(0, len(rows), self.batch)
        ]
        return np.concatenate(parts)

    def _rows(self, z: Any) -> NDArray[Any]:
        rows = as_numpy(z)
        if rows.ndim != 2 or rows.shape[1] != self.latent or not len(rows):
            raise ShapeError(f"z: expected latent vectors (b, {self.latent}), got {rows.shape}")
        return rows

    def _batched(self, function: Callable[[Any], NDArray[Any]], given: NDArray[Any], name: str) -> NDArray[Any]:
        parts = []
        for at in range(0, len(given), self.batch):
            part = given[at : at + self.batch]
            made = function(part)
            if made.ndim < 1 or len(made) != len(part):
                raise ShapeError(f"{name}: expected one row for each of {len(part)}, got {made.shape}")
            if not np.isfinite(made).all():
                raise LyapmapError(f"{name}: gives values that are not finite")
            parts.append(made)
        return np.concatenate(parts)


def first_array(made: Any) -> NDArray[Any]:
    """What a network gave, as one NumPy array; the first of several."""
    return as_numpy(made[0] if isinstance(made, list | tuple) else made)


def as_encoder(encoder: Any) -> Callable[[NDArray[Any], np.random.Generator | None], Floats]:
    """An encoder as a function of (images, rng), whatever it gives: (mean, log sigma) or latent vectors."""
    network = as_network(encoder, "encoder")
    takes_rng = not (is_keras(encoder) or is_module(encoder)) and _arguments(encoder) >= 2

    def encode(images: NDArray[Any], rng: np.random.Generator | None) -> Floats:
        made = encoder(images, rng) if takes_rng else network(images)
        if not isinstance(made, list | tuple):
            return np.asarray(as_numpy(made), np.float64)
        if len(made) != 2:
            raise ShapeError(f"encoder: expected (mean, log sigma) or latent vectors, got {len(made)} arrays")
        mean, log_sigma = (np.asarray(as_numpy(part), np.float64) for part in made)
        if rng is None:
            return mean
        return mean + np.exp(log_sigma) * rng.standard_normal(mean.shape)

    return encode


def latent_of(encoder: Any, images: NDArray[Any]) -> int:
    """M, as an encoder shows it with one image."""
    made = as_encoder(encoder)(images[:1], None)
    if made.ndim != 2:
        raise ShapeError(f"encoder: expected latent vectors (b, M), got {made.shape}")
    return int(made.shape[1])


def as_network(candidate: Any, name: str) -> Network:
    """A function of NumPy arrays made of one, of a torch module or of a Keras model.

    Keras models are known by what they offer, so that no framework is imported here.
    """
    if is_keras(candidate):
        return lambda batch: candidate.predict_on_batch(batch)
    adapter = adapter_of(candidate) if is_module(candidate) else None
    if adapter is not None:
        of_arrays: Network = adapter.network_of_arrays(candidate, name)
        return of_arrays
    if not callable(candidate):
        raise MapError(f"{name}: expected a torch module, a Keras model or a function, got {type(candidate).__name__}")
    function: Network = candidate
    return function


def is_module(candidate: Any) -> bool:
    """Whether an object is a torch module, as far as its members tell."""
    return hasattr(candidate, "parameters") and hasattr(candidate, "eval")


def is_keras(candidate: Any) -> bool:
    """Whether an object is a Keras model, as far as its members tell; on Keras' torch backend it is a module too."""
    return hasattr(candidate, "predict_on_batch")


def _arguments(function: Any) -> int:
    try:
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        return 1
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


def _latent_of(generator: Any) -> int | None:
    """Latent dimensions that a generator tells of: its own attribute, its first layer's, or its input shape."""
    declared = getattr(generator, "latent", None) or getattr(getattr(generator, "config", None), "latent", None)
    if isinstance(declared, int):
        return declared
    shape = getattr(generator, "input_shape", None)
    if isinstance(shape, tuple) and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    if hasattr(generator, "modules"):
        sizes = (getattr(part, "in_features", None) for part in generator.modules())
        return next((size for size in sizes if isinstance(size, int)), None)
    return None
