"""Does a generator repeat its training data? Generated samples against their nearest training samples."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.duplicates import tell_apart
from lyapmap.analysis.neighbors.search import Points, exact_search
from lyapmap.analysis.proportions import wilson
from lyapmap.core.arguments import probability, whole
from lyapmap.core.demand import held, of_points
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.points import as_points, real_array, same_samples
from lyapmap.core.results import Result, Status, Verdict, dims
from lyapmap.core.run import Report, Run

Features = Callable[[Any], Any]
"""Takes samples as they are given, returns one row of features for each."""

QUERIES = 512
"""Samples after which progress is reported."""


@dataclass(frozen=True, kw_only=True)
class Memorization(Result):
    """Distances of generated samples to the training data, against those of samples never trained on.

    Attributes
    ----------
    nearest : (g,)
        Number of the training sample nearest to each generated one.
    distance : (g,)
        How far it is.
    reference_distance : (h,)
        The same for held-out samples.
    threshold : float
        The quantile `settings["quantile"]` of `reference_distance`.
    closer : float
        Part of the generated samples at most that far from a training sample. A generator that
        draws from the distribution of the data gets about the quantile itself.
    closer_interval : (2,)
        Wilson's limits, with the uncertainty of the threshold too; copies among the generated samples
        count as one piece of evidence.
    preference : float
        Probability that a generated sample is nearer to the training data than a held-out one,
        ties by halves: 1/2 without memorization, 1 where all is copied, 0 where all is far off.
    p_value : float
        Of the Mann-Whitney test that generated samples are nearer than held-out ones.
    p_value_ks : float
        Of the two-sample Kolmogorov-Smirnov test for the same.
    copies : int
        Generated samples that equal a training sample in every value.
    reference_copies : int
        Held-out samples that do: they were not held out.
    duplicates_generated : int
        Generated samples that repeat an earlier one.
    pair : (m,)
        Numbers of the generated samples nearest to the training data, nearest first, each once.
    pair_generated, pair_training : (m, d)
        Their values, and those of the training samples beside them.
    sample_shape : tuple of int
        Shape of one sample.
    value_range : (float, float)
        Smallest and largest value of the training samples.
    """

    DRAWN_BY: ClassVar[str] = "lyapmap.analysis.manifold.pictures_manifold.draw_memorization"
    REMEDIES: ClassVar[dict[Status, str]] = {
        Status.UNRESOLVED: "give more different generated samples, and held-out ones that are not in the training data"
    }

    nearest: NDArray[np.int64] = dims("generated")
    distance: NDArray[np.float64] = dims("generated")
    reference_distance: NDArray[np.float64] = dims("reference")
    threshold: float
    closer: float
    closer_interval: NDArray[np.float64] = dims("limit")
    preference: float
    p_value: float
    p_value_ks: float
    copies: int
    reference_copies: int
    duplicates_generated: int
    pair: NDArray[np.int64] = dims("pairs")
    pair_generated: NDArray[np.float64] = dims("pairs", "component")
    pair_training: NDArray[np.float64] = dims("pairs", "component")
    sample_shape: tuple[int, ...]
    value_range: tuple[float, float]

    def _finding(self) -> str:
        quantile = float(self.settings.get("quantile", math.nan))
        low, high = self.closer_interval
        known = np.isfinite([self.closer, low, high]).all()
        if not known:
            return "Whether training samples are copied cannot be told from these samples."
        share = f"{self.closer:.1%} of the generated samples ({low:.1%} to {high:.1%})"
        more = "more than chance, so the model repeats what it was trained on"
        verdict = more if low > quantile else "no sign of copying"
        return f"{share} are as near to a training sample as {quantile:.1%} of new ones are: {verdict}."


def memorization(
    generated: Any,
    training: Any,
    *,
    held_out: Any = None,
    features: Features | None = None,
    quantile: float = 0.05,
    level: float = 0.95,
    n_pairs: int = 16,
    seed: int | None = None,
    progress: bool | Report = False,
    throw: bool = True,
) -> Memorization:
    """Whether generated samples are nearer to the training data than new samples of it would be.

    Parameters
    ----------
    generated, training : (g, d), (t, d) or (g, ...), (t, ...)
        Samples; images are taken as rows of pixels.
    held_out : (h, d) or (h, ...), optional
        Samples of the same distribution that were not trained on. Without them, training samples
        take their place, each compared with all the others, as many as are generated.
    features : callable, optional
        Applied to all first, e.g. ``lyapmap.training.features("classifier-mnist")``. Copies are
        counted among the samples themselves.
    quantile : float
        Quantile of the held-out distances below which a generated sample is counted as close.
    level : float
        Confidence of the limits.
    n_pairs : int
        Nearest pairs to keep for the picture.
    seed : int, optional
        Of the choice of training samples where none are held out.
    progress : bool or callable
        Show a bar on a terminal, or call a function with (samples done, samples in all).
    throw : bool
        As everywhere; no status of this analysis is a failure.

    Returns
    -------
    Memorization
        With status "unresolved" where the held-out samples are no reference, since half of them or
        more lie on training samples, or where all generated samples are the same.

    Raises
    ------
    ShapeError, LyapmapError
        If samples are no rows of the same length, hold NaN, or are too few.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    The tests take generated samples as independent, each different one once. States of one
    trajectory are not: take them far apart, or from many trajectories.

    References
    ----------
    C. Meehan, K. Chaudhuri, S. Dasgupta, AISTATS (2020), Sect. 3 (the test on distances, over the
    whole space).
    H. B. Mann, D. R. Whitney, Ann. Math. Stat. 18 (1947) 50.

    Examples
    --------
    >>> import numpy as np
    >>> import lyapmap as lm
    >>> rng = np.random.default_rng(0)
    >>> training, held_out, honest = rng.standard_normal((3, 500, 2))
    >>> thief = training + 0.001 * rng.standard_normal((500, 2))
    >>> found = [lm.memorization(x, training, held_out=held_out) for x in (honest, thief)]
    >>> [round(f.closer, 1) for f in found], [f.p_value < 0.01 for f in found]
    ([0.1, 1.0], [False, True])
    """
    quantile, level = probability("quantile", quantile), probability("level", level)
    n_pairs = whole("n_pairs", n_pairs, 0)
    run = Run("memorization", seed=seed, progress=progress)
    shape, raw = _rows(training, "training")
    _, raw_generated = _rows(generated, "generated", shape)
    raw_held = None if held_out is None else _rows(held_out, "held_out", shape)[1]
    if len(raw) < 2:
        raise LyapmapError(f"training: expected at least two samples, got {len(raw)}")
    kept = getattr(features, "cached", features)  # what rarely changes is not computed twice
    points = _featured(training, kept, raw, "training")
    queries = _featured(generated, features, raw_generated, "generated")
    others = None if raw_held is None else _featured(held_out, kept, raw_held, "held_out")
    if others is None:
        count = min(len(points), max(len(queries), 2))
        drawn = np.sort(run.rng.choice(len(points), count, replace=False))
    arrays = [
        held("samples", 3 * 8, samples=len(raw) + len(raw_generated), _d=raw.shape[1]),
        held("features", 3 * 8, samples=len(points) + len(queries), _d=points.shape[1]),
    ]
    share = len(queries) / len(points)

    def trial(some: slice) -> None:
        part = points[some]
        _nearest(part, queries[: max(1, int(share * len(part)))], 1, lambda done, total: None)
        _nearest(part, part[: min(len(part), max(len(queries), 2))], 2, lambda done, total: None)

    run.needs(of_points(arrays, len(points), trial))
    with run.steps() as report:
        near = _nearest(points, queries, 1, report)
        if others is not None:
            reference = _nearest(points, others, 1, report)[0][:, 0]
        else:
            # The nearest is the sample itself, or one that equals it.
            reference = _nearest(points, points[drawn], 2, report)[0][:, 1]
    distance, nearest = near[0][:, 0], near[1][:, 0]
    different, which = tell_apart(raw_generated)
    first = np.unique(which, return_index=True)[1]
    known = _digests(raw)
    copied = sum(digest in known for digest in _digests_of(raw_generated))
    reference_copies = 0 if raw_held is None else sum(digest in known for digest in _digests_of(raw_held))
    threshold = float(np.quantile(reference, quantile))
    summary = _summary(distance, which, first, reference, threshold, level)
    worst = first[np.argsort(distance[first], kind="stable")][:n_pairs]
    unresolved = float(np.median(reference)) == 0 or len(different) < 2
    message = _message(reference, len(distance), len(different), copied, reference_copies)
    result = Memorization(
        **run.ending(Verdict(Status.UNRESOLVED if unresolved else Status.OK, message)),
        settings={
            "quantile": quantile,
            "level": level,
            "reference": "training" if held_out is None else "held out",
            "features": None if features is None else str(getattr(features, "name", getattr(features, "__name__", ""))),
            "n_generated": len(distance),
            "n_training": len(raw),
        },
        nearest=nearest,
        distance=distance,
        reference_distance=reference,
        threshold=threshold,
        **summary,
        copies=copied,
        reference_copies=reference_copies,
        duplicates_generated=len(distance) - len(different),
        pair=worst,
        pair_generated=raw_generated[worst],
        pair_training=raw[nearest[worst]],
        sample_shape=shape,
        value_range=(float(raw.min()), float(raw.max())),
    )
    return run.finish(result, throw)


def _summary(
    distance: NDArray[np.float64],
    which: NDArray[np.int64],
    first: NDArray[np.int64],
    reference: NDArray[np.float64],
    threshold: float,
    level: float,
) -> dict[str, Any]:
    from scipy.stats import ks_2samp, mannwhitneyu

    weights = np.bincount(which).astype(np.float64)
    close = distance[first] <= threshold
    closer = float(close @ weights / weights.sum())
    # Independent samples that clusters of copies amount to; the quantile is as uncertain as its own samples make it.
    amount = 1 / (float((weights**2).sum() / weights.sum() ** 2) + 1 / len(reference))
    once = distance[first]
    test = mannwhitneyu(once, reference, alternative="less", method="asymptotic")
    return {
        "closer": closer,
        "closer_interval": wilson(closer, amount, level),
        "preference": 1 - float(test.statistic) / (len(once) * len(reference)),
        "p_value": float(test.pvalue),
        "p_value_ks": float(ks_2samp(once, reference, alternative="greater", method="asymp").pvalue),
    }


def _message(reference: NDArray[np.float64], given: int, different: int, copies: int, leaked: int) -> str:
    notes = []
    if copies:
        notes.append(f"{copies} of {given} generated samples equal training samples")
    if different < given:
        notes.append(f"{given - different} of {given} generated samples repeat others")
    if leaked:
        notes.append(f"{leaked} held-out samples equal training samples")
    if float(np.median(reference)) == 0:
        notes.append(f"{np.mean(reference == 0):.0%} of the reference distances are 0")
    return "; ".join(notes)


def _rows(samples: Any, name: str, shape: tuple[int, ...] | None = None) -> tuple[tuple[int, ...], Points]:
    """Shape of one sample, and the samples as float64 rows."""
    given = real_array(samples, name)
    rows = as_points(given, name)
    own = tuple(int(size) for size in given.shape[1:])
    if shape is not None and not same_samples(own, shape):
        raise ShapeError(f"{name}: expected samples of shape {shape} like the training ones, got {own}")
    return own, rows + 0.0  # -0.0 is 0.0


def _featured(samples: Any, features: Features | None, rows: Points, name: str) -> Points:
    if features is None:
        return rows
    array = real_array(features(samples), f"features of {name}")
    if array.ndim < 2 or len(array) != len(rows):
        raise ShapeError(f"features: expected one row for each of {len(rows)} {name} samples, got {array.shape}")
    return as_points(array, f"features of {name}")


def _nearest(points: Points, queries: Points, k: int, report: Report) -> tuple[Points, NDArray[np.int64]]:
    """Nearest points of queries, some at a time."""
    search = exact_search(points)
    parts = []
    for start in range(0, len(queries), QUERIES):
        parts.append(search(queries[start : start + QUERIES], k))
        report(min(start + QUERIES, len(queries)), len(queries))
    distances, indices = zip(*parts, strict=True)
    return np.concatenate(distances), np.concatenate(indices)


def _digests_of(rows: Points) -> list[bytes]:
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _digests(rows: Points) -> set[bytes]:
    return set(_digests_of(rows))
