"""`flow`: the time-tau map of a vector field of any backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from lyapmap.backends import _shape, wrap
from lyapmap.backends.timed_field import (
    ORDERS,
    TimedField,
    arguments_of,
    depends_on_time,
    library_for,
    takes_a_batch,
    timed_jacobian,
)
from lyapmap.core.arguments import positive, whole
from lyapmap.core.combined.periodic import PeriodicStates
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flows.map import FlowMap, ForcedFlow, finite_time
from lyapmap.core.flows.schemes import DormandPrince, RungeKutta4, Scheme
from lyapmap.core.flows.stiff import STATE_TOLERANCE, Automatic, Rodas4
from lyapmap.core.map import TangentMap, resembles_map, unchecked

TOLERANCES = {"float64": 1e-9, "float32": 1e-5}
"""Default of rtol and atol for each dtype."""
METHODS = ("auto", "dopri5", "rodas4", "rk4")


def flow(
    rhs: Any,
    tau: float,
    *,
    state_shape: Any = None,
    method: str = "auto",
    steps: int | None = None,
    dt: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    arguments: str | None = None,
    period: float | None = None,
    start: float = 0.0,
    periods: Any = None,
    backend: str | None = None,
    **options: Any,
) -> TangentMap:
    """The map that carries states along dx/dt = rhs(x), or rhs(t, x), for a time tau.

    Parameters
    ----------
    rhs : callable, torch.nn.Module, Numba function, or an object with apply and jacobian
        The vector field, as `lyapmap.wrap` takes a map: functions take states (b, *state_shape) and
        return velocities of that shape, Numba functions take one state. NumPy functions of one
        state, which may return a list, are found out.
    tau : float
        Time of one step of the map.
    state_shape : tuple of int or int
        Shape of one state; an object that has one needs none.
    method : "auto", "dopri5", "rodas4" or "rk4"
        Dormand and Prince's method of order 5, with steps that follow states and tangents of each
        trajectory; for stiff fields the Rosenbrock method RODAS, with matrix exponentials for the
        tangents; "auto" is the former, helped by the latter where it goes further at a time. Or the
        classical method of order 4 with equal steps: cheaper where the step is known.
    steps : int, optional
        With "rk4": steps in one time tau.
    dt : float, optional
        With "rk4", in the place of `steps`: the longest step; tau is cut into equal ones.
    rtol, atol : float, optional
        The error of each component in one step stays below atol + rtol |x|, as a root mean square,
        and that of each tangent below 100 rtol (but 1e-4) of its own size. 1e-9 by default, 1e-5 in
        float32; in steps of "rodas4" 1e-7 and 1e-4.
    arguments : "x", "t, x" or "x, t", optional
        What `rhs` takes, if its signature does not tell. A field that takes the time without being
        seen to depend on it is autonomous, unless this is given.
    period : float, optional
        After which a field that depends on time repeats. If tau is a multiple of it the result is
        the stroboscopic map, an ordinary one with fixed points and cycles.
    start : float
        Time at which step 0 begins.
    periods : dict of int to float, or n floats and None, optional
        Coordinates that come round, such as angles, with their periods: images keep them in
        [0, period), so that they have a dimension. Tangents are untouched.
    backend : str, optional
    **options
        As `lyapmap.wrap` takes them, e.g. `jacobian`, the derivative (b, n, n) of `rhs`.

    Returns
    -------
    TangentMap
        With `time_per_step = tau`: `lyapunov_spectrum` gives exponents in nats per unit time.
        Vector fields compiled with Numba are integrated by compiled code. With `at(step)` where
        the field depends on time.

    Raises
    ------
    LyapmapError
        If tau, the method or its settings cannot be used, or `rhs` does not take such states. When
        used: if the method asked for needs too many steps (the field is stiff), or equal steps are
        so long that growth rates are wrong.

    Notes
    -----
    Tangents solve dv/dt = Df(x) v to a tolerance of their own, and are orthonormalized within tau as
    often as needed. States do not depend on them: those of `jvp` are those of `apply`.

    Where the velocity grows a million times within tau, or is not finite, the state becomes NaN, and
    analyses say that the orbit escaped.

    A field that depends on time has n exponents, those of the response; the zero of the direction
    along time is not among them. With the phase as one more coordinate of the state, dphi/dt =
    2 pi / p, it is.

    References
    ----------
    J. R. Dormand and P. J. Prince, "A family of embedded Runge-Kutta formulae", J. Comput. Appl.
    Math. 6, 19 (1980).
    E. Hairer and G. Wanner, "Solving Ordinary Differential Equations II", Springer (1996), for
    RODAS.

    Examples
    --------
    >>> import numpy as np
    >>> def oscillator(s):
    ...     return np.stack([s[:, 1], -s[:, 0]], axis=1)
    >>> quarter = flow(oscillator, np.pi / 2, state_shape=2)
    >>> quarter.apply(np.array([[1.0, 0.0]])).round(6) + 0.0
    array([[ 0., -1.]])

    A forced oscillator as SciPy takes it, seen once in each period:

    >>> def duffing(t, y):
    ...     return [y[1], y[0] - y[0] ** 3 - 0.3 * y[1] + 0.5 * np.cos(1.2 * t)]
    >>> p = 2 * np.pi / 1.2
    >>> strobe = flow(duffing, p, state_shape=2, period=p)
    >>> bool(abs(np.linalg.slogdet(strobe.jacobian(np.zeros((1, 2))))[1][0] + 0.3 * p) < 1e-6)
    True
    """
    tau = finite_time(tau)
    if method not in METHODS:
        raise LyapmapError(f"method: expected one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if method == "rk4":
        _none(method, rtol=rtol, atol=atol)
        steps = _steps(tau, steps, dt)
    else:
        _none(method, steps=steps, dt=dt)
    if arguments is not None and arguments not in ORDERS:
        raise LyapmapError(f"arguments: expected one of {', '.join(map(repr, ORDERS))}, got {arguments!r}")
    order = arguments or ("x" if resembles_map(rhs) else arguments_of(rhs))
    shape = _shape(state_shape)
    if order == "x":
        if period is not None:
            raise LyapmapError("period: rhs does not take the time; give arguments='t, x' if it does")
        field, forced = _field(rhs, state_shape, backend, options), False
    else:
        if shape is None:
            raise LyapmapError("state_shape: expected the shape of one state, e.g. (2,), got None")
        field, forced = _timed(rhs, order, shape, tau, backend, options, certain=arguments is not None)
        if period is not None:
            period = positive("period", period, finite=True)
    scheme = _scheme(method, steps, rtol, atol, field.ops.dtype)
    made: TangentMap = _compiled(field, tau, scheme) or field.along(tau, scheme) or FlowMap(field, tau, scheme)
    if forced and shape is not None:
        if not np.isfinite(start):
            raise LyapmapError(f"start: expected a finite time, got {start!r}")
        clocked = ForcedFlow(made, float(start), period, shape)
        turns = 0.0 if period is None else tau / period
        made = clocked.at(0) if turns >= 0.5 and abs(turns - round(turns)) < 1e-12 * turns else clocked
    return made if periods is None else PeriodicStates(made, periods)


def _scheme(method: str, steps: int | None, rtol: float | None, atol: float | None, dtype: str) -> Scheme:
    if steps is not None:
        return RungeKutta4(steps)
    asked = {"rtol": rtol, "atol": atol}
    tight = {name: _tolerance(name, value, dtype) for name, value in asked.items()}
    if method == "dopri5":
        return DormandPrince(**tight)
    wider = STATE_TOLERANCE if dtype == "float64" else 10.0
    stiff = Rodas4(**{name: value * (wider if asked[name] is None else 1.0) for name, value in tight.items()})
    return stiff if method == "rodas4" else Automatic(DormandPrince(**tight), stiff)


def _timed(
    rhs: Any,
    order: str,
    shape: tuple[int, ...],
    tau: float,
    backend: str | None,
    options: dict[str, Any],
    *,
    certain: bool,
) -> tuple[TangentMap, bool]:
    """A field of (x, t) as a map, or of x where it is not seen to change with time; and which it is."""
    options = dict(options)
    vectorized = options.pop("vectorized", None)
    field = TimedField(rhs, order, shape, vectorized=vectorized)
    library = library_for(rhs, order, shape, backend)
    if library == "numba":
        if options.get("jacobian") is not None:
            raise LyapmapError("jacobian: a Numba field that takes the time cannot have one; leave it out")
        from lyapmap.backends.numba.flow import timed_numba

        compiled = timed_numba(rhs, order, field.n)
        return _field(compiled, field.n + 1, "numba", options), True
    if library not in ("numpy", "torch", "jax"):
        raise LyapmapError(f"rhs: a field of {library} cannot take the time; make the phase one more coordinate")
    try:
        forced = certain or depends_on_time(field, tau, library)
    except LyapmapError:
        raise
    except Exception as error:  # whatever a user's code raises is told in one line
        reason = " ".join(str(error).split())[:200]
        raise LyapmapError(f"rhs: failed on a time and states of shape {shape} ({reason})") from error
    jacobian = options.pop("jacobian", None)
    if not forced:
        field = TimedField(rhs, order, shape, time=0.0, vectorized=field.vectorized)
        if jacobian is not None:
            given = TimedField(jacobian, order, shape, time=0.0, vectorized=field.vectorized)
            if field.vectorized:
                options["jacobian"] = lambda x: np.asarray(given.value(0.0, x))
            else:
                options["jacobian"] = lambda x: np.stack([np.asarray(given.value(0.0, row)) for row in x])
    elif jacobian is not None:
        options["jacobian"] = timed_jacobian(jacobian, field)
    options["provenance"] = {"map": field.__name__} | (options.get("provenance") or {})
    function: Any = field.as_function() if library == "numpy" else field
    if library == "torch" and hasattr(rhs, "parameters"):
        from lyapmap.backends.torch.map import TimedModule

        function = TimedModule(rhs, field)
    return _field(function, field.n + 1 if forced else shape, library, options), forced


def _none(method: str, **settings: Any) -> None:
    for name, value in settings.items():
        if value is not None:
            raise LyapmapError(f"{name}: method={method!r} does not take it, got {value!r}")


def _steps(tau: float, steps: int | None, dt: float | None) -> int:
    if (steps is None) == (dt is None):
        got = "neither" if steps is None else "both"
        raise LyapmapError(f"steps: method='rk4' needs one of steps and dt, got {got}")
    if dt is None:
        return whole("steps", steps, 1)
    longest = positive("dt", dt)
    if longest > tau * (1 + 1e-12):
        raise LyapmapError(f"dt: expected a step within tau = {tau:g}, got {dt!r}")
    # Rounding is not to make a step more of what divides evenly.
    return int(np.ceil(tau / longest * (1 - 1e-12)))


def _tolerance(name: str, value: float | None, dtype: str) -> float:
    if value is None:
        return TOLERANCES[dtype]
    tolerance, least = positive(name, value), 10 * float(np.finfo(dtype).eps)
    if name == "rtol" and not least <= tolerance < 1:
        raise LyapmapError(f"rtol: expected {least:.1e} to 1 in {dtype}, got {value!r}")
    return tolerance


def _field(rhs: Any, state_shape: Any, backend: str | None, options: dict[str, Any]) -> TangentMap:
    if resembles_map(rhs) and unchecked(rhs).is_flow:
        raise LyapmapError("rhs: expected a vector field, got a map that is a flow already")
    shape = _shape(state_shape)
    numpy_only = backend in (None, "numpy") and type(rhs).__name__ in ("function", "method", "partial")
    if shape is not None and numpy_only and options.keys() <= {"jacobian", "dtype", "provenance"}:
        draws = np.random.default_rng(0).uniform(0.1, 0.9, (int(np.prod(shape)) + 3, *shape))
        if not takes_a_batch(rhs, draws):
            options = options | {"vectorized": False}
            backend = "numpy"
    try:
        return wrap(rhs, state_shape=state_shape, backend=backend, **options)
    except LyapmapError as error:
        text = str(error)
        if not text.startswith("function:"):
            raise
        raise type(error)("rhs" + text.removeprefix("function")) from error


def _compiled(field: TangentMap, tau: float, scheme: Scheme) -> TangentMap | None:
    """The compiled flow where the field is a Numba function, else None."""
    from lyapmap.backends.numba.compile import FlowRule, LaneRule
    from lyapmap.backends.numba.flow import CompiledFlow
    from lyapmap.backends.numba.map import NumbaMap

    if not isinstance(field, NumbaMap) or isinstance(field.rule, FlowRule) or isinstance(scheme, Rodas4):
        return None
    in_lanes = isinstance(field.rule, LaneRule) and isinstance(scheme, RungeKutta4)
    return CompiledFlow(
        field.rule if in_lanes or field.rows is None else field.rows,
        tau,
        scheme,
        state_shape=field.state_shape,
        parameters=field.parameters,
        derivative=field.derivative,
        provenance=field.provenance,
    )
