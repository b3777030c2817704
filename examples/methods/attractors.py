"""
How many attractors, and their basins
=====================================

Starts on a grid are followed until they end, and sorted by where. Newton's method for the roots of z^3 = 1 has three
fixed points, whose basins meet in a fractal.
"""

import numpy as np

import lyapmap as lm


def newton(u):
    """A step of Newton's method; a state holds real and imaginary part."""
    z = u[..., 0] + 1j * u[..., 1]
    z = z - (z**3 - 1) / (3 * z**2)
    return np.stack([z.real, z.imag], axis=-1)


plane = lm.grid([-2.01, -2], [2, 2.013], (150, 150))
attractors = lm.attractors(lm.wrap(newton, state_shape=2), plane, transient=60, n_steps=16, exponent_steps=50, seed=0)
print(attractors)
attractors.plot()
