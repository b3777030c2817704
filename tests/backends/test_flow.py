"""Flows of any backend: exact solutions, order, tolerance, agreement, errors."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import RK45, solve_ivp
from scipy.linalg import expm

import lyapmap as lm
from lyapmap.backends.numba.flow import CompiledFlow, LaneRule
from lyapmap.core.conformance import check_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.map import FlowMap
from lyapmap.core.flows.schemes import ERRORS, STAGES, DormandPrince, RungeKutta4
from lyapmap.core.flows.stiff import Automatic, Rodas4
from lyapmap.core.propagate import propagate, random_frame, step_states

METHODS = [{"method": "dopri5"}, {"method": "rk4", "steps": 40}]
X = np.array([[1.0, 2.0, 20.0], [5.0, 5.0, 25.0], [-8.0, -9.0, 30.0]])
V = np.random.default_rng(1).standard_normal((3, 3, 2))


def lorenz(s):
    x, y, z = s[:, 0], s[:, 1], s[:, 2]
    return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)


def lorenz_jacobian(s):
    out = np.zeros((len(s), 3, 3))
    x, y, z = s[:, 0], s[:, 1], s[:, 2]
    out[:, 0, 0], out[:, 0, 1] = -10, 10
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = 28 - z, -1, -x
    out[:, 2, 0], out[:, 2, 1], out[:, 2, 2] = y, x, -8 / 3
    return out


def linear(matrix):
    return lambda x: x @ matrix.T


@pytest.fixture(scope="module")
def compiled():
    """Lorenz's field as Numba functions of one state."""
    import numba

    @numba.njit
    def field(s):
        out = np.empty(3)
        out[0] = 10 * (s[1] - s[0])
        out[1] = s[0] * (28 - s[2]) - s[1]
        out[2] = s[0] * s[1] - 8 / 3 * s[2]
        return out

    @numba.njit
    def jacobian(s):
        out = np.zeros((3, 3))
        out[0, 0], out[0, 1] = -10.0, 10.0
        out[1, 0], out[1, 1], out[1, 2] = 28 - s[2], -1.0, -s[0]
        out[2, 0], out[2, 1], out[2, 2] = s[1], s[0], -8 / 3
        return out

    return field, jacobian


