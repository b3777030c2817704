"""Intrinsic dimensions of several sets of points side by side, such as data and an attractor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.intrinsic import (
    METHODS,
    DimensionEstimate,
    intrinsic_dimension,
    point_rows,
)
from lyapmap.core.errors import LyapmapError
from lyapmap.core.plain import with_error
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

USUAL_METHODS = ("gride", "twonn", "mle")
"""Three that take their answer from different neighbours: agreement means something."""


@dataclass(frozen=True, kw_only=True)
class DimensionComparison(Result):
    """Dimensions of sets of points by several methods.

    Attributes
    ----------
    names, methods : tuple of str
        Of the s sets and m methods.
    dimension, stderr, scale : (s, m)
        NaN where there is no estimate.
    curve_scales, curve_dimension, curve_stderr : (s, c)
        Gride over scales, or the first method's curve without Gride; NaN where a set has fewer.
    duplicates, n_points : (s,)
        Points dropped, and different points.
    kaplan_yorke, kaplan_yorke_stderr : float
        Of the attractor; NaN where not given.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.dimension.pictures_dimension.draw_dimension_comparison"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.NOT_CONVERGED: "give more different points, or values that are not rounded"
    }

    names: tuple[str, ...]
    methods: tuple[str, ...]
    dimension: NDArray[np.float64] = dims("set", "method")
    stderr: NDArray[np.float64] = dims("set", "method")
    scale: NDArray[np.float64] = dims("set", "method")
    curve_scales: NDArray[np.float64] = dims("set", "scale_index")
    curve_dimension: NDArray[np.float64] = dims("set", "scale_index")
    curve_stderr: NDArray[np.float64] = dims("set", "scale_index")
    duplicates: NDArray[np.int64] = dims("set")
    n_points: NDArray[np.int64] = dims("set")
    kaplan_yorke: float = math.nan
    kaplan_yorke_stderr: float = math.nan

    def _finding(self) -> str:
        parts = []
        for name, row, errors in zip(self.names, self.dimension, self.stderr, strict=True):
            known = np.isfinite(row)
            if not known.any():
                parts.append(f"{name} gave no estimate")
            elif known.sum() == 1:
                parts.append(f"{name} has dimension {with_error(float(row[known][0]), float(errors[known][0]))}")
            else:
                reach = f"{row[known].min():.3g} to {row[known].max():.3g}"
                parts.append(f"{name} has dimension {reach}, by {int(known.sum())} methods")
        if math.isfinite(self.kaplan_yorke):
            parts.append(
                f"Lyapunov exponents give the attractor {with_error(self.kaplan_yorke, self.kaplan_yorke_stderr)}"
            )
        text = "; ".join(parts)
        return f"{text[:1].upper()}{text[1:]}."


def compare_dimensions(
    sets: Mapping[str, Any],
    *,
    methods: Sequence[str] = USUAL_METHODS,
    kaplan_yorke: tuple[float, float] = (math.nan, math.nan),
    approximate: bool = False,
    seed: int | None = None,
    throw: bool = True,
    progress: bool | Report = False,
) -> DimensionComparison:
    """Intrinsic dimensions of sets of points by several methods on one neighbour graph each.

    Parameters
    ----------
    sets : mapping of str to points
        Such as ``{"data": images, "attractor": states}``; each as `intrinsic_dimension` takes them.
    methods : sequence of "gride", "twonn", "mle", "pca" and "correlation"
        Estimators; the first gives the headline. See `intrinsic_dimension`.
    kaplan_yorke : (float, float)
        Kaplan-Yorke dimension of the attractor and its error, to stand beside.
    approximate : bool
        Let pynndescent find the neighbours.
    seed : int, optional
        Of everything that is random. Without it drawn from the operating system and recorded.
    throw : bool
        Raise if a set has no estimate by any method; else return what there is.
    progress : bool or function
        Show a bar on a terminal, or call a function with (points done, points in all).

    Returns
    -------
    DimensionComparison
        With status not_converged where a set has no estimate by some method.

    Raises
    ------
    LyapmapError, ShapeError
        If a set or method cannot be used.
    RunError
        If there is an estimate missing and `throw`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = compare_dimensions({"line": rng.uniform(size=(500, 1)), "square": rng.uniform(size=(500, 2))})
    >>> found.dimension.round()[:, 0].tolist()
    [1.0, 2.0]
    """
    wanted = tuple(methods)
    unknown = [name for name in wanted if name not in METHODS]
    if unknown or not wanted or len(set(wanted)) < len(wanted):
        raise LyapmapError(f"methods: expected different ones of {', '.join(METHODS)}, got {wanted!r}")
    if not sets:
        raise LyapmapError("sets: expected at least one set of points")
    run = Run("dimensions", seed=seed)
    options: dict[str, Any] = {"approximate": approximate, "seed": run.seed, "throw": False, "progress": progress}
    of_sets: dict[str, list[DimensionEstimate]] = {}
    words = []
    with run.steps():
        for name, points in sets.items():
            rows, remarks = point_rows(points, name)
            words += [f"{name}: {remark}" for remark in remarks]
            of_sets[name] = list(intrinsic_dimension(rows, method=wanted, **options).values())
            words += _messages(name, of_sets[name])
    failed = any(e.failed for estimates in of_sets.values() for e in estimates)

    def table(field: str) -> NDArray[np.float64]:
        return np.array([[getattr(e, field) for e in estimates] for estimates in of_sets.values()])

    curves = [estimates[wanted.index("gride") if "gride" in wanted else 0] for estimates in of_sets.values()]
    longest = max(len(e.scales) for e in curves)

    def padded(field: str) -> NDArray[np.float64]:
        rows = [getattr(e, field) for e in curves]
        return np.stack([np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows])

    result = DimensionComparison(
        **run.ending(Verdict(Status.NOT_CONVERGED if failed else Status.OK, "; ".join(words))),
        settings={"methods": list(wanted), "approximate": approximate},
        names=tuple(of_sets),
        methods=wanted,
        dimension=table("dimension"),
        stderr=table("stderr"),
        scale=table("scale"),
        curve_scales=padded("scales"),
        curve_dimension=padded("dimension_by_scale"),
        curve_stderr=padded("stderr_by_scale"),
        duplicates=np.array([e[0].duplicates for e in of_sets.values()]),
        n_points=np.array([e[0].n_points for e in of_sets.values()]),
        kaplan_yorke=float(kaplan_yorke[0]),
        kaplan_yorke_stderr=float(kaplan_yorke[1]),
    )
    return run.finish(result, throw)


def _messages(name: str, estimates: list[DimensionEstimate]) -> list[str]:
    """What the methods say of a set, each once."""
    parts = dict.fromkeys(part for e in estimates for part in e.message.split("; ") if part)
    words = []
    for part in parts:
        methods = [e.method for e in estimates if part in e.message]
        which = name if len(methods) == len(estimates) else f"{name}, {' and '.join(methods)}"
        words.append(f"{which}: {part}")
    return words
