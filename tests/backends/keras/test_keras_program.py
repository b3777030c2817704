"""Programs of TensorFlow functions: the function's own values and derivatives, or a refusal.

TensorFlow is imported by a fixture: whoever collects this file does not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from keras_samples import needs_keras
from lyapmap.backends import compiled
from lyapmap.backends.compiled import CarriedByTwin
from lyapmap.backends.numba.program import plain_function
from lyapmap.backends.numpy.program import UntraceableError

pytestmark = needs_keras

N = 3
STATES = np.random.default_rng(1).uniform(-1.5, 1.5, (6, N))


@pytest.fixture(scope="module")
def tf() -> Any:
    from lyapmap.backends.keras.start import tensorflow

    return tensorflow()


def layers() -> Any:
    from lyapmap.backends.keras.start import keras as started

    keras = started()
    keras.utils.set_random_seed(0)
    kinds = keras.layers
    stack = [kinds.Dense(4, "tanh"), kinds.LayerNormalization(), kinds.Dense(4, "gelu"), kinds.BatchNormalization()]
    return keras.Sequential([keras.Input((N,)), *stack, kinds.LeakyReLU(), kinds.Dense(N, "softplus")])


def functions(tf: Any) -> dict[str, Callable[..., Any]]:
    def henon(s: Any) -> Any:
        return tf.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0], s[:, 2] / 2], 1)

    weights = tf.Variable(np.random.default_rng(0).standard_normal((N, N)))
    within = tf.function(henon)
    shapes = tf.constant([2, 0, 1])
    return {
        "henon": henon,
        "a function within": lambda s: within(s) * 0.9,
        "products": lambda s: tf.einsum("ij,bj->bi", weights, tf.tanh(s)) + s @ tf.transpose(weights),
        "columns": lambda s: tf.gather(s, shapes, axis=1) ** 3 + tf.stack(tf.unstack(s, axis=1)[::-1], 1),
        "parts": lambda s: tf.concat([tf.exp(s[:, 1:]), tf.roll(s, 1, 1)[:, :1] % 0.7], 1),
        "where": lambda s: tf.where(s > 0.3, s * 2, tf.ones_like(s) - s) + tf.clip_by_value(s, -0.5, 0.5),
        "norms": lambda s: (
            s / (1 + tf.norm(s, axis=1, keepdims=True)) + tf.nn.softmax(s) - tf.reduce_mean(s, 1, keepdims=True)
        ),
    }


@pytest.mark.parametrize(
    "name", ["henon", "a function within", "products", "columns", "parts", "where", "norms", "a network"]
)
def test_program_gives_values_and_derivatives_of_the_function(tf: Any, name: str) -> None:
    options: dict[str, Any] = {} if name == "a network" else {"state_shape": N, "backend": "tensorflow"}
    function = layers() if name == "a network" else functions(tf)[name]
    m: Any = lm.wrap(function, dtype="float64", verify=False, **options)
    program = m.twin.program()
    image, tangents = (plain_function(program.operations, program.ends, N, part) for part in ("image", "tangents"))
    x = m.ops.from_numpy(STATES)
    for row, theirs, matrix in zip(STATES, m.ops.to_numpy(m.apply(x)), m.ops.to_numpy(m.jacobian(x)), strict=True):
        ours, columns = np.empty(N), np.empty((N, N))
        image(program.constants, row, ours)
        tangents(program.constants, row, np.eye(N), columns)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(columns.T, matrix, rtol=1e-11, atol=1e-12)


def test_variables_are_those_of_now(tf: Any) -> None:
    rate = tf.Variable(3.7, dtype=tf.float64)
    m: Any = lm.wrap(lambda s: rate * s * (1 - s), state_shape=1, backend="tensorflow", dtype="float64")
    first = m.twin.program()
    rate.assign(3.9)
    second = m.twin.program()
    assert first.operations == second.operations
    assert (first.constants, second.constants) == ((3.7,), (3.9,))


def test_loops_and_whole_numbers_are_refused(tf: Any) -> None:
    from lyapmap.backends.keras.program import program_of

    def looped(s: Any) -> Any:
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y)), (0, s))[1]

    def whole(s: Any) -> Any:
        return s + tf.cast(tf.cast(s, tf.int32), s.dtype)

    for function in (looped, whole):
        spec = tf.TensorSpec((None, N), tf.float64)
        with pytest.raises(UntraceableError):
            program_of(tf.function(function).get_concrete_function(spec), N, "float64")


def test_loops_of_steps_have_the_bits_of_the_generic_loop(tf: Any) -> None:
    n, k = 80, 3  # more than is compiled
    weights = tf.constant(np.random.default_rng(0).standard_normal((n, n)) / 6)
    m: Any = lm.wrap(lambda s: tf.tanh(s) @ weights, state_shape=n, backend="tensorflow", dtype="float64", verify=False)
    x = m.ops.from_numpy(np.random.default_rng(1).standard_normal((2, n)))
    frame = m.ops.from_numpy(np.linalg.qr(np.random.default_rng(2).standard_normal((2, n, k)))[0])
    wanted = {every: m.propagate(x, frame, 7, every) for every in (1, 3, 10)}
    assert m.for_run(x, k, 100) is m
    assert m._steps is None
    assert m.for_run(x, k, 10_000) is m
    assert m._steps is not None
    for every, theirs in wanted.items():
        for ours, other in zip(m.propagate(x, frame, 7, every), theirs, strict=True):
            assert np.array_equal(np.asarray(ours), np.asarray(other))
    lost = m.ops.from_numpy(np.full((2, n), np.nan))
    assert np.isnan(m.ops.to_numpy(m.propagate(lost, frame, 3)[0])).all()


@pytest.mark.slow
def test_a_long_run_is_carried_by_compiled_code(tf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "CALL", 1e3)
    m: Any = lm.wrap(
        lambda s: tf.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1),
        state_shape=2, backend="tensorflow", dtype="float64",
    )  # fmt: skip
    x = m.ops.from_numpy(np.array([[0.1, 0.1]]))
    run = m.for_run(x, 2, 100)
    assert isinstance(run, CarriedByTwin)
    frame = m.ops.from_numpy(np.eye(2)[None])
    for ours, theirs in zip(run.propagate(x, frame, 6), m.propagate(x, frame, 6), strict=True):
        np.testing.assert_allclose(np.abs(np.asarray(ours)), np.abs(np.asarray(theirs)), atol=1e-10)
