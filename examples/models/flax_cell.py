"""
A recurrent cell of flax
========================

The hidden state of a GRU cell, its input held at zero, while its recurrent weights grow: at rest up to four times the
weights that flax draws, chaotic beyond.
"""

import numpy as np
from flax import nnx

import lyapmap as lm


def hidden(gain):
    cell = nnx.GRUCell(in_features=3, hidden_features=64, rngs=nnx.Rngs(0))
    cell.dense_h.kernel[...] = gain * cell.dense_h.kernel[...]
    return lm.wrap(cell)


start = np.random.default_rng(0).normal(size=(1, 64)).astype("float32")
gains = [1, 2, 3, 4, 6, 8, 10]
sweep = lm.sweep(hidden, "gain", gains, start, analysis="spectrum", n_exponents=2, n_steps=500, seed=0)
print(sweep)
sweep.plot()
