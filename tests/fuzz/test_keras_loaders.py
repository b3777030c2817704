"""Damaged Keras models and TensorFlow checkpoints, as `test_loaders` does it with the other files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_loaders import TIMES, Kind, check

from keras_samples import both, needs_keras
from lyapmap.files import zoo
from lyapmap.models.cycle.config import CycleConfig

pytestmark = [needs_keras, pytest.mark.filterwarnings("ignore")]
CONFIG = CycleConfig(image_size=8, width=2)


def keras_file(path: Path) -> Path:
    import keras

    layers = [keras.layers.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(3)]
    keras.Sequential(layers).save(path)
    return path


def tensorflow(part: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        import tensorflow as tf

        prefix = tf.train.Checkpoint(model=both(CONFIG)[1]).save(str(path))
        return Path(f"{prefix}{part}")

    return make


def load(path: Path) -> Any:
    return zoo.load_saved(path)


def load_prefix(path: Path) -> Any:
    return zoo.load_saved(path.parent / "c-1")


KERAS: dict[str, Kind] = {
    "model.keras": (keras_file, "m.keras", load, 20),
    "model.h5": (keras_file, "m.h5", load, 20),
    "index of TensorFlow": (tensorflow(".index"), "c", load_prefix, 20),
    "data of TensorFlow": (tensorflow(".data-00000-of-00001"), "c", load_prefix, 5),
}


@pytest.mark.parametrize("kind", KERAS)
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    check(KERAS[kind], tmp_path, KERAS[kind][3], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KERAS)
def test_many_damaged_files(kind: str, tmp_path: Path) -> None:
    check(KERAS[kind], tmp_path, TIMES, seed=1_000_000)
