"""docs/recurrent.md and examples/recurrent.py: the code runs, and what it finds is what is known."""

from __future__ import annotations

import re
from functools import partial
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import lyapmap as lm

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "recurrent.md"

if not PAGE.exists():
    pytest.skip("the documentation is not part of this installation", allow_module_level=True)


@pytest.fixture(scope="module")
def example() -> Any:
    spec = spec_from_file_location("recurrent_example", ROOT / "examples" / "recurrent.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("keras", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_code_of_the_page_runs(keras: bool) -> None:
    if keras and find_spec("tensorflow") is None:
        pytest.skip("tensorflow is not installed: pip install 'lyapmap[tensorflow]'")
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert ["keras" in block for block in blocks] == [False, False, False, True]
    for block in blocks if keras else blocks[:-1]:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["h"].shape == names["c"].shape == (1, 8)
    assert names["s"].attractor == "fixed point"
    assert names["driven"].exponents.shape == (16,)
    assert names["driven"].exponents[0] < 0


@pytest.mark.parametrize(("gain", "noise"), [(1.5, 0.0), (3.0, 0.0), (0.7, 0.5), (1.5, 1.0)])
def test_the_theory_is_solved_right(example: Any, gain: float, noise: float) -> None:
    def average(f: Any, s: float) -> float:
        return quad(lambda z: f(np.sqrt(s) * z) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), -12, 12)[0]

    def excess(s: float) -> float:
        return gain**2 * average(lambda x: np.tanh(x) ** 2, s) + noise**2 - s

    s = brentq(excess, 1e-3, 50)
    wanted = 0.5 * np.log(gain**2 * average(lambda x: np.cosh(x) ** -4.0, s))
    assert np.isclose(example.mean_field(gain, noise), wanted, atol=1e-6)


def test_at_rest_the_theory_is_the_gain(example: Any) -> None:
    assert np.isclose(example.mean_field(0.8, 0.0), np.log(0.8))


@pytest.mark.parametrize(("gain", "noise"), [(2.0, 0.0), (2.0, 0.5), (1.2, 1.0)])
def test_the_network_follows_the_theory(example: Any, gain: float, noise: float) -> None:
    exponents, _ = example.largest(partial(example.tanh_network, noise=noise, units=150), np.array([gain]), 200)
    assert abs(exponents[0] - example.mean_field(gain, noise)) < 0.04


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("gain", [1.0, 1.5])
def test_at_rest_cells_have_the_exponents_of_their_derivative(example: Any, kind: str, gain: float) -> None:
    units = 20
    m = example.gated_cell(gain, kind=kind, units=units)
    assert lm.check_map(m, 0.3 * np.random.default_rng(0).standard_normal((3, m.state_shape[0])))
    # The part of the weights that moves the candidate (torch's third block).
    (weights,) = [w for w in m.joint._function.parameters() if w.shape[1] == units]
    candidate = weights[2 * units : 3 * units].double().numpy()
    wanted = np.abs(np.linalg.eigvals(np.eye(units) / 2 + candidate / 4)).max()
    at_rest = m.at(0).jacobian(m.ops.from_numpy(np.zeros((1, m.state_shape[0]))))[0].numpy()
    assert np.isclose(np.abs(np.linalg.eigvals(at_rest)).max(), wanted, rtol=1e-10)
    many = example.gated_cell(gain, kind=kind, units=200)
    found = lm.lyapunov_spectrum(many, np.zeros(many.state_shape), n_steps=100, transient=50, n_exponents=1, seed=0)
    assert abs(found.exponents[0] - example.rest_state(gain)) < 0.04


def test_table_and_figure(example: Any, tmp_path: Path) -> None:
    found = example.curves(units=6, steps=30, points=3)
    example.draw(found, str(tmp_path / "figure.png"))
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert example.table(found).count("\n") == 1 + 7
