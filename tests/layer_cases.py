"""Layers and small networks as maps, in torch and in Keras, and what is known not to work.

Run as a program, it checks the Keras ones on the backend that KERAS_BACKEND names and prints what
came out as JSON: Keras is told its backend once in a process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import lyapmap as lm
from lyapmap.core.errors import PrecisionError

DTYPES = ("float32", "float64")
IMAGE = (4, 4, 2)  # channels last; torch's have them first
SEQUENCE = (3, 4)
VECTOR = (4,)
INPUTS = 3

FORWARD, JACOBIANS = "forward mode", "batch Jacobian"
REVERSE, REFUSED, FAILS = "reverse mode twice", "refused: computes in float32", "an error of Keras"


@dataclass(frozen=True)
class Limit:
    """Layers that do not work everywhere, as docs/frameworks.md lists them."""

    layers: tuple[str, ...]
    where: str
    dtypes: tuple[str, ...]
    outcome: str
    reason: str
    mend: str

    def row(self) -> str:
        """The row of the table in the documentation."""
        cells = (", ".join(self.layers), self.where, ", ".join(self.dtypes), self.outcome, self.reason, self.mend)
        return f"| {' | '.join(cells)} |"


LIMITS = (
    Limit(
        ("up-sampling, bilinear",),
        "TensorFlow",
        ("float32",),
        JACOBIANS,
        "the gradient of ResizeBilinear and ResizeBicubic has no derivative, and is read as none at all",
        "nothing to do; for speed up-sample by nearest neighbours and convolve",
    ),
    Limit(
        ("up-sampling, bilinear",),
        "TensorFlow",
        ("float64",),
        REFUSED,
        "ResizeBilinear and ResizeBicubic return float32 whatever they are given",
        "dtype='float32', or up-sample by nearest neighbours or a transposed convolution",
    ),
    Limit(
        ("GRU over a sequence", "LSTM over a sequence"),
        "TensorFlow",
        DTYPES,
        JACOBIANS,
        "forward mode does not pass a loop of a traced function",
        "unroll=True, or wrap the cell",
    ),
    Limit(
        (
            "dense",
            "batch norm",
            "layer norm",
            "group norm",
            "dot-product attention",
            "multi-head attention",
            "GRU cell",
            "LSTM cell",
        ),
        "Keras on torch",
        ("float64",),
        REFUSED,
        "Keras takes float64 for float32 off TensorFlow wherever it looks for a common dtype",
        "KERAS_BACKEND=tensorflow, or dtype='float32'",
    ),
    Limit(
        ("layer norm over pixels",),
        "Keras on torch",
        DTYPES,
        FAILS,
        "Keras hands torch the axes as if they were the last ones",
        "KERAS_BACKEND=tensorflow, or the layers of lyapmap.models.cycle.keras_network",
    ),
    Limit(
        ("LSTM over a sequence",),
        "torch",
        ("float32",),
        REVERSE,
        "the oneDNN kernel has no forward mode",
        "nothing to do; for speed torch.backends.mkldnn.enabled = False, or wrap the cell",
    ),
)


def expected(where: str) -> dict[str, str]:
    """What each layer in each precision should come to in a framework."""
    found = {f"{name}, {dtype}": FORWARD for name in KERAS for dtype in DTYPES}
    for limit in LIMITS:
        if limit.where == where:
            found |= {f"{name}, {dtype}": limit.outcome for name in limit.layers for dtype in limit.dtypes}
    return found


def outcome(network: Any, dtype: str, **options: Any) -> str:
    """How a network is carried, if `check_map` finds nothing wrong; else what is wrong."""
    try:
        m: Any = lm.wrap(network, dtype=dtype, **options)
    except lm.LyapmapError as error:
        if isinstance(error, PrecisionError):
            return REFUSED
        return FAILS if "failed on states" in str(error) else f"{type(error).__name__}: {error}"
    assert m.ops.dtype == dtype
    report = lm.check_map(m, np.random.default_rng(1).uniform(-1, 1, (3, *m.state_shape)))
    return str(m.derivative).partition(" (")[0] if report.ok else str(report)


def keras_outcomes(dtypes: dict[str, tuple[str, ...]] | None = None) -> dict[str, str]:
    """Outcomes of Keras networks on the backend that Keras runs on: of all, or in the precisions named for each."""
    import keras

    found = {}
    for name, make in KERAS.items():
        chosen = DTYPES if dtypes is None else dtypes.get(name, ())
        if not chosen:
            continue
        keras.utils.set_random_seed(0)
        network = make(keras)
        for weight in network.weights:
            if len(weight.shape) == 1:  # gains, biases, moving averages: none of them left out
                weight.assign(np.random.default_rng(0).uniform(0.5, 1.5, weight.shape))
        found |= {f"{name}, {dtype}": outcome(network, dtype) for dtype in chosen}
    return found


def _sequential(shape: tuple[int, ...], *names: Any) -> Callable[[Any], Any]:
    """A network of layers, each given as its class's name with options."""

    def make(keras: Any) -> Any:
        made = [getattr(keras.layers, name)(*args, **options) for name, args, options in names]
        return keras.Sequential([keras.Input(shape), *made])

    return make


