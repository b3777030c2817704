"""
Dimensions of several sets
==========================

Several estimators on one graph of neighbours: a plane, a ball and a noisy circle.
"""

import numpy as np

import lyapmap as lm

rng = np.random.default_rng(0)
angle = rng.uniform(0, 2 * np.pi, 1500)
sets = {
    "plane": rng.uniform(size=(1500, 2)) @ rng.standard_normal((2, 5)),
    "ball": rng.standard_normal((1500, 3)),
    "circle": np.stack([np.cos(angle), np.sin(angle)], axis=1),
}
comparison = lm.compare_dimensions(sets, seed=0)
print(comparison)
comparison.plot()
