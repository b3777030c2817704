"""Recurrent cells given bare are the maps of their hidden states, with the input held."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lyapmap as lm
from keras_samples import needs_keras
from lyapmap.backends import recurrent_cell
from lyapmap.core.errors import LyapmapError, MapError, ShapeError

H, U = torch.rand(4, 6), [0.3, -0.2, 0.5]


def cell(kind: Any) -> Any:
    torch.manual_seed(0)
    return kind(3, 6).eval()


@pytest.mark.parametrize("kind", [nn.GRUCell, nn.RNNCell])
def test_the_hidden_state_is_what_is_iterated(kind: Any) -> None:
    rest, driven = lm.wrap(cell(kind)), lm.wrap(cell(kind), state_shape=6, inputs=U)
    assert rest.state_shape == driven.state_shape == (6,)
    assert torch.allclose(rest.apply(H), cell(kind)(torch.zeros(4, 3), H), atol=1e-6)
    assert torch.allclose(driven.apply(H), cell(kind)(torch.tensor(U).expand(4, 3), H), atol=1e-6)
    assert rest.provenance["inputs"] == "3 held at zero"
    assert driven.provenance["inputs"] == U
    assert rest.provenance["map"] == kind.__name__
    assert lm.check_map(rest, H)


def test_a_cell_as_wide_as_its_input_is_not_the_map_of_its_input() -> None:
    square = nn.GRUCell(6, 6).eval()
    assert torch.allclose(lm.wrap(square, state_shape=6).apply(H), square(torch.zeros(4, 6), H), atol=1e-6)


@pytest.mark.parametrize(
    "options", [{}, {"state_shape": 12}, {"state_example": (np.zeros(6, "f4"), np.zeros(6, "f4"))}]
)
def test_the_state_of_an_lstm_cell_is_a_pair(options: dict[str, Any]) -> None:
    lstm = cell(nn.LSTMCell)
    m: Any = lm.wrap(lstm, inputs=torch.tensor(U), **options)
    h, c = m.restore(m.apply(torch.cat([H, 2 * H], 1)).numpy())
    wanted = lstm(torch.tensor(U).expand(4, 3), (H, 2 * H))
    np.testing.assert_allclose(h, wanted[0].detach(), atol=1e-6)
    np.testing.assert_allclose(c, wanted[1].detach(), atol=1e-6)


def test_a_cell_in_double_precision() -> None:
    gru = cell(nn.GRUCell)
    m = lm.wrap(gru, dtype="float64")
    assert m.ops.dtype == "float64"
    assert gru.weight_hh.dtype == torch.float32
    assert lm.wrap(cell(nn.LSTMCell).double()).ops.dtype == "float64"


def test_what_does_not_fit_is_refused() -> None:
    gru, lstm = cell(nn.GRUCell), cell(nn.LSTMCell)
    with pytest.raises(ShapeError, match="the hidden state of GRUCell has 6 values, got"):
        lm.wrap(gru, state_shape=3)
    with pytest.raises(ShapeError, match="a pair of 6 values each, 12 together"):
        lm.wrap(lstm, state_shape=6)
    with pytest.raises(ShapeError, match="state_example: expected"):
        lm.wrap(lstm, state_example=np.zeros(6))
    with pytest.raises(ShapeError, match=r"inputs: expected 3 finite values, held at every step, .* lyapmap.each_step"):
        lm.wrap(gru, inputs=np.zeros((10, 3)))
    with pytest.raises(LyapmapError, match=r"takes 2 positional arguments but 5 were given"):
        lm.wrap(nn.Linear(6, 6).eval(), state_shape=6, inputs=U)
    with pytest.raises(MapError, match="is in training mode"):
        lm.wrap(nn.GRUCell(3, 6))


@pytest.mark.parametrize("layer", [nn.GRU, nn.LSTM, nn.RNN])
def test_a_layer_over_sequences_is_no_map_of_its_state(layer: Any) -> None:
    with pytest.raises(MapError, match=rf"{layer.__name__} runs over sequences .* wrap torch.nn.\w+Cell"):
        lm.wrap(layer(6, 6).eval(), state_shape=6)


def test_a_cell_with_a_forward_of_its_own_is_what_it_says() -> None:
    class Own(nn.GRUCell):
        def forward(self, h: Any) -> Any:  # type: ignore[override]
            return super().forward(torch.zeros_like(h[:, :3]), h)

    own = Own(3, 6).eval()
    assert recurrent_cell(own) is None
    assert torch.allclose(lm.wrap(own, state_shape=6).apply(H), own(H), atol=1e-6)


@needs_keras
@pytest.mark.parametrize("name", ["GRUCell", "LSTMCell", "SimpleRNNCell"])
def test_cells_of_keras(name: str) -> None:
    import keras

    made = getattr(keras.layers, name)(4)
    with pytest.raises(MapError, match="has no weights yet"):
        lm.wrap(made)
    made.build((None, 3))
    m: Any = lm.wrap(made, inputs=U)
    parts = 2 if name == "LSTMCell" else 1
    x = np.random.default_rng(0).random((3, 4 * parts)).astype("f4")
    after = made(np.tile(np.float32(U), (3, 1)), np.split(x, parts, 1))[1]
    wanted = np.concatenate([keras.ops.convert_to_numpy(a) for a in keras.tree.flatten(after)], 1)
    np.testing.assert_allclose(m.ops.to_numpy(m.apply(m.ops.from_numpy(x))), wanted, atol=1e-6)
    assert m.provenance["map"] == name
    with pytest.raises(MapError, match="runs over sequences"):
        lm.wrap(getattr(keras.layers, name.removesuffix("Cell"))(4))


def test_cells_of_flax() -> None:
    """By what they offer, since flax need not be there: carry and input in, carry and output out."""
    jax = pytest.importorskip("jax", reason="needs JAX: pip install 'lyapmap[jax]'")

    def call(self: Any, carry: Any, u: Any) -> Any:
        h = jax.numpy.tanh(0.5 * carry + u.sum(-1, keepdims=True))
        return h, h

    kind = type("GRUCell", (), {"__module__": "flax.nnx.nn.recurrent", "__call__": call})
    made = kind()
    made.hidden_features, made.in_features = 6, 3
    m: Any = lm.wrap(made, inputs=U)
    x = jax.numpy.asarray(H.numpy())
    np.testing.assert_allclose(m.apply(x), np.tanh(0.5 * H.numpy() + sum(U)), atol=1e-6)
    del made.in_features
    with pytest.raises(LyapmapError, match="inputs: GRUCell does not say how many it takes"):
        lm.wrap(made)
    assert recurrent_cell(SimpleNamespace()) is None
    assert "flax" not in sys.modules
