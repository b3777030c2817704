"""Training: a loop that knows no model, checkpoints, trained models by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Checkpoint": "checkpoint",
    "CycleRecipe": "cycle",
    "Model": "model",
    "Progress": "loop",
    "Recipe": "recipe",
    "classifier": "labels",
    "convert": "conversion",
    "exponent_monitor": "monitor",
    "features": "extractors",
    "load_model": "zoo",
    "shipped": "zoo",
    "train": "loop",
    "train_classifier": "classify",
}
__all__ = list(_NAMES)  # names are loaded late, and torch with them

if TYPE_CHECKING:
    from lyapmap.training.checkpoint import Checkpoint
    from lyapmap.training.classify import train_classifier
    from lyapmap.training.conversion import convert
    from lyapmap.training.cycle import CycleRecipe
    from lyapmap.training.extractors import features
    from lyapmap.training.labels import classifier
    from lyapmap.training.loop import Progress, train
    from lyapmap.training.model import Model
    from lyapmap.training.monitor import exponent_monitor
    from lyapmap.training.recipe import Recipe
    from lyapmap.training.zoo import load_model, shipped


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'lyapmap.training' has no attribute {name!r}")
    return getattr(import_module(f"lyapmap.training.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
