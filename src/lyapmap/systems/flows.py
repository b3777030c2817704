"""Flows, as maps of their state over a time tau: Lorenz, Rössler, Lorenz-96."""

from __future__ import annotations

from typing import Any

from lyapmap.backends.numba.flow import CompiledFlow, LaneRule, RowRule
from lyapmap.core.arguments import whole
from lyapmap.core.flows.schemes import RungeKutta4
from lyapmap.systems.reference_map import Known, ReferenceMap, SystemInfo, number


def lorenz(
    sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3, tau: float = 0.05, steps: int = 10
) -> ReferenceMap:
    """The Lorenz system, dx/dt = sigma (y - x), dy/dt = x (rho - z) - y, dz/dt = x y - beta z.

    Parameters
    ----------
    sigma, rho, beta : float
    tau : float
        Time of one step of the map.
    steps : int
        Steps of the classical Runge-Kutta method in one time tau.

    Returns
    -------
    ReferenceMap
        With n = 3. The exponents add up to -(sigma + 1 + beta) per unit time.

    Notes
    -----
    With the default step of 0.005 the sum of the exponents is off by 6e-6, with 0.01 by 1e-4, with
    0.02 by 2e-3.

    References
    ----------
    E. N. Lorenz, "Deterministic nonperiodic flow", J. Atmos. Sci. 20, 130 (1963).
    J. C. Sprott, "Chaos and Time-Series Analysis", Oxford (2003), for the exponents.

    Examples
    --------
    >>> import numpy as np
    >>> m = lorenz()
    >>> m.apply(np.array([[1.0, 1.0, 1.0]])).round(4)
    array([[1.2876, 2.4002, 0.9638]])
    >>> m.time_per_step
    0.05
    """
    sigma, rho, beta = number("sigma", sigma), number("rho", rho), number("beta", beta)
    tau, steps = number("tau", tau, 0, above=True), whole("steps", steps, 1)
    inner = CompiledFlow(_LORENZ_RULE, tau, RungeKutta4(steps), state_shape=(3,), parameters=(sigma, rho, beta))
    return ReferenceMap(
        inner,
        LORENZ,
        {"sigma": sigma, "rho": rho, "beta": beta, "tau": tau, "steps": steps},
        known=LORENZ.known_at(sigma=sigma, rho=rho, beta=beta),
    )


def rossler(a: float = 0.2, b: float = 0.2, c: float = 5.7, tau: float = 0.2, steps: int = 20) -> ReferenceMap:
    """The Rössler system, dx/dt = -y - z, dy/dt = x + a y, dz/dt = b + z (x - c).

    Parameters
    ----------
    a, b, c : float
    tau : float
        Time of one step of the map.
    steps : int
        Steps of the classical Runge-Kutta method in one time tau.

    Returns
    -------
    ReferenceMap
        With n = 3.

    References
    ----------
    O. E. Rössler, "An equation for continuous chaos", Phys. Lett. A 57, 397 (1976).
    J. C. Sprott, "Chaos and Time-Series Analysis", Oxford (2003), for the exponents.

    Examples
    --------
    >>> import numpy as np
    >>> rossler().apply(np.array([[1.0, 1.0, 0.0]])).round(4)
    array([[0.7741, 1.2228, 0.0256]])
    """
    a, b, c = number("a", a), number("b", b), number("c", c)
    tau, steps = number("tau", tau, 0, above=True), whole("steps", steps, 1)
    inner = CompiledFlow(_ROSSLER_RULE, tau, RungeKutta4(steps), state_shape=(3,), parameters=(a, b, c))
    return ReferenceMap(
        inner, ROSSLER, {"a": a, "b": b, "c": c, "tau": tau, "steps": steps}, known=ROSSLER.known_at(a=a, b=b, c=c)
    )


def lorenz96(n: int = 40, forcing: float = 8.0, tau: float = 0.05, steps: int = 2) -> ReferenceMap:
    """Lorenz's model of a latitude circle, dx_i/dt = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + F.

    Parameters
    ----------
    n : int
        Number of sites, at least 4.
    forcing : float
        F; with n = 40 the model is chaotic at 8.
    tau : float
        Time of one step of the map; 0.05 stands for 6 hours.
    steps : int
        Steps of the classical Runge-Kutta method in one time tau.

    Returns
    -------
    ReferenceMap
        Of dimension n. The exponents add up to -n per unit time. Tangents go site by site: no
        Jacobian is made.

    References
    ----------
    E. N. Lorenz, "Predictability: a problem partly solved", Seminar on Predictability, ECMWF (1996).
    A. Karimi and M. R. Paul, "Extensive chaos in the Lorenz-96 model", Chaos 20, 043105 (2010).

    Examples
    --------
    >>> import numpy as np
    >>> lorenz96(n=4).apply(np.array([[8.0, 8.0, 8.0, 8.0]]))
    array([[8., 8., 8., 8.]])
    """
    n, forcing = whole("n", n, 4), number("forcing", forcing)
    tau, steps = number("tau", tau, 0, above=True), whole("steps", steps, 1)
    inner = CompiledFlow(_LORENZ96_RULE, tau, RungeKutta4(steps), state_shape=(n,), parameters=(forcing,))
    return ReferenceMap(
        inner,
        LORENZ96,
        {"n": n, "forcing": forcing, "tau": tau, "steps": steps},
        known=LORENZ96.known_at(n=n, forcing=forcing),
    )


