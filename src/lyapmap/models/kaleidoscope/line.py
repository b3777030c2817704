"""The kaleidoscope of a few points on a line: loss, output, samples, fixed points and basins (Fig. 2, 3, 4)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.interval_map import IntervalMap, interval_map
from lyapmap.backends import wrap
from lyapmap.core.arguments import positive, seeded, whole
from lyapmap.core.errors import Interrupted, LyapmapError
from lyapmap.core.map import Map, as_tangent_map
from lyapmap.core.results import Result, Status, provenance
from lyapmap.core.run import Report
from lyapmap.models.kaleidoscope import experiment
from lyapmap.models.kaleidoscope.network import RANGES, KaleidoscopeConfig

Values = NDArray[np.float64]


@dataclass(frozen=True)
class LineSetting:
    """One network on a line.

    Parameters
    ----------
    points : tuple of float
        That it learns to leave where they are, within the range of the output.
    depth, width : int
        Hidden layers, and units of each.
    output : "sigmoid" or "tanh"
    """

    points: tuple[float, ...]
    depth: int = 2
    width: int = 5
    output: str = "sigmoid"

    @property
    def name(self) -> str:
        """In short, e.g. "{0.2, 0.8}, L=2, H=5, sigmoid"."""
        points = ", ".join(f"{p:g}" for p in self.points)
        return f"{{{points}}}, L={self.depth}, H={self.width}, {self.output}"


PAPER = (
    LineSetting((0.5,), 2, 5),
    LineSetting((0.2, 0.8), 2, 5),
    LineSetting((0.2, 0.8), 7, 5),
    LineSetting((-0.8, -0.2, 0.2, 0.8), 10, 10, "tanh"),
)
"""The settings of Fig. 2, Fig. 3 (top and bottom) and Fig. 4."""
SAMPLED_AFTER = (0, 1, 2, 3, 5, 10, 20)
"""Iterations after which samples are kept."""


@dataclass(frozen=True, kw_only=True)
class KaleidoscopeLine(Result):
    """Networks on a line and their dynamics; s settings, of which shorter rows end in NaN.

    Attributes
    ----------
    names : list of str
        The settings in words.
    fit_loss : (s,)
        Loss left at the points.
    fit_steps, tries, dead : (s,)
        Steps of Adam, initial weights tried, and how many of them died.
    points : (s, m)
        What was learned.
    x, output, slope, loss : (s, g)
        The range on a grid, the network's output, its derivative, and (output - x)**2.
    fixed_points, multipliers : (s, p)
        Where output = x, and the slope there: stable below 1.
    basin_shares : (s, p)
        Part of all starts that end at each fixed point, within the tolerance.
    flat_steps : (s, q, 2)
        First and last place of each flat piece of the output.
    ends : (s, g)
        Where each start of the grid is in the end.
    settled_after : (s, g)
        Iterations after which it stays there; -1 where it does not.
    sampled_after : (t,)
        Iterations after which samples were kept.
    samples : (s, t, k)
        Random starts and what became of them.
    share_at_points : (s,)
        Part of the grid's starts that end within the tolerance of a point.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "fit_loss": ("setting",),
        "fit_steps": ("setting",),
        "tries": ("setting",),
        "dead": ("setting",),
        "points": ("setting", "point"),
        "x": ("setting", "place"),
        "output": ("setting", "place"),
        "slope": ("setting", "place"),
        "loss": ("setting", "place"),
        "fixed_points": ("setting", "fixed_point"),
        "multipliers": ("setting", "fixed_point"),
        "basin_shares": ("setting", "fixed_point"),
        "flat_steps": ("setting", "step", "edge"),
        "ends": ("setting", "place"),
        "settled_after": ("setting", "place"),
        "sampled_after": ("time",),
        "samples": ("setting", "time", "sample"),
        "share_at_points": ("setting",),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_line"
    REMEDIES: ClassVar[dict[Status, str]] = experiment.REMEDIES

    names: list[str]
    fit_loss: Values
    fit_steps: NDArray[np.int64]
    tries: NDArray[np.int64]
    dead: NDArray[np.int64]
    points: Values
    x: Values
    output: Values
    slope: Values
    loss: Values
    fixed_points: Values
    multipliers: Values
    basin_shares: Values
    flat_steps: Values
    ends: Values
    settled_after: NDArray[np.int64]
    sampled_after: NDArray[np.int64]
    samples: Values
    share_at_points: Values


