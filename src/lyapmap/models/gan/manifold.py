"""An adversarial generator as a function with its derivative, and how its manifold compares with the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lyapmap.analysis.dimension_comparison import DimensionComparison, compare_dimensions
from lyapmap.analysis.progress import Report
from lyapmap.backends.torch_function import TorchFunction, torch_function
from lyapmap.models.gan.files import Gan, load_gan
from lyapmap.models.gan.sampling import sample_gan


def gan_function(model: Gan | str | Path, *, dtype: str | None = None, device: str | None = None) -> TorchFunction:
    """A generator from noise to images, for `lyapmap.jacobian_spectrum`.

    Parameters
    ----------
    model : Gan, str or path
    dtype, device : str, optional
        Those of the model by default. In float64 the numerical rank is not limited by rounding.

    Returns
    -------
    TorchFunction
        From `config.latent_shape` to (c, h, w); it is no map and cannot be iterated.
    """
    gan = load_gan(model) if isinstance(model, str | Path) else model
    given = {"dtype": dtype, "device": device}
    options = {name: value for name, value in given.items() if value is not None}
    return torch_function(
        gan.generator, gan.config.latent_shape, provenance={"map": "generator"} | gan.origin, **options
    )


def manifold_dimensions(
    model: Gan | str | Path, data: NDArray[Any] | None, *, n: int = 2000, seed: int = 0, progress: bool | Report = False
) -> DimensionComparison:
    """Intrinsic dimensions of a generator's images and of the data, by the same methods and numbers of points.

    Parameters
    ----------
    model : Gan, str or path
    data : (m, ...) or None
        Images in the range of the generator; of more than n the first are taken.
    n : int
        Images to draw.
    seed : int
    progress : bool or callable

    Returns
    -------
    DimensionComparison
        Of sets "generated" and, with data, "data"; its status says if one has no estimate.
    """
    samples = sample_gan(model, n, seed=seed, progress=progress).images
    sets: dict[str, Any] = {"generated": samples.reshape(len(samples), -1)}
    if data is not None:
        sets["data"] = data[:n].reshape(len(data[:n]), -1)
    return compare_dimensions(sets, seed=seed, throw=False, progress=progress)
