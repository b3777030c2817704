"""Training: a loop that knows no model, checkpoints, trained models by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_NAMES = {
    "CanvasDynamics": "canvas_run",
    "Checkpoint": "checkpoint",
    "CycleRecipe": "cycle",
    "Gan": "gan_files",
    "GanRecipe": "gan",
    "GanSamples": "gan_sampling",
    "KaleidoscopeRecipe": "kaleidoscope",
    "Lsd": "lsd_files",
    "LsdPlan": "lsd",
    "Model": "model",
    "Progress": "loop",
    "Recipe": "recipe",
    "canvas_dynamics": "canvas_run",
    "canvas_map": "canvas",
    "canvas_states": "canvas",
    "classifier": "labels",
    "convert": "conversion",
    "exponent_monitor": "monitor",
    "features": "extractors",
    "launch": "distributed",
    "KaleidoscopeSamples": "sampling",
    "gan_function": "gan_manifold",
    "gan_latents": "gan_noise",
    "image_rotation_map": "latent_maps",
    "image_shift_map": "latent_maps",
    "interpolate_gan": "gan_sampling",
    "load_gan": "gan_files",
    "load_lsd": "lsd_files",
    "load_model": "zoo",
    "noise_states": "sampling",
    "rotation_map": "latent_maps",
    "round_trip_map": "latent_maps",
    "sample": "sampling",
    "sample_gan": "gan_sampling",
    "shipped": "zoo",
    "train": "loop",
    "train_classifier": "classify",
    "train_lsd": "lsd",
}
__all__ = list(_NAMES)  # names are loaded late, and torch with them

if TYPE_CHECKING:
    from lyapmap.training.canvas import canvas_map, canvas_states
    from lyapmap.training.canvas_run import CanvasDynamics, canvas_dynamics
    from lyapmap.training.checkpoint import Checkpoint
    from lyapmap.training.classify import train_classifier
    from lyapmap.training.conversion import convert
    from lyapmap.training.cycle import CycleRecipe
    from lyapmap.training.distributed import launch
    from lyapmap.training.extractors import features
    from lyapmap.training.gan import GanRecipe
    from lyapmap.training.gan_files import Gan, load_gan
    from lyapmap.training.gan_manifold import gan_function
    from lyapmap.training.gan_noise import gan_latents
    from lyapmap.training.gan_sampling import GanSamples, interpolate_gan, sample_gan
    from lyapmap.training.kaleidoscope import KaleidoscopeRecipe
    from lyapmap.training.labels import classifier
    from lyapmap.training.latent_maps import image_rotation_map, image_shift_map, rotation_map, round_trip_map
    from lyapmap.training.loop import Progress, train
    from lyapmap.training.lsd import LsdPlan, train_lsd
    from lyapmap.training.lsd_files import Lsd, load_lsd
    from lyapmap.training.model import Model
    from lyapmap.training.monitor import exponent_monitor
    from lyapmap.training.recipe import Recipe
    from lyapmap.training.sampling import KaleidoscopeSamples, noise_states, sample
    from lyapmap.training.zoo import load_model, shipped


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'lyapmap.training' has no attribute {name!r}")
    return getattr(import_module(f"lyapmap.training.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
