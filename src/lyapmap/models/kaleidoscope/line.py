"""Kaleidoscopes on a line: loss, output, samples, fixed points, basins (Fig. 2 to 4); does depth sharpen the steps?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lyapmap.analysis.orbits.interval_map import IntervalMap, interval_map
from lyapmap.core.arguments import positive, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.errors import LyapmapError
from lyapmap.core.map import Map, TangentMap
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run
from lyapmap.models.kaleidoscope.experiment import (
    REMEDIES,
    Cell,
    Counts,
    Fit,
    Values,
    ascending_sizes,
    cells_of,
    experiment,
    over_sizes,
    padded,
    visited,
)
from lyapmap.models.kaleidoscope.network import RANGES, KaleidoscopeConfig

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.fit import Fitted


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

    def cell(self) -> Cell:
        """Points as a table, and sizes, after a look whether they can be fitted."""
        config = KaleidoscopeConfig(state_shape=(1,), depth=self.depth, width=self.width, output=self.output)
        low, high = config.value_range
        points = np.array(self.points, float)
        # A bounded output comes near the ends of its range but never reaches them.
        if not len(points) or not ((points > low) & (points < high)).all():
            raise LyapmapError(
                f"points: expected values between {low:g} and {high:g} for {self.output}, got {self.points}"
            )
        if len(np.unique(points)) < len(points):
            raise LyapmapError(f"points: expected different values, got {self.points}")
        return Cell(points[:, None], self.depth, self.width, self.output)


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

    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_line"
    REMEDIES: ClassVar[dict[Status, str]] = REMEDIES

    names: list[str]
    fit_loss: Values = dims("setting")
    fit_steps: Counts = dims("setting")
    tries: Counts = dims("setting")
    dead: Counts = dims("setting")
    points: Values = dims("setting", "point")
    x: Values = dims("setting", "place")
    output: Values = dims("setting", "place")
    slope: Values = dims("setting", "place")
    loss: Values = dims("setting", "place")
    fixed_points: Values = dims("setting", "fixed_point")
    multipliers: Values = dims("setting", "fixed_point")
    basin_shares: Values = dims("setting", "fixed_point")
    flat_steps: Values = dims("setting", "step", "edge")
    ends: Values = dims("setting", "place")
    settled_after: Counts = dims("setting", "place")
    sampled_after: Counts = dims("time")
    samples: Values = dims("setting", "time", "sample")
    share_at_points: Values = dims("setting")


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
    fit_steps : int
        Most steps of Adam for one set of initial weights.
    tries : int
        Most sets of initial weights for one network.
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
    >>> line = kaleidoscope_line([LineSetting((0.5,))], n_grid=101)
    >>> line.fixed_points.round(3), line.share_at_points
    (array([[0.5]]), array([1.]))
    """
    run, fit = Run("fitting", seed=seed, progress=progress), Fit.checked(loss, fit_steps, tries)
    seen = experiment(run, cells_of(settings), fit, lambda _, maps, __: maps[0])
    result = look_at_lines(
        [cell.look for cell in seen], settings,
        n_grid=n_grid, n_steps=n_steps, n_samples=n_samples, tolerance=tolerance, seed=run.seed,
    )  # fmt: skip
    left = np.array([cell.fit.loss[0] for cell in seen])
    whole_result = replace(
        result,
        **run.ending(fit.verdict(result.names, left)),
        settings=result.settings | fit._asdict(),
        fit_loss=left,
        fit_steps=np.array([cell.fit.steps[0] for cell in seen]),
        tries=np.array([cell.fit.tries[0] for cell in seen]),
        dead=np.array([cell.fit.dead[0] for cell in seen]),
    )
    return run.finish(whole_result, throw)


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
    run = Run("iterating", as_tangent_map(maps[0]), seed=seed)
    n_samples, tolerance = whole("n_samples", n_samples, 1), positive("tolerance", tolerance)
    looks, samples = [], []
    with run.steps():
        for i, (given, setting) in enumerate(zip(maps, settings, strict=True)):
            bounds = RANGES[setting.output]
            looks.append(interval_map(given, bounds, n_grid=n_grid, n_steps=n_steps, tolerance=tolerance))
            starts = np.random.default_rng([seed, i]).uniform(*bounds, n_samples)
            samples.append(visited(given, starts[:, None], SAMPLED_AFTER)[..., 0])
    rows = {
        "x": "x", "output": "image", "slope": "slope", "ends": "ends", "settled_after": "settled_after",
        "fixed_points": "fixed_points", "multipliers": "multipliers", "basin_shares": "basin_shares",
        "flat_steps": "steps",
    }  # fmt: skip
    columns: dict[str, Any] = {ours: padded([getattr(look, theirs) for look in looks]) for ours, theirs in rows.items()}
    pairs = list(zip(looks, settings, strict=True))
    not_fitted = np.zeros(len(looks), np.int64)
    return KaleidoscopeLine(
        **run.ending(),
        settings={
            "of": [f"{s.points} {s.depth} {s.width} {s.output}" for s in settings],
            "n_grid": n_grid,
            "n_steps": n_steps,
            "tolerance": tolerance,
        },
        names=[setting.name for setting in settings],
        fit_loss=np.array([max(abs(np.interp(s.points, look.x, look.image) - s.points)) ** 2 for look, s in pairs]),
        fit_steps=not_fitted,
        tries=not_fitted,
        dead=not_fitted,
        points=padded([np.array(setting.points) for setting in settings]),
        loss=(columns["output"] - columns["x"]) ** 2,
        sampled_after=np.array(SAMPLED_AFTER),
        samples=np.array(samples),
        share_at_points=np.array([share_at(look, setting.points, tolerance) for look, setting in pairs]),
        **columns,
    )


