"""Largest Lyapunov exponent of a measured series, without knowing the map.

M. T. Rosenstein, J. J. Collins, C. J. De Luca (1993); H. Kantz (1994). The series is unfolded into
delay vectors, close ones are followed, and the slope of the mean logarithm of their distance is
read where it is straight.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.straight import Straight, straight_part
from lyapmap.analysis.series.delays import recordings
from lyapmap.analysis.series.unfolding import CLEAR, FEWEST_VALUES, Curve, Unfolding, followed, second
from lyapmap.core.arguments import given, interval, one_of, positive, whole
from lyapmap.core.demand import held, of_points
from lyapmap.core.errors import LyapmapError
from lyapmap.core.plain import with_error
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Values = NDArray[np.float64]

NEIGHBORS = {"rosenstein": 1, "kantz": 8}
"""Neighbours of each point: the nearest alone, as Rosenstein has it; eight, which give Kantz's mean over a
neighbourhood an error of a third."""
CEILING = 1.0
"""How far below the highest point of the curve the straight part must end: there folding slows growth by FOLDED
e^-FOLDING, 12 %."""
SHARE = 0.5
"""Least length of the straight part in proportion to where it may be: a slope that holds over less is one of
several."""
LOUD = 0.75
"""Share of noise in squared distances above which the curve is not used: what is left would be the difference of
two numbers nearly equal."""
FOLDED, FOLDING = 0.5, 1.4
"""Of a map, growth slows by FOLDED (d / D)^FOLDING where distances d near their final mean D."""
NOISE_UNKNOWN, FOLD_UNKNOWN = 3.5, 1.3
"""Errors of what is taken off for noise and for folding, relative to it. Both sets are read off the
curves of Hénon's map, the logistic one and Ikeda's, and tried on others: docs/series.md."""
NOTICED = 0.002
"""Noise relative to the spread that is spoken of: 0.2 % is what a 9-bit instrument leaves."""
WORST = 0.3
"""Standard error relative to the exponent above which there is no straight part: three errors must not reach zero."""
LEAST_RISE = 0.7
"""By how much log distance must grow along it: a factor of 2, less than which regular signals show as well."""


@dataclass(frozen=True, kw_only=True)
class SeriesExponent(Result):
    """Largest exponent of a series with the curve that it was read from.

    Attributes
    ----------
    exponent, stderr : float
        Mean of the slopes of both curves: nats per step, or per unit of time if `dt` was given;
        NaN where the status is not ok.
    curve : (t,)
        Mean log distance of pairs of neighbours after `steps` steps.
    second_curve : (t,)
        The same with one dimension more; of a smooth series, with distances across the orbit.
    steps : (t,)
    window : (float, float)
        First and last step of the straight part; NaN where there is none.
    statistical, systematic : float
        Parts of the error: of the sample (jackknife over 16 stretches of time), and of the method
        (change of the slope within the window, choice of the window, what noise and folding add,
        half the difference of the slopes of both curves, and of neighbours further away).
    delay, dimension, theiler : int
        Of the delay vectors, and of the search for neighbours.
    e1, e2 : (d,)
        Cao's quantities for dimensions 1, 2, ...; empty where the dimension was given.
    n_pairs : int
        Pairs of neighbours that were followed.
    noise : float
        Standard deviation of the measurement's noise or rounding, relative to that of the values.
        An estimate from the series itself, by the gamma test; rather too large in short series.
    unit : str
        "per step" or "per unit time".
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.series.pictures_series.draw_series_exponent"
    SUMMARY: ClassVar[tuple[str, ...]] = ("exponent", "delay", "dimension", "theiler", "noise")
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "give a longer or less noisy series, or delay, dimension and window by hand"
    }

    exponent: float
    stderr: float
    curve: NDArray[np.float64] = dims("record")
    second_curve: NDArray[np.float64] = dims("record")
    steps: NDArray[np.int64] = dims("record")
    window: tuple[float, float]
    statistical: float
    systematic: float
    delay: int
    dimension: int
    theiler: int
    e1: NDArray[np.float64] = dims("dimensions", default_factory=lambda: np.empty(0))
    e2: NDArray[np.float64] = dims("dimensions", default_factory=lambda: np.empty(0))
    n_pairs: int = 0
    noise: float = math.nan
    unit: str = "per step"

    def _finding(self) -> str:
        value, error = self.exponent, self.stderr
        time = "step" if self.unit == "per step" else "unit of time"
        size = f"{with_error(value, error)} nats per {time}"
        if not np.isfinite(error) or value <= 3 * error:
            return f"Undetermined: the growth of small differences in the series, {size}, cannot be told from none."
        return f"The series looks chaotic: small differences grow by a factor e every {1 / value:.3g} {time}s ({size})."


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
    series : (N,) or (N, m), or a list of such
        One variable, or several measured together (then taken as states, without delays); several
        recordings as a list of arrays. Arrays, masked arrays, pandas and xarray objects. NaN and
        masked values are gaps, each of which ends a recording.
    method : "rosenstein" or "kantz"
        The mean of the logarithm of each pair's distance, or the logarithm of the mean distance of
        all neighbours of a point.
    delay : int or "auto"
        Steps between the components of a delay vector. "auto": 1 if the series decorrelates within
        a step, as maps do; else the first minimum of the mutual information.
    dimension : int or "auto"
        Components of a delay vector. "auto": the smallest whose neighbours predict the next value
        nearly as well as any, up to that where Cao's E1 reaches 0.93. Noise raises the latter, and
        does less to the former.
    theiler : int or "auto"
        Neighbours are more than so many steps away in time; "auto" takes three times the time in
        which the autocorrelation falls to 1/e.
    window : (float, float) or "auto"
        First and last step of the straight part. "auto" takes the stretch whose slope has the
        smallest relative error, of those that end well below the highest point of the curve.
    dt : float, optional
        Time between two values; the exponent is then per unit of time.
    n_neighbors : int, optional
        Neighbours of each point; 1 for rosenstein, 8 for kantz by default.
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
    unfolded: measurement noise would make them part quickly then. It is the mean of two, and half
    their difference enters the error. In a map the second comes from one dimension more. In a
    flow neighbours are also apart along the orbit, where nothing grows: whole distances grow too
    slowly, and distances across the orbit, which its bends lengthen, too fast.

    What noise adds to squared distances is estimated from the series (gamma test) and taken off; what
    is not known of it enters the error. Pairs that begin further apart are followed where the nearest
    are no further away than noise sets them. Rounded values are spread at random over the grain of
    their rounding. Values far from all others are taken for spikes of the instrument, and left out.
    Where neighbours predict the values no better than a linear rule does, as in noise of any colour
    and in regular signals, there is no exponent to read, and none is given.

    The error is also that of the series itself: another one of the same length would have another
    finite-time exponent.

    References
    ----------
    M. T. Rosenstein, J. J. Collins, C. J. De Luca, Physica D 65 (1993) 117.
    H. Kantz, Phys. Lett. A 185 (1994) 77.
    H. Kantz, T. Schreiber, Nonlinear Time Series Analysis, 2nd ed. (2004), ch. 5, for the noise.
    L. Cao, Physica D 110 (1997) 43. A. M. Fraser, H. L. Swinney, Phys. Rev. A 33 (1986) 1134.

    Examples
    --------
    >>> import lyapmap as lm
    >>> path = lm.trajectory(lm.systems.logistic(r=4.0), [0.3], n_steps=2000, transient=100)
    >>> found = lm.from_series(path.states[0, :, 0])
    >>> round(found.exponent, 1), found.delay
    (0.7, 1)
    """
    pieces = recordings(series)
    n_values = sum(len(piece) for piece in pieces)
    one_of("method", method, NEIGHBORS)
    if n_values < FEWEST_VALUES:
        raise LyapmapError(f"series: expected at least {FEWEST_VALUES} values, got {n_values}")
    settings: dict[str, Any] = {
        "method": method,
        "delay": given(whole, "delay", delay, 1, unless="auto"),
        "dimension": given(whole, "dimension", dimension, 1, unless="auto"),
        "theiler": given(whole, "theiler", theiler, 0, unless="auto"),
        "window": given(interval, "window", window, unless="auto"),
        "dt": given(positive, "dt", dt),
        "n_neighbors": NEIGHBORS[method] if n_neighbors is None else whole("n_neighbors", n_neighbors, 1),
        "radius": given(positive, "radius", radius),
        "n_steps": given(whole, "n_steps", n_steps, 4),
        "n_values": n_values,
        "n_recordings": len(pieces),
    }
    longest = max(pieces, key=len)

    def trial(some: slice) -> None:
        # A stretch, not every so many values: their spacing is part of what is measured.
        names = ("method", "delay", "dimension", "theiler", "n_neighbors", "radius", "n_steps")
        size = len(range(*some.indices(n_values)))
        with suppress(LyapmapError):  # a stretch may be too short for what the whole is long enough
            from_series(longest[:size], **{name: settings[name] for name in names}, throw=False)

    # Delay vectors of the largest dimension that is tried, their trees and neighbours.
    arrays = [held("delay vectors", 8 * 8, values=n_values, _dimensions=12)]
    run = Run("series", progress=progress, demand=of_points(arrays, n_values, trial))
    unfolded = Unfolding.of(pieces, settings)
    settings["second_curve"] = "one dimension more" if unfolded.in_steps else "across the orbit"
    curves: list[Curve] = []
    settings["rank"] = 1
    with run.steps() as report:
        report(0, 2)
        if not unfolded.hopeless:
            settings["rank"], curves = _clearest(followed(unfolded, settings), unfolded, settings)
            report(1, 2)
            curves.insert(1, second(unfolded, curves[0].steps, settings["rank"], settings))
            report(2, 2)
    return run.finish(_result(unfolded, curves, settings, run), throw)


def _clearest(curves: dict[int, Curve], unfolded: Unfolding, settings: dict[str, Any]) -> tuple[int, list[Curve]]:
    """Which neighbours tell the slope best, their curve, and that of the next ones."""
    ranks = list(curves)

    def doubt(rank: int) -> float:
        straight = _straight(curves[rank], unfolded, unfolded.floor(0), settings)
        return math.inf if straight is None or straight.slope <= 0 else straight.stderr / straight.slope

    clear = math.log(max(unfolded.floor(0), 1e-300)) + CLEAR
    within = [rank for i, rank in enumerate(ranks) if i == 0 or not curves[ranks[i - 1]].mean[0] > clear]
    rank = min(within, key=doubt)
    beside = [r for r in ranks if r > rank][:1] or [r for r in ranks if r < rank][-1:]
    return rank, [curves[rank], *(curves[r] for r in beside)]


def _straight(curve: Curve, unfolded: Unfolding, floor: float, settings: dict[str, Any]) -> Straight | None:
    """The straight part of a curve of points that the noise alone sets `floor` apart."""
    by_hand = settings["window"] != "auto"
    usable = np.isfinite(curve.mean) & np.isfinite(curve.without).all(axis=0)
    end = len(usable) if usable.all() else int(usable.argmin())
    if not end:
        return None
    top = float(curve.mean[:end].max())
    # The distances of a flow's neighbours, along the orbit and across it, bend either way: no rule for them.
    mean, noisy, wide = _true_distance(curve.mean[:end], floor, top if unfolded.in_steps else math.inf)
    first = 0
    if not by_hand:
        end = int((curve.mean[:end] > top - CEILING).argmax()) + 1
        # Until then some coordinate is one by which the neighbours were chosen, and hides what noise does.
        first = int(np.searchsorted(curve.steps, (unfolded.dimension - 1) * unfolded.delay))
        loud = np.flatnonzero(noisy[first:end] > LOUD)
        first += int(loud[-1]) + 1 if len(loud) else 0
        if first >= end:
            return None
    shortest = max(
        4.0 if unfolded.in_steps else 3.0 * unfolded.pace, SHARE * float(curve.steps[end - 1] - curve.steps[first])
    )
    part = slice(first, end)
    straight = straight_part(
        curve.steps[part].astype(float),
        mean[part],
        _true_distance(curve.without[:, part], floor, top if unfolded.in_steps else math.inf)[0],
        shortest=shortest,
        fewest=5,
        window=settings["window"] if by_hand else None,
        allowance=(NOISE_UNKNOWN * noisy + FOLD_UNKNOWN * wide)[part],
    )
    return None if straight is None else replace(straight, first=straight.first + first, last=straight.last + first)


def _true_distance(log_distance: Values, floor: float, top: float) -> tuple[Values, Values, Values]:
    """Log distances without what noise and the attractor's size do to them, and both shares of the slope."""
    noisy = np.minimum(np.exp(2 * (math.log(floor) - log_distance)), 0.8) if floor > 0 else np.zeros_like(log_distance)
    wide = np.minimum(FOLDED * np.exp(FOLDING * (log_distance - top)), 0.8)
    return log_distance + 0.5 * np.log1p(-noisy) - np.log1p(-wide) / FOLDING, noisy, wide


