"""Maps of TensorFlow functions and Keras models: their tangents, their precision, what is refused.

TensorFlow is imported by a fixture: whoever collects this file does not pay for it.
"""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from command_line import invoke
from keras_samples import needs_keras
from lyapmap.core.errors import LyapmapError, MapError, MissingExtraError, PrecisionError, ShapeError

pytestmark = needs_keras

IMAGE = (4, 4, 2)


@pytest.fixture(scope="module")
def tf() -> Any:
    from lyapmap.backends.keras.start import tensorflow

    return tensorflow()


@pytest.fixture(scope="module")
def keras(tf: Any) -> Any:
    from lyapmap.backends.keras.start import keras

    return keras()


@pytest.fixture(scope="module")
def network(keras: Any) -> Any:
    """A small network with weights that were not trained."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Conv2D(3, 3, padding="same", activation="tanh"),
            layers.Dropout(0.5),
            layers.Conv2D(2, 3, padding="same"),
        ]
    )


@pytest.fixture(scope="module")
def images(network: Any) -> Any:
    return lm.wrap(network)


def residual(keras: Any, interpolation: str) -> Any:
    """x and what is up-sampled of it: forward mode of TensorFlow sees the x alone."""
    x = keras.Input(IMAGE)
    small = keras.layers.AveragePooling2D(2)(x)
    return keras.Model(x, keras.layers.Add()([x, keras.layers.UpSampling2D(2, interpolation=interpolation)(small)]))


def logistic(x: Any) -> Any:
    return 3.9 * x * (1 - x)


def states(m: Any, b: int = 3, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return m.ops.from_numpy(rng.uniform(-1, 1, (b, int(np.prod(m.state_shape)))))


def directions(m: Any, b: int = 3, k: int = 4) -> Any:
    rng = np.random.default_rng(1)
    return m.ops.from_numpy(rng.standard_normal((b, int(np.prod(m.state_shape)), k)))


def test_a_model_tells_its_own_shape(images: Any, network: Any) -> None:
    assert images.state_shape == IMAGE
    assert images.ops.dtype == "float32"
    assert images.derivative == "forward mode"
    x = states(images)
    inferred = network(x.numpy().reshape(-1, *IMAGE), training=False).numpy()
    np.testing.assert_allclose(images.apply(x).numpy(), inferred.reshape(3, -1), atol=1e-6)


def test_tangents_are_those_of_the_jacobian(images: Any) -> None:
    x, v = states(images), directions(images)
    y, tangents = images.jvp(x, v)
    np.testing.assert_array_equal(y.numpy(), images.apply(x).numpy())
    np.testing.assert_allclose(tangents.numpy(), (images.jacobian(x).numpy() @ v.numpy()), atol=1e-5)


def test_nothing_is_traced_again_for_other_numbers_of_states_and_directions(tf: Any) -> None:
    traces = []

    def counted(x: Any) -> Any:
        traces.append(x)
        return logistic(x)

    m = lm.wrap(counted, state_shape=3, backend="tensorflow")
    before = len(traces)
    for b, k in ((1, 1), (3, 2), (5, 3), (3, 1)):
        m.jvp(states(m, b), directions(m, b, k))
        m.apply(states(m, b))
    assert len(traces) == before
    m.jacobian(states(m, 2))
    after = len(traces)
    m.jacobian(states(m, 4))
    assert len(traces) == after


@settings(max_examples=25)
@given(b=st.integers(1, 7), k=st.integers(0, 6), limit=st.integers(1, 60), seed=st.integers(0, 99))
def test_chunks_change_nothing(images: Any, b: int, k: int, limit: int, seed: int) -> None:
    x, v = states(images, b, seed), directions(images, b, k)
    whole = images.jvp(x, v)
    few = object.__new__(type(images))
    vars(few).update(vars(images), rows_at_once=limit)
    for mine, theirs in zip(few.jvp(x, v), whole, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-6)
    np.testing.assert_allclose(few.jacobian(x).numpy(), images.jacobian(x).numpy(), atol=1e-6)


def test_a_small_memory_limit_makes_small_chunks(network: Any, images: Any) -> None:
    from lyapmap.backends.keras.functions import wrap_tensorflow

    small = wrap_tensorflow(lambda x: network(x, training=False), state_shape=IMAGE, memory_limit=5000)
    assert small.rows_at_once < 10 < images.rows_at_once


def test_xla_gives_the_same(network: Any, images: Any) -> None:
    compiled = lm.wrap(network, xla=True)
    x, v = states(images), directions(images)
    for mine, theirs in zip(compiled.jvp(x, v), images.jvp(x, v), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-5)
    assert compiled.provenance["compiler"] == "XLA"


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_what_forward_mode_would_read_as_zero_is_taken_over(keras: Any, interpolation: str) -> None:
    m = lm.wrap(residual(keras, interpolation))
    assert m.derivative.startswith("batch Jacobian (forward mode fails at Resize")
    assert lm.check_map(m, states(m))
    s = lm.lyapunov_spectrum(m, states(m), n_steps=3, n_exponents=2, seed=0, throw=False)
    assert s.provenance["derivative"] == m.derivative


def test_wrong_tangents_are_found_by_comparison_alone(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the operation is not known by name."""
    from lyapmap.backends.keras import graph_map as keras_graph_map

    monkeypatch.setattr(keras_graph_map, "without_forward", lambda *_: "")
    m = lm.wrap(residual(keras, "bilinear"))
    assert "whose tangents are not those of reverse mode" in m.derivative
    assert lm.check_map(m, states(m))


