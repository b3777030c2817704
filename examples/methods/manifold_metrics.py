"""
Precision and recall
====================

Generated samples beside real ones: precision says how real they look, recall how much of the real ones they cover.
Samples of half the width look real and miss the outer part.
"""

import numpy as np

import lyapmap as lm

rng = np.random.default_rng(0)
real, generated = rng.standard_normal((1500, 2)), 0.5 * rng.standard_normal((1500, 2))
metrics = lm.manifold_metrics(real, generated, k=(3, 5, 10), seed=0)
print(metrics)
metrics.plot()