def _result(unfolded: Unfolding, curves: list[Curve], settings: dict[str, Any], run: Run) -> SeriesExponent:
    curve = curves[0] if curves else None
    more = [0, int(unfolded.in_steps), 0]
    slopes = [_straight(c, unfolded, unfolded.floor(d), settings) for c, d in zip(curves, more, strict=False)]
    best, other, further = [*slopes, None, None, None][:3]
    rate = 1.0 if settings["dt"] is None else 1.0 / settings["dt"]
    exponent = stderr = statistical = systematic = math.nan
    edges = (math.nan, math.nan)
    if best is not None and curve is not None:
        other = other or best
        exponent = (best.slope + other.slope) / 2 * rate
        statistical = max(best.statistical, other.statistical) * rate
        differences = [(best.slope - other.slope) / 2, _beyond_errors(best, further, in_steps=unfolded.in_steps)]
        systematic = math.hypot(best.systematic, best.arbitrary, *differences) * rate
        stderr = math.hypot(statistical, systematic)
        edges = float(curve.steps[best.first]), float(curve.steps[best.last])
    verdict = _judged(unfolded, curve, best, exponent, stderr)
    if verdict.status.failed:
        exponent = stderr = math.nan
    return SeriesExponent(
        **run.ending(verdict),
        settings=settings,
        exponent=exponent,
        stderr=stderr,
        curve=np.empty(0) if curve is None else curve.mean,
        second_curve=curves[1].mean if curves else np.empty(0),
        steps=np.empty(0, np.int64) if curve is None else curve.steps,
        window=edges,
        statistical=statistical,
        systematic=systematic,
        delay=unfolded.delay,
        dimension=unfolded.dimension,
        theiler=unfolded.theiler,
        e1=unfolded.e1,
        e2=unfolded.e2,
        n_pairs=0 if curve is None else curve.n_pairs,
        noise=unfolded.relative_noise,
        unit="per step" if settings["dt"] is None else "per unit time",
    )


