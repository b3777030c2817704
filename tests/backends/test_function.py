"""Functions from one space to another, of NumPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.function import jacobian_of


def of_numpy(weights: Any, *, with_jacobian: bool = False) -> Any:
    def f(z):
        return np.tanh(z @ weights.T)

    def jacobian(z):
        return (1 - f(z) ** 2)[:, :, None] * weights

    return lm.wrap_function(f, input_shape=weights.shape[1], **({"jacobian": jacobian} if with_jacobian else {}))


def of_torch(weights: Any) -> Any:
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False).double()
    layer.weight.data = torch.from_numpy(weights)
    return lm.wrap_function(nn.Sequential(layer, nn.Tanh()).eval(), input_shape=weights.shape[1])


@settings(max_examples=15)
@given(m=st.integers(1, 4), n=st.integers(1, 4), seed=st.integers(0, 99))
def test_all_ways_give_the_same_jacobian_and_its_transpose(m, n, seed):
    rng = np.random.default_rng(seed)
    weights, z, u = rng.standard_normal((n, m)), rng.standard_normal((3, m)), rng.standard_normal((3, n, 2))
    wanted = (1 - np.tanh(z @ weights.T) ** 2)[:, :, None] * weights
    for made in (of_numpy(weights), of_numpy(weights, with_jacobian=True), of_torch(weights)):
        ops = made.ops
        assert (made.input_shape, made.output_shape) == ((m,), (n,))
        output, jacobian = jacobian_of(made, ops.from_numpy(z), chunk=3)
        np.testing.assert_allclose(ops.to_numpy(output), np.tanh(z @ weights.T), atol=1e-12)
        np.testing.assert_allclose(ops.to_numpy(made.apply(ops.from_numpy(z))), np.tanh(z @ weights.T), atol=1e-12)
        np.testing.assert_allclose(ops.to_numpy(jacobian), wanted, atol=1e-10)
        if hasattr(made, "vjp"):
            pulled = ops.to_numpy(made.vjp(ops.from_numpy(z), ops.from_numpy(u)))
            np.testing.assert_allclose(pulled, wanted.swapaxes(1, 2) @ u, atol=1e-10)


def test_images_of_noise_keep_their_shape():
    up = nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2)), nn.ConvTranspose2d(3, 1, 4, 2, 1)).eval()
    f = lm.wrap_function(up, input_shape=(5,))
    assert f.output_shape == (1, 4, 4)
    z = torch.randn(2, 5)
    torch.testing.assert_close(f.apply(z), up(z).detach().flatten(1))


def test_a_module_is_copied_and_its_batch_norm_spared():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = net[1].running_mean.clone()
    with pytest.raises(MapError, match=r"training mode; call module.eval\(\) first"):
        lm.wrap_function(net, input_shape=2)
    assert torch.equal(net[1].running_mean, before)
    f = lm.wrap_function(net.eval(), input_shape=2)
    z = torch.ones(1, 2)
    kept = f.apply(z)
    with torch.no_grad():
        net[0].weight.zero_()
    assert torch.equal(f.apply(z), kept)


def test_plain_functions_of_torch_and_their_options():
    f = lm.wrap_function(lambda z: torch.cat([z, z.sin()], 1), input_shape=2, dtype="float64")
    assert (f.ops.library.split()[0], f.ops.dtype, f.output_shape) == ("torch", "float64", (4,))
    assert f.provenance["map"] == "<lambda>"


def wrapped(function, input_shape=2, backend="numpy", **options):
    return lambda: lm.wrap_function(function, input_shape=input_shape, backend=backend, **options)


@pytest.mark.parametrize(
    ("given_", "kind", "said"),
    [
        (wrapped(3), MapError, "function: expected a function"),
        (wrapped(np.sin, None), LyapmapError, "input_shape: expected the shape"),
        (wrapped(np.sin, 0), ShapeError, "expected positive sizes"),
        (wrapped(np.sin, backend="jax"), LyapmapError, "backend: expected one of numpy, torch"),
        (wrapped(lambda z: z.sum()), ShapeError, r"expected \(2, \*output_shape\)"),
        (wrapped(lambda z: z @ np.eye(3)), MapError, "failed on inputs of shape"),
        (wrapped(lambda z: z.astype("float32")), PrecisionError, "float64 back"),
        (wrapped(np.sin, speed=1), LyapmapError, "speed"),
        (wrapped(np.sin, vectorized=False), LyapmapError, "vectorized: expected a function of a batch"),
        (wrapped(nn.Linear(3, 2).eval(), backend="torch"), MapError, "failed on inputs of shape"),
        (wrapped(nn.Linear(2, 3).eval(), backend=None, speed=1), LyapmapError, "speed"),
        (wrapped(lambda z: z.sum(), backend="torch"), ShapeError, r"expected \(2, \*output_shape\)"),
        (wrapped(lambda z: 1, backend="torch"), MapError, "expected it to return a tensor"),
    ],
)  # fmt: skip
def test_bad_functions_are_named(given_, kind, said):
    with pytest.raises(kind, match=said):
        given_()


def test_bad_arrays_are_named():
    f = of_torch(np.ones((3, 2)))
    with pytest.raises(ShapeError, match=r"z: expected 2 values per row for \(2,\), got shape \(1, 3\)"):
        f.apply(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(ShapeError, match="u: expected 3 values per row"):
        f.vjp(torch.zeros(1, 2, dtype=torch.float64), torch.zeros(1, 2, 1, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"jacobian: expected \(\d, 1, 2\)"):
        lm.wrap_function(lambda z: z[:, :1], input_shape=2, jacobian=lambda z: np.ones((len(z), 2, 2)))
