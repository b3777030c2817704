"""Stages of the kaleidoscope study about noise: exponents, wandering between basins, categories, dimension."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.comparison import compare_dimensions
from lyapmap.analysis.dimension.intrinsic import FEWEST_POINTS
from lyapmap.analysis.exponents.sweep import Sweep, sweep
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.orbits.settling import Settling
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.core.map import TangentMap, as_states
from lyapmap.core.propagate import step_states
from lyapmap.models.kaleidoscope.subject import KaleidoscopeSubject
from lyapmap.study.stages import Bench, LeftOut

KINDS = ("uniform", "normal")
ANOTHER = 0.05
"""Distance of two quenched states, relative to their norm, from which they belong to different basins."""
CERTAIN = 2.0
"""Standard errors from zero."""
DIMENSION_METHODS = ("gride", "twonn")


def exponents(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Largest exponent and wandering between basins against the level of noise, for both kinds of noise."""
    from lyapmap.models.kaleidoscope.pictures import draw_noise

    sizes = bench.sizes
    numbers: dict[str, Any] = {"levels": sizes.noise_levels, "wander_steps": sizes.wander_steps}
    found: dict[str, Sweep] = {}
    start = subject.settled(sizes.samples, sizes.sample_steps)[: sizes.exponent_trajectories]
    for kind in KINDS:
        one = sweep(
            lambda deviation, kind=kind: subject.noisy(deviation, kind),
            "deviation",
            sizes.noise_levels,
            start,
            analysis=("spectrum", partial(wandering, quiet=subject.map, sizes=sizes)),
            n_steps=sizes.exponent_steps,
            transient=sizes.exponent_transient,
            n_exponents=2,
            seed=subject.seed,
            progress=bench.progress,
            throw=False,
        )
        bench.keep(one, f"noise-{kind}")
        found[kind] = one
        rate, error, visited = one.measured[:, 0], one.measured[:, 1], one.measured[:, 2]
        with np.errstate(divide="ignore"):
            dwell = np.where(rate > 0, 1 / rate, np.inf)
        numbers |= {
            f"{kind}_exponent": one.exponents[:, 0],
            f"{kind}_stderr": one.stderr[:, 0],
            f"{kind}_attractors": one.attractors,
            f"{kind}_statuses": one.statuses,
            f"{kind}_leave_rate": rate,
            f"{kind}_leave_rate_stderr": error,
            f"{kind}_dwell": [float(d) if math.isfinite(d) else None for d in dwell],
            f"{kind}_visited": visited,
            f"{kind}_wanders_from": first_sure(one.values, rate, error),
            f"{kind}_positive_from": first_sure(one.values, one.exponents[:, 0], one.stderr[:, 0]),
        }
    numbers["verdict"] = verdict(numbers)
    bench.show(
        draw_noise(found, numbers),
        "noise",
        "From settling to wandering",
        f"{numbers['verdict']} A state leaves its basin where, without further noise, it would come to rest elsewhere.",
    )
    return numbers


def wandering(noisy_map: Any, states: NDArray[Any], *, quiet: TangentMap, sizes: Any) -> list[float]:
    """How often a noisy trajectory changes the basin of the quiet map: rate per step, its error, basins visited.

    At each step the state is followed without noise, until it nearly rests (a quench); where two
    quenches of successive steps end apart, the trajectory went from one basin to another.
    """
    ops = quiet.ops
    x, _ = as_states(states, quiet)
    b, ends = len(states), []
    for step in range(sizes.wander_steps):
        ends.append(ops.to_numpy(step_states(quiet, x, n_steps=sizes.quench_steps)).astype(np.float64))
        x = step_states(noisy_map, x, n_steps=1, first_step=sizes.exponent_transient + step)
    rest = np.stack(ends, axis=1)  # (b, steps, n)
    limit = ANOTHER * max(float(np.median(np.linalg.norm(rest, axis=2))), 1e-12)
    left = np.linalg.norm(np.diff(rest, axis=1), axis=2) > limit
    rates = left.mean(axis=1)
    # Between trajectories; of Poisson's law where they agree or there is one.
    error = max(float(rates.std(ddof=1) / math.sqrt(b)) if b > 1 else 0.0, math.sqrt(float(left.sum())) / left.size)
    visited = np.mean([_different(orbit, limit) for orbit in rest])
    return [float(rates.mean()), error, float(visited)]


def _different(points: NDArray[np.float64], limit: float) -> int:
    """Number of points (m, n) that lie further than a limit from those before."""
    kept: list[NDArray[np.float64]] = []
    for point in points:
        if not kept or np.linalg.norm(np.stack(kept) - point, axis=1).min() > limit:
            kept.append(point)
    return len(kept)


def first_sure(levels: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64]) -> float | None:
    """The first level at which a value is positive by more than its error allows; None where there is none."""
    with np.errstate(invalid="ignore"):
        sure = np.flatnonzero((values > 0) & (values > CERTAIN * np.nan_to_num(errors)))
    return float(levels[sure[0]]) if sure.size else None


