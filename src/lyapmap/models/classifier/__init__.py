"""A small classifier of images, the yardstick of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lyapmap._late import late

if TYPE_CHECKING:
    from lyapmap.models.classifier.network import Classifier as Classifier
    from lyapmap.models.classifier.network import ClassifierConfig as ClassifierConfig
    from lyapmap.models.classifier.network import Stage as Stage
    from lyapmap.models.classifier.network import predict as predict
    from lyapmap.models.classifier.network import probabilities as probabilities

_NAMES = {
    "Classifier": ".network",
    "ClassifierConfig": ".network",
    "Stage": ".network",
    "predict": ".network",
    "probabilities": ".network",
}
__all__ = [*_NAMES]  # loaded late, and torch with them
__getattr__, __dir__ = late(__name__, _NAMES)
