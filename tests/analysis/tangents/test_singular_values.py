"""Singular values of Jacobians that need not be square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, svds
from torch import nn

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, MapError, RunError, ShapeError
from lyapmap.core.function import as_tangent_function, jacobian_of
from sample_maps import Henon, Linear


def linear(matrix: Any) -> Any:
    """z -> A z, of torch."""
    n, m = matrix.shape
    layer = nn.Linear(m, n, bias=False).double().eval()
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(matrix))
    return lm.wrap_function(layer, input_shape=m)


def with_values(values: Any, n: int, m: int, seed: int = 0) -> Any:
    """A matrix with these singular values."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((size, len(values))))[0] for size in (n, m))
    return left * np.asarray(values) @ right.T


@given(
    values=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5),
    more=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_a_linear_function_has_the_singular_values_of_its_matrix(values, more, seed):
    k = len(values)
    matrix = with_values(values, k + more[0], k + more[1], seed)
    found = lm.jacobian_spectrum(
        lm.wrap_function(lambda z: z @ matrix.T, input_shape=k + more[1]), np.ones(k + more[1])
    )
    wanted = np.sort(values)[::-1]
    np.testing.assert_allclose(found.singular_values[0, :k], wanted, rtol=0, atol=1e-9 * wanted[0])
    assert found.dimension[0] == (wanted**2 > 0.05 * wanted[0] ** 2).sum()
    assert found.participation[0] == pytest.approx((wanted**2).sum() ** 2 / (wanted**4).sum(), rel=1e-6)
    assert found.rank[0] == k
    assert found.complete


def circle(z):
    return z / np.sqrt((z**2).sum(1, keepdims=True))


def swiss_roll(z):
    """Of four numbers, two of which name a point of the roll."""
    turn, height = 3 + z[:, :1] + 0.5 * z[:, 1:2], z[:, 2:3] - z[:, 3:4]
    return np.concatenate([turn * np.cos(turn), height, turn * np.sin(turn)], axis=1)


@pytest.mark.parametrize(("f", "m", "dimension"), [(circle, 2, 1), (circle, 3, 2), (circle, 6, 5), (swiss_roll, 4, 2)])
def test_surfaces_have_their_dimension(f, m, dimension):
    z = np.random.default_rng(0).standard_normal((30, m))
    found = lm.jacobian_spectrum(lm.wrap_function(f, input_shape=m), z)
    assert (found.rank == dimension).all()
    assert (found.dimension <= dimension).all()
    assert (found.participation <= dimension + 1e-9).all()
    if f is circle:  # all directions along a sphere are alike
        assert (found.dimension == dimension).all()
        np.testing.assert_allclose(found.participation, dimension)


def test_central_differences_know_their_rounding():
    found = lm.jacobian_spectrum(
        lm.wrap_function(lambda z: circle(np.frombuffer(z.tobytes()).reshape(z.shape)), input_shape=3),
        np.random.default_rng(0).uniform(0.2, 1, (9, 3)),
    )
    assert found.provenance["derivative"] == "central differences"
    assert (found.rank == 2).all()


@pytest.mark.parametrize("m", [140, 200])
def test_the_leading_values_are_those_of_all_and_of_lanczos(m):
    matrix = with_values(0.9 ** np.arange(m), 210, m)
    f = linear(matrix)
    z = np.zeros((2, m))
    block = lm.jacobian_spectrum(f, z, n_values=6, seed=3)
    everything = lm.jacobian_spectrum(f, z, n_values="all")
    assert not block.complete
    assert np.isnan(block.participation).all()
    assert (block.residual < 1e-6).all()
    assert everything.rank[0] == m
    np.testing.assert_allclose(block.singular_values, everything.singular_values[:, :6], rtol=1e-12)
    point = torch.zeros(1, m, dtype=torch.float64)
    operator = LinearOperator(
        matrix.shape,
        matvec=lambda v: f.jvp(point, torch.from_numpy(v.reshape(1, -1, 1)))[1].numpy().ravel(),
        rmatvec=lambda u: f.vjp(point, torch.from_numpy(u.reshape(1, -1, 1))).numpy().ravel(),
        dtype=float,
    )
    lanczos = np.sort(svds(operator, 6, return_singular_vectors=False, rng=0))[::-1]
    np.testing.assert_allclose(block.singular_values[0], lanczos, rtol=1e-10)
    assert "lower bounds" in block.message


def test_what_has_not_settled_is_told():
    matrix = with_values(np.ones(200), 200, 200)  # no gap at all, but nothing to tell apart either
    assert lm.jacobian_spectrum(linear(matrix), np.zeros(200), n_values=3).singular_values[0] == pytest.approx(
        [1, 1, 1]
    )
    # The gap is so small that the vectors turn too slowly.
    slow = with_values(1 - 1e-5 * np.arange(200), 200, 200)
    found = lm.jacobian_spectrum(linear(slow), np.zeros(200), n_values=3, throw=False)
    assert np.abs(found.singular_values[0] - 1).max() < found.residual[0] + 1e-4


def test_the_largest_value_is_the_growth_of_a_step():
    x = np.random.default_rng(0).uniform(-0.1, 0.1, (4, 2))
    found = lm.jacobian_spectrum(Henon(), x)
    product = found.singular_values.prod(axis=1)
    np.testing.assert_allclose(product, 0.3)  # |det J|
    np.testing.assert_allclose(
        found.singular_values[:, 0] ** 2 + found.singular_values[:, 1] ** 2, 4 * 1.96 * x[:, 0] ** 2 + 1 + 0.09
    )


