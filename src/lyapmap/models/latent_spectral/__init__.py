"""Latent spectral decomposition: a basis of the latent space for the labels of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late
from lyapmap.files.papers import Network, Paper

if TYPE_CHECKING:
    from lyapmap.models.latent_spectral.network import Classifier as Classifier
    from lyapmap.models.latent_spectral.network import Encoder as Encoder
    from lyapmap.models.latent_spectral.network import EncoderConfig as EncoderConfig
    from lyapmap.models.latent_spectral.network import LatentSpectral as LatentSpectral
    from lyapmap.models.latent_spectral.network import PooledConfig as PooledConfig
    from lyapmap.models.latent_spectral.network import described as described
    from lyapmap.models.latent_spectral.network import sampled as sampled

PAPER = Paper(
    networks={
        "lsd-classifier": Network(
            "network:Classifier",
            "network:PooledConfig",
            no_map="which cannot be iterated; see --classifier",
            serves="--features and --classifier",
            uses=("labels",),
        ),
        "lsd": Network("network:LatentSpectral"),
    },
    train={"lsd": "commands.train"},
    study={"lsd": "commands.study"},
    group="lsd",
    group_help="Images in the basis of latent spectral decomposition: components, denoising, rotations.",
    group_commands={
        "decompose": "commands.decompose",
        "denoise": "commands.denoise",
        "rotate": "commands.rotate",
    },
    names={
        "training": {
            "Lsd": "network",
            "LsdPlan": "training",
            "image_rotation_map": "maps",
            "image_shift_map": "maps",
            "load_lsd": "network",
            "rotation_map": "maps",
            "round_trip_map": "maps",
            "train_lsd": "training",
        },
        "views": {"draw_lsd_images": "pictures"},
    },
)
_NAMES = {
    "EncoderConfig": ".network",
    "PooledConfig": ".network",
    "Classifier": ".network",
    "Encoder": ".network",
    "LatentSpectral": ".network",
    "described": ".network",
    "sampled": ".network",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
