"""The recurrence of a GRAN as a map that its noise drives: dC_{t-1} -> dC_t.

The canvas itself, the sum of all updates, is no part of the state: nothing reads it, and it would add exponents of
exactly 0, one for each pixel. The code h_c of the last update is another state of the same dynamics, with far fewer
values: with f for painting and g for reading, f(g(.)) and g(f(.)) have the same exponents, as far as these are
not minus infinity.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.backends.torch_map import TorchMap, wrap_torch
from lyapmap.core.arguments import whole
from lyapmap.core.driven import DrivenMap, driven
from lyapmap.core.errors import LyapmapError
from lyapmap.core.ops import Array
from lyapmap.models.gan.config import NOISES
from lyapmap.models.gan.files import Gan, load_gan
from lyapmap.models.gan.gran import Generator, GranConfig
from lyapmap.models.gan.noise import gan_latents, noise_of

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


class CanvasSteps:
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
    found = update.flatten(1) if state == "update" else gan.generator.read(update, 1)
    return found.cpu().numpy()


def _recurrent(model: Gan | str | Path, noise: str | None, state: str) -> tuple[Gan, str]:
    gan = load_gan(model) if isinstance(model, str | Path) else model
    if not isinstance(gan.config, GranConfig):
        raise LyapmapError(
            f"model: {gan.name} is a {gan.architecture} and has no canvas to go on with; expected a gran"
        )
    if gan.config.steps == 1:
        raise LyapmapError(f"model: {gan.name} draws in one step; the canvas of a GRAN of two or more has dynamics")
    chosen = gan.config.noise if noise is None else noise
    if chosen not in NOISES:
        raise LyapmapError(f"noise: expected one of {', '.join(NOISES)}, got {noise!r}")
    if state not in STATES:
        raise LyapmapError(f"state: expected one of {', '.join(STATES)}, got {state!r}")
    return gan, chosen
