"""Samples of adversarial generators, and images along the way between two of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from lyapmap.analysis.progress import Report, reporting
from lyapmap.core.arguments import whole
from lyapmap.core.errors import Interrupted, LyapmapError, ShapeError
from lyapmap.core.results import Result, Status, provenance
from lyapmap.models.gan.files import Gan, load_gan
from lyapmap.models.gan.gran import Generator as GranGenerator
from lyapmap.models.gan.noise import gan_latents, spherical

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

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "canvases": ("sample", "step", "channel", "row", "column"),
        "latents": ("sample", "component"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.models.gan.pictures_samples.draw_gan_samples"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "run it again, or ask for fewer samples",
        Status.ESCAPED: "look whether the network's weights are finite",
    }

    canvases: NDArray[np.float32]
    latents: NDArray[np.float32]
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
    begin = time.perf_counter()
    n, done, parts = len(latents), 0, []
    with reporting(progress, "sampling") as report:
        try:
            while done < n:
                z = torch.from_numpy(latents[done : done + BATCH]).to(gan.device, gan.dtype)
                if isinstance(gan.generator, GranGenerator):
                    drawn = gan.generator.canvases(z, steps)
                else:
                    drawn = gan.generator(z)[:, None]
                parts.append(drawn.float().cpu().numpy())
                done += len(z)
                report(done, n)
        except KeyboardInterrupt:
            if not parts:
                raise Interrupted(None) from None
    canvases = np.concatenate(parts)
    bad = int((~np.isfinite(canvases).reshape(len(canvases), -1).all(axis=1)).sum())
    status, message = Status.OK, ""
    if bad:
        status, message = Status.ESCAPED, f"{bad} of {len(canvases)} images are not finite"
    elif len(canvases) < n:
        status, message = Status.NOT_CONVERGED, f"interrupted after {len(canvases)} of {n} images"
    dtype = str(gan.dtype).removeprefix("torch.")
    origin = gan.origin | {"library": f"torch {torch.__version__}", "device": str(gan.device), "dtype": dtype}
    result = GanSamples(
        status=status,
        message=message,
        settings=settings,
        provenance=provenance(None, seed=seed, seconds=time.perf_counter() - begin) | origin,
        canvases=canvases,
        latents=latents[: len(canvases)].reshape(len(canvases), -1),
        value_range=gan.config.value_range,
        trained_steps=int(getattr(gan.config, "steps", 1)),
        columns=columns,
    )
    if len(canvases) < n and not bad:
        raise Interrupted(result)
    return result.checked(throw)
