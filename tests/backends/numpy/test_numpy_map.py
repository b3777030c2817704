"""NumPy functions as maps: derivatives given, by complex step, by dual numbers, by differences."""

from __future__ import annotations

import math
import warnings
from math import sin
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.backends.numpy.map import wrap_numpy
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from sample_maps import Henon, henon

RNG = np.random.default_rng(0)
X, V = RNG.uniform(-1, 1, (5, 2)), RNG.standard_normal((5, 2, 3))
GIVEN, COMPLEX, DUAL, DIFFERENCES = "jacobian given", "complex step", "dual numbers", "central differences"


def ikeda(x: np.ndarray) -> np.ndarray:
    angle = 0.4 - 6 / (1 + x[:, 0] ** 2 + x[:, 1] ** 2)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([1 + 0.9 * (x[:, 0] * cos - x[:, 1] * sin), 0.9 * (x[:, 0] * sin + x[:, 1] * cos)], axis=1)


def filled_in(x: np.ndarray) -> np.ndarray:
    out = np.empty(x.shape)  # as most people write it
    out[:, 0], out[:, 1] = x[:, 0] ** 2, x[:, 1]
    return out


def copied(function: Any) -> Any:
    """A function whose numbers go through bytes, where nothing is to be seen: differences are all there is."""

    def copy(x: np.ndarray) -> np.ndarray:
        return function(np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape))

    return copy


def test_a_given_jacobian_is_used() -> None:
    m = wrap_numpy(henon, state_shape=(2,), jacobian=Henon().jacobian)
    y, tangents = m.jvp(X, V)
    assert m.derivative == GIVEN
    np.testing.assert_array_equal(y, henon(X))
    np.testing.assert_array_equal(tangents, Henon().jacobian(X) @ V)
    np.testing.assert_array_equal(m.jacobian(X), Henon().jacobian(X))


def test_a_jacobian_may_have_the_shape_of_the_states_twice() -> None:
    m = wrap_numpy(
        lambda x: 2 * x, state_shape=(2, 2), jacobian=lambda x: np.array([2 * np.eye(4).reshape(2, 2, 2, 2)] * len(x))
    )
    np.testing.assert_array_equal(m.jacobian(np.ones((3, 4)))[2], 2 * np.eye(4))


@pytest.mark.parametrize(
    ("function", "jacobian"),
    [
        (henon, Henon().jacobian),
        (lambda x: np.exp(np.sin(x)), lambda x: (np.cos(x) * np.exp(np.sin(x)))[:, None] * np.eye(2)),
    ],
)
def test_the_complex_step_is_exact(function: Any, jacobian: Any) -> None:
    m = wrap_numpy(function, state_shape=(2,))
    y, tangents = m.jvp(X, V)
    assert m.derivative == COMPLEX
    np.testing.assert_array_equal(y, function(X))
    np.testing.assert_allclose(tangents, jacobian(X) @ V, rtol=1e-14, atol=1e-14)
    assert tangents.dtype == np.float64


def test_the_complex_step_of_the_ikeda_map_conserves_its_determinant() -> None:
    m = wrap_numpy(ikeda, state_shape=(2,))
    assert m.derivative == COMPLEX
    np.testing.assert_allclose(np.linalg.det(m.jacobian(X)), 0.81, rtol=1e-13)


def test_what_underflows_in_a_complex_step_is_taken_again() -> None:
    m = wrap_numpy(lambda x: x * np.exp(-600.0), state_shape=(1,))
    assert m.derivative == COMPLEX
    np.testing.assert_allclose(np.log(m.jacobian(np.array([[0.5]]))), -600, rtol=1e-13)
    sigmoid = wrap_numpy(lambda x: 1 / (1 + np.exp(-x)), state_shape=(1,))
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_allclose(sigmoid.jacobian(np.array([[-800.0], [0.0]])).ravel(), [0, 0.25])


