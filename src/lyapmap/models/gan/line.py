"""A generative adversarial network on a line, where everything that theory promises can be seen.

The picture of the theory (I. Goodfellow et al. 2014, Fig. 1 and Sect. 4; and any thesis on the subject,
GANs, Fig. 3.1): p_g moves to p_data, the best discriminator is p_data / (p_data + p_g), and the value of the game
falls to -log 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result, dims
from lyapmap.core.run import Report, Run

DATA: dict[str, tuple[tuple[float, float, float], ...]] = {
    "one": ((1.0, 1.0, 0.5),),
    "two": ((0.5, -1.0, 0.4), (0.5, 1.2, 0.4)),
}
"""Distributions of the data: (part, mean, deviation) of each normal one in the mixture."""
LOSSES = ("non-saturating", "minimax")
REACH, BINS = 4.0, 320
"""The line is watched from -REACH to REACH."""
QUANTILES = 40_001
"""Latent values whose images give p_g."""
BATCH, RATE_D, RATE_G = 256, 5e-3, 2e-3


@dataclass(frozen=True, kw_only=True)
class GanLine(Result):
    """What was seen along the training.

    Attributes
    ----------
    x : (g,)
        Places on the line.
    p_data : (g,)
        Density of the data.
    step : (s,)
        Steps of the generator after which the rest was recorded.
    p_g : (s, g)
        Density of what it makes.
    discriminator : (s, g)
        What the trained discriminator says.
    best : (s, g)
        p_data / (p_data + p_g), the best one can say.
    value : (s,)
        E log D(x) + E log(1 - D(G(z))) of the trained one, in nats.
    best_value : (s,)
        The same of the best: -log 4 plus twice the Jensen-Shannon divergence of p_data and p_g.
    error : (s,)
        Mean difference of the two over data and generated points.
    divergence : (s,)
        Jensen-Shannon divergence, in nats; 0 where p_g = p_data, log 2 where they do not meet.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.gan.pictures.draw_gan_line"

    x: NDArray[np.float64] = dims("place")
    p_data: NDArray[np.float64] = dims("place")
    step: NDArray[np.int64] = dims("recorded")
    p_g: NDArray[np.float64] = dims("recorded", "place")
    discriminator: NDArray[np.float64] = dims("recorded", "place")
    best: NDArray[np.float64] = dims("recorded", "place")
    value: NDArray[np.float64] = dims("recorded")
    best_value: NDArray[np.float64] = dims("recorded")
    error: NDArray[np.float64] = dims("recorded")
    divergence: NDArray[np.float64] = dims("recorded")


