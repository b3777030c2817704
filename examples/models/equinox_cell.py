"""
A driven cell of equinox
========================

An LSTM cell with large recurrent weights receives noise. Do two copies that receive the same noise agree in the end?
They do where the largest exponent is negative: left alone the cell is chaotic, strong noise makes copies agree.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import lyapmap as lm

units, inputs = 24, 4
cell = eqx.nn.LSTMCell(inputs, units, key=jax.random.key(0))
cell = eqx.tree_at(lambda c: c.weight_hh, cell, 10 * cell.weight_hh)


def step(state):
    h, c = jax.vmap(cell)(state["u"], (state["h"], state["c"]))
    return {"h": h, "c": c, "u": state["u"]}


joint = lm.wrap(step, state_example={name: jnp.zeros(m) for name, m in (("h", units), ("c", units), ("u", inputs))})
start = 0.1 * np.random.default_rng(0).normal(size=(1, 2 * units))

figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
spectra = {}
for size in (0, 8, 24):
    driven = lm.driven(joint, lm.random_inputs(inputs, scale=size, seed=0))
    s = spectra[size] = lm.lyapunov_spectrum(driven, start, n_exponents=4, n_steps=1500, transient=300, seed=0)
    axis.errorbar(range(1, 5), s.exponents, 2 * s.stderr, fmt="o-", ms=3, label=f"noise of size {size}")
    print(f"noise of size {size}: largest exponent {s.exponents[0]:.3f} +- {s.stderr[0]:.3f} per step")
axis.axhline(0, color="0.6", lw=0.8)
axis.set(xlabel="number of the exponent", ylabel="exponents (nats per step)", xticks=range(1, 5))
axis.legend(frameon=False)
figure  # noqa: B018
