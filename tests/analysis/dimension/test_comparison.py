"""Several sets side by side, and the estimator for scikit-learn."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, RunError
from lyapmap.core.results import Status
from series_samples import henon_points

RNG = np.random.default_rng(0)
SETS = {"line": RNG.random((300, 1)), "attractor": henon_points(500)}
METHODS = ("gride", "twonn", "mle", "pca")


def test_every_cell_is_the_estimate_of_its_own():
    found = lm.compare_dimensions(SETS, methods=METHODS, kaplan_yorke=(1.258, 0.001), seed=0)
    assert found.names == ("line", "attractor")
    assert found.status == Status.OK
    for i, rows in enumerate(SETS.values()):
        for j, method in enumerate(METHODS):
            own = lm.intrinsic_dimension(rows, method=method)
            np.testing.assert_allclose(
                [found.dimension[i, j], found.stderr[i, j], found.scale[i, j]],
                [own.dimension, own.stderr, own.scale],
                rtol=1e-9,
            )
    curve = lm.intrinsic_dimension(SETS["line"]).dimension_by_scale
    np.testing.assert_allclose(found.curve_dimension[0, : len(curve)], curve)
    assert (found.kaplan_yorke, found.kaplan_yorke_stderr) == (1.258, 0.001)


def test_a_set_without_dimension_fails_and_leaves_the_other():
    sets = SETS | {"fixed": np.ones((50, 2))}
    with pytest.raises(RunError, match="fixed: all 50 points are the same"):
        lm.compare_dimensions(sets)
    found = lm.compare_dimensions(sets, throw=False)
    assert found.status == Status.NOT_CONVERGED
    assert np.isnan(found.dimension[2]).all()
    assert np.isfinite(found.dimension[:2]).all()
    assert found.duplicates.tolist() == [0, 0, 49]


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_saved_and_loaded(suffix, tmp_path):
    found = lm.compare_dimensions(SETS, seed=0)
    assert lm.DimensionComparison.load(found.save(tmp_path / f"x{suffix}")).to_json() == found.to_json()


@pytest.mark.parametrize(
    ("sets", "methods", "words"),
    [
        ({}, ("gride",), "sets: expected at least one"),
        (SETS, ("gride", "umap"), "methods: expected different ones"),
        (SETS, (), "methods"),
        (SETS, ("mle", "mle"), "methods"),
        ({"x": np.ones(5)}, ("mle",), "expected points"),
        ({"x": np.ones((5, 2))}, ("mle",), "at least 10"),
    ],
)
def test_bad_input(sets, methods, words):
    with pytest.raises(LyapmapError, match=words):
        lm.compare_dimensions(sets, methods=methods)


def test_the_estimator_keeps_the_rules_of_scikit_learn():
    check_estimator(lm.IntrinsicDimensionEstimator(), on_skip=None)


def test_the_estimator_gives_what_the_function_gives():
    rows = SETS["attractor"]
    fitted = lm.IntrinsicDimensionEstimator(method="mle", k=10, average="levina-bickel").fit(rows)
    direct = lm.intrinsic_dimension(rows, method="mle", k=10, average="levina-bickel")
    assert (fitted.dimension_, fitted.stderr_, fitted.scale_) == (direct.dimension, direct.stderr, direct.scale)
    np.testing.assert_array_equal(fitted.local_, direct.local)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.dimension_ == fitted.dimension_
    assert clone(fitted).get_params() == fitted.get_params()
    with pytest.raises(RunError, match="fixed point"):
        lm.IntrinsicDimensionEstimator().fit(np.ones((40, 2)))


def test_the_estimator_is_made_late():
    code = (
        "import sys, lyapmap.analysis.dimension.scikit_learn as m; assert 'sklearn' not in sys.modules;"
        "m.IntrinsicDimensionEstimator; assert 'sklearn' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