def verdict(numbers: dict[str, Any]) -> str:
    """Where the kaleidoscope turns from settling to wandering, in words."""

    def levels(what: str) -> str:
        found = {kind: numbers[f"{kind}_{what}_from"] for kind in KINDS}
        return " and ".join(f"{level:g} ({kind} noise)" for kind, level in found.items() if level is not None)

    leaves, parts = levels("wanders"), levels("positive")
    text = f"It leaves its basins from a deviation of {leaves}" if leaves else "It never surely leaves its basins"
    text += (
        f"; the largest exponent is positive from {parts}"
        if parts
        else "; the largest exponent is nowhere surely positive"
    )
    return text + (": noise carries it, neighbours do not part." if _carried(numbers) else ".")


def _carried(numbers: dict[str, Any]) -> bool:
    """Whether the largest exponent is surely negative where basins begin to be left."""
    found = []
    for kind in KINDS:
        level = numbers[f"{kind}_wanders_from"]
        if level is not None:
            place = list(numbers["levels"]).index(level)
            found.append(numbers[f"{kind}_exponent"][place] < -CERTAIN * numbers[f"{kind}_stderr"][place])
    return bool(found) and all(found)


def categories(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Dwell times and transitions between categories under noise."""
    if subject.classify is None:
        raise LeftOut(subject.without)
    sizes = bench.sizes
    start = subject.settled(sizes.samples, sizes.sample_steps)[: sizes.category_trajectories]
    numbers: dict[str, Any] = {"levels": sizes.category_levels, "categories": subject.classify.classes}
    rows: list[dict[str, Any]] = []
    for level in sizes.category_levels:
        orbit = trajectory(subject.noisy(level), start, n_steps=sizes.category_steps, progress=bench.progress)

        def named(states: NDArray[Any]) -> NDArray[np.int64]:
            assert subject.classify is not None
            return subject.classify(subject.images(states.reshape(len(states), -1)))

        found = transitions(orbit, named, categories=subject.classify.classes, progress=bench.progress)
        name = f"{level:g}".replace(".", "_")
        bench.keep(found, f"categories-{name}")
        stay = float(np.trace(found.counts) / max(found.counts.sum(), 1))
        bench.show(
            found.plot(),
            f"categories-{name}",
            f"Categories under noise of standard deviation {level:g}",
            f"{subject.classify.name} names the states: the category stays in {stay:.1%} of the steps.",
        )
        rows.append(
            {
                "stays": stay,
                "dwell_mean": found.dwell_mean,
                "occupation": found.occupation,
                "matrix": found.matrix,
                "entropy_rate": found.entropy_rate,
                "entropy_stderr": found.entropy_stderr,
                "message": found.message,
            }
        )
    return numbers | {key: [row[key] for row in rows] for key in rows[0]}


def dimension(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Intrinsic dimension of what noise makes the network draw, and of where it comes to rest, beside the data."""
    sizes = bench.sizes
    rng = np.random.default_rng(subject.seed)
    data = subject.train.states
    most = min(sizes.dimension_points, len(data))
    sets = {"training images": data[np.sort(rng.choice(len(data), most, replace=False))]}
    numbers: dict[str, Any] = {"points": most}
    rest = Settling.load(bench.result_of("burn-in", "settling"))
    if len(rest.points) > FEWEST_POINTS:
        sets["ends without noise"] = rest.points
    else:
        numbers["ends"] = f"left out: trajectories end at {len(rest.points)} points only"
    start = subject.settled(sizes.samples, sizes.sample_steps)
    steps = max(-(-most // len(start)), 1)
    moved = trajectory(
        subject.noisy(sizes.dimension_noise),
        start,
        n_steps=steps - 1,
        transient=sizes.exponent_transient,
        progress=bench.progress,
    ).states
    flat = np.ascontiguousarray(moved.swapaxes(0, 1).reshape(-1, moved.shape[-1])[:most])
    # The noise added last fills all dimensions; what the network makes of the state does not.
    sets[f"noise {sizes.dimension_noise:g}"] = subject.map.ops.to_numpy(
        subject.map.apply(subject.map.ops.from_numpy(flat))
    )
    found = compare_dimensions(sets, methods=DIMENSION_METHODS, seed=subject.seed, progress=bench.progress, throw=False)
    bench.keep(found, "dimension")
    bench.show(
        found.plot(),
        "dimension",
        "Dimension of the data and of what the network draws",
        "Images of states under noise, before noise is added to them. Estimates fall with the number of points "
        "where the dimension is high: compare sets of equal numbers.",
    )
    numbers["message"] = found.message
    for row, name in enumerate(found.names):
        for column, method in enumerate(found.methods):
            numbers[f"{name}: {method}"] = found.dimension[row, column]
            numbers[f"{name}: {method} stderr"] = found.stderr[row, column]
        numbers[f"{name}: points"] = int(found.n_points[row])
    return numbers
