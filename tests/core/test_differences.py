"""Differences that stay on one side of a jump."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.differences import Differences, sizes, slopes_along
from sample_maps import henon

X = np.random.default_rng(0).uniform(0.05, 0.95, (2000, 1))


def slopes(function: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives in the one coordinate, and which are sure."""
    found, sure = slopes_along(function, x, sizes(x))
    return found / sizes(x), sure


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (np.sin, np.cos),
        (lambda x: np.exp(30 * x), lambda x: 30 * np.exp(30 * x)),
        (lambda x: np.tanh(1e4 * (x - 0.5)), lambda x: 1e4 / np.cosh(np.clip(1e4 * (x - 0.5), -300, 300)) ** 2),
        (lambda x: (x - 0.5) ** 2, lambda x: 2 * (x - 0.5)),
        (lambda x: np.sin(1e3 * x), lambda x: 1e3 * np.cos(1e3 * x)),
    ],
)
def test_smooth_functions_flat_and_steep(function: Any, slope: Any) -> None:
    found, sure = slopes(function, X)
    wanted = slope(X)
    assert sure.mean() > 0.99
    np.testing.assert_allclose(found[sure], wanted[sure], rtol=2e-5, atol=1e-6 * np.abs(wanted).max())


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-9, 0.2), st.booleans())
def test_the_side_of_a_jump_is_that_of_the_state(distance: float, above: bool) -> None:
    def jumps(x: np.ndarray) -> np.ndarray:
        return np.where(x >= 0.5, 3 * x - 1, 0.2 * x**2)

    x = np.array([[0.5 + distance if above else 0.5 - distance]])
    found, sure = slopes(jumps, x)
    assert sure.all()
    np.testing.assert_allclose(found, 3 if above else 0.4 * x, rtol=1e-4)


def test_a_state_on_the_jump_takes_its_own_branch() -> None:
    x = np.array([[0.5], [1.0], [1e-300]])
    for function, slope in ((lambda x: (2 * x) % 1, 2.0), (lambda x: np.floor(2 * x) + x, 1.0)):
        found, sure = slopes(function, x)
        assert sure.all()
        np.testing.assert_allclose(found, slope, rtol=1e-6)


def test_a_function_that_ends_at_the_state_is_looked_at_from_within() -> None:
    with np.errstate(invalid="ignore"):
        found, sure = slopes(lambda x: np.where(x >= 0.5, x**2, np.nan), np.array([[0.5], [0.7]]))
    assert sure.all()
    np.testing.assert_allclose(found.ravel(), [1, 1.4], rtol=1e-6)


def test_float32_takes_long_steps() -> None:
    x = X.astype(np.float32)
    found, sure = slopes(lambda x: (np.float32(1.7) * x) % np.float32(1), x)
    np.testing.assert_allclose(found[sure], 1.7, rtol=2e-2)
    assert sure.mean() > 0.99


def test_noise_is_not_sure_and_its_guess_is_finite() -> None:
    found, sure = slopes(lambda x: np.sin(1e17 * x), X)
    assert sure.mean() < 0.05
    assert np.isfinite(found).all()


PLANE = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 2))


def jacobians(x: Any) -> Any:
    return np.array([[[-2.8 * a, 1.0], [0.3, 0.0]] for a in x[:, 0]])


def test_they_are_as_good_as_precision_allows() -> None:
    exact = Differences(lm.wrap(henon, state_shape=2, backend="numpy"), "a test")
    np.testing.assert_allclose(exact.jacobian(PLANE), jacobians(PLANE), atol=1e-9)
    assert exact.derivative == "central differences (a test)"
    y, tangents = exact.jvp(PLANE, np.ones((4, 2, 0)))
    assert tangents.shape == (4, 2, 0)
    np.testing.assert_array_equal(y, henon(PLANE))
    v = np.zeros((4, 2, 2))
    v[:, 0, 1] = 1e6
    np.testing.assert_allclose(exact.jvp(PLANE, v)[1][:, :, 1], 1e6 * jacobians(PLANE)[:, :, 0], rtol=1e-7)
    assert not exact.jvp(PLANE, v)[1][:, :, 0].any()


@pytest.mark.parametrize("precise", [True, False])
def test_those_of_float32_are_taken_in_float64_where_that_is_to_be_had(precise: bool) -> None:
    weight = torch.tensor([[0.5, -1.0], [2.0, 0.3]])

    def step(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x @ (weight.to(x.dtype) if precise else weight))

    m = Differences(lm.wrap(step, state_shape=2), "a test")
    x = torch.tensor(PLANE, dtype=torch.float32)
    wanted = torch.cos(x @ weight)[:, :, None] * weight.T
    assert torch.allclose(m.jacobian(x), wanted, atol=1e-6 if precise else 1e-3)
    assert m.derivative.startswith("central differences in float64" if precise else "central differences (")
    assert m.jacobian(x).dtype == torch.float32


def test_the_structure_of_states_is_kept() -> None:
    example = {"a": torch.zeros(1), "b": torch.zeros(2)}
    m: Any = lm.wrap(lambda s: {"a": s["a"].detach() * 0.5, "b": torch.tanh(s["b"]).detach()}, state_example=example)
    assert m.derivative.startswith("central differences")
    assert set(m.restore(np.zeros((1, 3)))) == {"a", "b"}
