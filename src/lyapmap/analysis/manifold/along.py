"""Manifold metrics gathered batch by batch, as training loops do it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.metrics import Features, ManifoldMetrics, RealManifold
from lyapmap.analysis.orbits.trajectory import Trajectory
from lyapmap.core.arguments import one_of, whole
from lyapmap.core.conformance import as_tangent_map
from lyapmap.core.demand import Demand, held, of_states
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import Map, TangentMap, as_states
from lyapmap.core.ops import Array
from lyapmap.core.points import real_array
from lyapmap.core.propagate import step_states
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run


class ManifoldMetric:
    """Precision, recall, density and coverage with `update` and `compute`, as torchmetrics has them.

    Features are kept of every batch, the samples are not; the real side is computed once and kept
    over `reset`.

    Parameters
    ----------
    k : int or sequence of int
        Numbers of neighbours that the spheres reach to.
    features : callable, optional
        Applied to every batch.
    **options
        Of `manifold_metrics`: compare, reach, level, n_boot, seed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> metric = ManifoldMetric(k=3, seed=0)
    >>> for _ in range(4):
    ...     metric.update(rng.standard_normal((50, 2)), real=True)
    ...     metric.update(rng.standard_normal((50, 2)), real=False)
    >>> bool(metric.compute().precision[0] > 0.8)
    True
    >>> metric.reset()
    >>> metric.n_real, metric.n_generated
    (200, 0)
    """

    def __init__(self, *, k: Any = (3, 5, 10), features: Features | None = None, **options: Any) -> None:
        unknown = set(options) - {"compare", "reach", "level", "n_boot", "seed"}
        if unknown:
            raise LyapmapError(f"options: expected compare, reach, level, n_boot or seed, got {sorted(unknown)[0]!r}")
        self.k, self.features, self.options = k, features, options
        self._batches: dict[bool, list[NDArray[Any]]] = {True: [], False: []}
        self._manifold: RealManifold | None = None

    @property
    def n_real(self) -> int:
        """Real samples so far."""
        return sum(map(len, self._batches[True]))

    @property
    def n_generated(self) -> int:
        """Generated samples so far."""
        return sum(map(len, self._batches[False]))

    def update(self, samples: Any, *, real: bool) -> None:
        """Take a batch (b, ...) of real or of generated samples; tensors are brought to the CPU."""
        rows = real_array(samples if self.features is None else self.features(samples), "samples")
        if rows.ndim < 2 or 0 in rows.shape:
            raise ShapeError(f"samples: expected a batch (b, ...), got shape {rows.shape}")
        rows = rows.reshape(len(rows), -1).copy()  # the caller may use its buffer again
        others = self._batches[True] or self._batches[False]
        if others and others[0].shape[1] != rows.shape[1]:
            raise ShapeError(f"samples: expected {others[0].shape[1]} values for each, as before, got {rows.shape[1]}")
        self._batches[bool(real)].append(rows)
        if real:
            self._manifold = None

    def compute(self) -> ManifoldMetrics:
        """The metrics of all batches so far."""
        for real, name in ((True, "real"), (False, "generated")):
            if not self._batches[real]:
                raise LyapmapError(f"compute: no {name} samples yet; call update(samples, real={real})")
        if self._manifold is None:
            self._manifold = RealManifold(np.concatenate(self._batches[True]), k=self.k)
        return self._manifold.compare(np.concatenate(self._batches[False]), **self.options)

    def reset(self, *, real: bool = False) -> None:
        """Forget the generated batches; with `real`, those of real samples too."""
        self._batches[False] = []
        if real:
            self._batches[True], self._manifold = [], None


METRICS = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True, kw_only=True)
class ManifoldAlong(Result):
    """Manifold metrics at every step of an ensemble, or of every trajectory.

    Attributes
    ----------
    over : "steps" or "trajectories"
    at : (p,)
        Numbers of the steps, or of the trajectories.
    k : (K,)
        Numbers of neighbours.
    precision, recall, density, coverage, probabilistic_precision, probabilistic_recall : (p, K)
    precision_interval, recall_interval, density_interval, coverage_interval : (p, K, 2)
        As of `ManifoldMetrics`. States of one trajectory are no independent samples: over
        trajectories it is the spread between them that tells how sure the mean is.
    reference_precision, reference_recall, reference_density, reference_coverage : (q, K)
        Of other real samples in the place of generated ones; q is 0 where none were given, else 1.
    n_real, n_generated : int
        Samples on each side of one comparison.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_manifold.draw_manifold_along"

    over: str
    at: NDArray[np.int64] = dims("place")
    k: NDArray[np.int64] = dims("neighbors")
    precision: NDArray[np.float64] = dims("place", "neighbors")
    recall: NDArray[np.float64] = dims("place", "neighbors")
    density: NDArray[np.float64] = dims("place", "neighbors")
    coverage: NDArray[np.float64] = dims("place", "neighbors")
    probabilistic_precision: NDArray[np.float64] = dims("place", "neighbors")
    probabilistic_recall: NDArray[np.float64] = dims("place", "neighbors")
    precision_interval: NDArray[np.float64] = dims("place", "neighbors", "limit")
    recall_interval: NDArray[np.float64] = dims("place", "neighbors", "limit")
    density_interval: NDArray[np.float64] = dims("place", "neighbors", "limit")
    coverage_interval: NDArray[np.float64] = dims("place", "neighbors", "limit")
    reference_precision: NDArray[np.float64] = dims("reference", "neighbors")
    reference_recall: NDArray[np.float64] = dims("reference", "neighbors")
    reference_density: NDArray[np.float64] = dims("reference", "neighbors")
    reference_coverage: NDArray[np.float64] = dims("reference", "neighbors")
    n_real: int
    n_generated: int

    @property
    def failed(self) -> bool:
        """Also where not one comparison could be made."""
        return self.status.failed or not len(self.at)

    def _finding(self) -> str:
        i = int(np.argmin(np.abs(self.k - 5)))
        if not len(self.at):
            return "Nothing was compared."
        what = "step" if self.over == "steps" else "trajectory"
        first, last = (
            f"at {what} {self.at[place]} {self.precision[place, i]:.0%} of the generated samples look real and "
            f"{self.recall[place, i]:.0%} of the real ones could have been generated"
            for place in (0, -1)
        )
        both = first if len(self.at) == 1 else f"{first}, {last}"
        return f"{both[:1].upper()}{both[1:]}."


