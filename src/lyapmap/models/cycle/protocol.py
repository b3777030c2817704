"""Sizes of the study of the cycle model: those of the paper, and some that end in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.study.protocol import Sizes, check_ascending, preset, size


@dataclass(frozen=True)
class CycleProtocol(Sizes):
    """How much of everything; the defaults are the paper's, "at most" meaning as many as the data has.

    Attributes
    ----------
    Each has its meaning under `help` in the field's metadata, which the command line shows.
    """

    trajectories: int = size(980, "Of the spectrum (Fig. 8), at most.")
    transient: int = size(2000, "Steps before, wherever states shall lie on the attractor.")
    steps: int = size(2000, "Of the spectrum.")
    exponents: str = size("all", "Of the spectrum: a number, auto or all.")
    ensemble: int = size(980, "Trajectories of the embedding over n (Fig. 5) and of the divergence (Fig. 9), at most.")
    sequence_steps: int = size(12, "Of the sequences (Fig. 2 and 3).")
    layout_points: int | None = size(None, "Training images that the embedding is fitted on, at most.")
    embedded_steps: int = size(5000, "Of the trajectory embedded (Fig. 4).")
    at: tuple[int, ...] = size(
        (0, 1, 2, 3, 5, 10, 30, 100, 300, 1000, 2000, 3000), "Steps whose states are embedded (Fig. 5)."
    )
    k: int = size(7, "Neighbours for precision and recall over n (Fig. 7).")
    largest_k: int = size(10, "Precision and recall of trajectories for k from 1 to this (Fig. 6).")
    metric_trajectories: int = size(100, "Of Fig. 6, as many steps each as test images.")
    metric_steps: int = size(100, "Steps of precision and recall over n (Fig. 7).")
    divergence_steps: int | None = size(30, "Steps that pairs are followed (Fig. 9); auto where not given.")
    divergence_size: float | None = size(1e-4, "Initial distance of pairs (Fig. 9).")
    divergence_last: int | None = size(20, "Last step of the line fitted from step 1 (Fig. 9); auto where not given.")
    bundle: int = size(64, "Trajectories shown side by side (S3), at most.")
    bundle_steps: int = size(500, "Steps of each of them.")
    histogram_trajectories: int = size(980, "Of the histograms of five exponents (S4), at most.")
    histogram_steps: int = size(2000, "Steps of each of them.")
    convergence_trajectories: int = size(8, "Of the convergence of five exponents, at most.")
    convergence_steps: int = size(200_000, "Steps of each of them.")
    dimension_points: int | None = size(None, "Of data and attractor for the intrinsic dimension, at most.")
    category_trajectories: int = size(980, "Trajectories whose categories are followed, at most.")
    category_steps: int = size(300, "Steps of each of them.")
    memorization_samples: int = size(3000, "Generated images compared with the training images.")
    fold: int = size(5, "Augmented initial states of each test image.")
    noise: float = size(0.1, "Times a normal number: how far they lie towards the nearest neighbour.")
    augmented_images: int | None = size(None, "Test images that are augmented, at most.")
    augmented_steps: int = size(30, "Steps of the metrics of augmented states.")
    space_steps: tuple[int, ...] = size((1, 10, 30, 100), "Steps whose images are compared in every feature space.")
    space_images: int | None = size(None, "Test images that are compared in every feature space, at most.")
    epochs: int | None = size(None, "Kept epochs of the training that are measured, at most; evenly spread.")
    epoch_trajectories: int = size(64, "Of the spectrum of each kept epoch, at most.")
    epoch_transient: int = size(500, "Steps before.")
    epoch_steps: int = size(500, "Steps of the spectrum of each kept epoch.")
    epoch_images: int | None = size(None, "Test images whose 1st, 10th and 30th iterates are compared, at most.")

    def __post_init__(self) -> None:
        free = {"exponents", "at", "space_steps", "noise", "divergence_size"}
        for name, value in self.settings().items():
            if name not in free and value is not None:
                least = {"transient": 0, "epoch_transient": 0, "metric_steps": 10, "bundle_steps": 2}.get(name, 1)
                whole(name, value, least)
        if self.exponents not in ("auto", "all"):
            try:
                whole("exponents", float(self.exponents), 1)
            except ValueError:
                raise LyapmapError(f"exponents: expected a number, 'auto' or 'all', got {self.exponents!r}") from None
        check_ascending("at", self.at)
        check_ascending("space_steps", self.space_steps)
        if self.divergence_last is not None and self.divergence_last < 3:
            raise LyapmapError(f"divergence_last: expected at least 3, got {self.divergence_last}")
        for name in ("noise", "divergence_size"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name), finite=True)

    @property
    def n_exponents(self) -> int | str:
        """As `lyapunov_spectrum` takes it."""
        return self.exponents if self.exponents in ("auto", "all") else int(float(self.exponents))


PROTOCOLS = {
    "paper": CycleProtocol(),
    "quick": CycleProtocol(
        trajectories=8,
        transient=200,
        steps=200,
        exponents="auto",
        ensemble=120,
        layout_points=4000,
        embedded_steps=1000,
        at=(0, 1, 2, 3, 10, 30, 100, 200),
        metric_trajectories=5,
        metric_steps=15,
        divergence_steps=None,
        divergence_size=None,
        divergence_last=None,
        bundle=64,
        bundle_steps=40,
        histogram_trajectories=40,
        histogram_steps=100,
        convergence_trajectories=4,
        convergence_steps=1000,
        dimension_points=4000,
        category_trajectories=60,
        category_steps=60,
        memorization_samples=600,
        augmented_images=400,
        augmented_steps=10,
        space_images=1200,
        epochs=6,
        epoch_trajectories=4,
        epoch_transient=150,
        epoch_steps=150,
        epoch_images=1200,
    ),
}


def protocol(name: str, **sizes: Any) -> CycleProtocol:
    """A preset, "paper" or "quick", with some sizes replaced.

    Examples
    --------
    >>> protocol("quick", steps=500).steps
    500
    """
    return preset(PROTOCOLS, name, sizes)
