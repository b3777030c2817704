"""
Limit cycles
============

The limit cycle of van der Pol's oscillator, its free period (6.66329 at mu = 1) and its Floquet multipliers: 1 along
the orbit, and the exponential of the field's divergence for the other.
"""

import numpy as np

import lyapmap as lm


def van_der_pol(s, mu=1.0):
    x, v = s[:, 0], s[:, 1]
    return np.stack([v, mu * (1 - x**2) * v - x], axis=1)


cycle = lm.limit_cycle(lm.flow(van_der_pol, 0.1, state_shape=2), [1.0, 0.0], transient=200)
print(cycle)
cycle.plot()
