"""Sizes of the study of adversarial networks: two presets, and single ones over them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError


def _size(default: Any, help: str) -> Any:  # noqa: A002  # the word of the command line
    return field(default=default, metadata={"help": help})


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
class GanProtocol:
    """How much of everything; the defaults are those of the protocol "full".

    Attributes
    ----------
    Each has its meaning under `help` in the field's metadata, which the command line shows.
    """

    samples: int = _size(10_000, "Samples of each model for quality, categories and nearest images.")
    real: int = _size(10_000, "Test images that samples are compared with, at most.")
    k: int = _size(5, "Neighbours for precision, recall, density and coverage.")
    battle_samples: int = _size(10_000, "Samples of each model that the others' discriminators judge.")
    tolerance: float = _size(0.3, "How far r_test may be from 1 for a winner: up to 1 + this.")
    jacobians: int = _size(100, "Samples at which the Jacobian's singular values are taken.")
    threshold: float = _size(0.05, "Variance, in parts of the largest, that counts as a dimension.")
    dimension_points: int = _size(5000, "Images, generated and real, for the intrinsic dimension.")
    canvas_trajectories: int = _size(16, "Pieces of noise for a canvas' exponents.")
    canvas_transient: int = _size(200, "Updates of the canvas before.")
    canvas_exponent_steps: int = _size(500, "Updates that its exponents are averaged over.")
    canvas_steps: int = _size(200, "Updates over which it is watched.")
    canvas_more: tuple[int, ...] = _size((7, 9), "Updates, more than trained with, whose images are judged too.")

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name in FRACTIONS:
                if not 0 < value < float("inf"):
                    raise LyapmapError(f"{name}: expected a positive number, got {value}")
            elif name == "canvas_more":
                for steps in value:
                    whole(name, steps, 2)
            else:
                whole(name, value, LEAST.get(name, 1))

    def settings(self) -> dict[str, Any]:
        """All sizes by name."""
        return asdict(self)


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
    if name not in PROTOCOLS:
        raise LyapmapError(f"protocol: expected {' or '.join(PROTOCOLS)}, got {name!r}")
    return replace(PROTOCOLS[name], **sizes)
