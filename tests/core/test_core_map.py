"""Maps, initial states, arguments: what the ground floor makes of what users bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lyapmap.core.arguments import interval, positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.map import as_states, is_tangent_map, jacobian_from_jvp
from lyapmap.core.ops import NumpyOps
from sample_maps import Henon, Linear


class Images:
    """The identity on images of 2 x 3 values."""

    state_shape = (1, 2, 3)

    def apply(self, x: np.ndarray) -> np.ndarray:
        return x

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.eye(6), (len(x), 6, 6))


IMAGES = as_tangent_map(Images())
LINE = as_tangent_map(Linear([[2.0]]))


@pytest.mark.parametrize(
    ("shape", "rows", "single"),
    [
        ((6,), 1, True),
        ((1, 2, 3), 1, True),
        ((1, 6), 1, False),
        ((4, 6), 4, False),
        ((4, 1, 2, 3), 4, False),
        ((1, 1, 2, 3), 1, False),
    ],
)
def test_initial_states_become_rows(shape: tuple[int, ...], rows: int, single: bool) -> None:
    values = np.arange(np.prod(shape), dtype=float).reshape(shape)
    x, was_single = as_states(values, IMAGES)
    assert was_single is single
    np.testing.assert_array_equal(x, values.reshape(rows, 6))


@pytest.mark.parametrize(
    "given", [0.5, [0.5], [[0.5]], np.float32(0.5), torch.tensor([0.5]), torch.tensor([[0.5]], requires_grad=True)]
)
def test_numbers_lists_and_tensors_are_taken(given: Any) -> None:
    x, _ = as_states(given, LINE)
    assert x.shape == (1, 1)
    assert x.dtype == np.float64
    assert x[0, 0] == 0.5


@pytest.mark.parametrize("given", [True, 1, np.uint8(1)])
def test_whole_numbers_become_floats(given: Any) -> None:
    assert as_states(given, LINE)[0].tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros(5), ShapeError, r"x0: expected one state (1, 2, 3) or a batch (b, 6), got (5,)"),
        (np.zeros((2, 7)), ShapeError, r"x0: expected one state (1, 2, 3) or a batch (b, 6), got (2, 7)"),
        (np.zeros((2, 3)), ShapeError, r"x0: expected one state (1, 2, 3) or a batch (b, 6), got (2, 3)"),
        (0.5, ShapeError, r"x0: expected one state (1, 2, 3) or a batch (b, 6), got ()"),
        (np.zeros((0, 6)), ShapeError, "x0: expected at least one state, got none"),
        (np.zeros(6, complex), PrecisionError, "x0: expected real numbers, got dtype complex128"),
        (["a"] * 6, PrecisionError, "x0: expected real numbers, got dtype <U1"),
        (None, PrecisionError, "x0: expected real numbers, got dtype object"),
        ([[0.0] * 6, [np.nan] * 6], LyapmapError, "x0: state 1 is not finite"),
        (np.full(6, np.inf), LyapmapError, "x0: state 0 is not finite"),
    ],
)
def test_initial_states_that_do_not_fit_are_refused_in_one_line(
    given: Any, error: type[LyapmapError], message: str
) -> None:
    with pytest.raises(error) as raised:
        as_states(given, IMAGES)
    assert str(raised.value) == message


def test_a_map_is_completed_with_the_tangents_of_its_jacobian() -> None:
    m = as_tangent_map(Henon())
    x, v = np.array([[0.1, 0.2], [0.5, -0.3]]), np.random.default_rng(0).standard_normal((2, 2, 3))
    y, tangents = m.jvp(x, v)
    np.testing.assert_array_equal(y, Henon().apply(x))
    np.testing.assert_array_equal(tangents, Henon().jacobian(x) @ v)
    assert (m.ops.dtype, m.derivative, m.provenance) == ("float64", "jacobian given", {"map": "Henon"})
    assert is_tangent_map(m)
    assert as_tangent_map(m) is m


def test_a_map_that_answers_in_another_dtype_is_refused() -> None:
    class Single(Henon):
        def apply(self, x: np.ndarray) -> np.ndarray:
            return super().apply(x).astype(np.float32)

    with pytest.raises(PrecisionError, match="map: expected apply to give float64, got float32"):
        as_tangent_map(Single()).jvp(np.zeros((1, 2)), np.zeros((1, 2, 1)))


@pytest.mark.parametrize("wrong", [None, 3, np.tanh, object()])
def test_what_is_no_map_is_refused_with_the_way_to_make_one(wrong: Any) -> None:
    with pytest.raises(MapError, match=r"expected an object with state_shape.*lyapmap\.wrap"):
        as_tangent_map(wrong)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 128])
def test_the_jacobian_from_tangents_is_the_jacobian_for_any_chunk(chunk: int) -> None:
    matrix = np.random.default_rng(0).standard_normal((5, 5))
    m = as_tangent_map(Linear(matrix))
    found = jacobian_from_jvp(m, np.zeros((2, 5)), chunk=chunk)
    np.testing.assert_array_equal(found, [matrix, matrix])


def test_only_as_many_directions_as_a_chunk_are_carried_at_once() -> None:
    class Counting(Linear):
        ops = NumpyOps()
        widths: list[int] = []  # noqa: RUF012

        def jvp(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.widths.append(v.shape[2])
            return self.apply(x), self.matrix @ v

    jacobian_from_jvp(Counting(np.eye(5)), np.zeros((1, 5)), chunk=2)
    assert Counting.widths == [2, 2, 1]


@pytest.mark.parametrize("value", [3, 3.0, np.int32(3), np.float64(3)])
def test_whole_numbers_are_taken_in_any_type(value: Any) -> None:
    assert whole("n", value, 1) == 3
    assert type(whole("n", value, 1)) is int


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: whole("n", 2.5, 0), "n: expected an integer, got 2.5"),
        (lambda: whole("n", np.inf, 0), "n: expected an integer, got inf"),
        (lambda: whole("n", "3", 0), "n: expected an integer, got '3'"),
        (lambda: whole("n", None, 0), "n: expected an integer, got None"),
        (lambda: whole("n", -1, 0), "n: expected at least 0, got -1"),
        (lambda: whole("n", True, 0), "n: expected an integer, got True"),
        (lambda: positive("t", 0), "t: expected a positive number, got 0"),
        (lambda: positive("t", np.nan), "t: expected a positive number, got nan"),
        (lambda: positive("t", "a"), "t: expected a positive number, got 'a'"),
        (lambda: interval("b", (1, 1)), "b: expected (low, high) with low < high, got (1, 1)"),
        (lambda: interval("b", 5), "b: expected (low, high) with low < high, got 5"),
        (lambda: interval("b", (0, 1, 2)), "b: expected (low, high) with low < high, got (0, 1, 2)"),
        (lambda: interval("b", (0, np.nan)), "b: expected (low, high) with low < high, got (0, nan)"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(check: Any, message: str) -> None:
    with pytest.raises(LyapmapError) as raised:
        check()
    assert str(raised.value) == message