def _beyond_errors(best: Straight, further: Straight | None, *, in_steps: bool) -> float:
    """How much the slope of neighbours further away differs, beyond what is known to make it differ."""
    if further is None:
        return 0.0
    if in_steps:
        return math.sqrt(max((best.slope - further.slope) ** 2 - further.statistical**2, 0.0))
    # Of a flow further neighbours leave little of the curve, and their slope is poor.
    return math.sqrt(max((best.slope - further.slope) ** 2 - further.stderr**2, 0.0)) / 2


def _judged(unfolded: Unfolding, curve: Curve | None, best: Straight | None, exponent: float, stderr: float) -> Verdict:
    """Whether the slope is an exponent, in words."""
    if curve is None:
        return Verdict(Status.NOT_CONVERGED, unfolded.hopeless)
    if curve.n_pairs < curve.n_equal:
        return Verdict(Status.NOT_CONVERGED, "most neighbours coincide: the series repeats exactly")
    noise = unfolded.relative_noise
    why = f"noise, here about {100 * noise:.2g} % of the spread, or too few values" if noise > NOTICED else ""
    why = why or "noise, or too few values"
    if best is None and np.nanmax(curve.mean) - curve.mean[0] < LEAST_RISE:
        return Verdict(Status.NOT_CONVERGED, "neighbours do not part: a regular signal")
    if best is None:
        return Verdict(Status.NOT_CONVERGED, f"neighbours part at once: {why}")
    rise = curve.mean[best.last] - curve.mean[best.first]
    if rise < LEAST_RISE:
        factor = f"neighbours part by a factor of {math.exp(rise):.2g} only where they do so steadily"
        return Verdict(Status.NOT_CONVERGED, f"{factor}: a regular signal, {why}")
    if not stderr <= WORST * exponent:
        return Verdict(Status.NOT_CONVERGED, f"neighbours do not part at a steady rate: {why}")
    words = [f"{curve.n_equal} neighbours coincide and were left out"] if curve.n_equal else []
    if unfolded.left_out:
        words.append(f"{unfolded.left_out} values far from all others were left out as gaps")
    return Verdict(message="; ".join(words))
