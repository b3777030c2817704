"""
From a time series
==================

The largest exponent when only a measured series is at hand: here the x coordinate of the Hénon map (0.419). The delay,
the dimension of the delay vectors and the window of the fit are chosen from the series.
"""

import lyapmap as lm

henon = lm.systems.henon()
series = lm.trajectory(henon, henon.initial_states(1), n_steps=5000, transient=500).states[0, :, 0]
exponent = lm.from_series(series)
print(exponent)
exponent.plot()
