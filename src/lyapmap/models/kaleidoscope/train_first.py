"""The training that a study of a kaleidoscopic network begins with where none is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def train_first(
    folder: Path,
    *,
    data: str,
    classes: Sequence[int] | None,
    epochs: int,
    depth: int,
    width: int,
    seed: int,
    device: str | None = None,
    on_step: Any = None,
) -> Path:
    """Train a perceptron in `folder`, or go on there; its last checkpoint."""
    from lyapmap.data import load
    from lyapmap.models.kaleidoscope.config import KaleidoscopeConfig
    from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe
    from lyapmap.training.loop import train

    images = load(data, classes=classes)
    recipe = KaleidoscopeRecipe(
        KaleidoscopeConfig(images.state_shape, depth, width), images, seed=seed, device=device or "cpu"
    )
    train(recipe, folder, epochs=epochs, seed=seed, checkpoint_every=max(1, epochs // 10), on_step=on_step)
    return folder / "last.pt"
