"""Derivatives that are not what they seem, in all frameworks: refused, mended or told; honest ones are let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from honest_networks import Step, networks
from torch import Tensor, nn

import lyapmap as lm
from keras_samples import needs_keras
from lyapmap.core.errors import MapError

torch.manual_seed(0)
LAYER = nn.Linear(6, 6).requires_grad_(False)
LAYER.weight.data *= 4
X = torch.rand(3, 6)


def smooth(z: Tensor) -> Tensor:
    return torch.tanh(LAYER(z))


TRUTH = torch.stack([torch.autograd.functional.jacobian(lambda row: smooth(row[None])[0], row) for row in X])


def quantized(z: Tensor, levels: int) -> Tensor:
    return torch.round(smooth(z) * levels) / levels


def under(context: Any, z: Tensor) -> Tensor:
    with context:
        return smooth(z)


class Backward(torch.autograd.Function):
    """Tanh with a gradient of its own, and no tangents."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:  # type: ignore[override]
        return torch.tanh(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return g * (1 - ctx.saved_tensors[0] ** 2)

    generate_vmap_rule = True


class WrongTangents(Backward):
    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * t


class WrongGradient(Backward):
    @staticmethod
    def jvp(ctx: Any, t: Tensor) -> Tensor:  # type: ignore[override]
        return t * (1 - ctx.saved_tensors[0] ** 2)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        return 2 * g


class Surrogate(torch.autograd.Function):
    """A step whose gradient is that of a sigmoid, as spiking networks have it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:  # type: ignore[override]
        s = torch.sigmoid(4 * ctx.saved_tensors[0])
        return 4 * g * s * (1 - s)


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "half detached": lambda z: 0.5 * smooth(z).detach() + 0.5 * smooth(z),
    "a twentieth detached": lambda z: 0.95 * smooth(z) + 0.05 * smooth(z).detach(),
    "one value detached": lambda z: torch.cat([smooth(z)[:, :5], smooth(z)[:, 5:].detach()], 1),
    "data beside the state": lambda z: 0.5 * z + smooth(z.data),
    "NumPy beside the state": lambda z: 0.3 * z + torch.from_numpy(smooth(z).detach().numpy()),
    "straight through, 4 levels": lambda z: smooth(z) + (quantized(z, 4) - smooth(z)).detach(),
    "straight through, 128 levels": lambda z: smooth(z) + (quantized(z, 128) - smooth(z)).detach(),
    "straight through signs": lambda z: smooth(z) + (torch.sign(z) - smooth(z)).detach(),
    "surrogate gradient": lambda z: Surrogate.apply(LAYER(z)),
}

MENDED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "detached": (lambda z: smooth(z).detach(), "central differences"),
    "data": (lambda z: smooth(z.data), "central differences"),
    "no_grad": (lambda z: under(torch.no_grad(), z), "forward mode"),
    "inference mode": (lambda z: under(torch.inference_mode(), z), "forward mode"),
    "lists": (lambda z: torch.tensor(smooth(z).tolist()), "central differences"),
    "NumPy": (
        lambda z: torch.from_numpy(np.tanh(z.numpy() @ LAYER.weight.numpy().T + LAYER.bias.numpy())),
        "central differences in float64",
    ),
    "a gradient, no tangents": (lambda z: Backward.apply(F.linear(z, LAYER.weight) + LAYER.bias), "reverse mode twice"),
    "wrong tangents": (lambda z: WrongTangents.apply(LAYER(z)), "reverse mode twice"),
    "wrong gradient": (lambda z: WrongGradient.apply(LAYER(z)), "forward mode"),
}

JUMPS: dict[str, Callable[[Tensor], Tensor]] = {
    "rounding": lambda z: quantized(z, 4),
    "fine rounding": lambda z: quantized(z, 128),
    "floor": lambda z: torch.floor(4 * smooth(z)) / 4,
    "sign": lambda z: torch.sign(LAYER(z)),
    "argmax": lambda z: F.one_hot(LAYER(z).argmax(-1), 6).float(),
    "comparison": lambda z: (LAYER(z) > 0).float(),
    "whole numbers": lambda z: (10 * smooth(z)).int().float() / 10,
}


class Remembers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last: Any = None

    def forward(self, x: Tensor) -> Tensor:
        y = smooth(x) if self.last is None or self.last.shape != x.shape else smooth(x + 0.1 * self.last)
        self.last = y.detach()
        return y


class Counts(nn.Module):
    def __init__(self, period: int) -> None:
        super().__init__()
        self.calls, self.period = 0, period

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return smooth(x) * (1.1 if self.calls % self.period == 0 else 1.0)


FIRST = "the image of a state depends on the others of its batch"
PLACE = "depends on its place in the batch, or on the number of states"
ROWS: dict[str, tuple[Any, Any, str]] = {
    "batch statistics": (nn.BatchNorm1d(6, track_running_stats=False).eval(), 6, FIRST),
    "largest of all": (lambda x: torch.tanh(x / x.max()), 6, FIRST),
    "softmax over rows": (lambda x: torch.softmax(3 * x, 0), 6, FIRST),
    "mean of rows": (lambda x: smooth(x - x.mean(0)), 6, FIRST),
    "length of all": (lambda x: x / x.norm(), 6, FIRST),
    "row before": (lambda x: smooth(x) + 0.1 * x.roll(1, 0), 6, FIRST),
    "sums along rows": (lambda x: smooth(x) + 0.01 * x.cumsum(0), 6, FIRST),
    "if any is large": (lambda x: smooth(x) if x.abs().max() < 20 else 0.5 * smooth(x), 6, FIRST),
    "if any is not small": (lambda x: smooth(x) if x.abs().max() < 1 else 0.5 * smooth(x), 6, FIRST),
    "attention over rows": (Step(lambda x, a: a(x, x, x)[0], nn.MultiheadAttention(6, 2)).eval(), (4, 6), FIRST),
    "recurrent over rows": (Step(lambda x, g: g(x)[0], nn.GRU(6, 6)).eval(), (4, 6), FIRST),
    "transformer over rows": (nn.TransformerEncoderLayer(6, 2, 12).eval(), (4, 6), FIRST),
    "number of rows": (lambda x: smooth(x) / len(x), 6, PLACE),
    "place": (lambda x: smooth(x) * torch.arange(1, len(x) + 1)[:, None], 6, PLACE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_derivative_is_refused_with_the_mend(name: str) -> None:
    with pytest.raises(MapError, match=r"does not agree with differences .* derivative='differences'"):
        lm.wrap(REFUSED[name], state_shape=6)


@pytest.mark.parametrize("name", MENDED)
def test_a_derivative_that_is_not_there_is_found_another_way(name: str) -> None:
    function, way = MENDED[name]
    m = lm.wrap(function, state_shape=6)
    assert str(m.derivative).partition(" (")[0] == way
    assert torch.allclose(m.jacobian(X), TRUTH, atol=1e-3)
    assert torch.allclose(m.jvp(X, torch.eye(6).expand(3, 6, 6))[1], TRUTH, atol=1e-3)
    assert torch.allclose(m.apply(X), smooth(X), atol=1e-6)


@pytest.mark.parametrize("name", JUMPS)
def test_a_map_that_moves_in_jumps_is_refused(name: str) -> None:
    with pytest.raises(MapError, match="its image moves in jumps only"):
        lm.wrap(JUMPS[name], state_shape=6)


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_depend_on_each_other_are_refused(name: str) -> None:
    function, shape, message = ROWS[name]
    with pytest.raises(MapError, match=message):
        lm.wrap(function, state_shape=shape)


@pytest.mark.parametrize(
    "function", [Remembers(), Counts(2), Counts(5), lambda z: smooth(z) + 1e-4 * torch.randn_like(z)]
)
def test_what_remembers_counts_or_draws_is_refused(function: Any) -> None:
    if isinstance(function, nn.Module):
        function.eval()
    with pytest.raises(MapError, match="two calls with the same states differ"):
        lm.wrap(function, state_shape=6)
    # A module is copied: the user's own has not been called.
    assert getattr(function, "last", None) is None
    assert getattr(function, "calls", 0) == 0


def test_honest_networks_are_let_through_with_their_own_derivative() -> None:
    made = networks()
    assert len(made) > 100
    other = {}
    for name, (network, shape) in made.items():
        m = lm.wrap(network, state_shape=shape)
        if m.derivative != "forward mode":
            other[name] = m.derivative.partition(" (")[0]
    assert other == {"lstm": "reverse mode twice"}


@pytest.mark.slow
def test_honest_networks_are_let_through_in_double_precision() -> None:
    for name, (network, shape) in networks().items():
        if "inside" not in name and name != "autocast":
            assert lm.wrap(network, state_shape=shape, dtype="float64").derivative == "forward mode", name


def test_who_knows_may_ask_for_differences_or_for_no_look() -> None:
    half = REFUSED["half detached"]
    m = lm.wrap(half, state_shape=6, derivative="differences")
    assert m.derivative == "central differences (asked for)"
    assert torch.allclose(m.jacobian(X), TRUTH, atol=1e-3)
    assert torch.allclose(lm.wrap(half, state_shape=6, verify=False).jacobian(X), TRUTH / 2, atol=1e-5)
    assert lm.wrap(half, state_shape=6, verify=False, derivative="differences").derivative.startswith("central")
    with pytest.raises(lm.LyapmapError, match="derivative: expected 'differences' or None"):
        lm.wrap(half, state_shape=6, derivative="forward")


def test_exponents_of_a_cut_function_are_those_of_the_whole_one() -> None:
    options: dict[str, Any] = {"n_steps": 200, "transient": 100, "n_exponents": 1, "seed": 0, "throw": False}
    whole = lm.lyapunov_spectrum(lm.wrap(smooth, state_shape=6), X, **options)
    cut = lm.lyapunov_spectrum(lm.wrap(lambda z: smooth(z).detach(), state_shape=6), X, **options)
    assert abs(cut.exponents[0] - whole.exponents[0]) < 0.01
    assert cut.provenance["derivative"].startswith("central differences")


def test_orbits_of_a_function_without_gradients() -> None:
    gentle = nn.Linear(3, 3).requires_grad_(False)
    step = lambda z: under_no_grad(gentle, z)  # noqa: E731
    found = lm.periodic_orbits(lm.wrap(step, state_shape=3), torch.rand(6, 3), seed=0)
    whole = lm.periodic_orbits(lm.wrap(lambda z: torch.tanh(gentle(z)), state_shape=3), torch.rand(6, 3), seed=0)
    np.testing.assert_allclose(found.multipliers_real[0], whole.multipliers_real[0], atol=1e-4)


def under_no_grad(layer: nn.Module, z: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.tanh(layer(z))


def test_a_jacobian_that_is_wrong_is_refused_in_wrap_and_where_the_map_is_used() -> None:
    class Wrong:
        state_shape = (2,)

        def apply(self, x: Any) -> Any:
            return np.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], 1)

        def jacobian(self, x: Any) -> Any:
            matrices = np.zeros((len(x), 2, 2))
            matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0] = -2.8 * x[:, 0], 0.3, 1.0
            return matrices

    message = "jacobian given. does not agree with differences .* mend jacobian, or leave it out"
    with pytest.raises(MapError, match=message):
        lm.wrap(Wrong())
    with pytest.raises(MapError, match=message):
        lm.wrap(Wrong().apply, state_shape=2, jacobian=Wrong().jacobian)
    with pytest.raises(MapError, match=message):
        lm.lyapunov_spectrum(Wrong(), [0.1, 0.1], n_steps=10, seed=0)
    assert lm.wrap(Wrong(), verify=False).derivative == "jacobian given"
    assert lm.wrap(Wrong(), derivative="differences").derivative == "central differences (asked for)"


def test_a_jacobian_compiled_by_numba_is_looked_at() -> None:
    numba = pytest.importorskip("numba")

    @numba.njit
    def henon(s: Any) -> Any:
        return np.array([1 - 1.4 * s[0] ** 2 + s[1], 0.3 * s[0]])

    @numba.njit
    def transposed(s: Any) -> Any:
        return np.array([[-2.8 * s[0], 0.3], [1.0, 0.0]])

    with pytest.raises(MapError, match="mend jacobian, or leave it out"):
        lm.wrap(henon, state_shape=2, jacobian=transposed)


def test_numpy_functions_that_jump_only_are_refused() -> None:
    with pytest.raises(MapError, match="its image moves in jumps only"):
        lm.wrap(lambda x: np.round(10 * np.sin(x)) / 10, state_shape=3)
    assert lm.wrap(lambda x: (12345 * x) % 1, state_shape=1)
    assert lm.wrap(np.log, state_shape=1, backend="numpy")
    assert lm.wrap(lambda x: x * np.exp(2.5 * (1 - x / 1e6)), state_shape=1, backend="numpy")


def test_jax() -> None:
    jax = pytest.importorskip("jax", reason="needs JAX: pip install 'lyapmap[jax]'")
    jnp, stop = jax.numpy, jax.lax.stop_gradient
    w = jnp.asarray(LAYER.weight.numpy().T)

    def whole(z: Any) -> Any:
        return jnp.tanh(z @ w)

    @jax.custom_jvp
    def wrong(x: Any) -> Any:
        return jnp.tanh(x)

    wrong.defjvp(lambda x, t: (jnp.tanh(x[0]), 2 * t[0]))

    @jax.custom_vjp
    def reverse(x: Any) -> Any:
        return jnp.tanh(x)

    reverse.defvjp(lambda x: (jnp.tanh(x), jnp.tanh(x)), lambda y, g: (g * (1 - y * y),))

    def called_back(z: Any) -> Any:
        shape = jax.ShapeDtypeStruct(z.shape, z.dtype)
        return jax.pure_callback(lambda a: np.tanh(np.asarray(a) @ np.asarray(w)), shape, z, vmap_method="sequential")

    for function in (lambda z: 0.5 * stop(whole(z)) + 0.5 * whole(z), lambda z: wrong(z @ w)):
        with pytest.raises(MapError, match="does not agree with differences"):
            lm.wrap(function, state_shape=6, backend="jax")
    with pytest.raises(MapError, match=FIRST):
        lm.wrap(lambda z: jax.nn.softmax(3 * z, 0), state_shape=6, backend="jax")
    with pytest.raises(MapError, match="jumps only"):
        lm.wrap(lambda z: jnp.round(4 * whole(z)) / 4, state_shape=6, backend="jax")
    x = jnp.asarray(X.numpy())
    truth = lm.wrap(whole, state_shape=6, backend="jax").jacobian(x)
    ways = {"central differences": called_back, "reverse mode twice": lambda z: reverse(z @ w)}
    for way, function in ways.items():
        m = lm.wrap(function, state_shape=6, backend="jax")
        assert str(m.derivative).partition(" (")[0] == way
        np.testing.assert_allclose(m.jacobian(x), truth, atol=1e-3)
        np.testing.assert_allclose(m.jvp(x, x[:, :, None])[1][..., 0], (truth @ x[:, :, None])[..., 0], atol=2e-3)


@needs_keras
def test_tensorflow() -> None:
    from lyapmap.backends.keras.start import tensorflow

    tf = tensorflow()
    w = tf.constant(LAYER.weight.numpy().T)

    def whole(z: Any) -> Any:
        return tf.tanh(z @ w)

    @tf.custom_gradient
    def wrong(x: Any) -> Any:
        return tf.tanh(x), lambda g: 2 * g

    def through_numpy(z: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda a: np.tanh(a @ w.numpy()), [z], tf.float32), (None, 6))

    refused = {
        "does not agree with differences": [
            lambda z: 0.5 * tf.stop_gradient(whole(z)) + 0.5 * whole(z),
            lambda z: wrong(z @ w),
        ],
        FIRST: [lambda z: tf.nn.softmax(3 * z, 0)],
        "jumps only": [lambda z: tf.round(4 * whole(z)) / 4],
    }
    for message, functions in refused.items():
        for function in functions:
            with pytest.raises(MapError, match=message):
                lm.wrap(function, state_shape=6, backend="tensorflow")
    x = tf.constant(X.numpy())
    truth = lm.wrap(whole, state_shape=6, backend="tensorflow").jacobian(x).numpy()
    m = lm.wrap(through_numpy, state_shape=6, backend="tensorflow")
    assert str(m.derivative).startswith("central differences")
    np.testing.assert_allclose(m.jacobian(x).numpy(), truth, atol=1e-3)


@needs_keras
def test_keras() -> None:
    import keras

    ops = keras.ops

    class Counting(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

        def call(self, x: Any) -> Any:
            self.calls.assign_add(1.0)
            return ops.tanh(x) * (1 + 0.1 * self.calls)

    x = keras.Input((6,))
    counting = keras.Model(x, Counting()(x))
    with pytest.raises(MapError, match=r"two calls with the same states differ: .* in its variable 'calls'"):
        lm.wrap(counting)
    assert float(counting.weights[0]) == 0
    half = keras.layers.Lambda(lambda z: 0.5 * ops.stop_gradient(ops.tanh(z)) + 0.5 * ops.tanh(z))
    with pytest.raises(MapError, match="does not agree with differences"):
        lm.wrap(keras.Model(x, half(keras.layers.Dense(6)(x))))
