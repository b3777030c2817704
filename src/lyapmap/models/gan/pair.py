"""Trained adversarial pairs by name or file: the noise they take, what they draw, their manifold and its derivative."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lyapmap.analysis.battle import Contender
from lyapmap.analysis.dimension.comparison import DimensionComparison, compare_dimensions
from lyapmap.backends.torch.copies import resolved_device
from lyapmap.backends.torch.function import TorchFunction, torch_function
from lyapmap.backends.torch.ops import DTYPES
from lyapmap.core.arguments import whole
from lyapmap.core.errors import CheckpointError, LyapmapError, PrecisionError, ShapeError
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run
from lyapmap.files import checkpoint as checkpoints
from lyapmap.files import zoo
from lyapmap.files.checkpoint import build_module
from lyapmap.models.gan.dcgan import Dcgan, DcganConfig
from lyapmap.models.gan.gran import Generator as GranGenerator
from lyapmap.models.gan.gran import Gran

MODELS = ("dcgan", "gran")
ROWS = 256
"""Images that are judged at once."""


@dataclass(frozen=True)
class Gan:
    """An adversarial pair, both in evaluation mode.

    Attributes
    ----------
    name : str
        Name, or file it came from.
    architecture : "dcgan" or "gran"
    config : DcganConfig or GranConfig
    generator : torch.nn.Module
        Noise (b, *config.latent_shape) to images (b, c, h, w).
    discriminator : torch.nn.Module
        Images to logits (b,), positive for those that it takes for real.
    latents : (m, *config.latent_shape)
        Noise of the sample sheets of its training.
    training : dict
        How it was trained.
    origin : dict
        Plain values that results record: name and SHA256.
    """

    name: str
    architecture: str
    config: DcganConfig
    generator: nn.Module
    discriminator: nn.Module
    latents: NDArray[Any]
    training: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)

    def contender(self, *, canvas_steps: int | None = None) -> Contender:
        """The pair as `lyapmap.battle` takes it, with more updates of a GRAN's canvas than trained if asked for."""

        def sampled(n: int, seed: int) -> NDArray[Any]:
            return sample_gan(self, n, canvas_steps=canvas_steps, seed=seed).images

        def judge(images: NDArray[Any]) -> NDArray[Any]:
            given = torch.from_numpy(np.ascontiguousarray(images)).to(self.device, self.dtype)
            with torch.no_grad():
                parts = [self.discriminator(rows) for rows in given.split(ROWS)]
            return torch.sigmoid(torch.cat(parts).double()).cpu().numpy()

        return Contender(self.name, sampled, judge)

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.generator.parameters()).dtype


def load_gan(name: str | Path, *, dtype: str | None = None, device: str | None = None) -> Gan:
    """Load a DCGAN or GRAN by name or from a checkpoint.

    Parameters
    ----------
    name : str or path
        A shipped model, or a `.pt` or `.safetensors` file.
    dtype : "float32" or "float64", optional
        As saved by default.
    device : str, optional
        The CPU by default.

    Returns
    -------
    Gan

    Raises
    ------
    CheckpointError
        If there is no such model or file, or it holds another network.
    """
    path, kind = zoo.kind_of(name)
    if kind is not zoo.KINDS["torch"]:
        raise CheckpointError(f"model: expected a .pt or .safetensors checkpoint of a DCGAN or GRAN, got {path.name}")
    if dtype not in (None, *DTYPES):
        raise PrecisionError(f"dtype: expected 'float32' or 'float64', got {dtype!r}")
    saved = checkpoints.load(path)
    label = str(name) if str(name) in zoo.shipped() else path.name
    if saved.model not in MODELS:
        raise CheckpointError(f"model: {label} is a {saved.model} model, expected a dcgan or gran")
    pair, _ = build_module(saved, path)
    assert isinstance(pair, Dcgan | Gran)
    shape = pair.config.latent_shape
    if tuple(saved.sample_states.shape[1:]) != shape:
        held = tuple(saved.sample_states.shape)
        raise CheckpointError(f"{path}: sample_states have shape {held}, expected noise of shape (m, *{shape})")
    pair.to(resolved_device(device or "cpu"), DTYPES[dtype] if dtype else None).requires_grad_(False)
    return Gan(
        label,
        saved.model,
        pair.config,
        pair.generator,
        pair.discriminator,
        saved.sample_states.numpy(),
        {key: value for key, value in saved.training.items() if key != "state"},
        {"model": label, "sha256": saved.sha256},
    )


PARALLEL = 1e-6
"""Angle, in radians, below which the straight line is taken for the arc."""


