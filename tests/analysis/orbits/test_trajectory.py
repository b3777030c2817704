"""Trajectories: the states of a map, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, RunError
from sample_maps import Henon, henon, logistic

STARTS = np.array([[0.1, 0.1], [0.2, -0.1]])


def test_states_follow_each_other_from_the_first_on() -> None:
    t = lm.trajectory(Henon(), STARTS, n_steps=5)
    assert t.states.shape == (2, 6, 2)
    np.testing.assert_array_equal(t.states[:, 0], STARTS)
    for step in range(5):
        np.testing.assert_array_equal(t.states[:, step + 1], henon(t.states[:, step]))
    assert (t.status, t.message, t.state_shape) == ("ok", "", (2,))
    assert t.settings == {"n_steps": 5, "transient": 0, "n_trajectories": 2}
    assert t.provenance["seed"] is None


def test_a_transient_is_run_but_not_recorded() -> None:
    whole = lm.trajectory(Henon(), STARTS, n_steps=8)
    late = lm.trajectory(Henon(), STARTS, n_steps=5, transient=3)
    np.testing.assert_array_equal(late.states, whole.states[:, 3:])


def test_no_steps_give_the_initial_states() -> None:
    np.testing.assert_array_equal(lm.trajectory(Henon(), STARTS[0], n_steps=0).states, STARTS[:1, None])


def test_a_trajectory_continues_from_its_last_state() -> None:
    first = lm.trajectory(Henon(), STARTS, n_steps=4)
    second = lm.trajectory(Henon(), first.states[:, -1], n_steps=4)
    np.testing.assert_array_equal(second.states, lm.trajectory(Henon(), STARTS, n_steps=8).states[:, 4:])


def test_images_have_the_shape_of_the_states_and_the_dtype_of_the_map() -> None:
    m = lm.wrap(lambda x: torch.roll(x, 1, -1), state_shape=(1, 2, 3), backend="torch")
    t = lm.trajectory(m, np.arange(6.0), n_steps=2)
    assert t.images().shape == (1, 3, 1, 2, 3)
    assert t.states.dtype == np.float32
    np.testing.assert_array_equal(t.images()[0, 1, 0], [[2, 0, 1], [5, 3, 4]])


def test_noise_goes_by_the_step_also_after_a_transient() -> None:
    m = lm.noisy(Henon(), scale=0.01, seed=1)
    whole = lm.trajectory(m, STARTS, n_steps=8)
    late = lm.trajectory(m, STARTS, n_steps=5, transient=3)
    np.testing.assert_array_equal(late.states, whole.states[:, 3:])


def test_an_escape_raises_and_tells_when() -> None:
    with pytest.raises(RunError, match="escaped: a state is not finite after step 9; start within the basin"):
        lm.trajectory(logistic(5.0), [1.5], n_steps=30)


def test_an_escape_can_be_returned_with_nan_from_then_on() -> None:
    t = lm.trajectory(logistic(5.0), [[1.5], [0.0]], n_steps=30, throw=False)
    assert t.status == "escaped"
    assert np.isfinite(t.states[0, :9]).all()
    assert np.isnan(t.states[0, 9:]).all()
    np.testing.assert_array_equal(t.states[1], np.zeros((31, 1)))


def test_an_escape_within_the_transient_is_an_escape() -> None:
    t = lm.trajectory(logistic(5.0), [1.5], n_steps=2, transient=30, throw=False)
    assert t.status == "escaped"
    assert np.isnan(t.states).all()


def test_progress_is_reported_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    lm.trajectory(Henon(), STARTS, n_steps=130, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(64, 130), (128, 130), (130, 130)]


def test_nothing_is_shown_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    lm.trajectory(Henon(), STARTS, n_steps=200, progress=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": -1}, "n_steps: expected at least 0, got -1"),
        ({"n_steps": 1.5}, "n_steps: expected an integer, got 1.5"),
        ({"n_steps": 1, "transient": -1}, "transient: expected at least 0, got -1"),
        ({"n_steps": 1, "x0": [1.0]}, "x0: expected one state (2,) or a batch (b, 2), got (1,)"),
        ({"n_steps": 1, "map": henon}, "map: expected an object with state_shape, apply and jacobian, got function"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    given = {"map": Henon(), "x0": STARTS} | options
    with pytest.raises(LyapmapError) as raised:
        lm.trajectory(given.pop("map"), given.pop("x0"), **given)
    assert str(raised.value).startswith(message)
