"""Stages of the kaleidoscope study about samples and where they end: burn-in, fixed points, quality, memorization."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.manifold.memorization import memorization as compare_with_training
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.orbits.burn_in import burn_in as measure_burn_in
from lyapmap.analysis.orbits.periodic_orbits import periodic_orbits
from lyapmap.analysis.orbits.settling import Settling, settling
from lyapmap.core.propagate import step_states
from lyapmap.models.kaleidoscope.subject import UNIFORM, KaleidoscopeSubject
from lyapmap.study.stages import Bench
from lyapmap.study.study import SHOWN, basins

ROWS = 8
"""Trajectories of the film strip, rows and columns of the grid."""
RESTLESS, RESTLESS_STEPS = 8, 500
"""Trajectories that have not settled whose exponents are measured, and over how many steps."""
METRICS = ("precision", "recall", "density", "coverage")
QUIET, NOISY = "without noise", "with noise"
SURE = 0.9
"""Confidence that is asked for."""


def samples(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Film strip, grid, and how sure the classifier is of what it sees."""
    from lyapmap.models.kaleidoscope.pictures import draw_confidence
    from lyapmap.report.images import save_film_strip, save_sheet

    sizes = bench.sizes
    deviation = sizes.noise / UNIFORM
    numbers: dict[str, Any] = {"at": sizes.at, "samples": sizes.samples, "classifier": None}
    sure: dict[str, Any] = {}
    for name, level in ((QUIET, 0.0), (NOISY, deviation)):
        states = subject.along(sizes.samples, sizes.at, level)
        film = np.stack([subject.images(x[:ROWS]) for x in states], axis=1)
        short = "quiet" if level == 0 else "noisy"
        path = bench.picture_path(
            f"film-{short}",
            f"From noise to samples, {name}" + (f" of {sizes.noise:g}" if level else ""),
            f"Each row starts from uniform noise; step n is the network applied n times, {name}.",
        )
        save_film_strip(path, film, steps=sizes.at, columns=len(sizes.at))
        last = subject.images(states[-1][: ROWS * ROWS])
        side = int(len(last) ** 0.5)
        path = bench.picture_path(
            f"grid-{short}", f"Samples after {sizes.at[-1]} steps, {name}", "One sample of each start, none chosen."
        )
        save_sheet(last[: side * side].reshape(side, side, *last.shape[1:]), path)
        if subject.classify is not None:
            sure[name] = _confidence(subject, states)
    if sure:
        assert subject.classify is not None
        numbers["classifier"] = subject.classify.name
        numbers["categories"] = subject.classify.classes
        for name, found in sure.items():
            short = "" if name == QUIET else "_noisy"
            numbers |= {f"{key}{short}": value for key, value in found.items()}
        numbers["real_confidence"] = float(_most(subject, subject.real_images(subject.test, sizes.samples)).mean())
        counts = np.bincount(subject.train.labels, minlength=max(subject.classify.classes) + 1)
        numbers["data_labels"] = counts[list(subject.classify.classes)] / len(subject.train)
        bench.show(
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


def burn_in(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """When single trajectories come to rest, and when the ensemble keeps its distribution."""
    sizes = bench.sizes
    rest = settling(
        subject.map, subject.starts(sizes.samples), n_steps=sizes.settle_steps, progress=bench.progress, throw=False
    )
    bench.keep(rest, "settling")
    bench.show(
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
        found = measure_burn_in(
            subject.noisy(level),
            subject.starts(count),
            n_steps=sizes.burn_in_steps,
            every=sizes.burn_in_every,
            features=features,
            seed=subject.seed,
            progress=bench.progress,
            throw=False,
        )
        bench.keep(found, f"burn-in-{short}")
        what = {"pixels": "pixels", "features": f"{subject.features_name} features", "noisy": "pixels, with noise"}
        bench.show(
            found.plot(),
            f"burn-in-{short}",
            f"Burn-in in {what[short]}",
            "Energy distance of the samples after n steps to those after the last; within the dashed line they "
            "could not be told from a further sample of the late ones.",
        )
        numbers |= {
            f"burn_in_{short}": found.burn_in,
            f"burn_in_{short}_interval": found.burn_in_interval,
            f"burn_in_{short}_message": found.message,
        }
    return numbers


def _restless(subject: KaleidoscopeSubject, rest: Settling) -> dict[str, Any]:
    """What the trajectories do that have not settled: the exponents of some of them."""
    rows = np.flatnonzero(rest.attractor < 0)[:RESTLESS]
    if not len(rows):
        return {"restless": 0}
    start = subject.map.ops.from_numpy(subject.starts(len(rest.attractor))[rows])
    late = subject.map.ops.to_numpy(step_states(subject.map, start, n_steps=rest.settings["n_steps"]))
    found = lyapunov_spectrum(
        subject.map, late, n_steps=RESTLESS_STEPS, transient=100, n_exponents=2, seed=subject.seed, throw=False
    )
    return {
        "restless": int((rest.attractor < 0).sum()),
        "restless_looked_at": len(rows),
        "restless_exponents": found.per_trajectory[:, 0],
        "restless_largest": found.exponents[0],
        "restless_stderr": found.stderr[0],
        "restless_attractor": found.attractor,
    }


def manifold(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Precision, recall, density and coverage of the samples over the iterations."""
    from lyapmap.models.kaleidoscope.pictures import draw_manifold_steps

    sizes = bench.sizes
    side = subject.side(sizes.k, sizes.real)
    numbers: dict[str, Any] = {"at": sizes.at, "k": sizes.k, "features": subject.features_name}
    curves: dict[str, dict[str, list[float]]] = {}
    for name, level in ((QUIET, 0.0), (NOISY, sizes.noise / UNIFORM)):
        found = [
            side.compare(subject.images(x), seed=subject.seed) for x in subject.along(sizes.samples, sizes.at, level)
        ]
        bench.keep(found[-1], f"manifold-{'quiet' if level == 0 else 'noisy'}")
        curves[name] = {metric: [float(getattr(one, metric)[0]) for one in found] for metric in METRICS}
        short = "" if level == 0 else "_noisy"
        numbers |= {f"{metric}{short}": values for metric, values in curves[name].items()}
        for metric in METRICS:
            numbers[f"last_{metric}{short}"] = curves[name][metric][-1]
            numbers[f"last_{metric}{short}_interval"] = getattr(found[-1], f"{metric}_interval")[0]
    reference = side.compare(subject.real_images(subject.train, sizes.samples), seed=subject.seed)
    numbers |= {f"reference_{metric}": float(getattr(reference, metric)[0]) for metric in METRICS}
    bench.show(
        draw_manifold_steps(sizes.at, curves, {metric: numbers[f"reference_{metric}"] for metric in METRICS}),
        "manifold",
        f"Quality and variety of the samples over n, k = {sizes.k}",
        f"{sizes.samples} samples against held-out images in {subject.features_name}; dashed, as many training "
        "images in their place.",
    )
    return numbers


def memorization(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Whether samples repeat training images, in pixels."""
    sizes = bench.sizes
    numbers: dict[str, Any] = {"samples": sizes.samples, "training_images": len(subject.train)}
    for short, level in (("", 0.0), ("_noisy", sizes.noise / UNIFORM)):
        ends = subject.settled(sizes.samples, sizes.sample_steps, level)
        if level:
            # The image of a noisy state: what the network draws, without the noise added last.
            ends = subject.map.ops.to_numpy(subject.map.apply(subject.map.ops.from_numpy(ends)))
        found = compare_with_training(
            subject.images(ends),
            subject.real_images(subject.train),
            held_out=subject.real_images(subject.test, sizes.real),
            seed=subject.seed,
            progress=bench.progress,
        )
        bench.keep(found, f"memorization{short.replace('_', '-')}")
        name = QUIET if level == 0 else NOISY
        bench.show(
            found.plot(),
            f"memorization{short.replace('_', '-')}",
            f"Nearest training images, {name}",
            f"{found.closer:.1%} of the samples are nearer to a training image than "
            f"{found.settings['quantile']:.0%} of the held-out images are; {found.copies} are equal to one.",
        )
        numbers |= {
            f"copies{short}": found.copies,
            f"closer{short}": found.closer,
            f"closer{short}_interval": found.closer_interval,
            f"preference{short}": found.preference,
            f"p_value{short}": found.p_value,
            f"median_distance{short}": float(np.median(found.distance)),
            f"message{short}": found.message,
        }
        numbers["median_reference_distance"] = float(np.median(found.reference_distance))
    return numbers


EARLY = (1, 2, 3, 5, 8, 13)
"""Steps after which states serve as guesses: near the borders of basins, where the unstable points lie."""


def fixed_points(subject: KaleidoscopeSubject, bench: Bench) -> dict[str, Any]:
    """Newton's method from ends, early iterates and training images; merged, with multipliers and basins."""
    from lyapmap.study.page import draw_fixed_points

    rest = Settling.load(bench.result_of("burn-in", "settling"))
    guesses, origin = _guesses(subject, rest, bench.sizes.guesses)
    found = periodic_orbits(
        subject.precise,
        guesses,
        n_guesses=len(guesses),
        seed=subject.seed,
        progress=bench.progress,
        throw=False,
    )
    bench.keep(found, "fixed-points")
    points = found.orbits[:, 0]  # all within the range of the output, as images of themselves
    share, interval, confirmed = basins(rest, points, found.multipliers)
    stable = np.array([name == "stable" for name in found.stability], bool)
    order = np.argsort(-share, kind="stable")
    numbers: dict[str, Any] = {
        "fixed_points": len(points),
        "stable": int(stable.sum()),
        "unstable": int((~stable).sum()),
        "guesses": {name: int((origin == name).sum()) for name in dict.fromkeys(origin.tolist())},
        "guesses_converged": int(found.n_found.sum()),
        "largest_residual": float(found.residual.max()) if len(found.residual) else None,
        "n_unstable": found.n_unstable[order],
        "largest_multiplier": np.abs(found.multipliers[order, 0]) if len(points) else [],
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
    bench.show(
        draw_fixed_points(
            subject.images(points[shown]),
            subject.images(training[nearest[: len(shown), 0]]),
            share[shown],
            np.abs(found.multipliers[shown, 0]),
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
    bench.show(
        found.plot(),
        "multipliers",
        "Multipliers of the fixed points",
        "Those outside the unit circle are directions in which a fixed point repels.",
    )
    return numbers


def _guesses(subject: KaleidoscopeSubject, rest: Settling, count: int) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """States to start from, and where each comes from."""
    rng = np.random.default_rng(subject.seed)
    ends = rest.points[rest.period == 1][:count]
    x = subject.map.ops.from_numpy(subject.starts(count))
    early, done = [], 0
    for i, step in enumerate(EARLY):
        x = step_states(subject.map, x, n_steps=step - done)
        done = step
        early.append(np.asarray(subject.map.ops.to_numpy(x), np.float64)[i :: len(EARLY)])
    images = subject.train.states[rng.choice(len(subject.train), min(count, len(subject.train)), replace=False)]
    parts = {"ends": ends, "early iterates": np.concatenate(early), "training images": images.astype(np.float64)}
    origin = np.concatenate([np.full(len(part), name) for name, part in parts.items()])
    return np.concatenate(list(parts.values())), origin
