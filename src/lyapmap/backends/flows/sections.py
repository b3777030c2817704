"""`poincare_map`, `maxima_map` and `stroboscopic_map`: flows seen at crossings, at extremes, at equal times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends import wrap
from lyapmap.core.arguments import one_of, positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError, ShapeError, in_one_line
from lyapmap.core.flows.sections import MOST_LOOKS, Plane, Section, SectionMap, Surface
from lyapmap.core.map import TangentMap, dimension

DIRECTIONS = {"up": 1, "down": -1, "both": 0}
EXTREMES = {"max": -1, "min": 1}


@in_one_line
def poincare_map(
    flow: Any,
    section: Any,
    *,
    direction: str = "up",
    step: float | None = None,
    max_time: float | None = None,
) -> SectionMap:
    """The map of a flow from one crossing of a section to the next.

    Every analysis runs on it: exponents, cycles, continuation, attractors. Its derivative is exact: that of the
    flow, projected along the velocity onto the section.

    Parameters
    ----------
    flow : TangentMap
        Of `lyapmap.flow` or of the catalogue, whose field does not depend on time (give such a one its phase as a
        coordinate, or see `stroboscopic_map`).
    section : dict of int to float, (normal, offset), or callable
        ``{1: 0.0}``, where coordinate 1 is 0; the plane normal . x = offset; or a function of a batch of states
        (b, *state_shape) that gives (b,) and is zero on the section, in the arrays of the field. Of a plane the
        states of the map are its n - 1 coordinates (those that are left, in their order); of a function, all n
        values, whose derivative along the velocity is zero: one exponent is then -inf.
    direction : "up", "down" or "both"
        Which crossings count: those where coordinate, normal . x or function rises, falls, or all.
    step : float, optional
        Time between two looks at the orbit; that of the flow by default. Returns are compared with those of four times
        as many looks, at the calls 1, 2, 4, 8, ...
    max_time : float, optional
        After which an orbit that does not come back is given up: its state becomes NaN, and it counts as escaped.
        5 000 steps by default.

    Returns
    -------
    SectionMap
        With `starts(x)`, which carries states of the flow to the section, `full(u)`, which gives states of the
        flow, and `return_times(u)`.

    Raises
    ------
    LyapmapError
        If this is no flow, or no section. When used: if looks so far apart miss crossings.

    Notes
    -----
    Exponents of the map are those of the flow times the mean return time, without the zero one.

    References
    ----------
    J. Guckenheimer and P. Holmes, "Nonlinear Oscillations, Dynamical Systems, and Bifurcations of Vector Fields",
    Springer (1983), Section 1.5.
    M. Hénon, "On the numerical computation of Poincaré maps", Physica D 5, 412 (1982).

    Examples
    --------
    The flow dr/dt = r (1 - r^2), dphi/dt = 2 pi comes back to the half line phi = 0 after a time of 1; there the
    circle r = 1 is a fixed point, with multiplier exp(-2).

    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def hopf(s):
    ...     x, y = s[:, 0], s[:, 1]
    ...     r2 = x**2 + y**2
    ...     return np.stack([x * (1 - r2) - 2 * np.pi * y, y * (1 - r2) + 2 * np.pi * x], axis=1)
    >>> section = lm.poincare_map(lm.flow(hopf, 0.1, state_shape=2), {1: 0.0})
    >>> cycles = lm.periodic_orbits(section, [0.8], seed=0)
    >>> cycles.orbits.round(6).ravel().tolist(), bool(abs(cycles.multipliers[0, 0] - np.exp(-2)) < 1e-6)
    ([1.0], True)
    """
    carried = _flow(flow, step)
    sign = DIRECTIONS[one_of("direction", direction, DIRECTIONS)]
    return _made(carried, _section(section, carried), sign, max_time)


@in_one_line
def maxima_map(
    flow: Any,
    coordinate: int,
    *,
    kind: str = "max",
    step: float | None = None,
    max_time: float | None = None,
) -> SectionMap:
    """The map of a flow from one maximum of a coordinate to the next.

    E. N. Lorenz (1963) found the chaos of his equations in it. The section is where the coordinate's own velocity is
    zero; states keep all n values, and one exponent is -inf.

    Parameters
    ----------
    flow : TangentMap
        As of `poincare_map`.
    coordinate : int
        Counted from 0; from the end with negative numbers.
    kind : "max" or "min"
    step, max_time : float, optional
        As of `poincare_map`.

    Returns
    -------
    SectionMap

    Raises
    ------
    LyapmapError
        If this is no flow, or has no such coordinate.

    Examples
    --------
    >>> import lyapmap as lm
    >>> peaks = lm.maxima_map(lm.systems.lorenz(), 2)
    >>> orbit = lm.trajectory(peaks, peaks.starts([1.0, 1.0, 20.0]), n_steps=100).states[0, :, 2]
    >>> bool(28 < orbit.min() < orbit.max() < 49)
    True
    """
    carried = _flow(flow, step)
    n = dimension(carried.state_shape)
    i = whole("coordinate", coordinate, -n)
    if i >= n:
        raise LyapmapError(f"coordinate: expected one below {n}, got {coordinate}")
    sign = EXTREMES[one_of("kind", kind, EXTREMES)]
    surface = Surface(carried.field, i % n, {"section": f"{kind} of component {i % n}"})
    return _made(carried, surface, sign, max_time)


@in_one_line
def stroboscopic_map(flow: Any, period: float) -> TangentMap:
    """The map of a flow over a period, from one flash to the next.

    Parameters
    ----------
    flow : TangentMap
        Of `lyapmap.flow` or of the catalogue; of one that depends on time, the first flash is at its start.
    period : float
        Of whatever drives it. Of a flow that was given a period itself, a multiple of that.

    Returns
    -------
    TangentMap
        An ordinary map, with fixed points and cycles; exponents are per unit time.

    Raises
    ------
    LyapmapError
        If this is no flow, or its field is not the same after that period.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> def forced(t, y):
    ...     return [y[1], -0.2 * y[1] - y[0] + np.cos(2.0 * t)]
    >>> flashes = lm.stroboscopic_map(lm.flow(forced, 0.1, state_shape=2), np.pi)
    >>> lm.periodic_orbits(flashes, [0.0, 0.0], seed=0).orbits.round(4).tolist()
    [[[-0.3275, 0.0873]]]
    """
    inner = as_tangent_map(flow)
    time = positive("period", period, finite=True)
    made = inner.over(time) if inner.is_flow else None
    if made is None:
        raise LyapmapError(f"flow: expected one of lyapmap.flow or of the catalogue, got {_named(inner)}")
    return made.at(0) if made.depends_on_step and _repeats(made) else made


def _repeats(made: TangentMap) -> bool:
    """Whether a flow that depends on time is seen to be the same after a step; an error if it is not."""
    n, ops = dimension(made.state_shape), made.ops
    x = ops.from_numpy(np.random.default_rng(0).uniform(-1, 1, (4, n)))
    first, *later = (np.asarray(ops.to_numpy(made.at(step).apply(x)), np.float64) for step in (0, 1, 2, 5))
    near = 1e-3 if ops.dtype == "float32" else 1e-5
    for images in later:
        usable = np.isfinite(images) & np.isfinite(first)
        if not (np.abs(images - first)[usable] <= near * (1 + np.abs(first)[usable])).all():
            raise LyapmapError(f"period: the field is not the same after a time of {made.time_per_step:g}")
    return True


def _flow(flow: Any, step: float | None) -> TangentMap:
    inner = as_tangent_map(flow)
    if inner.is_flow and inner.depends_on_step:
        raise LyapmapError(
            "flow: expected a field that does not depend on time; make the phase one more coordinate, or take "
            "stroboscopic_map"
        )
    # Over its own time again, so that the result has a state of its own.
    carried = inner.over(inner.time_per_step if step is None else positive("step", step, finite=True))
    if not inner.is_flow or carried is None or carried.field is None:
        raise LyapmapError(f"flow: expected one of lyapmap.flow or of the catalogue, got {_named(inner)}")
    return carried


def _named(inner: TangentMap) -> str:
    kind = "a flow that is made for one time step" if inner.is_flow else "a map"
    return f"{kind} ({inner.provenance.get('map', type(inner).__name__)})"


def _made(flow: TangentMap, section: Section, sign: int, max_time: float | None) -> SectionMap:
    time = MOST_LOOKS * flow.time_per_step if max_time is None else positive("max_time", max_time)
    return SectionMap(flow, section, sign, time, audited=True)


def _section(section: Any, flow: TangentMap) -> Section:
    n = dimension(flow.state_shape)
    if n < 2:
        raise LyapmapError(f"flow: expected at least 2 values in a state, got {n}")
    periods: NDArray[np.float64] = np.full(n, np.inf) if flow.periods is None else flow.periods
    if callable(section):
        return _surface(section, flow)
    if isinstance(section, Mapping):
        if len(section) != 1:
            raise LyapmapError(f"section: expected one coordinate {{i: value}}, got {len(section)}")
        ((coordinate, value),) = section.items()
        i = whole("section", coordinate, -n)
        if i >= n:
            raise LyapmapError(f"section: expected a coordinate below {n}, got {coordinate}")
        normal = np.zeros(n)
        normal[i % n] = 1.0
        return Plane(normal, _finite(value), float(periods[i % n]), flow.ops.to_numpy)
    try:
        given, offset = section
        normal = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise LyapmapError(
            f"section: expected {{coordinate: value}}, (normal, offset) or a function, got {section!r}"
        ) from None
    if normal.shape != (n,):
        raise ShapeError(f"section: expected a normal of {n} values, got shape {normal.shape}")
    if not np.isfinite(normal).all() or not normal.any():
        raise LyapmapError(f"section: expected a normal that is finite and not zero, got {normal.tolist()}")
    held = np.flatnonzero(normal)
    if len(held) > 1 and np.isfinite(periods[held]).any():
        raise LyapmapError("section: a plane across a coordinate that comes round cuts an orbit at several places")
    period = float(periods[held[0]] * abs(normal[held[0]])) if len(held) == 1 else np.inf
    return Plane(normal, _finite(offset), period, flow.ops.to_numpy)


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise LyapmapError(f"section: expected a finite number, got {value!r}")
    return number


def _surface(function: Any, flow: TangentMap) -> Surface:
    """The function as a map whose image has its value in every place: so any framework gives its derivative."""
    shape = tuple(flow.state_shape)

    def spread(x: Any) -> Any:
        values = function(x)
        if tuple(values.shape) != (x.shape[0],):
            raise ShapeError(f"section: expected the function to give ({x.shape[0]},), got {tuple(values.shape)}")
        return 0.0 * x + values.reshape(-1, *[1] * len(shape))

    library = flow.ops.library.split()[0]
    options: dict[str, Any] = {} if library == "tensorflow" else {"dtype": flow.ops.dtype}
    if library == "torch":
        options["device"] = flow.ops.device
    try:
        made = wrap(spread, state_shape=shape, backend=library, **options)
    except ShapeError:
        raise
    except LyapmapError as error:
        raise LyapmapError(f"section{str(error).removeprefix('function')}") from error
    name = getattr(function, "__name__", type(function).__name__)
    return Surface(made, 0, {"section": f"{name} = 0"})
