"""The recurrence of a GRAN as a map that its noise drives, dC_{t-1} -> dC_t, and what it does in the long run.

The canvas itself, the sum of all updates, is no part of the state: nothing reads it, and it would add exponents of
exactly 0, one for each pixel. The code h_c of the last update is another state of the same dynamics, with far fewer
values: with f for painting and g for reading, f(g(.)) and g(f(.)) have the same exponents, as far as these are
not minus infinity.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.backends.torch.map import TorchMap, wrap_torch
from lyapmap.core.arguments import whole
from lyapmap.core.combined.driven import DrivenMap, driven
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.ops import Array
from lyapmap.core.results import Result, Status, dims, provenance
from lyapmap.core.run import Report
from lyapmap.models.gan.dcgan import bounded
from lyapmap.models.gan.gran import NOISES, Generator, GranConfig
from lyapmap.models.gan.pair import Gan, gan_latents, load_gan, noise_of

STATES = ("update", "code")


class Recurrence(nn.Module):
    """One step of the recurrence with the noise beside the state, (b, n + latent) -> (b, n + latent)."""

    def __init__(self, generator: Generator, state: str, step: int) -> None:
        super().__init__()
        self.generator, self.state, self.step = generator, state, step
        self.shape = generator.config.state_shape
        self.n = int(np.prod(self.shape)) if state == "update" else generator.config.hidden
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        last, z = x[:, : self.n], x[:, self.n :]
        if self.state == "update":
            now = self.generator.next(last.unflatten(1, self.shape), z, self.step).flatten(1)
        else:
            # The update of this step is read by the networks of the next one.
            now = self.generator.read(self.generator.paint(last, z, self.step), self.step + 1)
        return torch.cat([now, z], 1)


class CanvasSteps(TangentMap):
    """The joint map of state and noise, with the networks and running means of each step."""

    def __init__(self, blocks: list[TorchMap]) -> None:
        self.blocks = blocks
        last = blocks[-1]
        self.state_shape, self.ops = last.state_shape, last.ops
        self.derivative, self.provenance = last.derivative, last.provenance

    def at(self, step: int) -> TorchMap:
        """The map of one step; beyond those trained that of the last."""
        return self.blocks[min(step, len(self.blocks) - 1)]

    def apply(self, x: Array) -> Array:
        return self.blocks[-1].apply(x)

    def jvp(self, x: Array, v: Array) -> tuple[Array, Array]:
        return self.blocks[-1].jvp(x, v)

    def jacobian(self, x: Array) -> Array:
        return self.blocks[-1].jacobian(x)


class CanvasNoise:
    """Noise of each trajectory, as samples of the same seed and number have it: one, or fresh at each step."""

    def __init__(self, latent: int, noise: str, seed: int) -> None:
        self.latent, self.noise, self.seed = latent, noise, seed
        self.__name__ = f"{noise} noise, seed {seed}"

    def __call__(self, step: int, b: int) -> NDArray[np.float32]:
        # Step 0 of the map is the second of the canvas: the first makes the initial state.
        at = 0 if self.noise == "one" else step + 1
        return np.stack([noise_of(self.seed, i, at, self.latent) for i in range(b)])


def canvas_map(
    model: Gan | str | Path,
    *,
    noise: str | None = None,
    state: str = "update",
    seed: int = 0,
    first_trajectory: int = 0,
) -> DrivenMap:
    """The canvas recurrence of a GRAN as a driven map.

    Its exponents are those of the drawing with its noise held to what it was. Trajectory i, started from
    `canvas_states`, passes through the updates that `sample_gan` sums up for sample i of the same seed.

    Parameters
    ----------
    model : Gan, str or path
        A GRAN of at least two steps.
    noise : "one" or "fresh", optional
        Each trajectory's own z at every step, or a new one at each; what the model was trained with by default.
    state : "update" or "code"
        The last update, an image without bounds; or the code that it is read into, with the same exponents.
    seed : int
        Of the noise.
    first_trajectory : int
        Number of the first row, for a run that is split.

    Returns
    -------
    DrivenMap
        With `at(step)`: the first steps have networks and running means of their own.

    Raises
    ------
    LyapmapError
        If the model is no GRAN, or draws in one step.

    References
    ----------
    D. J. Im, C. D. Kim, H. Jiang, R. Memisevic (2016), Eq. 5 to 8.
    """
    gan, noise = _recurrent(model, noise, state)
    config = gan.config
    assert isinstance(gan.generator, Generator)
    origin = gan.origin | {"map": f"canvas {state} of {gan.name}", "noise": noise}
    blocks = []
    for step in range(1, gan.generator.config.steps):
        module = Recurrence(gan.generator, state, step)
        blocks.append(wrap_torch(module, state_shape=(module.n + config.latent,), provenance=origin))
    inputs = CanvasNoise(config.latent, noise, whole("seed", seed, 0))
    return driven(CanvasSteps(blocks), inputs, first_trajectory=first_trajectory)


@torch.no_grad()
def canvas_states(
    model: Gan | str | Path, n: int, *, noise: str | None = None, state: str = "update", seed: int = 0
) -> NDArray[Any]:
    """Where trajectories of `canvas_map` start: first updates, or their codes, of noise of the same seed, (n, d)."""
    gan, noise = _recurrent(model, noise, state)
    assert isinstance(gan.generator, Generator)
    z = gan_latents((gan.config.latent,), whole("n", n, 1), seed=seed)
    update = gan.generator.first(torch.from_numpy(z).to(gan.device, gan.dtype))
    states = update.flatten(1) if state == "update" else gan.generator.read(update, 1)
    return states.cpu().numpy()


def _recurrent(model: Gan | str | Path, noise: str | None, state: str) -> tuple[Gan, str]:
    gan = load_gan(model) if isinstance(model, str | Path) else model
    if not isinstance(gan.config, GranConfig):
        raise LyapmapError(
            f"model: {gan.name} is a {gan.architecture} and has no canvas to go on with; expected a gran"
        )
    if gan.config.steps == 1:
        raise LyapmapError(f"model: {gan.name} draws in one step; the canvas of a GRAN of two or more has dynamics")
    kind = gan.config.noise if noise is None else noise
    if kind not in NOISES:
        raise LyapmapError(f"noise: expected one of {', '.join(NOISES)}, got {noise!r}")
    if state not in STATES:
        raise LyapmapError(f"state: expected one of {', '.join(STATES)}, got {state!r}")
    return gan, kind


QUANTILES = (0.1, 0.5, 0.9)
SATURATED = 0.01
"""Distance from an end of the range, relative to its width, within which a pixel counts as black or white."""


@dataclass(frozen=True, kw_only=True)
class CanvasDynamics(Result):
    """Exponents of the canvas recurrence, and how far updates and image still move at each step.

    Lengths are root mean squares over pixels; of them 10, 50 and 90 % quantiles over the trajectories.

    Attributes
    ----------
    noises : tuple of str
        Kinds of noise, "one" and "fresh".
    statuses : tuple of str
        Of their spectra.
    exponents, stderr : (noises, k)
        In nats per step, the noise held to what it was.
    update_size : (noises, T, 3)
        |dC_t|.
    update_change : (noises, T - 1, 3)
        |dC_t - dC_{t-1}| from the second step on; 0 where the recurrence has come to rest.
    image_change : (noises, T - 1, 3)
        |C_t - C_{t-1}| of the image after its tanh or sigmoid.
    saturated : (noises, T)
        Share of pixels that are black or white within 1 %.
    trained_steps : int
        Updates that the network was trained with.
    unit : str
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.gan.pictures.draw_canvas_dynamics"

    noises: tuple[str, ...]
    statuses: tuple[str, ...]
    exponents: NDArray[np.float64] = dims("noise", "exponent")
    stderr: NDArray[np.float64] = dims("noise", "exponent")
    update_size: NDArray[np.float64] = dims("noise", "step", "quantile")
    update_change: NDArray[np.float64] = dims("noise", "change", "quantile")
    image_change: NDArray[np.float64] = dims("noise", "change", "quantile")
    saturated: NDArray[np.float64] = dims("noise", "step")
    trained_steps: int
    unit: str = "per step"


