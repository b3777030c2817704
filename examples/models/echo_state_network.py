"""
An echo state network in closed loop
====================================

A reservoir of reservoirpy learns to predict the Lorenz system one step ahead, then runs on its own output. It has
learned the motion: its first exponents are those of the system, 0.906 and 0 per unit time. Without biases its units
are odd functions, and it does not.
"""

import matplotlib.pyplot as plt
import numpy as np
from reservoirpy.nodes import Reservoir, Ridge

import lyapmap as lm

lorenz = lm.systems.lorenz()
tau = lorenz.time_per_step
orbit = lm.trajectory(lorenz, [1.0, 1.0, 1.0], n_steps=8000, transient=500).states[0]
x = (orbit - orbit.mean(axis=0)) / orbit.std(axis=0)

biases = np.random.default_rng(0).uniform(-1, 1, 300)
reservoir = Reservoir(300, sr=0.9, lr=1.0, input_scaling=0.5, bias=biases, seed=1)
model = reservoir >> Ridge(ridge=1e-4)
model.fit(x[:-1], x[1:], warmup=200)
model.run(x)  # after which it stands where the data end

loop = lm.wrap(model)
spectrum = lm.lyapunov_spectrum(loop, reservoir.state["out"], n_exponents=2, n_steps=6000, transient=100, seed=0)
for value, error in zip(spectrum.exponents / tau, spectrum.stderr / tau, strict=True):
    print(f"{value:8.3f} +- {error:.3f} per unit time")

states = lm.trajectory(loop, reservoir.state["out"], n_steps=1500).states[0]
own = states @ model.outputs[0].Wout + model.outputs[0].bias
figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3), sharex=True, sharey=True, layout="constrained")
left.plot(x[:1500, 0], x[:1500, 2], lw=0.6)
left.set(title="Lorenz", xlabel="x (deviations from the mean)", ylabel="z")
right.plot(own[:, 0], own[:, 2], lw=0.6, color="C1")
right.set(title="the network by itself", xlabel="x")
figure  # noqa: B018
