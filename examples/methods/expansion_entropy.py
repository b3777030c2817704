"""
Expansion entropy
=================

Chaos in a region, attractor or not: how fast volumes expand that stay in it. For the Hénon map it is positive, and near
the topological entropy 0.465.
"""

import lyapmap as lm

entropy = lm.expansion_entropy(lm.systems.henon(), ([-1.8, -0.6], [1.8, 0.6]), n_samples=50_000, seed=0)
print(entropy)
entropy.plot()
