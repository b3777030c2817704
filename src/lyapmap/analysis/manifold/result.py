"""What a comparison of generated with real samples tells: quality, variety, and how sure both are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.proportions import wilson
from lyapmap.core.errors import LyapmapError
from lyapmap.core.results import Result, Status

PROPORTIONS = ("precision", "recall", "coverage")
MEANS = ("density", "probabilistic_precision", "probabilistic_recall")
CHUNK_VALUES = 2_000_000
"""Numbers drawn at once by the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class ManifoldMetrics(Result):
    """Precision, recall, density and coverage for several numbers of neighbours.

    Attributes
    ----------
    k : (K,)
        Numbers of neighbours, ascending; what follows has one entry for each.
    precision : (K,)
        Part of the generated samples that lie within the sphere of a real one.
    recall : (K,)
        Part of the real samples that lie within the sphere of a generated one.
    density : (K,)
        Mean number of real spheres that a generated sample lies in, over k; may exceed 1.
    coverage : (K,)
        Part of the real samples whose own sphere holds a generated one.
    probabilistic_precision, probabilistic_recall : (K,)
        Mean probability that a generated (real) sample is one that real (generated) ones stand for.
    precision_interval, recall_interval, density_interval, coverage_interval, \
    probabilistic_precision_interval, probabilistic_recall_interval : (K, 2)
        Limits at the level `settings["level"]`: what other samples of the side that is scored
        (generated for precision and density, real for recall and coverage) would have given
        against the same spheres. How the spheres vary is not in them.
    inside : (K, g) bool
        For each generated sample whether it is on the real manifold; their mean is the precision.
    reached : (K, r) bool
        For each real sample whether it is on the generated manifold; their mean is the recall.
    covered : (K, r) bool
        For each real sample whether its own sphere holds a generated one.
    spheres : (K, g)
        Real spheres that each generated sample lies in.
    realism : (K, g)
        Largest ratio of a real sphere's radius to the distance from its centre, spheres above the
        median radius left out; infinite for a copy of a real sample.
    n_real, n_generated : int
        Samples given.
    duplicates_real, duplicates_generated : int
        Samples that repeat an earlier one of their side.
    copies : int
        Generated samples that equal a real one.
    remeasured : int
        Pairs whose comparison rounding could have turned, measured again in float64.
    """

    DIMS: ClassVar[dict[str, tuple[str, ...]]] = {
        "k": ("neighbors",),
        "precision": ("neighbors",),
        "recall": ("neighbors",),
        "density": ("neighbors",),
        "coverage": ("neighbors",),
        "probabilistic_precision": ("neighbors",),
        "probabilistic_recall": ("neighbors",),
        "precision_interval": ("neighbors", "limit"),
        "recall_interval": ("neighbors", "limit"),
        "density_interval": ("neighbors", "limit"),
        "coverage_interval": ("neighbors", "limit"),
        "probabilistic_precision_interval": ("neighbors", "limit"),
        "probabilistic_recall_interval": ("neighbors", "limit"),
        "inside": ("neighbors", "generated"),
        "reached": ("neighbors", "real"),
        "covered": ("neighbors", "real"),
        "spheres": ("neighbors", "generated"),
        "realism": ("neighbors", "generated"),
    }
    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_manifold.draw_manifold"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.UNRESOLVED: "drop repeated samples, or take k above the number of copies of each"
    }

    k: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    density: NDArray[np.float64]
    coverage: NDArray[np.float64]
    probabilistic_precision: NDArray[np.float64]
    probabilistic_recall: NDArray[np.float64]
    precision_interval: NDArray[np.float64]
    recall_interval: NDArray[np.float64]
    density_interval: NDArray[np.float64]
    coverage_interval: NDArray[np.float64]
    probabilistic_precision_interval: NDArray[np.float64]
    probabilistic_recall_interval: NDArray[np.float64]
    inside: NDArray[np.bool_]
    reached: NDArray[np.bool_]
    covered: NDArray[np.bool_]
    spheres: NDArray[np.float64]
    realism: NDArray[np.float64]
    n_real: int
    n_generated: int
    duplicates_real: int = 0
    duplicates_generated: int = 0
    copies: int = 0
    remeasured: int = 0

    def off_manifold(self, k: int) -> NDArray[np.int64]:
        """Numbers of the generated samples that lie in no real sphere of k neighbours."""
        return np.flatnonzero(~self.inside[self._place(k)])

    def never_reached(self, k: int) -> NDArray[np.int64]:
        """Numbers of the real samples that lie in no generated sphere of k neighbours."""
        return np.flatnonzero(~self.reached[self._place(k)])

    def _place(self, k: int) -> int:
        where = np.flatnonzero(self.k == k)
        if not len(where):
            raise LyapmapError(f"k: expected one of {', '.join(map(str, self.k))}, got {k}")
        return int(where[0])

    def __str__(self) -> str:
        lines = []
        for place, k in enumerate(self.k):
            cells = [f"k = {k:<3}"]
            for name in ("precision", "recall", "density", "coverage"):
                low, high = getattr(self, f"{name}_interval")[place]
                cells.append(f"{name} {getattr(self, name)[place]:.4f} [{low:.4f}, {high:.4f}]")
            lines.append("  ".join(cells))
        return "\n".join(lines)


def intervals(
    values: dict[str, NDArray[Any]],
    counts: dict[str, NDArray[np.float64]],
    *,
    level: float,
    n_boot: int,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float64]]:
    """Confidence limits (K, 2) of the mean of each quantity.

    Parameters
    ----------
    values : dict of (K, u)
        Of different points, by the name of the metric.
    counts : dict of (u,)
        How often each point came. Copies are no independent evidence: they stay together.
    level : float
        Probability with which the limits shall hold.
    n_boot : int
        Draws of the bootstrap.
    rng : Generator
    """
    found = {}
    for name in PROPORTIONS:
        found[f"{name}_interval"] = _limits(values[name], counts[name], level)
    for sharing in (("density", "probabilistic_precision"), ("probabilistic_recall",)):
        stacked = np.concatenate([values[name] for name in sharing])
        limits = _bootstrap(stacked, counts[sharing[0]], level, n_boot, rng)
        for name, part in zip(sharing, np.split(limits, len(sharing)), strict=True):
            found[f"{name}_interval"] = part
    return found


def _limits(hits: NDArray[np.bool_], counts: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Limits of proportions (K, 2): of some width even at 0 and 1, where a bootstrap has none."""
    n = counts.sum() ** 2 / (counts**2).sum()  # independent samples that clusters of copies amount to
    return wilson((hits @ counts) / counts.sum(), n, level)


def _bootstrap(
    values: NDArray[np.float64], counts: NDArray[np.float64], level: float, n_boot: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Percentile interval of the mean (B. Efron 1979), points drawn with all their copies."""
    u = len(counts)
    if u < 2:
        return np.full((len(values), 2), np.nan)
    sums = np.concatenate([values * counts, counts[None]]).T
    means = []
    step = max(1, CHUNK_VALUES // u)
    for start in range(0, n_boot, step):
        size = min(step, n_boot - start)
        drawn = np.stack([np.bincount(rng.integers(0, u, u), minlength=u) for _ in range(size)])
        totals = drawn @ sums
        means.append(totals[:, :-1] / totals[:, -1:])
    tail = (1 - level) / 2
    limits: NDArray[np.float64] = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0).T
    return limits