def test_tangents_that_are_not_finite_are_taken_over(network: Any) -> None:
    m: Any = lm.wrap(network)
    x, v = states(m), directions(m)
    carry = m._carry
    m._carry = lambda x, v: (carry(x, v)[0], v * np.nan)
    np.testing.assert_allclose(m.jvp(x, v)[1].numpy(), m.jacobian(x).numpy() @ v.numpy(), atol=1e-5)
    assert m.derivative == "batch Jacobian (forward mode fails at some states, where it is not finite)"


def test_a_derivative_that_neither_way_knows_ends_in_a_status(network: Any) -> None:
    m: Any = lm.wrap(network)
    carry = m._carry
    m._carry = lambda x, v: (carry(x, v)[0], v * np.nan)
    m._by_jacobian = lambda x, v: v * np.nan
    assert np.isnan(m.jvp(states(m), directions(m))[1].numpy()).all()
    assert lm.lyapunov_spectrum(m, states(m), n_steps=5, n_exponents=2, seed=0, throw=False).failed


def test_a_function_without_derivative_gets_one_by_differences(tf: Any) -> None:
    m = lm.wrap(lambda x: 0.5 * tf.stop_gradient(tf.tanh(x)), state_shape=2, backend="tensorflow")
    assert m.derivative.startswith("central differences (its image does not depend on the state")
    x = tf.constant([[0.3, -0.4]])
    np.testing.assert_allclose(m.jacobian(x)[0], np.diag(0.5 / np.cosh([0.3, -0.4]) ** 2), atol=1e-4)
    unseen = lm.wrap(lambda x: 0.5 * tf.stop_gradient(tf.tanh(x)), state_shape=2, backend="tensorflow", verify=False)
    with pytest.raises(MapError, match="does not depend on the state as far as TensorFlow can see"):
        unseen.jvp(x, tf.ones((1, 2, 1)))


def test_a_function_that_rounds_is_refused(tf: Any) -> None:
    with pytest.raises(MapError, match="its image moves in jumps only"):
        lm.wrap(lambda x: tf.round(x * 4) / 4, state_shape=2, backend="tensorflow")


def test_a_gradient_that_is_wrong_both_ways_is_refused(tf: Any) -> None:
    @tf.custom_gradient
    def wrong(x: Any) -> Any:
        small = tf.image.resize(x, (2, 2))
        return tf.image.resize(small, (4, 4)), lambda upstream: 7 * tf.image.resize(upstream, (4, 4))

    with pytest.raises(MapError, match=r"its derivative \(batch Jacobian\) does not agree with differences"):
        lm.wrap(wrong, state_shape=IMAGE, backend="tensorflow")


def test_float64_is_a_copy_with_the_same_weights(network: Any, images: Any) -> None:
    before = network.get_weights()
    exact = lm.wrap(network, dtype="float64")
    assert exact.ops.dtype == "float64"
    assert {w.dtype for w in network.weights} == {"float32"}
    for mine, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    x = states(exact)
    np.testing.assert_allclose(exact.apply(x).numpy(), images.apply(states(images)).numpy(), atol=1e-6)
    h = 1e-12
    y, v = exact.apply(x).numpy(), directions(exact, 3, 1)
    moved = exact.apply(x + h * v[:, :, 0]).numpy()
    np.testing.assert_allclose((moved - y) / h, exact.jvp(x, v)[1].numpy()[:, :, 0], atol=1e-2)


