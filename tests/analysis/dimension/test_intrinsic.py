"""Intrinsic dimension against frozen figures of other libraries, exact laws, brute force and refusals."""

from __future__ import annotations

import functools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist
from scipy.stats import beta

import lyapmap as lm
from lyapmap.analysis.dimension import intrinsic
from lyapmap.analysis.dimension.estimators import gride, mle_dimension, most_likely, overlap_error, two_nn
from lyapmap.analysis.neighbors.duplicates import drop_duplicates, tell_apart
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.core.errors import Interrupted, LyapmapError, RunError
from lyapmap.core.results import Status
from series_samples import henon_points

METHODS = ("gride", "twonn", "mle", "pca", "correlation")


@functools.cache
def points_of(name: str) -> np.ndarray:
    r = np.random.default_rng(0)
    if name == "swiss":
        t = 1.5 * np.pi * (1 + 2 * r.random(3000))
        return np.stack([t * np.cos(t), 21 * r.random(3000), t * np.sin(t)], axis=1)
    if name == "cube10":
        z = r.random((3000, 10))
        return z @ np.linalg.qr(r.standard_normal((50, 10)))[0].T
    x, y, states = 0.1, 0.1, []  # 20000 points of Hénon's map after 1000; every rounding counts
    for _ in range(21_000):
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
        states.append((x, y))
    return np.array(states[1000:])


# scikit-dimension 0.5.0 (TwoNN with discard 0.1 and 0, MLE with k = 20 and comb "mle") and DADApy 0.3.4
# (Gride), run on these points; they print four and three decimals.
FROZEN = [
    ("swiss", {"method": "twonn"}, 2.0217, 1e-4),
    ("cube10", {"method": "twonn"}, 8.2792, 1e-4),
    ("henon", {"method": "twonn"}, 1.2546, 1e-4),
    ("swiss", {"method": "twonn", "fit": "mle", "discard_fraction": 0}, 2.0195, 1e-4),
    ("cube10", {"method": "twonn", "fit": "mle", "discard_fraction": 0}, 8.3668, 1e-4),
    ("henon", {"method": "twonn", "fit": "mle", "discard_fraction": 0}, 1.2755, 1e-4),
    ("swiss", {"method": "mle", "k": 20}, 1.9609, 1e-4),
    ("cube10", {"method": "mle", "k": 20}, 8.2050, 1e-4),
    ("henon", {"method": "mle", "k": 20}, 1.2117, 1e-4),
    ("swiss", {"scales": [1]}, 2.020, 6e-4),
    ("cube10", {"scales": [1]}, 8.367, 6e-4),
    ("swiss", {"scales": [8]}, 1.950, 6e-4),
    ("cube10", {"scales": [8]}, 8.211, 6e-4),
    ("henon", {"scales": [8]}, 1.194, 6e-4),
]


@pytest.mark.parametrize(("name", "options", "value", "tolerance"), FROZEN)
def test_figures_of_other_libraries(name, options, value, tolerance):
    found = lm.intrinsic_dimension(points_of(name), **options)
    assert found.dimension == pytest.approx(value, abs=tolerance)
    assert found.status == Status.OK


def test_the_default_and_the_scale_it_speaks_of():
    found = lm.intrinsic_dimension(points_of("swiss"))
    assert abs(found.dimension - 2) < 2 * found.stderr
    distances, _ = neighbor_graph(points_of("swiss"), found.neighbors)
    assert found.scale == pytest.approx(distances[:, -1].mean())
    assert found.neighbors_by_scale.tolist() == [2, 4, 8, 16, 32, 64]
    at = found.neighbors_by_scale.tolist().index(found.neighbors)
    assert found.dimension_by_scale[at] == found.dimension
    assert found.plateau[0] <= found.scale <= found.plateau[1]
    assert found.local.shape == (3000,)
    assert np.median(found.local) == pytest.approx(2, abs=0.2)


def test_noise_is_seen_at_small_scales_and_the_plateau_beyond_them():
    noisy = points_of("swiss") + 0.25 * np.random.default_rng(1).standard_normal((3000, 3))
    found = lm.intrinsic_dimension(noisy)
    assert found.dimension_by_scale[0] > 2.5
    assert found.dimension == pytest.approx(2, abs=0.2)
    assert found.plateau[0] > found.scales[0]


