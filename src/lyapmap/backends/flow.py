"""`flow`: the time-tau map of a vector field of any backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from lyapmap.backends import wrap
from lyapmap.core.arguments import positive, whole
from lyapmap.core.errors import LyapmapError
from lyapmap.core.flow import DormandPrince, FlowMap, RungeKutta4, finite_time
from lyapmap.core.map import TangentMap

TOLERANCES = {"float64": 1e-9, "float32": 1e-5}
"""Default of rtol and atol for each dtype."""


def flow(
    rhs: Any,
    tau: float,
    *,
    state_shape: Any = None,
    method: str = "dopri5",
    steps: int | None = None,
    dt: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    backend: str | None = None,
    **options: Any,
) -> TangentMap:
    """The map that carries states along dx/dt = rhs(x) for a time tau.

    Parameters
    ----------
    rhs : callable, torch.nn.Module, Numba function, or an object with apply and jacobian
        The vector field, as `lyapmap.wrap` takes a map: NumPy and torch functions take states
        (b, *state_shape) and return velocities of that shape, Numba functions take one state.
    tau : float
        Time of one step of the map. Frames are orthonormalized once in tau: well below one over the
        difference of the largest and the smallest exponent asked for, times 36.
    state_shape : tuple of int or int
        Shape of one state; an object that has one needs none.
    method : "dopri5" or "rk4"
        Dormand and Prince's method of order 5, whose steps follow each trajectory's own error, or
        the classical one of order 4 with equal steps: cheaper where the step is known.
    steps : int, optional
        With "rk4": steps in one time tau.
    dt : float, optional
        With "rk4", in the place of `steps`: the longest step; tau is cut into equal ones.
    rtol, atol : float, optional
        With "dopri5": the error of each component in one step stays below atol + rtol |x|, as a
        root mean square. 1e-9 by default, 1e-5 in float32.
    backend : str, optional
    **options
        As `lyapmap.wrap` takes them, e.g. `jacobian`, the derivative (b, n, n) of `rhs`.

    Returns
    -------
    TangentMap
        With `time_per_step = tau`: `lyapunov_spectrum` gives exponents in nats per unit time.
        Vector fields compiled with Numba are integrated by compiled code.

    Raises
    ------
    LyapmapError
        If tau, the method or its settings cannot be used, or `rhs` does not take such states.

    Notes
    -----
    Tangents go through the stages and steps of the states: they are the exact derivative of the
    map with its steps held fixed. Steps are chosen from the state at the start of tau, so the map
    depends on nothing else; where a step is refused, it jumps by about the tolerance.

    Where "dopri5" cannot meet its tolerance (a step below 1e-12 tau, 100 000 steps in one tau, a
    velocity that is not finite) the state becomes NaN, and analyses say that the orbit escaped.

    A field that depends on time, with period p, becomes autonomous with its phase as one more
    coordinate, dphi/dt = 2 pi / p, which adds one exponent that is zero.

    References
    ----------
    J. R. Dormand and P. J. Prince, "A family of embedded Runge-Kutta formulae", J. Comput. Appl.
    Math. 6, 19 (1980).

    Examples
    --------
    >>> import numpy as np
    >>> def oscillator(s):
    ...     return np.stack([s[:, 1], -s[:, 0]], axis=1)
    >>> quarter = flow(oscillator, np.pi / 2, state_shape=2)
    >>> quarter.apply(np.array([[1.0, 0.0]])).round(6) + 0.0
    array([[ 0., -1.]])
    """
    tau = finite_time(tau)
    if method not in ("dopri5", "rk4"):
        raise LyapmapError(f"method: expected 'dopri5' or 'rk4', got {method!r}")
    if method == "rk4":
        _none(method, rtol=rtol, atol=atol)
        steps = _steps(tau, steps, dt)
    else:
        _none(method, steps=steps, dt=dt)
    field = _field(rhs, state_shape, backend, options)
    precision = field.ops.dtype
    scheme = (
        RungeKutta4(steps)
        if steps is not None
        else DormandPrince(_tolerance("rtol", rtol, precision), _tolerance("atol", atol, precision))
    )
    return _compiled(field, tau, scheme) or FlowMap(field, tau, scheme)


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
    found, least = positive(name, value), 10 * float(np.finfo(dtype).eps)
    if name == "rtol" and not least <= found < 1:
        raise LyapmapError(f"rtol: expected {least:.1e} to 1 in {dtype}, got {value!r}")
    return found


def _field(rhs: Any, state_shape: Any, backend: str | None, options: dict[str, Any]) -> TangentMap:
    if hasattr(rhs, "time_per_step"):
        raise LyapmapError("rhs: expected a vector field, got a map that is a flow already")
    try:
        return wrap(rhs, state_shape=state_shape, backend=backend, **options)
    except LyapmapError as error:
        text = str(error)
        if not text.startswith("function:"):
            raise
        raise type(error)("rhs" + text.removeprefix("function")) from error


def _compiled(field: TangentMap, tau: float, scheme: RungeKutta4 | DormandPrince) -> TangentMap | None:
    """The compiled flow where the field is a Numba function, else None."""
    from lyapmap.backends.numba_compile import FlowRule
    from lyapmap.backends.numba_flow import CompiledFlow
    from lyapmap.backends.numba_map import NumbaMap

    if not isinstance(field, NumbaMap) or isinstance(field.rule, FlowRule):
        return None
    return CompiledFlow(
        field.rule,
        tau,
        scheme,
        state_shape=field.state_shape,
        parameters=field.parameters,
        derivative=field.derivative,
        provenance=field.provenance,
    )
