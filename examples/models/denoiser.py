"""
A denoiser applied again and again
==================================

A small network learns to take noise off images of one bright spot. Applied to its own output it takes a little of the
spot away as well, until nothing is left: the dark image is its only state at rest.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import lyapmap as lm

torch.manual_seed(0)
grid = torch.linspace(-1, 1, 16)


def spots(count):
    x, y = 1.4 * torch.rand(2, count, 1, 1) - 0.7
    return torch.exp(-((grid - x) ** 2 + (grid[:, None] - y) ** 2) / 0.08)[:, None]


net = nn.Sequential(
    nn.Conv2d(1, 16, 5, padding=2),
    nn.SiLU(),
    nn.Conv2d(16, 16, 5, padding=2),
    nn.SiLU(),
    nn.Conv2d(16, 1, 5, padding=2),
)
optimizer = torch.optim.Adam(net.parameters(), 3e-3)
for _ in range(150):
    clean = spots(32)
    loss = (net(clean + 0.3 * torch.randn_like(clean)) - clean).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

again = lm.wrap(net.eval(), state_shape=(1, 16, 16))
start = spots(1) + 0.3 * torch.randn(1, 1, 16, 16)
spectrum = lm.lyapunov_spectrum(again, start, n_exponents=4, n_steps=400, transient=400, seed=0)
print(spectrum)

orbit = lm.trajectory(again, start, n_steps=400).states[0].reshape(-1, 16, 16)
figure, axes = plt.subplots(1, 6, figsize=(7, 1.4), layout="constrained")
for axis, step in zip(axes, (0, 1, 3, 10, 50, 400), strict=True):
    axis.imshow(orbit[step], cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"step {step}", fontsize=9)
    axis.axis("off")
figure  # noqa: B018
