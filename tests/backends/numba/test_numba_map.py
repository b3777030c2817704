"""Compiled maps: against the generic loop, at the edges of floating point, and on disk."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numba
import numpy as np
import pytest

from lyapmap import systems
from lyapmap.backends.numba.compile import compiled
from lyapmap.backends.numba.map import LaneRule, NumbaMap, wrap_numba
from lyapmap.core import machine_code
from lyapmap.core.conformance import check_map
from lyapmap.core.errors import LyapmapError, MapError, PrecisionError, ShapeError
from lyapmap.core.propagate import propagate, random_frame, step_states


class WithoutBlocks:
    """A map stripped of its own `propagate`, so that core's loop is used."""

    def __init__(self, inner):
        self.state_shape, self.ops = inner.state_shape, inner.ops
        self.apply, self.jvp, self.jacobian = inner.apply, inner.jvp, inner.jacobian


def orthonormality(frame):
    return np.abs(np.swapaxes(frame, 1, 2) @ frame - np.eye(frame.shape[2])).max(initial=0)


def assert_agrees(tangent_map, x, k, n_steps, qr_every, rtol=1e-9):
    """The map's own `propagate` against the definition."""
    frame = random_frame(tangent_map, len(x), k, np.random.default_rng(7), "float64")
    x_before, frame_before = x.copy(), frame.copy()
    own = propagate(tangent_map, x, frame, n_steps=n_steps, qr_every=qr_every)
    generic = propagate(WithoutBlocks(tangent_map), x, frame, n_steps=n_steps, qr_every=qr_every)
    np.testing.assert_array_equal(own.x, generic.x)
    np.testing.assert_allclose(own.log_growth, generic.log_growth, rtol=rtol, atol=rtol)
    signs = np.sign(np.einsum("bik,bik->bk", own.frame, generic.frame))[:, None, :]
    np.testing.assert_allclose(own.frame * signs, generic.frame, atol=1e-7)
    assert orthonormality(own.frame) < 1e-12
    np.testing.assert_array_equal(x, x_before)
    np.testing.assert_array_equal(frame, frame_before)


FULL = [info.name for info in systems.catalogue().values() if info.dimension is not None]


@pytest.mark.parametrize("name", FULL)
def test_full_frames_agree_with_the_generic_loop(name):
    m = systems.create(name)
    assert_agrees(m, m.initial_states(37, 1), m.state_shape[0], 30, 1)


@pytest.mark.parametrize(
    ("name", "k", "qr_every", "b"),
    [
        ("henon", 0, 1, 5),
        ("henon", 1, 1, 33),
        ("henon", 1, 4, 1),
        ("henon", 2, 3, 64),
        ("henon", 1, 100, 2),
        ("henon", 2, 1, 1),
        ("logistic", 1, 2, 40),
        ("folded_towel", 1, 1, 3),
        ("folded_towel", 2, 1, 40),
        ("folded_towel", 2, 2, 3),
        ("folded_towel", 3, 2, 3),
    ],
)
def test_partial_frames_agree_with_the_generic_loop(name, k, qr_every, b):
    m = systems.create(name)
    assert_agrees(m, m.initial_states(b, 1), k, 13, qr_every)


@pytest.mark.parametrize(
    ("n", "k", "qr_every"), [(1, 1, 1), (2, 2, 1), (20, 0, 1), (20, 7, 3), (20, 20, 1), (64, 16, 2)]
)
def test_lattice_agrees_with_the_generic_loop(n, k, qr_every):
    m = systems.coupled_map_lattice(n=n)
    assert_agrees(m, m.initial_states(3, 1), k, 11, qr_every)


def test_apply_jvp_and_propagate_give_the_same_states():
    for m in (systems.henon(), systems.coupled_map_lattice(n=20)):
        x = m.initial_states(9, 0)
        y = step_states(m, x, n_steps=50)
        frame = random_frame(m, 9, 2, np.random.default_rng(0), "float64")
        np.testing.assert_array_equal(y, m.propagate(x, frame, 50, 1)[0])


