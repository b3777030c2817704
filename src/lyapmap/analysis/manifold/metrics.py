"""What a comparison of generated with real samples tells: quality, variety, and how sure both are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.blocks import Pass, Side, compare_all
from lyapmap.analysis.manifold.radii import Cloud, radii
from lyapmap.analysis.neighbors.tiles import tiles_for
from lyapmap.analysis.proportions import wilson
from lyapmap.core.arguments import one_of, positive, probability, whole
from lyapmap.core.demand import Advance, Demand, held, of_points
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import same_samples
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run, reporting

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

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_manifold.draw_manifold"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.UNRESOLVED: "drop repeated samples, or take k above the number of copies of each"
    }

    k: NDArray[np.int64] = dims("neighbors")
    precision: NDArray[np.float64] = dims("neighbors")
    recall: NDArray[np.float64] = dims("neighbors")
    density: NDArray[np.float64] = dims("neighbors")
    coverage: NDArray[np.float64] = dims("neighbors")
    probabilistic_precision: NDArray[np.float64] = dims("neighbors")
    probabilistic_recall: NDArray[np.float64] = dims("neighbors")
    precision_interval: NDArray[np.float64] = dims("neighbors", "limit")
    recall_interval: NDArray[np.float64] = dims("neighbors", "limit")
    density_interval: NDArray[np.float64] = dims("neighbors", "limit")
    coverage_interval: NDArray[np.float64] = dims("neighbors", "limit")
    probabilistic_precision_interval: NDArray[np.float64] = dims("neighbors", "limit")
    probabilistic_recall_interval: NDArray[np.float64] = dims("neighbors", "limit")
    inside: NDArray[np.bool_] = dims("neighbors", "generated")
    reached: NDArray[np.bool_] = dims("neighbors", "real")
    covered: NDArray[np.bool_] = dims("neighbors", "real")
    spheres: NDArray[np.float64] = dims("neighbors", "generated")
    realism: NDArray[np.float64] = dims("neighbors", "generated")
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

    def _finding(self) -> str:
        i = int(np.argmin(np.abs(self.k - 5)))
        limits = [f"{low:.0%} to {high:.0%}" for low, high in (self.precision_interval[i], self.recall_interval[i])]
        return (
            f"{self.precision[i]:.0%} of the generated samples look real ({limits[0]}), and {self.recall[i]:.0%} of "
            f"the real ones could have been generated ({limits[1]}), by spheres that reach {self.k[i]} neighbours."
        )


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
    limits_by_name = {}
    for name in PROPORTIONS:
        limits_by_name[f"{name}_interval"] = _limits(values[name], counts[name], level)
    for sharing in (("density", "probabilistic_precision"), ("probabilistic_recall",)):
        stacked = np.concatenate([values[name] for name in sharing])
        limits = _bootstrap(stacked, counts[sharing[0]], level, n_boot, rng)
        for name, part in zip(sharing, np.split(limits, len(sharing)), strict=True):
            limits_by_name[f"{name}_interval"] = part
    return limits_by_name


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


__all__ = ["ManifoldMetrics", "RealManifold", "manifold_metrics"]

Features = Callable[[Any], Any]
"""Takes samples as they are given, returns one row of features for each."""

MOST_DIMENSIONS = 1_000_000
"""Beyond, the bound of float32 rounding says nothing any more."""
SMALLEST_RADIUS = 1e-14
"""In units of the frame: what a mean radius of zero is taken for, where its logarithm is needed."""


def manifold_metrics(
    real: Any,
    generated: Any,
    *,
    k: Any = (3, 5, 10),
    compare: str = "<=",
    features: Features | None = None,
    reach: float = 1.2,
    level: float = 0.95,
    n_boot: int = 500,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> ManifoldMetrics:
    """How real generated samples look, and how much of the real ones they cover.

    Around every sample lies a sphere that reaches to its k-th neighbour of the same side. A
    generated sample within a real sphere counts for precision, a real one within a generated
    sphere for recall. All comparisons are those of float64; all k are done in one pass over
    blocks, so that memory grows with the number of samples only.

    Parameters
    ----------
    real, generated : (r, d), (g, d) or (r, ...), (g, ...)
        Samples, or their features; images are taken as rows of pixels. NumPy arrays, or torch
        tensors, which are compared on their device.
    k : int or sequence of int
        Numbers of neighbours, below the number of samples.
    compare : "<=" or "<"
        Whether a sample on the surface of a sphere lies within: "<=" in Kynkäänniemi et al. and
        torch-fidelity, "<" in prdc. They differ where samples repeat.
    features : callable, optional
        Applied to both sides first, e.g. ``lyapmap.training.features("classifier-mnist")``.
    reach : float
        Of probabilistic precision and recall: times the mean radius it is the distance up to which
        a sample stands for others (1.2 in Park and Kim, with k = 4).
    level : float
        Of the confidence limits.
    n_boot : int
        Bootstrap draws for the limits of density and the probabilistic metrics.
    seed : int, optional
        Of the bootstrap.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (rows done, rows in all).
    throw : bool
        As everywhere; no status of this analysis is a failure.

    Returns
    -------
    ManifoldMetrics
        With status "unresolved" where most spheres of a side have no extent because samples
        repeat.

    Raises
    ------
    ShapeError, LyapmapError
        If samples are no rows of the same length, hold NaN, are too few for k, or the real ones
        are all equal.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    All of these depend on the numbers of samples: spheres shrink as samples are added, so compare
    only runs of equal numbers. Of unequal numbers, the side with fewer samples has larger spheres.

    References
    ----------
    T. Kynkäänniemi et al., NeurIPS 32 (2019), Eq. 1 to 3 (precision, recall, realism).
    M. F. Naeem et al., ICML 37 (2020), Eq. 4 and 5 (density, coverage).
    D. Park, S. Kim, ICCV (2023) 20099, Eq. 5 to 8 (probabilistic precision and recall).

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> rng = np.random.default_rng(0)
    >>> real, generated = rng.standard_normal((500, 2)), 0.3 * rng.standard_normal((500, 2))
    >>> metrics = lm.manifold_metrics(real, generated, k=5, seed=0)
    >>> bool(metrics.precision[0] > 0.97), bool(metrics.recall[0] < 0.7)
    (True, True)
    """
    with reporting(progress, "manifold") as report:
        manifold = RealManifold(real, k=k, features=features, progress=report)
        return manifold.compare(
            generated,
            compare=compare,
            reach=reach,
            level=level,
            n_boot=n_boot,
            seed=seed,
            progress=report,
            throw=throw,
        )


class RealManifold:
    """The real side of the comparison, computed once for any number of generated sets.

    Parameters
    ----------
    real : (r, d) or (r, ...)
    k : int or sequence of int
    features : callable, optional
        Applied to the real samples now, and to all generated ones.
    progress : bool or callable

    Attributes
    ----------
    k : tuple of int
        Ascending.
    n : int
        Real samples.
    radii : (r, K)
        Distance of each real sample to its k-th neighbour.
    seconds : float
        What features and radii of the real side took.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> manifold = RealManifold(rng.standard_normal((300, 3)), k=3)
    >>> [round(float(manifold.compare(s * rng.standard_normal((300, 3)), seed=0).recall[0]), 1) for s in (0.3, 1.0)]
    [0.2, 0.9]
    """

    def __init__(
        self, real: Any, *, k: Any = (3, 5, 10), features: Features | None = None, progress: bool | Report = False
    ) -> None:
        run = Run("radii", progress=progress)
        self.k = _neighbors(k)
        self.features = features
        # The real side of a run rarely changes: features that can be kept on disk are.
        samples = _featured(real, getattr(features, "cached", features), "real")
        self.ops = tiles_for(samples)
        self._cloud = self._as_cloud(samples, "real")
        if len(self._cloud) == 1:
            raise LyapmapError(f"real: all {self._cloud.n} samples are equal, there is no manifold to compare with")
        arrays = [held("samples", 4 * 4, samples=self._cloud.n, _d=self._cloud.d)]
        run.needs(of_points(arrays, self._cloud.n, lambda some: RealManifold(samples[some], k=self.k)))
        with run.steps() as report:
            self._radii = _measured_radii(self._cloud, self.k, report)
        self.seconds = run.seconds

    @property
    def n(self) -> int:
        return self._cloud.n

    @property
    def radii(self) -> NDArray[np.float64]:
        return self._radii[self._cloud.inverse]

    def compare(
        self,
        generated: Any,
        *,
        compare: str = "<=",
        reach: float = 1.2,
        level: float = 0.95,
        n_boot: int = 500,
        seed: int | None = None,
        progress: bool | Report = False,
        throw: bool = True,
    ) -> ManifoldMetrics:
        """Metrics of generated samples; arguments and errors as of `manifold_metrics`."""
        settings = {
            "k": list(self.k),
            "compare": one_of("compare", compare, ("<=", "<")),
            "features": None if self.features is None else _name(self.features),
            "reach": positive("reach", reach),
            "level": probability("level", level),
            "n_boot": whole("n_boot", n_boot, 1),
        }
        run = Run("manifold", seed=seed, progress=progress)
        cloud = self._as_cloud(_featured(generated, self.features, "generated"), "generated")
        if not same_samples(cloud.sample_shape, self._cloud.sample_shape):
            if cloud.d != self._cloud.d:
                raise ShapeError(
                    f"generated: expected {self._cloud.d} values for each sample like the real ones, got {cloud.d}"
                )
            raise ShapeError(
                f"generated: expected samples of shape {self._cloud.sample_shape} like the real ones, "
                f"got {cloud.sample_shape}"
            )
        arrays = [held("samples", 6 * 4, samples=self.n + cloud.n, _d=cloud.d)]
        every = max(1, len(self._cloud) // len(cloud))

        def begin(size: int) -> Advance:
            thin = max(1, len(cloud) // size)
            part = RealManifold(self._cloud.points[:: thin * every][: max(size, 2 * self.k[-1])], k=self.k)
            own = cloud.points[::thin][:size]
            return lambda steps: part.compare(own, compare=compare, n_boot=n_boot, seed=0, throw=False)

        run.needs(Demand(arrays, rows=len(cloud), begin=begin, growth="pairs"))
        with run.steps() as report:
            own = _measured_radii(cloud, self.k, report)
            counted = self._pass(cloud, own, compare == "<=", float(reach), report)
        zero = {
            "real": float((self.radii[:, -1] == 0).mean()),
            "generated": float((own[cloud.inverse, -1] == 0).mean()),
        }
        copies = int(cloud.weights[counted.copies].sum())
        status = Status.UNRESOLVED if max(zero.values()) > 0.5 else Status.OK
        ending = run.ending(Verdict(status, self._message(cloud, zero, copies)))
        ending["provenance"] |= {
            "library": self.ops.library,
            "device": self.ops.device,
            "seconds": round(self.seconds + run.seconds, 4),
        }
        result = ManifoldMetrics(
            **ending,
            settings=settings | {"n_features": cloud.d},
            k=np.array(self.k, np.int64),
            n_real=self.n,
            n_generated=cloud.n,
            duplicates_real=self.n - len(self._cloud),
            duplicates_generated=cloud.n - len(cloud),
            copies=copies,
            remeasured=counted.remeasured,
            **self._summary(counted, cloud, float(level), int(n_boot), run.rng),
        )
        return run.finish(result, throw)

    def _as_cloud(self, samples: Any, name: str) -> Cloud:
        cloud = Cloud(samples, self.ops, name)
        if cloud.d > MOST_DIMENSIONS:
            raise LyapmapError(f"{name}: {cloud.d} values for each sample are too many; compare features instead")
        if cloud.n <= self.k[-1]:
            raise LyapmapError(f"k: {self.k[-1]} neighbours need {self.k[-1] + 1} {name} samples, got {cloud.n}")
        return cloud

    def _pass(self, cloud: Cloud, own: NDArray[np.float64], or_equal: bool, reach: float, report: Report) -> Pass:
        frame = self._cloud.frame.joined(cloud.frame)
        real = Side.of(self._cloud, self._radii, frame)
        mean = [(c.weights @ r / c.n).tolist() for c, r in ((self._cloud, self._radii), (cloud, own))]
        least = SMALLEST_RADIUS / frame.scale
        ceilings = tuple([max(reach * value, least) for value in side] for side in mean)
        try:
            return compare_all(
                real,
                Side.of(cloud, own, frame),
                frame,
                or_equal=or_equal,
                trusted=self._radii <= np.median(self.radii, axis=0),
                ceilings=(ceilings[0], ceilings[1]),
                report=_counter(report, len(cloud)),
            )
        finally:
            self._cloud.release()

    def _summary(
        self, counted: Pass, cloud: Cloud, level: float, n_boot: int, rng: np.random.Generator
    ) -> dict[str, Any]:
        ks = np.array(self.k, np.float64)[:, None]
        values = {
            "precision": counted.inside,
            "recall": counted.reached,
            "density": counted.spheres / ks,
            "coverage": counted.covered,
            "probabilistic_precision": -np.expm1(np.minimum(counted.log_missed_real, 0)),
            "probabilistic_recall": -np.expm1(np.minimum(counted.log_missed_generated, 0)),
        }
        of_real = {"recall", "coverage", "probabilistic_recall"}
        counts = {name: (self._cloud if name in of_real else cloud).weights for name in values}
        means = {name: each @ counts[name] / counts[name].sum() for name, each in values.items()}
        limits = intervals(values, counts, level=level, n_boot=n_boot, rng=rng)
        return {
            **means,
            **limits,
            "inside": counted.inside[:, cloud.inverse],
            "spheres": counted.spheres[:, cloud.inverse],
            "realism": counted.realism[:, cloud.inverse],
            "reached": counted.reached[:, self._cloud.inverse],
            "covered": counted.covered[:, self._cloud.inverse],
        }

    def _message(self, cloud: Cloud, zero: dict[str, float], copies: int) -> str:
        notes = []
        for name, part in zero.items():
            if part > 0.5:
                notes.append(f"{part:.0%} of the {name} spheres have radius 0")
        for each in (self._cloud, cloud):
            if each.n > len(each):
                notes.append(f"{each.n - len(each)} of {each.n} {each.name} samples repeat others")
        if copies:
            notes.append(f"{copies} generated samples equal real ones")
        if cloud.n != self.n:
            fewer, size = ("generated", cloud.n) if cloud.n < self.n else ("real", self.n)
            notes.append(
                f"{self.n} real and {cloud.n} generated samples: the {fewer} spheres, of {size} samples, "
                "are larger than those of equal numbers"
            )
        return "; ".join(notes)


def _measured_radii(cloud: Cloud, k: tuple[int, ...], report: Report) -> NDArray[np.float64]:
    try:
        return radii(cloud, k, _counter(report, len(cloud)))
    finally:
        cloud.release()


def _neighbors(k: Any) -> tuple[int, ...]:
    numbers = list(np.atleast_1d(np.asarray(k, dtype=object)))
    if not numbers:
        raise LyapmapError("k: expected at least one number of neighbours")
    return tuple(sorted({whole("k", value, 1) for value in numbers}))


def _featured(samples: Any, features: Features | None, name: str) -> Any:
    if features is None:
        return samples
    rows = features(samples)
    if not hasattr(rows, "shape") or len(rows) != len(samples):
        got = str(tuple(rows.shape)) if hasattr(rows, "shape") else type(rows).__name__
        raise ShapeError(f"features: expected one row for each of {len(samples)} {name} samples, got {got}")
    return rows


def _name(features: Features) -> str:
    return str(getattr(features, "name", getattr(features, "__name__", type(features).__name__)))


def _counter(report: Report, total: int) -> Callable[[int], None]:
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        report(done, total)

    return count
