"""
A neural cellular automaton
===========================

Each cell of a ring sees itself and its two neighbours through the same small network. A change of one cell spreads to
all of them: at most one cell a step to either side, and it grows by the largest exponent.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import lyapmap as lm


class Automaton(nn.Module):
    def __init__(self):
        super().__init__()
        self.sees = nn.Conv1d(8, 64, 3, padding=1, padding_mode="circular")
        self.moves = nn.Conv1d(64, 8, 1, bias=False)

    def forward(self, x):
        return torch.tanh(8 * self.moves(torch.relu(self.sees(x))))


torch.manual_seed(0)
automaton = lm.wrap(Automaton().eval(), state_shape=(8, 48))
start = torch.randn(1, 8, 48)
spectrum = lm.lyapunov_spectrum(automaton, start, n_exponents=4, n_steps=600, transient=300, seed=0)
print(spectrum)

changed = start.clone()
changed[0, 0, 24] += 1e-5
two = lm.trajectory(automaton, torch.cat([start, changed]), n_steps=60).states.reshape(2, -1, 8, 48)
figure, (left, right) = plt.subplots(1, 2, figsize=(6.4, 3), layout="constrained")
left.imshow(two[0, :, 0], aspect="auto", cmap="viridis")
left.set(title="one value of each cell", xlabel="cell", ylabel="step")
difference = abs(two[1] - two[0]).max(axis=1)
image = right.imshow(difference + 1e-8, aspect="auto", cmap="magma", norm="log")
right.set(title="difference after a change of one", xlabel="cell")
figure.colorbar(image)
figure  # noqa: B018
