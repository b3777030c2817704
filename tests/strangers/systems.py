"""Systems that are not in the catalogue, written as a user would, each with its exponents.

Right values are closed forms where `source` says so; else they come from `independent.exponents`, which shares
no code with lyapmap: a slow test computes them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numba
import numpy as np

import lyapmap as lm

PHI = (1 + 5**0.5) / 2


@dataclass(frozen=True)
class Stranger:
    """A system of somebody else.

    Attributes
    ----------
    make : callable
        Builds the map.
    x0 : list
        One initial state.
    exponents : tuple
        All of them, largest first, per step or per unit time.
    motion : str
        What the attractor is: "chaotic", "regular" (a torus or any motion whose neighbours part as a power of time),
        "limit cycle", "cycle" (or fixed point).
    n_steps, transient : int
    accuracy : float
        Absolute error that the method itself may make besides the standard error.
    source : str
        Where the exponents come from.
    """

    make: Callable[[], Any]
    x0: list[float]
    exponents: tuple[float, ...]
    motion: str
    n_steps: int = 2000
    transient: int = 200
    accuracy: float = 2e-3
    source: str = ""
    field: Callable[..., Any] | None = None
    tau: float = 1.0


def _map(function: Callable[..., Any], n: int, **options: Any) -> Callable[[], Any]:
    return lambda: lm.wrap(function, state_shape=n, **options)


def _columns(*values: Any) -> Any:
    return np.stack(np.broadcast_arrays(*values), axis=1)


# Maps.


def doubling_like(x):
    return (1.8 * x) % 1


def tent(x):
    return np.where(x < 0.5, 1.9 * x, 1.9 * (1 - x))


def skewed_baker(s):
    x, y = s[:, 0], s[:, 1]
    left = x < 0.3
    return _columns(np.where(left, x / 0.3, (x - 0.3) / 0.7), np.where(left, 0.4 * y, 0.5 + 0.4 * y))


def gauss(x):
    y = 1 / x
    return y - np.floor(y)


def gauss_alone(x):
    y = 1 / x[0]
    return np.array([y - int(y)])


def cat(s):
    return (s @ np.array([[2.0, 1.0], [1.0, 1.0]])) % 1


def skew_shift(s):
    return np.mod(_columns(s[:, 0] + (PHI - 1), s[:, 1] + s[:, 0]), 1.0)


def twist(s):
    p = s[:, 1]
    return _columns((s[:, 0] + p) % (2 * np.pi), p)


def rotation(s):
    c, d = np.cos(1.0), np.sin(1.0)
    return s @ np.array([[c, d], [-d, c]], s.dtype)


def permutation(s):
    return s[:, [2, 0, 4, 1, 3]]


SHEARED = np.array([[0.9, 50.0, 0.0], [0.0, 0.5, 3.0], [0.0, 0.0, 0.2]])


def non_normal(s):
    return s @ SHEARED.T


def logistic(r):
    return lambda x: r * x * (1 - x)


def delay_line(m):
    """x(t + 1) = f(x(t + 1 - m)) of a window of m values: m logistic maps that take turns."""
    return lambda s: np.concatenate([s[:, 1:], 4 * s[:, :1] * (1 - s[:, :1])], axis=1)


def circle(s):
    return (s + 0.25 + 0.8 / (2 * np.pi) * np.sin(2 * np.pi * s)) % 1


def reset(s):
    """A leaky integrator that is driven by itself, and reset at a threshold: the derivative is .95 on both sides."""
    v = 0.95 * s + 0.17
    return np.where(v > 1, v - 1, v)


# Vector fields, as functions of the components: of numbers for Numba, of columns for NumPy.


def focus(x, y):
    return -0.2 * x + 3 * y, -3 * x - 0.2 * y


def three_rates(x, y, z):
    return -0.5 * x, -20.0 * y, -300.0 * z


def harmonic(x, y):
    return y, -x


def pendulum(x, y):
    return y, -np.sin(x)


def lotka_volterra(x, y):
    return x * (1 - y), y * (x - 1)


def henon_heiles(x, y, p, q):
    return p, q, -x - 2 * x * y, -y - x**2 + y**2


def stuart_landau(x, y):
    r2 = x**2 + y**2
    return x * (1 - r2) - 2 * y, y * (1 - r2) + 2 * x


def two_oscillators(x, y, u, v):
    r2, s2, c = x**2 + y**2, u**2 + v**2, 2**0.5
    return x * (1 - r2) - 2 * y, y * (1 - r2) + 2 * x, c * (u * (1 - s2) - 2 * v), c * (v * (1 - s2) + 2 * u)


def van_der_pol(x, y):
    return y, (1 - x**2) * y - x


def stiff_van_der_pol(x, y):
    return y, 30 * (1 - x**2) * y - x


def lorenz(x, y, z):
    return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z


def lorenz_at_rest(x, y, z):
    return 10 * (y - x), x * (13 - z) - y, x * y - 8 / 3 * z


def synchronised_lorenz(x, y, z, u, v, w):
    """Two equal systems, coupled by the identity: the difference decays at the rate 2 c beyond the exponents of one."""
    return (
        10 * (y - x) + 5 * (u - x),
        x * (28 - z) - y + 5 * (v - y),
        x * y - 8 / 3 * z + 5 * (w - z),
        10 * (v - u) + 5 * (x - u),
        u * (28 - w) - v + 5 * (y - v),
        u * v - 8 / 3 * w + 5 * (z - w),
    )


def thomas(x, y, z):
    return np.sin(y) - 0.18 * x, np.sin(z) - 0.18 * y, np.sin(x) - 0.18 * z


def rossler(x, y, z):
    return -y - z, x + 0.2 * y, 0.2 + z * (x - 5.7)


def batched(field: Callable[..., Any]) -> Callable[..., Any]:
    """The field for a batch of states, in NumPy."""
    return lambda s: np.stack(field(*s.T), axis=1)


def compiled(field: Callable[..., Any], n: int) -> Any:
    """The field for one state, compiled by Numba."""
    f = numba.njit(field)
    forms = {
        2: lambda s: np.array(f(s[0], s[1])),
        3: lambda s: np.array(f(s[0], s[1], s[2])),
        4: lambda s: np.array(f(s[0], s[1], s[2], s[3])),
        6: lambda s: np.array(f(s[0], s[1], s[2], s[3], s[4], s[5])),
    }
    return numba.njit(forms[n])


LORENZ = (0.9056, 0.0, -14.5723)  # J. C. Sprott, Chaos and Time-Series Analysis (2003)

MAPS = {
    "beta transformation": Stranger(_map(doubling_like, 1), [0.123], (np.log(1.8),), "chaotic", source="ln 1.8"),
    "tent": Stranger(_map(tent, 1), [0.321], (np.log(1.9),), "chaotic", source="ln 1.9"),
    "skewed baker": Stranger(
        _map(skewed_baker, 2),
        [0.123, 0.4],
        (-0.3 * np.log(0.3) - 0.7 * np.log(0.7), np.log(0.4)),
        "chaotic",
        source="mean of the log slopes",
    ),
    "gauss": Stranger(_map(gauss, 1), [0.3217], (np.pi**2 / (6 * np.log(2)),), "chaotic", source="pi^2 / (6 ln 2)"),
    "gauss, one state": Stranger(
        _map(gauss_alone, 1, vectorized=False), [0.3217], (np.pi**2 / (6 * np.log(2)),), "chaotic", source="as gauss"
    ),
    "cat": Stranger(_map(cat, 2), [0.1234, 0.37], (2 * np.log(PHI), -2 * np.log(PHI)), "chaotic", source="2 ln phi"),
    "skew shift": Stranger(_map(skew_shift, 2), [0.1, 0.2], (0.0, 0.0), "regular", source="shear"),
    "twist": Stranger(_map(twist, 2), [0.1, 1.2345], (0.0, 0.0), "regular", source="shear"),
    "rotation": Stranger(_map(rotation, 2), [1.0, 0.0], (0.0, 0.0), "regular", source="isometry"),
    "rotation in float32": Stranger(
        _map(rotation, 2, dtype="float32"), [1.0, 0.0], (0.0, 0.0), "regular", source="isometry"
    ),
    "permutation": Stranger(_map(permutation, 5), [1, 2, 3, 4, 5], (0.0,) * 5, "cycle", source="isometry"),
    "non-normal": Stranger(
        _map(non_normal, 3), [1.0, 1.0, 1.0], tuple(np.log([0.9, 0.5, 0.2])), "cycle", source="eigenvalues"
    ),
    "cycle of period 2": Stranger(
        _map(logistic(3.2), 1), [0.3], (np.log(0.16) / 2,), "cycle", source="multiplier 4 + 2 r - r^2"
    ),
    "delay line": Stranger(
        _map(delay_line(5), 5),
        [0.1, 0.22, 0.37, 0.41, 0.83],
        (np.log(2) / 5,) * 5,
        "chaotic",
        20_000,
        source="ln 2 / m",
    ),
    "reset": Stranger(_map(reset, 1), [0.2], (np.log(0.95),), "cycle", source="ln 0.95"),
}
REST = (-0.44091, -0.44091, -12.78484)  # roots of the characteristic polynomial at rho = 13


def _flow(
    field: Callable[..., Any],
    tau: float,
    x0: list[float],
    exponents: tuple[float, ...],
    motion: str,
    n_steps: int,
    transient: int,
    *,
    accuracy: float = 2e-3,
    source: str = "",
) -> Stranger:
    @cache  # compiling takes seconds
    def make() -> Any:
        return lm.flow(compiled(field, len(x0)), tau, state_shape=len(x0))

    return Stranger(make, x0, exponents, motion, n_steps, transient, accuracy, source, field, tau)


PERIOD, STIFF_PERIOD = 6.663286859323385, 50.543686482738835  # of van der Pol's cycle, mu = 1 and 30, by Radau

FLOWS = {
    "focus": _flow(focus, 2.0, [1.0, 0.5], (-0.2, -0.2), "cycle", 300, 50, source="eigenvalues"),
    "three rates": _flow(
        three_rates, 0.05, [1.0, 1.0, 1.0], (-0.5, -20.0, -300.0), "cycle", 300, 900, source="eigenvalues"
    ),
    "Lorenz at rest": _flow(lorenz_at_rest, 0.5, [1.0, 1.0, 1.0], REST, "cycle", 300, 100, source="eigenvalues"),
    "harmonic": _flow(harmonic, 0.7, [1.0, 0.0], (0.0, 0.0), "regular", 500, 0, source="isometry"),
    "pendulum": _flow(pendulum, 0.5, [2.5, 0.0], (0.0, 0.0), "regular", 1000, 0, source="shear"),
    "rotating pendulum": _flow(pendulum, 0.5, [0.0, 2.5], (0.0, 0.0), "regular", 1000, 0, source="shear"),
    "Lotka-Volterra": _flow(lotka_volterra, 0.5, [2.0, 1.0], (0.0, 0.0), "regular", 1000, 0, source="shear"),
    "Henon-Heiles at low energy": _flow(
        henon_heiles, 1.0, [0.05, 0.1, 0.1, 0.05], (0.0,) * 4, "regular", 1000, 0, source="near integrable"
    ),
    "Stuart-Landau": _flow(stuart_landau, 0.5, [0.5, 0.0], (0.0, -2.0), "limit cycle", 500, 50, source="Floquet"),
    "two oscillators": _flow(
        two_oscillators,
        0.5,
        [0.5, 0.0, 0.2, 0.7],
        (0.0, 0.0, -2.0, -2 * 2**0.5),
        "regular",
        1000,
        50,
        source="Floquet",
    ),
    "van der Pol, mu = 1": _flow(
        van_der_pol, PERIOD / 12, [2.0, 0.0], (0.0, -1.05938), "limit cycle", 1200, 120, source="integration"
    ),
    "van der Pol, mu = 30": _flow(
        stiff_van_der_pol,
        STIFF_PERIOD / 200,
        [2.0, 0.0],
        (0.0, -52.4844),
        "limit cycle",
        2000,
        400,
        source="integration",
    ),
    "Lorenz": _flow(lorenz, 0.1, [1.0, 1.0, 20.0], LORENZ, "chaotic", 3000, 100, accuracy=0.01, source="Sprott 2003"),
    "synchronised Lorenz": _flow(
        synchronised_lorenz,
        0.1,
        [1.0, 1.0, 20.0, 1.5, 1.0, 21.0],
        (0.9056, 0.0, -9.0944, -10.0, -14.5723, -24.5723),
        "chaotic",
        3000,
        200,
        accuracy=0.02,
        source="exponents of one, and those less 2 c",
    ),
    "Thomas": _flow(
        thomas, 0.5, [0.1, 0.2, 0.5], (0.0349, 0.0, -0.5749), "chaotic", 6000, 400, accuracy=4e-3, source="integration"
    ),
    "Rossler": _flow(
        rossler, 0.2, [1.0, 1.0, 0.0], (0.0714, 0.0, -5.3943), "chaotic", 6000, 400, accuracy=0.01, source="Sprott 2003"
    ),
}