def canvas_dynamics(
    model: Gan | str | Path,
    *,
    noises: Sequence[str] = NOISES,
    n_steps: int = 300,
    transient: int = 100,
    n_exponents: int = 6,
    trajectories: int = 8,
    canvas_steps: int = 100,
    state: str = "update",
    seed: int = 0,
    progress: bool | Report = False,
    throw: bool = True,
) -> CanvasDynamics:
    """Exponents of a GRAN's canvas with one noise and with fresh noise, and whether it settles.

    Parameters
    ----------
    model : Gan, str or path
        A GRAN of at least two steps.
    noises : sequence of "one" and "fresh"
        The same noise at each step, or a new one, whatever the model was trained with.
    n_steps : int
        Steps to average exponents over.
    transient : int
        Steps before.
    n_exponents : int
        How many, from the largest.
    trajectories : int
        Pieces of noise.
    canvas_steps : int
        Updates over which the canvas is watched, at least 2.
    state : "update" or "code"
        What the exponents are of: the last update, an image, or the code that it is read into; see `canvas_map`.
    seed : int
        Of noise and frames.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (steps done, steps in all).
    throw : bool
        Raise if a spectrum failed; else return what there is with its status.

    Returns
    -------
    CanvasDynamics

    Raises
    ------
    LyapmapError
        If the model is no GRAN of two or more steps, or an argument does not fit.
    RunError
        If a run failed and `throw`.
    Interrupted
        On Ctrl-C, without a result.
    """
    gan = load_gan(model) if isinstance(model, str | Path) else model
    kinds = tuple(noises)
    if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(NOISES):
        raise LyapmapError(f"noises: expected different ones of {', '.join(NOISES)}, got {noises!r}")
    b, total = whole("trajectories", trajectories, 1), whole("canvas_steps", canvas_steps, 2)
    begin = time.perf_counter()
    spectra, watched, origin = [], [], {}
    try:
        for kind in kinds:
            canvas = canvas_map(gan, noise=kind, seed=seed)
            moved = canvas if state == "update" else canvas_map(gan, noise=kind, state=state, seed=seed)
            spectrum = lyapunov_spectrum(
                moved,
                canvas_states(gan, b, noise=kind, state=state, seed=seed),
                n_steps=n_steps,
                transient=transient,
                n_exponents=n_exponents,
                seed=seed,
                progress=progress,
                throw=False,
            )
            spectra.append(spectrum)
            watched.append(_watched(gan, canvas, canvas_states(gan, b, noise=kind, seed=seed), total))
            origin = provenance(canvas, seed=seed, seconds=time.perf_counter() - begin)
    except KeyboardInterrupt:
        raise Interrupted(None) from None
    worst = max((s.status for s in spectra), key=lambda status: (status.failed, status is not Status.OK))
    # That trajectories lie on several attractors, which an ordinary spectrum tells, is no news: each has its noise.
    words = [
        f"{kind} noise: {s.message}"
        for kind, s in zip(kinds, spectra, strict=True)
        if s.status is not Status.OK and s.message
    ]
    origin["map"] = f"canvas of {gan.name}"
    origin.pop("noise", None)
    origin.pop("driven_by", None)
    return CanvasDynamics(
        status=worst,
        message="; ".join(words),
        settings={
            "n_steps": n_steps,
            "transient": transient,
            "n_exponents": n_exponents,
            "trajectories": b,
            "canvas_steps": total,
            "state": state,
        },
        provenance=origin,
        noises=kinds,
        statuses=tuple(str(s.status) for s in spectra),
        exponents=np.stack([s.exponents for s in spectra]),
        stderr=np.stack([s.stderr for s in spectra]),
        trained_steps=int(getattr(gan.config, "steps", 1)),
        update_size=np.stack([w["update_size"] for w in watched]),
        update_change=np.stack([w["update_change"] for w in watched]),
        image_change=np.stack([w["image_change"] for w in watched]),
        saturated=np.stack([w["saturated"] for w in watched]),
    ).checked(throw)


def _watched(gan: Gan, canvas: DrivenMap, start: NDArray[Any], steps: int) -> dict[str, NDArray[np.float64]]:
    """Lengths of updates and of changes over the steps."""
    update = canvas.ops.from_numpy(start)
    total, before = update, None
    low, high = gan.config.value_range
    sizes, changes, moves, ends = [_quantiles(update)], [], [], []
    image = bounded(total, gan.config.output)
    for step in range(steps):
        near = torch.minimum(image - low, high - image) < SATURATED * (high - low)
        ends.append(float(near.double().mean()))
        if step == steps - 1:
            break
        before, update = update, canvas.at(step).apply(update)
        total = total + update
        sizes.append(_quantiles(update))
        changes.append(_quantiles(update - before))
        last, image = image, bounded(total, gan.config.output)
        moves.append(_quantiles(image - last))
    return {
        "update_size": np.stack(sizes),
        "update_change": np.stack(changes),
        "image_change": np.stack(moves),
        "saturated": np.array(ends),
    }


def _quantiles(rows: torch.Tensor) -> NDArray[np.float64]:
    lengths = rows.double().square().mean(1).sqrt().cpu().numpy()
    quantiles: NDArray[np.float64] = np.quantile(lengths, QUANTILES)
    return quantiles
