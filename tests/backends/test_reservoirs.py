"""Closed loops of reservoirpy models against the models themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.errors import MapError

nodes = pytest.importorskip("reservoirpy.nodes", reason="reservoirpy is not installed")
SERIES = np.stack([np.sin(np.arange(300) / 5), np.cos(np.arange(300) / 3)], axis=1)


def fitted(model: Any) -> Any:
    return model.fit(SERIES[:-1], SERIES[1:], warmup=50)


def test_a_loop_goes_as_the_model_does() -> None:
    first, second = (nodes.Reservoir(12, sr=0.9, lr=0.5, seed=seed) for seed in (1, 2))
    model = fitted(nodes.Input() >> first >> second >> nodes.Ridge(ridge=1e-6))
    loop = lm.wrap(model)
    assert loop.state_shape == (24,)
    assert loop.derivative == "dual numbers"
    assert repr(loop) == "NumpyMap of closed loop of Model, n = 24, float64 on cpu, dual numbers"
    y = model.run(SERIES[:50])[-1]
    x = np.concatenate([first.state["out"], second.state["out"]])[None]
    for _ in range(4):
        y = model.step(y)
        x = loop.apply(x)
        np.testing.assert_allclose(x[0], np.concatenate([first.state["out"], second.state["out"]]), atol=1e-12)


def test_later_training_does_not_change_the_map() -> None:
    readout = nodes.Ridge(ridge=1e-6)
    loop = lm.wrap(fitted(nodes.Reservoir(12, seed=1) >> readout))
    before = loop.apply(np.full((1, 12), 0.3))
    readout.Wout *= 2
    np.testing.assert_array_equal(loop.apply(np.full((1, 12), 0.3)), before)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nodes.Reservoir(5) >> nodes.Ridge(), "has not been fitted"),
        (lambda: fitted(nodes.Input() >> nodes.Ridge(ridge=1e-6)), "no reservoir"),
        (
            lambda: (nodes.Reservoir(5, seed=1) >> nodes.Ridge(ridge=1e-6)).fit(SERIES[:-1], SERIES[1:, :1]),
            "its output has 1 values and its input takes",
        ),
    ],
)
def test_what_is_no_closed_loop_is_refused(make: Any, says: str) -> None:
    with pytest.raises(MapError, match=says):
        lm.wrap(make())


def test_a_readout_that_sees_the_input_is_refused() -> None:
    source = nodes.Input()
    model = fitted([source, source >> nodes.Reservoir(5, seed=1)] >> nodes.Ridge(ridge=1e-6))
    with pytest.raises(MapError, match="sees its input directly"):
        lm.wrap(model)
