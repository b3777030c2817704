"""What a curve of dimension over scales says: the number at its scale, its error, and when there is none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.methods import Seen
from lyapmap.analysis.neighbors.graph import Graph
from lyapmap.core.points import rounding
from lyapmap.core.results import Status

BENT = {"gride": 0.3, "twonn": 0.3, "mle": 0.2, "pca": 0.5}
"""Standard error for edges, curvature and changes of density, as a share of the dimension where neighbourhoods are as
wide as the points are apart, and less in proportion; from tori, spheres, cubes and Gaussians (`docs/dimension.md`)."""
CHOSEN = 1.15
"""How much the choice of its scale adds to the error of Gride."""
ROUNDING = 100
"""Distances of fewer roundings of the largest value than that are rounding themselves."""
IN_ORDER = 0.3
"""Share of points whose nearest neighbour stands next to them that makes them a path."""
UNLIKE = 3.0
"""Ratio of the largest local dimensions to the smallest, by tenths of the points, that is told."""
MANY_TIES, MOST_TIES = 0.01, 0.25
"""Share of points with both neighbours at the same distance that is told, and that is too many."""
CLOSE, MANY_CLOSE = 1e-4, 0.01
"""Nearest neighbours so much nearer than the median are near duplicates; the share that is told."""
CLEAR_DRIFT, CERTAIN = 0.1, 3.0
"""Change of the dimension over the larger scales, relative and in standard errors, that is told."""
FAR = 2.0
"""Factor by which it rises with the scale where there is none, as of near twins; edges, noise and clusters lower it."""


def nothing(given: int) -> dict[str, Any]:
    """A result without an estimate."""
    none = np.empty(0)
    numbers = dict.fromkeys(("dimension", "stderr", "statistical", "systematic", "scale", "drift"), math.nan)
    curve = dict.fromkeys(("scales", "dimension_by_scale", "stderr_by_scale"), none)
    return {
        "status": Status.NOT_CONVERGED,
        "message": "",
        **numbers,
        **curve,
        "neighbors": 0,
        "neighbors_by_scale": np.empty(0, dtype=np.int64),
        "local": np.full(given, np.nan),
        "plateau": (math.nan, math.nan),
    }


def read(
    seen: Seen, graph: Graph, rows: NDArray[np.float64], which: NDArray[np.int64], method: str, *, free: bool
) -> dict[str, Any]:
    """The chosen scale of a curve, and what is to be said of it; `free` if the scale was chosen among others."""
    at, n, by_distances = seen.chosen, len(rows), method != "pca"
    d, error = float(seen.dimension[at]), float(seen.stderr[at])
    beyond = seen.dimension[at + 1 :] if at + 1 < len(seen.dimension) else seen.dimension[:at][::-1]
    drift = float(beyond[0]) - d if len(beyond) else math.nan
    finite = np.isfinite(seen.dimension)
    first, last = seen.plateau()
    unread = nothing(len(which)) | {
        "scales": seen.scale,
        "dimension_by_scale": np.where(finite, seen.dimension, np.nan),
        "stderr_by_scale": np.where(finite, seen.stderr, np.nan),
        "neighbors_by_scale": seen.neighbors,
    }
    if seen.ties > MOST_TIES or not math.isfinite(d):
        share = f"{100 * seen.ties:.0f} % of the points have neighbours at exactly the same distance"
        return unread | {"message": f"{share}: the values are discrete"}
    if float(seen.scale[at]) < ROUNDING * rounding(rows):
        return unread | {"message": "neighbours are as near as rounding: points on few places have dimension 0"}
    middle = rows.mean(axis=0)
    widest = math.sqrt(2 * sum(float((row - middle) @ (row - middle)) for row in rows) / n)
    sample = CHOSEN * error if free else error
    bent = d * math.hypot(BENT[method] * float(seen.scale[at]) / widest, seen.ties)
    found = unread | {
        "status": Status.OK,
        "dimension": d,
        "stderr": math.hypot(sample, bent),
        "statistical": sample,
        "systematic": bent,
        "scale": float(seen.scale[at]),
        "drift": drift,
        "local": seen.local[which],
        "plateau": (float(seen.scale[first]), float(seen.scale[last])),
    }
    words = []
    if seen.ties > MANY_TIES:
        words.append(f"{100 * seen.ties:.0f} % of the points have neighbours at exactly the same distance (discrete)")
    nearest = graph[0][:, 0]
    close = float((nearest < CLOSE * np.median(nearest)).mean())
    if close > MANY_CLOSE:
        words.append(f"{100 * close:.0f} % of the points nearly repeat another one, which lowers the small scales")
    path = along_a_path(graph[1], d, found["stderr"])
    if path:
        return unread | {"message": path}
    wanders = len(beyond) > 0 and abs(beyond[-1] - d) > max(CLEAR_DRIFT * d, CERTAIN * error)
    near, far = (d, float(beyond[-1])) if at + 1 < len(seen.dimension) else (float(seen.dimension[0]), d)
    if wanders and far > FAR * near:
        return unread | {"message": f"no scale: with it the dimension rises from {near:.1f} to {far:.1f}"}
    low, high = np.nanquantile(found["local"], (0.1, 0.9)) if np.isfinite(found["local"]).any() else (1.0, 1.0)
    if high > UNLIKE * max(low, 1e-9):
        words.append(f"no single dimension: about the points it goes from {low:.1f} to {high:.1f}")
    if wanders:
        words.append(f"no plateau: over the scales it goes from {d:.1f} to {beyond[-1]:.1f}")
    k = int(seen.neighbors[at])
    if not by_distances and d > k / 2:
        words.append(f"{k} neighbours can show at most {k} directions: raise k")
    most = 2 * math.log10(n)
    if d > most and by_distances:
        words.append(f"a lower bound: {n} points cannot tell dimensions above {most:.1f} apart")
    return found | {"message": "; ".join(words)}


def along_a_path(indices: NDArray[np.int64], dimension: float, stderr: float) -> str:
    """What is wrong with points in the order of a path finer than its strands are apart; empty if nothing is.

    Their nearest neighbours are the steps before and after, which tell the dimension of a curve.
    """
    share = float((np.abs(indices[:, 0] - np.arange(len(indices))) == 1).mean())
    if share < IN_ORDER or abs(dimension - 1) < CERTAIN * stderr:
        return ""
    return (
        f"{100 * share:.0f} % of the points have the one before or after as their nearest, as along a path, which has "
        "dimension 1; leave out points close in time, or shuffle them if their order means nothing"
    )