def test_no_steps_change_nothing():
    m = systems.henon()
    x, frame = m.initial_states(3, 0), np.tile(np.eye(2), (3, 1, 1))
    carried = propagate(m, x, frame, n_steps=0)
    np.testing.assert_array_equal(carried.x, x)
    np.testing.assert_array_equal(carried.frame, frame)
    np.testing.assert_array_equal(carried.log_growth, 0)


@pytest.mark.parametrize("name", ["henon", "folded_towel"])
def test_a_run_is_the_same_however_it_is_split(name):
    m = systems.create(name)
    k = m.state_shape[0]
    x = m.initial_states(70, 3)
    frame = random_frame(m, 70, k, np.random.default_rng(0), "float64")
    whole = m.propagate(x, frame, 100, 1)
    first = m.propagate(x, frame, 37, 1)
    second = m.propagate(first[0], first[1], 63, 1)
    np.testing.assert_array_equal(whole[0], second[0])
    np.testing.assert_array_equal(whole[1], second[1])
    np.testing.assert_allclose(whole[2], first[2] + second[2], rtol=1e-12)
    for rows in (slice(0, 1), slice(40, 70)):
        part = m.propagate(x[rows], frame[rows], 100, 1)
        for got, wanted in zip(part, whole, strict=True):
            np.testing.assert_array_equal(got, wanted[rows])


def _constant_1(p, x):
    (a,) = p
    return (0.5 * x,), (a,)


def _constant_3(p, x, y, z):
    return (0.5 * x, 0.5 * y, 0.5 * z), p


CONSTANT_1 = LaneRule(_constant_1, ((True,),))
CONSTANT_3 = LaneRule(_constant_3, ((True,) * 3,) * 3)


def constant(*rows):
    """A map of three scalars whose Jacobian is the same everywhere."""
    return NumbaMap(CONSTANT_3, state_shape=(3,), parameters=tuple(entry for row in rows for entry in row))


@pytest.mark.parametrize("slope", [1e90, 1e-90, 1e200, -1e-200, 1e308, 5e-324, -3.0])
def test_growth_neither_overflows_nor_underflows(slope):
    m = NumbaMap(CONSTANT_1, state_shape=(1,), parameters=(slope,))
    frame, growth = m.propagate(np.ones((3, 1)), np.ones((3, 1, 1)), 300, 1)[1:]
    np.testing.assert_allclose(growth, 300 * np.log(abs(slope)), rtol=1e-12)
    np.testing.assert_array_equal(np.abs(frame), 1)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize(
    "sizes", [(1e90, 0.0, 1e-3, 1e-90), (1e200, 1e190, 1e185, 1e180), (1e-180, 0.0, 1.0, 1e3), (2.0, 1e3, 1e-3, 1.0)]
)
def test_growth_of_several_vectors_stays_within_range(sizes, k):
    a, b, c, d = sizes
    m = constant((a, b, b), (0, c, b), (0, 0, d))
    frame = np.tile(np.eye(3)[:, :k], (2, 1, 1))
    frame, growth = m.propagate(np.ones((2, 3)), frame, 50, 1)[1:]
    # The matrix is triangular, so R is the matrix and Q stays the identity.
    diagonal = np.array([a, c, d])[:k]
    np.testing.assert_allclose(growth, np.tile(50 * np.log(diagonal), (2, 1)), rtol=1e-12)
    assert orthonormality(frame) < 1e-12


@pytest.mark.parametrize("n_steps", [1, 40])
@pytest.mark.parametrize("k", [2, 3])
def test_nearly_parallel_vectors_stay_orthonormal(k, n_steps):
    m = constant((1, 1e6, 0), (0, 1, 0), (1, 1e6, 1))
    assert_agrees(m, np.ones((35, 3)), k, n_steps, 1, rtol=1e-5)