def _layer(name: str, *args: Any, **options: Any) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    return name, args, options


def _on_itself(name: str, *args: Any) -> Callable[[Any], Any]:
    """Attention of a sequence to itself."""

    def make(keras: Any) -> Any:
        x, layer = keras.Input(SEQUENCE), getattr(keras.layers, name)(*args)
        return keras.Model(x, layer(x, x) if args else layer([x, x]))

    return make


def _residual(keras: Any) -> Any:
    x = keras.Input(IMAGE)
    y = keras.layers.Conv2D(2, 3, padding="same", activation="tanh")(x)
    return keras.Model(x, keras.layers.Add()([x, y]))


def _cell(name: str, parts: int) -> Callable[[Any], Any]:
    """The map of a cell's state, its parts one after the other, under a constant input."""

    def make(keras: Any) -> Any:
        size = VECTOR[0]
        state = keras.Input((parts * size,))
        u = keras.layers.Lambda(lambda s: s[:, :INPUTS] * 0 + 0.5, output_shape=(INPUTS,))(state)
        slices = [
            keras.layers.Lambda(lambda s, i=i: s[:, i * size : (i + 1) * size], output_shape=(size,))(state)
            for i in range(parts)
        ]
        _, after = getattr(keras.layers, name)(size)(u, slices)
        after = after if isinstance(after, list | tuple) else [after]
        return keras.Model(state, keras.layers.Concatenate()(after) if parts > 1 else after[0])

    return make


KERAS: dict[str, Callable[[Any], Any]] = {
    "dense": _sequential(VECTOR, _layer("Dense", 4, activation="tanh")),
    "convolution": _sequential(IMAGE, _layer("Conv2D", 2, 3, padding="same")),
    "transposed convolution": _sequential(
        IMAGE,
        _layer("Conv2D", 3, 3, strides=2, padding="same"),
        _layer("Conv2DTranspose", 2, 3, strides=2, padding="same"),
    ),
    "max pooling; up-sampling, nearest": _sequential(IMAGE, _layer("MaxPooling2D", 2), _layer("UpSampling2D", 2)),
    "average pooling": _sequential(IMAGE, _layer("AveragePooling2D", 2), _layer("UpSampling2D", 2)),
    "up-sampling, bilinear": _sequential(
        IMAGE, _layer("AveragePooling2D", 2), _layer("UpSampling2D", 2, interpolation="bilinear")
    ),
    "batch norm": _sequential(IMAGE, _layer("BatchNormalization")),
    "layer norm": _sequential(SEQUENCE, _layer("LayerNormalization")),
    "layer norm over pixels": _sequential(IMAGE, _layer("LayerNormalization", axis=[1, 2])),
    "group norm": _sequential(IMAGE, _layer("GroupNormalization", 2)),
    "dropout": _sequential(VECTOR, _layer("Dropout", 0.5), _layer("Activation", "tanh")),
    "dot-product attention": _on_itself("Attention"),
    "multi-head attention": _on_itself("MultiHeadAttention", 2, 2),
    "residual": _residual,
    "GRU cell": _cell("GRUCell", 1),
    "LSTM cell": _cell("LSTMCell", 2),
    "GRU over a sequence": _sequential(SEQUENCE, _layer("GRU", 4, return_sequences=True)),
    "LSTM over a sequence": _sequential(SEQUENCE, _layer("LSTM", 4, return_sequences=True)),
}