def test_a_constant_function_has_dimension_zero():
    found = lm.jacobian_spectrum(lm.wrap_function(lambda z: 0 * z[:, :1] + 1.0, input_shape=3), np.ones((2, 3)))
    assert (found.rank == 0).all()
    assert (found.dimension == 0).all()
    assert (found.participation == 0).all()
    assert "constant about 2 of 2 states" in found.message


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_jacobian_that_is_not_finite_is_no_number():
    f = lm.wrap_function(lambda z: np.sqrt(z), input_shape=2)
    with pytest.raises(RunError, match="escaped: the output or Jacobian of 1 of 2 states is not finite"):
        lm.jacobian_spectrum(f, [[1.0, 2.0], [-1.0, 2.0]])
    found = lm.jacobian_spectrum(f, [[1.0, 2.0], [-1.0, 2.0]], throw=False)
    assert np.isnan(found.singular_values[1]).all()
    assert np.isfinite(found.singular_values[0]).all()


def test_of_many_inputs_the_rows_that_are_finite_stand():
    layer = linear(with_values(0.5 ** np.arange(150), 150, 150))
    broken = lm.wrap_function(
        lambda z: torch.log(1 + layer.padded._function(z)), input_shape=150, backend="torch", dtype="float64"
    )
    z = np.zeros((3, 150))
    z[1] = (
        -100
        * np.linalg.svd(layer.padded._function.inner.weight.numpy())[2][0]
        * np.sign(np.linalg.svd(layer.padded._function.inner.weight.numpy())[0][0, 0])
    )
    found = lm.jacobian_spectrum(broken, z, n_values=4, throw=False, seed=0)
    assert found.status == "escaped"
    assert np.isnan(found.singular_values[1]).all()
    np.testing.assert_allclose(found.singular_values[[0, 2]], [0.5 ** np.arange(4)] * 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_values": 0}, "n_values: expected at least 1"),
        ({"n_values": 3}, "n_values: expected 1 to 2 or 'all', got 3"),
        ({"n_values": "some"}, "n_values: expected 1 to 2 or 'all'"),
        ({"threshold": 1.5}, "threshold: expected a share below 1"),
        ({"threshold": 0}, "threshold: expected a positive number"),
        ({"z": np.ones((2, 3))}, r"z: expected one state \(2,\) or a batch"),
        ({"z": [[np.nan, 1.0]]}, "z: state 0 is not finite"),
        ({"z": np.empty((0, 2))}, "z: expected at least one state, got none"),
    ],
)
def test_bad_arguments_are_named(options, said):
    given = {"z": np.ones((1, 2))} | options
    with pytest.raises(LyapmapError, match=said):
        lm.jacobian_spectrum(lm.wrap_function(circle, input_shape=2), **given)


def test_many_inputs_need_a_transposed_jacobian_or_patience():
    f = lm.wrap_function(lambda z: 2 * z, input_shape=130)
    with pytest.raises(LyapmapError, match="function with vjp; give 'all'"):
        lm.jacobian_spectrum(f, np.zeros(130))
    np.testing.assert_allclose(lm.jacobian_spectrum(f, np.zeros(130), n_values="all").singular_values, 2)


def test_what_is_no_map_is_refused_by_the_analyses_of_maps():
    f = lm.wrap_function(lambda z: np.concatenate([z, z], axis=1), input_shape=2)
    with pytest.raises(
        MapError, match=r"map: goes from \(2,\) to \(4,\), and only a map of a space to itself can be iterated"
    ):
        lm.lyapunov_spectrum(f, [0.0, 0.0], n_steps=10)
    with pytest.raises(MapError, match=r"function: expected an object .* got str"):
        lm.jacobian_spectrum("henon", [0.0])


def test_a_function_of_one_s_own_will_do():
    class Doubled:
        input_shape, output_shape = (1,), (2,)
        ops = Linear(np.eye(1)).ops if hasattr(Linear(np.eye(1)), "ops") else lm.wrap(circle, state_shape=2).ops

        def apply(self, z):
            return np.concatenate([z, z], axis=1)

        def jvp(self, z, v):
            return self.apply(z), np.concatenate([v, v], axis=1)

    assert lm.jacobian_spectrum(Doubled(), [1.0]).singular_values == pytest.approx(np.sqrt(2))
    assert jacobian_of(as_tangent_function(Doubled()), np.ones((1, 1)))[1].shape == (1, 2, 1)


def test_ctrl_c_keeps_the_states_done(monkeypatch):
    from lyapmap.analysis.tangents import singular_values

    monkeypatch.setattr(singular_values, "CHUNK_VALUES", 4)
    f = lm.wrap_function(circle, input_shape=2)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as raised:
        lm.jacobian_spectrum(f, np.ones((5, 2)), progress=stop)
    kept = raised.value.result
    assert (kept.status, len(kept.rank)) == ("not_converged", 2)
    with pytest.raises(ShapeError, match="function"):
        lm.wrap_function(lambda z: z[0, 0], input_shape=2)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_saved_and_loaded(suffix, tmp_path):
    found = lm.jacobian_spectrum(lm.wrap_function(swiss_roll, input_shape=4), np.ones((3, 4)))
    back = lm.JacobianSpectrum.load(found.save(tmp_path / f"found{suffix}"))
    np.testing.assert_array_equal(back.singular_values, found.singular_values)
    assert back.to_dict() == found.to_dict()
    assert back.mean("rank") == (2.0, 0.0)
