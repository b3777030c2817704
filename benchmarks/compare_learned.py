"""How often the verdict of `compare_dynamics` is right on networks that learned Lorenz's system, trained here.

    python benchmarks/compare_learned.py [SEEDS]

A perceptron that was trained well, one that is too small, one with right forecasts that stops where the truth goes on,
and an echo state network of reservoirpy in closed loop. Each is trained once and compared with new trajectories for
each seed. Prints a table for docs/learned.md.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch

import lyapmap as lm

TRUTH = lm.systems.lorenz()
OPTIONS = {"n_steps": 400, "transient": 200, "n_exponents": 0, "n_permutations": 100}


def orbits(b: int, steps: int, seed: int) -> Any:
    """Trajectories of the truth."""
    return lm.trajectory(TRUTH, TRUTH.initial_states(b, seed), n_steps=steps, transient=300).states


class Residual(torch.nn.Module):
    """x + f(x), in deviations of the data."""

    def __init__(self, width: int, mean: Any, scale: Any) -> None:
        super().__init__()
        self.mean, self.scale = torch.as_tensor(mean), torch.as_tensor(scale)
        self.f = torch.nn.Sequential(
            torch.nn.Linear(3, width), torch.nn.Tanh(), torch.nn.Linear(width, width), torch.nn.Tanh(),
            torch.nn.Linear(width, 3),
        ).double()  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One step."""
        u = (x - self.mean) / self.scale
        return (u + self.f(u)) * self.scale + self.mean


def trained(width: int, rounds: int) -> Residual:
    """A network that learned single steps."""
    torch.manual_seed(0)
    states = orbits(20, 500, 99)
    x, y = (torch.as_tensor(part.reshape(-1, 3)) for part in (states[:, :-1], states[:, 1:]))
    network = Residual(width, x.mean(0), x.std(0))
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, rounds)
    for _ in range(rounds):
        rows = torch.randint(len(x), (1000,))
        loss = (((network(x[rows]) - y[rows]) / network.scale) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    print(f"width {width}: root of the mean squared error of a step {float(loss.detach()) ** 0.5:.1e}", file=sys.stderr)
    return network.eval()


def stopping(x: Any) -> Any:
    """The truth, but for a place that is seldom visited, from which it does not leave."""
    image = TRUTH.apply(x)
    stuck = (np.abs(x[:, :1]) < 1.5) & (x[:, 2:] < 14)
    return np.where(stuck, x, image)


def echo_state_network() -> tuple[Any, Any, Any]:
    """A reservoir in closed loop, its readout, and states to start from."""
    from reservoirpy.nodes import Reservoir, Ridge

    data = orbits(1, 8000, 77)[0]
    mean, scale = data.mean(axis=0), data.std(axis=0)
    data = (data - mean) / scale
    # Without a bias it would be odd, as Lorenz's third component is not.
    bias = 0.5 * np.random.default_rng(0).uniform(-1, 1, 300)
    reservoir = Reservoir(300, sr=0.4, lr=1.0, input_scaling=0.3, bias=bias, seed=1)
    ridge = Ridge(ridge=1e-7)
    model = reservoir >> ridge
    model.fit(data[:-1], data[1:], warmup=100)
    weights, bias = np.asarray(ridge.Wout), np.asarray(ridge.bias).ravel()

    def readout(states: Any) -> Any:
        return (states @ (weights if weights.shape[0] == states.shape[1] else weights.T) + bias) * scale + mean

    starts = reservoir.run(data[:-1])[200::100]
    return lm.wrap(model), readout, np.asarray(starts)


def main(seeds: int) -> None:
    """Print a row for each network."""
    rows: list[tuple[str, Any, bool, dict[str, Any]]] = [
        ("perceptron of 64, trained well", lm.wrap(trained(64, 12_000), state_shape=3, dtype="float64"), False, {}),
        ("perceptron of 5, too small", lm.wrap(trained(5, 1_000), state_shape=3, dtype="float64"), True, {}),
        ("right forecasts, stops in a corner", lm.wrap(stopping, state_shape=3), True, {}),
    ]
    print("| network | truth | right of seeds | forecasts hold (steps) | differs most often in | seconds each |")
    print("|---|---|---|---|---|---|")
    for name, model, differs, options in rows:
        report(name, model, differs, options, seeds)
    model, readout, starts = echo_state_network()
    report("echo state network of 300", model, False, {"readout": readout, "model_x0": starts[:48]}, seeds)


def report(name: str, model: Any, differs: bool, options: dict[str, Any], seeds: int) -> None:
    """A row of the table."""
    right, times, first, begin = 0, [], [], time.perf_counter()
    for seed in range(seeds):
        result = lm.compare_dynamics(model, TRUTH, seed=seed, **OPTIONS, **options)
        right += (result.verdict == "differs") == differs
        times.append(result.prediction_time)
        first += result.differences[:1]
    seconds = (time.perf_counter() - begin) / seeds
    most = max(set(first), key=first.count) if first else "-"
    truth = "differs" if differs else "the same"
    print(f"| {name} | {truth} | {right} of {seeds} | {np.median(times):g} | {most} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
