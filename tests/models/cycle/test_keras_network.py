"""The generator in Keras against the one in torch: images, weights, exponents."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from keras_samples import both, images, needs_keras
from lyapmap.models.cycle.config import CycleConfig

pytestmark = needs_keras

SMALL = CycleConfig(image_size=8, width=4)
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def difference(module, network, x):
    """Largest difference of a pixel between what both make of images (m, c, h, w)."""
    import torch

    with torch.no_grad():
        ours = module(torch.from_numpy(x)).numpy()
    theirs = np.moveaxis(np.asarray(network(np.moveaxis(x, 1, -1), training=False)), -1, 1)
    assert ours.shape == theirs.shape == x.shape
    assert ours.dtype == theirs.dtype == x.dtype
    return np.abs(ours - theirs).max()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_image_through_both(dtype):
    config = CycleConfig(width=8)
    module, network = both(config, dtype)
    assert difference(module, network, images(config, dtype=dtype)) < TOLERANCE[dtype]


@settings(max_examples=5)
@given(st.integers(8, 15), st.sampled_from([1, 3]), st.integers(1, 3), st.integers(0, 99))
def test_every_size_gives_the_same_image(size, channels, width, seed):
    """Odd sizes too, where convolutions and their transposes are padded differently on both sides."""
    config = CycleConfig(image_size=size, channels=channels, width=width)
    module, network = both(config, "float64", seed)
    assert difference(module, network, images(config, 2, seed, "float64")) < 1e-12


def test_weights_come_in_the_same_order_under_the_same_names():
    module, network = both(SMALL)
    ours = [
        name.replace("weight", "kernel" if tensor.ndim == 4 else "gamma")
        for name, tensor in module.state_dict().items()
    ]
    theirs = [
        variable.path.replace("/", ".").replace("_conv", ".conv").replace("_norm", ".norm")
        for variable in network.weights
    ]
    ours = [name.replace("bias", "beta") if "norm" in name else name for name in ours]
    assert ours == theirs


def test_weights_there_and_back_are_the_same():
    from lyapmap.models.cycle.keras_checkpoint import arrays, cycle_config, keras_generator, to_keras, to_torch

    module, network = both(SMALL)
    for tensor, array in zip(module.state_dict().values(), arrays(network), strict=True):
        assert np.array_equal(to_torch(array), tensor.numpy())
        assert np.array_equal(to_keras(to_torch(array)), array)
    assert cycle_config(network, "here") == SMALL
    again = keras_generator(SMALL, [("w", array) for array in arrays(network)], "here")
    assert all(np.array_equal(a, b) for a, b in zip(arrays(again), arrays(network), strict=True))


def test_weights_that_do_not_fit_are_named():
    from lyapmap.models.cycle.keras_checkpoint import arrays, keras_generator

    weights = [(f"w{i}", array) for i, array in enumerate(arrays(both(SMALL)[1]))]
    with pytest.raises(lm.LyapmapError, match=r"x\.pt: expected 21 weights, got 20"):
        keras_generator(SMALL, weights[:20], "x.pt")
    weights[3] = ("w3", np.zeros((3, 3, 4, 9)))
    with pytest.raises(lm.LyapmapError, match=r"w3 has shape \(3, 3, 4, 9\), expected \(3, 3, 4, 8\) for down2_conv"):
        keras_generator(SMALL, weights, "x.pt")


def spectra(config, dtype, **options):
    module, network = both(config, dtype)
    maps = lm.wrap(module, state_shape=config.state_shape), lm.wrap(network)
    assert maps[1].state_shape == (config.image_size, config.image_size, config.channels)
    x0 = images(config, 4, 1).reshape(4, -1)  # one channel: the same rows in both layouts
    return [lm.lyapunov_spectrum(m, x0, seed=0, throw=False, **options) for m in maps]


def test_spectra_of_both_on_the_same_trajectory():
    ours, theirs = spectra(SMALL, "float64", n_exponents=4, n_steps=40, transient=0)
    assert np.abs(ours.exponents - theirs.exponents).max() < 1e-6
    assert np.abs(ours.per_trajectory - theirs.per_trajectory).max() < 1e-6
    assert theirs.provenance["library"].startswith("tensorflow")
    assert theirs.provenance["dtype"] == "float64"


@pytest.mark.slow
def test_spectra_of_both_in_float32_within_their_errors():
    ours, theirs = spectra(SMALL, "float32", n_exponents=2, n_steps=300, transient=100)
    assert np.abs(ours.exponents - theirs.exponents).max() < 1e-3 + 4 * np.hypot(ours.stderr, theirs.stderr).max()


@pytest.mark.slow
def test_spectra_of_the_shipped_generator_in_both_frameworks(tmp_path):
    from lyapmap.training import convert, load_model

    file = tmp_path / "generator.keras"
    assert convert("cycle-mnist-012", file).difference < 1e-5
    found = {}
    for dtype, options in (
        ("float64", {"n_steps": 40, "transient": 0}),
        ("float32", {"n_steps": 300, "transient": 100}),
    ):
        for name in ("cycle-mnist-012", file):
            model = load_model(name, dtype=dtype)
            x0 = model.sample_states[:2]
            found[dtype, name] = lm.lyapunov_spectrum(model.map, x0, n_exponents=6, seed=0, throw=False, **options)
    ours, theirs = (found["float64", name] for name in ("cycle-mnist-012", file))
    assert ours.exponents[0] > 0.1
    assert np.abs(ours.exponents - theirs.exponents).max() < 1e-6
    ours, theirs = (found["float32", name] for name in ("cycle-mnist-012", file))
    assert (np.abs(ours.exponents - theirs.exponents) < 4 * np.hypot(ours.stderr, theirs.stderr)).all()


def test_layers_survive_a_file_in_safe_mode(tmp_path):
    import keras

    _, network = both(CycleConfig(image_size=9, width=2, channels=3))
    network.save(tmp_path / "g.keras")
    again = keras.saving.load_model(tmp_path / "g.keras", safe_mode=True)
    x = np.moveaxis(images(CycleConfig(image_size=9, channels=3)), 1, -1)
    assert np.array_equal(np.asarray(network(x)), np.asarray(again(x)))
    for layer in network.layers:
        assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()


def test_dropout_works_only_in_training():
    _, network = both(SMALL)
    x = np.moveaxis(images(SMALL), 1, -1)
    assert np.array_equal(np.asarray(network(x, training=False)), np.asarray(network(x)))
    assert not np.array_equal(np.asarray(network(x, training=True)), np.asarray(network(x)))


def test_examples_run():
    for name in ("lyapmap.models.cycle.keras_network", "lyapmap.training.keras_callbacks"):
        assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.slow
def test_the_same_image_on_the_torch_backend_of_keras(tmp_path):
    program = """
import numpy as np, keras
from keras_samples import both, images
from lyapmap.models.cycle.config import CycleConfig
import torch
assert keras.backend.backend() == "torch"
for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
    config = CycleConfig(image_size=9, width=4, channels=3)
    module, network = both(config, dtype)
    x = images(config, dtype=dtype)
    with torch.no_grad():
        ours = module(torch.from_numpy(x)).numpy()
        theirs = keras.ops.convert_to_numpy(network(np.moveaxis(x, 1, -1)))
    assert np.abs(ours - np.moveaxis(theirs, -1, 1)).max() < tolerance
"""
    import os
    from pathlib import Path

    settings_ = {"KERAS_BACKEND": "torch", "KERAS_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | settings_, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
