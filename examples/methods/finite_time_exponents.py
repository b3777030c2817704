"""
Exponents as a field
====================

How fast neighbours part within 30 steps, from each point of a plane. In the standard map, regular islands lie in a
chaotic sea.
"""

import lyapmap as lm

plane = lm.grid([0, 0], [6.283, 6.283], (150, 150))
field = lm.finite_time_exponents(lm.systems.standard(k=1.2), plane, n_steps=30, measure="stretching")
print(field)
field.plot()
