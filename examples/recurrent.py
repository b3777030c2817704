"""Largest exponents of random recurrent networks against their gain, alone and driven by noise.

    python examples/recurrent.py [--units 300] [--steps 600] [--points 13] [--out recurrent.png]

Prints a Markdown table and draws the figure of docs/recurrent.md.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import lyapmap as lm

GATED_ONSET = 2.0
"""Gain at which the rest state of a GRU or LSTM cell without biases loses its stability, for many units."""


def tanh_network(gain: float, noise: float = 0.0, units: int = 300, seed: int = 0) -> Any:
    """h <- tanh(gain J h + u), J random with variance 1/units, u normal noise on every unit."""
    rng = np.random.default_rng(seed)
    weights = torch.from_numpy(gain * rng.standard_normal((units, units)) / np.sqrt(units))

    def step(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        h, u = state["h"], state["u"]
        return {"h": torch.tanh(h @ weights.T + u), "u": u}

    rest = torch.zeros(units, dtype=torch.float64)
    joint = lm.wrap(step, state_example={"h": rest, "u": rest})
    return lm.driven(joint, lm.random_inputs(units, scale=noise, seed=seed))


class Driven(nn.Module):
    """A GRU or LSTM cell with its input as part of the state, as `lm.driven` wants it."""

    def __init__(self, cell: nn.GRUCell | nn.LSTMCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if "c" in state:
            h, c = self.cell(state["u"], (state["h"], state["c"]))
            return {"h": h, "c": c, "u": state["u"]}
        return {"h": self.cell(state["u"], state["h"]), "u": state["u"]}


def gated_cell(
    gain: float, noise: float = 0.0, kind: str = "gru", units: int = 300, inputs: int = 10, seed: int = 0
) -> Any:
    """A cell whose recurrent weights have variance gain^2/units, without biases, driven by normal noise."""
    rng = np.random.default_rng(seed)
    made = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}[kind](inputs, units, bias=False).double()
    with torch.no_grad():
        for weight, scale in ((made.weight_hh, gain / np.sqrt(units)), (made.weight_ih, 1 / np.sqrt(inputs))):
            weight.copy_(torch.from_numpy(scale * rng.standard_normal(tuple(weight.shape))))
    names = ("h", "c") if kind == "lstm" else ("h",)
    example = {name: np.zeros(units) for name in names} | {"u": np.zeros(inputs)}
    joint = lm.wrap(Driven(made).eval(), state_example=example)
    return lm.driven(joint, lm.random_inputs(inputs, scale=noise, seed=seed))


def mean_field(gain: float, noise: float) -> float:
    """Largest exponent of the tanh network with infinitely many units (Molgedey et al. 1992).

    The input of a unit is normal with variance s = gain^2 <tanh^2> + noise^2, and the exponent is
    ln(gain^2 <(1 - tanh^2)^2>)/2.
    """
    z = np.linspace(-10, 10, 4001)
    weight = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    s = 1.0 + noise**2
    for _ in range(10_000):
        before, s = s, gain**2 * weight @ np.tanh(np.sqrt(s) * z) ** 2 + noise**2
        if abs(s - before) < 1e-12:
            break
    slope = 1 - np.tanh(np.sqrt(s) * z) ** 2
    return float(0.5 * np.log(gain**2 * weight @ slope**2))


def rest_state(gain: float) -> float:
    """Largest exponent of a gated cell at rest, for many units: its derivative is 1/2 + gain J/4."""
    return float(np.log(0.5 + gain / 4))


def largest(factory: Any, gains: np.ndarray, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Largest exponents at every gain, and their standard errors."""
    n = factory(gain=1.0).state_shape[0]
    x0 = 0.5 * np.random.default_rng(seed).standard_normal(n)
    found = lm.sweep(
        factory, "gain", gains, x0, analysis="spectrum", n_exponents=1, n_steps=steps, transient=steps, seed=seed
    )
    return found.exponents[:, 0], found.stderr[:, 0]


def known(name: str, noise: float, gain: float) -> float:
    """What theory says for many units; NaN where it says nothing."""
    if name == "tanh":
        return mean_field(gain, noise)
    return rest_state(gain) if noise == 0 and gain <= GATED_ONSET else np.nan


Curve = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Gains, exponents, standard errors."""


def curves(units: int, steps: int, points: int) -> dict[str, dict[float, Curve]]:
    """For each network and noise, the largest exponent at every gain."""
    network, gated = np.linspace(0.5, 3.0, points), np.linspace(0.8, 6.0, points)
    found: dict[str, dict[float, Curve]] = {"tanh": {}, "gru": {}, "lstm": {}}
    for noise in (0.0, 0.5, 1.0):
        found["tanh"][noise] = network, *largest(partial(tanh_network, noise=noise, units=units), network, steps)
    for kind in ("gru", "lstm"):
        for noise in (0.0, 1.0):
            made = partial(gated_cell, kind=kind, noise=noise, units=units)
            found[kind][noise] = gated, *largest(made, gated, steps)
    return found


def draw(found: dict[str, dict[float, Curve]], path: str) -> None:
    """Points with error bars for what was computed, lines for what is known."""
    from lyapmap.report import style

    titles = {"tanh": "h ← tanh(g J h + u)", "gru": "GRU cell", "lstm": "LSTM cell"}
    colours = {0.0: style.BLUE, 0.5: style.ORANGE, 1.0: style.VERMILLION}
    figure, panels = style.panels(3, sharey=True)
    for axes, (name, by_noise) in zip(panels, found.items(), strict=True):
        style.dress(axes, title=titles[name], x="gain g", y="largest exponent  (nats per step)")
        for noise, (gains, exponents, errors) in by_noise.items():
            label = f"noise {noise:g}" if noise else "alone"
            axes.errorbar(gains, exponents, 2 * errors, label=label, fmt="o", ms=4, capsize=2, color=colours[noise])
            fine = np.linspace(gains[0], gains[-1], 60)
            axes.plot(fine, [known(name, noise, gain) for gain in fine], color=colours[noise], linewidth=1.2)
        style.zero_line(axes)
        axes.axvline(1.0 if name == "tanh" else GATED_ONSET, color=style.GREY, linewidth=0.8, linestyle=":")
        style.legend(axes, "lower right")
    style.headline(
        figure, "Random recurrent networks", "points: computed, with two standard errors; lines: theory; dotted: onset"
    )
    style.save_figure(figure, path)


def table(found: dict[str, dict[float, Curve]]) -> str:
    """Markdown, at every third gain."""
    lines = ["| network | noise | gain | exponent | theory |", "|---|---|---|---|---|"]
    for name, by_noise in found.items():
        for noise, columns in by_noise.items():
            for gain, exponent, error in list(zip(*columns, strict=True))[::3]:
                theory = known(name, noise, gain)
                value = "" if np.isnan(theory) else f"{theory:.3f}"
                lines.append(f"| {name} | {noise:g} | {gain:.2f} | {exponent:.3f} ± {error:.3f} | {value} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=300)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--points", type=int, default=13)
    parser.add_argument("--out", default="recurrent.png")
    options = parser.parse_args()
    found = curves(options.units, options.steps, options.points)
    draw(found, options.out)
    print(table(found))


if __name__ == "__main__":
    main()