@pytest.mark.parametrize("k", [2, 3])
def test_zero_jacobian_grows_by_minus_infinity_and_keeps_the_frame(k):
    m = constant((0, 0, 0), (0, 0, 0), (0, 0, 0))
    frame = random_frame(m, 40, k, np.random.default_rng(0), "float64")
    frame, growth = m.propagate(np.ones((40, 3)), frame, 5, 1)[1:]
    assert (growth == -np.inf).all()
    assert orthonormality(frame) < 1e-12


@pytest.mark.parametrize("k", [2, 3])
def test_rank_one_keeps_the_first_exponent(k):
    m = constant((2, 0.5, 0.5), (0, 0, 0), (0, 0, 0))
    frame = np.tile(np.eye(3)[:, :k], (2, 1, 1))
    frame, growth = m.propagate(np.ones((2, 3)), frame, 20, 1)[1:]
    np.testing.assert_allclose(growth[:, 0], 20 * np.log(2), rtol=1e-12)
    assert (growth[:, 1:] == -np.inf).all()
    assert orthonormality(frame) < 1e-12


def test_henon_without_memory_has_rank_one():
    m = systems.henon(b=0.0)
    x = m.initial_states(33, 0)
    frame = random_frame(m, 33, 2, np.random.default_rng(0), "float64")
    x, frame, growth = m.propagate(x, frame, 30, 1)
    assert np.isfinite(growth[:, 0]).all()
    assert (growth[:, 1] == -np.inf).all()
    assert np.isfinite(x).all()
    assert orthonormality(frame) < 1e-12


def test_dead_lattice_has_no_growth_at_all():
    m = systems.coupled_map_lattice(n=12, r=0.0)
    frame = random_frame(m, 2, 9, np.random.default_rng(0), "float64")
    frame, growth = m.propagate(m.initial_states(2, 0), frame, 3, 1)[1:]
    assert (growth == -np.inf).all()
    assert orthonormality(frame) < 1e-12


@pytest.mark.parametrize("name", ["henon", "coupled_map_lattice", "ikeda"])
def test_an_escaping_orbit_shows_in_its_states_and_leaves_the_others_alone(name):
    m = systems.create(name)
    n = m.state_shape[0]
    x = m.initial_states(40, 0)
    frame = random_frame(m, 40, n, np.random.default_rng(0), "float64")
    healthy = m.propagate(x, frame, 60, 1)
    x[[3, 17]] = [[1e3], [np.nan]]
    found = m.propagate(x, frame, 60, 1)
    if name != "ikeda":  # which comes back from anywhere
        assert not np.isfinite(found[0][3]).any()
        assert not np.isfinite(found[2][3]).all()
    assert np.isnan(found[0][17]).all()
    assert np.isnan(found[2][17]).all()
    others = np.delete(np.arange(40), [3, 17])
    for got, wanted in zip(found, healthy, strict=True):
        np.testing.assert_array_equal(got[others], wanted[others])


def test_other_parameters_need_no_other_code():
    systems.henon().propagate(np.zeros((1, 2)), np.eye(2)[None], 1, 1)
    misses = compiled.cache_info().misses
    growth = systems.henon(a=1.0, b=0.5).propagate(np.zeros((1, 2)), np.eye(2)[None], 100, 1)[2]
    assert compiled.cache_info().misses == misses
    np.testing.assert_allclose(growth.sum(), 100 * np.log(0.5))


def test_arrays_of_other_shape_or_precision_are_refused():
    m = systems.henon()
    with pytest.raises(ShapeError, match=r"x: expected 2 values per row for \(2,\), got shape \(4, 3\)"):
        m.apply(np.zeros((4, 3)))
    with pytest.raises(PrecisionError, match="x: expected float64, got float32"):
        m.apply(np.zeros((4, 2), np.float32))
    with pytest.raises(PrecisionError, match="v: expected float64, got int64"):
        m.jvp(np.zeros((4, 2)), np.zeros((4, 2, 1), np.int64))
    with pytest.raises(ShapeError, match="v: expected"):
        m.jvp(np.zeros((4, 2)), np.zeros((3, 2, 1)))
    with pytest.raises(ShapeError, match="frame: expected at most 2 vectors of 2 values, got 3"):
        m.propagate(np.zeros((4, 2)), np.zeros((4, 2, 3)), 1, 1)
    with pytest.raises(LyapmapError, match="qr_every: expected at least 1 step, got 0"):
        m.propagate(np.zeros((4, 2)), np.zeros((4, 2, 1)), 1, 0)


