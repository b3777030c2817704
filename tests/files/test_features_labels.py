"""Classifiers by name."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.files import checkpoint
from lyapmap.files.features import usual_classifier
from lyapmap.models.classifier.network import ClassifierConfig


def test_the_samples_of_a_model_are_told_apart():
    classify = lm.training.classifier("classifier-mnist")
    zeros = lm.load_model("cycle-mnist-012").sample_states
    np.testing.assert_array_equal(classify(zeros), 0)
    np.testing.assert_array_equal(classify(zeros.reshape(len(zeros), -1)), 0)
    assert classify.state_shape == (1, 28, 28)
    with pytest.raises(ShapeError, match=r"takes images of shape \(1, 28, 28\), got \(2, 1, 8, 8\)"):
        classify(np.zeros((2, 1, 8, 8)))


def test_a_file_gives_the_labels_it_was_trained_on(tmp_path):
    sets = [lm.data.load("digits", split=s, classes=(3, 7)) for s in ("train", "test")]
    config = ClassifierConfig(categories=2, image_size=8, width=4)
    trained = lm.training.train_classifier(config, *sets, classes=(7, 3), epochs=3, batch_size=32)
    checkpoint.save(trained, tmp_path / "c.pt")
    classify = lm.training.classifier(tmp_path / "c.pt")
    assert classify.classes == (7, 3)
    assert (classify(sets[1].images) == sets[1].labels).mean() > 0.8


def test_what_is_no_classifier():
    with pytest.raises(LyapmapError, match="classifier: expected classifier-fashion-mnist"):
        lm.training.classifier("nothing")
    with pytest.raises(LyapmapError, match="holds a cycle model"):
        lm.training.classifier(lm.training.shipped()["cycle-mnist-012"])


def test_the_usual_classifier_of_a_model():
    assert usual_classifier("cycle-mnist-012") == "classifier-mnist"
    with pytest.raises(LyapmapError, match="none is shipped for digits"):
        usual_classifier("cycle-digits-012")
