"""
Trajectories
============

States of a map, step by step: the Ikeda map, four starts.
"""

import lyapmap as lm

ikeda = lm.systems.ikeda()
trajectory = lm.trajectory(ikeda, ikeda.initial_states(4), n_steps=3000, transient=100)
print(trajectory)
trajectory.plot()
