"""
An autoencoder, iterated
========================

An autoencoder learns a circle in ten dimensions. Applied to its own output it comes back to the circle at once, and
moves along it slowly: the images of training are nearly, not exactly, at rest.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

import lyapmap as lm

torch.manual_seed(0)
plane = torch.linalg.qr(torch.randn(10, 2))[0]
net = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 2), nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 10))
optimizer = torch.optim.Adam(net.parameters(), 5e-3)
for _ in range(400):
    angle = 2 * torch.pi * torch.rand(128)
    x = torch.stack([torch.cos(angle), torch.sin(angle)], 1) @ plane.T
    loss = (net(x + 0.1 * torch.randn_like(x)) - x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

again = lm.wrap(net.eval(), state_shape=10)
starts = 1.5 * np.random.default_rng(0).normal(size=(40, 10)).astype("float32")
spectrum = lm.lyapunov_spectrum(again, starts[:4], n_exponents=2, n_steps=400, transient=600, seed=0)
print(spectrum)

orbits = lm.trajectory(again, starts, n_steps=60).states @ plane.numpy()
figure, axis = plt.subplots(figsize=(4, 3.6), layout="constrained")
axis.plot(*orbits.transpose(2, 1, 0), color="0.75", lw=0.7)
axis.plot(*orbits[:, -1].T, "o", ms=4, color="C3", label="after 60 steps")
axis.set(aspect="equal", xlabel="first coordinate in the plane", ylabel="second")
axis.legend(loc="upper right")
figure  # noqa: B018
