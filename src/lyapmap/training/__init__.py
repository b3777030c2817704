"""Training: a loop that knows no model, checkpoints, trained models by name."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_NAMES = {
    "CanvasDynamics": "lyapmap.models.gan.canvas_run",
    "Checkpoint": "lyapmap.files.checkpoint",
    "CycleRecipe": "lyapmap.models.cycle.recipe",
    "Gan": "lyapmap.models.gan.files",
    "GanRecipe": "lyapmap.models.gan.recipe",
    "GanSamples": "lyapmap.models.gan.sampling",
    "KaleidoscopeRecipe": "lyapmap.models.kaleidoscope.recipe",
    "Lsd": "lyapmap.models.latent_spectral.files",
    "LsdPlan": "lyapmap.models.latent_spectral.training",
    "Model": "lyapmap.files.model",
    "Progress": "lyapmap.training.loop",
    "Recipe": "lyapmap.training.recipe",
    "canvas_dynamics": "lyapmap.models.gan.canvas_run",
    "canvas_map": "lyapmap.models.gan.canvas",
    "canvas_states": "lyapmap.models.gan.canvas",
    "classifier": "lyapmap.files.labels",
    "convert": "lyapmap.models.cycle.conversion",
    "exponent_monitor": "lyapmap.training.monitor",
    "features": "lyapmap.files.features",
    "launch": "lyapmap.training.distributed",
    "KaleidoscopeSamples": "lyapmap.models.kaleidoscope.sampling",
    "gan_function": "lyapmap.models.gan.manifold",
    "gan_latents": "lyapmap.models.gan.noise",
    "image_rotation_map": "lyapmap.models.latent_spectral.maps",
    "image_shift_map": "lyapmap.models.latent_spectral.maps",
    "interpolate_gan": "lyapmap.models.gan.sampling",
    "load_gan": "lyapmap.models.gan.files",
    "load_lsd": "lyapmap.models.latent_spectral.files",
    "load_model": "lyapmap.files.zoo",
    "noise_states": "lyapmap.models.kaleidoscope.sampling",
    "rotation_map": "lyapmap.models.latent_spectral.maps",
    "round_trip_map": "lyapmap.models.latent_spectral.maps",
    "sample": "lyapmap.models.kaleidoscope.sampling",
    "sample_gan": "lyapmap.models.gan.sampling",
    "shipped": "lyapmap.files.zoo",
    "train": "lyapmap.training.loop",
    "train_classifier": "lyapmap.models.classifier.training",
    "train_lsd": "lyapmap.models.latent_spectral.training",
}
__all__ = list(_NAMES)  # names are loaded late, and torch with them

if TYPE_CHECKING:
    from lyapmap.files.checkpoint import Checkpoint
    from lyapmap.files.features import features
    from lyapmap.files.labels import classifier
    from lyapmap.files.model import Model
    from lyapmap.files.zoo import load_model, shipped
    from lyapmap.models.classifier.training import train_classifier
    from lyapmap.models.cycle.conversion import convert
    from lyapmap.models.cycle.recipe import CycleRecipe
    from lyapmap.models.gan.canvas import canvas_map, canvas_states
    from lyapmap.models.gan.canvas_run import CanvasDynamics, canvas_dynamics
    from lyapmap.models.gan.files import Gan, load_gan
    from lyapmap.models.gan.manifold import gan_function
    from lyapmap.models.gan.noise import gan_latents
    from lyapmap.models.gan.recipe import GanRecipe
    from lyapmap.models.gan.sampling import GanSamples, interpolate_gan, sample_gan
    from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe
    from lyapmap.models.kaleidoscope.sampling import KaleidoscopeSamples, noise_states, sample
    from lyapmap.models.latent_spectral.files import Lsd, load_lsd
    from lyapmap.models.latent_spectral.maps import image_rotation_map, image_shift_map, rotation_map, round_trip_map
    from lyapmap.models.latent_spectral.training import LsdPlan, train_lsd
    from lyapmap.training.distributed import launch
    from lyapmap.training.loop import Progress, train
    from lyapmap.training.monitor import exponent_monitor
    from lyapmap.training.recipe import Recipe


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'lyapmap.training' has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
