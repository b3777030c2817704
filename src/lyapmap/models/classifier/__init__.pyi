"""Public names and their types; read when they are loaded, too (`lazy_loader`)."""

import lyapmap.files.papers
from lyapmap.files.features import predict as predict
from lyapmap.files.features import probabilities as probabilities

from .network import Classifier as Classifier
from .network import ClassifierConfig as ClassifierConfig
from .network import Stage as Stage

PAPER: lyapmap.files.papers.Paper
