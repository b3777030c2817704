"""What tests of Keras share: whether it is there, and small generators with weights that were not trained."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

needs_keras = pytest.mark.skipif(
    find_spec("tensorflow") is None or find_spec("keras") is None,
    reason="needs TensorFlow and Keras: pip install 'lyapmap[tensorflow]'",
)


def weights_of(module, seed=0):
    """Gives a torch generator random gains and biases too, and returns its weights by name."""
    import torch

    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor += torch.from_numpy(0.1 * rng.standard_normal(tuple(tensor.shape))).to(tensor.dtype)
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def both(config, dtype="float32", seed=0):
    """The same generator in torch and in Keras."""
    import torch

    from lyapmap.models.cycle.keras_checkpoint import to_keras
    from lyapmap.models.cycle.keras_network import build_generator
    from lyapmap.models.cycle.network import Generator

    torch.manual_seed(seed)
    module = Generator(config).eval().to(getattr(torch, dtype))
    network = build_generator(config, dtype=dtype)
    for variable, weight in zip(network.weights, weights_of(module, seed).values(), strict=True):
        variable.assign(to_keras(weight))
    return module, network


def images(config, count=3, seed=0, dtype="float32"):
    """Random images (count, c, h, w)."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, *config.state_shape)).astype(dtype)
