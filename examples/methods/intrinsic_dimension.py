"""
Intrinsic dimension
===================

Along how many directions do points extend? A two-dimensional roll in space, over scales.
"""

import lyapmap as lm

points = lm.data.sample_manifold("swiss-roll", 3000, seed=0)
dimension = lm.intrinsic_dimension(points)
print(dimension)
dimension.plot()
