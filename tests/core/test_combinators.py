"""Maps made of maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import LyapmapError, PrecisionError, ShapeError
from lyapmap.core.map import CompletedMap
from lyapmap.core.propagate import propagate, random_frame, step_states
from sample_maps import Henon, Linear, henon

A, B = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[0.5, 0.0], [1.0, 3.0]])
X = np.array([[0.1, 0.1], [0.3, -0.1]])


def test_composed_maps_are_applied_in_the_order_given() -> None:
    m = lm.compose(Linear(A), Linear(B))
    np.testing.assert_array_equal(m.apply(X), X @ (B @ A).T)
    np.testing.assert_array_equal(m.jacobian(X)[1], B @ A)
    y, tangents = m.jvp(X, np.stack([np.eye(2)] * 2))
    np.testing.assert_array_equal(y, m.apply(X))
    np.testing.assert_array_equal(tangents[0], B @ A)


def test_a_composed_map_keeps_the_contract_and_says_what_it_is_made_of() -> None:
    m = lm.compose(Henon(), lm.wrap(henon, state_shape=2, backend="numpy"))
    assert lm.check_map(m, X)
    assert m.derivative == "jacobian given, complex step"
    assert m.provenance == {"map": "Henon", "composed_of": 2}


def test_maps_of_other_shapes_but_equal_size_can_be_joined() -> None:
    flat = lm.wrap(lambda x: 2 * x, state_shape=4, backend="numpy")
    square = lm.wrap(lambda x: x + 1, state_shape=(2, 2), backend="numpy")
    m = lm.compose(flat, square)
    assert m.state_shape == (4,)
    np.testing.assert_array_equal(m.apply(np.ones((1, 4))), [[3.0] * 4])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lm.compose(), LyapmapError, "maps: expected at least one map"),
        (
            lambda: lm.compose(Henon(), Linear(np.eye(3))),
            ShapeError,
            r"maps: cannot join states of shape \(2,\) and \(3,\)",
        ),
        (
            lambda: lm.compose(Henon(), CompletedMap(Henon(), "float32")),
            PrecisionError,
            "cannot join float64 on cpu and float32",
        ),
        (
            lambda: lm.compose(Henon(), lm.noisy(Henon(), scale=1)),
            LyapmapError,
            "depends on the step cannot be composed",
        ),
        (lambda: lm.iterate(Henon(), 0), LyapmapError, "n: expected at least 1, got 0"),
        (lambda: lm.iterate(Henon(), 1.5), LyapmapError, "n: expected an integer, got 1.5"),
        (lambda: lm.noisy(Henon(), scale=-1), LyapmapError, "scale: expected a finite number >= 0, got -1"),
        (lambda: lm.noisy(Henon(), scale=np.nan), LyapmapError, "scale: expected a finite number >= 0, got nan"),
        (lambda: lm.noisy(Henon(), scale=np.inf), LyapmapError, "scale: expected a finite number >= 0, got inf"),
        (
            lambda: lm.noisy(Henon(), scale=1, kind="pink"),
            LyapmapError,
            "kind: expected 'normal' or 'uniform', got 'pink'",
        ),
        (lambda: lm.noisy(Henon(), scale=1, seed=-1), LyapmapError, "seed: expected at least 0, got -1"),
        (lambda: lm.noisy(Henon(), scale=1, seed=2**64), LyapmapError, r"seed: expected an integer below 2\*\*64"),
        (
            lambda: lm.noisy(Henon(), scale=1, first_trajectory=-1),
            LyapmapError,
            "first_trajectory: expected at least 0, got -1",
        ),
        (
            lambda: lm.noisy(Henon(), scale=1, clamp=(1, 0)),
            LyapmapError,
            r"clamp: expected \(low, high\) with low < high, got \(1, 0\)",
        ),
        (
            lambda: lm.noisy(Henon(), scale=1, clamp=2),
            LyapmapError,
            "clamp: expected .low, high. with low < high, got 2",
        ),
        (
            lambda: lm.noisy(lm.noisy(Henon(), scale=1), scale=1),
            LyapmapError,
            "already depends on the step cannot be made noisy",
        ),
    ],
)
def test_what_cannot_be_combined_is_refused(make: Any, error: type[LyapmapError], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_exponents_of_an_iterated_map_are_n_times_those_of_the_map(n: int) -> None:
    options: dict[str, Any] = {"transient": 60, "seed": 0}
    once = lm.lyapunov_spectrum(Henon(), X[0], n_steps=600, **options | {"transient": 60 * n})
    many = lm.lyapunov_spectrum(lm.iterate(Henon(), n), X[0], n_steps=600 // n, **options)
    np.testing.assert_allclose(many.exponents, n * once.exponents, rtol=1e-9)
    np.testing.assert_allclose(many.final_state, once.final_state)


def test_noise_of_a_trajectory_does_not_depend_on_how_the_batch_is_split() -> None:
    whole = lm.noisy(Henon(), scale=0.01, seed=3)
    x = np.random.default_rng(0).uniform(-0.1, 0.1, (5, 2))
    parts = [
        step_states(lm.noisy(Henon(), scale=0.01, seed=3, first_trajectory=t), x[t : t + 2], n_steps=20)
        for t in (0, 2, 3)
    ]
    everything = step_states(whole, x, n_steps=20)
    for part, t in zip(parts, (0, 2, 3), strict=True):
        np.testing.assert_array_equal(part, everything[t : t + 2])


def test_a_noisy_run_is_the_same_when_it_is_resumed_at_a_step() -> None:
    m = lm.noisy(Henon(), scale=0.01, seed=3)
    frame = random_frame(m, 2, 2, np.random.default_rng(0), "float64")
    whole = propagate(m, X, frame, n_steps=30)
    first = propagate(m, X, frame, n_steps=11)
    second = propagate(m, first.x, first.frame, n_steps=19, first_step=11)
    np.testing.assert_array_equal(second.x, whole.x)
    np.testing.assert_array_equal(second.frame, whole.frame)
    assert not np.allclose(propagate(m, first.x, first.frame, n_steps=19).x, whole.x)


def test_noise_differs_between_seeds_steps_and_trajectories() -> None:
    m, other = lm.noisy(Henon(), scale=1, seed=0), lm.noisy(Henon(), scale=1, seed=1)
    draws = np.concatenate([m.noise(0, 3), m.noise(1, 3), other.noise(0, 3)]).ravel()
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize(("kind", "deviation"), [("normal", 0.5), ("uniform", 0.5 / np.sqrt(3))])
def test_scale_is_the_deviation_of_normal_and_the_half_width_of_uniform_noise(kind: str, deviation: float) -> None:
    m = lm.noisy(Henon(), scale=0.5, kind=kind)
    draws = np.concatenate([m.noise(step, 50) for step in range(100)])
    assert abs(draws.mean()) < 0.02
    assert abs(draws.std() / deviation - 1) < 0.03
    assert kind == "normal" or np.abs(draws).max() <= 0.5


def test_noise_is_added_to_the_image_and_not_to_the_tangents() -> None:
    m = lm.noisy(Henon(), scale=0.1, seed=2)
    v = np.random.default_rng(0).standard_normal((2, 2, 2))
    y, tangents = m.at(4).jvp(X, v)
    np.testing.assert_array_equal(y, henon(X) + m.noise(4, 2))
    np.testing.assert_array_equal(tangents, Henon().jacobian(X) @ v)
    np.testing.assert_array_equal(m.at(4).jacobian(X), Henon().jacobian(X))
    np.testing.assert_array_equal(m.apply(X), m.at(0).apply(X))


def test_noise_of_scale_zero_leaves_the_map_as_it_is() -> None:
    bare = lm.lyapunov_spectrum(Henon(), X, n_steps=200, transient=20, seed=0)
    still = lm.lyapunov_spectrum(lm.noisy(Henon(), scale=0), X, n_steps=200, transient=20, seed=0)
    np.testing.assert_array_equal(still.exponents, bare.exponents)
    np.testing.assert_array_equal(still.final_state, bare.final_state)


def test_noise_keeps_the_dtype_of_the_map_and_is_recorded() -> None:
    m = lm.noisy(lm.wrap(henon, state_shape=2, backend="numpy", dtype="float32"), scale=0.1, seed=7)
    assert m.apply(X.astype(np.float32)).dtype == np.float32
    assert {"noise": "normal", "noise_scale": 0.1, "noise_seed": 7}.items() <= m.provenance.items()


def test_noise_smears_the_exponents_of_a_stable_cycle_but_not_its_sum_rule() -> None:
    spectrum = lm.lyapunov_spectrum(lm.noisy(Henon(), scale=1e-3, seed=1), X[0], n_steps=500, seed=0)
    assert spectrum.exponents.sum() == pytest.approx(np.log(0.3), abs=1e-9)
    assert spectrum.provenance["noise_seed"] == 1


@pytest.mark.parametrize("backend", ["given", "numpy", "torch", "jax"])
def test_a_clamped_state_stays_in_bounds_and_its_tangents_stop_there(backend: str) -> None:
    stretch = np.diag([2.0, 0.5, -3.0])
    if backend == "jax":
        pytest.importorskip("jax", reason="jax is not installed")
    inner = Linear(stretch) if backend == "given" else _wrapped_stretch(stretch, backend)
    m = lm.noisy(inner, scale=0.0, clamp=(-1, 1))
    x = m.ops.from_numpy(np.array([[0.8, 0.8, 0.8], [0.25, -1.0, -0.25], [0.5, 1.0, -0.125]]))
    wanted = np.array([[1.0, 0.4, -1.0], [0.5, -0.5, 0.75], [1.0, 0.5, 0.375]])
    free = np.array([[0, 1, 0], [1, 1, 1], [1, 1, 1]])  # the last row reaches a bound and does not cross it
    v = np.random.default_rng(0).standard_normal((3, 3, 2))
    y, tangents = m.jvp(x, m.ops.from_numpy(v))
    np.testing.assert_allclose(m.ops.to_numpy(m.apply(x)), wanted, rtol=1e-6)
    np.testing.assert_allclose(m.ops.to_numpy(y), wanted, rtol=1e-6)
    np.testing.assert_allclose(m.ops.to_numpy(tangents), free[:, :, None] * (stretch @ v), rtol=1e-6)
    np.testing.assert_allclose(m.ops.to_numpy(m.jacobian(x)), free[:, :, None] * stretch, rtol=1e-6)


def _wrapped_stretch(stretch: np.ndarray, backend: str) -> Any:
    if backend == "torch":
        torch = pytest.importorskip("torch", reason="torch is not installed")
        w = torch.from_numpy(stretch)
        return lm.wrap(lambda x: x @ w.T, state_shape=3, backend="torch", dtype="float64")
    dtype = "float32" if backend == "jax" else "float64"
    w = stretch.T.astype(dtype)
    return lm.wrap(lambda x: x @ w, state_shape=3, backend=backend, dtype=dtype)


def test_exponent_of_a_linear_map_with_a_clamped_direction_is_that_of_the_free_one() -> None:
    m = lm.noisy(Linear(np.diag([2.0, 0.5])), scale=0.1, clamp=(-1, 1))
    held = lm.lyapunov_spectrum(m, [1.0, 0.1], n_steps=50, transient=5, n_exponents=1, seed=0)
    assert held.exponents[0] == pytest.approx(np.log(0.5), abs=1e-12)
    free = lm.noisy(Linear(np.diag([2.0, 0.5])), scale=0.1, clamp=(-np.inf, np.inf))
    known = lm.lyapunov_spectrum(free, [1.0, 0.1], n_steps=50, transient=5, n_exponents=1, seed=0)
    assert known.exponents[0] == pytest.approx(np.log(2.0), abs=1e-3)


def test_noise_is_added_before_the_clamp_and_both_are_recorded() -> None:
    m = lm.noisy(Henon(), scale=0.5, kind="uniform", seed=3, clamp=(0.4, 1.2))
    x = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    np.testing.assert_array_equal(m.at(7).apply(x), np.clip(henon(x) + m.noise(7, 40), 0.4, 1.2))
    assert m.provenance["noise_clamp"] == [0.4, 1.2]
    assert lm.check_map(m, x[:4])


def test_a_state_that_is_no_number_is_not_hidden_by_the_clamp() -> None:
    m = lm.noisy(Linear(np.full((2, 2), np.nan)), scale=0.1, clamp=(-1, 1))
    assert np.isnan(m.apply(X)).all()


@given(
    st.floats(-2, 2),
    st.floats(0, 1),
    st.tuples(st.floats(-3, 3), st.floats(-3, 3)).filter(lambda pair: pair[0] < pair[1]),
)
def test_states_of_a_clamped_map_never_leave_its_bounds(
    slope: float, scale: float, bounds: tuple[float, float]
) -> None:
    m = lm.noisy(Linear(np.array([[slope]])), scale=scale, clamp=bounds, kind="uniform")
    x = step_states(m, np.linspace(-5, 5, 7)[:, None], n_steps=3)
    assert (x >= bounds[0]).all()
    assert (x <= bounds[1]).all()
