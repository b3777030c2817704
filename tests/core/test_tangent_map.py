"""The base class of maps: its defaults are the definitions, what a user's object has is used, wrappers hand it on."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numba
import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.map import CompletedMap, ForeignMap, SameTangents, TangentMap, rate_unit
from lyapmap.core.ops import NumpyOps
from lyapmap.core.propagate import log_abs_det, propagate, propagate_blocks, random_frame, step_states
from sample_maps import Henon, Linear, henon

X = np.array([[0.1, 0.2], [0.3, -0.1]])


class Least(TangentMap):
    """All that a subclass must write."""

    state_shape = (2,)
    ops = NumpyOps()

    def apply(self, x: np.ndarray) -> np.ndarray:
        return henon(x)

    def jvp(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return henon(x), Henon().jacobian(x) @ v


class Duck:
    """What an object of another package may look like, without being a `TangentMap`."""

    state_shape = (2,)
    ops = NumpyOps()
    apply, jvp, jacobian = Least.apply, Least.jvp, Henon.jacobian


def with_(**members: Any) -> Any:
    return type("Given", (Duck,), members)()


def test_the_least_subclass_is_as_good_as_the_catalogue() -> None:
    m = Least()
    assert as_tangent_map(m) is m
    assert lm.check_map(m, X)
    ours, theirs = (lm.lyapunov_spectrum(one, [0.1, 0.1], n_steps=3000, seed=0) for one in (m, lm.systems.henon()))
    np.testing.assert_allclose(ours.exponents, theirs.exponents, atol=0.02)
    assert ours.provenance["derivative"] == "given"
    assert m.restore(np.zeros((3, 2))).shape == (3, 2)
    assert m.initial_states(3) is None


def test_nothing_less_will_do() -> None:
    class Half(TangentMap):
        def apply(self, x: Any) -> Any:
            return x

    with pytest.raises(TypeError, match="abstract"):
        Half()  # type: ignore[abstract]


def test_a_class_that_has_its_own_at_depends_on_the_step() -> None:
    class Alternating(Least):
        def at(self, step: int) -> TangentMap:
            return as_tangent_map(Linear(np.eye(2) * (2.0 if step % 2 else 0.5)))

    assert not Least().depends_on_step
    assert Alternating().depends_on_step
    assert step_states(Alternating(), X, n_steps=1, first_step=1)[0, 0] == 0.2
    with pytest.raises(lm.LyapmapError, match="depends on the step"):
        lm.compose(Alternating())
    np.testing.assert_allclose(log_abs_det(Alternating(), X, n_steps=2), 0, atol=1e-15)
    np.testing.assert_allclose(log_abs_det(Alternating(), X, n_steps=3, first_step=1), 2 * np.log(2))


def test_a_time_per_step_makes_a_flow() -> None:
    class Timed(Least):
        time_per_step = 1.0

    assert Timed().is_flow
    assert (rate_unit(Timed()), rate_unit(Least())) == ("per unit time", "per step")
    for candidate in (with_(time_per_step=1.0), type("Plain", (Henon,), {"time_per_step": 1.0})()):
        assert as_tangent_map(candidate).is_flow
        assert lm.lyapunov_spectrum(candidate, [0.1, 0.1], n_steps=20, seed=0, throw=False).unit == "per unit time"


@pytest.mark.parametrize("base", [Duck, Henon])
def test_what_an_object_can_do_besides_is_used(base: type) -> None:
    calls = []

    class Able(base):  # type: ignore[misc]
        mean_log_abs_det = np.log(0.3)
        own = "its own"

        @property
        def derivative(self) -> str:
            return f"by hand, asked {len(calls)} times"

        def propagate(self, x: Any, frame: Any, n_steps: int, qr_every: int) -> Any:
            calls.append((n_steps, qr_every))
            return TangentMap.propagate(Least(), x, frame, n_steps, qr_every)

        def log_abs_det(self, x: Any, n_steps: int) -> Any:
            return np.full(len(x), n_steps * np.log(0.3))

        def initial_states(self, b: int, rng: Any) -> Any:
            return np.full((b, 2), 0.1)

    m = as_tangent_map(Able())
    frame = random_frame(m, 2, 2, np.random.default_rng(0), "float64")
    for inner in (m, copy.copy(m), lm.wrap(Able(), periods={}), SameTangents(m)):
        assert inner.compiled
        propagate(inner, X, frame, n_steps=5, qr_every=2)
        assert calls.pop() == (5, 2)
        assert not calls
        propagate(inner, X, frame.astype("float32"), n_steps=5, frame_dtype="float32")
        assert not calls  # such frames are left to the definition
        assert inner.mean_log_abs_det == np.log(0.3)
    blocks = propagate_blocks(m, X, frame, n_blocks=3, n_steps=2)
    assert [len(blocks), len(calls)] == [3, 3]
    assert m.derivative == "by hand, asked 3 times"
    assert m.own == "its own"
    assert not hasattr(m, "another")
    assert m.initial_states(3, 0).shape == (3, 2)  # type: ignore[union-attr]
    np.testing.assert_allclose(log_abs_det(m, X, n_steps=4), 4 * np.log(0.3))


def test_an_object_that_depends_on_the_step_is_asked_for_every_step() -> None:
    for base in (Duck, Henon):
        asked: list[int] = []
        kind = type(
            "Stepping", (base,), {"at": lambda self, step, base=base, asked=asked: asked.append(step) or base()}
        )
        m = as_tangent_map(kind())
        assert m.depends_on_step
        step_states(m, X, n_steps=3, first_step=4)
        assert asked == [4, 5, 6]
        lm.wrap(kind(), derivative="differences").at(9).jvp(X, np.ones((2, 2, 1)))
        assert asked[-1] == 9


def test_an_object_needs_no_jacobian_where_it_carries_tangents() -> None:
    class Bare:
        state_shape, ops = (2,), NumpyOps()
        apply, jvp = Least.apply, Least.jvp

    m = as_tangent_map(Bare())
    assert isinstance(m, ForeignMap)
    assert not isinstance(m, CompletedMap)
    np.testing.assert_array_equal(m.jacobian(X), Henon().jacobian(X))


def test_completed_maps_travel() -> None:
    m = pickle.loads(pickle.dumps(as_tangent_map(Linear(np.eye(2)))))
    np.testing.assert_array_equal(m.apply(X), X)
    assert copy.deepcopy(m).state_shape == (2,)


@pytest.mark.parametrize("name", ["henon", "lorenz", "coupled_map_lattice", "kuramoto_sivashinsky"])
def test_what_is_compiled_agrees_with_the_definition(name: str) -> None:
    m = lm.systems.create(name)
    x = m.initial_states(3, 0)
    frame = random_frame(m, 3, min(x.shape[1], 3), np.random.default_rng(0), "float64")
    assert (m.compiled, m.is_flow) == (m.inner.compiled, m.inner.is_flow)
    got, wanted = m.propagate(x, frame, 6, 2), TangentMap.propagate(m, x, frame, 6, 2)
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got[2], wanted[2], rtol=1e-7, atol=1e-8)
    if x.shape[1] <= 3:
        np.testing.assert_allclose(m.log_abs_det(x, 6), TangentMap.log_abs_det(m, x, 6), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x: np.array([x[0] + 0.4 * np.sin(x[1]), x[1] + x[0] + 0.4 * np.sin(x[1])]), True),
        (lambda x: np.array([x[0] + x[1], x[0] + 2 * x[1]]), False),
        (lambda x: np.array([2.3 * x[0], x[1] + 0.1]), False),
        (lambda x: np.array([np.sin(x[0]), 0.5 * np.cos(x[1])]), True),
    ],
    ids=["standard", "cat", "beta", "sine"],
)
def test_a_compiled_map_with_periods_is_what_its_images_are(function: Any, left: bool) -> None:
    """Blocks are left to compiled code only where states need not be brought back at every step."""
    m = lm.wrap(numba.njit(function), state_shape=2, periods={0: 2 * np.pi, 1: 2 * np.pi}, verify=False)
    x = np.random.default_rng(0).uniform(0, 6, (3, 2))
    frame = random_frame(m, 3, 2, np.random.default_rng(0), "float64")
    got, wanted = m.propagate(x, frame, 5), TangentMap.propagate(m, x, frame, 5)
    assert m._goes_round is left  # type: ignore[attr-defined]
    np.testing.assert_allclose(got[0], wanted[0], rtol=1e-9)
    np.testing.assert_allclose(got[2], wanted[2], rtol=1e-7, atol=1e-8)


class Wrong(TangentMap):
    """A field dx/dt = -x of two values whose tangents are told to fall half as fast, but not its Jacobian."""

    state_shape, ops = (2,), NumpyOps()

    def apply(self, x: Any) -> Any:
        return -x

    def jvp(self, x: Any, v: Any) -> Any:
        return -x, -0.5 * v

    def jacobian(self, x: Any) -> Any:
        return np.broadcast_to(-np.eye(2), (len(x), 2, 2)).copy()


def flow_of(field: Any) -> TangentMap:
    from lyapmap.core.flows.map import FlowMap
    from lyapmap.core.flows.schemes import RungeKutta4

    return FlowMap(field, 0.1, RungeKutta4(4))


@pytest.mark.parametrize(
    "made_of",
    [
        lambda m: m,
        lambda m: lm.iterate(m, 3),
        lambda m: lm.compose(m, lm.iterate(m, 2)),
        lambda m: lm.in_turn(m, m),
        lambda m: lm.noisy(m, scale=1e-9),
        lambda m: lm.wrap(m, periods={0: 100.0}),
        lambda m: lm.driven(lm.wrap(m), lambda step, b: np.zeros(1)),
    ],
    ids=["itself", "iterate", "compose", "in_turn", "noisy", "periods", "driven"],
)
def test_volumes_of_what_is_made_of_a_flow_know_nothing_of_its_tangents(made_of: Any, request: Any) -> None:
    m = made_of(flow_of(Wrong()))
    if request.node.callspec.id == "driven":  # one value is left, and no divergence is known of it
        assert not m.log_abs_det_is_independent
        return
    assert m.log_abs_det_is_independent
    assert m.is_flow
    time = 4 * m.time_per_step
    np.testing.assert_allclose(log_abs_det(m, X, n_steps=4), -2 * time, rtol=1e-6)
    s = lm.lyapunov_spectrum(m, [1.0, 1.0], n_steps=40, n_exponents=2, seed=0, throw=False)
    rule = next(c for c in s.checks if c["name"] == "divergence")
    np.testing.assert_allclose([rule["measured"], rule["expected"]], [-1, -2], rtol=1e-6)


def test_noise_that_is_held_at_a_bound_has_volumes_of_its_own() -> None:
    held = lm.noisy(Least(), scale=0.1, clamp=(-0.5, 0.5))
    assert not held.log_abs_det_is_independent
    np.testing.assert_array_equal(log_abs_det(held, X, n_steps=1), np.linalg.slogdet(held.jacobian(X))[1])


def test_wrappers_take_from_the_map_within_what_holds_of_them_too() -> None:
    m = lm.systems.henon()
    assert lm.wrap(m, periods={}).mean_log_abs_det == pytest.approx(np.log(0.3))
    for other in (lm.noisy(m, scale=0.1), lm.iterate(m, 2), lm.wrap(m, derivative="differences")):
        assert other.known is None
        assert other.mean_log_abs_det is None
        assert not other.compiled
    lorenz = lm.systems.create("lorenz")
    late = lm.wrap(lorenz, derivative="differences")
    assert (late.is_flow, late.time_per_step) == (True, lorenz.time_per_step)
