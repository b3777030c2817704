"""Stages of the cycle study about quality and variety: precision, recall, categories, memorization."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.manifold.along import ManifoldAlong, manifold_along
from lyapmap.analysis.manifold.memorization import memorization as compare_with_training
from lyapmap.analysis.manifold.metrics import RealManifold
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.orbits.trajectory import trajectory
from lyapmap.models.cycle.subject import CycleSubject
from lyapmap.study.stages import Bench, LeftOut

METRICS = ("precision", "recall", "density", "coverage")
TOLD_STEPS = (1, 10)
"""Steps whose metrics stand among the numbers by name."""


def over_k(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 6: every trajectory against the test images, for every number of neighbours."""
    sizes = bench.sizes
    real = subject.test.images
    largest = min(sizes.largest_k, len(real) - 1)
    found = manifold_along(
        RealManifold(real, k=range(1, largest + 1), features=subject.features),
        subject.map,
        subject.starts(sizes.metric_trajectories),
        n_steps=len(real) - 1,
        transient=1,
        over="trajectories",
        reference=_training_images(subject),
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "over-k")
    bench.show(
        found.plot(),
        "over-k",
        "Precision and recall of trajectories over k (Fig. 6)",
        f"Mean and standard deviation over {len(found.at)} trajectories of {found.n_generated} images, against the "
        f"test images in {subject.features_name}; dashed, as many training images in their place.",
    )
    numbers: dict[str, Any] = {"k": found.k, "trajectories": len(found.at), "samples": found.n_real}
    for name in ("precision", "recall"):
        values = getattr(found, name)
        numbers |= {
            name: values.mean(axis=0),
            f"{name}_deviation": values.std(axis=0),
            f"reference_{name}": getattr(found, f"reference_{name}")[0],
        }
    return numbers