BRANCHES: list[Any] = [
    (np.abs, np.sign),
    (lambda x: np.where(x < 0.1, 2 * x, x / 2), lambda x: np.where(x < 0.1, 2, 0.5)),
    (lambda x: x - np.abs(x), lambda x: 1 - np.sign(x)),
    (lambda x: np.where(x > 1, np.abs(3 * x - 9), x / 2), lambda x: np.full_like(x, 0.5)),
    (lambda x: np.real(x) ** 2, lambda x: 2 * x),
    (
        lambda x: np.maximum(np.minimum(x, 0.5), 2 * x) % 1.0,
        lambda x: np.where(x < 0.5, np.where(x < 0, 1.0, 2.0), 2.0),
    ),
    (lambda x: np.conj(x) * x, lambda x: 2 * x),
    (lambda x: x.astype(float) / 2, lambda x: np.full_like(x, 0.5)),
]


@pytest.mark.parametrize(("function", "slope"), BRANCHES)
def test_functions_that_are_not_analytic_go_by_dual_numbers(function: Any, slope: Any) -> None:
    m = wrap_numpy(function, state_shape=(2,))
    assert m.derivative == DUAL
    y, tangents = m.jvp(X, V)
    np.testing.assert_array_equal(y, function(X))
    np.testing.assert_allclose(tangents, slope(X)[:, :, None] * V, rtol=1e-14)
    rough = wrap_numpy(copied(function), state_shape=(2,))
    assert rough.derivative == DIFFERENCES
    np.testing.assert_allclose(rough.jvp(X, V)[1], tangents, rtol=1e-7, atol=1e-8)


def test_a_branch_that_no_probe_sees_has_its_own_derivative() -> None:
    m = wrap_numpy(lambda x: np.where(x > 50.0, np.abs(x), -x), state_shape=(4,))
    np.testing.assert_array_equal(m.jacobian(np.full((1, 4), 60.0))[0], np.eye(4))
    np.testing.assert_array_equal(m.jacobian(np.full((1, 4), 40.0))[0], -np.eye(4))


def with_math(s: np.ndarray) -> Any:
    y = np.zeros(2)
    y[0], y[1] = squared(s[0]), math.fmod(math.exp(s[1]) + sin(s[1]), 1.0)
    return np.asarray(y, dtype=float)


def squared(x: Any) -> Any:
    made = np.full(1, 1.0)
    made[0] = math.pow(x, 2)
    return made[0]


def test_functions_that_fill_plain_arrays_or_call_math_are_exact_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filled, one = wrap_numpy(filled_in, state_shape=(2,)), wrap_numpy(with_math, state_shape=(2,), vectorized=False)
    assert filled.derivative == one.derivative == DUAL
    np.testing.assert_array_equal(filled.jacobian(X), [np.diag([2 * a, 1]) for a, _ in X])
    wanted = [np.diag([2 * a, math.exp(b) + math.cos(b)]) for a, b in X]
    np.testing.assert_allclose(one.jacobian(X), wanted, rtol=1e-14)


def test_such_a_function_sees_its_variables_as_they_are() -> None:
    factor = 2.0

    def scaled(x: np.ndarray) -> np.ndarray:
        y = np.empty(x.shape)
        y[:] = factor * x
        return y

    m = wrap_numpy(scaled, state_shape=(2,))
    factor = 3.0
    np.testing.assert_array_equal(m.jacobian(X[:1])[0], 3 * np.eye(2))


def test_a_function_with_no_value_far_out_is_judged_where_it_has_one() -> None:
    assert wrap_numpy(lambda x: np.log(x + 0.5) / 9, state_shape=(2,)).derivative == COMPLEX


@pytest.mark.parametrize(("function", "way", "error"), [(henon, DUAL, 1e-5), (copied(henon), DIFFERENCES, 2e-3)])
def test_float32_stays_float32(function: Any, way: str, error: float) -> None:
    m = wrap_numpy(function, state_shape=(2,), dtype="float32")
    y, tangents = m.jvp(X.astype(np.float32), V.astype(np.float32))
    assert m.derivative == way
    assert y.dtype == tangents.dtype == np.float32
    np.testing.assert_allclose(tangents, Henon().jacobian(X) @ V, rtol=error, atol=error)


