"""Manifold metrics against published figures, brute force in float64, and what must hold of any samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

import lyapmap as lm
from lyapmap.analysis.manifold.radii import Cloud, radii
from lyapmap.analysis.neighbors.tiles import NumpyTiles
from lyapmap.core.errors import Interrupted, LyapmapError, ShapeError
from lyapmap.core.results import Status

METRICS = ("precision", "recall", "density", "coverage", "probabilistic_precision", "probabilistic_recall")

# prdc 0.2 (M. F. Naeem et al.) on r = default_rng(0); R, F = r.standard_normal((2000, 64)) twice, F[:, 0] += 0.5,
# both to float32. torch-fidelity gives the same precision and recall: on continuous data "<" and "<=" agree.
PRDC = {
    3: {"precision": 0.5975, "recall": 0.6070, "density": 0.9383333333, "coverage": 0.8565},
    5: {"precision": 0.7115, "recall": 0.7065, "density": 0.9323, "coverage": 0.9565},
    10: {"precision": 0.8265, "recall": 0.8310, "density": 0.95285, "coverage": 0.9960},
}


def shifted(n, d, seed=0, shift=0.5):
    rng = np.random.default_rng(seed)
    real, generated = rng.standard_normal((n, d)), rng.standard_normal((n, d))
    generated[:, 0] += shift
    return real.astype(np.float32), generated.astype(np.float32)


def brute_force(real, generated, ks, compare="<=", reach=1.2):
    """The definitions, written down in float64 with whole distance matrices."""
    real, generated = np.asarray(real, float), np.asarray(generated, float)
    less = np.less_equal if compare == "<=" else np.less
    own = np.sort(cdist(real, real), axis=1), np.sort(cdist(generated, generated), axis=1)
    across = cdist(generated, real)
    found = {name: [] for name in (*METRICS, "realism", "inside", "reached", "covered")}
    for k in ks:
        r, g = own[0][:, k], own[1][:, k]
        within, around = less(across, r), less(across, g[:, None])
        found["inside"].append(within.any(axis=1))
        found["reached"].append(around.any(axis=0))
        found["covered"].append(within.any(axis=0))
        found["density"].append(within.sum(axis=1).mean() / k)
        for name, limit, axis in (("precision", r, 1), ("recall", g, 0)):
            ceiling = max(reach * limit.mean(), 1e-300)
            found[f"probabilistic_{name}"].append(1 - np.minimum(across / ceiling, 1).prod(axis=axis).mean())
        small = r <= np.median(r)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = r[small] / across[:, small]
        ratio[np.isnan(ratio)] = 1  # a sphere without extent, met in its centre
        found["realism"].append(ratio.max(axis=1))
    for name, flags in (("precision", "inside"), ("recall", "reached"), ("coverage", "covered")):
        found[name] = [flag.mean() for flag in found[flags]]
    return {name: np.array(values) for name, values in found.items()}


def assert_same(metrics, expected):
    for name in ("inside", "reached", "covered"):
        np.testing.assert_array_equal(getattr(metrics, name), expected[name], err_msg=name)
    for name in METRICS:
        np.testing.assert_allclose(getattr(metrics, name), expected[name], atol=2e-6, err_msg=name)
    np.testing.assert_allclose(metrics.realism, expected["realism"], rtol=1e-6)


@pytest.mark.parametrize("compare", ["<", "<="])
def test_the_figures_of_prdc_and_torch_fidelity(compare):
    real, generated = shifted(2000, 64)
    metrics = lm.manifold_metrics(real, generated, k=(3, 5, 10), compare=compare, n_boot=20, seed=0)
    for place, k in enumerate(PRDC):
        for name, value in PRDC[k].items():
            assert getattr(metrics, name)[place] == pytest.approx(value, abs=1e-6), (name, k)


def test_spheres_on_a_line_by_hand():
    real, generated = [[0.0], [1.0], [3.0]], [[1.5], [4.0], [10.0]]
    metrics = lm.manifold_metrics(real, generated, k=1, seed=0)
    # Radii of the real ones are 1, 1, 2, of the generated ones 2.5, 2.5, 6.
    assert metrics.inside.tolist() == [[True, True, False]]
    assert metrics.spheres.tolist() == [[2, 1, 0]]
    assert metrics.reached.tolist() == [[True, True, True]]
    assert metrics.covered.tolist() == [[False, True, True]]
    assert metrics.density[0] == 1
    np.testing.assert_allclose(metrics.realism[0], [2, 1 / 3, 1 / 9])  # the sphere around 3 is above the median
    assert metrics.off_manifold(1).tolist() == [2]
    assert metrics.never_reached(1).tolist() == []


@pytest.mark.parametrize(("n", "m", "d"), [(300, 300, 5), (150, 400, 2), (700, 90, 33)])
def test_it_agrees_with_brute_force(n, m, d):
    rng = np.random.default_rng(n)
    real, generated = rng.standard_normal((n, d)), 0.7 * rng.standard_normal((m, d)) + 0.2
    ks = (1, 4, 20)
    assert_same(lm.manifold_metrics(real, generated, k=ks, n_boot=10, seed=0), brute_force(real, generated, ks))


@pytest.mark.parametrize("compare", ["<", "<="])
@settings(max_examples=40)
@given(data=st.data())
def test_integer_points_with_ties_and_duplicates_agree_with_brute_force(compare, data):
    d = data.draw(st.integers(1, 3))
    row = st.lists(st.integers(-2, 2), min_size=d, max_size=d)
    real = np.array(data.draw(st.lists(row, min_size=6, max_size=25)), float)
    generated = np.array(data.draw(st.lists(row, min_size=6, max_size=25)), float)
    if len(np.unique(real, axis=0)) == 1:
        return
    ks = (1, 3, 5)
    metrics = lm.manifold_metrics(real, generated, k=ks, compare=compare, n_boot=5, seed=0)
    expected = brute_force(real, generated, ks, compare)
    for name in ("inside", "reached", "covered"):
        np.testing.assert_array_equal(getattr(metrics, name), expected[name], err_msg=name)
    np.testing.assert_allclose(metrics.density, expected["density"])
    np.testing.assert_allclose(metrics.realism, expected["realism"], rtol=1e-6)
    for name in METRICS[4:]:
        np.testing.assert_allclose(getattr(metrics, name), expected[name], atol=2e-6, err_msg=name)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-20, 1e-3, 1.0, 1e6, 1e25]), offset=st.floats(-1e3, 1e3))
def test_neither_offset_nor_scale_nor_order_changes_anything(seed, scale, offset):
    rng = np.random.default_rng(seed)
    real, generated = rng.standard_normal((60, 4)), rng.standard_normal((50, 4))
    plain = lm.manifold_metrics(real, generated, k=(2, 5), n_boot=5, seed=0)
    order = rng.permutation(50)
    other = lm.manifold_metrics(
        (real + offset) * scale, (generated[order] + offset) * scale, k=(5, 2), n_boot=5, seed=0
    )
    np.testing.assert_array_equal(other.inside, plain.inside[:, order])
    np.testing.assert_array_equal(other.reached, plain.reached)
    np.testing.assert_allclose(other.realism, plain.realism[:, order], rtol=1e-6)
    assert (np.diff(plain.precision) >= 0).all()
    assert (np.diff(plain.recall) >= 0).all()


def test_an_offset_of_a_thousand_in_float32_is_no_matter():
    real, generated = shifted(600, 64)
    real, generated = real + np.float32(1000), generated + np.float32(1000)
    ks = (3, 10)
    metrics = lm.manifold_metrics(real, generated, k=ks, n_boot=5, seed=0)
    assert_same(metrics, brute_force(real, generated, ks))


def test_an_outlier_does_not_spoil_the_others():
    real, generated = (samples.astype(float) for samples in shifted(300, 8))
    real[0] += 1e7
    ks = (1, 5)
    assert_same(lm.manifold_metrics(real, generated, k=ks, n_boot=5, seed=0), brute_force(real, generated, ks))


def test_tiles_smaller_than_the_samples_change_nothing(monkeypatch):
    real, generated = shifted(230, 6)
    generated[40:80] = generated[0]
    whole = lm.manifold_metrics(real, generated, k=(1, 7), n_boot=5, seed=0)
    monkeypatch.setattr(NumpyTiles, "rows", 17)
    monkeypatch.setattr(NumpyTiles, "columns", 13)
    tiled = lm.manifold_metrics(real, generated, k=(1, 7), n_boot=5, seed=0)
    monkeypatch.setattr("lyapmap.analysis.manifold.radii.KEPT_VALUES", 0)
    monkeypatch.setattr("lyapmap.analysis.manifold.radii.LARGE_ROWS", 29)
    monkeypatch.setattr("lyapmap.analysis.manifold.radii.CHUNK_VALUES", 100)
    remade = lm.manifold_metrics(real, generated, k=(1, 7), n_boot=5, seed=0)
    monkeypatch.setattr("lyapmap.analysis.manifold.radii.KEPT_NEIGHBORS", 0)
    monkeypatch.setattr("lyapmap.analysis.neighbors.tiles.FEW", 1000)
    one_sided = lm.manifold_metrics(real, generated, k=(1, 7), n_boot=5, seed=0)
    for other in (tiled, remade, one_sided):
        np.testing.assert_allclose(other.realism, whole.realism, rtol=1e-6)
        for name in ("inside", "reached", "covered", "spheres"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))
        np.testing.assert_allclose(other.probabilistic_recall, whole.probabilistic_recall, atol=1e-6)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), d=st.integers(1, 6), k=st.integers(1, 40), both=st.booleans())
def test_radii_are_those_of_brute_force_however_tiles_fall(seed, d, k, both):
    rng = np.random.default_rng(seed)
    points = np.round(rng.standard_normal((rng.integers(41, 150), d)), int(rng.integers(0, 9)))
    ops = NumpyTiles()
    ops.rows, ops.columns = (int(size) for size in rng.integers(5, 90, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lyapmap.analysis.manifold.radii.KEPT_NEIGHBORS", 10**6 if both else 0)
        cloud = Cloud(points, ops, "real")
        found = radii(cloud, (1, k))[cloud.inverse]
    expected = np.sort(cdist(points, points), axis=1)[:, [1, k]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("spread", [0.01, 3.0])
def test_clusters_of_different_size_agree_with_brute_force(spread):
    """Realism of far samples needs every sphere, that of near ones few; few or many logarithms count."""
    rng = np.random.default_rng(5)
    real = rng.standard_normal((700, 3)) * np.repeat([1e-3, 0.1, 1.0, 30.0], 175)[:, None]
    generated = rng.standard_normal((900, 3)) * spread + rng.integers(0, 2, (900, 1))
    ks = (2, 9)
    assert_same(lm.manifold_metrics(real, generated, k=ks, n_boot=5, seed=0), brute_force(real, generated, ks))


def test_radii_count_copies_as_neighbors():
    points = np.array([[0.0], [0.0], [0.0], [1.0], [5.0], [5.0]])
    cloud = Cloud(points, NumpyTiles(), "real")
    found = radii(cloud, (1, 2, 3))[cloud.inverse]
    expected = np.sort(cdist(points, points), axis=1)[:, 1:4]
    np.testing.assert_array_equal(found, expected)
    assert len(cloud) == 3


def test_doubtful_pairs_are_measured_again():
    """Copies of neighbours lie on surfaces: without float64 they fall on either side."""
    rng = np.random.default_rng(3)
    real = rng.standard_normal((400, 32)).astype(np.float32)
    below, equal = (lm.manifold_metrics(real, real.copy(), k=1, compare=c, n_boot=5, seed=0) for c in ("<", "<="))
    assert equal.remeasured > 400
    assert_same(equal, brute_force(real, real, (1,)))
    # Each sphere's surface holds exactly its neighbour, besides the copy in its centre.
    assert equal.spheres.sum() - below.spheres.sum() == 400


def test_a_fixed_point_is_told():
    real, _ = shifted(300, 4)
    generated = np.tile(real[7], (300, 1))
    metrics = lm.manifold_metrics(real, generated, k=3, seed=0)
    assert metrics.status is Status.UNRESOLVED
    assert "100% of the generated spheres have radius 0" in metrics.message
    assert metrics.duplicates_generated == 299
    assert metrics.copies == 300
    assert metrics.precision[0] == 1
    assert metrics.recall[0] == pytest.approx(1 / 300)
    assert np.isinf(metrics.realism).all() == (metrics.realism[0, 0] == np.inf)
    strict = lm.manifold_metrics(real, generated, k=3, compare="<", seed=0)
    assert strict.recall[0] == 0
    # Three hundred copies are the evidence of one sample.
    low, high = metrics.precision_interval[0]
    assert low < 0.25
    assert high == 1


def test_unequal_numbers_are_told():
    real, generated = shifted(200, 3)
    assert lm.manifold_metrics(real, generated, k=3, seed=0).message == ""
    assert "are larger than those of equal numbers" in lm.manifold_metrics(real, generated[:90], k=3, seed=0).message


def test_limits_hold_as_often_as_they_say():
    """Against fixed spheres: 95 % limits of new generated samples hold the value of very many."""
    rng = np.random.default_rng(0)
    manifold = lm.RealManifold(rng.standard_normal((200, 3)), k=3)

    def generated(n):
        return 1.3 * rng.standard_normal((n, 3))

    many = manifold.compare(generated(8_000), n_boot=1, seed=0)
    held = {"precision": 0, "density": 0, "probabilistic_precision": 0}
    runs = 100
    for seed in range(runs):
        metrics = manifold.compare(generated(100), n_boot=100, seed=seed)
        for name in held:
            low, high = getattr(metrics, f"{name}_interval")[0]
            held[name] += low <= getattr(many, name)[0] <= high
    for name, count in held.items():
        # 95 with a standard deviation of 2; the bootstrap of skewed counts is known to hold less.
        assert 88 <= count <= 100, (name, count)


def test_a_real_manifold_gives_what_the_function_gives():
    real, generated = shifted(150, 5)
    manifold = lm.RealManifold(real, k=(2, 6))
    for part in (generated, generated[:80]):
        once = lm.manifold_metrics(real, part, k=(2, 6), seed=1)
        again = manifold.compare(part, seed=1)
        for name in once.DIMS:
            np.testing.assert_array_equal(getattr(again, name), getattr(once, name))
    assert manifold.radii.shape == (150, 2)


def test_features_are_applied_to_both_sides():
    rng = np.random.default_rng(0)
    images, others = rng.standard_normal((2, 60, 1, 3, 3))
    seen = []

    def first_pixels(samples):
        seen.append(len(samples))
        return samples.reshape(len(samples), -1)[:, :2]

    metrics = lm.manifold_metrics(images, others, k=2, features=first_pixels, seed=0)
    plain = lm.manifold_metrics(images.reshape(60, -1)[:, :2], others.reshape(60, -1)[:, :2], k=2, seed=0)
    assert metrics.precision == plain.precision
    assert metrics.settings["features"] == "first_pixels"
    assert seen == [60, 60]
    with pytest.raises(ShapeError, match="features: expected one row for each of 60 real samples"):
        lm.manifold_metrics(images, others, k=2, features=lambda x: x[:5], seed=0)


def test_results_are_saved_and_printed(tmp_path):
    real, generated = shifted(80, 3)
    generated[0] = real[0]  # infinite realism must survive
    metrics = lm.manifold_metrics(real, generated, k=(2, 3), seed=0)
    for suffix in (".nc", ".npz"):
        loaded = lm.ManifoldMetrics.load(metrics.save(tmp_path / f"m{suffix}"))
        for name in metrics.DIMS:
            np.testing.assert_array_equal(getattr(loaded, name), getattr(metrics, name))
        assert loaded.inside.dtype == bool
        assert loaded.settings == metrics.settings
    lines = str(metrics).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("k = 2")
    assert f"precision {metrics.precision[0]:.4f}" in lines[0]
    with pytest.raises(LyapmapError, match="k: expected one of 2, 3, got 9"):
        metrics.off_manifold(9)


GOOD = np.random.default_rng(0).standard_normal((20, 3))


@pytest.mark.parametrize(
    ("real", "generated", "options", "message"),
    [
        (GOOD[:, 0], GOOD, {}, "real: expected samples as rows"),
        (GOOD[:1], GOOD, {}, "real: expected at least 2 samples, got 1"),
        (GOOD, GOOD[:, :2], {}, "generated: expected 3 values for each sample like the real ones, got 2"),
        (GOOD, np.where(np.arange(60).reshape(20, 3) == 7, np.nan, GOOD), {}, "generated: sample 2 is not finite"),
        (np.where(np.arange(60).reshape(20, 3) == 59, np.inf, GOOD), GOOD, {}, "real: sample 19 is not finite"),
        (GOOD, GOOD, {"k": 20}, "k: 20 neighbours need 21 real samples, got 20"),
        (GOOD, GOOD[:4], {"k": 4}, "k: 4 neighbours need 5 generated samples, got 4"),
        (GOOD, GOOD, {"k": 0}, "k: expected at least 1"),
        (GOOD, GOOD, {"k": 2.5}, "k: expected an integer"),
        (GOOD, GOOD, {"k": ()}, "k: expected at least one"),
        (GOOD, GOOD, {"compare": ">"}, "compare: expected '<=' or '<', got '>'"),
        (GOOD, GOOD, {"level": 95}, "level: expected a probability"),
        (GOOD, GOOD, {"reach": 0}, "reach: expected a positive number"),
        (np.ones((20, 3)), GOOD, {}, "real: all 20 samples are equal"),
        (GOOD * 1j, GOOD, {}, "real: expected real numbers"),
        (GOOD * 5e307, GOOD, {}, "real: values as large as"),
    ],
)
def test_bad_input_is_named(real, generated, options, message):
    with pytest.raises(LyapmapError, match=message):
        lm.manifold_metrics(real, generated, **({"k": 3} | options))


def test_an_interrupt_is_ours():
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.manifold_metrics(GOOD, GOOD + 1, k=3, progress=stop)
    assert caught.value.result is None