def torch_networks() -> dict[str, tuple[Any, tuple[int, ...]]]:
    """The same layers as torch modules, with the shapes of their states."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    image = (2, 4, 4)

    class OnItself(nn.Module):
        def __init__(self, heads: int) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, heads, batch_first=True) if heads else None

        def forward(self, x: Any) -> Any:
            if self.attention is None:
                return nn.functional.scaled_dot_product_attention(x, x, x)
            return self.attention(x, x, x, need_weights=False)[0]

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x: Any) -> Any:
            return x + torch.tanh(self.convolution(x))

    class Cell(nn.Module):
        def __init__(self, cell: Any, parts: int) -> None:
            super().__init__()
            self.cell, self.parts = cell, parts

        def forward(self, x: Any) -> Any:
            u = torch.full((len(x), INPUTS), 0.5, dtype=x.dtype)
            states = x.chunk(self.parts, 1)
            after = self.cell(u, states[0] if self.parts == 1 else states)
            return after if self.parts == 1 else torch.cat(after, 1)

    class Sequence(nn.Module):
        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Any) -> Any:
            return self.layer(x)[0]

    down, conv = nn.AvgPool2d(2), nn.Conv2d(2, 3, 3, stride=2, padding=1)
    return {
        "dense": (nn.Sequential(nn.Linear(4, 4), nn.Tanh()), VECTOR),
        "convolution": (nn.Conv2d(2, 2, 3, padding=1), image),
        "transposed convolution": (nn.Sequential(conv, nn.ConvTranspose2d(3, 2, 3, 2, 1, output_padding=1)), image),
        "max pooling; up-sampling, nearest": (nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), image),
        "average pooling": (nn.Sequential(down, nn.Upsample(scale_factor=2)), image),
        "up-sampling, bilinear": (nn.Sequential(down, nn.Upsample(scale_factor=2, mode="bilinear")), image),
        "batch norm": (nn.BatchNorm2d(2), image),
        "layer norm": (nn.LayerNorm(4), SEQUENCE),
        "layer norm over pixels": (nn.LayerNorm((4, 4)), image),
        "group norm": (nn.GroupNorm(2, 2), image),
        "dropout": (nn.Sequential(nn.Dropout(0.5), nn.Tanh()), VECTOR),
        "dot-product attention": (OnItself(0), SEQUENCE),
        "multi-head attention": (OnItself(2), SEQUENCE),
        "residual": (Residual(), image),
        "GRU cell": (Cell(nn.GRUCell(INPUTS, 4), 1), VECTOR),
        "LSTM cell": (Cell(nn.LSTMCell(INPUTS, 4), 2), (8,)),
        "GRU over a sequence": (Sequence(nn.GRU(4, 4, batch_first=True)), SEQUENCE),
        "LSTM over a sequence": (Sequence(nn.LSTM(4, 4, batch_first=True)), SEQUENCE),
    }


def torch_outcomes() -> dict[str, str]:
    found = {}
    for name, (network, shape) in torch_networks().items():
        found |= {f"{name}, {dtype}": outcome(network.eval(), dtype, state_shape=shape) for dtype in DTYPES}
    return found


IN_FLOAT32 = ("dense", "convolution", "up-sampling, bilinear", "group norm")
SLOW = ("GRU over a sequence", "LSTM over a sequence")
QUICK = {name: DTYPES if name in IN_FLOAT32 else ("float64",) for name in KERAS if name not in SLOW}
"""What to trace in TensorFlow where a minute is too long."""


if __name__ == "__main__":
    sys.stdout.write(json.dumps(keras_outcomes()))