def test_differences_are_accurate_whatever_the_size_of_states_and_tangents() -> None:
    m = wrap_numpy(copied(lambda x: np.abs(x) ** 1.5), state_shape=(2,))
    assert m.derivative == DIFFERENCES
    for size, length in ((1e-2, 1e8), (1e6, 1e-8), (1.0, 1e-200)):
        x = size * (X + 2)
        wanted = 1.5 * np.sqrt(x)[:, :, None] * length * V
        np.testing.assert_allclose(m.jvp(x, length * V)[1], wanted, rtol=1e-7, atol=1e-8 * np.abs(wanted).max())


def test_each_coordinate_has_a_step_of_its_own() -> None:
    m = wrap_numpy(copied(lambda x: np.stack([x[:, 0] ** 2, np.sin(x[:, 1])], axis=1)), state_shape=(2,))
    x = np.array([[3e8, 2e-5], [2e-5, 3.0]])
    wanted = np.stack([np.diag([2 * a, np.cos(b)]) for a, b in x])
    np.testing.assert_allclose(m.jacobian(x), wanted, rtol=1e-8, atol=1e-12)


def test_differences_that_lie_across_jumps_are_counted_and_too_many_refused() -> None:
    def noise(x: np.ndarray) -> np.ndarray:
        return np.frombuffer((x * 1e18 % 997).tobytes()).reshape(x.shape) / 997  # nothing is to be seen through bytes

    m = wrap_numpy(noise, state_shape=(2,))
    assert m.derivative == DIFFERENCES
    states = RNG.random((100, 2))
    m.jacobian(states)
    assert m.provenance["uncertain_differences"].endswith("of 200")
    with pytest.raises(MapError, match="lie across jumps or noise; give its jacobian"):
        m.jacobian(np.tile(states, (10, 1)))


def test_many_directions_go_through_the_function_in_bounded_numbers() -> None:
    largest = 0

    def watched(x: np.ndarray) -> np.ndarray:
        nonlocal largest
        largest = max(largest, len(x))
        return henon(x)

    m = wrap_numpy(watched, state_shape=(2,))
    x, v = np.tile(X, (400, 1)), np.tile(V, (400, 1, 1))
    tangents = m.jvp(x, v)[1]
    assert largest <= 4096 < 2000 * 3
    np.testing.assert_allclose(tangents, Henon().jacobian(x) @ v, rtol=1e-13)


def test_no_directions_are_allowed() -> None:
    y, tangents = wrap_numpy(henon, state_shape=(2,)).jvp(X, V[:, :, :0])
    np.testing.assert_array_equal(y, henon(X))
    assert tangents.shape == (5, 2, 0)


def test_a_function_of_one_state_goes_over_the_rows() -> None:
    def alone(s: np.ndarray) -> list[float]:
        x, y = s
        return [1 - 1.4 * x * x + y, 0.3 * x]

    m = wrap_numpy(alone, state_shape=(2,), vectorized=False)
    np.testing.assert_allclose(m.apply(X), henon(X), rtol=1e-15)
    np.testing.assert_allclose(m.jvp(X, V)[1], Henon().jacobian(X) @ V, rtol=1e-13)
    given = wrap_numpy(alone, state_shape=(2,), vectorized=False, jacobian=lambda s: [[-2.8 * s[0], 1.0], [0.3, 0.0]])
    np.testing.assert_allclose(given.jacobian(X), Henon().jacobian(X), rtol=1e-15)


def test_a_function_sees_states_in_their_own_shape() -> None:
    seen = set()

    def f(images: np.ndarray) -> np.ndarray:
        seen.add(images.shape[1:])
        return images[:, :, ::-1] / 2

    m = wrap_numpy(f, state_shape=(1, 2, 3))
    np.testing.assert_array_equal(m.apply(np.arange(6.0)[None]), [[1.5, 2, 2.5, 0, 0.5, 1]])
    m.jacobian(np.ones((2, 6)))
    assert seen == {(1, 2, 3)}


