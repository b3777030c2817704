"""UMAP layouts: against umap-learn itself, and other points placed among the data."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.manifold import embedding as module
from lyapmap.analysis.manifold.umap_model import keeping_out, load_umap
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.core.errors import Interrupted, LyapmapError, MissingExtraError, RunError, ShapeError
from picture_checks import check_picture

pytestmark = pytest.mark.skipif(find_spec("umap") is None, reason="the extra umap is not installed")


def clusters(n=40, d=6, seed=0):
    """Three balls far apart, n points each."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(size=(n, d)) + 12 * i for i in range(3)]), np.repeat([0, 1, 2], n)


@pytest.fixture(scope="module")
def fitted():
    points, labels = clusters()
    return lm.embed(points, labels=labels, n_neighbors=8, seed=3)


def test_clusters_stay_apart_and_neighbours_together(fitted):
    from sklearn.manifold import trustworthiness

    assert fitted.data.shape == (120, 2)
    centres = np.array([np.median(fitted.data[fitted.labels == i], axis=0) for i in range(3)])
    nearest = np.linalg.norm(fitted.data[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, fitted.labels)
    assert trustworthiness(fitted.points, fitted.data, n_neighbors=8) > 0.9
    assert fitted.message == "the neighbours fall into 3 parts, which say nothing of each other's place"


def test_the_curve_of_the_usual_distance_is_the_published_one(fitted):
    assert fitted.curve == pytest.approx((1.577, 0.895), abs=1e-3)


def test_the_graph_is_that_of_umap(fitted):
    """Its own function, on scikit-learn's neighbours."""
    from sklearn.neighbors import NearestNeighbors

    umap_ = load_umap()
    distances, indices = NearestNeighbors(n_neighbors=8).fit(fitted.points).kneighbors(fitted.points)
    expected = umap_.fuzzy_simplicial_set(
        fitted.points.astype(np.float32),
        8,
        None,
        "euclidean",
        {},
        indices.astype(np.int32),
        distances.astype(np.float32),
    )[0]
    np.testing.assert_allclose(fitted._model.graph_.toarray(), expected.toarray(), atol=1e-4)


def test_other_points_begin_among_their_neighbours(fitted, monkeypatch):
    """By formula: their mean place, weighted by exp(-d / s), where s makes all but the first add up to log2(k)."""
    points = clusters(n=10, seed=9)[0]
    with monkeypatch.context() as patch:
        patch.setattr(module, "TRANSFORM_EPOCHS", 1)  # too few for a step from there
        placed = dataclasses.replace(fitted).transform(points)
    distances, indices = neighbor_graph(fitted.points, 8, queries=points)
    begin = []
    for row, which in zip(distances, indices, strict=True):
        low, high = 1e-6, 1e6
        for _ in range(80):
            scale = np.sqrt(low * high)
            low, high = (scale, high) if np.exp(-row[1:] / scale).sum() < np.log2(8) else (low, scale)
        weights = np.exp(-row / scale)
        begin.append(weights @ fitted.data[which] / weights.sum())
    np.testing.assert_allclose(placed, begin, rtol=1e-4, atol=1e-4)
    moved = np.linalg.norm(fitted.transform(points) - begin, axis=1)
    assert 0 < moved.max() < np.ptp(fitted.data[:40], axis=0).max()


def test_the_seed_decides(fitted):
    points, labels = clusters()
    again = lm.embed(points, labels=labels, n_neighbors=8, seed=3)
    np.testing.assert_array_equal(again.data, fitted.data)
    np.testing.assert_array_equal(again.transform(points + 0.1), fitted.transform(points + 0.1))
    assert (lm.embed(points, n_neighbors=8, seed=4).data != fitted.data).any()


@settings(max_examples=8)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), far=st.sampled_from([1.0, 50.0, 1e12]))
def test_a_point_is_placed_alone(fitted, seed, n, far):
    """Neither the others given with it nor their order change its place, by a bit; nor do far ones."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 6)) * rng.choice([1.0, far], (n, 1))
    placed = fitted.transform(points)
    order = rng.permutation(n)
    np.testing.assert_array_equal(fitted.transform(points[order]), placed[order])
    np.testing.assert_array_equal(fitted.transform(points[:1]), placed[:1])
    assert np.isfinite(placed).all()


def test_points_that_were_fitted_come_out_where_they_lie(fitted):
    np.testing.assert_array_equal(fitted.transform(fitted.points[::-3]), fitted.data[::-3])
    assert fitted.transform(np.zeros((0, 6))).shape == (0, 2)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_saved_layout_places_points_like_the_first(fitted, tmp_path, suffix):
    points = clusters(n=5, seed=1)[0]
    loaded = lm.Embedding.load(fitted.save(tmp_path / f"fit{suffix}"))
    np.testing.assert_array_equal(loaded.transform(points), fitted.transform(points))
    assert (loaded.label_names, loaded.sample_shape, loaded.settings) == (("0", "1", "2"), (6,), fitted.settings)
    with pytest.raises(LyapmapError, match="holds a Embedding, expected a EmbeddedStates"):
        lm.EmbeddedStates.load(tmp_path / f"fit{suffix}")


def test_a_file_with_objects_in_it_is_refused(tmp_path):
    np.savez(tmp_path / "fit.npz", attributes=np.array(print, dtype=object))
    with pytest.raises(LyapmapError, match="is damaged, or no result"):
        lm.Embedding.load(tmp_path / "fit.npz")


def test_images_scale_offset_and_shared_neighbours():
    """What only moves or scales the data leaves the layout as it is; a graph at hand is used."""
    points, _ = clusters(n=12, d=8)
    images = points.reshape(-1, 1, 2, 4)
    first = lm.embed(images, n_neighbors=5)
    assert first.sample_shape == (1, 2, 4)
    shared = lm.embed(1e-20 * points, n_neighbors=5, graph=neighbor_graph(1e-20 * points, 9))
    near = neighbor_graph(first.points, 4)[1]
    np.testing.assert_array_equal(shared.neighbor_index, near)
    assert np.isfinite(shared.data).all()
    np.testing.assert_array_equal(first.transform(images[:3]), first.transform(points[:3]))
    import torch

    np.testing.assert_array_equal(first.transform(torch.tensor(images[:3])), first.data[:3])


def test_duplicates_are_told_and_share_a_graph_of_zeros():
    points = np.concatenate([clusters(n=8, d=3)[0], np.zeros((12, 3))])
    found = lm.embed(points, n_neighbors=6, metric="cityblock", n_components=1)
    assert "11 of 36 points repeat others" in found.message
    assert np.isfinite(found.data).all()
    assert found.data.shape == (36, 1)
    with pytest.raises(LyapmapError, match="only layouts with 2 axes are drawn, got 1"):
        found.plot()


def test_trajectories_and_an_ensemble_along_a_map(fitted):
    step = lm.wrap(lambda x: 0.9 * x + 1.0, state_shape=6)
    x0 = clusters(n=2)[0]
    orbit = lm.trajectory(step, x0, n_steps=4, transient=2)
    placed = fitted.place(orbit)
    assert placed.coordinates.shape == (6, 5, 2)
    assert placed.at.tolist() == [2, 3, 4, 5, 6]
    some = fitted.place(orbit, at=(3, 6))
    np.testing.assert_array_equal(some.coordinates, placed.coordinates[:, [1, 4]])
    np.testing.assert_array_equal(fitted.along(step, x0, at=(3, 6)).coordinates, some.coordinates)
    np.testing.assert_array_equal(fitted.place(orbit.states[0]).coordinates, placed.coordinates[:1])


def test_pictures(fitted, tmp_path):
    orbit = np.cumsum(np.random.default_rng(2).normal(size=(3, 30, 6)), axis=1)
    time = fitted.place(orbit)
    figure = time.plot()
    axes, bar = figure.axes
    assert bar.get_ylabel() == "step $n$"
    assert [len(c.get_offsets()) for c in axes.collections] == [40, 40, 40, 90]
    assert [t.get_text() for t in axes.texts] == ["0", "1", "2"]
    # All of a step come together, so that no trajectory hides another.
    np.testing.assert_array_equal(axes.collections[3].get_offsets()[:3], time.coordinates[:, 0])
    panels = fitted.plot(orbit, at=(0, 1, 2, 10, 29))
    shown = [a for a in panels.axes if a.get_visible()]
    assert [a.get_title(loc="left") for a in shown] == [f"$n = {n}$" for n in (0, 1, 2, 10, 29)]
    assert all(len(a.collections[3].get_offsets()) == 3 for a in shown)
    titles = [a.get_title(loc="left") for a in time.plot(over="steps").axes]
    assert (len(titles), titles[0], titles[-1]) == (20, "$n = 0$", "$n = 29$")
    saved = lm.EmbeddedStates.load(time.save(tmp_path / "states.nc"))
    for picture in (saved.plot(), fitted.plot(), panels):
        check_picture(picture)
    dataclasses.replace(time, labels=np.zeros(0, int), label_names=()).plot()
    with pytest.raises(LyapmapError, match="over: expected 'time' or 'steps'"):
        saved.plot(over="space")


def test_words_are_labels(fitted):
    points, _ = clusters(n=5)
    found = lm.embed(points, labels=np.repeat(["boot", "bag", "coat"], 5), n_neighbors=4)
    assert found.label_names == ("bag", "boot", "coat")
    assert found.labels.tolist() == [1] * 5 + [0] * 5 + [2] * 5


def test_progress_is_told_and_ctrl_c_ends_it(monkeypatch):
    points, _ = clusters(n=10)
    told = []
    lm.embed(points, n_neighbors=5, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (500, 500)

    def stop(done, total):
        raise KeyboardInterrupt

    threads = load_umap().numba.get_num_threads()
    with pytest.raises(Interrupted):
        lm.embed(points, n_neighbors=5, progress=stop)
    assert load_umap().numba.get_num_threads() == threads


NAN = np.full((40, 3), np.nan)
CLOUD = np.random.default_rng(0).normal(size=(40, 3))


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (NAN, {}, "data: point 0 is not finite"),
        (CLOUD[0], {}, r"data: expected points \(m, d\)"),
        (CLOUD[:15], {}, "data: 15 neighbours need more than 15 different points, got 15"),
        (CLOUD[:1], {}, "all points are the same"),
        (np.ones((40, 3)), {}, "all points are the same"),
        (CLOUD, {"n_neighbors": 1}, "n_neighbors: expected at least 2"),
        (CLOUD, {"min_dist": 1.5}, "min_dist: expected a number from 0 to 1"),
        (CLOUD, {"metric": "cosine"}, "metric: expected 'euclidean'"),
        (CLOUD, {"n_components": 0}, "n_components: expected at least 1"),
        (CLOUD, {"labels": [1, 2]}, "labels: expected one for each of 40 points"),
        (CLOUD, {"labels": np.zeros(40)}, "labels: expected integers or words"),
        (CLOUD, {"seed": 2**33}, "seed: UMAP takes numbers below"),
        (CLOUD, {"graph": neighbor_graph(CLOUD, 3)}, r"graph: expected distances and indices \(40, 14 or more\)"),
        (np.array([["a"] * 3] * 40), {}, "real numbers"),
    ],
)
def test_bad_data(data, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.embed(data, **options)


def test_bad_points(fitted, monkeypatch):
    for points in (np.zeros((3, 5)), np.zeros(6), np.zeros((2, 2, 3))):
        with pytest.raises(ShapeError, match=r"points: expected \(n, 6\)"):
            fitted.transform(points)
    with pytest.raises(LyapmapError, match="points: point 1 is not finite"):
        fitted.transform([[0.0] * 6, [np.inf] * 6])
    with pytest.raises(ShapeError, match=r"states: expected points \(n, 6\)"):
        fitted.place(np.zeros((2, 2, 2, 6)))
    for at in ((0, 9), (), (-1,), (0.5,)):
        with pytest.raises(LyapmapError, match="at: expected"):
            fitted.place(np.zeros((4, 6)), at=at)
    blows_up = lm.wrap(lambda x: 1e200 * x, state_shape=6)
    with pytest.raises(RunError, match="escaped: a state is not finite after step 2"):
        fitted.along(blows_up, np.ones((2, 6)), at=(0, 1, 2))
    with pytest.raises(LyapmapError, match="at: expected ascending steps, got 2, 1"):
        fitted.along(blows_up, np.ones((2, 6)), at=(2, 1))
    with pytest.raises(ShapeError, match=r"x0: expected \(n, 6\)"):
        fitted.along(lm.systems.henon(), [[0.1, 0.1]], at=(1,))
    monkeypatch.setattr(module, "step_states", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(Interrupted):
        fitted.along(blows_up, np.ones((2, 6)), at=(1,))


def test_without_umap_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.delitem(sys.modules, "umap.umap_", raising=False)
    with pytest.raises(MissingExtraError, match=r"embed needs umap-learn.*lyapmap\[umap\]"):
        lm.embed(CLOUD)


def test_a_module_is_kept_out_of_one_thread_only(tmp_path, monkeypatch):
    (tmp_path / "kept_out_here.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    with keeping_out("kept_out_here"):
        with pytest.raises(ModuleNotFoundError):
            import_module("kept_out_here")
        other = threading.Thread(target=lambda: seen.append(import_module("kept_out_here").value))
        other.start()
        other.join()
        del sys.modules["kept_out_here"]
    assert seen == [1]
    assert import_module("kept_out_here").value == 1


RUN = """
import sys
import numpy as np
import lyapmap as lm
lm.embed(np.random.default_rng(0).normal(size=(20, 3)), n_neighbors=4).transform(np.zeros((1, 3)))
print(sorted({"tensorflow", "keras", "torch", "umap.parametric_umap"} & set(sys.modules)))
import tensorflow
print(tensorflow.__version__)
"""


def ran(path):
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", f"import sys\nsys.path[:0] = {path}\n{RUN}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_tensorflow_stays_out_and_can_be_imported_afterwards(tmp_path):
    """With a stand-in for TensorFlow, which umap would import as it does the real one."""
    for name in ("tensorflow", "keras"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("__version__ = 'stand-in'\nops = None\n")
    assert ran([str(tmp_path)])[:2] == ["[]", "stand-in"]


@pytest.mark.slow
def test_the_real_tensorflow_stays_out():
    if find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    seen, version, *_ = ran([])
    assert seen == "[]"
    assert version[0].isdigit()
