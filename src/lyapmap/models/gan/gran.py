"""GRAN: a recurrent generator that draws onto a canvas, update by update.

D. J. Im, C. D. Kim, H. Jiang, R. Memisevic, "Generating images with recurrent adversarial networks" (2016).
At each step the last update of the canvas is read into a code, and noise and code are painted into
the next update (Eq. 5 to 8):

    h_z = tanh(W z_t + b),   h_c = g(dC_{t-1}),   dC_t = f([h_z, h_c]),

with h_c = 0 at the first step; the image is tanh (or a sigmoid) of the sum of all updates (Eq. 9).
With one step it is a DCGAN behind one dense layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.models.gan.dcgan import DcganConfig, Discriminator, Painter, Reader, bounded, draw_weights, usual_kernels

__all__ = ["NOISES", "PRESETS", "DcganConfig", "Generator", "Gran", "GranConfig", "preset", "usual_kernels"]

NOISES = ("one", "fresh")
WEIGHTS = ("tied", "separate")


@dataclass(frozen=True)
class GranConfig(DcganConfig):
    """Sizes of a GRAN: those of a `DcganConfig`, and how it draws.

    Parameters
    ----------
    steps : int
        Updates of the canvas, T in the paper.
    hidden : int
        Values of the code of the noise and of that of the last update.
    noise : "one" or "fresh"
        The same z at each step, or a new one.
    weights : "tied" or "separate"
        The same networks at each step, or others. (Running means of batch norm are always kept for each
        step: the first update starts from an empty code, and its activations are unlike the later ones.)
    """

    image_size: int = 28
    channels: int = 1
    kernels: tuple[int, ...] = (80, 40)
    latent: int = 60
    steps: int = 3
    hidden: int = 100
    noise: str = "one"
    weights: str = "tied"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "hidden"):
            if getattr(self, name) < 1:
                raise LyapmapError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.noise not in NOISES:
            raise LyapmapError(f"noise: expected one of {', '.join(NOISES)}, got {self.noise!r}")
        if self.weights not in WEIGHTS:
            raise LyapmapError(f"weights: expected one of {', '.join(WEIGHTS)}, got {self.weights!r}")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.latent,) if self.noise == "one" else (self.steps, self.latent)


PRESETS = {
    "mnist": GranConfig(28, 1, (80, 40), latent=60),
    "cifar10": GranConfig(32, 3, (1024, 512, 216), latent=100),
    "lsun": GranConfig(64, 3, (1024, 512, 216, 128), latent=100),
}
"""Table 5 of D. J. Im et al. (2016): channels, filters of 5 x 5, values of z. It leaves the size of codes open."""


def preset(name: str, **changes: Any) -> GranConfig:
    """A published configuration, with changes.

    >>> preset("cifar10", steps=5).kernels
    (1024, 512, 216)
    """
    if name not in PRESETS:
        raise LyapmapError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return replace(PRESETS[name], **changes)


class Generator(nn.Module):
    """Noise to images, (b, latent) or (b, steps, latent) -> (b, c, h, w), within the range of the output.

    Parameters
    ----------
    config : GranConfig
        With separate weights it holds `steps` painters and steps - 1 readers; steps beyond take the last
        ones. With one step there is nothing to read, and no reader.

    Examples
    --------
    >>> import torch
    >>> g = Generator(GranConfig(image_size=8, kernels=(4,), latent=3, hidden=5, steps=2)).eval()
    >>> g(torch.zeros(2, 3)).shape, g.canvases(torch.zeros(2, 3), steps=7).shape
    (torch.Size([2, 1, 8, 8]), torch.Size([2, 7, 1, 8, 8]))
    """

    def __init__(self, config: GranConfig) -> None:
        super().__init__()
        self.config = config
        copies = config.steps if config.weights == "separate" else 1
        recurrent = config.steps > 1
        codes = 2 * config.hidden if recurrent else config.hidden
        codings = [nn.Linear(config.latent, config.hidden) for _ in range(copies)]
        self.noise = nn.ModuleList(codings)
        counted = config.steps if copies == 1 else 1
        self.painters = nn.ModuleList(Painter(config, codes, counted) for _ in range(copies))
        readers = 0 if not recurrent else 1 if copies == 1 else copies - 1
        counted = config.steps - 1 if copies == 1 else 1
        self.readers = nn.ModuleList(Reader(config, config.hidden, counted) for _ in range(readers))
        draw_weights(self)
        for layer in codings:
            # Larger than the others: with their spread all noise would look alike to the painter.
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, z: Tensor) -> Tensor:
        return bounded(self._canvas(z, self.config.steps)[-1], self.config.output)

    def canvases(self, z: Tensor, steps: int | None = None) -> Tensor:
        """Images after each of `steps` updates (as trained with, by default), (b, steps, c, h, w)."""
        canvases = self._canvas(z, steps or self.config.steps)
        return bounded(torch.stack(canvases, 1), self.config.output)

    def updates(self, z: Tensor, steps: int | None = None) -> Tensor:
        """The updates themselves, dC_1, dC_2, ..., (b, steps, c, h, w)."""
        canvases = torch.stack(self._canvas(z, steps or self.config.steps), 1)
        return torch.diff(canvases, dim=1, prepend=torch.zeros_like(canvases[:, :1]))

    def first(self, z: Tensor) -> Tensor:
        """The first update, of noise (b, latent)."""
        h_z = torch.tanh(self.noise[0](z))
        if not self.readers:
            return self.painters[0](h_z)
        return self.painters[0](torch.cat([h_z, 0.0 * h_z], 1))  # an empty code

    def next(self, update: Tensor, z: Tensor, step: int) -> Tensor:
        """The update of step number `step` (the second is 1), after the last one and of noise (b, latent)."""
        return self.paint(self.read(update, step), z, step)

    def read(self, update: Tensor, step: int) -> Tensor:
        """The code of an update for the step after it, (b, c, h, w) -> (b, hidden)."""
        self.require_reader()
        at = min(step, self.config.steps - 1) - 1
        tied = len(self.readers) == 1 and self.config.weights == "tied"
        return self.readers[0](update, at) if tied else self.readers[at](update)

    def paint(self, code: Tensor, z: Tensor, step: int) -> Tensor:
        """The update of noise and of the code of the last one."""
        at = min(step, self.config.steps - 1)
        if self.config.weights == "tied":
            return self.painters[0](torch.cat([torch.tanh(self.noise[0](z)), code], 1), at)
        return self.painters[at](torch.cat([torch.tanh(self.noise[at](z)), code], 1))

    def require_reader(self) -> None:
        """Raise if there was one step only."""
        if not self.readers:
            raise LyapmapError("steps: the network was made for one step, and cannot read its canvas for a second one")

    def _canvas(self, z: Tensor, steps: int) -> list[Tensor]:
        """Sums of updates."""
        if steps > 1:
            self.require_reader()
        noise = self._noise(z, steps)
        update = self.first(noise[0])
        canvases = [update]
        for step in range(1, steps):
            update = self.next(update, noise[step], step)
            canvases.append(canvases[-1] + update)
        return canvases

    def _noise(self, z: Tensor, steps: int) -> list[Tensor]:
        """The noise of each step."""
        if self.config.noise == "one":
            if z.ndim != 2 or z.shape[1] != self.config.latent:
                raise ShapeError(f"z: expected (b, {self.config.latent}), got {tuple(z.shape)}")
            return [z] * steps
        if z.ndim != 3 or z.shape[2] != self.config.latent or z.shape[1] < steps:
            raise ShapeError(
                f"z: expected (b, {steps}, {self.config.latent}), fresh noise for each step, got {tuple(z.shape)}"
            )
        return [z[:, step] for step in range(steps)]


class Gran(nn.Module):
    """A recurrent generator with its discriminator."""

    def __init__(self, config: GranConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = Generator(config)
        self.discriminator = Discriminator(config)
