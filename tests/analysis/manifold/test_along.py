"""Manifold metrics along maps: step by step, of trajectories, interrupted, escaped."""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, RunError, ShapeError
from lyapmap.core.results import Status

REAL = np.random.default_rng(0).uniform(-1, 1, (120, 2))


def shrinking():
    return lm.wrap(lambda x: 0.5 * x, state_shape=2)


def test_each_step_is_what_the_function_gives_for_the_states():
    along = lm.manifold_along(REAL, shrinking(), REAL, n_steps=3, transient=1, k=(2, 4), seed=0)
    assert along.at.tolist() == [1, 2, 3, 4]
    for place, step in enumerate(along.at):
        single = lm.manifold_metrics(REAL, REAL * 0.5**step, k=(2, 4), seed=0)
        for name in ("precision", "recall", "density", "coverage", "probabilistic_recall", "recall_interval"):
            np.testing.assert_array_equal(getattr(along, name)[place], getattr(single, name))
    assert along.recall[0, 0] > along.recall[1, 0] > along.recall[2, 0]
    assert along.reference_precision.shape == (0, 2)


def test_step_zero_on_the_data_itself_is_perfect():
    along = lm.manifold_along(REAL, shrinking(), REAL, n_steps=0, k=3, seed=0)
    assert along.precision.tolist() == along.recall.tolist() == along.coverage.tolist() == [[1.0]]


def test_over_trajectories_and_of_a_trajectory_are_the_same():
    henon = lm.systems.henon()
    start = [[0.1, 0.1], [0.2, 0.0], [0.0, 0.1]]
    data = lm.trajectory(henon, [0.3, 0.1], n_steps=149, transient=100).states[0]
    others = lm.trajectory(henon, [0.15, 0.05], n_steps=149, transient=100).states[0]
    manifold = lm.RealManifold(data, k=(1, 5))
    run = lm.manifold_along(
        manifold, henon, start, n_steps=149, transient=100, over="trajectories", reference=others, seed=0
    )
    path = lm.trajectory(henon, start, n_steps=249)
    same = lm.manifold_along(manifold, path, transient=100, over="trajectories", seed=0)
    assert run.at.tolist() == [0, 1, 2]
    assert run.n_generated == same.n_generated == 150
    np.testing.assert_array_equal(run.precision, same.precision)
    np.testing.assert_array_equal(run.recall, same.recall)
    # An orbit on the attractor covers it as another one does.
    assert abs(run.recall[:, 1].mean() - run.reference_recall[0, 1]) < 0.1
    assert run.settings["n_trajectories"] == 3


def test_features_see_states_in_their_shape():
    images = np.random.default_rng(0).uniform(-1, 1, (30, 1, 2, 2))
    fading = lm.wrap(lambda x: 0.9 * x, state_shape=(1, 2, 2))
    seen = []

    def features(samples):
        seen.append(samples.shape)
        return samples.reshape(len(samples), -1)

    lm.manifold_along(images, fading, images, n_steps=1, k=2, features=features, seed=0)
    assert seen == [(30, 1, 2, 2)] * 3


def test_an_escape_ends_the_steps_and_leaves_those_before():
    doubling = lm.wrap(lambda x: 1e100 * x, state_shape=2)
    along = lm.manifold_along(REAL, doubling, REAL, n_steps=9, k=3, seed=0)
    assert along.status is Status.ESCAPED
    assert "step 4" in along.message
    assert along.at.tolist() == [0, 1, 2, 3]
    with pytest.raises(RunError, match="escaped") as caught:
        lm.manifold_along(REAL, doubling, REAL, n_steps=9, transient=5, k=3, seed=0)
    assert len(caught.value.result.at) == 0


def test_an_interrupt_brings_what_was_compared():
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        lm.manifold_along(REAL, shrinking(), REAL, n_steps=5, k=3, seed=0, progress=stop)
    assert caught.value.result.at.tolist() == [0, 1]


def test_results_are_saved(tmp_path):
    along = lm.manifold_along(REAL, shrinking(), REAL, n_steps=2, k=(2, 3), reference=REAL * 0.9, seed=0)
    bare = lm.manifold_along(REAL, shrinking(), REAL, n_steps=0, k=2, seed=0)
    for result in (along, bare):
        for suffix in (".nc", ".npz"):
            loaded = lm.ManifoldAlong.load(result.save(tmp_path / f"a{suffix}"))
            for name in result.DIMS:
                np.testing.assert_array_equal(getattr(loaded, name), getattr(result, name))
            assert loaded.over == "steps"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((shrinking(), REAL), {"n_steps": 2, "over": "time"}, "over: expected 'steps' or 'trajectories'"),
        ((shrinking(),), {"n_steps": 2}, "x0 and n_steps: expected both"),
        ((shrinking(), REAL[:3]), {"n_steps": 2}, "k: 3 neighbours need 4 trajectories, got 3"),
        (
            (shrinking(), REAL),
            {"n_steps": 2, "over": "trajectories"},
            "k: 3 neighbours need 4 states of each trajectory, got 3",
        ),
        ((lm.systems.logistic(), [0.1]), {"n_steps": 9, "over": "trajectories"}, "generated: expected 2 values"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(LyapmapError, match=message):
        lm.manifold_along(REAL, *arguments, k=3, **options)


def test_a_trajectory_takes_no_start():
    path = lm.trajectory(shrinking(), REAL, n_steps=3)
    with pytest.raises(LyapmapError, match="a Trajectory has its own states"):
        lm.manifold_along(REAL, path, REAL, k=3)


def test_batches_give_what_the_whole_gives():
    rng = np.random.default_rng(1)
    real, generated = rng.standard_normal((2, 90, 3))
    metric = lm.ManifoldMetric(k=(2, 5), compare="<", seed=0)
    for start in range(0, 90, 30):
        metric.update(real[start : start + 30], real=True)
        metric.update(generated[start : start + 30], real=False)
    whole = lm.manifold_metrics(real, generated, k=(2, 5), compare="<", seed=0)
    np.testing.assert_array_equal(metric.compute().precision, whole.precision)
    np.testing.assert_array_equal(metric.compute().recall_interval, whole.recall_interval)
    metric.reset()
    with pytest.raises(LyapmapError, match="no generated samples yet"):
        metric.compute()
    metric.update(real, real=False)
    assert metric.compute().copies == 90
    metric.reset(real=True)
    assert (metric.n_real, metric.n_generated) == (0, 0)


def test_a_metric_refuses_what_does_not_fit():
    metric = lm.ManifoldMetric(k=2)
    metric.update(np.zeros((4, 3)), real=True)
    with pytest.raises(ShapeError, match="expected 3 values for each, as before, got 2"):
        metric.update(np.zeros((4, 2)), real=False)
    with pytest.raises(ShapeError, match="expected a batch"):
        metric.update(np.zeros(4), real=False)
    with pytest.raises(LyapmapError, match="options: expected compare"):
        lm.ManifoldMetric(kk=3)
