"""Stages of the kaleidoscope study: samples and where they end, what noise does, and networks side by side."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.comparison import compare_dimensions
from lyapmap.analysis.dimension.intrinsic import FEWEST_POINTS
from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.exponents.sweep import Sweep, sweep
from lyapmap.analysis.manifold.memorization import memorization as compare_with_training
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.orbits.burn_in import burn_in as measure_burn_in
from lyapmap.analysis.orbits.periodic_orbits import periodic_orbits
from lyapmap.analysis.orbits.settling import Settling, settling
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.core.map import TangentMap, as_states
from lyapmap.core.propagate import states_at, step_states
from lyapmap.files.model import Model
from lyapmap.models.kaleidoscope.experiment import count_apart
from lyapmap.models.kaleidoscope.subject import UNIFORM, KaleidoscopeSubject
from lyapmap.study.stages import LeftOut, Stage, Workspace
from lyapmap.study.study import SHOWN, basins
from lyapmap.study.subject import METRICS, quality

ROWS = 8
"""Trajectories of the film strip, rows and columns of the grid."""
RESTLESS, RESTLESS_STEPS = 8, 500
"""Trajectories that have not settled whose exponents are measured, and over how many steps."""
QUIET, NOISY = "without noise", "with noise"
SURE = 0.9
"""Confidence that is asked for."""


def samples(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Film strip, grid, and how sure the classifier is of what it sees."""
    from lyapmap.models.kaleidoscope.pictures import draw_confidence
    from lyapmap.report.images import in_rows, save_film_strip, save_sheet

    sizes = work.sizes
    deviation = sizes.noise / UNIFORM
    numbers: dict[str, Any] = {"at": sizes.at, "samples": sizes.samples, "classifier": None}
    sure: dict[str, Any] = {}
    for name, level in ((QUIET, 0.0), (NOISY, deviation)):
        states = subject.along(sizes.samples, sizes.at, level)
        film = np.stack([subject.images(x[:ROWS]) for x in states], axis=1)
        short = "quiet" if level == 0 else "noisy"
        path = work.picture_path(
            f"film-{short}",
            f"From noise to samples, {name}" + (f" of {sizes.noise:g}" if level else ""),
            f"Each row starts from uniform noise; step n is the network applied n times, {name}.",
        )
        save_film_strip(path, film, steps=sizes.at, columns=len(sizes.at))
        path = work.picture_path(
            f"grid-{short}", f"Samples after {sizes.at[-1]} steps, {name}", "One sample of each start, none chosen."
        )
        save_sheet(in_rows(subject.images(states[-1][: ROWS**2])), path)
        if subject.classify is not None:
            sure[name] = _confidence(subject, states)
    if sure:
        assert subject.classify is not None
        numbers["classifier"] = subject.classify.name
        numbers["categories"] = subject.classify.classes
        for name, measured in sure.items():
            short = "" if name == QUIET else "_noisy"
            numbers |= {f"{key}{short}": value for key, value in measured.items()}
        numbers["real_confidence"] = float(_most(subject, subject.real(subject.test, sizes.samples)).mean())
        counts = np.bincount(subject.train.labels, minlength=max(subject.classify.classes) + 1)
        numbers["data_labels"] = counts[list(subject.classify.classes)] / len(subject.train)
        work.show(
            draw_confidence(sizes.at, sure, numbers),
            "confidence",
            f"Confidence of {subject.classify.name}, and what it sees",
            f"Mean probability of the likeliest category over {sizes.samples} samples; dashed, held-out images. "
            "A classifier is sure of many images that are no digits: see precision too.",
        )
    return numbers


