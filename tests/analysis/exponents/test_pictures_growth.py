"""Figures of cycles, expansion entropy and sweeps, also of loaded and of failed results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import ShapeError
from picture_checks import check_picture, pixels
from picture_checks import words as texts
from sample_maps import Henon, Linear, interval_map, logistic


def grid_map() -> Any:
    """Images of 2 x 2 pixels, two fixed points in every pixel."""
    return lm.wrap(
        lambda x: np.tanh(2 * x),
        state_shape=(1, 2, 2),
        backend="numpy",
        jacobian=lambda x: 2 * (1 - np.tanh(2 * x.reshape(len(x), 4)) ** 2)[:, :, None] * np.eye(4),
    )


SWEEP: dict[str, Any] = {"n_steps": 60, "transient": 60, "n_kept": 5, "seed": 0, "throw": False}
RESULTS = {
    "saddles": lambda: lm.periodic_orbits(Henon(), [0.1, 0.1], period=2, divisors=True, n_guesses=40, seed=0),
    "one dimension": lambda: lm.periodic_orbits(logistic(4.0), region=(0, 1), period=3, n_guesses=40, seed=0),
    "no cycle": lambda: lm.periodic_orbits(Henon(), [0.1, 0.1], period=3, n_guesses=20, seed=0, throw=False),
    "images": lambda: lm.periodic_orbits(grid_map(), region=(-1, 1), n_guesses=30, seed=0),
    "cycle of images": lambda: lm.periodic_orbits(
        grid_map(), region=(-1, 1), n_guesses=9, period=2, divisors=True, seed=0
    ),
    "neutral": lambda: lm.periodic_orbits(Linear(np.eye(2)), [0.1, 0.2], n_guesses=1, seed=0),
    "entropy": lambda: lm.expansion_entropy(logistic(4.0), (-0.5, 1.5), n_samples=400, n_steps=8, seed=0, throw=False),
    "no entropy": lambda: lm.expansion_entropy(
        interval_map(lambda x: x + 9), (0, 1), n_samples=40, seed=0, throw=False
    ),
    "flat entropy": lambda: lm.expansion_entropy(
        interval_map(lambda x: x / 2, lambda x: 0.5 + 0 * x), (0, 1), n_samples=40, seed=0
    ),
    "sweep": lambda: lm.sweep(logistic, "r", [3.2, 3.9, 4.5, 3.8], [0.3], **SWEEP),
    "sweep down": lambda: lm.sweep(logistic, "r", [3.9, 3.5, 3.2], [0.3], analysis="spectrum", **SWEEP),
    "sweep of one": lambda: lm.sweep(logistic, "r", [3.9], [0.3], analysis="bifurcation", **SWEEP),
    "measured": lambda: lm.sweep(logistic, "r", [3.2, 3.9], [0.3], analysis=lambda m, x: x.mean(), **SWEEP),
    "failed sweep": lambda: lm.sweep(logistic, "r", [4.5, 5], [0.3], analysis="spectrum", **SWEEP),
}


@pytest.mark.parametrize("name", RESULTS)
def test_every_kind_of_result_is_drawn_and_looks_the_same_when_loaded(name: str, tmp_path: Any) -> None:
    result = RESULTS[name]()
    drawn = check_picture(result.plot())
    loaded = type(result).load(result.save(tmp_path / "r.npz"))
    np.testing.assert_array_equal(pixels(loaded.plot()), drawn)


def test_headlines_say_what_was_found() -> None:
    assert "2 fixed points, 1 cycle of period 2 found" in texts(RESULTS["saddles"]().plot())
    assert "no cycle of period 3 found" in texts(RESULTS["no cycle"]().plot())
    assert "entropy not determined" in texts(RESULTS["no entropy"]().plot())
    words = texts(RESULTS["sweep"]().plot())
    assert "4 values of r   ·   largest exponent positive at 2" in words
    assert "1 of 4 runs failed" in words


def test_stability_is_coloured_and_counted() -> None:
    assert "saddle (3)" in texts(RESULTS["saddles"]().plot())
    assert "neutral (1)" in texts(RESULTS["neutral"]().plot())


def test_a_component_that_is_not_there_is_refused() -> None:
    with pytest.raises(ShapeError, match="component: expected 0 to 0, got 1"):
        RESULTS["sweep"]().plot(component=1)
