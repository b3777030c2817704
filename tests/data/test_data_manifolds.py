"""Benchmark manifolds: their shapes, their formulas, and the dimension that is found."""

from __future__ import annotations

import numpy as np
import pytest

from lyapmap import data
from lyapmap.analysis.dimension.intrinsic import intrinsic_dimension
from lyapmap.core.errors import DataError


@pytest.mark.parametrize("name", data.manifolds())
def test_shape_and_seed(name):
    manifold = data.manifolds()[name]
    rows = data.sample_manifold(name, 200, seed=3)
    assert rows.shape == (200, manifold.ambient)
    assert np.isfinite(rows).all()
    np.testing.assert_array_equal(rows, data.sample_manifold(name, 200, seed=3))
    assert not np.array_equal(rows, data.sample_manifold(name, 200, seed=4))
    assert manifold.dimension <= manifold.ambient


@pytest.mark.parametrize("name", [n for n, m in data.manifolds().items() if m.dimension <= 3])
def test_low_dimensions_are_found(name):
    known = data.manifolds()[name].dimension
    found = intrinsic_dimension(data.sample_manifold(name, 2500, seed=0), throw=False)
    assert found.dimension == pytest.approx(known, rel=0.12)


def test_formulas_that_can_be_checked():
    assert np.allclose(np.linalg.norm(data.sample_manifold("sphere", 50), axis=1), 1)
    faces = data.sample_manifold("faces-70", 50)
    assert (((faces == 0) | (faces == 1)).sum(axis=1) == 1).all()
    x, y, z = data.sample_manifold("helix", 50).T
    assert np.allclose((np.hypot(x, y) - 2) ** 2 + z**2, 1)
    affine = data.sample_manifold("affine", 50)
    assert np.linalg.matrix_rank(affine - affine.mean(axis=0)) == 3
    wound = data.sample_manifold("wound-6", 50)
    np.testing.assert_array_equal(wound[:, :12], wound[:, 24:])
    radius = np.hypot(wound[:, :6], wound[:, 6:12])
    angle = np.arctan2(wound[:, 6:12], wound[:, :6]) / (2 * np.pi) % 1
    np.testing.assert_allclose(np.roll(angle, -1, axis=1), radius, atol=1e-9)


def test_bad_names_and_numbers():
    with pytest.raises(DataError, match="name: expected one of sphere"):
        data.sample_manifold("klein", 10)
    with pytest.raises(DataError, match="n: expected at least 1"):
        data.sample_manifold("sphere", 0)
