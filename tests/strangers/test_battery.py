"""Every method on systems that are not in the catalogue: a right number, or none.

Where a number comes with status ok, it must lie within its error of the truth; and the systems here are of the kind
that a method must be able to measure, so that refusing all of them would fail as well.
"""

from __future__ import annotations

import numpy as np
import pytest

import lyapmap as lm
from strangers.independent import exponents
from strangers.systems import FLOWS, MAPS, Stranger, batched

ALL = MAPS | FLOWS
REGULAR = {name: s for name, s in ALL.items() if s.motion == "regular"}
CHAOTIC = {name: s for name, s in ALL.items() if s.motion == "chaotic"}


def spectrum(system: Stranger, **options):
    defaults = {"n_steps": system.n_steps, "transient": system.transient, "seed": 0, "throw": False}
    return lm.lyapunov_spectrum(system.make(), system.x0, **(defaults | options))


@pytest.mark.parametrize("name", ALL)
def test_spectrum_is_right_and_the_motion_is_named(name):
    system = ALL[name]
    s = spectrum(system)
    assert s.status == "ok", s.message
    allowed = np.maximum(4 * s.stderr, system.accuracy * np.maximum(1, np.abs(system.exponents)))
    if (
        system.motion == "regular"
    ):  # neighbours part as a power of time, which the error bar covers or the shear explains
        allowed = np.maximum(allowed, 4 * np.log(system.n_steps) / system.n_steps)
    assert (np.abs(s.exponents - system.exponents) <= allowed).all(), (s.exponents, s.stderr)
    if system.motion == "chaotic":
        assert s.attractor == "chaotic"
        assert s.n_positive >= 1
    else:
        assert "chaotic" not in s.attractor
        assert s.n_positive == 0
    if system.motion == "cycle":
        assert s.attractor.startswith(("fixed point", "cycle"))
    if system.motion == "limit cycle":
        assert s.attractor == "limit cycle"


@pytest.mark.parametrize("name", ALL)
def test_cross_checks_pass(name):
    failed = [check for check in spectrum(ALL[name]).check() if not check.passed]
    # A single run may fail a statistical check by chance or by slow mixing; the exact ones never do.
    assert not [c for c in failed if c.name in ("sum rule", "divergence", "frame", "order", "flow")], failed


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n_steps", [1, 2, 10])
def test_a_run_that_is_too_short_gives_no_verdict(name, n_steps):
    s = spectrum(ALL[name], n_steps=n_steps, transient=0)
    known = np.isfinite(s.stderr)
    assert known.all() or s.status != "ok"
    assert s.attractor != "chaotic" or known[0]
    if not known[0]:
        assert s.n_positive == 0
        assert not s.kaplan_yorke_verdict.startswith("certified")
        assert np.isnan(s.entropy)


@pytest.mark.parametrize("name", REGULAR)
def test_regular_motion_is_not_chaotic_whatever_the_length(name):
    system = REGULAR[name]
    for seed, n_steps in enumerate((50, 200, 700, 3000)):
        s = spectrum(system, n_steps=n_steps, seed=seed)
        assert "chaotic" not in s.attractor
        assert s.n_positive == 0
        assert not s.entropy > 0


@pytest.mark.parametrize("name", CHAOTIC)
def test_divergence_of_neighbours_gives_the_largest_exponent(name):
    system = CHAOTIC[name]
    rng = np.random.default_rng(1)
    x = lm.trajectory(system.make(), system.x0, n_steps=600, transient=system.transient).states[0]
    x = x[rng.choice(len(x), 24, replace=False)]
    d = lm.divergence(system.make(), x, seed=0, throw=False)
    if d.status == "ok":
        assert abs(d.exponent - system.exponents[0]) <= max(4 * d.stderr, 0.1 * system.exponents[0])


@pytest.mark.parametrize("name", [n for n in CHAOTIC if n not in ("delay line", "synchronised Lorenz")])
def test_covariant_vectors_have_the_same_exponents(name):
    system = CHAOTIC[name]
    c = lm.covariant_vectors(system.make(), system.x0, n_steps=1000, transient=200, seed=0, throw=False)
    assert c.status == "ok"
    many = len(system.exponents)
    stderr = spectrum(system, n_steps=1000).stderr[:many]
    allowed = np.maximum(5 * stderr, 0.02 * np.maximum(1, np.abs(system.exponents)))
    assert (np.abs(np.asarray(c.exponents)[:many] - system.exponents) <= allowed).all()


@pytest.mark.parametrize("name", REGULAR)
def test_the_zero_one_test_calls_no_regular_motion_chaotic(name):
    system = REGULAR[name]
    z = lm.zero_one_test(system.make(), system.x0, n_steps=3000, seed=0, throw=False)
    assert z.status != "ok" or "chaotic" not in str(z.verdict)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_a_field_in_numpy_gives_what_the_compiled_one_gives(name):
    system = FLOWS[name]
    in_numpy = lm.flow(batched(system.field), system.tau, state_shape=len(system.x0))
    a, b = (lm.lyapunov_spectrum(m, system.x0, n_steps=30, seed=0, throw=False) for m in (system.make(), in_numpy))
    assert np.allclose(a.exponents, b.exponents, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, s in FLOWS.items() if s.source == "integration"])
def test_right_values_come_from_an_independent_integration(name):
    system = FLOWS[name]
    time = round(1000 / system.tau) * system.tau
    method = "Radau" if "30" in name else "DOP853"
    values = exponents(batched(system.field), system.x0, time=time, tau=system.tau, transient=100, method=method)
    assert np.allclose(values, system.exponents, atol=0.02, rtol=0.02)
