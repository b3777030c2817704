"""Carrying states and frames forward, against products of Jacobians written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lyapmap as lm
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import TangentMap
from lyapmap.core.propagate import log_abs_det, propagate, propagate_blocks, random_frame, step_states
from sample_maps import Henon, Linear, logistic, orthogonal

X0 = np.array([[0.1, 0.1], [0.3, -0.1], [-0.4, 0.2]])


@pytest.fixture
def henon() -> Any:
    return as_tangent_map(Henon())


def frame_of(m: Any, b: int, k: int, dtype: str = "float64") -> Any:
    return random_frame(m, b, k, np.random.default_rng(0), dtype)


def test_random_frames_are_orthonormal_and_seeded(henon: Any) -> None:
    frame = frame_of(henon, 3, 2)
    np.testing.assert_allclose(np.swapaxes(frame, 1, 2) @ frame, np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-15)
    np.testing.assert_array_equal(frame, frame_of(henon, 3, 2))
    assert not np.allclose(frame[0], frame[1])


@pytest.mark.parametrize("qr_every", [1, 2, 3, 7, 50])
def test_growth_is_that_of_the_product_of_jacobians(henon: Any, qr_every: int) -> None:
    frame = frame_of(henon, 3, 2)
    carried = propagate(henon, X0, frame, n_steps=7, qr_every=qr_every)
    x, product = X0, frame
    for _ in range(7):
        product = Henon().jacobian(x) @ product
        x = Henon().apply(x)
    q, r = np.linalg.qr(product)
    np.testing.assert_array_equal(carried.x, x)
    growth = np.log(np.abs(np.diagonal(r, axis1=1, axis2=2)))
    np.testing.assert_allclose(carried.log_growth, growth, rtol=1e-11)
    np.testing.assert_allclose(
        np.abs(np.swapaxes(carried.frame, 1, 2) @ q), np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-7
    )


def test_blocks_of_steps_add_up(henon: Any) -> None:
    frame = frame_of(henon, 3, 2)
    whole = propagate(henon, X0, frame, n_steps=12)
    first = propagate(henon, X0, frame, n_steps=5)
    second = propagate(henon, first.x, first.frame, n_steps=7, first_step=5)
    np.testing.assert_array_equal(second.x, whole.x)
    np.testing.assert_array_equal(second.frame, whole.frame)
    np.testing.assert_allclose(first.log_growth + second.log_growth, whole.log_growth, rtol=1e-14)


def test_a_block_always_ends_orthonormal(henon: Any) -> None:
    frame = propagate(henon, X0, frame_of(henon, 3, 2), n_steps=5, qr_every=3).frame
    np.testing.assert_allclose(np.swapaxes(frame, 1, 2) @ frame, np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-14)


def test_no_steps_change_nothing(henon: Any) -> None:
    frame = frame_of(henon, 3, 2)
    carried = propagate(henon, X0, frame, n_steps=0)
    assert carried.x is X0
    assert carried.frame is frame
    np.testing.assert_array_equal(carried.log_growth, np.zeros((3, 2)))


@pytest.mark.parametrize("qr_every", [0, -1, 1.5])
def test_a_wrong_qr_every_is_refused(henon: Any, qr_every: Any) -> None:
    with pytest.raises(LyapmapError, match="qr_every: expected"):
        propagate(henon, X0, frame_of(henon, 3, 2), n_steps=3, qr_every=qr_every)


def test_a_float64_frame_under_a_float32_map_resolves_what_a_float32_frame_cannot() -> None:
    exponents = np.array([0.0, -3.0, -12.0])
    u = orthogonal(3, 1)
    matrix = (u @ np.diag(np.exp(exponents)) @ u.T).astype(np.float32)

    def repeated(x: np.ndarray) -> np.ndarray:
        return matrix[None].repeat(len(x), 0)

    m = lm.wrap(
        lambda x: x @ matrix.T,
        state_shape=3,
        backend="numpy",
        dtype="float32",
        jacobian=repeated,
    )
    x = np.zeros((1, 3), np.float32)
    found = {}
    for dtype in ("float32", "float64"):
        start = propagate(m, x, frame_of(m, 1, 3, dtype), n_steps=40, frame_dtype=dtype)
        carried = propagate(m, x, start.frame, n_steps=100, frame_dtype=dtype)
        assert carried.x.dtype == np.float32
        assert carried.frame.dtype == dtype
        assert carried.log_growth.dtype == np.float64
        found[dtype] = np.abs(carried.log_growth[0] / 100 - exponents)
    assert found["float64"].max() < 0.02
    assert found["float64"][2] < found["float32"][2]


class Alternating:
    """x' = 2 x at even steps, x / 8 at odd ones."""

    state_shape = (1,)

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ops = as_tangent_map(Linear([[1.0]])).ops

    def at(self, step: int) -> Any:
        self.asked.append(step)
        return as_tangent_map(Linear([[2.0 if step % 2 == 0 else 0.125]]))

    def apply(self, x: Any) -> Any:
        raise AssertionError("a map that depends on the step is asked for each step")

    jvp = jacobian = apply


