"""Loss at the corners of the cube against the number of points learned and the dimension (Fig. 6)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.backends import wrap
from lyapmap.core.arguments import positive, seeded, whole
from lyapmap.core.map import Map, as_tangent_map
from lyapmap.core.results import Result, Status, provenance
from lyapmap.core.run import Report
from lyapmap.models.kaleidoscope import experiment

Values = NDArray[np.float64]

QUICK = ((1, 2, 4, 8), (1, 4, 16, 64, 256))
PAPER = (tuple(range(1, 17)), tuple(2**i for i in range(12)))
"""Dimensions and numbers of points: a subset that takes a minute, and those of Fig. 6."""
MOST_DIMENSIONS = 20
"""2**20 corners are a million."""
CHUNK = 16_384
"""Corners that pass through the network at once."""


@dataclass(frozen=True, kw_only=True)
class KaleidoscopeCorners(Result):
    """Loss outside the points learned; d dimensions, c numbers of points, s seeds. NaN: not measured.

    Attributes
    ----------
    dimensions : (d,)
    n_points : (c,)
    largest, mean : (d, c, s)
        Largest and mean loss over all corners of the unit cube.
    fit_loss : (d, c, s)
        Loss left at the points.
    fit_steps : (d, c, s)
        Steps of Adam.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "dimensions": ("dimension",),
        "n_points": ("count",),
        "largest": ("dimension", "count", "seed"),
        "mean": ("dimension", "count", "seed"),
        "fit_loss": ("dimension", "count", "seed"),
        "fit_steps": ("dimension", "count", "seed"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.models.kaleidoscope.pictures.draw_kaleidoscope_corners"
    REMEDIES: ClassVar[dict[Status, str]] = {Status.NOT_CONVERGED: "run it to the end, or with fewer sizes"}

    dimensions: NDArray[np.int64]
    n_points: NDArray[np.int64]
    largest: Values
    mean: Values
    fit_loss: Values
    fit_steps: Values

    @property
    def largest_mean(self) -> Values:
        """Mean over the seeds, (d, c)."""
        return np.asarray(self.largest.mean(axis=2))

    @property
    def largest_stderr(self) -> Values:
        """Standard error of that mean, from the spread over seeds; NaN for one seed."""
        s = self.largest.shape[2]
        if s < 2:
            return np.full(self.largest.shape[:2], np.nan)
        return np.asarray(self.largest.std(axis=2, ddof=1) / np.sqrt(s))


def kaleidoscope_corners(
    dimensions: Sequence[int] = QUICK[0],
    n_points: Sequence[int] = QUICK[1],
    *,
    n_seeds: int = 3,
    depth: int = 2,
    width: int = 50,
    loss: float = 1e-8,
    fit_steps: int = 1500,
    seed: int | None = 0,
    progress: bool | Report = False,
) -> KaleidoscopeCorners:
    """Learn points drawn uniformly in the unit cube, and measure the loss at all of its corners.

    Parameters
    ----------
    dimensions : sequence of int
        Of the cube, 1 to 20.
    n_points : sequence of int
        Numbers of points learned.
    n_seeds : int
        Networks for each, with points and initial weights of their own.
    depth, width : int
        Hidden layers, and units of each.
    loss : float
        At which a network is done; many points cannot be learned that well.
    fit_steps : int
        Most steps of Adam. What is left then stands in `fit_loss`.
    seed : int or None
    progress : bool or callable

    Returns
    -------
    KaleidoscopeCorners

    Raises
    ------
    LyapmapError
        If an option is out of its range.
    Interrupted
        On Ctrl-C, with what was measured until then.

    References
    ----------
    H. Shrivastava, "Generative Kaleidoscopic Networks" (2024), Fig. 6.

    Examples
    --------
    >>> found = kaleidoscope_corners([1], [1, 4], n_seeds=2, fit_steps=200)
    >>> found.largest.shape
    (1, 2, 2)
    """
    from lyapmap.models.kaleidoscope.fit import fit_points

    begin = time.perf_counter()
    seed, _ = seeded(seed)
    n_seeds, fit_steps = whole("n_seeds", n_seeds, 1), whole("fit_steps", fit_steps, 1)
    depth, width, loss = whole("depth", depth, 1), whole("width", width, 1), positive("loss", loss)
    sides = experiment.ascending_sizes("dimensions", dimensions, MOST_DIMENSIONS)
    counts = experiment.ascending_sizes("n_points", n_points, 2**20)
    shape = (len(sides), len(counts), n_seeds)
    found: dict[str, Any] = {name: np.full(shape, np.nan) for name in ("largest", "mean", "fit_loss", "fit_steps")}
    total = len(sides) * len(counts)

    def result(done: int) -> KaleidoscopeCorners:
        whole_run = done == total
        return KaleidoscopeCorners(
            status=Status.OK if whole_run else Status.NOT_CONVERGED,
            message="" if whole_run else f"stopped after {done} of {total} sizes",
            settings={
                "depth": depth,
                "width": width,
                "n_seeds": n_seeds,
                "loss": loss,
                "fit_steps": fit_steps,
            },
            provenance=provenance(None, seed=seed, seconds=time.perf_counter() - begin) | {"dtype": "float64"},
            dimensions=sides,
            n_points=counts,
            **found,
        )

    def fit_and_look(place: tuple[int, ...]) -> None:
        i, j = place
        d, m = int(sides[i]), int(counts[j])
        sets = [np.random.default_rng([seed, d, m, s]).uniform(size=(m, d)) for s in range(n_seeds)]
        fitted = fit_points(sets, depth=depth, width=width, loss=loss, steps=fit_steps, tries=1, seed=seed)
        for s, network in enumerate(fitted.networks):
            at = corner_losses(wrap(network, state_shape=(d,)))
            found["largest"][i, j, s], found["mean"][i, j, s] = at.max(), at.mean()
        found["fit_loss"][i, j], found["fit_steps"][i, j] = fitted.loss, fitted.steps

    places = list(np.ndindex(len(sides), len(counts)))
    experiment.each(places, fit_and_look, words="fitting, then corners", progress=progress, partial=result)
    return result(total)


def corner_losses(given: Map) -> Values:
    """Mean squared difference of output and input at each of the 2**n corners of the unit cube.

    Examples
    --------
    >>> class Centre:
    ...     state_shape = (3,)
    ...     def apply(self, x): return 0 * x + 0.5
    ...     def jacobian(self, x): return np.zeros((len(x), 3, 3))
    >>> corner_losses(Centre())
    array([0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25])
    """
    tangent_map = as_tangent_map(given)
    ops, n = tangent_map.ops, int(np.prod(tangent_map.state_shape))
    losses = []
    for first in range(0, 2**n, CHUNK):
        number = np.arange(first, min(first + CHUNK, 2**n))
        corners = ((number[:, None] >> np.arange(n)) & 1).astype(float)
        image = np.asarray(ops.to_numpy(tangent_map.apply(ops.from_numpy(corners))), float)
        losses.append(((image - corners) ** 2).mean(axis=1))
    return np.concatenate(losses)
