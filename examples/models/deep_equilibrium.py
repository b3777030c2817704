"""
A deep equilibrium layer
========================

The layer z <- tanh(g W z + U x) is iterated until it rests. Up to which gain g has it an equilibrium that is found by
iteration? The largest exponent says so, and a stronger input x makes it rest longer.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

import lyapmap as lm

draws = torch.Generator().manual_seed(0)
weights = torch.randn(100, 100, generator=draws) / 10
x = torch.randn(100, generator=draws)  # U x: the same at every step
start = np.random.default_rng(0).normal(size=(1, 100))
gains = np.linspace(0.6, 3.6, 11)

figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
largest = {}
for size in (0.0, 0.5, 1.0):

    def layer(gain, size=size):
        return lm.wrap(lambda z: torch.tanh(gain * z @ weights.T + size * x), state_shape=100)

    sweep = lm.sweep(layer, "gain", gains, start, analysis="spectrum", n_exponents=1, n_steps=300, seed=0)
    largest[size] = sweep.exponents[:, 0]
    axis.plot(gains, largest[size], "o-", ms=3, label=f"input of size {size:g}")
    print(f"input of size {size:g}: at rest up to a gain of {gains[largest[size] < 0].max():.1f}")
axis.axhline(0, color="0.6", lw=0.8)
axis.set(xlabel="gain g", ylabel="largest exponent (nats per step)")
axis.legend(frameon=False)
figure  # noqa: B018
