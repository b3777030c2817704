"""How a series is unfolded into points, and how far its neighbours are followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.divergence_curve import Curve, divergence_curve
from lyapmap.analysis.embedding import cao, choose_delay, choose_dimension, decorrelation_time, embed_delay
from lyapmap.core.errors import LyapmapError

FEWEST_VALUES = 200
DECORRELATION_TIMES = 3
FEWEST_TIMES = 20
"""Decorrelation times that a series must hold for neighbours outside the Theiler window."""
CAO_VALUES, CAO_TIMES = 3000, 100
"""The dimension is chosen on so many values, or decorrelation times if that is more."""
FIRST_STEPS = 16
"""Steps followed at first in a map; in a flow so many delays."""
CURVE_POINTS = 60
NOISE = 0.1
"""Cao's E2 within this of 1 at every dimension means noise."""


@dataclass(frozen=True)
class Unfolding:
    """A series with what its delay vectors are made by."""

    values: NDArray[np.float64]
    delay: int
    dimension: int
    theiler: int
    e1: NDArray[np.float64]
    e2: NDArray[np.float64]
    decorrelation: int

    @classmethod
    def of(cls, values: NDArray[np.float64], settings: dict[str, Any]) -> Unfolding:
        n, several = len(values), values.shape[1] > 1
        slowest = max(decorrelation_time(column) for column in values.T)
        theiler = settings["theiler"]
        if theiler == "auto":
            theiler = min(DECORRELATION_TIMES * slowest, n // FEWEST_TIMES)
        delay = settings["delay"]
        if delay == "auto":
            delay = 1 if several else min(choose_delay(values[:, 0]), n // FEWEST_TIMES)
        e1 = e2 = np.empty(0)
        dimension = settings["dimension"]
        if (dimension == "auto" and several) or (dimension == "auto" and slowest * FEWEST_TIMES > n):
            dimension = 1
        elif dimension == "auto":
            some = values[: max(CAO_VALUES, CAO_TIMES * slowest), 0]
            e1, e2 = cao(some, delay=delay, theiler=min(theiler, len(some) // FEWEST_TIMES))
            dimension = choose_dimension(e1)
        needed = dimension * delay + 2 * theiler + FEWEST_VALUES // 2
        if needed > n:
            raise LyapmapError(
                f"series: dimension {dimension}, delay {delay} and theiler {theiler} need {needed} values, got {n}"
            )
        return cls(values, delay, dimension, theiler, e1, e2, slowest)

    def points(self, more: int) -> NDArray[np.float64]:
        return embed_delay(self.values, dimension=self.dimension + more, delay=self.delay)

    @property
    def pace(self) -> int:
        """Steps in which the series moves on."""
        return 1 if self.in_steps else max(self.delay, self.decorrelation)

    @property
    def hopeless(self) -> str:
        """Why neighbours need not be followed at all, in words."""
        n = len(self.values)
        if not np.ptp(self.values, axis=0).any():
            return "the series is constant: its neighbours are at no distance"
        different = len(np.unique(self.values, axis=0))
        if different < FEWEST_TIMES:
            return f"the series takes only {different} different values: it repeats exactly, or was rounded"
        if self.decorrelation * FEWEST_TIMES > n:
            return f"the series decorrelates in {self.decorrelation} steps of {n}: it drifts, or is too short"
        if len(self.e2) and np.abs(self.e2 - 1).max() < NOISE:
            return "the past does not tell the next value in any dimension (Cao's E2 is 1): noise"
        return ""

    @property
    def in_steps(self) -> bool:
        """Whether the series moves in steps, like that of a map, rather than smoothly."""
        return self.decorrelation <= 1


def _curve(
    chosen: Unfolding, settings: dict[str, Any], steps: NDArray[np.int64], *, more: int = 0, across: bool = False
) -> Curve:
    return divergence_curve(
        chosen.points(more),
        steps=steps,
        theiler=chosen.theiler,
        n_neighbors=settings["n_neighbors"],
        radius=settings["radius"],
        together=settings["method"] == "kantz",
        across=across,
    )


def followed(chosen: Unfolding, settings: dict[str, Any]) -> Curve:
    """The curve until it stops growing."""
    room = len(chosen.points(1)) - 2 * chosen.theiler - settings["n_neighbors"] - 2
    most = room // 4
    length = settings["n_steps"] or min(FIRST_STEPS * chosen.pace, most)
    if not 4 <= length < room:
        raise LyapmapError(f"n_steps: expected 4 to {room - 1} with this series and theiler, got {length}")
    while True:
        curve = _curve(chosen, settings, np.arange(0, length + 1, max(1, length // CURVE_POINTS)))
        half = len(curve.steps) // 2
        still = curve.mean[-1] - curve.mean[half] > 0.2 * (curve.mean[half] - curve.mean[0])
        if settings["n_steps"] or not curve.n_pairs or not still or 2 * length > most:
            return curve
        length *= 2


def second(chosen: Unfolding, steps: NDArray[np.int64], settings: dict[str, Any]) -> Curve:
    """The same with one dimension more; of a smooth series, with distances across the orbit."""
    if chosen.in_steps:
        return _curve(chosen, settings, steps, more=1)
    return _curve(chosen, settings, steps, across=True)
