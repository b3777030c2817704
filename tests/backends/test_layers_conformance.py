"""Layers and small networks in torch and in Keras on TensorFlow and on torch: what works, and what is known not to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import layer_cases
from keras_samples import needs_keras

ROOT = Path(__file__).parents[2]


def test_layers_of_torch() -> None:
    assert layer_cases.torch_outcomes() == layer_cases.expected("torch")


@needs_keras
def test_layers_of_keras_on_tensorflow() -> None:
    """In one process, where a layer that was traced once is quicker the second time."""
    wanted = layer_cases.expected("TensorFlow")
    found = layer_cases.keras_outcomes(layer_cases.QUICK)
    assert found == {name: wanted[name] for name in found}
    assert len(found) >= 20


@needs_keras
@pytest.mark.slow
def test_all_layers_of_keras_on_tensorflow() -> None:
    assert layer_cases.keras_outcomes() == layer_cases.expected("TensorFlow")


@needs_keras
def test_layers_of_keras_on_torch() -> None:
    settings = {"KERAS_BACKEND": "torch", "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, layer_cases.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == layer_cases.expected("Keras on torch")


ON_JAX = """
import keras, numpy as np, lyapmap as lm
layers = keras.layers
net = keras.Sequential([keras.Input((4, 4, 2)), layers.Conv2D(2, 3, padding="same", activation="tanh")])
m = lm.wrap(net)
assert lm.check_map(m, np.random.default_rng(0).uniform(-1, 1, (3, 32)))
print(m.ops.library.split()[0], m.ops.dtype)
try:
    lm.wrap(net, dtype="float64")
except lm.LyapmapError as error:
    print(error)
"""


@needs_keras
@pytest.mark.slow
def test_keras_on_jax() -> None:
    pytest.importorskip("jax", reason="needs JAX: pip install 'lyapmap[jax]'")
    settings = {"KERAS_BACKEND": "jax", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", ON_JAX]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("jax float32\ndtype: Keras has no float64 on jax")


def test_the_table_of_the_documentation_is_this_one() -> None:
    text = (ROOT / "docs" / "frameworks.md").read_text()
    begin = text.index("| layer |")
    rows = text[begin:].split("\n\n")[0].splitlines()[2:]
    assert rows == [limit.row() for limit in layer_cases.LIMITS]


def test_every_layer_is_in_every_framework() -> None:
    assert list(layer_cases.torch_networks()) == list(layer_cases.KERAS)
    assert {name for limit in layer_cases.LIMITS for name in limit.layers} <= set(layer_cases.KERAS)
