"""
Differential equations
======================

A vector field becomes a map that carries states along it for a time; exponents are per unit of time. The Lorenz system
has 0.9056, 0 and -14.57 (Viswanath 1998: 0.90563).
"""

import numpy as np

import lyapmap as lm


def lorenz(s):
    x, y, z = s[:, 0], s[:, 1], s[:, 2]
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)


flow = lm.flow(lorenz, tau=0.05, state_shape=3)
spectrum = lm.lyapunov_spectrum(flow, [[1.0, 1.0, 20.0], [2.0, 1.0, 25.0]], n_steps=4000, transient=200, seed=0)
print(spectrum)
lm.trajectory(flow, [1.0, 1.0, 20.0], n_steps=1000, transient=200).plot()
