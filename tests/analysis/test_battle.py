"""Battles: against error rates known in closed form, exact counts, and how often limits hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import lyapmap as lm
from lyapmap.analysis.battle import judged
from lyapmap.core.errors import LyapmapError, ShapeError
from picture_checks import check_picture, words


def normal(mean):
    return lambda n, seed: mean + np.random.default_rng([seed, round(1000 * (mean + 50))]).standard_normal((n, 1))


def above(edge):
    """Calls everything above `edge` real."""
    return lambda x: (x[:, 0] > edge).astype(float)


def contender(name, mean, edge=0.0):
    return lm.Contender(name, normal(mean), None if edge is None else above(edge))


TEST = normal(1.0)(4000, 7)


def test_ratios_are_those_of_the_distributions():
    a, b = contender("a", 0.3, edge=-0.2), contender("b", -0.4, edge=0.1)
    found = lm.battle(a, b, TEST, 40_000, seed=1)
    r_test = norm.cdf(-0.2 - 1) / norm.cdf(0.1 - 1)
    r_sample = norm.sf(-0.2 + 0.4) / norm.sf(0.1 - 0.3)
    assert found.r_sample == pytest.approx(r_sample, rel=0.03)
    assert found.r_sample_interval[0] < r_sample < found.r_sample_interval[1]
    assert found.r_test_interval[0] < r_test < found.r_test_interval[1]
    np.testing.assert_allclose(found.own_errors, [norm.sf(-0.2 - 0.3), norm.sf(0.1 + 0.4)], atol=0.01)
    assert found.winner == "tie"
    assert "r_test" in found.reason


def test_counts_by_hand():
    values = np.array([[0.0], [1.0], [2.0], [3.0]])
    one = lm.Contender("one", lambda n, seed: values[:n], lambda x: (x[:, 0] < 2) * 0.9)
    other = lm.Contender("other", lambda n, seed: values[:n] + 1, lambda x: (x[:, 0] < 3) * 0.5)
    found = lm.battle(one, other, values, 4, seed=0)
    np.testing.assert_array_equal(found.test_errors, [2 / 4, 1 / 4])  # real: 0, 1 of 4; 0, 1, 2 of 4
    np.testing.assert_array_equal(found.sample_errors, [1 / 4, 3 / 4])  # of 1..4 below 2; of 0..3 below 3
    np.testing.assert_array_equal(found.own_errors, [2 / 4, 2 / 4])
    assert found.r_test == 2
    assert found.r_sample == pytest.approx(1 / 3)


@pytest.mark.parametrize(("means", "winner"), [((0.8, -0.8), "a"), ((-0.8, 0.8), "b"), ((0.2, 0.2), "tie")])
def test_the_better_generator_wins(means, winner):
    found = lm.battle(contender("a", means[0]), contender("b", means[1]), TEST, seed=0)
    assert found.r_test == 1
    assert found.winner == winner
    swapped = lm.battle(contender("b", means[1]), contender("a", means[0]), TEST, seed=0)
    assert swapped.winner == winner
    assert swapped.r_sample == pytest.approx(1 / found.r_sample)


def test_limits_hold_the_truth_as_often_as_they_say():
    truth = norm.sf(0.5) / norm.sf(1.0)
    held = 0
    for seed in range(200):
        a, b = contender("a", -1.0), contender("b", -0.5)
        low, high = lm.battle(a, b, TEST[:50], 300, seed=seed, n_boot=400).r_sample_interval
        held += low < truth < high
    assert 0.90 < held / 200 < 0.99


def test_both_judge_the_same_test_data():
    # Equal judges have a ratio of exactly 1, however few the data; judged apart it would be uncertain.
    narrow = lm.battle(contender("a", 0.5), contender("b", -0.5), TEST[:2000], seed=0).r_test_interval
    apart = lm.battle(contender("a", 0.5), contender("b", -0.5, edge=1.0), TEST[:2000], seed=0).r_test_interval
    assert narrow[1] - narrow[0] < 0.02
    assert apart[1] - apart[0] > narrow[1] - narrow[0]


def test_no_error_at_all_gives_a_bound_and_says_so():
    hard = lm.Contender("hard", normal(0.0), lambda x: np.zeros(len(x)))
    soft = lm.Contender("soft", normal(0.0), lambda x: np.full(len(x), 0.9))
    found = lm.battle(hard, soft, TEST[:100], 50, seed=0)
    assert found.status is lm.Status.UNRESOLVED
    assert "hard made no error" in found.message
    assert found.sample_errors.tolist() == [0, 1]
    assert found.r_sample == pytest.approx(0.5 / 50.5)
    assert all(map(math.isfinite, (found.r_test, *found.r_test_interval, *found.r_sample_interval)))


def test_one_side_alone():
    found = lm.battle(contender("a", 0.5), contender("b", -0.3, edge=None), TEST, seed=0)
    assert found.winner == ""
    assert "b has no discriminator" in found.reason
    assert found.sample_errors[0] == pytest.approx(norm.sf(0.3), abs=0.05)
    assert np.isnan([found.sample_errors[1], found.test_errors[1], found.r_test, found.r_sample]).all()


@settings(max_examples=25, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(-1, 1), st.integers(2, 60), st.integers(0, 99))
def test_any_battle_has_finite_ratios_within_limits(mean, edge, other, n, seed):
    found = lm.battle(contender("a", mean, edge), contender("b", other), TEST[:n], n, seed=seed, n_boot=100)
    assert 0 < found.r_sample < math.inf
    assert found.r_sample_interval[0] < found.r_sample_interval[1]
    assert found.winner in ("a", "b", "tie")


def test_a_tournament_is_its_battles():
    models = [contender("a", 0.9), contender("b", -0.9), contender("c", 0.0), contender("d", 0.0, edge=None)]
    table = lm.tournament(models, TEST, 1500, seed=3)
    alone = judged(models, TEST, 1500, seed=3).pair(0, 1, tolerance=0.3, level=0.95, n_boot=2000)
    assert table.r_sample[0, 1] == alone.r_sample
    assert table.r_sample[1, 0] == 1 / alone.r_sample
    assert table.ranking[0] == "a"
    assert table.outcome.tolist() == [[0, 1, 1, 0], [-1, 0, -1, 0], [-1, 1, 0, 0], [0, 0, 0, 0]]
    assert table.wins.tolist() == [2, 0, 1, 0]
    assert table.losses.tolist() == [0, 2, 1, 0]
    assert table.ties.tolist() == [0, 0, 0, 0]
    assert np.isnan(table.sample_errors[3]).all()
    assert table.sample_errors[0, 3] == pytest.approx(0.5, abs=0.05)


def test_results_come_back_from_files(tmp_path):
    a, b = contender("a", 0.8), contender("b", -0.8)
    for number, found in enumerate((lm.battle(a, b, TEST, seed=0), lm.tournament([a, b], TEST, seed=0))):
        again = type(found).load(found.save(tmp_path / f"{number}.nc"))
        assert again.names == ("a", "b")
        np.testing.assert_array_equal(again.r_sample, found.r_sample)
        check_picture(again.plot())


def test_pictures_show_the_rates_the_ratios_and_who_won():
    a, b = contender("a", 0.8), contender("b", -0.8)
    result = lm.battle(a, b, TEST, seed=0)
    errors, ratios = result.plot().axes
    rates = [result.test_errors, result.sample_errors, result.own_errors]
    heights = [[bar.get_height() for bar in bars] for bars in errors.containers]
    np.testing.assert_allclose(np.transpose(heights), rates)
    np.testing.assert_allclose([c.lines[0].get_ydata()[0] for c in ratios.containers], [result.r_test, result.r_sample])
    table = lm.tournament([a, b, contender("c", 0.0)], TEST, seed=0)
    figure = table.plot()
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), table.outcome)
    check_picture(figure)
    assert "   >   ".join(table.ranking) in words(figure)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: lm.battle(contender("a", 0), contender("a", 1), TEST), LyapmapError, "names: expected different"),
        (lambda: lm.battle(contender("a", 0, None), contender("b", 1, None), TEST), LyapmapError, "judge: none of"),
        (lambda: lm.battle(contender("a", 0), contender("b", 1), TEST, 1), LyapmapError, "n: expected"),
        (lambda: lm.battle(contender("a", 0), contender("b", 1), TEST[:, 0]), ShapeError, "test_data: expected two"),
        (lambda: lm.battle(contender("a", 0), contender("b", 1), TEST * np.nan), LyapmapError, "test_data: not all"),
        (lambda: lm.battle(contender("a", 0), contender("b", 1), TEST, level=2.0), LyapmapError, "level: expected"),
        (lambda: lm.battle(contender("a", 0), contender("b", 1), TEST, tolerance=-1), LyapmapError, "tolerance: "),
        (
            lambda: lm.battle(contender("a", 0), contender("b", 1), np.ones((5, 2))),
            ShapeError,
            r"a: expected 2000 samples of shape \(2,\) like the test data, got 2000 of \(1,\)",
        ),
        (
            lambda: lm.battle(contender("a", 0), lm.Contender("b", normal(0), lambda x: x[:, 0] * 9), TEST),
            LyapmapError,
            "b: expected probabilities from 0 to 1",
        ),
        (
            lambda: lm.battle(contender("a", 0), lm.Contender("b", normal(0), lambda x: x), TEST),
            ShapeError,
            "b: expected one probability for each",
        ),
        (lambda: lm.tournament([contender("a", 0)], TEST), LyapmapError, "models: expected two or more, got 1"),
    ],
)
def test_what_cannot_fight_is_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
