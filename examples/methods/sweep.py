"""
Along a parameter
=================

The bifurcation diagram of the logistic map with its exponent below.
"""

import numpy as np

import lyapmap as lm

sweep = lm.sweep(lm.systems.logistic, "r", np.linspace(2.8, 4.0, 600), [0.3], n_steps=1000, seed=0)
print(sweep)
sweep.plot()
