"""Covariant Lyapunov vectors."""

from __future__ import annotations

import functools
import tracemalloc
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lyapmap as lm
from lyapmap.analysis.tangents.backward import carried_back
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import Interrupted, LyapmapError, MapError, RunError
from lyapmap.core.map import TangentMap
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
        lm.covariant_vectors(Trembling(), [0.1, 0.1], n_steps=50, seed=0, checkpoint_every=8)
    for every in (1, None):
        vectors = lm.covariant_vectors(Trembling(), [0.1, 0.1], n_steps=50, seed=0, checkpoint_every=every)
        assert vectors.status == "ok"


class Generic(TangentMap):
    """The states and tangents of another map, carried by the loops that are the definition."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.ops, self.state_shape = inner, inner.ops, inner.state_shape

    def apply(self, x: np.ndarray) -> np.ndarray:
        return self.inner.apply(x)

    def jvp(self, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.inner.jvp(x, v)


@numba.njit
def delayed(x: np.ndarray) -> np.ndarray:
    y = np.empty(3)
    y[0], y[1], y[2] = 1 - 1.4 * x[0] ** 2 + 0.3 * x[2], x[0], x[1]
    return y


@numba.njit
def delayed_jacobian(x: np.ndarray) -> np.ndarray:
    j = np.zeros((3, 3))
    j[0, 0], j[0, 2], j[1, 0], j[2, 1] = -2.8 * x[0], 0.3, 1.0, 1.0
    return j


COMPILED = {
    "lanes": lambda: lm.systems.generalized_henon(),
    "flow of lanes": lambda: lm.systems.lorenz(),
    "rows": lambda: lm.systems.coupled_map_lattice(n=9),
    "flow of rows": lambda: lm.systems.lorenz96(n=7),
    "function": lambda: lm.wrap(delayed, state_shape=3, jacobian=delayed_jacobian),
}


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_recordings_are_those_of_the_definition(name: str) -> None:
    m = as_tangent_map(COMPILED[name]())
    n = m.state_shape[0]
    rng = np.random.default_rng(0)
    x, frame = rng.uniform(0.1, 0.4, (3, n)), np.linalg.qr(rng.standard_normal((3, n, n - 1)))[0]
    wanted = np.array([True, False, True, False, False])
    generic = Generic(m).record(x, frame, 5, wanted)
    compiled = m.record(x, frame, 5, wanted)
    # Columns of Q and rows of R may have either sign.
    signs = np.sign(np.diagonal(generic.factors, axis1=2, axis2=3))
    np.testing.assert_array_equal(compiled.states, generic.states)
    np.testing.assert_allclose(compiled.x, generic.x, rtol=1e-13)
    np.testing.assert_allclose(compiled.factors[0], signs[0][:, :, None] * generic.factors[0], atol=1e-9)
    products = [functools.reduce(lambda a, r: r @ a, recording.factors) for recording in (compiled, generic)]
    np.testing.assert_allclose(compiled.frame @ products[0], generic.frame @ products[1], rtol=1e-7, atol=1e-9)
    for r in compiled.factors.reshape(-1, n - 1, n - 1):
        np.testing.assert_array_equal(r, np.triu(r))
        assert (np.diagonal(r) >= 0).all()


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 3), st.sampled_from([1.0, 1e-200, 1e200]))
@settings(max_examples=25, deadline=None)
def test_the_compiled_backward_pass_solves_triangles(seed: int, k: int, b: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    factors = np.triu(rng.uniform(-1, 1, (4, b, k, k)) + 2 * np.eye(k)) * size
    start = np.triu(rng.standard_normal((b, k, k)))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    wanted = rng.random(4) < 0.5
    begin, growth, kept = carried_back(factors, start, wanted)
    coefficients, expected = start, []
    for r, keep in zip(factors[::-1] / size, wanted[::-1], strict=True):
        coefficients = np.linalg.solve(r, coefficients)
        lengths = np.linalg.norm(coefficients, axis=1)
        coefficients = coefficients / lengths[:, None]
        expected.append(np.log(size) - np.log(lengths))
        if keep:
            np.testing.assert_allclose(kept[wanted.sum() - 1], coefficients, atol=1e-11)
            wanted[np.flatnonzero(wanted)[-1]] = False
    np.testing.assert_allclose(begin, coefficients, atol=1e-11)
    np.testing.assert_allclose(growth[::-1], expected, atol=1e-9)


def test_angles_of_henon_are_those_of_a_run_to_either_side() -> None:
    """The unstable direction comes from the past by the Jacobian, the stable one from the future by its inverse."""
    m = lm.systems.henon()
    vectors = lm.covariant_vectors(m, m.initial_states(1, 3), n_steps=300, transient=300, seed=0)
    jacobians = m.jacobian(vectors.states[0])
    unstable, stable = np.empty((300, 2)), np.empty((300, 2))
    ahead, behind = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    for i in range(300):
        unstable[i] = ahead / np.linalg.norm(ahead)
        ahead = jacobians[i] @ unstable[i]
    for i in reversed(range(300)):
        behind = np.linalg.solve(jacobians[i], behind / np.linalg.norm(behind))
        stable[i] = behind / np.linalg.norm(behind)
    middle = slice(60, 240)
    cosines = np.abs((unstable * stable).sum(axis=1))
    sines = np.abs(unstable[:, 0] * stable[:, 1] - unstable[:, 1] * stable[:, 0])
    np.testing.assert_allclose(vectors.angles[0, middle], np.arctan2(sines, cosines)[middle], atol=1e-8)
    np.testing.assert_allclose(parallel(vectors.vectors[0, middle, :, 1].T, stable[middle].T), 1, atol=1e-9)


def test_vectors_of_henon_span_the_angles_that_others_found() -> None:
    # pynamicalsys 1.7.0, 20 000 steps from (0.1, 0.1): 54.0 degrees on the average.
    vectors = lm.covariant_vectors(lm.systems.henon(), [0.1, 0.1], n_steps=20_000, transient=1000, seed=0)
    assert np.degrees(vectors.angles.mean()) == pytest.approx(54.0, abs=0.6)


def test_memory_follows_the_root_of_the_steps_where_they_are_many() -> None:
    m = lm.systems.coupled_map_lattice(n=32)
    x0 = np.random.default_rng(0).uniform(0.1, 0.9, 32)
    options = {"n_vectors": 16, "backward_transient": 100, "transient": 0, "seed": 0, "throw": False}
    lm.covariant_vectors(m, x0, n_steps=50, **options)
    tracemalloc.start()
    lm.covariant_vectors(m, x0, n_steps=20_000, sample_every=20_000, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Every R of the 20 000 steps together would take 41 MB.
    assert peak < 6e6


def test_segments_that_are_carried_again_give_the_same_bits() -> None:
    m = lm.systems.lorenz()
    options = {"n_steps": 200, "transient": 50, "backward_transient": 100, "seed": 0, "throw": False}
    kept = lm.covariant_vectors(m, [1.0, 2.0, 20.0], **options)
    again = lm.covariant_vectors(m, [1.0, 2.0, 20.0], checkpoint_every=17, **options)
    np.testing.assert_array_equal(kept.vectors, again.vectors)
    np.testing.assert_array_equal(kept.exponents, again.exponents)
    assert kept.settings["checkpoint_every"] == 1


def test_rows_do_not_depend_on_each_other() -> None:
    m = lm.systems.henon()
    x0 = m.initial_states(5, 2)
    options = {"n_steps": 60, "transient": 20, "backward_transient": 40, "throw": False}
    x, frame = x0, np.linalg.qr(np.random.default_rng(0).standard_normal((5, 2, 2)))[0]
    wanted = np.ones(30, bool)
    together = m.record(x, frame, 30, wanted)
    for t in range(5):
        alone = m.record(x[t : t + 1], frame[t : t + 1], 30, wanted)
        np.testing.assert_array_equal(alone.factors[:, 0], together.factors[:, t])
    assert lm.covariant_vectors(m, x0, seed=0, **options).angles.shape == (5, 60)


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


def test_a_numpy_function_is_recorded_by_its_compiled_twin() -> None:
    def henon(s: Any) -> Any:
        return np.stack([1 - 1.4 * s[:, 0] ** 2 + s[:, 1], 0.3 * s[:, 0]], axis=1)

    ours, theirs = (
        lm.covariant_vectors(
            lm.wrap(henon, state_shape=2, compile=compiled), [0.1, 0.1], n_steps=60, seed=0, throw=False
        )
        for compiled in (True, False)
    )
    assert ours.provenance["compiled"].startswith("numba")
    np.testing.assert_array_equal(ours.states, theirs.states)
    np.testing.assert_allclose(np.abs(ours.vectors), np.abs(theirs.vectors), atol=1e-6)  # up to their sign
    np.testing.assert_allclose(ours.exponents, theirs.exponents, atol=1e-8)
