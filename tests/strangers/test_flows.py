"""Vector fields as strangers bring them, against closed forms and an integration by SciPy that shares nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import lyapmap as lm
from lyapmap.core.conformance import check_map
from lyapmap.core.flows import schemes as flow_schemes
from lyapmap.core.propagate import propagate, random_frame

ADAPTIVE = ("auto", "dopri5", "rodas4")


def linear(*rates):
    return lambda s: s * np.array(rates)


def pendulum(s):
    return np.stack([s[:, 1], -np.sin(s[:, 0]) - 0.5 * s[:, 1]], 1)


def lorenz(rho):
    def field(s):
        x, y, z = s[:, 0], s[:, 1], s[:, 2]
        return np.stack([10 * (y - x), x * (rho - z) - y, x * y - 8 / 3 * z], 1)

    return field


def van_der_pol(mu):
    return lambda s: np.stack([s[:, 1], mu * (1 - s[:, 0] ** 2) * s[:, 1] - s[:, 0]], 1)


def ring(s):
    """The limit cycle of Stuart and Landau, with exponents 0 and -2."""
    x, y = s[:, 0], s[:, 1]
    r = x**2 + y**2
    return np.stack([x - 3 * y - r * x, 3 * x + y - r * y], 1)


def two_rings(s):
    return np.concatenate([ring(s[:, :2]), np.sqrt(2) * ring(s[:, 2:])], 1)


def spiral(s):
    return np.stack([-0.1 * s[:, 0] - 5 * s[:, 1], 5 * s[:, 0] - 0.1 * s[:, 1]], 1)


def bilinear(s):
    """An oscillator with a spring of two kinds: a kink in the field at 0."""
    x, y = s[:, 0], s[:, 1]
    return np.stack([y, -np.where(x > 0, x, 4 * x) - 0.2 * y], 1)


def delay_line(s):
    """A delay of one by a chain of 12 steps, fed back: linear, so exponents are parts of eigenvalues."""
    return s @ DELAY.T


DELAY = 12 * (np.eye(12, k=-1) - np.eye(12))
DELAY[0] = 0
DELAY[0, 0], DELAY[0, -1] = -0.2, -1.0

AT_REST = {
    "decay": (linear(-1.0), 5.0, [1.0], [-1.0]),
    "decay over a long tau": (linear(-1.0), 50.0, [1.0], [-1.0]),
    "fast and slow": (linear(-1.0, -100.0), 0.1, [1.0, 1.0], [-1.0, -100.0]),
    "fast and slow over a long tau": (linear(-1.0, -1000.0), 2.0, [1.0, 1.0], [-1.0, -1000.0]),
    "pendulum": (pendulum, 2 * np.pi, [1.0, 0.0], [-0.25, -0.25]),
    "pendulum over a long tau": (pendulum, 40.0, [1.0, 0.0], [-0.25, -0.25]),
    "spiral": (spiral, 3.0, [1.0, 0.0], [-0.1, -0.1]),
    "lorenz": (lorenz(13.0), 0.5, [1.0, 1.0, 1.0], [-0.44078, -0.44078, -12.78511]),
    "lorenz over a long tau": (lorenz(13.0), 4.0, [1.0, 1.0, 1.0], [-0.44078, -0.44078, -12.78511]),
    "delay line": (delay_line, 1.0, np.ones(12), np.sort(np.linalg.eigvals(DELAY).real)[::-1]),
    "kink": (bilinear, 2.0, [1.0, 0.0], [-0.1, -0.1]),
}


def spectrum(m, x0, n_steps=40, transient=40, **options):
    return lm.lyapunov_spectrum(m, x0, n_steps=n_steps, transient=transient, seed=0, throw=False, **options)


@pytest.mark.parametrize("name", AT_REST)
def test_rest_points(name):
    field, tau, x0, exact = AT_REST[name]
    s = spectrum(lm.flow(field, tau, state_shape=len(x0)), x0, transient=max(40, round(60 / tau)))
    off = np.abs(s.exponents - exact)
    assert (off <= 2e-3 * np.abs(exact).max() + 4 * s.stderr).all(), (s.exponents, s.stderr)
    assert off[0] <= 2e-3 * max(abs(exact[0]), 0.1) + 4 * s.stderr[0], (s.exponents, s.stderr)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_methods_agree_on_what_a_frame_becomes(method):
    """Rates 1 and 60 over tau = 0.5, turned so that no coordinate is theirs: e^-30 beside e^-0.5."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))[0]
    matrix = turn @ np.array([[-1.0, 5.0], [0.0, -60.0]]) @ turn.T
    m = lm.flow(lambda s: s @ matrix.T, 0.5, state_shape=2, method=method)
    frame = np.broadcast_to(turn, (1, 2, 2)).copy()
    growth = propagate(m, np.ones((1, 2)), frame, n_steps=3).log_growth
    np.testing.assert_allclose(growth, [[-1.5, -90.0]], rtol=1e-5)