def test_strided_arrays_are_taken():
    m = systems.henon()
    x = np.asfortranarray(m.initial_states(5, 0))
    v = np.swapaxes(np.random.default_rng(0).standard_normal((5, 3, 2)), 1, 2)
    y, u = m.jvp(x, v)
    np.testing.assert_allclose(u, m.jacobian(x) @ v)
    np.testing.assert_array_equal(y, m.apply(x.copy(order="C")))


# Functions of users ----------------------------------------------------------------------------------


@numba.njit
def user_henon(s):
    return np.array([1 - 1.4 * s[0] ** 2 + s[1], 0.3 * s[0]])


@numba.njit
def user_henon_jacobian(s):
    return np.array([[-2.8 * s[0], 1.0], [0.3, 0.0]])


@numba.njit
def user_ring(s):
    n = len(s)
    y = np.empty(n)
    for i in range(n):
        y[i] = np.sin(3 * s[i] + 0.5 * s[(i + 1) % n])
    return y


@numba.njit
def user_scalar(s):
    if s < 0.5:
        return 1.9 * s
    return 1.9 * (1 - s)


@numba.njit
def user_array_slope(s):
    return np.array([[1.9 if s[0] < 0.5 else -1.9]])


@numba.njit
def user_scalar_slope(s):
    return 1.9 if s < 0.5 else -1.9


def test_a_function_with_its_jacobian():
    m = wrap_numba(user_henon, state_shape=(2,), jacobian=user_henon_jacobian)
    reference = systems.henon()
    x = reference.initial_states(20, 0)
    assert m.derivative == "jacobian given"
    assert m.provenance["map"] == "user_henon"
    assert check_map(m, x)
    assert_agrees(m, x, 2, 20, 1)
    np.testing.assert_allclose(m.jacobian(x), reference.jacobian(x))
    frame = random_frame(m, 20, 2, np.random.default_rng(0), "float64")
    np.testing.assert_allclose(m.propagate(x, frame, 20, 1)[2], reference.propagate(x, frame, 20, 1)[2], rtol=1e-6)


@pytest.fixture(scope="module")
def ring():
    return wrap_numba(user_ring, state_shape=(13,))


def test_a_function_without_jacobian_is_differentiated(ring):
    x = np.random.default_rng(0).uniform(-1, 1, (3, 13))
    assert ring.derivative == "dual numbers"
    assert check_map(ring, x)
    exact = np.zeros((3, 13, 13))
    sites = np.arange(13)
    slope = np.cos(3 * x + 0.5 * np.roll(x, -1, axis=1))
    exact[:, sites, sites] += 3 * slope
    exact[:, sites, (sites + 1) % 13] += 0.5 * slope
    np.testing.assert_allclose(ring.jacobian(x), exact, atol=1e-14)


@numba.njit
def user_noise(x):
    return np.array([np.sin(1e17 * x[0]) + 0 * int(x[1]), x[1]])


def test_noise_has_no_differences():
    with pytest.raises(MapError, match="function: jumps too densely, or is too noisy, for differences"):
        wrap_numba(user_noise, state_shape=(2,))


@pytest.mark.parametrize("k", [1, 5, 13])
def test_frames_of_a_function_agree_with_the_generic_loop(ring, k):
    assert_agrees(ring, np.random.default_rng(0).uniform(-1, 1, (3, 13)), k, 6, 2)


