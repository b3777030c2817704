"""
Divergence of neighbours
========================

The largest exponent without a derivative: pairs of states that start close together part exponentially until they are
as far apart as unrelated states. Here each step of the map 4 x (1 - x) doubles their distance, so the slope is ln 2.
"""

import numpy as np

import lyapmap as lm

logistic = lm.wrap(lambda x: 4 * x * (1 - x), state_shape=1)
divergence = lm.divergence(logistic, np.linspace(0.1, 0.9, 100)[:, None], transient=100, seed=0)
print(divergence)
print("exact:", np.log(2))
divergence.plot()