CYCLES = {
    "ring": (ring, 0.5, [1.0, 0.2], [0.0, -2.0]),
    "torus": (two_rings, 0.5, [1.0, 0.2, 0.5, 0.5], [0.0, 0.0, -2.0, -2 * np.sqrt(2)]),
}


@pytest.mark.parametrize("name", ["ring", pytest.param("torus", marks=pytest.mark.slow)])
def test_cycles_and_tori(name):
    field, tau, x0, exact = CYCLES[name]
    s = spectrum(lm.flow(field, tau, state_shape=len(x0)), x0, n_steps=max(10, round(60 / tau)))
    assert (np.abs(s.exponents - exact) <= 5e-3 + 4 * s.stderr).all(), (s.exponents, s.stderr)


def grown(field, x0, time, divergence):
    """End of an orbit and the integral of the divergence along it, by SciPy's Radau."""
    out = solve_ivp(
        lambda t, z: [*field(z[None, :-1])[0], divergence(z)],
        (0, time),
        [*x0, 0.0],
        method="Radau",
        rtol=1e-8,
        atol=1e-10,
    )
    return out.y[:-1, -1], out.y[-1, -1]


def robertson(s):
    """Kinetics with rates from 0.04 to 3e7, one quantity conserved."""
    a, b, c = s[:, 0], s[:, 1], s[:, 2]
    slow, fast, back = 0.04 * a, 3e7 * b**2, 1e4 * b * c
    return np.stack([back - slow, slow - back - fast, fast], 1)


STIFF = {
    "van der Pol 10": (van_der_pol(10.0), [2.0, 0.0], 0.5, 40, lambda z: 10 * (1 - z[0] ** 2), 1e-3),
    "van der Pol 100": (van_der_pol(100.0), [1.2, -1.0], 0.5, 60, lambda z: 100 * (1 - z[0] ** 2), 1e-3),
    "van der Pol 1000": (van_der_pol(1000.0), [1.2, -1.0], 2.0, 20, lambda z: 1000 * (1 - z[0] ** 2), 1e-3),
    "Robertson": (robertson, [1.0, 1e-5, 0.0], 1.0, 10, lambda z: -0.04 - 6e7 * z[1] - 1e4 * z[2], 1e-3),
}


@pytest.mark.parametrize("name", STIFF)
def test_stiff_fields(name):
    """All directions together lose what the divergence says, and the velocity is carried to the velocity."""
    field, x0, tau, n_steps, divergence, tolerance = STIFF[name]
    fine = {"rtol": 1e-7, "atol": 1e-12} if name == "Robertson" else {}
    m, n = lm.flow(field, tau, state_shape=len(x0), **fine), len(x0)
    x = np.array([x0])
    along = field(x)[0]
    frame = np.linalg.qr(np.column_stack([along, np.random.default_rng(0).standard_normal((n, n - 1))]))[0]
    carried = propagate(m, x, frame[None], n_steps=n_steps)
    end, total = grown(field, x0, tau * n_steps, divergence)
    np.testing.assert_allclose(carried.x[0], end, rtol=2e-4, atol=1e-6)
    assert abs(carried.log_growth.sum() / total - 1) < tolerance, (carried.log_growth, total)
    stretched = np.log(np.linalg.norm(field(carried.x)[0]) / np.linalg.norm(along))
    assert abs(carried.log_growth[0, 0] - stretched) < 2e-3 * max(1, abs(stretched))
    assert "rodas4 was used" in m.provenance["stiff"]
    assert abs(m.log_abs_det(x, n_steps)[0] / total - 1) < tolerance


