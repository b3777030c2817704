"""The training that a study of the cycle model begins with where no generator is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lyapmap.core.arguments import whole
from lyapmap.core.errors import LyapmapError
from lyapmap.models.cycle.subject import checked_classes


def train_first(
    folder: Path,
    *,
    data: str,
    classes: Sequence[int],
    epochs: int,
    width: int,
    seed: int,
    device: str | None = None,
    on_step: Any = None,
) -> Path:
    """Train a generator in `folder`, or go on there; its last checkpoint.

    About ten epochs, evenly spread, are kept for the development along training.
    """
    from lyapmap.data import load
    from lyapmap.models.cycle.network import CycleConfig
    from lyapmap.models.cycle.recipe import CycleRecipe
    from lyapmap.training.loop import train

    whole("train_epochs", epochs, 1)
    whole("width", width, 1)
    classes = checked_classes(classes)
    images = {split: load(data, split=split, classes=classes) for split in ("train", "test")}
    channels, height, breadth = images["train"].state_shape
    if height != breadth:
        raise LyapmapError(f"data: {data} has images of {height} x {breadth}, expected square ones")
    config = CycleConfig(categories=len(classes), image_size=height, channels=channels, width=width)
    smallest = min(len(images["train"].of_class(c)) for c in classes)
    recipe = CycleRecipe(
        config,
        images["train"],
        images["test"],
        classes=classes,
        batch_size=min(100, smallest),
        seed=seed,
        device=device or "cpu",
    )
    keep = max(1, epochs // 10)
    train(recipe, folder, epochs=epochs, seed=seed, checkpoint_every=keep, keep_every=keep, on_step=on_step)
    return folder / "last.pt"
