"""
How long to let it run first
============================

After how many steps the distribution of an ensemble stays as it is: what to take as `transient`.
"""

import numpy as np

import lyapmap as lm

henon = lm.systems.henon()
starts = np.random.default_rng(0).uniform(-0.1, 0.1, (200, 2))
burn_in = lm.burn_in(henon, starts, n_steps=60, seed=0)
print(burn_in)
burn_in.plot()
