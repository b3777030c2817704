"""
A looped transformer layer
==========================

One transformer layer is applied again and again; the embedding of the prompt is added at every step. With the weights
that torch draws at first the loop comes to rest, and has an answer. With weights twice as large it never does.
"""

import copy

import numpy as np
import torch
from torch import nn

import lyapmap as lm

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(d_model=32, nhead=4, dim_feedforward=64, dropout=0, batch_first=True).eval()
embedding = torch.randn(8, 32)  # of eight tokens: held


def looped(gain):
    net = copy.deepcopy(layer)
    for weights in net.parameters():
        if weights.ndim == 2:
            weights.data *= gain
    return lm.wrap(lambda x: net(x + embedding), state_shape=(8, 32))


start = np.random.default_rng(0).normal(size=(1, 8, 32))
gains = np.linspace(0.5, 4, 8)
sweep = lm.sweep(looped, "gain", gains, start, analysis="spectrum", n_exponents=2, n_steps=300, seed=0)
print(sweep)
sweep.plot()
