"""Tiny adversarial networks with random weights, as checkpoints."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from lyapmap import data
from lyapmap.files import checkpoint as checkpoints
from lyapmap.models.gan.dcgan import DcganConfig
from lyapmap.models.gan.gran import GranConfig
from lyapmap.models.gan.pair import Gan, load_gan
from lyapmap.models.gan.recipe import GanRecipe

DCGAN = DcganConfig(image_size=8, channels=1, kernels=(6,), latent=5)
GRAN = GranConfig(image_size=8, channels=1, kernels=(6,), latent=5, hidden=7, steps=3)


def recipe(config: DcganConfig = DCGAN, **options: Any) -> GanRecipe:
    return GanRecipe(config, data.load("digits"), **({"batch_size": 50, "average": 0.9} | options))


def saved(folder: Path, config: DcganConfig = DCGAN, *, steps: int = 0, louder: float = 1.0, **options: Any) -> Path:
    """A checkpoint after so many steps, the weights of the generator multiplied."""
    made = recipe(config, **options)
    made.start_epoch(0)
    for step in range(steps):
        made.step(step)
    with torch.no_grad():
        for part in (made.model.generator, made._mean):
            for parameter in part.parameters() if part is not None else ():
                parameter.mul_(louder)
    whole = made.checkpoint()
    return checkpoints.save(replace(whole, training=whole.training | {"epoch": 0}), folder / "gan.pt")


@cache
def loaded(config: DcganConfig = DCGAN, dtype: str = "float64", louder: float = 1.0) -> Gan:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return load_gan(saved(Path(folder), config, louder=louder), dtype=dtype)
