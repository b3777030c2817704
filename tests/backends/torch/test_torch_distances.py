"""Manifold metrics of tensors are those of arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.analysis.neighbors.tiles import NumpyTiles, tiles_for
from lyapmap.backends.torch.distances import TorchTiles
from lyapmap.core.errors import LyapmapError


def samples(dtype=np.float32):
    rng = np.random.default_rng(0)
    real, generated = rng.standard_normal((2, 150, 6)).astype(dtype)
    generated[20:50] = generated[0]
    generated[60:70] = real[:10]
    return real + dtype(100), generated + dtype(100)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("compare", ["<", "<="])
def test_tensors_give_what_arrays_give(dtype, compare, monkeypatch):
    real, generated = samples(dtype)
    plain = lm.manifold_metrics(real, generated, k=(1, 6), compare=compare, n_boot=5, seed=0)
    monkeypatch.setattr("lyapmap.backends.torch.distances.CPU_TILE", (40, 33))
    tensors = torch.from_numpy(real), torch.from_numpy(generated).requires_grad_()
    found = lm.manifold_metrics(*tensors, k=(1, 6), compare=compare, n_boot=5, seed=0)
    for name in ("inside", "reached", "covered", "spheres"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
    np.testing.assert_allclose(found.realism, plain.realism, rtol=1e-6)
    np.testing.assert_allclose(found.probabilistic_precision, plain.probabilistic_precision, atol=1e-6)
    np.testing.assert_allclose(found.probabilistic_recall, plain.probabilistic_recall, atol=1e-6)
    assert found.provenance["library"].startswith("torch")
    assert found.provenance["device"] == "cpu"
    assert isinstance(found.inside, np.ndarray)


def test_the_ops_are_chosen_by_the_arrays():
    assert isinstance(tiles_for(np.zeros(2)), NumpyTiles)
    assert isinstance(tiles_for(np.zeros(2), torch.zeros(2)), TorchTiles)


def test_half_precision_and_integers_are_taken_and_complex_numbers_are_not():
    ops = TorchTiles("cpu")
    assert ops.points(torch.zeros(2, 2, dtype=torch.bfloat16), "x").dtype == torch.float32
    assert ops.points(torch.zeros(2, 2, dtype=torch.int64), "x").dtype == torch.float64
    with pytest.raises(LyapmapError, match="x: expected real numbers"):
        ops.points(torch.zeros(2, 2, dtype=torch.complex64), "x")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_the_cpu_gives():
    real, generated = samples()
    plain = lm.manifold_metrics(real, generated, k=(1, 6), n_boot=5, seed=0)
    found = lm.manifold_metrics(torch.from_numpy(real).cuda(), torch.from_numpy(generated).cuda(), k=(1, 6), n_boot=5)
    np.testing.assert_array_equal(found.inside, plain.inside)
    np.testing.assert_array_equal(found.reached, plain.reached)