def _confidence(subject: KaleidoscopeSubject, states: list[NDArray[Any]]) -> dict[str, Any]:
    classify = subject.classify
    assert classify is not None
    sure = [_most(subject, subject.images(x)) for x in states]
    labels = classify(subject.images(states[-1]))
    return {
        "confidence": [float(p.mean()) for p in sure],
        "confidence_stderr": [float(p.std(ddof=1) / np.sqrt(len(p))) for p in sure],
        "last_confidence": float(sure[-1].mean()),
        "sure_share": float((sure[-1] >= SURE).mean()),
        "labels": [float((labels == c).mean()) for c in classify.classes],
    }


def _most(subject: KaleidoscopeSubject, images: NDArray[Any]) -> NDArray[np.float64]:
    assert subject.classify is not None
    return np.asarray(subject.classify.probabilities(images).max(axis=1))


def burn_in(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """When single trajectories come to rest, and when the ensemble keeps its distribution."""
    sizes = work.sizes
    rest = settling(
        subject.map, subject.starts(sizes.samples), n_steps=sizes.settle_steps, progress=work.progress, throw=False
    )
    work.keep(rest, "settling")
    work.show(
        rest.plot(),
        "settling",
        "How trajectories come to rest, without noise",
        "Left: how far a step goes. Middle: the part at rest. Right: how many end on each fixed point or cycle.",
    )
    numbers: dict[str, Any] = {
        "settled_share": float(rest.settled_share[-1]),
        "settled_interval": rest.settled_interval[-1],
        "median_settled_at": rest.median_settled_at,
        "ends": len(rest.points),
        "cycles": int((rest.period > 1).sum()),
        "largest_share": float(rest.share[0]) if len(rest.share) else None,
        "unseen": rest.unseen,
        "ends_estimated": rest.n_estimated,
        "settle_steps": sizes.settle_steps,
        "message": rest.message,
    } | _restless(subject, rest)

    def seen(states: NDArray[Any]) -> Any:
        images = subject.images(states.reshape(len(states), -1))
        return images.reshape(len(images), -1) if subject.features is None else subject.features(images)

    count = min(sizes.burn_in_samples, sizes.samples)
    for short, level, features in (
        ("pixels", 0.0, None),
        ("features", 0.0, seen),
        ("noisy", sizes.noise / UNIFORM, None),
    ):
        if short == "features" and subject.features is None:
            continue
        mixing = measure_burn_in(
            subject.noisy(level),
            subject.starts(count),
            n_steps=sizes.burn_in_steps,
            every=sizes.burn_in_every,
            features=features,
            seed=subject.seed,
            progress=work.progress,
            throw=False,
        )
        work.keep(mixing, f"burn-in-{short}")
        what = {"pixels": "pixels", "features": f"{subject.features_name} features", "noisy": "pixels, with noise"}
        work.show(
            mixing.plot(),
            f"burn-in-{short}",
            f"Burn-in in {what[short]}",
            "Energy distance of the samples after n steps to those after the last; within the dashed line they "
            "could not be told from a further sample of the late ones.",
        )
        numbers |= {
            f"burn_in_{short}": mixing.burn_in,
            f"burn_in_{short}_interval": mixing.burn_in_interval,
            f"burn_in_{short}_message": mixing.message,
        }
    return numbers


def _restless(subject: KaleidoscopeSubject, rest: Settling) -> dict[str, Any]:
    """What the trajectories do that have not settled: the exponents of some of them."""
    rows = np.flatnonzero(rest.attractor < 0)[:RESTLESS]
    if not len(rows):
        return {"restless": 0}
    start = subject.map.ops.from_numpy(subject.starts(len(rest.attractor))[rows])
    late = subject.map.ops.to_numpy(step_states(subject.map, start, n_steps=rest.settings["n_steps"]))
    spectrum = lyapunov_spectrum(
        subject.map, late, n_steps=RESTLESS_STEPS, transient=100, n_exponents=2, seed=subject.seed, throw=False
    )
    return {
        "restless": int((rest.attractor < 0).sum()),
        "restless_looked_at": len(rows),
        "restless_exponents": spectrum.per_trajectory[:, 0],
        "restless_largest": spectrum.exponents[0],
        "restless_stderr": spectrum.stderr[0],
        "restless_attractor": spectrum.attractor,
    }


def manifold(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Precision, recall, density and coverage of the samples over the iterations."""
    from lyapmap.models.kaleidoscope.pictures import draw_manifold_steps

    sizes = work.sizes
    side = subject.side(sizes.k, sizes.real)
    numbers: dict[str, Any] = {"at": sizes.at, "k": sizes.k, "features": subject.features_name}
    curves: dict[str, dict[str, list[float]]] = {}
    for name, level in ((QUIET, 0.0), (NOISY, sizes.noise / UNIFORM)):
        comparisons = [
            side.compare(subject.images(x), seed=subject.seed) for x in subject.along(sizes.samples, sizes.at, level)
        ]
        work.keep(comparisons[-1], f"manifold-{'quiet' if level == 0 else 'noisy'}")
        curves[name] = {metric: [float(getattr(metrics, metric)[0]) for metrics in comparisons] for metric in METRICS}
        short = "" if level == 0 else "_noisy"
        numbers |= {f"{metric}{short}": values for metric, values in curves[name].items()}
        numbers |= quality(comparisons[-1], f"last_{{}}{short}")
    reference = side.compare(subject.real(subject.train, sizes.samples), seed=subject.seed)
    numbers |= quality(reference, "reference_{}", intervals=False)
    work.show(
        draw_manifold_steps(sizes.at, curves, {metric: numbers[f"reference_{metric}"] for metric in METRICS}),
        "manifold",
        f"Quality and variety of the samples over n, k = {sizes.k}",
        f"{sizes.samples} samples against held-out images in {subject.features_name}; dashed, as many training "
        "images in their place.",
    )
    return numbers


def memorization(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Whether samples repeat training images, in pixels."""
    sizes = work.sizes
    numbers: dict[str, Any] = {"samples": sizes.samples, "training_images": len(subject.train)}
    for short, level in (("", 0.0), ("_noisy", sizes.noise / UNIFORM)):
        ends = subject.settled(sizes.samples, sizes.sample_steps, level)
        if level:
            # The image of a noisy state: what the network draws, without the noise added last.
            ends = subject.map.ops.to_numpy(subject.map.apply(subject.map.ops.from_numpy(ends)))
        nearest = compare_with_training(
            subject.images(ends),
            subject.real(subject.train),
            held_out=subject.real(subject.test, sizes.real),
            seed=subject.seed,
            progress=work.progress,
        )
        work.keep(nearest, f"memorization{short.replace('_', '-')}")
        name = QUIET if level == 0 else NOISY
        work.show(
            nearest.plot(),
            f"memorization{short.replace('_', '-')}",
            f"Nearest training images, {name}",
            f"{nearest.closer:.1%} of the samples are nearer to a training image than "
            f"{nearest.settings['quantile']:.0%} of the held-out images are; {nearest.copies} are equal to one.",
        )
        numbers |= {
            f"copies{short}": nearest.copies,
            f"closer{short}": nearest.closer,
            f"closer{short}_interval": nearest.closer_interval,
            f"preference{short}": nearest.preference,
            f"p_value{short}": nearest.p_value,
            f"median_distance{short}": float(np.median(nearest.distance)),
            f"message{short}": nearest.message,
        }
        numbers["median_reference_distance"] = float(np.median(nearest.reference_distance))
    return numbers


EARLY = (1, 2, 3, 5, 8, 13)
"""Steps after which states serve as guesses: near the borders of basins, where the unstable points lie."""


def fixed_points(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Newton's method from ends, early iterates and training images; merged, with multipliers and basins."""
    from lyapmap.study.page import draw_fixed_points

    rest = Settling.load(work.result_of("burn-in", "settling"))
    guesses, origin = _guesses(subject, rest, work.sizes.guesses)
    search = periodic_orbits(
        subject.precise,
        guesses,
        n_guesses=len(guesses),
        seed=subject.seed,
        progress=work.progress,
        throw=False,
    )
    work.keep(search, "fixed-points")
    points = search.orbits[:, 0]  # all within the range of the output, as images of themselves
    share, interval, confirmed = basins(rest, points, search.multipliers)
    stable = np.array([name == "stable" for name in search.stability], bool)
    order = np.argsort(-share, kind="stable")
    numbers: dict[str, Any] = {
        "fixed_points": len(points),
        "stable": int(stable.sum()),
        "unstable": int((~stable).sum()),
        "guesses": {name: int((origin == name).sum()) for name in dict.fromkeys(origin.tolist())},
        "guesses_converged": int(search.n_found.sum()),
        "largest_residual": float(search.residual.max()) if len(search.residual) else None,
        "n_unstable": search.n_unstable[order],
        "largest_multiplier": np.abs(search.multipliers[order, 0]) if len(points) else [],
        "share": share[order],
        "share_interval": interval[order],
        "reached": int((share > 0).sum()),
        "ends_by_iteration": len(rest.points),
        "ends_confirmed": confirmed,
        "settled_on_known": float(share.sum()),
        "unseen": rest.unseen,
    }
    if not len(points):
        return numbers
    training = subject.train.states.astype(np.float64)
    distance, nearest = neighbor_graph(training, 1, queries=points[order])
    numbers["nearest_training_image"] = nearest[:, 0]
    numbers["distance_to_training"] = distance[:, 0]
    shown = order[:SHOWN]
    work.show(
        draw_fixed_points(
            subject.images(points[shown]),
            subject.images(training[nearest[: len(shown), 0]]),
            share[shown],
            np.abs(search.multipliers[shown, 0]),
            distance[: len(shown), 0],
            total=len(points),
            unstable=int((~stable).sum()),
        ),
        "fixed-points",
        "Fixed points with the largest basins, and their nearest training images",
        f"{len(points)} fixed points, of which {int((~stable).sum())} are unstable; {numbers['reached']} are reached "
        f"from {len(rest.attractor)} noise starts. Under each image: share of the starts that end there, and the "
        "modulus of the leading multiplier.",
    )
    work.show(
        search.plot(),
        "multipliers",
        "Multipliers of the fixed points",
        "Those outside the unit circle are directions in which a fixed point repels.",
    )
    return numbers


def _guesses(subject: KaleidoscopeSubject, rest: Settling, count: int) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """States to start from, and where each comes from."""
    rng = np.random.default_rng(subject.seed)
    ends = rest.points[rest.period == 1][:count]
    states = states_at(subject.map, subject.map.ops.from_numpy(subject.starts(count)), EARLY)
    early = [np.asarray(subject.map.ops.to_numpy(x), np.float64)[i :: len(EARLY)] for i, x in enumerate(states)]
    images = subject.train.states[rng.choice(len(subject.train), min(count, len(subject.train)), replace=False)]
    parts = {"ends": ends, "early iterates": np.concatenate(early), "training images": images.astype(np.float64)}
    origin = np.concatenate([np.full(len(part), name) for name, part in parts.items()])
    return np.concatenate(list(parts.values())), origin


KINDS = ("uniform", "normal")
ANOTHER = 0.05
"""Distance of two quenched states, relative to their norm, from which they belong to different basins."""
CERTAIN = 2.0
"""Standard errors from zero."""
DIMENSION_METHODS = ("gride", "twonn")


def exponents(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Largest exponent and wandering between basins against the level of noise, for both kinds of noise."""
    from lyapmap.models.kaleidoscope.pictures import draw_noise

    sizes = work.sizes
    numbers: dict[str, Any] = {"levels": sizes.noise_levels, "wander_steps": sizes.wander_steps}
    sweeps: dict[str, Sweep] = {}
    start = subject.settled(sizes.samples, sizes.sample_steps)[: sizes.exponent_trajectories]
    for kind in KINDS:
        swept = sweep(
            lambda deviation, kind=kind: subject.noisy(deviation, kind),
            "deviation",
            sizes.noise_levels,
            start,
            analysis=("spectrum", partial(wandering, quiet=subject.map, sizes=sizes)),
            n_steps=sizes.exponent_steps,
            transient=sizes.exponent_transient,
            n_exponents=2,
            seed=subject.seed,
            progress=work.progress,
            throw=False,
        )
        work.keep(swept, f"noise-{kind}")
        sweeps[kind] = swept
        rate, error, visited = swept.measured[:, 0], swept.measured[:, 1], swept.measured[:, 2]
        with np.errstate(divide="ignore"):
            dwell = np.where(rate > 0, 1 / rate, np.inf)
        numbers |= {
            f"{kind}_exponent": swept.exponents[:, 0],
            f"{kind}_stderr": swept.stderr[:, 0],
            f"{kind}_attractors": swept.attractors,
            f"{kind}_statuses": swept.statuses,
            f"{kind}_leave_rate": rate,
            f"{kind}_leave_rate_stderr": error,
            f"{kind}_dwell": [float(d) if math.isfinite(d) else None for d in dwell],
            f"{kind}_visited": visited,
            f"{kind}_wanders_from": first_sure(swept.values, rate, error),
            f"{kind}_positive_from": first_sure(swept.values, swept.exponents[:, 0], swept.stderr[:, 0]),
        }
    numbers["verdict"] = verdict(numbers)
    work.show(
        draw_noise(sweeps, numbers),
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
    visited = np.mean([count_apart(orbit, limit) for orbit in rest])
    return [float(rates.mean()), error, float(visited)]


def first_sure(levels: NDArray[np.float64], values: NDArray[np.float64], errors: NDArray[np.float64]) -> float | None:
    """The first level at which a value is positive by more than its error allows; None where there is none."""
    with np.errstate(invalid="ignore"):
        sure = np.flatnonzero((values > 0) & (values > CERTAIN * np.nan_to_num(errors)))
    return float(levels[sure[0]]) if sure.size else None


def verdict(numbers: dict[str, Any]) -> str:
    """Where the kaleidoscope turns from settling to wandering, in words."""

    def levels(what: str) -> str:
        first = {kind: numbers[f"{kind}_{what}_from"] for kind in KINDS}
        return " and ".join(f"{level:g} ({kind} noise)" for kind, level in first.items() if level is not None)

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
    contracting = []
    for kind in KINDS:
        level = numbers[f"{kind}_wanders_from"]
        if level is not None:
            place = list(numbers["levels"]).index(level)
            contracting.append(numbers[f"{kind}_exponent"][place] < -CERTAIN * numbers[f"{kind}_stderr"][place])
    return bool(contracting) and all(contracting)


def categories(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Dwell times and transitions between categories under noise."""
    if subject.classify is None:
        raise LeftOut(subject.without)
    sizes = work.sizes
    start = subject.settled(sizes.samples, sizes.sample_steps)[: sizes.category_trajectories]
    numbers: dict[str, Any] = {"levels": sizes.category_levels, "categories": subject.classify.classes}
    rows: list[dict[str, Any]] = []
    for level in sizes.category_levels:
        orbit = trajectory(subject.noisy(level), start, n_steps=sizes.category_steps, progress=work.progress)

        def named(states: NDArray[Any]) -> NDArray[np.int64]:
            assert subject.classify is not None
            return subject.classify(subject.images(states.reshape(len(states), -1)))

        followed = transitions(orbit, named, categories=subject.classify.classes, progress=work.progress)
        name = f"{level:g}".replace(".", "_")
        work.keep(followed, f"categories-{name}")
        stay = float(np.trace(followed.counts) / max(followed.counts.sum(), 1))
        work.show(
            followed.plot(),
            f"categories-{name}",
            f"Categories under noise of standard deviation {level:g}",
            f"{subject.classify.name} names the states: the category stays in {stay:.1%} of the steps.",
        )
        rows.append(
            {
                "stays": stay,
                "dwell_mean": followed.dwell_mean,
                "occupation": followed.occupation,
                "matrix": followed.matrix,
                "entropy_rate": followed.entropy_rate,
                "entropy_stderr": followed.entropy_stderr,
                "message": followed.message,
            }
        )
    return numbers | {key: [row[key] for row in rows] for key in rows[0]}


def dimension(subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    """Intrinsic dimension of what noise makes the network draw, and of where it comes to rest, beside the data."""
    sizes = work.sizes
    rng = np.random.default_rng(subject.seed)
    data = subject.train.states
    most = min(sizes.dimension_points, len(data))
    sets = {"training images": data[np.sort(rng.choice(len(data), most, replace=False))]}
    numbers: dict[str, Any] = {"points": most}
    rest = Settling.load(work.result_of("burn-in", "settling"))
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
        progress=work.progress,
    ).states
    flat = np.ascontiguousarray(moved.swapaxes(0, 1).reshape(-1, moved.shape[-1])[:most])
    # The noise added last fills all dimensions; what the network makes of the state does not.
    sets[f"noise {sizes.dimension_noise:g}"] = subject.map.ops.to_numpy(
        subject.map.apply(subject.map.ops.from_numpy(flat))
    )
    comparison = compare_dimensions(
        sets, methods=DIMENSION_METHODS, seed=subject.seed, progress=work.progress, throw=False
    )
    work.keep(comparison, "dimension")
    work.show(
        comparison.plot(),
        "dimension",
        "Dimension of the data and of what the network draws",
        "Images of states under noise, before noise is added to them. Estimates fall with the number of points "
        "where the dimension is high: compare sets of equal numbers.",
    )
    numbers["message"] = comparison.message
    for row, name in enumerate(comparison.names):
        for column, method in enumerate(comparison.methods):
            numbers[f"{name}: {method}"] = comparison.dimension[row, column]
            numbers[f"{name}: {method} stderr"] = comparison.stderr[row, column]
        numbers[f"{name}: points"] = int(comparison.n_points[row])
    return numbers


MODEL_SIZES = ("against_samples", "against_steps", "real", "k")
MODEL_TRAJECTORIES, MODEL_STEPS = 4, 60
"""Of the exponents of each network."""


@dataclass(frozen=True)
class ModelStage:
    """Measures one network; `number` is -1 for the study's own."""

    number: int

    def __call__(self, subject: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
        model = subject.model if self.number < 0 else subject.against[self.number]
        return measure(subject, model, work)


def model_stages(subject: KaleidoscopeSubject) -> list[Stage]:
    """One stage for each network, and those that compare them."""
    if not subject.against:
        return [
            Stage("depth", "Burn-in against depth", _nothing_beside),
            Stage("variants", "Networks side by side", _nothing_beside),
        ]
    names = ["model", *(f"against-{i + 1}" for i in range(len(subject.against)))]
    models = [subject.model, *subject.against]
    stages = [
        Stage(
            name,
            f"Measures of {model.name}",
            ModelStage(i - 1),
            MODEL_SIZES,
            ("model" if i == 0 else f"against:{i - 1}", "data", "features", "classifier"),
        )
        for i, (name, model) in enumerate(zip(names, models, strict=True))
    ]
    needs = tuple(names)
    return [
        *stages,
        Stage("depth", "Burn-in against depth", _Beside(names, depth), needs=needs),
        Stage("variants", "Networks side by side", _Beside(names, variants), needs=needs),
    ]


def measure(subject: KaleidoscopeSubject, model: Model, work: Workspace) -> dict[str, Any]:
    """Whether a network settles, how soon, and what its samples are worth."""
    sizes = work.sizes
    starts = subject.starts(sizes.against_samples, model)
    options: dict[str, Any] = {"progress": work.progress, "throw": False}
    rest = settling(model.map, starts, n_steps=sizes.against_steps, **options)
    mixing = measure_burn_in(
        model.map, starts, n_steps=sizes.against_steps, every=max(1, sizes.against_steps // 100),
        seed=subject.seed, **options,
    )  # fmt: skip
    ops = model.map.ops
    ends = ops.to_numpy(step_states(model.map, ops.from_numpy(starts), n_steps=sizes.against_steps))
    images = subject.images(ends, model)
    spectrum = lyapunov_spectrum(
        model.map, ends[:MODEL_TRAJECTORIES], n_steps=MODEL_STEPS, n_exponents=2, seed=subject.seed, **options
    )
    numbers: dict[str, Any] = {
        "name": model.name,
        "architecture": str(model.config.get("architecture", model.architecture)),
        "depth": model.config.get("depth"),
        "width": model.config.get("width"),
        "weights": _weights(model),
        "training_loss": (model.training.get("best") or {}).get("loss"),
        "settled_share": float(rest.settled_share[-1]),
        "settled_interval": rest.settled_interval[-1],
        "median_settled_at": rest.median_settled_at,
        "ends": len(rest.points),
        "burn_in": mixing.burn_in,
        "burn_in_interval": mixing.burn_in_interval,
        "largest_exponent": spectrum.exponents[0],
        "largest_exponent_stderr": spectrum.stderr[0],
        "attractor": spectrum.attractor,
        "confidence": None,
        "confidence_stderr": None,
    }
    numbers |= quality(subject.side(sizes.k, sizes.real).compare(images, seed=subject.seed))
    if subject.classify is not None:
        sure: NDArray[np.float64] = subject.classify.probabilities(images).max(axis=1)
        numbers["confidence"] = float(sure.mean())
        numbers["confidence_stderr"] = float(sure.std(ddof=1) / np.sqrt(len(sure)))
    return numbers


def _weights(model: Model) -> int | None:
    parameters = getattr(model.module, "parameters", None)
    return sum(int(p.numel()) for p in parameters()) if callable(parameters) else None


@dataclass(frozen=True)
class _Beside:
    """Reads what the stages of the networks found, and compares them."""

    names: list[str]
    compare: Callable[[list[dict[str, Any]], Workspace], dict[str, Any]]

    def __call__(self, _: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
        networks = [work.numbers(name) for name in self.names]
        networks = [numbers for numbers in networks if numbers]
        if len(networks) < 2:
            raise LeftOut("fewer than two networks could be measured")
        return self.compare(networks, work)


def depth(networks: list[dict[str, Any]], work: Workspace) -> dict[str, Any]:
    """Burn-in of perceptrons against their depth."""
    from lyapmap.models.kaleidoscope.pictures import draw_depth

    perceptrons = sorted(
        (network for network in networks if network["architecture"] == "mlp"), key=lambda network: network["depth"]
    )
    if len({network["depth"] for network in perceptrons}) < 2:
        raise LeftOut("the perceptrons given are all of one depth")
    names = ("name", "depth", "width", "burn_in", "burn_in_interval", "settled_share", "settled_interval",
             "median_settled_at", "ends")  # fmt: skip
    numbers = {name: [network[name] for network in perceptrons] for name in names}
    work.show(
        draw_depth(numbers),
        "depth",
        "Burn-in against depth",
        "Steps until the samples keep their distribution, steps until half of the trajectories rest, and the part "
        "that rests at the end. Networks of other widths or trainings differ in more than their depth.",
    )
    return numbers


def variants(networks: list[dict[str, Any]], _: Workspace) -> dict[str, Any]:
    """All networks, number by number."""
    return {name: [network[name] for network in networks] for name in networks[0]}


def _nothing_beside(_: KaleidoscopeSubject, work: Workspace) -> dict[str, Any]:
    raise LeftOut("no further networks were given (--against)")
