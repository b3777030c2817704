"""Reference maps: derivatives, exponents, identities, regions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lyapmap import systems
from lyapmap.core.conformance import check_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import time_per_step
from lyapmap.core.propagate import propagate, random_frame, step_states
from lyapmap.systems.matrix_map import MatrixMap

CATALOGUE = systems.catalogue()
deterministic = settings(derandomize=True, deadline=None, max_examples=25, database=None)


def grown(tangent_map, x, k, transient, n_steps):
    """Growth per step (b, k) after a transient."""
    frame = random_frame(tangent_map, len(x), k, np.random.default_rng(11), "float64")
    settled = propagate(tangent_map, x, frame, n_steps=transient)
    return propagate(tangent_map, settled.x, settled.frame, n_steps=n_steps).log_growth / n_steps


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_the_contract_is_kept_in_the_region(name):
    m = systems.create(name)
    x = m.initial_states(16, 3)
    if name == "linear_map":  # whose region is a point
        x = np.random.default_rng(0).standard_normal((16, 3))
    report = check_map(m, x)
    assert report, str(report)


@pytest.mark.parametrize(
    "m",
    [
        systems.henon(a=1.1, b=-0.4),
        systems.logistic(r=2.7),
        systems.tent(mu=1.3),
        systems.ikeda(u=0.7, c=0.5, d=4.0),
        systems.standard(k=3.0),
        systems.kaplan_yorke_map(alpha=0.6, a=3.7),
        systems.generalized_henon(a=1.2, b=-0.3),
        systems.tinkerbell(a=0.3, b=0.6, c=2.0, d=0.27),
        systems.coupled_map_lattice(n=1),
        systems.coupled_map_lattice(n=2, r=3.1, eps=0.7),
        systems.coupled_map_lattice(n=65, r=2.9, eps=1.0),
        systems.linear_map([-0.3], rotated=True),
        systems.linear_map([-0.3, -0.1, -2.0, -5.0], rotated=True, seed=4),
        systems.random_tanh_network(n=30, g=2.0, seed=5),
        systems.random_tanh_network(n=8, dtype="float32"),
        systems.lorenz(sigma=16.0, rho=45.92, beta=4.0, tau=0.2, steps=40),
        systems.rossler(a=0.1, b=0.1, c=14.0, tau=0.5, steps=100),
        systems.lorenz96(n=4, forcing=12.0),
        systems.lorenz96(n=65, tau=0.1, steps=10),
        systems.kuramoto_sivashinsky(length=9.0, n=4),
        systems.kuramoto_sivashinsky(length=60.0, n=130, steps=2),
    ],
    ids=repr,
)
def test_the_contract_is_kept_at_other_parameters(m):
    report = check_map(m, m.initial_states(9, 1).astype(m.ops.dtype))
    assert report, str(report)


LENGTHS = {
    "standard": (400_000, 200_000, 64),  # it sticks, so it is given longer to spread, and longer to measure
    "lorenz96": (400, 1200, 16),
    "kuramoto_sivashinsky": (600, 1000, 16),
}
"""Transient, steps, trajectories."""
RESOLVED = {"lorenz96": 0.04, "kuramoto_sivashinsky": 0.015}
"""Standard error that such a run stays below: of some flows, a large one, since they are dear."""
MEASURED = [
    (info.name, dict(known.parameters))
    for info in CATALOGUE.values()
    for known in info.known
    if info.name != "linear_map"
]


@pytest.mark.parametrize(("name", "parameters"), MEASURED, ids=str)
def test_exponents_are_those_known(name, parameters):
    m = systems.create(name, **parameters)
    transient, n_steps, b = LENGTHS.get(name, (1000, 20_000, 64))
    per_step = grown(m, m.initial_states(b, 5), len(m.known.exponents), transient, n_steps)
    per_trajectory = per_step / time_per_step(m)
    mean, own_error = per_trajectory.mean(axis=0), per_trajectory.std(axis=0, ddof=1) / np.sqrt(b)
    error = np.hypot(own_error, m.known.standard_error or 0.0)
    assert (own_error < RESOLVED.get(name, 0.006)).all()
    assert (np.abs(mean - m.known_exponents) < 4 * error + 1e-9).all(), (mean, m.known_exponents, error)


@pytest.mark.parametrize(
    "m",
    [m for m in map(systems.create, CATALOGUE) if m.mean_log_abs_det is not None]
    + [systems.tent(mu=1.5), systems.kaplan_yorke_map(alpha=0.5, a=3.3), systems.ikeda(u=0.7)],
    ids=repr,
)
def test_exponents_add_up_to_the_logarithm_of_the_determinant(m):
    per_trajectory = grown(m, m.initial_states(8, 5), m.state_shape[0], 10, 3000)
    np.testing.assert_allclose(per_trajectory.sum(axis=1), m.mean_log_abs_det, atol=1e-9)


@deterministic
@given(a=st.floats(0.1, 1.4), b=st.floats(-0.4, 0.4))
def test_henon_contracts_by_b_wherever_it_is_bounded(a, b):
    assume(abs(b) > 1e-3)
    m = systems.henon(a=a, b=b)
    x = np.zeros((4, 2)) + np.linspace(-0.1, 0.1, 4)[:, None]
    frame = random_frame(m, 4, 2, np.random.default_rng(0), "float64")
    x, _, growth = m.propagate(x, frame, 500, 1)
    bounded = np.isfinite(x).all(axis=1)
    assume(bounded.any())
    np.testing.assert_allclose(growth[bounded].sum(axis=1) / 500, math.log(abs(b)), atol=1e-9)


@deterministic
@given(mu=st.floats(1e-3, 2.0))
def test_tent_grows_by_its_slope(mu):
    m = systems.tent(mu=mu)
    growth = m.propagate(m.initial_states(5, 1), np.ones((5, 1, 1)), 200, 1)[2] / 200
    np.testing.assert_allclose(growth, m.known_exponents[0], atol=1e-12)


@deterministic
@given(
    tenths=st.lists(st.integers(-10, 3), min_size=1, max_size=6),
    rotated=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_linear_maps_have_the_exponents_given(tenths, rotated, seed):
    m = systems.linear_map([0.3 * value for value in tenths], rotated=rotated, seed=seed)
    x = m.initial_states(1, 0)
    assert (np.diff(m.known_exponents) <= 0).all()
    # Directions part by 0.3 a step at least, so 250 steps align them to rounding.
    np.testing.assert_allclose(grown(m, x, len(tenths), 250, 20)[0], m.known_exponents, atol=1e-10)


def test_a_uniform_lattice_has_the_exponents_of_its_modes():
    n, r, eps = 6, 3.9, 0.2
    m = systems.coupled_map_lattice(n=n, r=r, eps=eps)
    x = np.full((1, n), 0.3)
    found = grown(m, x, n, 400, 600)[0]
    x = step_states(m, x, n_steps=400)
    slopes = []
    for _ in range(600):
        assert (x == x[0, 0]).all()
        slopes.append(r * (1 - 2 * x[0, 0]))
        x = m.apply(x)
    modes = np.log(np.abs(1 - eps + eps * np.cos(2 * np.pi * np.arange(n) / n)))
    expected = np.mean(np.log(np.abs(slopes))) + modes
    np.testing.assert_allclose(found, np.sort(expected)[::-1], atol=1e-9)


def test_a_lattice_without_coupling_is_many_logistic_maps():
    m = systems.coupled_map_lattice(n=5, r=4.0, eps=0.0)
    np.testing.assert_allclose(m.known_exponents, np.log(2))
    assert m.known.kind == "exact"
    np.testing.assert_allclose(grown(m, m.initial_states(1, 0), 5, 100, 20_000)[0], np.log(2), atol=0.03)
    assert systems.coupled_map_lattice(n=5).known is None
    assert systems.coupled_map_lattice(n=5, r=3.5, eps=0.0).known is None
    assert len(systems.coupled_map_lattice(n=5, r=3.9, eps=0.0).known.standard_error) == 5


def test_random_network_sums_to_its_mean_determinant():
    m = systems.random_tanh_network(n=40, g=1.5, seed=2)
    x = step_states(m, m.initial_states(2, 0), n_steps=200)
    frame = random_frame(m, 2, 40, np.random.default_rng(0), "float64")
    expected = np.zeros(2)
    growth = propagate(m, x, frame, n_steps=50).log_growth.sum(axis=1)
    for _ in range(50):
        expected += np.linalg.slogdet(m.jacobian(x))[1]
        x = m.apply(x)
    np.testing.assert_allclose(growth, expected, rtol=1e-9)


def test_random_weights_are_those_of_the_network():
    weights = systems.random_tanh_weights(200, 1.5, 7)
    np.testing.assert_allclose(systems.random_tanh_network(n=200, seed=7).jacobian(np.zeros((1, 200)))[0], weights)
    assert abs(weights.std() * math.sqrt(200) - 1.5) < 0.03
    assert not np.allclose(weights, systems.random_tanh_weights(200, 1.5, 8))


def a_network(**options):
    return systems.random_tanh_network(n=20, **options)


def a_rotation_and_scaling(**options):
    return systems.linear_map([-0.1, -1.0], rotated=True, **options)


@pytest.mark.parametrize("factory", [a_network, a_rotation_and_scaling])
def test_torch_versions_agree_with_numpy(factory):
    torch = pytest.importorskip("torch")
    ours, theirs = factory(), factory(framework="torch")
    x = ours.initial_states(6, 0)
    v = np.random.default_rng(1).standard_normal((*x.shape, 2))
    y, u = ours.jvp(x, v)
    y_torch, u_torch = theirs.jvp(torch.from_numpy(x), torch.from_numpy(v))
    np.testing.assert_allclose(y_torch.numpy(), y, atol=1e-14)
    np.testing.assert_allclose(u_torch.numpy(), u, atol=1e-13)
    assert check_map(theirs, x)
    assert theirs.ops.dtype == "float64"
    assert theirs.provenance["map"] == ours.name
    assert factory(framework="torch", dtype="float32").ops.dtype == "float32"


REGIONS = [name for name, info in CATALOGUE.items() if info.dimension is not None]
BOUNDS = {"lorenz": 60, "rossler": 30}
"""Beyond which orbits are lost, where it is not 10."""


@pytest.mark.parametrize("name", REGIONS)
def test_orbits_from_the_region_stay_bounded(name):
    m = systems.create(name)
    low, high = m.region
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(len(low), -1).T
    x = np.concatenate([corners, m.initial_states(500, 9)])
    x = step_states(m, x, n_steps=2000 if name in BOUNDS else 20_000)
    assert np.abs(x).max() < BOUNDS.get(name, 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", REGIONS)
def test_orbits_from_the_region_stay_bounded_for_long(name):
    m = systems.create(name)
    x = m.initial_states(4096, 10)
    x = step_states(m, x, n_steps=10_000 if name in BOUNDS else 100_000)
    assert np.abs(x).max() < BOUNDS.get(name, 10)


def test_doubling_maps_die_and_their_neighbours_live():
    for dying, living in (
        (systems.tent(), systems.tent(mu=1.999999)),
        (systems.kaplan_yorke_map(), systems.kaplan_yorke_map(a=1.999999)),
        (systems.baker(), None),
    ):
        x = dying.initial_states(50, 0)
        assert (step_states(dying, x, n_steps=1100)[:, 0] == 0).all()
        if living is not None:
            assert (step_states(living, x, n_steps=1100)[:, 0] != 0).all()


def test_initial_states_follow_the_seed():
    m = systems.henon()
    np.testing.assert_array_equal(m.initial_states(5, 3), m.initial_states(5, np.random.default_rng(3)))
    assert not np.array_equal(m.initial_states(5, 3), m.initial_states(5, 4))
    x = m.initial_states(1000, 0)
    assert x.shape == (1000, 2)
    assert (x >= m.region[0]).all()
    assert (x <= m.region[1]).all()
    with pytest.raises(LyapmapError, match="b: expected at least 1 state, got 0"):
        m.initial_states(0)


def test_a_growing_linear_map_starts_at_its_fixed_point():
    np.testing.assert_array_equal(systems.linear_map([0.1, -1.0]).initial_states(3, 0), 0)
    assert systems.linear_map([-0.1, -1.0]).initial_states(3, 0).std() > 0.1


BAD = [
    (lambda: systems.logistic(r=4.1), r"^r: expected a number in \[0, 4\], got 4.1$"),
    (lambda: systems.logistic(r=float("nan")), r"^r: expected a number in \[0, 4\], got nan$"),
    (lambda: systems.tent(mu=0), r"^mu: expected a number in \(0, 2\], got 0$"),
    (lambda: systems.tent(mu="steep"), r"^mu: expected a number in \(0, 2\], got 'steep'$"),
    (lambda: systems.henon(a=math.inf), "^a: expected a finite number, got inf$"),
    (lambda: systems.lozi(b=None), "^b: expected a finite number, got None$"),
    (lambda: systems.ikeda(d=math.nan), "^d: expected a finite number, got nan$"),
    (lambda: systems.tinkerbell(c=-math.inf), "^c: expected a finite number, got -inf$"),
    (lambda: systems.standard(k=math.nan), "^k: expected a finite number, got nan$"),
    (lambda: systems.generalized_henon(b=math.nan), "^b: expected a finite number, got nan$"),
    (lambda: systems.kaplan_yorke_map(alpha=0), r"^alpha: expected a number in \(0, 1\], got 0$"),
    (lambda: systems.kaplan_yorke_map(a=0.5), "^a: expected a number >= 1, got 0.5$"),
    (lambda: systems.coupled_map_lattice(n=0), "^n: expected at least 1, got 0$"),
    (lambda: systems.coupled_map_lattice(n=2.5), "^n: expected an integer, got 2.5$"),
    (lambda: systems.coupled_map_lattice(eps=1.5), r"^eps: expected a number in \[0, 1\], got 1.5$"),
    (lambda: systems.random_tanh_network(n=-3), "^n: expected at least 1, got -3$"),
    (lambda: systems.random_tanh_network(seed=-1), "^seed: expected at least 0, got -1$"),
    (lambda: systems.random_tanh_network(n="many"), "^n: expected an integer, got 'many'$"),
    (lambda: systems.random_tanh_network(framework="jax"), "^framework: expected 'numpy' or 'torch', got 'jax'$"),
    (lambda: systems.random_tanh_network(device="cuda"), "^device: expected 'cpu' with framework='numpy', got 'cuda'$"),
    (lambda: systems.random_tanh_network(dtype="float16"), "^dtype: expected 'float32' or 'float64', got 'float16'$"),
    (lambda: systems.lorenz(rho=math.nan), "^rho: expected a finite number, got nan$"),
    (lambda: systems.lorenz(tau=0), "^tau: expected a number > 0, got 0$"),
    (lambda: systems.rossler(steps=0), "^steps: expected at least 1, got 0$"),
    (lambda: systems.lorenz96(n=3), "^n: expected at least 4, got 3$"),
    (lambda: systems.kuramoto_sivashinsky(length=-1), "^length: expected a number > 0, got -1$"),
    (lambda: systems.kuramoto_sivashinsky(n=3.5), "^n: expected an integer, got 3.5$"),
    (lambda: systems.kuramoto_sivashinsky_profile([1.0, 2.0, 3.0], 8), "^states: expected an even number of values"),
    (lambda: systems.kuramoto_sivashinsky_profile(np.zeros((2, 4)), 4), "^n: expected more than 4 points"),
    (lambda: systems.linear_map([]), "^exponents: expected a sequence of finite numbers <= 700, got "),
    (lambda: systems.linear_map([0.1, math.nan]), "^exponents: expected a sequence of finite numbers"),
    (lambda: systems.linear_map([[0.1], [0.2]]), "^exponents: expected a sequence of finite numbers"),
    (lambda: systems.linear_map(["fast"]), "^exponents: expected a sequence of finite numbers"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(LyapmapError, match=message):
        make()


@pytest.mark.parametrize(("n", "k"), [(3, 1), (9, 6), (64, 10)])
def test_the_compiled_tanh_network_is_the_matrix_map(n, k):
    compiled = systems.random_tanh_network(n=n, seed=2)
    matrix = MatrixMap(systems.random_tanh_weights(n, 1.5, 2), tanh=True, dtype="float64")
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((3, n)), rng.standard_normal((3, n, min(k, n)))
    for ours, theirs in zip(compiled.jvp(x, v), matrix.jvp(x, v), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13)
    np.testing.assert_array_equal(compiled.apply(x), compiled.jvp(x, v)[0])
    np.testing.assert_allclose(compiled.jacobian(x), matrix.jacobian(x), atol=1e-13)