@pytest.mark.parametrize(("first_step", "image", "growth"), [(0, 0.5, -1), (1, 2**-5, -5)])
def test_a_map_that_depends_on_the_step_is_asked_for_every_step(first_step: int, image: float, growth: float) -> None:
    m, x, frame = Alternating(), np.ones((1, 1)), np.ones((1, 1, 1))
    carried = propagate(m, x, frame, n_steps=3, first_step=first_step)  # type: ignore[arg-type]
    assert carried.x[0, 0] == image
    np.testing.assert_allclose(carried.log_growth, growth * np.log(2))
    assert m.asked == [first_step, first_step + 1, first_step + 2]
    assert step_states(m, x, n_steps=3, first_step=first_step)[0, 0] == image  # type: ignore[arg-type]


class Compiled:
    """A map with a `propagate` of its own, which records that it was used."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.state_shape, self.ops = inner, inner.state_shape, inner.ops
        self.calls: list[tuple[int, int]] = []
        self.apply, self.jvp, self.jacobian = inner.apply, inner.jvp, inner.jacobian

    def propagate(self, x: Any, frame: Any, n_steps: int, qr_every: int) -> tuple[Any, Any, Any]:
        self.calls.append((n_steps, qr_every))
        done = propagate(self.inner, x, frame, n_steps=n_steps, qr_every=qr_every)
        return done.x, done.frame, done.log_growth


def test_a_map_that_carries_blocks_itself_is_left_to_do_so(henon: Any) -> None:
    m, frame = Compiled(henon), frame_of(henon, 3, 2)
    carried = propagate(m, X0, frame, n_steps=8, qr_every=2)
    assert m.calls == [(8, 2)]
    np.testing.assert_array_equal(carried.log_growth, propagate(henon, X0, frame, n_steps=8, qr_every=2).log_growth)


def test_a_compiled_block_is_not_used_for_frames_of_another_dtype(henon: Any) -> None:
    m = Compiled(henon)
    carried = propagate(m, X0, frame_of(henon, 3, 2, "float32"), n_steps=8, frame_dtype="float32")
    assert m.calls == []
    assert carried.frame.dtype == np.float32


def test_compiled_reference_maps_agree_with_the_generic_loop() -> None:
    m = lm.systems.henon()
    frame = frame_of(m, 3, 2)
    compiled = propagate(m, X0, frame, n_steps=20, qr_every=3)
    generic = propagate(as_tangent_map(Henon()), X0, frame, n_steps=20, qr_every=3)
    np.testing.assert_allclose(compiled.x, generic.x, rtol=1e-9)
    np.testing.assert_allclose(compiled.log_growth, generic.log_growth, rtol=1e-9)


def test_an_escaping_orbit_gives_infinities_and_no_warnings() -> None:
    m = logistic(5.0)
    carried = propagate(m, np.array([[2.0]]), np.ones((1, 1, 1)), n_steps=30)
    assert not np.isfinite(carried.x).any()
    assert not np.isfinite(step_states(m, np.array([[2.0]]), n_steps=30)).any()


@pytest.mark.parametrize("name", ["logistic", "henon", "folded_towel", "generalized_henon", "ikeda"])
def test_compiled_determinants_agree_with_the_generic_way_and_with_the_growth(name: str) -> None:
    m = lm.systems.create(name)
    x = m.initial_states(5, 0)
    n = x.shape[1]
    frame = random_frame(m, 5, n, np.random.default_rng(0), "float64")
    grown = propagate(m, x, frame, n_steps=50).log_growth.sum(axis=1)
    compiled = log_abs_det(m, x, n_steps=50)
    np.testing.assert_allclose(compiled, grown, atol=1e-9)
    np.testing.assert_allclose(TangentMap.log_abs_det(m, x, 50), compiled, atol=1e-9)


def test_determinants_of_a_map_that_depends_on_the_step_start_where_they_are_told() -> None:
    noisy = lm.noisy(lm.systems.logistic(3.7), scale=1e-3, seed=1)
    x = np.array([[0.3], [0.4]])
    whole = log_abs_det(noisy, x, n_steps=10)
    first = log_abs_det(noisy, x, n_steps=4)
    later = log_abs_det(noisy, step_states(noisy, x, n_steps=4), n_steps=6, first_step=4)
    np.testing.assert_allclose(first + later, whole, atol=1e-12)


@pytest.mark.parametrize("name", ["henon", "lorenz", "coupled_map_lattice"])
def test_blocks_carried_together_are_blocks_carried_one_by_one(name: str) -> None:
    parameters = {"n": 6} if name == "coupled_map_lattice" else {}
    m = lm.systems.create(name, **parameters)
    x = m.initial_states(5, 0)
    frame = random_frame(m, 5, 2, np.random.default_rng(0), "float64")
    together = propagate_blocks(m, x, frame, n_blocks=4, n_steps=7, qr_every=3)
    for block in together:
        alone = propagate(m, x, frame, n_steps=7, qr_every=3)
        x, frame = alone.x, alone.frame
        np.testing.assert_array_equal(block.x, x)
        np.testing.assert_array_equal(block.frame, frame)
        np.testing.assert_array_equal(block.log_growth, alone.log_growth)
    assert len(together) == 4
