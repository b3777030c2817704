"""
Local dimension of a generator
==============================

The singular values of a function between different spaces: a map from three numbers to the sphere moves along two
directions only.
"""

import numpy as np

import lyapmap as lm

sphere = lm.wrap_function(lambda z: z / np.sqrt((z**2).sum(1, keepdims=True)), input_shape=3)
spectrum = lm.jacobian_spectrum(sphere, np.random.default_rng(0).standard_normal((50, 3)))
print(spectrum)
spectrum.plot()
