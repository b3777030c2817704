"""Maps of states that are held to a surface: as many exponents as it has dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, MapError

L = np.array([2.0, 1.5, 1.0, 0.5])
TURN = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
A = TURN @ np.diag(L) @ TURN.T
ON_SPHERE = np.log(L[1:] / L[0])
"""Exponents of x -> A x / |A x| at the leading eigenvector."""


def directions(x: Any) -> Any:
    y = x @ A.T
    return y / np.linalg.norm(y, axis=-1, keepdims=True)


def run(m: Any, x0: Any, **options: Any) -> Any:
    return lm.lyapunov_spectrum(m, x0, **{"n_steps": 300, "transient": 100, "seed": 0, **options})


def test_a_linear_map_on_a_sphere_has_the_ratios_of_its_eigenvalues() -> None:
    m = lm.wrap(directions, state_shape=4, constraint="sphere")
    assert repr(m).endswith("on a sphere: 3 dimensions")
    assert m.provenance["constraint"] == "sphere"
    s = run(m, [1.0, 0.5, 0.2, 0.1])
    np.testing.assert_allclose(s.exponents, ON_SPHERE, atol=1e-9)
    np.testing.assert_allclose(run(m, np.ones(4), n_exponents=2).exponents, ON_SPHERE[:2], atol=1e-9)
    with pytest.raises(LyapmapError, match="n_exponents: expected 1 to 3"):
        run(m, np.ones(4), n_exponents=4)
    # Without it the radial direction is shown as one that contracts without end.
    free = run(lm.wrap(directions, state_shape=4), [1.0, 0.5, 0.2, 0.1], throw=False).exponents
    assert not np.isfinite(free[3]) or free[3] < -30


@pytest.mark.parametrize("library", ["torch", pytest.param("jax", marks=pytest.mark.slow)])
def test_frameworks_and_radii(library: str) -> None:
    if library == "torch":
        torch = pytest.importorskip("torch")
        matrix = torch.tensor(A)
        m = lm.wrap(
            lambda x: 2 * torch.nn.functional.normalize(x @ matrix.T, dim=1),
            state_shape=4,
            dtype="float64",
            constraint="sphere",
        )
    else:
        jnp = pytest.importorskip("jax").numpy
        m = lm.wrap(
            lambda x: 2 * (x @ A.T) / jnp.linalg.norm(x @ A.T, axis=1, keepdims=True),
            state_shape=4,
            dtype="float64",
            backend="jax",
            constraint="sphere",
        )
    assert m.provenance["radius"] == pytest.approx(2)
    np.testing.assert_allclose(run(m, np.ones(4)).exponents, ON_SPHERE, atol=1e-9)


def test_each_vector_along_the_last_axis() -> None:
    m = lm.wrap(directions, state_shape=(2, 4), constraint="sphere")
    np.testing.assert_allclose(run(m, np.ones((2, 4))).exponents, np.repeat(ON_SPHERE, 2), atol=1e-9)


def test_shares_have_no_direction_that_keeps_their_sum() -> None:
    p = np.random.default_rng(1).uniform(size=(3, 3))
    p /= p.sum(axis=0)
    others = np.sort(np.log(np.abs(np.linalg.eigvals(p))))[::-1][1:]
    m = lm.wrap(lambda x: x @ p.T, state_shape=3, constraint="simplex")
    np.testing.assert_allclose(run(m, np.ones(3)).exponents, others, atol=1e-9)


def test_a_chaotic_map_of_shares_agrees_with_the_one_of_the_first() -> None:
    """(p, 1 - p) under the logistic map: one exponent, log 2, and the sum of logarithms along the orbit."""

    def step(p: Any) -> Any:
        first = 4 * p[:, :1] * p[:, 1:]
        return np.concatenate([first, 1 - first], axis=1)

    m = lm.wrap(step, state_shape=2, constraint="simplex")
    s = run(m, [0.3, 0.7], n_steps=4000)
    assert s.exponents.shape == (1,)
    assert abs(s.exponents[0] - np.log(2)) < 0.02
    assert s.sum_rule is None or abs(s.sum_rule["residual"]) < 1e-6


def test_volumes_are_those_of_the_surface() -> None:
    m = lm.wrap(directions, state_shape=4, constraint="sphere")
    x = np.random.default_rng(0).normal(size=(2, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    # A projection of a linear map: det A over the growth of length, to the power of n.
    wanted = np.log(L).sum() - 4 * np.log(np.linalg.norm(x @ A.T, axis=1))
    np.testing.assert_allclose(m.log_abs_det(x, 1), wanted, atol=1e-12)
    assert lm.check_map(m, x)


def test_what_does_not_lie_there_is_refused() -> None:
    with pytest.raises(MapError, match=r"images of states on the sphere are not on it .* vectors of length 1"):
        lm.wrap(lambda x: x @ A.T, state_shape=4, constraint="sphere")
    with pytest.raises(MapError, match="images of states on the simplex are not on it"):
        lm.wrap(lambda x: x - 0.9, state_shape=4, constraint="simplex")
    with pytest.raises(LyapmapError, match="constraint: expected 'sphere' or 'simplex', got 'circle'"):
        lm.wrap(directions, state_shape=4, constraint="circle")
    with pytest.raises(LyapmapError, match="of 2 values at least"):
        lm.wrap(lambda x: x, state_shape=1, constraint="sphere")
    with pytest.raises(LyapmapError, match="periods: states that are held to a constraint"):
        lm.wrap(directions, state_shape=4, constraint="sphere", periods={0: 1.0})


def test_covariant_vectors_lie_in_the_surface() -> None:
    m = lm.wrap(directions, state_shape=4, constraint="sphere")
    result = lm.covariant_vectors(m, [1.0, 0.5, 0.2, 0.1], n_steps=20, seed=0)
    assert result.vectors.shape == (1, 20, 4, 3)
    top = TURN[:, 0]
    assert np.abs(np.einsum("i,tik->tk", top, result.vectors[0, 10:])).max() < 1e-6
