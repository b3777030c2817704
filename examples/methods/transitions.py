"""
Transitions between categories
==============================

A digit generator should run through its digits in order. Here the halves of the interval stand in for digits, and the
logistic map for the generator: left and right follow each other like heads and tails, with an entropy of ln 2.
"""

import lyapmap as lm

orbit = lm.trajectory(lm.systems.logistic(r=4.0), [0.3], n_steps=5000)
transitions = lm.transitions(orbit, lambda x: (x[:, 0] > 0.5).astype(int))
print(transitions)
transitions.plot()
