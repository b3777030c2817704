"""The cycle generator: images of one category to images of the next."""

from __future__ import annotations

import lazy_loader

from lyapmap.files.papers import Network, Paper

PAPER = Paper(
    networks={"cycle": Network("network:Generator", "config:CycleConfig")},
    train={"cycle": "commands:train_cycle"},
    study={"cycle": "commands:study_cycle", "cycle-seeds": "commands", "cycle-trials": "commands"},
    commands={"convert": "commands"},
    readers={"TensorFlow checkpoint": "keras_checkpoint"},
    keras_layers="keras_network",
    names={"training": {"CycleRecipe": "recipe", "convert": "conversion"}},
)
# Names are loaded late, and torch with them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
