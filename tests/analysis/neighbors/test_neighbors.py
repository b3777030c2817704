"""The neighbour graph against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lyapmap.analysis.neighbors import graph as neighbors
from lyapmap.analysis.neighbors import search as neighbor_search
from lyapmap.analysis.neighbors.duplicates import drop_duplicates
from lyapmap.analysis.neighbors.graph import neighbor_graph, pairs_within
from lyapmap.core.errors import LyapmapError, ShapeError


def brute(points, k, exclude, metric, queries=None):
    table = cdist(points if queries is None else queries, points, metric)
    if queries is None:
        i = np.arange(len(points))
        table[np.abs(i[:, None] - i) <= exclude] = np.inf
    return np.sort(table, axis=1)[:, :k]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(12, 80),
    d=st.sampled_from([1, 2, 3, 30]),
    k=st.integers(1, 4),
    exclude=st.integers(0, 3),
    metric=st.sampled_from(["euclidean", "chebyshev", "cityblock"]),
    levels=st.sampled_from([0, 3]),
)
def test_distances_are_those_of_brute_force(seed, n, d, k, exclude, metric, levels):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d)) if not levels else rng.integers(0, levels, (n, d)).astype(float)
    distances, indices = neighbor_graph(points, k, exclude=exclude, metric=metric)
    np.testing.assert_allclose(distances, brute(points, k, exclude, metric), atol=1e-12)
    measured = np.take_along_axis(cdist(points, points, metric), indices, axis=1)
    np.testing.assert_allclose(distances, measured, atol=1e-12)
    assert (np.abs(indices - np.arange(n)[:, None]) > exclude).all()
    assert all(len(set(row)) == k for row in indices)


@pytest.mark.parametrize("d", [2, 40])
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev"])
def test_queries(d, metric):
    rng = np.random.default_rng(1)
    points, queries = rng.normal(size=(60, d)), rng.normal(size=(7, d))
    distances, _ = neighbor_graph(points, 3, queries=queries, metric=metric)
    np.testing.assert_allclose(distances, brute(points, 3, 0, metric, queries))
    assert neighbor_graph(points, 1, queries=points[:3])[1].ravel().tolist() == [0, 1, 2]


def test_products_of_far_off_clusters_do_not_round_neighbours_away(monkeypatch):
    """Distances of 1e-6 at 1e6 from the mean vanish in the products; the check sends them to differences."""
    rng = np.random.default_rng(2)
    points = np.where(np.arange(120)[:, None] % 2, 1e6, -1e6) + 1e-6 * rng.normal(size=(120, 30))
    asked = []
    exact = neighbor_search._blocks._by_differences
    monkeypatch.setattr(
        neighbor_search._blocks, "_by_differences", lambda self, q, k: asked.append(len(q)) or exact(self, q, k)
    )
    distances, _ = neighbor_graph(points, 2)
    np.testing.assert_allclose(distances, brute(points, 2, 0, "euclidean"), rtol=1e-9)
    assert sum(asked) > 0


def test_a_window_longer_than_the_first_candidates():
    points = np.sin(0.01 * np.arange(2000))[:, None]
    distances, indices = neighbor_graph(points, 2, exclude=150)
    np.testing.assert_allclose(distances, brute(points, 2, 150, "euclidean"), atol=1e-15)
    assert (np.abs(indices - np.arange(2000)[:, None]) > 150).all()


def test_blocks_smaller_than_the_data(monkeypatch):
    monkeypatch.setattr(neighbors, "BLOCK_VALUES", 64)
    monkeypatch.setattr(neighbor_search, "BLOCK_VALUES", 64)
    rng = np.random.default_rng(3)
    for d in (2, 20):
        points = rng.normal(size=(50, d))
        np.testing.assert_allclose(neighbor_graph(points, 3, exclude=2)[0], brute(points, 3, 2, "euclidean"))
        assert len(pairs_within(points, 100.0)[0]) == 50 * 49 // 2


@pytest.mark.parametrize("d", [1, 3, 25])
@pytest.mark.parametrize("metric", ["euclidean", "chebyshev", "cityblock"])
def test_pairs_within(d, metric):
    points = np.random.default_rng(4).normal(size=(80, d))
    table = np.triu(cdist(points, points, metric), 1)
    radius = float(np.median(table[table > 0]))
    pairs, distances = pairs_within(points, radius, metric=metric)
    i, j = np.nonzero((table > 0) & (table <= radius))
    assert sorted(map(tuple, pairs.tolist())) == list(zip(i.tolist(), j.tolist(), strict=True))
    np.testing.assert_allclose(distances, table[tuple(pairs.T)])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30))
def test_duplicates(values):
    points, counts = drop_duplicates(np.array(values, float)[:, None])
    assert points.ravel().tolist() == list(dict.fromkeys(map(float, values)))
    assert counts.tolist() == [values.count(v) for v in points.ravel()]


def test_minus_zero_is_zero():
    assert drop_duplicates([[0.0], [-0.0]])[1].tolist() == [2]


@pytest.mark.parametrize(
    ("points", "k", "options", "words"),
    [
        (np.zeros(5), 1, {}, "expected points"),
        (np.zeros((0, 2)), 1, {}, "at least one point"),
        ([[np.nan], [0.0]], 1, {}, "point 0 is not finite"),
        ([["a"]], 1, {}, "real numbers"),
        (np.zeros((1, 2)), 1, {}, "need 2 points, got 1"),
        (np.zeros((5, 2)), 5, {}, "need 6 points, got 5"),
        (np.zeros((5, 2)), 1, {"exclude": 4}, "window of 4"),
        (np.zeros((5, 2)), 0, {}, "k: expected at least 1"),
        (np.zeros((5, 2)), 1, {"metric": "cosine"}, "metric: expected euclidean"),
        (np.zeros((5, 2)), 1, {"queries": np.zeros((1, 3))}, "expected 2 columns"),
        (np.zeros((5, 2)), 1, {"queries": np.zeros((1, 2)), "exclude": 1}, "exclude"),
    ],
)
def test_bad_input(points, k, options, words):
    with pytest.raises(LyapmapError, match=words):
        neighbor_graph(points, k, **options)
    assert issubclass(ShapeError, LyapmapError)


def test_bad_pairs():
    with pytest.raises(LyapmapError, match="radius: expected a positive"):
        pairs_within([[0.0]], 0)
    with pytest.raises(LyapmapError, match="metric"):
        pairs_within([[0.0]], 1, metric="x")


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("scale", [1e-18, 1.0, 1e18])
def test_many_points_in_many_dimensions(offset, scale):
    """Groups of candidates in float32, and what it cannot tell, against brute force."""
    points = scale * (np.random.default_rng(6).normal(size=(1500, 18)) + offset)
    points[::7] = points[::7][:, ::-1]
    points[-3:] = points[:3] + 1e-7 * scale
    distances, indices = neighbor_graph(points, 4)
    expected = np.sort(cdist(points, points), axis=1)[:, 1:5]
    np.testing.assert_allclose(distances, expected, rtol=1e-9, atol=0)
    assert all(len(set(row)) == 4 for row in indices)
