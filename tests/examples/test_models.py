"""The examples of people's models run, and what they say is so by a way that takes no derivative."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot

MODELS = Path(__file__).parents[2] / "examples" / "models"
if not MODELS.exists():
    pytest.skip("the examples are not part of this installation", allow_module_level=True)


def run(name: str) -> dict[str, Any]:
    pytest.importorskip(
        {"echo_state_network": "reservoirpy", "flax_cell": "flax", "equinox_cell": "equinox"}.get(name, "torch")
    )
    if name == "language_model":
        pytest.importorskip("transformers")
    try:
        return runpy.run_path(str(MODELS / f"{name}.py"))
    finally:
        pyplot.close("all")


def parting(m: Any, start: Any, n_steps: int = 400, transient: int = 200, size: float = 1e-3) -> float:
    """Largest exponent from two orbits that are brought back to a small distance after each step."""
    x = m.ops.from_numpy(np.asarray(start, np.float64).reshape(1, -1))
    for _ in range(transient):
        x = m.apply(x)
    apart = np.random.default_rng(0).standard_normal(x.shape)
    growth = []
    for _ in range(n_steps):
        near = np.asarray(m.ops.to_numpy(x), np.float64)
        apart *= size / np.linalg.norm(apart)
        y = m.apply(m.ops.from_numpy(near + apart))
        x = m.apply(x)
        apart = np.asarray(m.ops.to_numpy(y), np.float64) - np.asarray(m.ops.to_numpy(x), np.float64)
        growth.append(np.log(np.linalg.norm(apart) / size))
    return float(np.mean(growth[n_steps // 4 :]))


pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize(("name", "make", "rests", "chaotic"), [
    ("looped_transformer", "looped", (0, 1), (5, 7)),
    ("flax_cell", "hidden", (0, 1, 2), (5, 6)),
    ("language_model", "loop", (1, 4), ()),
])  # fmt: skip
def test_a_loop_along_its_gain(name: str, make: str, rests: tuple[int, ...], chaotic: tuple[int, ...]) -> None:
    made = run(name)
    largest, gains = made["sweep"].exponents[:, 0], made["gains"]
    assert all(largest[i] < 0 for i in rests)
    assert all(largest[i] > 0 for i in chaotic)
    for i in (*rests[-1:], *chaotic[-1:]):
        assert parting(made[make](gains[i]), made["start"]) == pytest.approx(largest[i], abs=0.05)


def test_a_layer_at_rest_for_longer_with_a_stronger_input() -> None:
    largest = run("deep_equilibrium")["largest"]
    limits = [np.flatnonzero(values > 0)[0] for _, values in sorted(largest.items())]
    assert limits == sorted(limits)
    assert all(values[0] < 0 < values[-1] for values in largest.values())


def test_a_denoiser_that_leaves_nothing() -> None:
    made = run("denoiser")
    spectrum = made["spectrum"]
    assert spectrum.attractor == "fixed point"
    assert np.abs(made["orbit"][-1]).max() < 0.1
    eigenvalues = np.linalg.eigvals(
        np.asarray(made["again"].jacobian(made["again"].ops.from_numpy(spectrum.final_state)))[0]
    )
    assert np.log(np.abs(eigenvalues).max()) == pytest.approx(spectrum.exponents[0], abs=0.01)


def test_an_autoencoder_comes_to_rest() -> None:
    made = run("autoencoder")
    radii = np.linalg.norm(made["orbits"][:, -1], axis=1)
    assert np.all(np.abs(radii - 1) < 0.3)
    assert -0.2 < made["spectrum"].exponents[0] < 0 > made["spectrum"].exponents[1]


def test_an_automaton_spreads_a_change() -> None:
    made = run("cellular_automaton")
    assert made["spectrum"].attractor == "chaotic"
    changed = made["difference"] > 0
    for step in (1, 5, 15):  # one cell a step to either side
        assert np.all(np.abs(np.flatnonzero(changed[step]) - 24) <= step)
    rate = parting(made["automaton"], made["start"], size=1e-2)
    assert rate == pytest.approx(made["spectrum"].exponents[0], abs=0.05)


def test_noise_makes_copies_agree() -> None:
    spectra = run("equinox_cell")["spectra"]
    assert spectra[0].exponents[0] > 3 * spectra[0].stderr[0]
    assert spectra[24].exponents[0] < -3 * spectra[24].stderr[0]


def test_a_reservoir_has_the_exponents_of_what_it_learned() -> None:
    made = run("echo_state_network")
    rates, errors = (np.asarray(part) / made["tau"] for part in (made["spectrum"].exponents, made["spectrum"].stderr))
    assert np.all(np.abs(rates - [0.906, 0.0]) < 4 * errors + 0.02)
