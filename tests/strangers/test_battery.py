"""Every method on systems that are not in the catalogue: a right number, or none.

Where a number comes with status ok, it must lie within its error of the truth; and the systems here are of the kind
that a method must be able to measure, so that refusing all of them would fail as well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lyapmap as lm
from strangers.independent import exponents
from strangers.systems import FLOWS, MAPS, Stranger, batched

ALL = MAPS | FLOWS
QUICK = {*MAPS, "Lorenz at rest", "pendulum", "van der Pol, mu = 30"}
"""Those of the default suite: compiling a field takes seconds."""


def spectrum(system: Stranger, **options):
    defaults = {"n_steps": system.n_steps, "transient": system.transient, "seed": 0, "throw": False}
    return lm.lyapunov_spectrum(system.make(), system.x0, **(defaults | options))


def spectrum_is_right_and_the_motion_is_named(system: Stranger) -> None:
    s = spectrum(system)
    assert s.status == "ok", s.message
    allowed = np.maximum(4 * s.stderr, system.accuracy * np.maximum(1, np.abs(system.exponents)))
    if system.motion == "regular":  # neighbours part as a power of time
        allowed = np.maximum(allowed, 4 * np.log(system.n_steps) / system.n_steps)
    assert (np.abs(s.exponents - system.exponents) <= allowed).all(), (s.exponents, s.stderr)
    if system.motion == "chaotic":
        assert s.attractor == "chaotic"
        assert s.n_positive >= 1
    else:
        assert "chaotic" not in s.attractor
        assert s.n_positive == 0
    if system.motion == "cycle":
        assert s.attractor.removeprefix("neutral ").startswith(("fixed point", "cycle"))
    if system.motion == "limit cycle":
        assert s.attractor == "limit cycle"
    # A single run may fail a statistical check by chance or by slow mixing; the exact ones never do.
    exact = ("sum rule", "divergence", "frame", "order", "flow")
    assert not [check for check in s.check() if not check.passed and check.name in exact]


def a_run_that_is_too_short_gives_no_verdict(system: Stranger) -> None:
    for n_steps in (1, 2, 10):
        s = spectrum(system, n_steps=n_steps, transient=0)
        known = np.isfinite(s.stderr)
        assert known.all() or s.status != "ok"
        assert s.attractor != "chaotic" or known[0]
        if not known[0]:
            assert s.n_positive == 0
            assert not s.kaplan_yorke_verdict.startswith("certified")
            assert np.isnan(s.entropy)


def regular_motion_is_not_chaotic_whatever_the_length(system: Stranger) -> None:
    if system.motion != "regular":
        return
    for seed, n_steps in enumerate((50, 200, 700, 3000)):
        s = spectrum(system, n_steps=n_steps, seed=seed)
        assert "chaotic" not in s.attractor
        assert s.n_positive == 0
        assert not s.entropy > 0
    z = lm.zero_one_test(system.make(), system.x0, n_steps=3000, seed=0, throw=False)
    assert z.status != "ok" or "chaotic" not in str(z.verdict)


def divergence_of_neighbours_gives_the_largest_exponent(system: Stranger) -> None:
    if system.motion != "chaotic":
        return
    x = lm.trajectory(system.make(), system.x0, n_steps=20_000, transient=system.transient).states[0]
    d = lm.divergence(system.make(), x[:: len(x) // 24], seed=0, throw=False)
    if d.status == "ok":
        assert abs(d.exponent - system.exponents[0]) <= max(4 * d.stderr, 0.1 * system.exponents[0])


def covariant_vectors_have_the_same_exponents(system: Stranger) -> None:
    # Directions of equal growth have no vectors of their own.
    if system.motion != "chaotic" or (np.diff(system.exponents) > -1e-9).any():
        return
    c = lm.covariant_vectors(system.make(), system.x0, n_steps=1000, transient=200, seed=0, throw=False)
    assert c.status == "ok"
    allowed = np.maximum(5 * spectrum(system, n_steps=1000).stderr, 0.02 * np.maximum(1, np.abs(system.exponents)))
    assert (np.abs(c.exponents - system.exponents) <= allowed).all()


METHODS: tuple[Callable[[Stranger], None], ...] = (
    spectrum_is_right_and_the_motion_is_named,
    a_run_that_is_too_short_gives_no_verdict,
    regular_motion_is_not_chaotic_whatever_the_length,
    divergence_of_neighbours_gives_the_largest_exponent,
    covariant_vectors_have_the_same_exponents,
)


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ALL])
def test_every_method_is_right_or_gives_no_number(name: str) -> None:
    for method in METHODS:
        method(ALL[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOWS)
def test_a_field_in_numpy_gives_what_the_compiled_one_gives(name: str) -> None:
    system = FLOWS[name]
    in_numpy = lm.flow(batched(system.field), system.tau, state_shape=len(system.x0))
    a, b = (lm.lyapunov_spectrum(m, system.x0, n_steps=30, seed=0, throw=False) for m in (system.make(), in_numpy))
    assert np.allclose(a.per_trajectory, b.per_trajectory, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, s in FLOWS.items() if s.source == "integration"])
def test_right_values_come_from_an_independent_integration(name: str) -> None:
    system = FLOWS[name]
    time = round(1000 / system.tau) * system.tau
    method = "Radau" if "30" in name else "DOP853"
    values = exponents(batched(system.field), system.x0, time=time, tau=system.tau, transient=100, method=method)
    assert np.allclose(values, system.exponents, atol=0.02, rtol=0.02)
