"""The choice of the few nearest from rough squares, against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lyapmap.analysis.neighbors.duplicates import first_appearances, tell_apart
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.neighbors.nearest import groups_of, nearest_of
from lyapmap.analysis.neighbors.search import _blocks, _tree, exact_search


@given(
    st.integers(0, 10_000),
    st.integers(1, 400),
    st.integers(1, 5),
    st.integers(1, 12),
    st.integers(0, 8),
    st.sampled_from(["float32", "float64"]),
)
@settings(max_examples=40, deadline=None)
def test_the_nearest_are_those_of_a_sort(seed, n, d, k, spare, kind):
    rng = np.random.default_rng(seed)
    points, queries = rng.integers(0, 6, (n, d)) * 1.0, rng.integers(0, 6, (7, d)) * 1.0  # with ties
    k = min(k, n)
    squares = cdist(queries, points, "sqeuclidean")
    distances, indices, border = nearest_of(squares.astype(kind), points, queries, k, min(k + spare, n))
    np.testing.assert_array_equal(distances, np.sqrt(np.sort(squares, axis=1)[:, :k]))
    np.testing.assert_array_equal(np.take_along_axis(squares, indices, axis=1), np.rint(distances**2))
    assert all(len(set(row)) == k for row in indices.tolist())
    # Of points at the same distance, those before the border come in the order of their numbers.
    for row in range(7):
        same = np.diff(distances[row]) == 0
        assert (np.diff(indices[row])[same] > 0).all()
    unseen = np.sort(squares, axis=1)[:, k:]
    assert (np.isinf(border) | (border >= np.rint(distances[:, -1] ** 2))).all()
    assert n > 1 or not unseen.size


def test_what_rounding_may_hide_is_told_by_the_border():
    points = np.arange(300.0)[:, None]
    rough = np.tile(np.arange(300.0), (1, 1))
    rough[0, 7] = 250.0  # a near point that looks far
    distances, indices, border = nearest_of(rough, points, np.array([[0.0]]), 8, 16)
    assert 7 not in indices[0]
    assert border[0] < 250.0
    assert distances[0, -1] == 8.0


@pytest.mark.parametrize(("n", "few", "groups"), [(10, 20, 10), (10_000, 5, 313), (1000, 72, 334), (1, 1, 1)])
def test_groups_are_many_enough(n, few, groups):
    assert groups_of(n, few) == groups


@given(st.integers(0, 1000), st.sampled_from([1e-12, 1.0, 1e20, 1e100]), st.sampled_from([0.0, 1e6]))
@settings(max_examples=20, deadline=None)
def test_blocks_and_trees_agree_whatever_the_scale_and_offset(seed, scale, offset):
    points = (np.random.default_rng(seed).standard_normal((200, 5)) + offset) * scale
    by_tree, by_blocks = _tree(points, "euclidean")(points, 4), _blocks(points, "euclidean")(points, 4)
    np.testing.assert_allclose(by_tree[0], by_blocks[0], rtol=1e-12)
    np.testing.assert_array_equal(by_tree[1], by_blocks[1])


def test_the_faster_way_is_taken_for_the_dimension_that_points_fill():
    rng = np.random.default_rng(0)
    line = np.outer(rng.uniform(size=5000), np.ones(10)) + 1e-9 * rng.uniform(size=(5000, 10))
    assert isinstance(exact_search(line), _tree)
    assert isinstance(exact_search(rng.standard_normal((5000, 10))), _blocks)
    assert isinstance(exact_search(rng.standard_normal((5000, 10)), "chebyshev"), _tree)
    assert isinstance(exact_search(np.zeros((5000, 10))), _tree)
    assert isinstance(exact_search(rng.standard_normal((5000, 17))), _blocks)


def test_neighbours_do_not_depend_on_the_number_of_threads(monkeypatch):
    points = np.random.default_rng(1).standard_normal((3000, 20))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    one = neighbor_graph(points, 6)
    monkeypatch.delenv("OMP_NUM_THREADS")
    np.testing.assert_array_equal(one[1], neighbor_graph(points, 6)[1])


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=40)
def test_first_appearances_are_those_of_a_dictionary(seed, n, d, chunks):
    rows = np.random.default_rng(seed).integers(-1, 2, (n, d)) * np.array([1.0, -0.0, 3.0])[:d]
    seen: dict[tuple[float, ...], int] = {}
    which = [seen.setdefault(tuple(row + 0.0), len(seen)) for row in rows]
    first, numbers = first_appearances(np.array_split(rows, min(chunks, n)))
    assert numbers.tolist() == which
    assert first.tolist() == [which.index(i) for i in range(len(seen))]
    np.testing.assert_array_equal(tell_apart(rows)[0], rows[first])


def test_points_that_differ_in_the_last_bit_are_different():
    rows = np.array([[1.0, 2.0], [np.nextafter(1.0, 2.0), 2.0], [1.0, 2.0], [2.0, 1.0]])
    assert tell_apart(rows)[1].tolist() == [0, 1, 0, 2]