def test_later_training_does_not_change_a_map(network: Any) -> None:
    m = lm.wrap(network)
    x = states(m)
    before = m.apply(x).numpy()
    kept = network.get_weights()
    network.set_weights([w + 1 for w in kept])
    try:
        np.testing.assert_array_equal(m.apply(x).numpy(), before)
        assert np.abs(lm.wrap(network).apply(x).numpy() - before).max() > 0.1
    finally:
        network.set_weights(kept)


def test_a_layer_that_computes_in_float32_is_named(keras: Any, tf: Any) -> None:
    class Coarse(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.cast(keras.ops.tanh(keras.ops.cast(x, "float32")), x.dtype)

    x = keras.Input((3,))
    y = keras.layers.Dense(3, activation="tanh")(x)
    # Beside a way that keeps float64, so that not all of a small change is lost.
    model = keras.Model(x, keras.layers.Add()([y, Coarse(name="coarse")(y)]))
    with pytest.raises(PrecisionError, match=r"layer coarse \(Coarse\) computes in float32 although float64"):
        lm.wrap(model, dtype="float64")
    assert lm.wrap(model).ops.dtype == "float32"
    with pytest.raises(PrecisionError, match="the function computes in float32"):
        lm.wrap(lambda x: tf.cast(tf.tanh(tf.cast(x, tf.float32)), x.dtype), state_shape=2, dtype="float64")


def test_a_model_of_one_precision_is_needed(keras: Any) -> None:
    layers = keras.layers
    x = keras.Input((3,))
    mixed = keras.Model(x, layers.Dense(3, dtype="float32")(layers.Dense(3, dtype="float64")(x)))
    with pytest.raises(PrecisionError, match="computes in float32, float64; give the dtype"):
        lm.wrap(mixed)
    assert lm.check_map(lm.wrap(mixed, dtype="float64"), np.eye(3))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = keras.Sequential([keras.Input((3,)), layers.Dense(3)])
    finally:
        keras.config.set_dtype_policy(policy)
    with pytest.raises(PrecisionError, match="float16"):
        lm.wrap(half)
    assert lm.wrap(half, dtype="float32").ops.dtype == "float32"


def test_a_class_without_configuration_works_in_its_own_precision_only(keras: Any) -> None:
    class Net(keras.Model):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(size, activation="tanh")

        def call(self, x: Any) -> Any:
            return self.inner(x)

    net = Net(3)
    with pytest.raises(MapError, match="has no weights yet"):
        lm.wrap(net, state_shape=3)
    net(np.zeros((1, 3)))
    with pytest.raises(ShapeError, match="does not say what it takes; give the shape of one state"):
        lm.wrap(net)
    assert lm.check_map(lm.wrap(net, state_shape=3), np.eye(3))
    with pytest.raises(PrecisionError, match="Net cannot be rebuilt in float64"):
        lm.wrap(net, state_shape=3, dtype="float64")


def test_models_that_are_no_maps_are_refused(keras: Any) -> None:
    layers = keras.layers
    a, b = keras.Input((3,)), keras.Input((3,))
    cases = {
        "expected one input, got 2": keras.Model([a, b], layers.Add()([a, b])),
        "expected one output, got 2": keras.Model(a, [layers.Dense(3)(a), layers.Dense(3)(a)]),
        "only a map of a space to itself": keras.Sequential([keras.Input((3,)), layers.Dense(4)]),
        "leaves sizes open": keras.Sequential([keras.Input((None, 3)), layers.Dense(3)]),
        "takes int32": keras.Sequential([keras.Input((3,), dtype="int32"), layers.Rescaling(1.0)]),
    }
    for message, model in cases.items():
        with pytest.raises(LyapmapError, match=message):
            lm.wrap(model)
    with pytest.raises(LyapmapError, match="memory_limit: expected a positive number"):
        lm.wrap(cases["only a map of a space to itself"], memory_limit=0)


def test_functions_that_are_no_maps_are_refused(tf: Any) -> None:
    cases = {
        "expected \\(2, 3\\) for two states": lambda x: x[:, :2],
        "expected it to return a tensor": lambda x: [x],
        "expected float32 back, got float64": lambda x: tf.cast(x, tf.float64),
        "failed on float32 states of shape": lambda x: tf.matmul(x, tf.zeros((4, 4))),
        "two calls with the same states differ": lambda x: x + tf.random.normal(tf.shape(x)),
        "no finite image": lambda x: tf.sqrt(-1 - x * x),
        "does not depend on the state": lambda x: tf.constant(x.numpy()) if hasattr(x, "numpy") else tf.zeros_like(x),
    }
    for message, function in cases.items():
        with pytest.raises(LyapmapError, match=message):
            lm.wrap(function, state_shape=3, backend="tensorflow")


def test_arrays_of_another_kind_are_refused(images: Any, tf: Any) -> None:
    n = int(np.prod(IMAGE))
    cases = [
        (PrecisionError, "x: expected a TensorFlow tensor, got ndarray", lambda: images.apply(np.zeros((1, n)))),
        (PrecisionError, "x: expected float32, got float64", lambda: images.apply(tf.zeros((1, n), tf.float64))),
        (ShapeError, "x: expected 32 values per row", lambda: images.apply(tf.zeros((1, n - 1)))),
        (ShapeError, "v: expected 32 values per row", lambda: images.jvp(tf.zeros((1, n)), tf.zeros((1, n)))),
        (LyapmapError, "device: expected one of cpu", lambda: lm.wrap(tf.tanh, state_shape=2, device="gpu:7")),
        (PrecisionError, "dtype: expected 'float32' or", lambda: lm.wrap(tf.tanh, state_shape=2, dtype="float16")),
    ]
    for kind, message, call in cases:
        with pytest.raises(kind, match=message):
            call()


def test_what_belongs_to_tensorflow_is_found(tf: Any) -> None:
    from lyapmap.backends.keras.graph_map import TensorFlowMap

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(np.eye(2, dtype=np.float32))

        def __call__(self, x: Any) -> Any:
            return tf.tanh(x @ self.w)

    weights = tf.Variable(np.eye(2, dtype=np.float32))
    functions = [Module(), tf.tanh, lambda x: tf.tanh(x), tf.function(lambda x: x / 2), lambda x: x @ weights]
    for function in functions:
        m = lm.wrap(function, state_shape=2)
        assert isinstance(m, TensorFlowMap), function
        assert lm.check_map(m, np.array([[0.1, 0.2], [0.5, -0.3]]))
    assert isinstance(lm.wrap(logistic, state_shape=2, dtype=tf.float64), TensorFlowMap)
    assert not isinstance(lm.wrap(logistic, state_shape=2), TensorFlowMap)


def test_saved_models(tf: Any, network: Any, images: Any, tmp_path: Any) -> None:
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 3))])
        def __call__(self, x: Any) -> Any:
            return tf.tanh(x * 2)

        @tf.function(input_signature=[tf.TensorSpec((None, 3)), tf.TensorSpec((None, 3))])
        def both(self, x: Any, y: Any) -> Any:
            return {"sum": x + y}

    module = Module()
    tf.saved_model.save(module, str(tmp_path / "module"), signatures={"serving_default": module.both})
    loaded = tf.saved_model.load(str(tmp_path / "module"))
    m = lm.wrap(loaded, state_shape=3)
    assert lm.check_map(m, states(m))
    with pytest.raises(MapError, match="a signature with one input, got x, y"):
        lm.wrap(loaded.signatures["serving_default"], state_shape=3)
    network.export(str(tmp_path / "network"), verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "network"))
    served = lm.wrap(exported)  # cannot be called, but served
    assert served.state_shape == IMAGE
    assert served.provenance["map"] == "SavedModel"
    x, v = states(images), directions(images)
    for mine, theirs in zip(served.jvp(x, v), images.jvp(x, v), strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-5)
    with pytest.raises(MapError, match="cannot be called; of a SavedModel give the signature"):
        lm.wrap(tf.train.Checkpoint(), state_shape=3, backend="tensorflow")


