"""Covariant Lyapunov vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.core.errors import Interrupted, LyapmapError, MapError, RunError
from sample_maps import Henon, Linear, henon, torus_map

CAT = np.array([[2.0, 1.0], [1.0, 1.0]])


def eigenvectors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the moduli of real eigenvalues, largest first, and their vectors."""
    values, vectors = np.linalg.eig(matrix)
    order = np.argsort(-np.abs(values))
    return np.log(np.abs(values[order])).real, vectors[:, order].real


def parallel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 where columns are parallel."""
    return np.abs((a * b).sum(axis=-2)) / np.linalg.norm(a, axis=-2) / np.linalg.norm(b, axis=-2)


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=20)
def test_vectors_of_a_linear_map_are_its_eigenvectors(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    exponents = np.sort(rng.uniform(0.2, 0.5, n).cumsum())[::-1] - 0.5
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0] + 0.4 * rng.uniform(-1, 1, (n, n)) / n  # not orthogonal
    matrix = basis @ np.diag(np.exp(exponents)) @ np.linalg.inv(basis)
    found = lm.covariant_vectors(Linear(matrix), np.zeros(n), n_steps=5, transient=150, seed=seed)
    np.testing.assert_allclose(found.exponents, exponents, atol=1e-8)
    np.testing.assert_allclose(parallel(found.vectors[0], basis), 1, atol=1e-9)


def test_the_cat_map_and_its_inverse_have_the_same_vectors_in_reverse_order() -> None:
    forward = lm.covariant_vectors(torus_map(CAT), [0.1, 0.2], n_steps=10, seed=0)
    back = lm.covariant_vectors(torus_map(np.linalg.inv(CAT)), [0.1, 0.2], n_steps=10, seed=1)
    logs, vectors = eigenvectors(CAT)
    np.testing.assert_allclose(forward.exponents, logs, atol=1e-12)
    np.testing.assert_allclose(parallel(forward.vectors[0], vectors), 1, atol=1e-12)
    np.testing.assert_allclose(parallel(back.vectors[0, :, :, ::-1], forward.vectors[0]), 1, atol=1e-12)
    np.testing.assert_allclose(back.exponents, -forward.exponents[::-1], atol=1e-12)
    np.testing.assert_allclose(forward.angles, np.pi / 2)


@pytest.mark.parametrize("name", ["henon", "generalized_henon"])
def test_the_derivative_carries_vectors_into_vectors(name: str) -> None:
    m = lm.systems.create(name)
    found = lm.covariant_vectors(m, m.initial_states(2, 1), n_steps=150, transient=300, backward_transient=1200, seed=0)
    for t in range(2):
        image = m.jvp(found.states[t, :-1], found.vectors[t, :-1])[1]
        length = np.linalg.norm(image, axis=1, keepdims=True)
        np.testing.assert_allclose(image / length, found.vectors[t, 1:], atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=2), 1)


def test_growth_of_the_vectors_is_that_of_the_frames_and_of_the_spectrum() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(4, 1)
    found = lm.covariant_vectors(m, x0, n_steps=1500, seed=0, sample_every=50)
    np.testing.assert_allclose(found.exponents, found.qr_exponents, atol=5e-3)
    assert found.exponents[0] == pytest.approx(found.qr_exponents[0], abs=1e-10)
    np.testing.assert_allclose(found.exponents, [0.419251, -1.623224], atol=4.5 * found.stderr.max())
    assert found.split == 1


def test_vectors_and_their_growth_follow_from_finite_differences() -> None:
    found = lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=8, seed=0)
    size = 1e-7
    for j in range(2):
        x, v = found.states[0, :-1], found.vectors[0, :-1, :, j]
        moved = (henon(x + size * v) - henon(x - size * v)) / (2 * size)
        np.testing.assert_allclose(
            moved / np.linalg.norm(moved, axis=1)[:, None], found.vectors[0, 1:, :, j], atol=1e-6
        )


def test_the_first_vector_is_tangent_to_the_attractor() -> None:
    m = lm.systems.henon()
    found = lm.covariant_vectors(m, m.initial_states(1, 0), n_steps=3000, seed=0, n_vectors=1)
    x, v = found.states[0], found.vectors[0, :, :, 0]
    apart = np.linalg.norm(x[:, None] - x[None], axis=2) + np.eye(len(x))
    near = apart.argmin(axis=1)
    chord = (x[near] - x) / apart[np.arange(len(x)), near][:, None]
    assert np.median(np.abs((chord * v).sum(axis=1))) > 0.99
    assert np.isnan(found.angles).all()
    assert np.isnan(found.smallest_angle)


def test_angles_are_those_between_the_spans() -> None:
    from scipy.linalg import subspace_angles

    m = lm.systems.generalized_henon()
    found = lm.covariant_vectors(
        m, m.initial_states(1, 0), n_steps=20, transient=300, backward_transient=1200, split=2, seed=0
    )
    for sample in range(20):
        v = found.vectors[0, sample]
        assert found.angles[0, sample] == pytest.approx(subspace_angles(v[:, :2], v[:, 2:]).min(), abs=1e-8)


@pytest.mark.parametrize("every", [1, 7, 10_000])
def test_checkpoints_change_nothing(every: int) -> None:
    usual = lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=40, seed=0)
    other = lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=40, seed=0, checkpoint_every=every)
    np.testing.assert_array_equal(usual.vectors, other.vectors)
    np.testing.assert_array_equal(usual.states, other.states)


def test_samples_are_some_of_all() -> None:
    full = lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=21, seed=0)
    some = lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=21, seed=0, sample_every=5)
    assert some.steps.tolist() == [0, 5, 10, 15, 20]
    np.testing.assert_array_equal(some.vectors, full.vectors[:, ::5])
    np.testing.assert_array_equal(some.exponents, full.exponents)


def test_a_noisy_map_is_followed_by_its_step() -> None:
    m = lm.noisy(Henon(), scale=1e-3, seed=2)
    found = lm.covariant_vectors(m, np.zeros((2, 2)), n_steps=30, seed=0)
    image = Henon().jacobian(found.states[1, :-1]) @ found.vectors[1, :-1]
    np.testing.assert_allclose(parallel(image, found.vectors[1, 1:]), 1, atol=1e-10)


def test_equal_exponents_leave_their_vectors_open_and_say_so() -> None:
    rotating = 1.1 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    with pytest.raises(RunError, match="vectors 2 still depend"):
        lm.covariant_vectors(Linear(rotating), [0.0, 0.0], n_steps=10, seed=0)


def test_a_direction_that_dies_is_named() -> None:
    with pytest.raises(RunError, match="n_vectors=1"):
        lm.covariant_vectors(Linear([[1.0, 0.0], [0.0, 0.0]]), [1.0, 0.0], n_steps=10, transient=0, seed=0)


def test_vectors_under_the_floor_of_the_dtype_are_nan() -> None:
    m = Linear(np.diag([1.5, 1e-18]))
    found = lm.covariant_vectors(m, [0.0, 0.0], n_steps=10, seed=0, throw=False)
    assert found.status == "unresolved"
    assert np.isfinite(found.vectors[..., 0]).all()
    assert np.isnan(found.vectors[..., 1]).all()
    assert np.isnan(found.exponents[1])


def test_a_map_that_does_not_repeat_itself_is_refused() -> None:
    class Trembling(Henon):
        rng = np.random.default_rng(0)

        def apply(self, x: np.ndarray) -> np.ndarray:
            return henon(x) * (1 + 1e-15 * self.rng.standard_normal(x.shape))

    with pytest.raises(MapError, match="checkpoint_every=1"):
        lm.covariant_vectors(Trembling(), [0.1, 0.1], n_steps=50, seed=0)
    found = lm.covariant_vectors(Trembling(), [0.1, 0.1], n_steps=50, seed=0, checkpoint_every=1)
    assert found.status == "ok"


def test_escape_and_interrupt_are_told() -> None:
    with pytest.raises(RunError, match="not finite"):
        lm.covariant_vectors(Henon(), [9.0, 9.0], n_steps=20)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=20, progress=stop)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"n_steps": 0}, "n_steps"),
        ({"n_steps": 5, "n_vectors": 3}, "n_vectors"),
        ({"n_steps": 5, "transient": -1}, "transient"),
        ({"n_steps": 5, "backward_transient": -1}, "backward_transient"),
        ({"n_steps": 5, "split": 2}, "split"),
        ({"n_steps": 5, "sample_every": 0}, "sample_every"),
        ({"n_steps": 5, "checkpoint_every": 0}, "checkpoint_every"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(LyapmapError, match=named):
        lm.covariant_vectors(Henon(), [0.1, 0.1], **options)


@pytest.mark.parametrize("suffix", [".nc", ".npz"])
def test_a_result_survives_its_file(suffix: str, tmp_path: Any) -> None:
    found = lm.covariant_vectors(Henon(), [0.1, 0.1], n_steps=12, sample_every=4, seed=0)
    again = lm.CovariantVectors.load(found.save(tmp_path / f"c{suffix}"))
    assert again.to_dict() == found.to_dict()
    assert again.images().shape == (1, 3, 2, 2)


def test_vectors_of_a_network_are_never_made_from_its_jacobian(monkeypatch: Any) -> None:
    m = lm.systems.random_tanh_network(n=100)
    monkeypatch.setattr(type(m), "jacobian", lambda self, x: pytest.fail("made a Jacobian"))
    found = lm.covariant_vectors(
        m,
        np.random.default_rng(0).uniform(-1, 1, 100),
        n_steps=10,
        n_vectors=2,
        backward_transient=150,
        seed=0,
        throw=False,
    )
    image = m.jvp(found.states[0, :-1], found.vectors[0, :-1])[1]
    np.testing.assert_allclose(parallel(np.asarray(image), found.vectors[0, 1:]), 1, atol=1e-6)