def kaleidoscope_line(
    settings: Sequence[LineSetting] = PAPER,
    *,
    loss: float = 1e-8,
    fit_steps: int = 12_000,
    tries: int = 32,
    n_grid: int = 1001,
    n_steps: int = 1000,
    n_samples: int = 10,
    tolerance: float = 0.01,
    seed: int | None = 0,
    throw: bool = True,
    progress: bool | Report = False,
) -> KaleidoscopeLine:
    """Fit networks to points on a line, and see what iterating them does to the whole range.

    Parameters
    ----------
    settings : sequence of LineSetting
        The paper's four by default.
    loss : float
        That a fit has to reach.
    fit_steps, tries : int
        Most steps of Adam for one set of initial weights, and most of those.
    n_grid : int
        Places over the whole range of the output, also as starts.
    n_steps : int
        Most iterations.
    n_samples : int
        Random starts, uniform over the range.
    tolerance : float
        Distance within which a start has settled or is at a point.
    seed : int or None
    throw : bool
        Raise if a fit does not reach the loss.
    progress : bool or callable

    Returns
    -------
    KaleidoscopeLine

    Raises
    ------
    LyapmapError
        If points lie outside the range of the output, or an option is out of its range.
    RunError
        If a fit does not reach the loss, unless `throw` is False.
    Interrupted
        On Ctrl-C.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Fig. 2, 3 and 4.

    Examples
    --------
    >>> found = kaleidoscope_line([LineSetting((0.5,))], n_grid=101)
    >>> found.fixed_points.round(3), found.share_at_points
    (array([[0.5]]), array([1.]))
    """
    from lyapmap.models.kaleidoscope.fit import fit_points

    begin = time.perf_counter()
    seed, _ = seeded(seed)
    loss, fit_steps, tries = positive("loss", loss), whole("fit_steps", fit_steps, 1), whole("tries", tries, 1)
    if not settings:
        raise LyapmapError("settings: expected at least one")
    for one in settings:
        check_setting(one)
    maps, fits = [], []

    def fit(setting: LineSetting) -> None:
        fitted = fit_points(
            np.reshape(setting.points, (-1, 1)),
            depth=setting.depth,
            width=setting.width,
            output=setting.output,
            loss=loss,
            steps=fit_steps,
            tries=tries,
            seed=seed,
        )
        maps.append(wrap(fitted.networks[0], state_shape=(1,)))
        fits.append(fitted)

    experiment.each(settings, fit, words="fitting", progress=progress)
    result = look_at_lines(
        maps, settings, n_grid=n_grid, n_steps=n_steps, n_samples=n_samples, tolerance=tolerance, seed=seed
    )
    left = np.array([fitted.loss[0] for fitted in fits])
    result = replace(
        result,
        **experiment.how_it_went(result.names, left, loss, tries),
        settings=result.settings | {"loss": loss, "fit_steps": fit_steps, "tries": tries},
        provenance=provenance(as_tangent_map(maps[0]), seed=seed, seconds=time.perf_counter() - begin),
        fit_loss=left,
        fit_steps=np.array([fitted.steps[0] for fitted in fits]),
        tries=np.array([fitted.tries[0] for fitted in fits]),
        dead=np.array([fitted.dead[0] for fitted in fits]),
    )
    return result.checked(throw)


def look_at_lines(
    maps: Sequence[Map],
    settings: Sequence[LineSetting],
    *,
    n_grid: int = 1001,
    n_steps: int = 1000,
    n_samples: int = 10,
    tolerance: float = 0.01,
    seed: int = 0,
) -> KaleidoscopeLine:
    """The same for maps at hand, one for each setting; `kaleidoscope_line` says what the options are."""
    begin = time.perf_counter()
    n_samples, tolerance = whole("n_samples", n_samples, 1), positive("tolerance", tolerance)
    looks, samples = [], []
    try:
        for i, (given, one) in enumerate(zip(maps, settings, strict=True)):
            bounds = RANGES[one.output]
            looks.append(interval_map(given, bounds, n_grid=n_grid, n_steps=n_steps, tolerance=tolerance))
            starts = np.random.default_rng([seed, i]).uniform(*bounds, n_samples)
            samples.append(experiment.visited(given, starts[:, None], SAMPLED_AFTER)[..., 0])
    except KeyboardInterrupt:
        raise Interrupted(None) from None
    x, image = _rows(looks, "x"), _rows(looks, "image")
    zeros = np.zeros(len(looks), np.int64)
    points = experiment.padded([np.array(one.points) for one in settings])
    loss_at = [
        max(abs(np.interp(one.points, look.x, look.image) - one.points)) ** 2
        for one, look in zip(settings, looks, strict=True)
    ]
    return KaleidoscopeLine(
        status=Status.OK,
        settings={
            "of": [f"{one.points} {one.depth} {one.width} {one.output}" for one in settings],
            "n_grid": n_grid,
            "n_steps": n_steps,
            "tolerance": tolerance,
        },
        provenance=provenance(as_tangent_map(maps[0]), seed=seed, seconds=time.perf_counter() - begin),
        names=[one.name for one in settings],
        fit_loss=np.array(loss_at),
        fit_steps=zeros,
        tries=zeros,
        dead=zeros,
        points=points,
        x=x,
        output=image,
        slope=_rows(looks, "slope"),
        loss=(image - x) ** 2,
        fixed_points=experiment.padded([look.fixed_points for look in looks]),
        multipliers=experiment.padded([look.multipliers for look in looks]),
        basin_shares=experiment.padded([look.basin_shares for look in looks]),
        flat_steps=experiment.padded([look.steps for look in looks]),
        ends=_rows(looks, "ends"),
        settled_after=np.array([look.settled_after for look in looks]),
        sampled_after=np.array(SAMPLED_AFTER),
        samples=np.array(samples),
        share_at_points=np.array(
            [share_at(look, one.points, tolerance) for look, one in zip(looks, settings, strict=True)]
        ),
    )


def check_setting(one: LineSetting) -> None:
    """Refuse sizes and points that cannot be fitted, before any fit is begun."""
    config = KaleidoscopeConfig(state_shape=(1,), depth=one.depth, width=one.width, output=one.output)
    low, high = config.value_range
    points = np.array(one.points, float)
    # A bounded output comes near the ends of its range but never reaches them.
    if not len(points) or not ((points > low) & (points < high)).all():
        raise LyapmapError(f"points: expected values between {low:g} and {high:g} for {one.output}, got {one.points}")
    if len(np.unique(points)) < len(points):
        raise LyapmapError(f"points: expected different values, got {one.points}")


def share_at(look: IntervalMap, points: Sequence[float], tolerance: float) -> float:
    """Part of the grid's starts that settle within the tolerance of a point."""
    distance = np.abs(look.ends[:, None] - np.asarray(points)).min(axis=1)
    return float(((distance <= tolerance) & (look.settled_after >= 0)).mean())


def _rows(looks: Sequence[IntervalMap], name: str) -> Values:
    return np.array([getattr(look, name) for look in looks])