def gan_line(
    data: str = "one",
    *,
    loss: str = "non-saturating",
    steps: int = 400,
    n_discriminator: int = 5,
    frames: int = 60,
    width: int = 32,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> GanLine:
    """Train a small generator and discriminator on numbers, and record how both move.

    Parameters
    ----------
    data : "one" or "two"
        A normal distribution, or two side by side.
    loss : "non-saturating" or "minimax"
        The generator minimises -E log D(G(z)) (thesis, Eq. 3.4) or E log(1 - D(G(z))) (Eq. 3.3).
    steps : int
        Steps of the generator.
    n_discriminator : int
        Steps of the discriminator for each of them: many keep it near its best.
    frames : int
        Times that are recorded, more densely at the beginning.
    width : int
        Units of both hidden layers of each network.
    seed : int, optional
    progress : bool or callable
    throw : bool
        As everywhere; no status of this run is a failure.

    Returns
    -------
    GanLine

    Raises
    ------
    LyapmapError
        If an argument is out of range, or the training diverges.
    Interrupted
        On Ctrl-C.

    References
    ----------
    I. Goodfellow et al., NeurIPS 27 (2014), Proposition 1 and Theorem 1.

    Examples
    --------
    >>> found = gan_line(steps=30, frames=3, seed=0)
    >>> found.p_g.shape, bool(found.best_value.min() > -1.3863)
    ((3, 320), True)
    """
    if data not in DATA:
        raise LyapmapError(f"data: expected one of {', '.join(DATA)}, got {data!r}")
    if loss not in LOSSES:
        raise LyapmapError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
    steps, frames = whole("steps", steps, 1), whole("frames", frames, 2)
    n_discriminator, width = whole("n_discriminator", n_discriminator, 1), whole("width", width, 1)
    run = Run("steps", seed=seed, progress=progress)
    due = sorted({round(steps * (i / (frames - 1)) ** 1.5) for i in range(frames)})
    records: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    edges = np.linspace(-REACH, REACH, BINS + 1)
    x = (edges[1:] + edges[:-1]) / 2
    p_data = density(data, x)
    game = _Game(data, loss, width, run.seed)
    with run.steps() as report, torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(run.seed)
        # The discriminator learns first: the untrained one says nothing about theory.
        for _ in range(20 * n_discriminator):
            game.judge()
        for step in range(steps + 1):
            if step in due:
                records.append((_pushed(game.generator, edges), game.says(x)))
            for _ in range(n_discriminator):
                game.judge()
            game.make()
            report(step, steps)
    p_g, said = (np.array(part) for part in zip(*records, strict=True))
    if not (np.isfinite(p_g).all() and np.isfinite(said).all()):
        raise LyapmapError("gan_line: the training diverged; take another seed or more steps of the discriminator")
    best = p_data / (p_data + p_g)
    h = edges[1] - edges[0]
    result = GanLine(
        **run.ending(),
        settings={
            "data": data,
            "loss": loss,
            "steps": steps,
            "n_discriminator": n_discriminator,
            "width": width,
        },
        x=x,
        p_data=p_data,
        step=np.array(due),
        p_g=p_g,
        discriminator=said,
        best=best,
        value=value_of(said, p_data, p_g, h),
        best_value=value_of(best, p_data, p_g, h),
        error=h * (0.5 * (p_data + p_g) * np.abs(said - best)).sum(axis=1),
        divergence=0.5 * (value_of(best, p_data, p_g, h) + math.log(4)),
    )
    return run.finish(result, throw)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Networks this small only wait for further threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def density(data: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density of the data at places x."""
    from scipy.stats import norm

    return np.asarray(sum(part * norm.pdf(x, mean, deviation) for part, mean, deviation in DATA[data]))


def value_of(
    d: NDArray[np.float64], p_data: NDArray[np.float64], p_g: NDArray[np.float64], h: float
) -> NDArray[np.float64]:
    """The value of the game, E_data log D + E_g log(1 - D), for densities on a grid of step h."""
    from scipy.special import xlog1py, xlogy

    return h * np.asarray((xlogy(p_data, d) + xlog1py(p_g, -d)).sum(axis=-1))


def _pushed(generator: Callable[[Tensor], Tensor], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density of G(z) for normal z: the images of equally likely z, counted."""
    from scipy.stats import norm

    z = norm.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES)
    with torch.no_grad():
        made = generator(torch.from_numpy(z).float()[:, None]).numpy().ravel()
    counts, _ = np.histogram(made.clip(edges[0], edges[-1]), edges)
    return counts / (QUANTILES * (edges[1] - edges[0]))


class _Game:
    """Both networks with their optimizers."""

    def __init__(self, data: str, loss: str, width: int, seed: int) -> None:
        self.parts = torch.tensor(DATA[data])
        self.saturates = loss == "minimax"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator, self.discriminator = _perceptron(width, nn.Tanh), _perceptron(width, nn.SiLU)
        with torch.no_grad():
            # Where it begins: far to the left of the data, as in the picture.
            self.generator[-1].weight.mul_(0.5)  # type: ignore[operator]
            self.generator[-1].bias.fill_(-1.5)  # type: ignore[operator]
        self._adam_g = torch.optim.Adam(self.generator.parameters(), RATE_G, (0.5, 0.999))
        self._adam_d = torch.optim.Adam(self.discriminator.parameters(), RATE_D, (0.5, 0.999))

    def judge(self) -> None:
        """A step of the discriminator."""
        which = torch.multinomial(self.parts[:, 0], BATCH, replacement=True)
        real = self.parts[which, 1] + self.parts[which, 2] * torch.randn(BATCH)
        with torch.no_grad():
            made = self.generator(torch.randn(BATCH, 1))
        loss = F.softplus(-self.discriminator(real[:, None])).mean() + F.softplus(self.discriminator(made)).mean()
        self._adam_d.zero_grad()
        loss.backward()
        self._adam_d.step()

    def make(self) -> None:
        """A step of the generator."""
        logits = self.discriminator(self.generator(torch.randn(BATCH, 1)))
        loss = -F.softplus(logits).mean() if self.saturates else F.softplus(-logits).mean()
        self._adam_g.zero_grad()
        loss.backward()
        self._adam_g.step()

    def says(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """D at places x."""
        with torch.no_grad():
            logits = self.discriminator(torch.from_numpy(x).float()[:, None])
        return torch.sigmoid(logits.double()).numpy().ravel()


def _perceptron(width: int, unit: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(nn.Linear(1, width), unit(), nn.Linear(width, width), unit(), nn.Linear(width, 1))