def _lorenz(p: Any, x: float, y: float, z: float) -> Any:
    sigma, rho, beta = p
    velocity = (sigma * (y - x), x * (rho - z) - y, x * y - beta * z)
    return velocity, (-sigma, sigma, rho - z, -1.0, -x, y, x, -beta)


def _rossler(p: Any, x: float, y: float, z: float) -> Any:
    a, b, c = p
    return (-y - z, x + a * y, b + z * (x - c)), (-1.0, -1.0, 1.0, a, z, x - c)


# Loops begin at zero and run along rows: compiled code makes vector instructions of no others.
def _lorenz96(p: Any, x: Any, y: Any) -> None:
    (forcing,) = p
    n = x.shape[0]
    for i in range(n - 3):
        y[i + 2] = (x[i + 3] - x[i]) * x[i + 1] - x[i + 2] + forcing
    for i in (0, 1, n - 1):
        y[i] = (x[(i + 1) % n] - x[(i - 2) % n]) * x[(i - 1) % n] - x[i] + forcing


def _lorenz96_tangents(p: Any, x: Any, v: Any, u: Any) -> None:
    n = x.shape[0]
    for c in range(v.shape[0]):
        w, out = v[c], u[c]
        for i in range(n - 3):
            out[i + 2] = (w[i + 3] - w[i]) * x[i + 1] + (x[i + 3] - x[i]) * w[i + 1] - w[i + 2]
        for i in (0, 1, n - 1):
            ahead, back, behind = (i + 1) % n, (i - 1) % n, (i - 2) % n
            out[i] = (w[ahead] - w[behind]) * x[back] + (x[ahead] - x[behind]) * w[back] - w[i]


PER_UNIT_TIME = "per unit time"

_LORENZ_RULE = LaneRule(_lorenz, ((True, True, False), (True, True, True), (True, True, True)))
_ROSSLER_RULE = LaneRule(_rossler, ((False, True, True), (True, True, False), (True, False, True)))
_LORENZ96_RULE = RowRule(_lorenz96, _lorenz96_tangents)

LORENZ = SystemInfo(
    name="lorenz",
    factory=lorenz,
    formula="dx/dt = sigma (y - x), dy/dt = x (rho - z) - y, dz/dt = x y - beta z",
    source="E. N. Lorenz 1963, J. Atmos. Sci. 20, 130",
    dimension=3,
    # Away from the two fixed points in the wings, which orbits leave slowly.
    low=(-5.0, -5.0, 15.0),
    high=(5.0, 5.0, 25.0),
    known=(
        Known(
            parameters={"sigma": 10.0, "rho": 28.0, "beta": 8 / 3},
            exponents=(0.9056, 0.0, -14.5723),
            standard_error=(5e-5, 0.0, 5e-5),
            kind="published",
        ),
    ),
    identity="sum = -(sigma + 1 + beta)",
    unit=PER_UNIT_TIME,
    notes="exponents: J. C. Sprott 2003, Chaos and Time-Series Analysis; their errors are those of rounding",
)

ROSSLER = SystemInfo(
    name="rossler",
    factory=rossler,
    formula="dx/dt = -y - z, dy/dt = x + a y, dz/dt = b + z (x - c)",
    source="O. E. Rössler 1976, Phys. Lett. A 57, 397",
    dimension=3,
    low=(-5.0, -5.0, 0.0),
    high=(5.0, 5.0, 1.0),
    known=(
        Known(
            parameters={"a": 0.2, "b": 0.2, "c": 5.7},
            exponents=(0.0714, 0.0, -5.3943),
            standard_error=(5e-5, 0.0, 5e-5),
            kind="published",
        ),
    ),
    unit=PER_UNIT_TIME,
    notes="exponents: J. C. Sprott 2003, Chaos and Time-Series Analysis; their errors are those of rounding",
)

LORENZ96 = SystemInfo(
    name="lorenz96",
    factory=lorenz96,
    formula="dx_i/dt = (x_{i+1} - x_{i-2}) x_{i-1} - x_i + forcing, on a ring",
    source="E. N. Lorenz 1996, Seminar on Predictability, ECMWF",
    dimension=None,
    low=(-2.0,),
    high=(8.0,),
    known=(
        Known(
            parameters={"n": 40, "forcing": 8.0},
            exponents=(
                *(1.6873, 1.4807, 1.3066, 1.1540, 1.0100, 0.8789, 0.7456, 0.6182, 0.4975, 0.3785),
                *(0.2611, 0.1458, 0.0305, -0.0015, -0.0830, -0.2020, -0.3210, -0.4331, -0.5460, -0.6673),
                *(-0.7761, -0.8941, -0.9991, -1.1125, -1.2313, -1.3514, -1.4828, -1.6145, -1.7636, -1.9263),
                *(-2.1156, -2.3294, -2.5794, -2.8711, -3.2509, -3.6630, -4.0598, -4.3785, -4.6410, -4.8996),
            ),
            standard_error=(0.0042, 0.0027, *(0.0025,) * 11, 0.0005, *(0.0025,) * 20, *(0.0055,) * 6),
            kind="measured",
        ),
    ),
    identity="sum = -n",
    unit=PER_UNIT_TIME,
    notes="n = 40, forcing = 8: 13 exponents are positive, one is zero; Kaplan-Yorke dimension 27.06",
)
