"""Runs of small maps of other frameworks by compiled code: as the framework's own, and only where that pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.backends import compiled
from lyapmap.backends.compiled import CarriedByTwin

torch = pytest.importorskip("torch")


def henon(s: Any) -> Any:
    return torch.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1)


def wrapped(dtype: str = "float64") -> Any:
    return lm.wrap(henon, state_shape=2, backend="torch", dtype=dtype)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every run were long."""
    monkeypatch.setattr(compiled, "CALL", 1e3)


def test_short_runs_stay_with_the_framework() -> None:
    m = wrapped()
    assert m.for_run(m.ops.from_numpy(np.zeros((1, 2))), 2, 1000) is m


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_blocks_of_steps_are_those_of_the_generic_loop(always: None, dtype: str) -> None:
    m, rng = wrapped(dtype), np.random.default_rng(0)
    x, frame = m.ops.from_numpy(rng.uniform(-0.1, 0.1, (5, 2))), m.ops.from_numpy(np.stack([np.eye(2)] * 5))
    run = m.for_run(x, 2, 100)
    assert isinstance(run, CarriedByTwin)
    assert run.provenance["compiled"].startswith("numba")
    close = {"float64": 1e-11, "float32": 2e-3}[dtype]
    states, frames, totals = run.propagate_blocks(x, frame, 3, 6, 2)
    theirs = m.propagate_blocks(x, frame, 3, 6, 2)
    for ours, wanted in zip((states, frames), theirs[:2], strict=True):
        for a, b in zip(ours, wanted, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(abs(a.numpy()), abs(b.numpy()), atol=close)
    np.testing.assert_allclose(totals, theirs[2], atol=close)
    np.testing.assert_allclose(run.log_abs_det(x, 4), 4 * np.log(0.3), atol=1e-12)
    # Steps and blocks are of one arithmetic.
    assert torch.equal(run.apply(run.apply(x)), run.propagate(x, frame, 2)[0])
    assert torch.equal(run.jvp(x, frame)[0], run.apply(x))
    np.testing.assert_allclose(run.jacobian(x).numpy(), m.jacobian(x).numpy(), atol=1e-6)


def test_the_spectrum_is_known_and_parameters_are_those_of_now(always: None) -> None:
    a = torch.tensor(1.4, dtype=torch.float64)
    m = lm.wrap(
        lambda s: torch.stack([1 - a * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], 1),
        state_shape=2, backend="torch", dtype="float64",
    )  # fmt: skip
    spectrum = lm.lyapunov_spectrum(m, [0.1, 0.1], n_steps=20_000, transient=500, seed=0, throw=False)
    assert abs(spectrum.exponents[0] - 0.4192) < 4 * spectrum.stderr[0]
    assert spectrum.provenance["compiled"].startswith("numba")
    a.fill_(0.2)  # a stable fixed point
    assert lm.lyapunov_spectrum(m, [0.1, 0.1], n_steps=2000, transient=500, seed=0).exponents[0] < -0.1


def test_what_cannot_be_followed_stays_with_the_framework_and_says_why(always: None) -> None:
    def with_branch(s: Any) -> Any:
        return henon(s) if bool(torch.isfinite(s).all()) else s

    m = lm.wrap(with_branch, state_shape=2, backend="torch", dtype="float64")
    spectrum = lm.lyapunov_spectrum(m, [0.1, 0.1], n_steps=60, transient=20, seed=0, throw=False)
    assert spectrum.provenance["compiled"].startswith("no: ")


def test_a_program_that_gives_something_else_is_not_trusted(always: None) -> None:
    """What passes through NumPy is not seen by torch."""
    through = lm.wrap(
        lambda s: henon(s) + 0 * s + torch.from_numpy(0.01 * np.cos(s.detach().numpy())) if s.requires_grad
        else henon(s) + torch.from_numpy(0.01 * np.cos(np.asarray(s))),
        state_shape=2, backend="torch", dtype="float64", derivative="differences",
    )  # fmt: skip
    inner = through.inner
    assert inner.for_run(inner.ops.from_numpy(np.zeros((1, 2))), 2, 100) is inner
    assert inner.provenance["compiled"].startswith("no: ")


def lorenz(s: Any) -> Any:
    x, y, z = s[:, 0], s[:, 1], s[:, 2]
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"method": "rk4", "steps": 5}, {"rtol": 1e-8, "atol": 1e-8}])
def test_flows_are_compiled_whole(always: None, options: dict[str, Any]) -> None:
    flow = lm.flow(lorenz, 0.05, state_shape=3, backend="torch", dtype="float64", **options)
    x = flow.ops.from_numpy(np.array([[1.0, 1.0, 20.0], [-3.0, 2.0, 25.0]]))
    frame = flow.ops.from_numpy(np.stack([np.eye(3)] * 2))
    run = flow.for_run(x, 3, 100)
    assert isinstance(run, CarriedByTwin)
    assert run.is_flow
    for ours, theirs in zip(run.propagate(x, frame, 4, 2), flow.propagate(x, frame, 4, 2), strict=True):
        np.testing.assert_allclose(np.abs(np.asarray(ours)), np.abs(np.asarray(theirs)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.log_abs_det(x, 4), -4 * 0.05 * (10 + 1 + 8 / 3), rtol=1e-7)


def test_flows_in_single_precision_say_why_they_are_not_compiled(always: None) -> None:
    flow = lm.flow(lorenz, 0.05, state_shape=3, backend="torch", dtype="float32", method="rk4", steps=5)
    assert flow.for_run(flow.ops.from_numpy(np.array([[1.0, 1.0, 20.0]])), 3, 100) is flow
    assert flow.provenance["compiled"] == "no: flows are compiled in float64"


@pytest.mark.slow
def test_other_analyses_are_carried_too(always: None) -> None:
    m = wrapped()
    covariant = lm.covariant_vectors(m, [0.1, 0.1], n_steps=3000, transient=200, seed=0, throw=False)
    assert abs(covariant.exponents.sum() - np.log(0.3)) < 1e-3
    local = lm.finite_time_exponents(m, [[0.1, 0.1]], n_steps=50, n_windows=40, measure="local", seed=0)
    assert abs(local.exponents.mean() - 0.42) < 0.05
    for result in (covariant, local):
        assert result.provenance["compiled"].startswith("numba")


@pytest.mark.slow
def test_factors_of_every_step_are_recorded(always: None) -> None:
    m = wrapped()
    x, frame = m.ops.from_numpy(np.full((5, 2), 0.1)), m.ops.from_numpy(np.stack([np.eye(2)] * 5))
    kept = m.for_run(x, 2, 100).record(x, frame, 3, np.array([True, False, True]))
    theirs = m.record(x, frame, 3, np.array([True, False, True]))
    assert kept.states.shape == (2, 5, 2)
    np.testing.assert_allclose(abs(kept.factors), abs(theirs.factors), atol=1e-12)
    assert type(kept.x) is type(theirs.x)


def test_only_the_time_of_a_run_decides() -> None:
    flow = lm.flow(lorenz, 0.05, state_shape=3, backend="torch", dtype="float64", method="rk4", steps=5)
    x = flow.ops.from_numpy(np.array([[1.0, 1.0, 20.0]]))
    assert flow.for_run(x, 3, 100) is flow
    assert flow.for_run(x, 3, 40_000) is not flow


def test_compile_is_asked_for_or_forbidden() -> None:
    for wanted in (True, False):
        m = lm.wrap(henon, state_shape=2, backend="torch", dtype="float64", compile=wanted)
        assert m.twin.pays(0.001) is wanted
        assert (m.for_run(m.ops.from_numpy(np.zeros((1, 2))), 2, 10**6 if not wanted else 1) is m) is not wanted
    net = torch.nn.Sequential(torch.nn.Linear(2, 2)).eval()
    assert lm.wrap(net, state_shape=2, compile=False).twin.wanted is False