def likelihood_of_ratios(t, n1, n2):
    """Gride's dimension by the beta law of mu^-d, maximized by search."""

    def cost(d):
        return -(beta.logpdf(np.exp(-d * t), n1, n2 - n1) - d * t + np.log(d)).sum()

    return minimize_scalar(cost, bounds=(0.05, 60), method="bounded", options={"xatol": 1e-10}).x


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n1=st.sampled_from([1, 2, 5, 16]), d=st.floats(0.5, 20), n=st.integers(30, 200))
def test_gride_is_the_most_likely_dimension(seed, n1, d, n):
    t = -np.log(np.random.default_rng(seed).beta(n1, n1, n)) / d
    found, influence = gride(t, n1, 2 * n1)
    # One point less, which makes n1 = 1 unbiased, is a relative change of about 1 / (N information).
    assert found == pytest.approx(likelihood_of_ratios(t, n1, 2 * n1), rel=1.5 / n)
    assert abs(influence.mean()) < 1e-9 * d
    if n1 == 1:
        assert found == pytest.approx((n - 1) / t.sum(), rel=1e-12)
    rows = np.stack([t, 2 * t])
    np.testing.assert_allclose(most_likely(rows, n1, 2 * n1), [found, found / 2], rtol=1e-9)


@pytest.mark.parametrize(
    ("measure", "n1"),
    [
        (two_nn, 1),
        (lambda t: two_nn(t, fit="mle"), 1),
        (lambda t: two_nn(t, fit="mle", discard_fraction=0.0), 1),
        (lambda t: gride(t, 4, 8), 4),
    ],
)
def test_influences_give_the_error_of_independent_ratios(measure, n1):
    """Their spread over draws is that of the influences: the delta method, held against simulation."""
    n, rng = 400, np.random.default_rng(2)
    found = [measure(-np.log(rng.beta(n1, n1, n)) / 3) for _ in range(300)]
    errors = [np.sqrt(influence @ influence) / n for _, influence in found]
    assert np.mean(errors) == pytest.approx(np.std([d for d, _ in found]), rel=0.12)


def test_twonn_leaves_out_and_censors():
    mu = np.random.default_rng(3).pareto(2.5, 4000) + 1
    spoiled = np.where(np.arange(4000) < 200, mu * 1e6, mu)  # 5 % near duplicates
    for fit in ("regression", "mle"):
        assert two_nn(np.log(spoiled), fit=fit)[0] == pytest.approx(2.5, rel=0.15)
        assert two_nn(np.log(mu), fit=fit)[0] == pytest.approx(2.5, abs=0.15)
    assert two_nn(np.log(spoiled), fit="mle", discard_fraction=0.0)[0] < 1


def test_mle_against_sums_by_hand():
    x = np.random.default_rng(4).normal(size=(60, 3))
    near = np.sort(cdist(x, x), axis=1)[:, 1:8]
    s = np.array([sum(np.log(row[6] / row[j]) for j in range(6)) for row in near])
    for average, value in (("mackay-ghahramani", 6 / s.mean()), ("levina-bickel", (5 / s).mean())):
        found = lm.intrinsic_dimension(x, method="mle", k=7, average=average)
        assert found.dimension == pytest.approx(value, rel=1e-10)
        np.testing.assert_allclose(found.local, 5 / s)
    ties = mle_dimension(np.ones((4, 5)), average="levina-bickel")
    assert ties[0] == np.inf
    assert np.isnan(ties[2]).all()


def test_mle_is_unbiased_within_balls():
    within = np.random.default_rng(5).uniform(size=(40_000, 5)) ** 0.1  # of ten dimensions
    within[:, -1] = 1
    within.sort(axis=1)
    assert mle_dimension(within, average="levina-bickel")[0] == pytest.approx(10, rel=0.02)
    assert mle_dimension(within)[0] == pytest.approx(10, rel=0.02)


def test_pca_counts_directions_by_both_rules():
    x = points_of("cube10")[:600]
    for rule, threshold in (("fukunaga-olsen", None), ("ratio", 0.02)):
        found = lm.intrinsic_dimension(x, method="pca", rule=rule, threshold=threshold)
        assert found.dimension == pytest.approx(10, abs=0.5)
    # By hand: covariance of one neighbourhood.
    _, indices = neighbor_graph(x, 50)
    variances = np.linalg.eigvalsh(np.cov(x[[7, *indices[7]]].T))[::-1]
    expected = 1 + (np.cumsum(variances) < 0.5 * variances.sum()).sum()
    found = lm.intrinsic_dimension(x, method="pca", rule="ratio", threshold=0.5)
    assert found.local[7] == expected
    assert lm.intrinsic_dimension(points_of("swiss")[:500], method="pca").stderr > 0


def test_the_overlap_error_by_its_definition():
    rng = np.random.default_rng(6)
    indices = neighbor_graph(rng.normal(size=(40, 2)), 3)[1]
    influence = rng.normal(size=40)
    sets = [{i, *row} for i, row in enumerate(indices.tolist())]
    total = sum(len(a & b) / 4 * influence[i] * influence[j] for i, a in enumerate(sets) for j, b in enumerate(sets))
    assert overlap_error(influence, indices) == pytest.approx(np.sqrt(total) / 40)


