"""Largest Lyapunov exponent of a measured series, without knowing the map.

M. T. Rosenstein, J. J. Collins, C. J. De Luca (1993); H. Kantz (1994). The series is unfolded into
delay vectors, close ones are followed, and the slope of the mean logarithm of their distance is
read where it is straight.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.divergence_curve import Curve
from lyapmap.analysis.embedding import as_series
from lyapmap.analysis.progress import Report, reporting
from lyapmap.analysis.scaling import Straight, straight_part
from lyapmap.analysis.unfolding import FEWEST_VALUES, Unfolding, followed, second
from lyapmap.core.arguments import interval, positive, whole
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.results import Result, Status, provenance

NEIGHBORS = {"rosenstein": 1, "kantz": 8}
CEILING = 1.0
"""How far below the highest point of the curve the straight part must end."""
SHARE = 0.5
"""Least length of it in proportion to the part of the curve where it may be."""
WORST = 0.3
"""Standard error relative to the exponent above which there is no straight part."""
LEAST_RISE = 0.7
"""By how much log distance must grow along it."""


@dataclass(frozen=True, kw_only=True)
class SeriesExponent(Result):
    """Largest exponent of a series with the curve that it was read from.

    Attributes
    ----------
    exponent, stderr : float
        Mean of the slopes of both curves: nats per step, or per unit of time if `dt` was given;
        NaN where there is no straight part.
    curve : (t,)
        Mean log distance of pairs of neighbours after `steps` steps.
    second_curve : (t,)
        The same with one dimension more; of a smooth series, with distances across the orbit.
    steps : (t,)
    window : (float, float)
        First and last step of the straight part; NaN where there is none.
    statistical, systematic : float
        Parts of the error: of the sample (jackknife over 16 stretches of time), and of the method
        (change of the slope within the window, choice of the window, half the difference of the
        slopes of both curves).
    delay, dimension, theiler : int
        Of the delay vectors, and of the search for neighbours.
    e1, e2 : (d,)
        Cao's quantities for dimensions 1, 2, ...; empty where the dimension was given.
    n_pairs : int
        Pairs of neighbours that were followed.
    unit : str
        "per step" or "per unit time".
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "curve": ("record",),
        "second_curve": ("record",),
        "steps": ("record",),
        "e1": ("dimensions",),
        "e2": ("dimensions",),
    }
    DRAWN_BY: ClassVar[str] = "scaling.draw_series_exponent"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "give a longer or less noisy series, or delay, dimension and window by hand"
    }

    exponent: float
    stderr: float
    curve: NDArray[np.float64]
    second_curve: NDArray[np.float64]
    steps: NDArray[np.int64]
    window: tuple[float, float]
    statistical: float
    systematic: float
    delay: int
    dimension: int
    theiler: int
    e1: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    e2: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    n_pairs: int = 0
    unit: str = "per step"


