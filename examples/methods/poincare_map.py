"""
Sections of flows
=================

The Poincaré map of the Rössler system goes from one crossing of x = 0 to the next; every method for maps runs on
it. It is nearly one-dimensional: its picture is the curve on which each return is drawn over the one before.
"""

import lyapmap as lm

section = lm.poincare_map(lm.systems.rossler(), {0: 0.0})
start = section.starts([1.0, 1.0, 0.0])
print(lm.periodic_orbits(section, start, period=1, n_guesses=4, seed=0))
print("return times:", section.return_times(start))

# The maxima of one component are a section as well: those of z in the Lorenz system gave Lorenz his tent.
peaks = lm.maxima_map(lm.systems.lorenz(), 2)
lm.trajectory(peaks, peaks.starts([1.0, 1.0, 20.0]), n_steps=200).plot()
