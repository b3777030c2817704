"""
Driven maps
===========

A response that is driven by another system: does it forget where it started? Two logistic maps, coupled one way. The
exponent of the response under the drive is negative, so the response synchronizes.
"""

import numpy as np

import lyapmap as lm


def joint(z):
    x, u = z[:, :1], z[:, 1:]
    return np.concatenate([0.4 * 4 * x * (1 - x) + 0.6 * 4 * u * (1 - u), u], axis=1)


drive = lm.trajectory(lm.systems.logistic(), [0.3], n_steps=6000)
response = lm.driven(lm.wrap(joint, state_shape=2), drive)
spectrum = lm.lyapunov_spectrum(response, [0.7], n_steps=5000, transient=200, seed=0)
print(spectrum)
spectrum.plot(kind="convergence")
