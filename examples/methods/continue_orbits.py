"""
Cycles along a parameter
========================

Fixed points of the Hénon map along a, stable and unstable: they are born at a fold, a = -0.1225, and the stable one
doubles its period at a = 0.3675. Around the fold, where stepping through values would end, the branch goes on.
"""

import lyapmap as lm

branch = lm.continue_orbits(
    lm.systems.henon, "a", (-0.3, 1.0), [0.1, 0.1], start=0.2, n_guesses=8, max_points=150, seed=0
)
for kind, value, orbit in branch.special:
    print(f"{kind} at a = {value:.9f}, at {orbit[0].round(6)}")
branch.plot()
