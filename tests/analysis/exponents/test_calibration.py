"""Intervals hold the true value about as often as they say: many short runs of known maps.

`benchmarks/calibration.py` makes the whole table; here stands one row of each map.
"""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm

RUNS = 500
Z = 1.959964
LATTICE = (0.44685, 0.44002, 0.43312)
"""Leading exponents of 16 sites from 256 x 40 000 steps (standard error 5e-5)."""
CASES = {
    "henon": (lm.systems.henon, {}, None, (0.419251, -1.623224), 1.25828),
    "logistic": (lm.systems.logistic, {"r": 4.0}, None, (np.log(2),), None),
    "ikeda": (lm.systems.ikeda, {}, None, (0.507595, -0.718316), 1.70665),
    "lattice": (lm.systems.coupled_map_lattice, {"n": 16}, 3, LATTICE, None),
}


@pytest.mark.slow
@pytest.mark.parametrize(("b", "n_steps"), [(1, 2000), (8, 500)])
@pytest.mark.parametrize("name", CASES)
def test_95_percent_intervals_hold_the_truth_in_92_to_98_percent_of_runs(name, b, n_steps):
    factory, parameters, k, truth, dimension = CASES[name]
    m = factory(**parameters)
    rng = np.random.default_rng(11)
    inside, dimensions, entropies = [], [], []
    while len(inside) < RUNS:
        x0 = m.initial_states(b, rng)
        s = lm.lyapunov_spectrum(m, x0, n_steps=n_steps, transient=300, n_exponents=k, seed=3, throw=False)
        if s.failed:  # an orbit that died of rounding is reported as such
            continue
        inside.append(np.abs(s.exponents - truth) <= Z * s.stderr)
        if dimension is not None:
            dimensions.append(abs(s.kaplan_yorke - dimension) <= Z * s.kaplan_yorke_stderr)
            entropies.append(abs(s.entropy - truth[0]) <= Z * s.entropy_stderr)
    share = np.mean(inside, axis=0)
    # Of 500 runs, chance alone moves a share of 95 % by 1 %.
    assert (share >= 0.92).all(), share
    assert (share <= 0.985).all(), share
    if dimension is not None:
        assert 0.92 <= np.mean(dimensions) <= 0.985
        assert 0.92 <= np.mean(entropies) <= 0.985


@pytest.mark.parametrize(("dtype", "last"), [("float64", -28.0), ("float32", -8.0)])
def test_exponents_under_the_floor_are_marked_and_those_above_it_are_right(dtype, last):
    true = -4.0 * np.arange(16)
    m = lm.systems.linear_map(list(true), rotated=True, dtype=dtype)
    s = lm.lyapunov_spectrum(m, np.zeros(16), n_steps=300, transient=50, seed=0, throw=False)
    resolved = np.isfinite(s.exponents)
    assert s.status == "unresolved"
    assert resolved[true >= last].all()
    assert not resolved[true < 2 * last].any()
    np.testing.assert_allclose(s.exponents[resolved], true[resolved], atol=5e-3)
    assert "floor" in s.message
