"""
Chaotic or regular, fast
========================

Two tangent vectors align exponentially fast along a chaotic orbit, and do not along a regular one. Three orbits of the
standard map are told apart within a thousand steps.
"""

import lyapmap as lm

standard = lm.systems.standard(k=1.0)
alignment = lm.alignment(standard, [[0.1, 0.1], [3.0, 0.1], [1.0, 2.0]], n_steps=1000, seed=0)
print(alignment.verdict)
alignment.plot()