def test_a_synchronised_manifold():
    """Two Lorenz systems on one orbit: differences grow as tangents do, less by twice the coupling."""
    coupling, time = 10.0, 4.0

    def pair(s):
        a, b = s[:, :3], s[:, 3:]
        field = lorenz(28.0)
        return np.concatenate([field(a) + coupling * (b - a), field(b) + coupling * (a - b)], 1)

    x = np.array([[1.0, 2.0, 20.0]])
    alone = lm.flow(lorenz(28.0), 1.0, state_shape=3)
    frame = random_frame(alone, 1, 3, np.random.default_rng(0), "float64")
    wanted = propagate(alone, x, frame, n_steps=round(time)).log_growth[0]
    m = lm.flow(pair, 1.0, state_shape=6)
    both = np.block([[frame[0], frame[0]], [frame[0], -frame[0]]]) / np.sqrt(2)
    found = propagate(m, np.hstack([x, x]), both[None], n_steps=round(time)).log_growth[0]
    np.testing.assert_allclose(found, [*wanted, *(wanted - 2 * coupling * time)], rtol=1e-4, atol=2e-3)


def test_hamiltonian_exponents_come_in_pairs():
    def henon_heiles(s):
        x, y, p, q = s.T
        return np.stack([p, q, -x - 2 * x * y, -y - x**2 + y**2], 1)

    m = lm.flow(henon_heiles, 5.0, state_shape=4)
    frame = random_frame(m, 1, 4, np.random.default_rng(0), "float64")
    growth = propagate(m, np.array([[0.0, 0.1, 0.35, 0.35]]), frame, n_steps=8).log_growth[0]
    assert abs(growth.sum()) < 1e-5


# Fields that depend on time: x'' = x - x^3 - 0.3 x' + 0.5 cos 1.2 t in the ways people write it.
DAMPING, PERIOD = 0.3, 2 * np.pi / 1.2


def duffing_rows(t, s):
    return np.stack([s[:, 1], s[:, 0] - s[:, 0] ** 3 - DAMPING * s[:, 1] + 0.5 * np.cos(1.2 * t)], 1)


def duffing_scipy(t, y):
    x, v = y
    return [v, x - x**3 - DAMPING * v + 0.5 * np.cos(1.2 * t)]


def duffing_swapped(y, t):
    return np.array([y[1], y[0] - y[0] ** 3 - DAMPING * y[1] + 0.5 * np.cos(1.2 * t)])


