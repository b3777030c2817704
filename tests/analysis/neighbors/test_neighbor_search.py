"""Approximate neighbours: what is made of pynndescent's answers, and the real thing (slow: it compiles)."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import lyapmap as lm
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.neighbors.search import ApproximateSearch, exact_search
from lyapmap.core.errors import MissingExtraError

MADE = []


class Careless:
    """Stands for pynndescent: some rows lack neighbours, others themselves; answers to queries are in no order."""

    def __init__(self, points, *, metric, n_neighbors, random_state):
        self.points, self.metric, self.n = points, {"manhattan": "cityblock"}.get(metric, metric), n_neighbors
        MADE.append((points.dtype, float(np.abs(points).max()) < 10, random_state))

    def _nearest(self, queries, k):
        near = np.argsort(cdist(queries, self.points, self.metric), axis=1)[:, :k].astype(np.int32)
        near[::5, 2:] = -1
        return near

    def query(self, queries, k):
        return self._nearest(queries, k)[:, ::-1], None

    @property
    def neighbor_graph(self):
        near = self._nearest(self.points, self.n + 1)
        near[1::7, :-1] = near[1::7, 1:]
        return near[:, :-1], None


@pytest.fixture
def careless(monkeypatch):
    module = ModuleType("pynndescent")
    module.NNDescent = Careless
    monkeypatch.setitem(sys.modules, "pynndescent", module)
    MADE.clear()


@pytest.mark.parametrize("metric", ["euclidean", "chebyshev", "cityblock"])
@pytest.mark.parametrize("exclude", [0, 3])
def test_what_is_missing_is_searched_exactly(careless, metric, exclude):
    points = np.random.default_rng(0).normal(size=(90, 5)) + 1e7
    options = {"metric": metric, "exclude": exclude}
    distances, indices = neighbor_graph(points, 4, approximate=True, seed=7, **options)
    np.testing.assert_allclose(distances, neighbor_graph(points, 4, **options)[0])
    measured = np.take_along_axis(cdist(points, points, metric), indices, axis=1)
    np.testing.assert_allclose(distances, measured)
    assert (np.abs(indices - np.arange(90)[:, None]) > exclude).all()
    # An offset of 1e7 would leave float32 one digit: the points come centred.
    assert [(np.float32, True, 7)] == MADE


def test_queries_of_an_approximate_search(careless):
    points, queries = np.random.default_rng(1).normal(size=(2, 60, 4))
    search = ApproximateSearch(points, "euclidean", 3, 0)
    for ours, exact in zip(search(queries, 3), exact_search(points)(queries, 3), strict=True):
        np.testing.assert_allclose(ours, exact)


def test_an_approximate_search_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynndescent", None)
    with pytest.raises(MissingExtraError, match=r"lyapmap\[umap\]"):
        neighbor_graph(np.zeros((50, 2)), 1, approximate=True)


@pytest.mark.slow
def test_real_approximate_neighbours():
    """Of images: nearly all are found, the same by seed, and dimensions come out within 3 %."""
    pytest.importorskip("pynndescent", reason="the extra umap is not installed")
    points = lm.data.load("digits").states.astype(float)
    exact, found, again = (neighbor_graph(points, 30, approximate=a, seed=3)[1] for a in (False, True, True))
    recall = np.mean([len(set(a) & set(b)) / 30 for a, b in zip(exact, found, strict=True)])
    assert recall > 0.95
    np.testing.assert_array_equal(found, again)
    rng = np.random.default_rng(5)
    cloud = rng.normal(size=(3000, 6)) @ rng.normal(size=(6, 40))
    for method in ("twonn", "mle", "gride"):
        ours, theirs = (lm.intrinsic_dimension(cloud, method=method, approximate=a, seed=0) for a in (True, False))
        assert ours.dimension == pytest.approx(theirs.dimension, rel=0.03)
    near = neighbor_graph(cloud, 5, queries=cloud[:100] + 0.01, approximate=True, seed=0)[1]
    assert np.mean(near[:, 0] == np.arange(100)) > 0.95
