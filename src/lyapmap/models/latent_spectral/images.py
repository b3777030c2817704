"""What a latent basis makes of images: their largest components, images of few of them, rotations to other labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.latent_basis import LatentBasis, cycle_phases
from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import channels_first
from lyapmap.core.results import Result, Status, dims, provenance


@dataclass(frozen=True, kw_only=True)
class LsdImages(Result):
    """Images in rows, and beside each what was made of it.

    Attributes
    ----------
    images : (b, columns, channels, height, width)
        The given ones come first.
    seen : (b, columns)
        Labels that the classifier gives them.
    named : (b,)
        Labels of the largest amplitudes of the given images.
    largest : (b, n)
        Numbers of the vectors with the largest amplitudes, largest first.
    coefficients : (b, n)
        Theirs.
    columns : tuple of str
        What each column is.
    value_range : (float, float)
        Of the images.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.latent_spectral.pictures.draw_lsd_images"

    images: NDArray[Any] = dims("image", "column", "channel", "height", "width")
    seen: NDArray[np.int64] = dims("image", "column")
    named: NDArray[np.int64] = dims("image")
    largest: NDArray[np.int64] = dims("image", "rank")
    coefficients: NDArray[np.float64] = dims("image", "rank")
    columns: tuple[str, ...]
    value_range: tuple[float, float]


def components_of_images(
    basis: LatentBasis,
    images: Any,
    *,
    components: Sequence[int] = (1, 2, 3, 4, 10),
    rescale: bool = False,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> LsdImages:
    """Images decoded from their n largest components, for several n: decomposition, and denoising.

    Parameters
    ----------
    basis : LatentBasis
        With networks at hand.
    images : (b, ...)
        As the generator gives them.
    components : sequence of int
        Numbers of components that images are decoded from.
    rescale : bool
        Give latent vectors of few components the length sqrt(M); see `LatentBasis.reconstruct`.
    value_range : (float, float)
        Values of black and of white.

    Returns
    -------
    LsdImages
        Columns: the images, all components, and the n largest for each n.
    """
    begin = time.perf_counter()
    counts = [whole("components", n, 1) for n in components]
    if not counts:
        raise LyapmapError("components: expected at least one number")
    z = basis.triple.latents(images)
    made = [basis.triple.images(basis.reconstruct(z, n, rescale=rescale and n is not None)) for n in (None, *counts)]
    names = ["image", "all", *(f"n = {n}" for n in counts)]
    settings = {"components": counts, "rescale": rescale}
    return _result(basis, z, [np.asarray(images), *made], names, value_range, settings, begin)


def with_noise(images: NDArray[Any], deviation: float, value_range: tuple[float, float], *, seed: int) -> NDArray[Any]:
    """Images with normal noise, clipped to their range; the deviation is for a range of 2, as [-1, 1] has."""
    low, high = value_range
    noise = deviation * (high - low) / 2 * np.random.default_rng(seed).standard_normal(images.shape)
    return np.clip(images + noise, low, high).astype(images.dtype)


def rotated_images(
    basis: LatentBasis,
    images: Any,
    *,
    labels: Sequence[int] | None = None,
    steps: int = 3,
    round_trip: bool = False,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> LsdImages:
    """Images of the first label, encoded and rotated through all labels and back to the first.

    Parameters
    ----------
    basis : LatentBasis
        With networks at hand.
    images : (b, ...)
    labels : sequence of int, optional
        In the order of the cycle; all by default.
    steps : int
        Steps from one label to the next.
    round_trip : bool
        Decode and encode after each step.
    value_range : (float, float)

    Returns
    -------
    LsdImages
        Columns: the images, then the decoded latent vector at the start and after each step.
    """
    begin = time.perf_counter()
    z = start = basis.triple.latents(images)
    made = [np.asarray(images), basis.triple.images(z)]
    phases = cycle_phases(basis, labels, steps)
    for phase in phases:
        z = basis.rotate(z, *phase)
        made.append(basis.triple.images(z))
        if round_trip:
            z = basis.triple.latents(made[-1])
    names = ["image", *map(str, range(len(phases) + 1))]
    settings = {"steps": steps, "round_trip": round_trip, "labels": None if labels is None else list(labels)}
    return _result(basis, start, made, names, value_range, settings, begin)


def _result(
    basis: LatentBasis,
    z: NDArray[np.float64],
    made: list[NDArray[Any]],
    names: list[str],
    value_range: tuple[float, float],
    settings: dict[str, Any],
    begin: float,
) -> LsdImages:
    c = basis.decompose(z)
    largest = np.argsort(-np.abs(c), axis=1, kind="stable")[:, : basis.categories]
    shown = np.stack([channels_first(images) for images in made], axis=1)
    if shown.ndim != 5 or shown.shape[2] not in (1, 3):
        raise LyapmapError(f"images: expected images (b, channels, height, width), got {np.shape(made[0])}")
    return LsdImages(
        status=Status.OK,
        settings=settings,
        provenance=provenance(None, seed=None, seconds=time.perf_counter() - begin),
        images=shown.astype(np.float32),
        seen=np.stack([basis.triple.labels(images) for images in made], axis=1),
        named=basis.classify(z),
        largest=largest,
        coefficients=np.take_along_axis(c, largest, axis=1),
        columns=tuple(names),
        value_range=value_range,
    )
