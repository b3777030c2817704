"""One recurrent cell in every framework: the same weights give the same exponents on the same trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lyapmap as lm

N, M = 6, 2
STEPS = 40
EXAMPLES = {
    "gru": {"h": np.zeros(N), "u": np.zeros(M)},
    "lstm": {"h": np.zeros(N), "c": np.zeros(N), "u": np.zeros(M)},
}
MISSING = [name for name in ("tensorflow", "jax") if find_spec(name) is None]


@cache
def cell(kind: str) -> Any:
    torch.manual_seed(0)
    made = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}[kind](M, N).double()
    with torch.no_grad():
        made.weight_hh.mul_(15)  # chaotic
    return made


def weights(kind: str) -> list[np.ndarray]:
    made = cell(kind)
    return [w.detach().numpy() for w in (made.weight_ih, made.weight_hh, made.bias_ih, made.bias_hh)]


def written_out(kind: str, library: Any) -> Callable[[Any], Any]:
    """The cell's formulas, as torch documents them."""
    w_ih, w_hh, b_ih, b_hh = weights(kind)

    def gate(a: Any) -> Any:
        return 1 / (1 + library.exp(-a))

    def gru(s: Any) -> Any:
        i, h = s["u"] @ w_ih.T + b_ih, s["h"] @ w_hh.T + b_hh
        r, z = gate(i[:, :N] + h[:, :N]), gate(i[:, N : 2 * N] + h[:, N : 2 * N])
        return {"h": (1 - z) * library.tanh(i[:, 2 * N :] + r * h[:, 2 * N :]) + z * s["h"], "u": s["u"]}

    def lstm(s: Any) -> Any:
        a = s["u"] @ w_ih.T + b_ih + s["h"] @ w_hh.T + b_hh
        c = gate(a[:, N : 2 * N]) * s["c"] + gate(a[:, :N]) * library.tanh(a[:, 2 * N : 3 * N])
        return {"h": gate(a[:, 3 * N :]) * library.tanh(c), "c": c, "u": s["u"]}

    return gru if kind == "gru" else lstm


class Torch(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.cell = cell(kind)

    def forward(self, s: Any) -> Any:
        if "c" in s:
            h, c = self.cell(s["u"], (s["h"], s["c"]))
            return {"h": h, "c": c, "u": s["u"]}
        return {"h": self.cell(s["u"], s["h"]), "u": s["u"]}


def keras_cell(kind: str) -> Callable[[Any], Any]:
    import keras

    w_ih, w_hh, b_ih, b_hh = weights(kind)
    if kind == "gru":  # Keras has the gates z, r where torch has r, z
        order = np.r_[N : 2 * N, :N, 2 * N : 3 * N]
        made = keras.layers.GRUCell(N, dtype="float64")
        values = [w_ih[order].T, w_hh[order].T, np.stack([b_ih[order], b_hh[order]])]
    else:
        made = keras.layers.LSTMCell(N, dtype="float64")
        values = [w_ih.T, w_hh.T, b_ih + b_hh]
    made.build((None, M))
    made.set_weights(values)

    def step(s: Any) -> Any:
        if "c" in s:
            _, (h, c) = made(s["u"], [s["h"], s["c"]])
            return {"h": h, "c": c, "u": s["u"]}
        return {"h": made(s["u"], [s["h"]])[0], "u": s["u"]}

    return step


@cache
def joint(kind: str, framework: str) -> Any:
    if framework == "jax":
        import jax

        return lm.wrap(written_out(kind, jax.numpy), state_example=EXAMPLES[kind], backend="jax")
    if framework == "tensorflow":
        return lm.wrap(keras_cell(kind), state_example=EXAMPLES[kind], backend="tensorflow")
    function = Torch(kind).eval() if framework == "torch" else written_out(kind, np)
    return lm.wrap(function, state_example=EXAMPLES[kind])


def exponents(kind: str, framework: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    m = lm.driven(joint(kind, framework), lm.random_inputs(M, scale=scale, seed=3))
    x0 = {name: np.full((2, N), 0.1) * np.arange(1, 3)[:, None] for name in ("h", "c")[: len(EXAMPLES[kind]) - 1]}
    found = lm.lyapunov_spectrum(m, x0, n_steps=STEPS, seed=0, throw=False)
    assert list(m.restore(found.final_state)) == list(x0)
    return found.exponents, found.final_state


@pytest.fixture
def at_hand(framework: str) -> Iterator[None]:
    """Skips what is not installed; JAX computes in float64 only where it is told to."""
    if framework in MISSING:
        pytest.skip(f"{framework} is not installed: pip install 'lyapmap[{framework}]'")
    if framework == "jax":
        import jax

        with jax.enable_x64(True):
            yield
    else:
        yield


@pytest.mark.usefixtures("at_hand")
@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow"])
def test_exponents_agree_with_and_without_input(framework: str, kind: str) -> None:
    for scale in (0.0, 1.0):
        wanted, end = exponents(kind, "numpy", scale)
        found, state = exponents(kind, framework, scale)
        assert np.abs(state - end).max() < 1e-7  # the same trajectory
        assert np.abs(found - wanted).max() < 1e-6
        assert wanted[0] > 0


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_torch_carries_cells_by_its_own_way_too(kind: str) -> None:
    m = joint(kind, "torch")
    assert m._has_rules
    found, _ = exponents(kind, "torch", 1.0)
    m._has_rules = False
    try:
        assert np.abs(exponents(kind, "torch", 1.0)[0] - found).max() < 1e-9
    finally:
        m._has_rules = True


def test_lists_of_tensors_as_keras_gives_them() -> None:
    if "tensorflow" in MISSING:
        pytest.skip("tensorflow is not installed: pip install 'lyapmap[tensorflow]'")
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    h, c = keras.Input((N,)), keras.Input((N,))
    _, after = keras.layers.LSTMCell(N)(keras.ops.zeros_like(h[:, :M]), [h, c])
    m = lm.wrap(keras.Model([h, c], after), state_example=[tf.zeros(N), tf.zeros(N)])
    assert (m.state_shape, m.ops.dtype) == ((2 * N,), "float32")
    rng = np.random.default_rng(0)
    report = lm.check_map(m, [rng.normal(size=(3, N)), rng.normal(size=(3, N))])
    assert report, str(report)
