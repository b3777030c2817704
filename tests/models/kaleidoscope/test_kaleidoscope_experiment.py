"""What the experiments with small networks share."""

from __future__ import annotations

import numpy as np
import pytest

from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.results import Status
from lyapmap.models.kaleidoscope import experiment
from sample_maps import logistic


def test_each_cell_is_measured_in_turn() -> None:
    seen: list[int] = []
    experiment.each([3, 1, 2], seen.append, words="", progress=False)
    assert seen == [3, 1, 2]


@pytest.mark.parametrize(("stop_at", "given"), [(0, None), (2, "after 2")])
def test_interrupted_with_what_there_is(stop_at: int, given: str | None) -> None:
    def measure(cell: int) -> None:
        if cell == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        experiment.each(range(5), measure, words="", progress=False, partial=lambda done: f"after {done}")
    assert stopped.value.result == given


def test_fits_that_miss_are_named() -> None:
    left = np.array([1e-9, 1e-3, np.nan])
    found = experiment.how_it_went(["a", "b", "c"], left, 1e-8, 4)
    assert found == {"status": Status.NOT_CONVERGED, "message": "no loss of 1e-08 with b; c in 4 tries"}
    assert experiment.how_it_went(["a"], left[:1], 1e-8, 4) == {"status": Status.OK, "message": ""}


def test_states_after_some_steps() -> None:
    x = np.array([[0.2], [0.7]])
    states = experiment.visited(logistic(3.7), x, (0, 1, 3))
    expected = [x]
    for _ in range(3):
        expected.append(logistic(3.7).apply(expected[-1]))
    assert np.allclose(states, np.stack([expected[0], expected[1], expected[3]]))


def test_rows_of_different_lengths() -> None:
    full = experiment.padded([np.ones((1, 2)), np.zeros((3, 2))])
    assert full.shape == (2, 3, 2)
    assert np.isnan(full[0, 1:]).all()
    assert experiment.padded([1, 2]).tolist() == [1, 2]


def test_sizes_out_of_range() -> None:
    with pytest.raises(LyapmapError, match="widths: expected at least one"):
        experiment.ascending_sizes("widths", [])
    with pytest.raises(LyapmapError, match="dimensions: expected at most 4, got 5"):
        experiment.ascending_sizes("dimensions", [5, 1], 4)
