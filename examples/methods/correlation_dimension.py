"""
Correlation dimension
=====================

How the number of pairs of points within a distance grows with that distance: 1.22 for the Hénon attractor
(Grassberger and Procaccia 1983: 1.21).
"""

import lyapmap as lm

henon = lm.systems.henon()
orbit = lm.trajectory(henon, henon.initial_states(1), n_steps=10_000, transient=500)
dimension = lm.correlation_dimension(orbit, seed=0)
print(dimension)
dimension.plot()