COLUMNS = "write it for a batch of states (rows), or pass vectorized=False"


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda s: s if len(s) < 20 else s[:20],
            "it works for some numbers of states only; write it for any number of rows",
        ),
        (lambda x: x.mean(axis=0) + 0 * x, "depends on the others of its batch"),
        (lambda x: np.multiply(x, 2, out=x), "function: it changes the states it is given"),
    ],
)
def test_functions_of_other_things_than_rows_are_refused(function: Any, message: str) -> None:
    with pytest.raises(MapError, match=message):
        lm.wrap(function, state_shape=2, backend="numpy")


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (lambda s: np.array([1 - s[0] ** 2 + s[1], 0.3 * s[0]]), {}, ShapeError, COLUMNS),
        (lambda s: np.array([s[1], -s[0], s[1]]), {}, MapError, COLUMNS),
        (lambda s: np.squeeze(s), {}, ShapeError, "expected (1, 2) for 1 state, got (2,)"),
        (lambda x: x @ np.ones((2, 3)), {}, ShapeError, "expected (3, 2) for 3 states, got (3, 3)"),
        (lambda x: x @ np.ones((3, 2)), {}, MapError, "failed on states of shape (3, 2)"),
        (lambda x: x.astype(np.float32), {}, PrecisionError, "function: expected float64 back, got float32"),
        (lambda x: (x > 0.5).astype(int), {}, PrecisionError, "function: expected float64 back, got int64"),
        (lambda x: 1.0j * x, {}, PrecisionError, "function: expected float64 back, got complex128"),
        (lambda x: x * np.float64(0.5), {"dtype": "float32"}, PrecisionError, "expected float32 back, got float64"),
        (henon, {"dtype": "float16"}, PrecisionError, "dtype: expected 'float32' or 'float64', got 'float16'"),
        (henon, {"state_shape": ()}, ShapeError, "state_shape: expected positive sizes, got ()"),
        (henon, {"state_shape": (2, 0)}, ShapeError, "state_shape: expected positive sizes, got (2, 0)"),
        (3, {}, MapError, "function: expected a function, got int"),
        (henon, {"jacobian": lambda x: np.eye(2)}, ShapeError, "jacobian: expected (3, 2, 2) for 3 states, got (2, 2)"),
        (
            lambda x: x / 2,
            {"dtype": "float32", "jacobian": lambda x: np.stack([np.eye(2)] * len(x))},
            PrecisionError,
            "jacobian: expected float32 back, got float64",
        ),
    ],
)
def test_functions_that_are_no_maps_of_rows_are_refused(
    function: Any, options: dict[str, Any], error: type[LyapmapError], message: str
) -> None:
    with pytest.raises(error) as raised:
        wrap_numpy(function, **{"state_shape": (2,)} | options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("x", "v", "error", "message"),
    [
        (X[:, :1], V, ShapeError, "x: expected 2 values per row for (2,), got shape (5, 1)"),
        (X[0], V, ShapeError, "x: expected 2 values per row for (2,), got shape (2,)"),
        (X.astype(np.float32), V, PrecisionError, "x: expected float64, got float32"),
        (X, V.astype(np.float32), PrecisionError, "v: expected float64, got float32"),
        (X, V[:, :, 0], ShapeError, "v: expected 2 values per row for (2,), got shape (5, 2)"),
    ],
)
@pytest.mark.parametrize("jacobian", [None, Henon().jacobian])
def test_nothing_is_cast_in_silence(x: Any, v: Any, error: type[LyapmapError], message: str, jacobian: Any) -> None:
    m = wrap_numpy(henon, state_shape=(2,), jacobian=jacobian)
    with pytest.raises(error) as raised:
        m.jvp(x, v)
    assert str(raised.value) == message


def test_results_record_the_name_of_the_function() -> None:
    assert wrap_numpy(henon, state_shape=(2,), provenance={"a": 1.4}).provenance == {"map": "henon", "a": 1.4}


def test_a_derivative_that_is_wrong_where_no_probe_was_is_taken_by_differences() -> None:
    """What `wrap` sees at its own states counts for NumPy too, and the result says why."""

    def lies_far_out(x: Any) -> Any:
        slope = 2.0 if type(x) is np.ndarray else 3.0  # as a function that treats plain arrays apart
        return np.where(np.abs(x) > 4, slope * x, x)

    m = lm.wrap(lies_far_out, state_shape=1, backend="numpy")
    assert m.derivative == "central differences (dual numbers is not what differences show)"
    np.testing.assert_allclose(m.jacobian(np.array([[1.0], [9.0]])).ravel(), [1, 2], rtol=1e-6)
    assert lm.wrap(lies_far_out, state_shape=1, backend="numpy", verify=False).derivative == "dual numbers"