def from_series(
    series: Any,
    *,
    method: str = "rosenstein",
    delay: int | str = "auto",
    dimension: int | str = "auto",
    theiler: int | str = "auto",
    window: tuple[float, float] | str = "auto",
    dt: float | None = None,
    n_neighbors: int | None = None,
    radius: float | None = None,
    n_steps: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> SeriesExponent:
    """Largest Lyapunov exponent from a series of values, with an error bar.

    Parameters
    ----------
    series : (N,) or (N, m)
        One variable, or several measured together (then taken as states, without delays).
    method : "rosenstein" or "kantz"
        The mean of the logarithm of each pair's distance, or the logarithm of the mean distance of
        all neighbours of a point.
    delay : int or "auto"
        "auto": 1 if the series decorrelates within a step, as maps do; else the first minimum of
        the mutual information.
    dimension : int or "auto"
        "auto": where Cao's E1 reaches 0.93.
    theiler : int or "auto"
        Neighbours are more than so many steps away in time; "auto" takes three times the time in
        which the autocorrelation falls to 1/e.
    window : (float, float) or "auto"
        First and last step of the straight part. "auto" takes the stretch whose slope has the
        smallest relative error, of those that end well below the highest point of the curve.
    dt : float, optional
        Time between two values; the exponent is then per unit of time.
    n_neighbors : int, optional
        Of each point: 1 for Rosenstein, 8 for Kantz.
    radius : float, optional
        Neighbours further away do not count.
    n_steps : int, optional
        How far to follow them; until the distances stop growing by default.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (curves done, curves in all).
    throw : bool
        Raise if there is no straight part; else return the result with status not_converged.

    Returns
    -------
    SeriesExponent

    Raises
    ------
    LyapmapError, ShapeError
        If the series or an option cannot be used.
    RunError
        If neighbours do not part at a steady rate and `throw`: in noise, in a regular signal, or
        because the series is too short.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    Distances are Euclidean ones of whole delay vectors in both methods. The slope is read after
    the (dimension - 1) delay steps in which coordinates remain by which the neighbours were
    chosen: measurement noise would make them part quickly then. It is the mean of two, and half
    their difference enters the error. In a map the second comes from one dimension more. In a
    flow neighbours are also apart along the orbit, where nothing grows: whole distances grow too
    slowly, and distances across the orbit, which its bends lengthen, too fast.

    The error is also that of the series itself: another one of the same length would have another
    finite-time exponent.

    References
    ----------
    M. T. Rosenstein, J. J. Collins, C. J. De Luca, Physica D 65 (1993) 117.
    H. Kantz, Phys. Lett. A 185 (1994) 77.
    L. Cao, Physica D 110 (1997) 43. A. M. Fraser, H. L. Swinney, Phys. Rev. A 33 (1986) 1134.

    Examples
    --------
    >>> import lyapmap as lm
    >>> path = lm.trajectory(lm.systems.logistic(r=4.0), [0.3], n_steps=2000, transient=100)
    >>> found = lm.from_series(path.states[0, :, 0])
    >>> round(found.exponent, 2), found.delay
    (0.69, 1)
    """
    values = as_series(series)
    if method not in NEIGHBORS:
        raise LyapmapError(f"method: expected 'rosenstein' or 'kantz', got {method!r}")
    if len(values) < FEWEST_VALUES:
        raise LyapmapError(f"series: expected at least {FEWEST_VALUES} values, got {len(values)}")
    settings: dict[str, Any] = {
        "method": method,
        "delay": delay if delay == "auto" else whole("delay", delay, 1),
        "dimension": dimension if dimension == "auto" else whole("dimension", dimension, 1),
        "theiler": theiler if theiler == "auto" else whole("theiler", theiler, 0),
        "window": window if isinstance(window, str) and window == "auto" else interval("window", window),
        "dt": None if dt is None else positive("dt", dt),
        "n_neighbors": NEIGHBORS[method] if n_neighbors is None else whole("n_neighbors", n_neighbors, 1),
        "radius": None if radius is None else positive("radius", radius),
        "n_steps": None if n_steps is None else whole("n_steps", n_steps, 4),
        "n_values": len(values),
    }
    begin = time.perf_counter()
    chosen = Unfolding.of(values, settings)
    settings["second_curve"] = "one dimension more" if chosen.in_steps else "across the orbit"
    try:
        with reporting(progress, "series") as report:
            report(0, 2)
            curves = []
            if not chosen.hopeless:
                curves.append(followed(chosen, settings))
                report(1, 2)
                curves.append(second(chosen, curves[0].steps, settings))
                report(2, 2)
    except KeyboardInterrupt:
        raise Interrupted(None) from None
    origin = provenance(None, seed=None, seconds=time.perf_counter() - begin)
    return _result(chosen, curves, settings, origin).checked(throw)


def _straight(curve: Curve, chosen: Unfolding, settings: dict[str, Any]) -> Straight | None:
    window = settings["window"]
    usable = np.isfinite(curve.mean) & np.isfinite(curve.without).all(axis=0)
    end = len(usable) if usable.all() else int(usable.argmin())
    if window == "auto" and end:
        above = np.flatnonzero(curve.mean[:end] > curve.mean[:end].max() - CEILING)
        end = int(above[0]) + 1
    # Until then some coordinate is one by which the neighbours were chosen, and hides what noise does.
    first = int(np.searchsorted(curve.steps, (chosen.dimension - 1) * chosen.delay)) if window == "auto" else 0
    part = slice(first, max(end, first))
    shortest = 4.0 if chosen.in_steps else 3.0 * chosen.pace
    if first < end:
        shortest = max(shortest, SHARE * float(curve.steps[end - 1] - curve.steps[first]))
    found = straight_part(
        curve.steps[part].astype(float),
        curve.mean[part],
        curve.without[:, part],
        shortest=shortest,
        fewest=5,
        window=None if window == "auto" else window,
    )
    return found if found is None else replace(found, first=found.first + first, last=found.last + first)


def _result(chosen: Unfolding, curves: list[Curve], settings: dict[str, Any], origin: dict[str, Any]) -> SeriesExponent:
    curve = curves[0] if curves else None
    found = [_straight(each, chosen, settings) for each in curves]
    best = found[0] if found else None
    rate = 1.0 if settings["dt"] is None else 1.0 / settings["dt"]
    exponent = stderr = statistical = systematic = math.nan
    edges = (math.nan, math.nan)
    if best is not None and curve is not None:
        other = best if found[-1] is None else found[-1]
        exponent = (best.slope + other.slope) / 2 * rate
        statistical = max(best.statistical, other.statistical) * rate
        apart = abs(best.slope - other.slope) / 2
        systematic = math.hypot(best.systematic, best.arbitrary, apart) * rate
        stderr = math.hypot(statistical, systematic)
        edges = float(curve.steps[best.first]), float(curve.steps[best.last])
    status, message = _judged(chosen, curve, best, exponent, stderr)
    return SeriesExponent(
        status=status,
        message=message,
        settings=settings,
        provenance=origin,
        exponent=exponent,
        stderr=stderr,
        curve=np.empty(0) if curve is None else curve.mean,
        second_curve=curves[1].mean if curves else np.empty(0),
        steps=np.empty(0, np.int64) if curve is None else curve.steps,
        window=edges,
        statistical=statistical,
        systematic=systematic,
        delay=chosen.delay,
        dimension=chosen.dimension,
        theiler=chosen.theiler,
        e1=chosen.e1,
        e2=chosen.e2,
        n_pairs=0 if curve is None else curve.n_pairs,
        unit="per step" if settings["dt"] is None else "per unit time",
    )


def _judged(
    chosen: Unfolding, curve: Curve | None, best: Straight | None, exponent: float, stderr: float
) -> tuple[Status, str]:
    """Whether the slope is an exponent, in words."""
    if curve is None:
        return Status.NOT_CONVERGED, chosen.hopeless
    if curve.n_pairs < curve.n_equal:
        return Status.NOT_CONVERGED, "most neighbours coincide: the series repeats exactly, or was rounded"
    if best is None and np.nanmax(curve.mean) - curve.mean[0] < LEAST_RISE:
        return Status.NOT_CONVERGED, "neighbours do not part: a regular signal"
    if best is None:
        return Status.NOT_CONVERGED, "neighbours part at once: too few values, or noise"
    rise = curve.mean[best.last] - curve.mean[best.first]
    if rise < LEAST_RISE:
        return Status.NOT_CONVERGED, (
            f"neighbours part by a factor of {math.exp(rise):.2g} only where they do so steadily: "
            "a regular signal, noise, or too few values"
        )
    if not stderr <= WORST * exponent:
        return Status.NOT_CONVERGED, "neighbours do not part at a steady rate: noise, or too few values"
    few = f"{curve.n_equal} neighbours coincide and were left out" if curve.n_equal else ""
    return Status.OK, few