@pytest.mark.parametrize("options", METHODS, ids=str)
@settings(max_examples=20)
@given(
    entries=st.lists(st.floats(-1.5, 1.5), min_size=9, max_size=9),
    tau=st.floats(0.05, 1.0),
)
def test_linear_flows_are_exponentials_of_matrices(options, entries, tau):
    matrix = np.array(entries).reshape(3, 3)
    m = lm.flow(
        linear(matrix), tau, state_shape=3, jacobian=lambda x: np.broadcast_to(matrix, (len(x), 3, 3)), **options
    )
    x = np.random.default_rng(0).standard_normal((4, 3))
    y, u = m.jvp(x, np.random.default_rng(1).standard_normal((4, 3, 2)))
    exact = expm(tau * matrix)
    np.testing.assert_allclose(y, x @ exact.T, atol=2e-7)
    np.testing.assert_allclose(u, exact @ np.random.default_rng(1).standard_normal((4, 3, 2)), atol=2e-7)


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_the_map_is_that_of_another_solver(options):
    m = lm.flow(lorenz, 0.1, state_shape=3, **options)
    for x, y in zip(X, m.apply(X), strict=True):
        other = solve_ivp(lambda t, s: lorenz(s[None])[0], (0, 0.1), x, method="DOP853", rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(y, other.y[:, -1], rtol=1e-6)


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_flows_run_backwards(options):
    there = lm.flow(lorenz, 0.3, state_shape=3, **options)
    back = lm.flow(lambda s: -lorenz(s), 0.3, state_shape=3, **options)
    y, u = there.jvp(X, V)
    x, v = back.jvp(y, u)
    np.testing.assert_allclose(x, X, atol=2e-3 if "steps" in options else 1e-5)
    np.testing.assert_allclose(v, V, atol=2e-3 if "steps" in options else 1e-5)


def test_the_coefficients_are_those_of_another_library():
    stages = np.array([[*row, *[0.0] * (6 - len(row))] for row in STAGES])
    np.testing.assert_allclose(stages[:5, :5], RK45.A[1:], atol=1e-15)
    np.testing.assert_allclose(stages[5], RK45.B, atol=1e-15)
    np.testing.assert_allclose(ERRORS, -RK45.E, atol=1e-15)


def test_runge_kutta_is_of_order_four():
    exact, tangents = lm.flow(lorenz, 0.2, state_shape=3, rtol=1e-13, atol=1e-13).jvp(X, V)
    errors = []
    for steps in (40, 80, 160):
        y, u = lm.flow(lorenz, 0.2, state_shape=3, method="rk4", steps=steps).jvp(X, V)
        errors.append((np.abs(y - exact).max(), np.abs(u - tangents).max()))
    orders = np.log2(np.array(errors)[:-1] / np.array(errors)[1:])
    assert (np.abs(orders - 4) < 0.25).all(), orders


def test_the_error_follows_the_tolerance():
    exact = lm.flow(lorenz, 0.5, state_shape=3, rtol=1e-13, atol=1e-13).apply(X)
    errors = [
        np.abs(lm.flow(lorenz, 0.5, state_shape=3, rtol=tolerance, atol=tolerance).apply(X) - exact).max()
        for tolerance in (1e-5, 1e-7, 1e-9)
    ]
    assert errors[0] < 1e-2
    assert errors[1] < errors[0] / 20
    assert errors[2] < errors[1] / 20


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_the_contract_is_kept_by_every_backend(options, compiled):
    torch = pytest.importorskip("torch")

    def of_tensors(s):
        x, y, z = s[:, 0], s[:, 1], s[:, 2]
        return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)

    field, jacobian = compiled
    maps = {
        "complex step": lm.flow(lorenz, 0.1, state_shape=3, **options),
        "jacobian given": lm.flow(lorenz, 0.1, state_shape=3, jacobian=lorenz_jacobian, **options),
        "numba": lm.flow(field, 0.1, state_shape=3, jacobian=jacobian, **options),
        "torch": lm.flow(of_tensors, 0.1, state_shape=3, backend="torch", dtype="float64", **options),
    }
    assert isinstance(maps["numba"], CompiledFlow)
    assert maps["complex step"].derivative == "complex step"
    first, tangents = maps["complex step"].jvp(X, V)
    for name, m in maps.items():
        report = check_map(m, X)
        assert report, f"{name}\n{report}"
        y, u = m.jvp(m.ops.from_numpy(X), m.ops.from_numpy(V))
        np.testing.assert_allclose(m.ops.to_numpy(y), first, atol=1e-10)
        np.testing.assert_allclose(m.ops.to_numpy(u), tangents, atol=1e-10)
        assert m.time_per_step == m.provenance["tau"] == 0.1
        assert m.provenance["method"] == options["method"]


@pytest.mark.parametrize("options", METHODS, ids=str)
def test_compiled_blocks_agree_with_the_generic_loop(options, compiled):
    assert lm.flow(compiled[0], 0.1, state_shape=3, **options).derivative == "dual numbers"
    m = lm.flow(compiled[0], 0.1, state_shape=3, jacobian=compiled[1], **options)

    class Bare:
        """The same map without its own way over blocks."""

        def __init__(self):
            self.state_shape, self.ops = m.state_shape, m.ops
            self.apply, self.jvp, self.jacobian = m.apply, m.jvp, m.jacobian

    frame = random_frame(m, 3, 3, np.random.default_rng(0), "float64")
    ours = propagate(m, X, frame, n_steps=7, qr_every=2)
    loop = propagate(Bare(), X, frame, n_steps=7, qr_every=2)
    np.testing.assert_allclose(ours.x, loop.x, rtol=1e-12)
    np.testing.assert_allclose(ours.log_growth, loop.log_growth, atol=1e-9)
    np.testing.assert_allclose(np.abs(ours.frame), np.abs(loop.frame), atol=1e-9)