@pytest.mark.parametrize("field", [duffing_rows, duffing_scipy, duffing_swapped])
def test_forced_fields_in_every_order(field):
    m = lm.flow(field, 0.5, state_shape=2, period=PERIOD)
    x = np.array([[0.3, 0.1], [-0.5, 0.2], [1.0, 1.0]])
    y = x
    for step in range(8):
        y = m.at(step).apply(y)
    for start, end in zip(x, y, strict=True):
        other = solve_ivp(duffing_scipy, (0, 4.0), start, method="DOP853", rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(end, other.y[:, -1], atol=1e-6)
    growth = propagate(m, x, random_frame(m, 3, 2, np.random.default_rng(0), "float64"), n_steps=8).log_growth
    np.testing.assert_allclose(growth.sum(axis=1), -DAMPING * 4.0, atol=1e-5)  # and no zero of the clock


def test_the_stroboscopic_map_is_an_ordinary_one():
    strobe = lm.flow(duffing_scipy, 2 * PERIOD, state_shape=2, period=PERIOD)
    assert not strobe.depends_on_step
    x = np.array([[0.3, 0.1]])
    frame = random_frame(strobe, 1, 2, np.random.default_rng(0), "float64")
    growth = propagate(strobe, x, frame, n_steps=3).log_growth
    np.testing.assert_allclose(growth.sum(), -DAMPING * 6 * PERIOD, atol=1e-4)
    steps = lm.flow(duffing_scipy, PERIOD / 4, state_shape=2, period=PERIOD)
    y = x
    for step in range(8):
        y = steps.at(step).apply(y)
    np.testing.assert_allclose(strobe.apply(x), y, atol=1e-7)


def test_a_clock_that_is_not_looked_at_is_no_clock():
    m = lm.flow(lambda t, y: [y[1], -y[0]], 0.5, state_shape=2)
    assert not m.depends_on_step
    np.testing.assert_allclose(m.apply(np.array([[1.0, 0.0]])), [[np.cos(0.5), -np.sin(0.5)]], atol=1e-8)


def test_a_state_at_a_time_is_found_out():
    m = lm.flow(lambda y: [y[1], -y[0]], 0.5, state_shape=2)
    np.testing.assert_allclose(m.apply(np.array([[1.0, 0.0]])), [[np.cos(0.5), -np.sin(0.5)]], atol=1e-8)


@pytest.mark.parametrize(
    "library", ["torch module", *(pytest.param(name, marks=pytest.mark.slow) for name in ("torch", "jax", "numba"))]
)
def test_forced_fields_of_every_library(library):
    pytest.importorskip(library.split(maxsplit=1)[0])
    wanted = lm.flow(duffing_rows, 0.5, state_shape=2)
    x = np.array([[0.3, 0.1], [-0.5, 0.2], [1.0, 1.0]])
    options = {"dtype": "float64"}
    if library == "jax":
        import jax.numpy as jnp

        def field(t, y):
            return jnp.stack([y[1], y[0] - y[0] ** 3 - DAMPING * y[1] + 0.5 * jnp.cos(1.2 * t)])

        options = {"backend": "jax"}
    elif library == "numba":
        import numba

        @numba.njit
        def field(t, y):
            return np.array([y[1], y[0] - y[0] ** 3 - DAMPING * y[1] + 0.5 * np.cos(1.2 * t)])

        options = {}
    else:
        import torch

        def field(t, y):
            x, v = y[..., 0], y[..., 1]
            return torch.stack([v, x - x**3 - DAMPING * v + 0.5 * torch.cos(1.2 * t)], -1)

        if library == "torch module":

            class Field(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.damping = torch.nn.Parameter(torch.tensor(DAMPING, dtype=torch.float64))

                def forward(self, t, y):
                    x, v = y[..., 0], y[..., 1]
                    return torch.stack([v, x - x**3 - self.damping * v + 0.5 * torch.cos(1.2 * t)], -1)

            field, options = Field().eval(), {}
    m = lm.flow(field, 0.5, state_shape=2, **options)
    single = m.ops.dtype == "float32"
    y = m.at(3).apply(m.ops.from_numpy(x))
    np.testing.assert_allclose(m.ops.to_numpy(y), wanted.at(3).apply(x), atol=1e-3 if single else 1e-7)
    volume = np.linalg.slogdet(m.ops.to_numpy(m.at(3).jacobian(m.ops.from_numpy(x))).astype(float))[1]
    np.testing.assert_allclose(volume, -DAMPING * 0.5, atol=1e-3 if single else 1e-6)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_single_precision(library):
    pytest.importorskip(library)
    if library == "torch":
        import torch

        m = lm.flow(lambda s: s * torch.tensor([-1.0, -30.0]), 0.5, state_shape=2, dtype="float32")
    else:
        import jax.numpy as jnp

        m = lm.flow(lambda s: s * jnp.array([-1.0, -30.0]), 0.5, state_shape=2, backend="jax", dtype="float32")
    s = spectrum(m, [1.0, 1.0], n_steps=20, transient=5)
    np.testing.assert_allclose(s.exponents, [-1.0, -30.0], rtol=2e-3)


def test_a_rotation_keeps_within_its_period():
    def rotor(s):
        return np.stack([s[:, 1], 1.0 - 0.5 * s[:, 1] - 0.3 * np.sin(s[:, 0])], 1)

    free = lm.flow(rotor, 0.5, state_shape=2)
    bound = lm.flow(rotor, 0.5, state_shape=2, periods={0: 2 * np.pi})
    x = np.array([[0.0, 2.0]])
    drifted = lm.trajectory(free, x, n_steps=200)
    assert "component 0 drifts" in drifted.message
    assert lm.correlation_dimension(drifted, theiler=1, seed=0, throw=False).status == "not_converged"
    kept = lm.trajectory(bound, x, n_steps=200)
    assert not kept.message
    np.testing.assert_allclose(np.exp(1j * kept.states[0, :, 0]), np.exp(1j * drifted.states[0, :, 0]), atol=1e-4)
    assert kept.states[..., 0].min() >= 0
    assert kept.states[..., 0].max() < 2 * np.pi
    np.testing.assert_allclose(bound.jacobian(x), free.jacobian(x))
    later = lm.trajectory(free, x, n_steps=200, periods={0: 2 * np.pi})
    assert not later.message
    np.testing.assert_allclose(later.states, kept.states, atol=1e-4)


def test_periods_of_a_map_and_what_they_must_be():
    turn = lm.wrap(lambda s: s + 0.7, state_shape=1, periods=[1.0])
    np.testing.assert_allclose(turn.apply(np.array([[0.2], [0.5]])), [[0.9], [0.2]])
    np.testing.assert_allclose(turn.jacobian(np.array([[0.5]])), [[[1.0]]])
    for periods, message in (
        ({1: 1.0}, "^periods: expected coordinates below 1, got 1$"),
        ([1.0, 2.0], "^periods: expected 1 values"),
        ({0: -1.0}, "^periods: expected a positive number"),
        (3, "^periods: expected a dict"),
    ):
        with pytest.raises(lm.LyapmapError, match=message):
            lm.wrap(lambda s: s + 0.7, state_shape=1, periods=periods)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arguments": "t"}, "^arguments: expected one of"),
        ({"period": -1.0}, "^period: expected a positive number"),
        ({"start": np.inf}, "^start: expected a finite time"),
        ({"state_shape": None}, "^state_shape: "),
        ({"rhs": linear(-1.0, -1.0), "period": 1.0}, "^period: rhs does not take the time"),
        ({"rhs": lambda t, y: [y[5], t]}, "^rhs: "),
    ],
    ids=["arguments", "period", "start", "state_shape", "clock", "rhs"],
)
def test_bad_clocks_are_named(options, message):
    options = {"rhs": duffing_scipy, "state_shape": 2} | options
    with pytest.raises(lm.LyapmapError, match=message):
        lm.flow(options.pop("rhs"), 0.5, **options)