def manifold_along(
    real: Any,
    map: Map | Trajectory,  # noqa: A002  # the field's own word
    x0: Any = None,
    *,
    n_steps: int | None = None,
    transient: int = 0,
    over: str = "steps",
    k: Any = (3, 5, 10),
    features: Features | None = None,
    reference: Any = None,
    compare: str = "<=",
    level: float = 0.95,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> ManifoldAlong:
    """Precision and recall of the states of a map against real samples.

    Over "steps", the states of all trajectories at one step are the generated samples: how an
    ensemble that starts on the data loses variety (Tanaka and Yamaguti, Fig. 7). Over
    "trajectories", the states of each trajectory are (their Fig. 6).

    Parameters
    ----------
    real : (r, d), (r, *state_shape) or RealManifold
        Of a `RealManifold`, `k` and `features` are taken, and nothing is computed again.
    map : Map or Trajectory
        What makes the states, or a trajectory that is there already.
    x0 : (b, n) or (b, *state_shape)
        Initial states; none for a `Trajectory`.
    n_steps : int
        Steps along the map. None for a `Trajectory`.
    transient : int
        Steps before.
    over : "steps" or "trajectories"
        Which states make one set of generated samples: those of all trajectories at one step, or those of one
        trajectory.
    k : int or sequence of int
        Numbers of neighbours that the spheres reach to.
    features : callable, optional
        Takes real samples as given, and states of shape (b, *state_shape).
    reference : (q, d) or (q, *state_shape), optional
        Other real samples, compared in the place of generated ones: what a perfect generator gets.
    compare : "<=" or "<"
        Whether a sample on the surface of a sphere lies within it.
    level : float
        Probability with which the confidence limits shall hold, between 0 and 1.
    seed : int, optional
        Of the bootstrap. Without it drawn from the operating system and recorded.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (sets compared, sets in all).
    throw : bool
        Raise if a state escapes before anything could be compared.

    Returns
    -------
    ManifoldAlong
        Over steps, of step 0 to `n_steps`; with status "escaped" of those before an escape.

    Raises
    ------
    LyapmapError
        If arguments do not belong together, or there are not more states than neighbours.
    RunError
        If the run failed and `throw`.
    Interrupted
        On Ctrl-C, with what was compared until then.

    References
    ----------
    T. Tanaka, Y. Yamaguti, "Cyclic image generation using chaotic dynamics", Fig. 6 and 7.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> real = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    >>> shrink = lm.wrap(lambda x: 0.5 * x, state_shape=2)
    >>> along = lm.manifold_along(real, shrink, real, n_steps=3, k=3, seed=0)
    >>> along.recall[:, 0].round(1).tolist()
    [1.0, 0.2, 0.1, 0.0]
    """
    one_of("over", over, ("steps", "trajectories"))
    tangent_map: TangentMap | None = None
    states: Iterator[NDArray[Any]]
    if isinstance(map, Trajectory):
        if x0 is not None or n_steps is not None:
            raise LyapmapError("map: a Trajectory has its own states; x0 and n_steps are for a map")
        shape = tuple(map.state_shape)
        count = len(map.states)
        recorded = map.states.swapaxes(0, 1)[whole("transient", transient, 0) :]
        states, total = iter(recorded), len(recorded) - 1
    else:
        if x0 is None or n_steps is None:
            raise LyapmapError("x0 and n_steps: expected both for a map")
        tangent_map = as_tangent_map(map)
        total, shape = whole("n_steps", n_steps, 0), tuple(tangent_map.state_shape)
        x, _ = as_states(x0, tangent_map)
        count = int(x.shape[0])
        states = _stepped(tangent_map, x, whole("transient", transient, 0), total)
    run = Run("manifold", tangent_map, seed=seed, progress=progress)
    manifold = real if isinstance(real, RealManifold) else RealManifold(real, k=k, features=features)
    size = count if over == "steps" else total + 1
    if size <= manifold.k[-1]:
        what = "trajectories" if over == "steps" else "states of each trajectory"
        raise LyapmapError(f"k: {manifold.k[-1]} neighbours need {manifold.k[-1] + 1} {what}, got {size}")

    def measure(samples: Any) -> ManifoldMetrics:
        images = samples.reshape(-1, *shape) if manifold.features is not None else samples
        return manifold.compare(images, compare=compare, level=level, seed=run.seed, throw=False)

    reached = None if reference is None else manifold.compare(reference, compare=compare, level=level, seed=run.seed)
    compared: list[tuple[int, ManifoldMetrics]] = []
    verdict = Verdict()
    in_all, unit = (total + 1, "step") if over == "steps" else (count, "trajectory")
    if tangent_map is not None:
        n = math.prod(shape)
        kept = [*of_states(tangent_map, count)]
        if over != "steps":
            kept.append(held("states of all steps", 2 * 8, trajectories=count, n_steps=total + 1, _n=n))
        first = tangent_map.ops.to_numpy(x)
        demand = Demand(kept, steps=in_all, begin=lambda rows: lambda steps: [measure(first) for _ in range(steps)])
        run.needs(demand)
    with run.steps(keep=lambda: compared) as report:
        for number, samples in enumerate(states if over == "steps" else _by_trajectory(states)):
            if np.isfinite(samples).all():
                compared.append((number, measure(samples)))
                report(number + 1, in_all)
                continue
            verdict = Verdict(Status.ESCAPED, f"{unit} {number} has a state that is not finite")
            if over == "steps":
                break
    settings = {
        "over": over,
        "n_steps": total,
        "transient": transient,
        "k": list(manifold.k),
        "compare": compare,
        "level": level,
        "features": compared[0][1].settings["features"] if compared else None,
        "n_trajectories": count,
    }
    ending = run.ending(verdict, done=f"{len(compared)} of {in_all} {over}")
    if isinstance(map, Trajectory):
        ending["provenance"] = map.provenance | {name: ending["provenance"][name] for name in ("seed", "seconds")}
    result = _gathered(
        compared,
        reached,
        manifold.k,
        transient if over == "steps" else 0,
        **ending,
        settings=settings,
        over=over,
        n_real=manifold.n,
        n_generated=size,
    )
    return run.finish(result, throw and not compared)


def _stepped(tangent_map: TangentMap, x: Array, transient: int, n_steps: int) -> Iterator[NDArray[Any]]:
    """States (b, n) after the transient, then after every step."""
    x = step_states(tangent_map, x, n_steps=transient)
    yield tangent_map.ops.to_numpy(x)
    for step in range(n_steps):
        x = step_states(tangent_map, x, n_steps=1, first_step=transient + step)
        yield tangent_map.ops.to_numpy(x)


def _by_trajectory(states: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    yield from np.stack(list(states), axis=1)


def _gathered(
    compared: list[tuple[int, ManifoldMetrics]],
    reference: ManifoldMetrics | None,
    ks: tuple[int, ...],
    first: int,
    **others: Any,
) -> ManifoldAlong:
    K = len(ks)

    def column(name: str, *shape: int) -> NDArray[np.float64]:
        return np.array([getattr(metrics, name) for _, metrics in compared]).reshape(len(compared), K, *shape)

    values: dict[str, Any] = {
        name: column(name) for name in (*METRICS, "probabilistic_precision", "probabilistic_recall")
    }
    limits: dict[str, Any] = {f"{name}_interval": column(f"{name}_interval", 2) for name in METRICS}
    references: dict[str, Any] = {
        f"reference_{name}": np.empty((0, K)) if reference is None else getattr(reference, name)[None]
        for name in METRICS
    }
    return ManifoldAlong(
        at=np.array([first + number for number, _ in compared], np.int64),
        k=np.array(ks, np.int64),
        **values,
        **limits,
        **references,
        **others,
    )