def circles(rng, n):
    """A torus, which has neither edges nor changes of density."""
    turns = 2 * np.pi * rng.random((n, 2))
    return np.concatenate([np.cos(turns), np.sin(turns)], axis=1)


@pytest.mark.parametrize("options", [{"method": "twonn"}, {"method": "mle"}, {"scales": [8]}, {}])
def test_errors_cover(options):
    found = [lm.intrinsic_dimension(circles(np.random.default_rng(seed), 500), **options) for seed in range(60)]
    values, errors = np.array([(f.dimension, f.statistical) for f in found]).T
    covered = np.mean(np.abs(values - values.mean()) < 1.96 * errors)
    assert covered >= 0.85  # 95 % but for three deviations of 60 draws
    assert errors.mean() < 1.5 * values.std(ddof=1)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), method=st.sampled_from(METHODS[:4])
)
def test_moving_turning_and_scaling_change_nothing(seed, scale, shift, method):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(150, 2)) @ rng.normal(size=(2, 4))
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    one = lm.intrinsic_dimension(x, method=method, throw=False)
    other = lm.intrinsic_dimension(scale * (x @ turn + shift), method=method, throw=False)
    assert other.dimension == pytest.approx(one.dimension, rel=1e-6)
    assert other.stderr == pytest.approx(one.stderr, rel=1e-4)
    assert other.scale == pytest.approx(scale * one.scale, rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("share", [0.05, 1.0])
def test_duplicates_are_dropped_and_change_nothing(method, share):
    x = points_of("swiss")[:1000]
    twice = np.concatenate([x, x[: int(share * 1000)]])
    one = lm.intrinsic_dimension(x, method=method, seed=0)
    other = lm.intrinsic_dimension(twice, method=method, seed=0)
    assert other.dimension == pytest.approx(one.dimension, rel=1e-9)
    assert (other.duplicates, other.n_points) == (int(share * 1000), 1000)
    assert "repeat others and were dropped" in other.message
    if method != "correlation":
        np.testing.assert_array_equal(other.local[:1000], one.local)
        np.testing.assert_array_equal(other.local[1000:], one.local[: len(twice) - 1000])


def test_which_points_are_the_same():
    rng = np.random.default_rng(7)
    rows = rng.integers(0, 3, (200, 3)) * np.array([1.0, -1.0, 1e-300])
    distinct, which = tell_apart(rows)
    np.testing.assert_array_equal(distinct[which], rows)
    assert len(distinct) == len(np.unique(rows + 0.0, axis=0))


def test_one_graph_serves_all():
    x = points_of("swiss")[:400]
    graph = neighbor_graph(drop_duplicates(x)[0], 64)
    for method in METHODS[:4]:
        own = lm.intrinsic_dimension(x, method=method)
        shared = lm.intrinsic_dimension(x, method=method, graph=graph)
        assert shared.dimension == pytest.approx(own.dimension, rel=1e-12)


def test_a_trajectory_and_several():
    henon = lm.systems.henon()
    path = lm.trajectory(henon, henon.initial_states(3, 0), n_steps=300, transient=50)
    found = lm.intrinsic_dimension(path)
    assert found.n_points == 903
    assert found.dimension == lm.intrinsic_dimension(path.states.reshape(-1, 2)).dimension


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (np.ones((200, 3)), "fixed point has dimension 0"),
        (np.tile([[0.0, 1.0], [2.0, 3.0], [4.0, 5.5]], (70, 1)), "cycle has dimension 0"),
    ],
)
def test_places_that_have_no_dimension(method, rows, words):
    with pytest.raises(RunError, match=words):
        lm.intrinsic_dimension(rows, method=method, seed=0)
    found = lm.intrinsic_dimension(rows, method=method, seed=0, throw=False)
    assert found.status == Status.NOT_CONVERGED
    assert np.isnan([found.dimension, found.stderr, found.scale]).all()
    assert found.duplicates == len(rows) - found.n_points


@pytest.mark.parametrize("method", ["gride", "twonn", "mle"])
def test_values_that_are_discrete_are_told(method):
    lattice = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), axis=-1).reshape(-1, 2)
    with pytest.raises(RunError, match="discrete"):
        lm.intrinsic_dimension(lattice, method=method)
    rng = np.random.default_rng(8)
    rounded = np.round(rng.normal(size=(800, 3)), 1)
    found = lm.intrinsic_dimension(rounded, method=method, throw=False)
    assert "exactly the same distance" in found.message