def test_trajectories_choose_their_own_steps():
    m = lm.flow(lorenz, 0.2, state_shape=3)
    together, tangents = m.jvp(X, V)
    for i in range(3):
        alone, own = m.jvp(X[i : i + 1], V[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
        np.testing.assert_array_equal(own[0], tangents[i])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_what_cannot_be_integrated_becomes_nan_and_has_escaped(backend):
    pytest.importorskip(backend)
    square = lm.wrap(lambda x: x * x, state_shape=1, backend=backend, dtype="float64")
    m = lm.flow(square, 1.0, state_shape=1)
    x = m.ops.from_numpy(np.array([[0.5], [2.0], [1e200], [np.nan]]))
    v = m.ops.from_numpy(np.ones((4, 1, 1)))
    y, u = (m.ops.to_numpy(array).ravel() for array in m.jvp(x, v))
    np.testing.assert_allclose(y[0], 1.0, rtol=1e-7)
    np.testing.assert_allclose(u[0], 4.0, rtol=1e-6)  # d/dx of x / (1 - x)
    assert np.isnan(y[1:]).all()
    assert np.isnan(u[1:]).all()
    if backend == "torch":  # whose steps are slow, and the same here
        return
    with pytest.raises(lm.RunError, match="escaped"):
        lm.lyapunov_spectrum(m, np.array([[0.4]]), n_steps=20, seed=0)


def test_spectra_are_per_unit_time():
    matrix = np.array([[0.0, 2.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, -0.7]])
    jacobian = lambda x: np.broadcast_to(matrix, (len(x), 3, 3))  # noqa: E731
    for tau in (0.5, 1.0):
        m = lm.flow(linear(matrix), tau, state_shape=3, jacobian=jacobian, method="rk4", dt=0.025)
        s = lm.lyapunov_spectrum(m, [1.0, 0.0, 0.0], n_steps=60, transient=60, seed=0, throw=False)
        np.testing.assert_allclose(s.exponents, [0.0, 0.0, -0.7], atol=1e-6)
        assert s.unit == "per unit time"


def test_a_forced_oscillator_with_its_phase_as_a_coordinate():
    """x'' = -x - 0.2 x' + cos 2t: exponents -0.1, -0.1 of the oscillator and 0 of the phase."""

    def forced(s):
        return np.stack([s[:, 1], -s[:, 0] - 0.2 * s[:, 1] + np.cos(s[:, 2]), 2 + 0 * s[:, 2]], axis=1)

    m = lm.flow(forced, 0.5, state_shape=3, method="rk4", steps=5)
    x, frame = np.zeros((1, 3)), random_frame(lm.wrap(forced, state_shape=3), 1, 3, np.random.default_rng(0), "float64")
    settled = propagate(m, x, frame, n_steps=50)
    growth = propagate(m, settled.x, settled.frame, n_steps=400).log_growth / (400 * m.time_per_step)
    np.testing.assert_allclose(growth[0], [0.0, -0.1, -0.1], atol=5e-3)


def test_steps_of_a_given_length():
    for tau, dt, steps in ((0.3, 0.1, 3), (0.1, 0.03, 4), (1.0, 0.1, 10)):
        assert lm.flow(lorenz, tau, state_shape=3, method="rk4", dt=dt).scheme == RungeKutta4(steps)


def test_float32_has_tolerances_of_its_own():
    m = lm.flow(lambda x: -x, 1.0, state_shape=2, dtype="float32")
    assert m.scheme == Automatic(DormandPrince(1e-5, 1e-5), Rodas4(1e-4, 1e-4))
    y = m.apply(np.ones((2, 2), np.float32))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, np.exp(-1), rtol=1e-4)


def test_a_flow_is_composed_and_settles():
    m = lm.flow(lambda x: -x, 0.5, state_shape=1)
    assert lm.iterate(m, 4).time_per_step == 2.0
    np.testing.assert_allclose(step_states(m, np.array([[1.0]]), n_steps=4), np.exp(-2), rtol=1e-7)


def test_maps_that_depend_on_the_step_are_no_fields():
    with pytest.raises(lm.LyapmapError, match=r"^field: a vector field that depends on the step"):
        FlowMap(lm.noisy(lm.wrap(lambda x: -x, state_shape=1), scale=0.1), 1.0, RungeKutta4(1))


def test_lanes_take_equal_steps_only():
    rule = LaneRule(lambda p, x: ((-x,), (-1.0,)), ((True,),))
    with pytest.raises(lm.LyapmapError, match=r"^scheme: "):
        CompiledFlow(rule, 1.0, DormandPrince(1e-9, 1e-9), state_shape=(1,))


BAD = [
    ({"tau": 0}, "^tau: expected a positive number, got 0$"),
    ({"tau": -0.1}, "^tau: expected a positive number"),
    ({"tau": np.inf}, "^tau: expected a finite time, got inf$"),
    ({"tau": "soon"}, "^tau: expected a positive number, got 'soon'$"),
    ({"method": "euler"}, "^method: expected one of 'auto', 'dopri5', 'rodas4', 'rk4', got 'euler'$"),
    ({"method": "rk4"}, "^steps: method='rk4' needs one of steps and dt, got neither$"),
    ({"method": "rk4", "steps": 2, "dt": 0.1}, "^steps: .* got both$"),
    ({"method": "rk4", "steps": 0}, "^steps: expected at least 1, got 0$"),
    ({"method": "rk4", "dt": 0.2}, "^dt: expected a step within tau = 0.1, got 0.2$"),
    ({"method": "rk4", "dt": np.nan}, "^dt: expected a positive number"),
    ({"method": "rk4", "steps": 2, "rtol": 1e-6}, "^rtol: method='rk4' does not take it, got 1e-06$"),
    ({"steps": 4}, "^steps: method='auto' does not take it, got 4$"),
    ({"rtol": 1e-17}, "^rtol: expected 2.2e-15 to 1 in float64, got 1e-17$"),
    ({"atol": 0}, "^atol: expected a positive number, got 0$"),
    ({"state_shape": 2}, "^rhs: "),
    ({"state_shape": None}, "^state_shape: "),
    ({"rhs": lambda s: s[:, :2]}, "^rhs: expected"),
    ({"rhs": 3}, "^rhs: expected a function"),
    ({"rhs": lm.systems.lorenz()}, "^rhs: expected a vector field, got a map that is a flow already$"),
    ({"speed": 3}, "^options: "),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_bad_arguments_are_named(options, message):
    options = {"rhs": lorenz, "tau": 0.1, "state_shape": 3} | options
    with pytest.raises(lm.LyapmapError, match=message):
        lm.flow(options.pop("rhs"), options.pop("tau"), **options)


@pytest.mark.parametrize("compiled", [True, False], ids=["njit", "numpy"])
def test_equal_steps_over_a_long_time_keep_every_exponent(compiled):
    """Rates 3 and -40, turned, over tau = 4: e^12 beside e^-160."""
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    matrix = turn @ np.diag([3.0, -40.0]) @ turn.T

    @numba.njit
    def field(s):
        return matrix @ s

    m = lm.flow(field if compiled else (lambda s: s @ matrix.T), 4.0, state_shape=2, method="rk4", steps=400)
    result = lm.lyapunov_spectrum(m, [0.0, 0.0], n_steps=10, transient=1, seed=0, throw=False)
    np.testing.assert_allclose(result.exponents, [3.0, -40.0], rtol=2e-3)


def test_a_numba_field_that_fills_an_array_is_told_so():
    @numba.njit
    def field(s, out):
        out[0] = s[0]

    with pytest.raises(LyapmapError, match=r"rhs: takes \(s, out\); a field returns the velocity"):
        lm.flow(field, 0.1, state_shape=2)