def gan_latents(latent_shape: tuple[int, ...], n: int, *, seed: int = 0, first: int = 0) -> NDArray[np.float32]:
    """Standard normal noise, (n, *latent_shape): that of sample i is a function of (seed, i) alone.

    With fresh noise for each step, (steps, latent), the first steps are the same however many follow.

    Parameters
    ----------
    latent_shape : (latent,) or (steps, latent)
    n : int
    seed : int
    first : int
        Number of the first sample.

    Examples
    --------
    >>> z = gan_latents((5,), 3, seed=1)
    >>> bool((z[2] == gan_latents((5,), 1, seed=1, first=2)[0]).all())
    True
    """
    n, first, seed = whole("n", n, 1), whole("first", first, 0), whole("seed", seed, 0)
    if seed >= 2**64:
        raise LyapmapError(f"seed: expected an integer below 2**64, got {seed}")
    steps, latent = (1, *latent_shape)[-2:]
    draws = [noise_of(seed, i, step, latent) for i in range(first, first + n) for step in range(steps)]
    return np.stack(draws).reshape(n, *latent_shape)


def noise_of(seed: int, sample: int, step: int, latent: int) -> NDArray[np.float32]:
    """The noise of one sample at one step, (latent,)."""
    # The second half of the key keeps these draws apart from those of inputs and of noisy maps.
    # Seeds beyond 2**63 in a list would go through floating point.
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, 3], np.uint64), counter=[0, 0, step, sample]))
    return rng.standard_normal(latent).astype(np.float32)


