"""
Covariant vectors
=================

The directions that grow at the rate of each exponent, and the angle between the expanding and the contracting ones.
The Hénon attractor has points where they nearly touch.
"""

import lyapmap as lm

henon = lm.systems.henon()
vectors = lm.covariant_vectors(henon, henon.initial_states(1), n_steps=5000, seed=0)
print(vectors)
vectors.plot()