# What cannot be trusted is said.
@pytest.mark.parametrize(
    ("steps", "field", "n"), [(1, linear(-100.0), 1), (5, linear(-1.0, -100.0), 2), (1, van_der_pol(100.0), 2)]
)
def test_equal_steps_that_are_too_long_are_refused(steps, field, n):
    m = lm.flow(field, 0.1, state_shape=n, method="rk4", steps=steps)
    with pytest.raises(lm.LyapmapError, match=r"^steps: .* too long"):
        spectrum(m, np.full(n, 0.5))


def test_a_field_that_is_too_stiff_for_the_method_is_told(monkeypatch):
    monkeypatch.setattr(flow_schemes, "MOST_STEPS", 200)
    field = van_der_pol(1000.0)
    with pytest.raises(lm.LyapmapError, match=r"^method: dopri5 .* use method='auto'$"):
        spectrum(lm.flow(field, 1.0, state_shape=2, method="dopri5"), [2.0, 0.0])
    assert np.isfinite(lm.flow(field, 1.0, state_shape=2).apply(np.array([[2.0, 0.0]]))).all()


@pytest.mark.parametrize("method", ADAPTIVE)
def test_what_leaves_in_finite_time_has_escaped(method):
    for field in (lambda s: s**2, lambda s: s**3, np.exp):
        m = lm.flow(field, 2.0, state_shape=1, method=method)
        assert np.isnan(m.apply(np.array([[1.0]]))).all()
        assert spectrum(m, [1.0]).status == "escaped"


def test_trajectories_do_not_depend_on_each_other():
    """One stiff, one not, one that leaves: each as if alone, in the states and in the frame."""
    m = lm.flow(lambda s: np.stack([s[:, 1], 50 * (1 - s[:, 0] ** 2) * s[:, 1] - s[:, 0]], 1), 1.0, state_shape=2)
    x = np.array([[2.0, 0.0], [0.1, 0.1], [1.0, -3.0]])
    v = np.random.default_rng(0).standard_normal((3, 2, 2))
    y, u = m.jvp(x, v)
    for i in range(3):
        alone, own = m.jvp(x[i : i + 1], v[i : i + 1])
        np.testing.assert_array_equal(alone[0], y[i])
        np.testing.assert_allclose(own[0], u[i], rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(m.apply(x[i : i + 1])[0], y[i])


@pytest.mark.parametrize("method", [{"method": "auto"}, {"method": "rk4", "steps": 20}], ids=str)
def test_the_divergence_is_checked(method):
    m = lm.flow(lorenz(28.0), 0.1, state_shape=3, **method)
    x = np.array([[1.0, 2.0, 20.0], [5.0, 5.0, 25.0]])
    report = check_map(m, x)
    assert report, str(report)
    assert "divergence of the field" in [f.name for f in report.findings]

    class Wrong:
        """A field whose derivative is not its own."""

        state_shape = (3,)

        def apply(self, x):
            return lorenz(28.0)(x)

        def jacobian(self, x):
            return np.broadcast_to(np.diag([-10.0, -1.0, -8 / 3]), (len(x), 3, 3))

    assert not check_map(lm.flow(Wrong(), 0.1, verify=False, **method), x)
