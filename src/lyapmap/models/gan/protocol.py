"""Sizes of the study of adversarial networks: two presets, and single ones over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lyapmap.core.arguments import positive, whole
from lyapmap.study.protocol import Sizes, preset, size

LEAST = {
    "canvas_transient": 0,
    "canvas_steps": 2,
    "dimension_points": 10,
    "samples": 10,
    "real": 10,
    "battle_samples": 2,
}
FRACTIONS = ("tolerance", "threshold")


@dataclass(frozen=True)
class GanProtocol(Sizes):
    """How much of everything; the defaults are those of the protocol "full".

    Attributes
    ----------
    Each has its meaning under `help` in the field's metadata, which the command line shows.
    """

    samples: int = size(10_000, "Samples of each model for quality, categories and nearest images.")
    real: int = size(10_000, "Test images that samples are compared with, at most.")
    k: int = size(5, "Neighbours for precision, recall, density and coverage.")
    battle_samples: int = size(10_000, "Samples of each model that the others' discriminators judge.")
    tolerance: float = size(0.3, "How far r_test may be from 1 for a winner: up to 1 + this.")
    jacobians: int = size(100, "Samples at which the Jacobian's singular values are taken.")
    threshold: float = size(0.05, "Variance, in parts of the largest, that counts as a dimension.")
    dimension_points: int = size(5000, "Images, generated and real, for the intrinsic dimension.")
    canvas_trajectories: int = size(16, "Pieces of noise for a canvas' exponents.")
    canvas_transient: int = size(200, "Updates of the canvas before.")
    canvas_exponent_steps: int = size(500, "Updates that its exponents are averaged over.")
    canvas_steps: int = size(200, "Updates over which it is watched.")
    canvas_more: tuple[int, ...] = size((7, 9), "Updates, more than trained with, whose images are judged too.")

    def __post_init__(self) -> None:
        for name, value in self.settings().items():
            if name in FRACTIONS:
                positive(name, value, finite=True)
            elif name == "canvas_more":
                for steps in value:
                    whole(name, steps, 2)
            else:
                whole(name, value, LEAST.get(name, 1))


PROTOCOLS = {
    "quick": GanProtocol(
        samples=1000,
        real=2000,
        battle_samples=2000,
        jacobians=20,
        dimension_points=1000,
        canvas_trajectories=4,
        canvas_transient=50,
        canvas_exponent_steps=100,
        canvas_steps=60,
    ),
    "full": GanProtocol(),
}


def protocol(name: str, **sizes: Any) -> GanProtocol:
    """A preset, "quick" or "full", with some sizes replaced.

    Examples
    --------
    >>> protocol("quick", samples=50).samples
    50
    """
    return preset(PROTOCOLS, name, sizes)