def test_python_control_flow_and_side_effects_are_allowed(tf: Any) -> None:
    seen = []

    def function(x: Any) -> Any:
        seen.append(1)
        if tf.reduce_sum(x[:1] * 0) > 1:  # a condition on values
            return x * 3
        return x * 0.5

    m = lm.wrap(function, state_shape=2, backend="tensorflow")
    np.testing.assert_allclose(m.jacobian(states(m, 2)).numpy(), [np.eye(2) / 2] * 2)
    assert seen


def test_exponents_are_those_of_numpy_and_torch(tf: Any) -> None:
    torch = pytest.importorskip("torch")
    weights = 2.0 * np.random.default_rng(3).standard_normal((6, 6)) / np.sqrt(6)
    w, t = tf.constant(weights), torch.from_numpy(weights)
    options = {"n_steps": 60, "transient": 20, "seed": 0, "qr_every": 1, "n_exponents": "all"}
    x0 = np.random.default_rng(0).uniform(-1, 1, (3, 6))
    maps = [
        lm.wrap(lambda x: tf.tanh(x @ w), state_shape=6, dtype="float64", backend="tensorflow"),
        lm.wrap(lambda x: torch.tanh(x @ t), state_shape=6, dtype="float64", backend="torch"),
        lm.wrap(lambda x: np.tanh(x @ weights), state_shape=6),
    ]
    found = [lm.lyapunov_spectrum(m, x0, throw=False, **options) for m in maps]
    for other in found[1:]:
        # Orbits part by rounding where the map is chaotic; this one settles.
        np.testing.assert_allclose(found[0].exponents, other.exponents, atol=1e-8)
    assert found[0].provenance["library"].startswith("tensorflow ")
    assert found[0].attractor == found[2].attractor