@pytest.mark.parametrize("slope", [None, user_scalar_slope, user_array_slope])
def test_a_function_of_a_float(slope):
    m = wrap_numba(user_scalar, state_shape=(1,), jacobian=slope)
    x = np.random.default_rng(0).uniform(0.01, 0.99, (10, 1))
    y, tangents = m.jvp(x, np.ones((10, 1, 1)))
    np.testing.assert_allclose(y, 1.9 * np.minimum(x, 1 - x))
    np.testing.assert_allclose(tangents[:, :, 0], np.where(x < 0.5, 1.9, -1.9), rtol=1e-9)


def test_states_of_any_shape_are_flat_for_the_function():
    m = wrap_numba(user_ring, state_shape=(2, 3))
    assert m.state_shape == (2, 3)
    assert m.apply(np.zeros((4, 6))).shape == (4, 6)


@numba.njit
def returns_too_much(s):
    return np.zeros(len(s) + 1)


@numba.njit
def returns_float32(s):
    return s.astype(np.float32)


@numba.njit
def returns_a_number(s):
    return s[0]


@numba.njit
def does_not_compile(s):
    return s.no_such_thing


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.sin, "function: expected a function compiled with numba.njit, got ufunc"),
        (
            returns_too_much,
            r"function: expected an array of shape \(2,\) for one state of shape \(2,\), got shape \(3,\)",
        ),
        (returns_float32, "function: expected float64 back, got float32"),
        (returns_a_number, r"function: expected an array of shape \(2,\).*got float"),
        (does_not_compile, r"function: failed on one float64 state of shape \(2,\) .*no_such_thing"),
    ],
)
def test_functions_that_will_not_do_are_refused_in_one_line(function, message):
    with pytest.raises(LyapmapError, match=message) as caught:
        wrap_numba(function, state_shape=(2,))
    assert "\n" not in str(caught.value)


def test_jacobians_that_will_not_do_are_refused():
    with pytest.raises(ShapeError, match=r"jacobian: expected an array of shape \(2, 2\)"):
        wrap_numba(user_henon, state_shape=(2,), jacobian=user_henon)
    with pytest.raises(ShapeError, match="state_shape: expected positive sizes, got"):
        wrap_numba(user_henon, state_shape=())


# Compiled code on disk -------------------------------------------------------------------------------

USE_LOGISTIC = """
import numpy as np
from lyapmap import systems
from lyapmap.core import machine_code
m = systems.logistic()
print(m.apply(np.array([[0.25]])).item())
stats = m.inner._kernel("jvp").stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def run(code, **environment):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_")}
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env=kept | environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


def test_compiled_code_is_kept_and_a_damaged_file_does_no_harm(tmp_path):
    assert run(USE_LOGISTIC, NUMBA_CACHE_DIR=str(tmp_path)) == ["0.75", "0", "1"]
    assert run(USE_LOGISTIC, NUMBA_CACHE_DIR=str(tmp_path)) == ["0.75", "1", "0"]
    files = list(tmp_path.rglob("*.nbc"))
    assert len(files) == 1
    files[0].write_bytes(files[0].read_bytes()[:1000])
    assert run(USE_LOGISTIC, NUMBA_CACHE_DIR=str(tmp_path))[0] == "0.75"


def test_the_oldest_code_of_a_module_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_code, "MOST_FILES", 2)
    for age, name in enumerate(("program.a.nbc", "program.b.nbi", "program.c.nbc", "other.a.nbc")):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    machine_code._forget_oldest(tmp_path, "program")
    assert {path.name for path in tmp_path.iterdir()} == {"program.b.nbi", "program.c.nbc", "other.a.nbc"}


def test_nowhere_to_keep_compiled_code_does_no_harm(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    nowhere = {"NUMBA_CACHE_DIR": str(file / "below"), "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    assert run(USE_LOGISTIC, **nowhere)[0] == "0.75"


def test_a_map_of_a_users_function_travels():
    m = wrap_numba(user_henon, state_shape=(2,))
    there = pickle.loads(pickle.dumps(m))
    np.testing.assert_array_equal(there.apply(np.full((1, 2), 0.3)), m.apply(np.full((1, 2), 0.3)))
