"""Points as people bring them: what is taken, and what is refused in one line."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lyapmap.core.errors import LyapmapError
from lyapmap.core.points import as_points, real_array, rounding, same_samples

IMAGES = np.random.default_rng(0).random((6, 4, 5))
FLAT = IMAGES.reshape(6, 20)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5))
def test_every_entry_along_the_first_axis_is_a_point(shape, n):
    values = np.arange(n * int(np.prod(shape)), dtype=float).reshape(n, *shape)
    assert np.array_equal(as_points(values), values.reshape(n, -1))


@pytest.mark.parametrize(
    "given_values",
    [
        IMAGES.tolist(),
        IMAGES.astype(object),
        np.ma.array(IMAGES),
        np.asfortranarray(IMAGES),
        [[Decimal(x) for x in row] for row in FLAT.tolist()],
    ],
    ids=["list", "objects", "nothing masked", "fortran", "decimals"],
)
def test_what_holds_the_same_numbers_is_the_same(given_values):
    assert np.array_equal(as_points(given_values), FLAT)


def test_tables_and_tensors():
    pandas, xarray, torch = (pytest.importorskip(name) for name in ("pandas", "xarray", "torch"))
    assert np.array_equal(as_points(pandas.DataFrame(FLAT)), FLAT)
    assert np.array_equal(as_points(xarray.DataArray(IMAGES)), FLAT)
    assert np.array_equal(as_points(torch.tensor(IMAGES, requires_grad=True)), FLAT)
    half = as_points(torch.tensor(IMAGES).bfloat16())
    assert np.abs(half - FLAT).max() < 0.01
    assert as_points(torch.ones(2, 2).bool()).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    missing = pandas.DataFrame(FLAT).astype("Float64")
    missing.iloc[3, 2] = pandas.NA
    with pytest.raises(LyapmapError, match=r"got <NA> \(NAType\) in row 3"):
        as_points(missing)


def with_value(value, row=2):
    values = FLAT.copy()
    values[row, 1] = value
    return values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (with_value(np.nan), r"points: point 2 is not finite \(nan\)"),
        (with_value(-np.inf), r"point 2 is not finite \(-inf\)"),
        (np.where(FLAT > 0.5, np.nan, FLAT), "and . others; leave out"),
        (np.ma.masked_equal(with_value(7.0), 7.0), "1 of 6 rows hold masked values, the first row 2"),
        (list(np.ma.masked_equal(with_value(7.0), 7.0)), "1 of 6 rows hold masked values, the first row 2"),
        (FLAT + 1j, "complex128; give real and imaginary parts"),
        (FLAT.astype(str), "give numbers, not text"),
        ([[1.0, "a"]], "numbers"),
        (np.array([[1.0, None]]), r"got None \(NoneType\) in row 0"),
        (np.array([["2020-01-01"]], dtype="M8[D]"), "give times as numbers"),
        (np.zeros(5, dtype=[("x", float), ("y", float)]), "named columns x, y"),
        ([[1.0, 2.0], [3.0]], "parts of different shapes"),
        (np.zeros(5), r"points of one value are points\[:, None\]"),
        (3.0, "of no shape"),
        (None, "expected an array of numbers, got NoneType"),
        ({"a": 1}, "expected an array of numbers, got dict"),
        (np.zeros((0, 3)), "at least one point, got none"),
        (np.zeros((4, 0, 2)), "holds no value"),
        (np.full((3, 2), 1e200), "rescale"),
        (np.full((3, 2), 1e-200), "rescale"),
    ],
)
def test_what_is_no_points_is_refused_in_one_line(values, words):
    with pytest.raises(LyapmapError, match=words) as refused:
        as_points(values)
    assert "\n" not in str(refused.value)


def test_sparse_matrices_are_refused_with_the_mend():
    scipy = pytest.importorskip("scipy.sparse")
    with pytest.raises(LyapmapError, match=r"give points.toarray\(\)"):
        real_array(scipy.csr_matrix(FLAT), "points")


def test_samples_with_the_same_values_in_the_same_order():
    assert same_samples((28, 28), (1, 28, 28))
    assert same_samples((28, 28, 1), (784,))
    assert not same_samples((3, 8, 8), (8, 8, 3))
    assert not same_samples((2, 8), (8, 2))
    assert not same_samples((15,), (16,))


def test_rounding_is_that_of_the_precision_that_values_came_in():
    values = np.array([[0.1], [3.0]])
    assert rounding(values) == 3 * np.finfo(float).eps
    assert rounding(values.astype("f4").astype(float)) == 3 * np.finfo("f4").eps