def over_steps(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 7: all test images after n steps against the test images."""
    sizes = bench.sizes
    found = manifold_along(
        subject.side(sizes.k),
        subject.map,
        subject.test.states,
        n_steps=sizes.metric_steps,
        reference=_training_images(subject),
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "over-steps")
    bench.show(
        found.plot(),
        "over-steps",
        f"Precision and recall over n, k = {found.k[0]} (Fig. 7)",
        f"All {found.n_generated} test images, mapped n times, against the test images in {subject.features_name}; "
        "dashed, training images in their place.",
    )
    return _of_steps(found)


def augmented(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Metrics over n of initial states moved towards their nearest neighbours."""
    sizes = bench.sizes
    starts = augmented_states(subject, sizes.fold, sizes.noise, sizes.augmented_images)
    rng = np.random.default_rng(subject.seed)
    count = min(len(starts), len(subject.train))
    starts = starts[np.sort(rng.choice(len(starts), count, replace=False))]
    real = subject.train.images[np.sort(rng.choice(len(subject.train), count, replace=False))]
    found = manifold_along(
        RealManifold(real, k=min(sizes.k, count - 1), features=subject.features),
        subject.map,
        starts,
        n_steps=sizes.augmented_steps,
        seed=subject.seed,
        progress=bench.progress,
    )
    bench.keep(found, "augmented")
    bench.show(
        found.plot(),
        "augmented",
        f"Precision and recall over n of augmented initial states, k = {found.k[0]}",
        f"{count} states: each test image {sizes.fold} times, moved along the difference to its nearest neighbour by "
        f"{sizes.noise:g} times a normal number; against as many training images.",
    )
    return _of_steps(found)


def augmented_states(subject: CycleSubject, fold: int, noise: float, most: int | None) -> NDArray[Any]:
    """Each test image `fold` times, x + noise * normal number * (nearest test image - x), (m, n)."""
    rng = np.random.default_rng(subject.seed)
    points = subject.test.states
    if most is not None and most < len(points):
        points = points[np.sort(rng.choice(len(points), most, replace=False))]
    _, nearest = neighbor_graph(points.astype(np.float64), 1)
    towards = points[nearest[:, 0]] - points
    moved = points[None] + noise * rng.standard_normal((fold, len(points), 1)) * towards[None]
    return moved.reshape(-1, points.shape[1]).astype(points.dtype)


def categories(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """How often the images follow each other in the order of the cycle."""
    if subject.classify is None:
        raise LeftOut(subject.without)
    sizes = bench.sizes
    orbit = trajectory(
        subject.map, subject.starts(sizes.category_trajectories), n_steps=sizes.category_steps, progress=bench.progress
    )
    found = transitions(orbit, subject.classify, order=subject.classes, progress=bench.progress)
    bench.keep(found, "categories")
    bench.show(
        found.plot(),
        "categories",
        "Categories along trajectories",
        f"{subject.classify.name} names the images: the order of the cycle holds in {found.accuracy:.1%} of the steps.",
    )
    return {
        "accuracy": found.accuracy,
        "accuracy_interval": found.accuracy_interval,
        "entropy_rate": found.entropy_rate,
        "entropy_stderr": found.entropy_stderr,
        "categories": found.categories,
        "occupation": found.occupation,
        "matrix": found.matrix,
        "classifier": subject.classify.name,
    }


def memorized(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Whether images on the attractor repeat training images, in pixels."""
    sizes = bench.sizes
    start = subject.settled(sizes.ensemble, sizes.transient)
    steps = max(-(-sizes.memorization_samples // len(start)) - 1, 0)
    states = trajectory(subject.map, start, n_steps=steps, progress=bench.progress).states
    generated = states.swapaxes(0, 1).reshape(-1, *subject.map.state_shape)[: sizes.memorization_samples]
    found = compare_with_training(
        generated, subject.train.images, held_out=subject.test.images, seed=subject.seed, progress=bench.progress
    )
    bench.keep(found, "memorization")
    bench.show(
        found.plot(),
        "memorization",
        "Nearest training images",
        f"{found.copies} of {len(generated)} generated images equal a training image; {found.closer:.1%} are nearer "
        f"than {found.settings['quantile']:.0%} of the test images are.",
    )
    return {
        "copies": found.copies,
        "closer": found.closer,
        "closer_interval": found.closer_interval,
        "quantile": found.settings["quantile"],
        "preference": found.preference,
        "p_value": found.p_value,
        "median_distance": float(np.median(found.distance)),
        "median_reference_distance": float(np.median(found.reference_distance)),
        "samples": len(generated),
    }


def _training_images(subject: CycleSubject) -> NDArray[Any]:
    """As many training images as there are test images, or as there are."""
    images: NDArray[Any] = subject.train.images
    count = min(len(subject.test), len(images))
    chosen: NDArray[Any] = images[
        np.sort(np.random.default_rng(subject.seed).choice(len(images), count, replace=False))
    ]
    return chosen


def _of_steps(found: ManifoldAlong) -> dict[str, Any]:
    numbers: dict[str, Any] = {"n": found.at, "k": int(found.k[0]), "samples": found.n_generated}
    numbers["features"] = found.settings["features"] or "pixels"
    for name in METRICS:
        numbers[name] = getattr(found, name)[:, 0]
        if len(found.reference_precision):
            numbers[f"reference_{name}"] = getattr(found, f"reference_{name}")[0, 0]
    for step in TOLD_STEPS:
        for name in ("precision", "recall"):
            if step < len(found.at):
                numbers[f"{name}_at_{step}"] = getattr(found, name)[step, 0]
                numbers[f"{name}_at_{step}_interval"] = getattr(found, f"{name}_interval")[step, 0]
    later = slice(max(TOLD_STEPS), None)
    numbers["least_precision_after"] = float(found.precision[1:, 0].min()) if len(found.at) > 1 else None
    numbers["mean_recall_from_10"] = float(found.recall[later, 0].mean()) if len(found.at) > 10 else None
    return numbers