def share_at(look: IntervalMap, points: Sequence[float], tolerance: float) -> float:
    """Part of the grid's starts that settle within the tolerance of a point."""
    distance = np.abs(look.ends[:, None] - np.asarray(points)).min(axis=1)
    return float(((distance <= tolerance) & (look.settled_after >= 0)).mean())


MEASURES = {
    "n_steps": "flat steps",
    "flat_share": "flat part",
    "step_slope": "slope in steps",
    "steepest": "log2 steepest slope",
    "settled_after": "log2 iterations",
    "share_at_points": "starts ending at points",
}
"""What is measured of each network over depth and width, in words."""
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class KaleidoscopeDepth(Result):
    """Profiles over depth and width; a depths, b widths, s seeds, k measures. NaN: the fit failed, or no step.

    Attributes
    ----------
    points : (m,)
    depths : (a,)
    widths : (b,)
    measures : list of str
        Keys of `MEASURES`.
    measured : (k, a, b, s)
        For each network: number of flat steps; part of the range in them; mean absolute slope in them; log2 of the
        largest absolute slope; log2 of (1 + median number of iterations until a start has settled); part of the
        starts that end within the tolerance of a point.
    effect, effect_stderr, effect_reach : (k, 2)
        Change for each doubling of depth and of width: mean over seeds of a least-squares plane over
        (log2 depth, log2 width), its standard error, and half the width of its 95 % interval.
    fit_loss, tries, dead : (a, b, s)
        Loss left, initial weights tried, and how many of them died.
    x : (g,)
    output : (a, b, g)
        Of the first seed's networks.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_depth"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "raise the number of tries or steps of the fit, or the width"
    }

    points: Values = dims("point")
    depths: Counts = dims("depth")
    widths: Counts = dims("width")
    measures: list[str]
    measured: Values = dims("measure", "depth", "width", "seed")
    effect: Values = dims("measure", "of")
    effect_stderr: Values = dims("measure", "of")
    effect_reach: Values = dims("measure", "of")
    fit_loss: Values = dims("depth", "width", "seed")
    tries: Values = dims("depth", "width", "seed")
    dead: Values = dims("depth", "width", "seed")
    x: Values = dims("place")
    output: Values = dims("depth", "width", "place")

    def verdict(self, measure: int, of: int) -> str:
        """ "rises", "falls" or "unclear" with depth (`of` 0) or width (1), at 95 % confidence."""
        effect, reach = self.effect[measure, of], self.effect_reach[measure, of]
        if not (math.isfinite(effect) and math.isfinite(reach)):
            return "not determined"
        if abs(effect) <= reach:
            return "unclear"
        return "rises" if effect > 0 else "falls"


def kaleidoscope_depth(
    points: Sequence[float] = (-0.8, -0.2, 0.2, 0.8),
    *,
    depths: Sequence[int] = (1, 2, 4, 7, 10),
    widths: Sequence[int] = (5, 10, 20, 50),
    output: str = "tanh",
    n_seeds: int = 5,
    loss: float = 1e-8,
    fit_steps: int = 6000,
    tries: int = 16,
    n_grid: int = 1001,
    n_steps: int = 500,
    tolerance: float = 0.01,
    seed: int | None = 0,
    throw: bool = True,
    progress: bool | Report = False,
) -> KaleidoscopeDepth:
    """Fit networks of many depths and widths to the same points, and measure how step-like they are.

    Parameters
    ----------
    points : sequence of float
        Within the range of the output.
    depths : sequence of int
        Hidden layers.
    widths : sequence of int
        Units of each.
    output : "tanh" or "sigmoid"
        For points in [-1, 1] or in [0, 1].
    n_seeds : int
        Networks of each size.
    loss : float
        That a fit has to reach; a network that misses it is left out.
    fit_steps : int
        Most steps of Adam for one set of initial weights.
    tries : int
        Most sets of initial weights for one network.
    n_grid : int
        Places over the range, also as starts.
    n_steps : int
        Most iterations.
    tolerance : float
        Distance within which a start has settled or is at a point.
    seed : int or None
    throw : bool
        Raise if no network could be fitted.
    progress : bool or callable

    Returns
    -------
    KaleidoscopeDepth

    Raises
    ------
    LyapmapError
        If points lie outside the range of the output, or an option is out of its range.
    RunError
        If no network reached the loss, unless `throw` is False.
    Interrupted
        On Ctrl-C, with what was measured until then.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), section 3, "Choice of neural network".

    Examples
    --------
    >>> sizes = {"depths": [1, 2], "widths": [5], "n_seeds": 2}
    >>> kaleidoscope_depth([0.5], output="sigmoid", n_grid=51, **sizes).measured.shape
    (6, 2, 1, 2)
    """
    run, fit = Run("fitting and iterating", seed=seed, progress=progress), Fit.checked(loss, fit_steps, tries)
    tolerance, n_seeds = positive("tolerance", tolerance), whole("n_seeds", n_seeds, 1)
    a, b = ascending_sizes("depths", depths), ascending_sizes("widths", widths)
    single = [LineSetting(tuple(points), d, h, output).cell() for d, h in product(a.tolist(), b.tolist())]
    cells = [cell._replace(points=np.tile(cell.points, (n_seeds, 1, 1))) for cell in single]

    def look(_: int, maps: list[TangentMap], fitted: Fitted) -> tuple[Values, Values]:
        measured, profile = np.full((n_seeds, len(MEASURES)), np.nan), np.full(n_grid, np.nan)
        # A network that misses the loss says nothing of its size: it is left out.
        for s in np.flatnonzero(fitted.reached(fit.loss)).tolist():
            seen = interval_map(maps[s], RANGES[output], n_grid=n_grid, n_steps=n_steps, tolerance=tolerance)
            measured[s] = measures_of(seen, points, tolerance)
            if s == 0:
                profile = seen.image
        return measured, profile

    seen = experiment(run, cells, fit, look, partial=True)
    shape = (len(a), len(b), n_seeds)
    table = np.moveaxis(over_sizes((*shape, len(MEASURES)), [cell.look[0] for cell in seen]), -1, 0)
    fit_loss = over_sizes(shape, [cell.fit.loss for cell in seen])
    missed, none = int((fit_loss > fit.loss).sum()), bool(np.isnan(table[0]).all())
    words = f"{missed} of {len(seen) * n_seeds} networks did not reach a loss of {fit.loss:g}" if missed else ""
    effect, stderr, reach = effects(table, a, b)
    result = KaleidoscopeDepth(
        **run.ending(
            Verdict(Status.NOT_CONVERGED if none else Status.OK, words), done=f"{len(seen)} of {len(cells)} sizes"
        ),
        settings={"output": output, "n_seeds": n_seeds, "n_steps": n_steps, "tolerance": tolerance} | fit._asdict(),
        points=np.array(points, float),
        depths=a,
        widths=b,
        measures=list(MEASURES),
        measured=table,
        effect=effect,
        effect_stderr=stderr,
        effect_reach=reach,
        fit_loss=fit_loss,
        tries=over_sizes(shape, [cell.fit.tries for cell in seen]),
        dead=over_sizes(shape, [cell.fit.dead for cell in seen]),
        x=np.linspace(*RANGES[output], n_grid),
        output=over_sizes((len(a), len(b), n_grid), [cell.look[1] for cell in seen]),
    )
    return run.finish(result, throw)


def measures_of(look: IntervalMap, points: Sequence[float], tolerance: float) -> list[float]:
    """The numbers of `MEASURES` for one network."""
    flat, slope = look.in_a_step, np.abs(look.slope)
    # A start that does not settle has not done so by the end of the run.
    took = np.where(look.settled_after < 0, np.inf, look.settled_after)
    return [
        len(look.steps),
        float(flat.mean()),
        float(slope[flat].mean()) if flat.any() else math.nan,
        math.log2(max(float(slope.max()), 1e-12)),
        math.log2(1 + float(np.median(took))) if np.isfinite(np.median(took)) else math.nan,
        share_at(look, points, tolerance),
    ]


def effects(measured: Values, depths: Counts, widths: Counts) -> tuple[Values, Values, Values]:
    """Change of each measure (k, a, b, s) for each doubling of depth and width: mean, error, 95 % reach, (k, 2).

    A plane is fitted to every seed's networks of its own; the error comes from the spread of its slopes over seeds.
    """
    from scipy.stats import t

    k, _, _, seeds = measured.shape
    slopes = np.full((k, seeds, 2), np.nan)
    places = np.stack(np.meshgrid(np.log2(depths), np.log2(widths), indexing="ij"), axis=-1).reshape(-1, 2)
    for m in range(k):
        for s in range(seeds):
            values = measured[m, :, :, s].ravel()
            known = np.isfinite(values)
            for of in range(2):
                others = [c for c in range(2) if np.ptp(places[known][:, c]) > 0] if known.any() else []
                if of not in others:
                    continue
                table = np.column_stack([np.ones(int(known.sum())), places[known][:, others]])
                if np.linalg.matrix_rank(table) == table.shape[1]:
                    slopes[m, s, of] = np.linalg.lstsq(table, values[known], rcond=None)[0][1 + others.index(of)]
    count = np.isfinite(slopes).sum(axis=1)
    mean, error, reach = (np.full((k, 2), np.nan) for _ in range(3))
    for m, of in np.ndindex(k, 2):
        row = slopes[m, np.isfinite(slopes[m, :, of]), of]
        if len(row):
            mean[m, of] = row.mean()
        if len(row) > 1:
            error[m, of] = row.std(ddof=1) / math.sqrt(len(row))
            reach[m, of] = error[m, of] * t.ppf((1 + CONFIDENCE) / 2, count[m, of] - 1)
    return mean, error, reach
