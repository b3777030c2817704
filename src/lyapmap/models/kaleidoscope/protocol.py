"""Sizes of the study of kaleidoscopic networks: some that end in minutes, and larger ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.study.protocol import Sizes, check_ascending, preset, size


@dataclass(frozen=True)
class KaleidoscopeProtocol(Sizes):
    """How much of everything; the defaults are those of the protocol "full".

    Attributes
    ----------
    Each has its meaning under `help` in the field's metadata, which the command line shows.
    """

    samples: int = size(1000, "Trajectories from uniform noise.")
    sample_steps: int = size(300, "Steps of the sampling (300 in the paper).")
    noise: float = size(0.01, "Half width of the uniform noise after each step (0.01 in the paper).")
    at: tuple[int, ...] = size(
        (0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 300), "Steps whose samples are shown and compared with the data."
    )
    settle_steps: int = size(3000, "Steps in which trajectories are given time to settle.")
    burn_in_samples: int = size(400, "Trajectories whose distribution is followed, at most as many as samples.")
    burn_in_steps: int = size(1000, "Steps over which it is followed.")
    burn_in_every: int = size(1, "Look at every so many-th of them.")
    guesses: int = size(400, "Ends, early iterates, and training images that Newton's method starts from, each.")
    noise_levels: tuple[float, ...] = size(
        (0.0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0),
        "Noise levels of the sweep: standard deviation of both kinds of noise.",
    )
    exponent_trajectories: int = size(16, "Trajectories at each level of noise.")
    exponent_transient: int = size(300, "Steps before.")
    exponent_steps: int = size(500, "Steps of the largest exponent.")
    wander_steps: int = size(200, "Steps at which it is asked where the state would go without noise.")
    quench_steps: int = size(200, "Steps without noise that answer it.")
    category_levels: tuple[float, ...] = size(
        (0.01, 0.1, 0.3), "Standard deviations of the noise under which categories are followed."
    )
    category_trajectories: int = size(100, "Trajectories whose categories are followed.")
    category_steps: int = size(500, "Steps of each, after the burn-in.")
    dimension_points: int = size(10_000, "Training images, and states under noise, for the intrinsic dimension.")
    dimension_noise: float = size(0.1, "Standard deviation of the noise for the dimension under noise.")
    real: int = size(10_000, "Held-out images that samples are compared with, at most.")
    k: int = size(5, "Neighbours for precision, recall, density and coverage.")
    against_samples: int = size(500, "Trajectories of each further model.")
    against_steps: int = size(1000, "Steps of each.")

    def __post_init__(self) -> None:
        for name, value in self.settings().items():
            if isinstance(value, tuple):
                check_ascending(name, value)
            elif name in ("noise", "dimension_noise"):
                positive(name, value, finite=True)
            else:
                least = {"exponent_transient": 0, "burn_in_samples": 16, "burn_in_steps": 4, "wander_steps": 2}
                whole(name, value, least.get(name, 1))
        if self.at[-1] > self.sample_steps:
            raise LyapmapError(f"at: expected steps up to sample_steps = {self.sample_steps}, got {self.at[-1]}")


PROTOCOLS = {
    "quick": KaleidoscopeProtocol(
        samples=300,
        settle_steps=1000,
        burn_in_samples=200,
        burn_in_steps=300,
        burn_in_every=1,
        guesses=24,
        noise_levels=(0.0, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0),
        exponent_trajectories=6,
        exponent_transient=60,
        exponent_steps=100,
        wander_steps=40,
        quench_steps=40,
        category_trajectories=30,
        category_steps=150,
        dimension_points=3000,
        real=2000,
        against_samples=200,
        against_steps=300,
    ),
    "full": KaleidoscopeProtocol(),
}


def protocol(name: str, **sizes: Any) -> KaleidoscopeProtocol:
    """A preset, "quick" or "full", with some sizes replaced; steps of `at` beyond fewer `sample_steps` are dropped.

    Examples
    --------
    >>> protocol("quick", samples=50, sample_steps=20).at
    (0, 1, 2, 3, 5, 10, 20)
    """
    if "sample_steps" in sizes and "at" not in sizes:
        last = sizes["sample_steps"]
        sizes["at"] = (*(step for step in PROTOCOLS[name].at if step < last), last)
    return preset(PROTOCOLS, name, sizes)
