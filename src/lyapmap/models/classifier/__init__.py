"""A small classifier of images, the yardstick of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late
from lyapmap.files.papers import Network, Paper

if TYPE_CHECKING:
    from lyapmap.files.features import predict as predict
    from lyapmap.files.features import probabilities as probabilities
    from lyapmap.models.classifier.network import Classifier as Classifier
    from lyapmap.models.classifier.network import ClassifierConfig as ClassifierConfig
    from lyapmap.models.classifier.network import Stage as Stage

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
_NAMES = {
    "Classifier": ".network",
    "ClassifierConfig": ".network",
    "Stage": ".network",
    "predict": "lyapmap.files.features",
    "probabilities": "lyapmap.files.features",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
