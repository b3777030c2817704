"""Sizes of the study of latent spectral decomposition: those of the paper, and smaller ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.study.protocol import Sizes, check_ascending, preset, size

_LEAST = {"vectors": 2, "transient": 0, "image_transient": 0, "trajectories": 2, "starts": 2}


@dataclass(frozen=True)
class LsdProtocol(Sizes):
    """How much of everything; the defaults are those of the protocol "paper".

    Attributes
    ----------
    Each has its meaning under `help` in the field's metadata, which the command line shows.
    """

    vectors: int = size(5000, "Latent vectors in each average, where the model brings no basis (5000 in the paper).")
    trials: int = size(20, "Draws of the encoder over which accuracies are averaged (20 in the paper).")
    test_images: int = size(10_000, "Test images that are classified, at most.")
    components: tuple[int, ...] = size((1, 2, 3, 4, 10), "Numbers of components that images are made of.")
    rows: int = size(25, "Rows of sheets (25 in the paper).")
    gaussian: tuple[float, ...] = size(
        (0.2, 0.4, 0.8, 1.2), "Standard deviations of Gaussian noise, for pixels in [-1, 1]."
    )
    salt_pepper: tuple[float, ...] = size((0.05, 0.1, 0.2, 0.4), "Parts of the pixels that become black or white.")
    noisy_images: int = size(2000, "Test images that noise is added to, at most.")
    rotation_steps: int = size(3, "Steps from one label to the next, each of pi / (2 steps) (3 in the paper).")
    rotated: int = size(500, "Test images of the first label that are rotated, at most.")
    turns: int = size(30, "Turns round all labels over which it is asked whether they close.")
    starts: int = size(100, "Encoded test images from which trajectories in latent space start.")
    settle_steps: int = size(500, "Steps in which they are given time to settle.")
    guesses: int = size(60, "States that Newton's method starts from.")
    trajectories: int = size(8, "Trajectories of the exponents.")
    transient: int = size(200, "Steps before.")
    steps: int = size(500, "Steps of the exponents in latent space.")
    image_transient: int = size(100, "Steps before the exponents in image space.")
    image_steps: int = size(300, "Steps of the exponents in image space.")
    category_steps: int = size(300, "Steps whose categories are followed.")
    category_trajectories: int = size(100, "Trajectories whose categories are followed.")
    real: int = size(3000, "Test images that generated ones are compared with, at most.")
    k: int = size(7, "Neighbours for precision and recall.")

    def __post_init__(self) -> None:
        for name, value in self.settings().items():
            if isinstance(value, tuple):
                check_ascending(name, value, positive=True)
            else:
                whole(name, value, _LEAST.get(name, 1))
        if self.salt_pepper[-1] > 1:
            raise LyapmapError(f"salt_pepper: expected parts of at most 1, got {self.salt_pepper[-1]}")


PROTOCOLS = {
    "quick": LsdProtocol(
        vectors=500,
        trials=5,
        test_images=2000,
        rows=10,
        noisy_images=500,
        rotated=100,
        turns=10,
        starts=40,
        settle_steps=300,
        guesses=20,
        trajectories=3,
        transient=50,
        steps=100,
        image_transient=30,
        image_steps=60,
        category_steps=60,
        category_trajectories=20,
        real=1000,
    ),
    "paper": LsdProtocol(),
}


def protocol(name: str, **sizes: Any) -> LsdProtocol:
    """A preset, "quick" or "paper", with some sizes replaced.

    Examples
    --------
    >>> protocol("quick", trials=2).trials, protocol("paper").trials
    (2, 20)
    """
    return preset(PROTOCOLS, name, sizes)