def test_near_duplicates_and_high_dimensions_are_told():
    x = points_of("swiss")[:500]
    jittered = np.concatenate([x, x[:25] + 1e-7])
    assert "nearly repeat" in lm.intrinsic_dimension(jittered).message
    assert "lower bound" in lm.intrinsic_dimension(np.random.default_rng(9).normal(size=(300, 15))).message
    assert "raise k" in lm.intrinsic_dimension(GOOD, method="pca", k=3).message
    ramp = np.random.default_rng(9).random((300, 2)) * [1, 0.02]
    assert "no plateau" in lm.intrinsic_dimension(ramp, scales=[1, 64]).message


GOOD = np.random.default_rng(10).normal(size=(60, 2))


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (GOOD, {"method": "umap"}, "method: expected 'gride', 'twonn'"),
        (GOOD, {"fit": "line"}, "fit: expected 'regression' or 'mle', got 'line'"),
        (GOOD, {"average": "mean"}, "average: expected"),
        (GOOD, {"rule": "elbow"}, "rule: expected"),
        (GOOD, {"threshold": 1.5}, "threshold: expected a share"),
        (GOOD, {"threshold": -1}, "threshold: expected a positive"),
        (GOOD, {"discard_fraction": 1.0}, "discard_fraction"),
        (GOOD, {"method": "mle", "k": 2}, "k: expected at least 3"),
        (GOOD, {"method": "mle", "k": 60}, "k: 60 neighbours asked for, 60 different points can give 59"),
        (GOOD, {"k": 1}, "k: expected at least 2"),
        (GOOD, {"scales": []}, "scales: expected at least one"),
        (GOOD, {"scales": [0]}, "scales: expected at least 1"),
        (GOOD, {"scales": [32]}, "scales: 64 neighbours"),
        (GOOD, {"graph": neighbor_graph(GOOD[:50], 5)}, "graph: expected distances and indices .60, k."),
        (GOOD, {"graph": neighbor_graph(GOOD, 5), "method": "mle", "k": 9}, "a graph of 5 neighbours can give 5"),
        (GOOD, {"seed": -1}, "seed"),
        (GOOD[:9], {}, "points: expected at least 10, got 9"),
        (GOOD[:1], {}, "points: expected at least 10, got 1"),
        (GOOD[0], {}, "points: expected points"),
        (np.full((30, 2), np.nan), {}, "point 0 is not finite"),
        ([["a", "b"]] * 30, {}, "real numbers"),
    ],
)
def test_bad_input(rows, options, words):
    with pytest.raises(LyapmapError, match=words):
        lm.intrinsic_dimension(rows, **options)


def test_a_graph_with_duplicates_is_refused():
    twice = np.concatenate([GOOD, GOOD])
    distances, indices = neighbor_graph(twice, 20)
    with pytest.raises(LyapmapError, match="at distance 0"):
        lm.intrinsic_dimension(GOOD, graph=(distances[:60], indices[:60]), method="mle")


def test_ctrl_c_is_told(monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lyapmap.analysis.dimension.intrinsic.neighbor_graph", stopped)
    with pytest.raises(Interrupted) as caught:
        lm.intrinsic_dimension(GOOD)
    assert caught.value.result is None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_saved_and_loaded(method, suffix, tmp_path):
    found = lm.intrinsic_dimension(henon_points(600), method=method, seed=0, throw=False)
    loaded = lm.DimensionEstimate.load(found.save(tmp_path / f"x{suffix}"))
    assert loaded.to_json() == found.to_json()
    assert pickle.loads(pickle.dumps(found)).to_json() == found.to_json()


def test_progress_is_reported():
    seen = []
    lm.intrinsic_dimension(
        points_of("swiss")[:300], method="pca", progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (300, 300)


def test_several_methods_share_one_graph_and_say_what_each_says_alone(monkeypatch):
    searches = []
    search = intrinsic.neighbor_graph

    def counted(*args, **options):
        searches.append(args[1])
        return search(*args, **options)

    monkeypatch.setattr(intrinsic, "neighbor_graph", counted)
    points = henon_points(800)
    methods = ["twonn", "gride", "mle", "pca"]
    together = lm.intrinsic_dimension(points, method=methods, seed=0, throw=False)
    assert searches == [64]
    assert list(together) == methods
    for name, estimate in together.items():
        alone = lm.intrinsic_dimension(points, method=name, seed=0, throw=False)
        assert estimate.dimension == alone.dimension
        assert estimate.stderr == alone.stderr
        assert estimate.settings == alone.settings
        np.testing.assert_array_equal(estimate.local, alone.local)


@pytest.mark.parametrize(("method", "named"), [([], "different"), (["mle", "mle"], "different"), (["mle", "x"], "'x'")])
def test_a_list_of_methods_that_makes_no_sense_is_refused(method, named):
    with pytest.raises(LyapmapError, match=f"method: .*{named}"):
        lm.intrinsic_dimension(GOOD, method=method)
