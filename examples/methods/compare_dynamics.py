"""
Is the learned attractor the right one?
=======================================

A model beside the truth: states, transitions, power spectra, exponents and forecasts, each with what chance gives.
Here the model is Hénon's map with a slightly wrong parameter: good forecasts, another climate.
"""

import lyapmap as lm

truth, model = lm.systems.henon(), lm.systems.henon(a=1.39)
comparison = lm.compare_dynamics(model, truth, n_steps=300, seed=0)
print(comparison)
comparison.plot()