def test_a_result_of_a_keras_map_is_kept(images: Any, tmp_path: Any) -> None:
    s = lm.lyapunov_spectrum(images, states(images), n_steps=20, n_exponents=3, seed=0, throw=False)
    for name in ("s.nc", "s.npz"):
        again = lm.LyapunovSpectrum.load(s.save(tmp_path / name))
        np.testing.assert_array_equal(again.exponents, s.exponents)
        assert again.provenance == s.provenance


@pytest.mark.parametrize("analysis", ["divergence", "covariant_vectors", "noisy", "iterate", "flow", "driven"])
def test_other_analyses_take_a_tensorflow_map(tf: Any, analysis: str) -> None:
    w = tf.constant(1.5 * np.random.default_rng(0).standard_normal((3, 3)))
    m = lm.wrap(lambda x: tf.tanh(x @ w), state_shape=3, dtype="float64", backend="tensorflow")
    x0 = np.random.default_rng(1).uniform(-1, 1, (2, 3))
    if analysis == "divergence":
        assert np.isfinite(lm.divergence(m, x0, n_steps=20, seed=0, throw=False).provenance["seed"])
    elif analysis == "covariant_vectors":
        assert lm.covariant_vectors(m, x0, n_steps=10, transient=5, throw=False).provenance
    elif analysis == "noisy":
        assert lm.check_map(lm.noisy(m, scale=0.1), x0)
        held = lm.noisy(m, scale=0.1, clamp=(-0.5, 0.5))
        assert lm.check_map(held, x0)
        x = held.ops.from_numpy(x0)
        assert np.abs(held.apply(x).numpy()).max() == 0.5
        assert (held.jacobian(x).numpy() == 0).all(axis=2).any()
    elif analysis == "iterate":
        assert lm.check_map(lm.iterate(m, 2), x0)
    elif analysis == "driven":
        assert lm.check_map(lm.driven(m, np.zeros((5, 1))), x0[:, :2])
    else:
        assert lm.check_map(lm.flow(lambda x: -(x**3), 0.1, state_shape=3, dtype="float64", backend="tensorflow"), x0)


def test_the_command_line_checks_a_keras_model(keras: Any, monkeypatch: pytest.MonkeyPatch, network: Any) -> None:
    module = SimpleNamespace(net=network, __name__="nets_of_this_test")
    monkeypatch.setitem(sys.modules, "nets_of_this_test", module)
    command = ["check", "--callable", "nets_of_this_test:net", "--json"]
    done = invoke(command)
    assert done.exit_code == 0, done.output
    assert '"ok": true' in done.stdout


def test_the_examples_run(keras: Any) -> None:
    for name in ("map", "functions", "ops", "start"):
        failures, _ = doctest.testmod(
            import_module(f"lyapmap.backends.keras.{name}"), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        )
        assert failures == 0, name


STARTED = """
import os, sys, threading
from lyapmap.backends.keras.start import tensorflow, keras
tf = tensorflow()
assert os.environ.get("TF_CPP_MIN_LOG_LEVEL") is None
print(tf.config.threading.get_intra_op_parallelism_threads(), tf.config.threading.get_inter_op_parallelism_threads())
import numpy, lyapmap as lm
m = lm.wrap(lambda x: x / 2, state_shape=2, backend="tensorflow")
lm.check_map(m, numpy.eye(2))
print(keras().backend.backend())
"""


def test_it_starts_quietly_with_the_threads_that_are_asked_for() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "1", "tensorflow"]
    assert done.stderr == ""


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lyapmap\[tensorflow\]'"):
        lm.wrap(logistic, state_shape=2, backend="tensorflow")
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lyapmap\[tensorflow\]'"):
        lm.wrap(logistic, state_shape=2, backend="keras")
