"""
Cycles and their stability
==========================

Fixed points and cycles of the Hénon map by Newton's method, with multipliers. All of period 6 or a divisor of it.
"""

import lyapmap as lm

henon = lm.systems.henon()
cycles = lm.periodic_orbits(henon, henon.initial_states(64), period=6, divisors=True, seed=0)
print(cycles)
cycles.plot()
