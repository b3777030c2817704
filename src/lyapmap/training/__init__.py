"""Training: a loop that knows no model, checkpoints, trained models by name; what the papers bring to train theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late
from lyapmap.files.papers import public_names

_NAMES = {
    "Checkpoint": "lyapmap.files.checkpoint",
    "Model": "lyapmap.files.model",
    "Progress": "lyapmap.training.loop",
    "Recipe": "lyapmap.training.recipe",
    "classifier": "lyapmap.files.features",
    "exponent_monitor": "lyapmap.training.monitor",
    "features": "lyapmap.files.features",
    "launch": "lyapmap.training.distributed",
    "load_model": "lyapmap.files.zoo",
    "shipped": "lyapmap.files.zoo",
    "train": "lyapmap.training.loop",
} | public_names("training")
__all__ = [*sorted(_NAMES)]  # names are loaded late, and torch with them

if TYPE_CHECKING:
    from lyapmap.files.checkpoint import Checkpoint
    from lyapmap.files.features import classifier, features
    from lyapmap.files.model import Model
    from lyapmap.files.zoo import load_model, shipped
    from lyapmap.models.classifier.training import train_classifier
    from lyapmap.models.cycle.conversion import convert
    from lyapmap.models.cycle.recipe import CycleRecipe
    from lyapmap.models.gan.canvas import CanvasDynamics, canvas_dynamics, canvas_map, canvas_states
    from lyapmap.models.gan.pair import (
        Gan,
        GanSamples,
        gan_function,
        gan_latents,
        interpolate_gan,
        load_gan,
        sample_gan,
    )
    from lyapmap.models.gan.recipe import GanRecipe
    from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe
    from lyapmap.models.kaleidoscope.sampling import KaleidoscopeSamples, noise_states, sample
    from lyapmap.models.latent_spectral.maps import image_rotation_map, image_shift_map, rotation_map, round_trip_map
    from lyapmap.models.latent_spectral.network import Lsd, load_lsd
    from lyapmap.models.latent_spectral.training import LsdPlan, train_lsd
    from lyapmap.training.distributed import launch
    from lyapmap.training.loop import Progress, train
    from lyapmap.training.monitor import exponent_monitor
    from lyapmap.training.recipe import Recipe

__getattr__, __dir__ = late(__name__, _NAMES)
