"""
Where trajectories come to rest
===============================

Starts are followed until they rest, and sorted by where they end, with the share of each end: two wells of
x -> tanh(2 x).
"""

import numpy as np

import lyapmap as lm

wells = lm.wrap(lambda x: np.tanh(2 * x), state_shape=1)
settling = lm.settling(wells, np.random.default_rng(0).normal(0.3, 1, (200, 1)), n_steps=100)
print(settling)
settling.plot()
