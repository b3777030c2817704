"""A small classifier of images, the yardstick of the others."""

from __future__ import annotations

from lyapmap._late import gathered
from lyapmap.files.papers import Network, Paper

PAPER = Paper(
    networks={
        "classifier": Network(
            "network:Classifier",
            "network:ClassifierConfig",
            no_map="which cannot be iterated; see --features",
            serves="--features and --classifier",
            uses=("features", "labels"),
        ),
    },
    train={"classifier": "commands"},
    names={"training": {"train_classifier": "training"}},
)
# Names are loaded late, and torch with them.
__getattr__, __dir__, __all__ = gathered(__name__, __file__)
