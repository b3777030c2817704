"""Does depth sharpen the steps? Profiles of networks on a line, over depth and width."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.orbits.interval_map import IntervalMap, interval_map
from lyapmap.backends import wrap
from lyapmap.core.arguments import positive, seeded, whole
from lyapmap.core.results import Result, Status, provenance
from lyapmap.core.run import Report
from lyapmap.models.kaleidoscope import experiment
from lyapmap.models.kaleidoscope.line import LineSetting, check_setting, share_at
from lyapmap.models.kaleidoscope.network import RANGES

Values = NDArray[np.float64]

MEASURES = {
    "n_steps": "flat steps",
    "flat_share": "flat part",
    "step_slope": "slope in steps",
    "steepest": "log2 steepest slope",
    "settled_after": "log2 iterations",
    "share_at_points": "starts ending at points",
}
"""What is measured of each network, in words."""
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

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "points": ("point",),
        "depths": ("depth",),
        "widths": ("width",),
        "measured": ("measure", "depth", "width", "seed"),
        "effect": ("measure", "of"),
        "effect_stderr": ("measure", "of"),
        "effect_reach": ("measure", "of"),
        "fit_loss": ("depth", "width", "seed"),
        "tries": ("depth", "width", "seed"),
        "dead": ("depth", "width", "seed"),
        "x": ("place",),
        "output": ("depth", "width", "place"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_depth"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "raise the number of tries or steps of the fit, or the width"
    }

    points: Values
    depths: NDArray[np.int64]
    widths: NDArray[np.int64]
    measures: list[str]
    measured: Values
    effect: Values
    effect_stderr: Values
    effect_reach: Values
    fit_loss: Values
    tries: Values
    dead: Values
    x: Values
    output: Values

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
    depths, widths : sequences of int
        Hidden layers, and units of each.
    output : "tanh" or "sigmoid"
    n_seeds : int
        Networks of each size.
    loss, fit_steps, tries
        As of `kaleidoscope_line`; a network that does not reach the loss is left out.
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
    >>> found = kaleidoscope_depth([0.5], output="sigmoid", depths=[1, 2], widths=[5], n_seeds=2, n_grid=51)
    >>> found.measured.shape
    (6, 2, 1, 2)
    """
    from lyapmap.models.kaleidoscope.fit import fit_points

    begin = time.perf_counter()
    seed, _ = seeded(seed)
    loss, tolerance, n_seeds = positive("loss", loss), positive("tolerance", tolerance), whole("n_seeds", n_seeds, 1)
    a, b = experiment.ascending_sizes("depths", depths), experiment.ascending_sizes("widths", widths)
    for d in a.tolist():
        check_setting(LineSetting(tuple(points), d, int(b[0]), output))
    shape = (len(a), len(b), n_seeds)
    measured = np.full((len(MEASURES), *shape), np.nan)
    fit_loss, tried, dead = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    x, profiles = np.linspace(*RANGES[output], n_grid), np.full((len(a), len(b), n_grid), np.nan)
    total = len(a) * len(b)

    def result(done: int) -> KaleidoscopeDepth:
        missed = int((fit_loss > loss).sum())
        none = bool(np.isnan(measured[0]).all())
        said = [] if done == total else [f"stopped after {done} of {total} sizes"]
        if missed:
            said.append(f"{missed} of {done * n_seeds} networks did not reach a loss of {loss:g}")
        effect, stderr, reach = effects(measured, a, b)
        return KaleidoscopeDepth(
            status=Status.NOT_CONVERGED if none or done < total else Status.OK,
            message="; ".join(said),
            settings={
                "output": output,
                "n_seeds": n_seeds,
                "loss": loss,
                "fit_steps": fit_steps,
                "tries": tries,
                "n_steps": n_steps,
                "tolerance": tolerance,
            },
            provenance=provenance(None, seed=seed, seconds=time.perf_counter() - begin) | {"dtype": "float64"},
            points=np.array(points, float),
            depths=a,
            widths=b,
            measures=list(MEASURES),
            measured=measured,
            effect=effect,
            effect_stderr=stderr,
            effect_reach=reach,
            fit_loss=fit_loss,
            tries=tried,
            dead=dead,
            x=x,
            output=profiles,
        )

    def fit_and_look(place: tuple[int, ...]) -> None:
        i, j = place
        fitted = fit_points(
            np.tile(np.reshape(points, (-1, 1)), (n_seeds, 1, 1)),
            depth=int(a[i]),
            width=int(b[j]),
            output=output,
            loss=loss,
            steps=fit_steps,
            tries=tries,
            seed=seed,
        )
        for s in np.flatnonzero(fitted.reached(loss)).tolist():
            network = wrap(fitted.networks[s], state_shape=(1,))
            look = interval_map(network, RANGES[output], n_grid=n_grid, n_steps=n_steps, tolerance=tolerance)
            measured[:, i, j, s] = measures_of(look, points, tolerance)
            if s == 0:
                profiles[i, j] = look.image
        fit_loss[i, j], tried[i, j], dead[i, j] = fitted.loss, fitted.tries, fitted.dead

    places = list(np.ndindex(len(a), len(b)))
    experiment.each(places, fit_and_look, words="fitting and iterating", progress=progress, partial=result)
    return result(total).checked(throw)


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


def effects(measured: Values, depths: NDArray[np.int64], widths: NDArray[np.int64]) -> tuple[Values, Values, Values]:
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
