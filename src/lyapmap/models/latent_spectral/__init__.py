"""Latent spectral decomposition: a basis of the latent space for the labels of images."""

from __future__ import annotations

import lazy_loader

from lyapmap.files.papers import Network, Paper

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
    train={"lsd": "commands:train_lsd"},
    study={"lsd": "commands:study_lsd"},
    group="lsd",
    group_help="Images in the basis of latent spectral decomposition: components, denoising, rotations.",
    group_commands={
        "decompose": "commands",
        "denoise": "commands",
        "rotate": "commands",
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
# Names are loaded late, and torch with them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
