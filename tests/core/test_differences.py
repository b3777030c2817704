"""Derivatives by differences, for maps that have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import lyapmap as lm
from lyapmap.core.differences import Differences
from sample_maps import henon

X = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 2))


def jacobians(x: Any) -> Any:
    return np.array([[[-2.8 * a, 1.0], [0.3, 0.0]] for a in x[:, 0]])


def test_they_are_as_good_as_precision_allows() -> None:
    exact = Differences(lm.wrap(henon, state_shape=2, backend="numpy"), "a test")
    np.testing.assert_allclose(exact.jacobian(X), jacobians(X), atol=1e-9)
    assert exact.derivative == "central differences (a test)"
    y, tangents = exact.jvp(X, np.ones((4, 2, 0)))
    assert tangents.shape == (4, 2, 0)
    np.testing.assert_array_equal(y, henon(X))
    v = np.zeros((4, 2, 2))
    v[:, 0, 1] = 1e6
    np.testing.assert_allclose(exact.jvp(X, v)[1][:, :, 1], 1e6 * jacobians(X)[:, :, 0], rtol=1e-7)
    assert not exact.jvp(X, v)[1][:, :, 0].any()


@pytest.mark.parametrize("precise", [True, False])
def test_those_of_float32_are_taken_in_float64_where_that_is_to_be_had(precise: bool) -> None:
    weight = torch.tensor([[0.5, -1.0], [2.0, 0.3]])

    def step(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x @ (weight.to(x.dtype) if precise else weight))

    m = Differences(lm.wrap(step, state_shape=2), "a test")
    x = torch.tensor(X, dtype=torch.float32)
    wanted = torch.cos(x @ weight)[:, :, None] * weight.T
    assert torch.allclose(m.jacobian(x), wanted, atol=1e-6 if precise else 1e-3)
    assert m.derivative.startswith("central differences in float64" if precise else "central differences (")
    assert m.jacobian(x).dtype == torch.float32


def test_the_structure_of_states_is_kept() -> None:
    example = {"a": torch.zeros(1), "b": torch.zeros(2)}
    m: Any = lm.wrap(lambda s: {"a": s["a"].detach() * 0.5, "b": torch.tanh(s["b"]).detach()}, state_example=example)
    assert m.derivative.startswith("central differences")
    assert set(m.restore(np.zeros((1, 3)))) == {"a", "b"}
