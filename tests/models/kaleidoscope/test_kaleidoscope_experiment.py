"""The shape of all experiments with small networks."""

from __future__ import annotations

import numpy as np
import pytest

from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.results import Status, Verdict
from lyapmap.core.run import Run
from lyapmap.models.kaleidoscope.experiment import (
    Cell,
    Fit,
    ascending_sizes,
    count_apart,
    experiment,
    over_sizes,
    padded,
    visited,
)
from sample_maps import logistic

CELLS = [Cell(np.full((1, 1), 0.3), 1, width) for width in (3, 1, 2)]
QUICK = Fit(1e-8, 2, 1)


def test_each_cell_is_fitted_and_looked_at_in_turn() -> None:
    run, reports = Run("", seed=0, progress=lambda done, total: reports.append((done, total))), []
    seen = experiment(run, CELLS, QUICK, lambda number, maps, fitted: (number, maps[0].state_shape, fitted.steps[0]))
    assert [cell.look for cell in seen] == [(0, (1,), 2), (1, (1,), 2), (2, (1,), 2)]
    assert [cell.fit.networks[0].config.width for cell in seen] == [3, 1, 2]
    assert reports == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("stop_at", "partial"), [(0, True), (2, False), (2, True)])
def test_interrupted_with_what_there_is(stop_at: int, partial: bool) -> None:
    def look(number: int, *_: object) -> int:
        if number == stop_at:
            raise KeyboardInterrupt
        return number

    run = Run("", seed=0)
    if stop_at and partial:
        assert [cell.look for cell in experiment(run, CELLS, QUICK, look, partial=True)] == [0, 1]
        assert run.interrupted
    else:
        with pytest.raises(Interrupted) as stopped:
            experiment(run, CELLS, QUICK, look, partial=partial)
        assert stopped.value.result is None


def test_fits_that_miss_are_named() -> None:
    left, fit = np.array([1e-9, 1e-3, np.nan]), Fit.checked(1e-8, 10, 4)
    assert fit.verdict(["a", "b", "c"], left) == (Status.NOT_CONVERGED, "no loss of 1e-08 with b; c in 4 tries", "")
    assert fit.verdict(["a"], left[:1]) == Verdict()


def test_states_after_some_steps() -> None:
    x = np.array([[0.2], [0.7]])
    states = visited(logistic(3.7), x, (0, 1, 3))
    expected = [x]
    for _ in range(3):
        expected.append(logistic(3.7).apply(expected[-1]))
    assert np.allclose(states, np.stack([expected[0], expected[1], expected[3]]))


def test_rows_of_different_lengths() -> None:
    full = padded([np.ones((1, 2)), np.zeros((3, 2))])
    assert full.shape == (2, 3, 2)
    assert np.isnan(full[0, 1:]).all()
    assert padded([1, 2]).tolist() == [1, 2]


def test_cells_that_were_not_reached_are_unknown() -> None:
    table = over_sizes((2, 2, 3), [[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    np.testing.assert_array_equal(table, [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [np.nan] * 3]])


def test_points_are_told_apart_from_all_before_them() -> None:
    line = np.array([[0.0], [0.9], [1.8], [0.1], [2.9]])
    assert count_apart(line, 1.0) == 3  # 0, 1.8, 2.9: not a chain of neighbours
    assert count_apart(line[:0], 1.0) == 0


def test_sizes_out_of_range() -> None:
    with pytest.raises(LyapmapError, match="widths: expected at least one"):
        ascending_sizes("widths", [])
    with pytest.raises(LyapmapError, match="dimensions: expected at most 4, got 5"):
        ascending_sizes("dimensions", [5, 1], 4)