def spherical(start: NDArray[np.floating], end: NDArray[np.floating], steps: int) -> NDArray[np.float32]:
    """Noise on the way between two others, (n, steps, d) from (n, d) each, both ends included.

    Directions follow the arc at constant speed and lengths go over linearly, so that in high dimensions all of it
    stays where normal noise has its mass; a straight line would cut through the empty middle.

    Raises
    ------
    ShapeError, LyapmapError
        If shapes differ, there are fewer than two steps, or an end is zero or opposite to the other.

    Examples
    --------
    >>> spherical(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0]]), 3)[0, 1].round(4)
    array([1.0607, 1.0607], dtype=float32)
    """
    a, b = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if a.shape != b.shape or a.ndim != 2 or 0 in a.shape:
        raise ShapeError(f"start and end: expected two arrays of the same shape (n, d), got {a.shape} and {b.shape}")
    steps = whole("steps", steps, 2)
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    if not all(np.isfinite(length).all() and (length > 0).all() for length in lengths):
        raise LyapmapError("start and end: expected finite noise that is not zero")
    p, q = a / lengths[0][:, None], b / lengths[1][:, None]
    angle = 2 * np.arctan2(np.linalg.norm(q - p, axis=1), np.linalg.norm(q + p, axis=1))
    if (angle > np.pi - PARALLEL).any():
        raise LyapmapError("start and end: two of them are opposite, and no arc between them is the shortest")
    t = np.linspace(0, 1, steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.sin(np.stack([1 - t, t])[:, None] * angle[:, None]) / np.sin(angle)[:, None]
    weights = np.where((angle < PARALLEL)[:, None], np.stack([1 - t, t])[:, None], weights)
    direction = weights[0][..., None] * p[:, None] + weights[1][..., None] * q[:, None]
    length = (1 - t) * lengths[0][:, None] + t * lengths[1][:, None]
    return (length[..., None] * direction).astype(np.float32)


BATCH = 250


@dataclass(frozen=True, kw_only=True)
class GanSamples(Result):
    """Images that an adversarial generator drew.

    Attributes
    ----------
    canvases : (n, steps, c, h, w) float32
        After each update of the canvas; of a DCGAN one step. Rows of interpolations follow one another.
    latents : (n, d) float32
        The noise; with fresh noise that of all steps, one after the other.
    value_range : (float, float)
        Smallest and largest value of a pixel.
    trained_steps : int
        Updates that the generator was trained with.
    columns : int
        Images of one way from noise to noise; 0 for independent samples.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.gan.pictures.draw_gan_samples"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.ESCAPED: "look whether the network's weights are finite",
    }

    canvases: NDArray[np.float32] = dims("sample", "step", "channel", "row", "column")
    latents: NDArray[np.float32] = dims("sample", "component")
    value_range: tuple[float, float]
    trained_steps: int
    columns: int = 0

    @property
    def images(self) -> NDArray[np.float32]:
        """Finished images, (n, c, h, w)."""
        last: NDArray[np.float32] = self.canvases[:, -1]
        return last


def sample_gan(
    model: Gan | str | Path,
    n: int = 64,
    *,
    canvas_steps: int | None = None,
    seed: int = 0,
    first: int = 0,
    progress: bool | Report = False,
    throw: bool = True,
) -> GanSamples:
    """Images of random noise.

    The noise of sample i is a function of (seed, i) alone, so that samples are the same however many are drawn.

    Parameters
    ----------
    model : Gan, str or path
        What `load_gan` gives or reads.
    n : int
        Samples.
    canvas_steps : int, optional
        Updates of a GRAN's canvas; as many as it was trained with by default. Those beyond take the networks and
        running means of the last one.
    seed : int
    first : int
        Number of the first sample, for a run that is split.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (samples done, samples in all).
    throw : bool
        Raise if a pixel is not finite; else return what there is with status "escaped".

    Returns
    -------
    GanSamples

    Raises
    ------
    LyapmapError
        If an argument does not fit, such as several steps of a network that was made for one.
    RunError
        If a pixel is not finite and `throw`.
    Interrupted
        On Ctrl-C, with the samples until then as its `result`.

    References
    ----------
    D. J. Im, C. D. Kim, H. Jiang, R. Memisevic (2016), section 5: sampling with 7 and 9 steps after training with 5.
    """
    gan = load_gan(model) if isinstance(model, str | Path) else model
    n = whole("n", n, 1)
    steps = _steps(gan, canvas_steps)
    latents = gan_latents(noise_shape(gan, steps), n, seed=seed, first=first)
    settings = {"n": n, "canvas_steps": steps, "first": first}
    return _drawn(gan, latents, steps, settings, seed, progress, throw)


def interpolate_gan(
    model: Gan | str | Path,
    pairs: int = 8,
    *,
    steps: int = 10,
    latents: Any = None,
    seed: int = 0,
    progress: bool | Report = False,
    throw: bool = True,
) -> GanSamples:
    """Images along the arcs between pieces of noise, (pairs * steps) of them.

    Parameters
    ----------
    model : Gan, str or path
    pairs : int
        Ways, each between two samples of its own.
    steps : int
        Images of each, both ends included.
    latents : (2, pairs, *latent_shape), optional
        Ends, instead of random ones.
    seed : int
    progress, throw
        As of `sample_gan`.

    Returns
    -------
    GanSamples
        With `columns` equal to `steps`.
    """
    gan = load_gan(model) if isinstance(model, str | Path) else model
    pairs, steps = whole("pairs", pairs, 1), whole("steps", steps, 2)
    shape = gan.config.latent_shape
    if latents is None:
        ends = gan_latents(shape, 2 * pairs, seed=seed).reshape(pairs, 2, -1).swapaxes(0, 1)
    else:
        ends = np.asarray(latents, np.float32)
        if ends.ndim != 2 + len(shape) or len(ends) != 2 or ends.shape[2:] != shape:
            raise ShapeError(f"latents: expected two ends (2, pairs, *{shape}), got {ends.shape}")
        pairs = ends.shape[1]
        ends = ends.reshape(2, pairs, -1)
    ways = spherical(ends[0], ends[1], steps).reshape(pairs * steps, *shape)
    settings = {"pairs": pairs, "steps": steps, "canvas_steps": _steps(gan, None)}
    return _drawn(gan, ways, _steps(gan, None), settings, seed, progress, throw, columns=steps)


def noise_shape(gan: Gan, steps: int) -> tuple[int, ...]:
    """Shape of the noise of one image that is drawn in so many steps."""
    shape = gan.config.latent_shape
    return (steps, shape[1]) if len(shape) == 2 else shape


def _steps(gan: Gan, asked: int | None) -> int:
    usual = int(getattr(gan.config, "steps", 1))
    steps = usual if asked is None else whole("canvas_steps", asked, 1)
    if usual == 1 and steps > 1:
        raise LyapmapError(f"canvas_steps: {gan.name} draws in one step and cannot go on, got {steps}")
    return steps


@torch.no_grad()
def _drawn(
    gan: Gan,
    latents: NDArray[np.float32],
    steps: int,
    settings: dict[str, Any],
    seed: int,
    progress: bool | Report,
    throw: bool,
    columns: int = 0,
) -> GanSamples:
    run = Run("sampling", seed=seed, progress=progress)
    n, done = len(latents), 0
    parts: list[NDArray[np.float32]] = []
    with run.steps(keep=lambda: parts) as report:
        while done < n:
            z = torch.from_numpy(latents[done : done + BATCH]).to(gan.device, gan.dtype)
            if isinstance(gan.generator, GranGenerator):
                drawn = gan.generator.canvases(z, steps)
            else:
                drawn = gan.generator(z)[:, None]
            parts.append(drawn.float().cpu().numpy())
            done += len(z)
            report(done, n)
    canvases = np.concatenate(parts)
    bad = int((~np.isfinite(canvases).reshape(len(canvases), -1).all(axis=1)).sum())
    words = f"{bad} of {len(canvases)} images are not finite"
    ending = run.ending(Verdict(Status.ESCAPED, words) if bad else Verdict(), done=f"{len(canvases)} of {n} images")
    dtype = str(gan.dtype).removeprefix("torch.")
    origin = gan.origin | {"library": f"torch {torch.__version__}", "device": str(gan.device), "dtype": dtype}
    result = GanSamples(
        **ending | {"provenance": ending["provenance"] | origin},
        settings=settings,
        canvases=canvases,
        latents=latents[: len(canvases)].reshape(len(canvases), -1),
        value_range=gan.config.value_range,
        trained_steps=int(getattr(gan.config, "steps", 1)),
        columns=columns,
    )
    return run.finish(result, throw)


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
