"""Stages of the cycle study: chaos, quality and variety, pictures."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.dimension.comparison import compare_dimensions
from lyapmap.analysis.exponents.divergence import divergence
from lyapmap.analysis.exponents.finite_time import finite_time_exponents
from lyapmap.analysis.exponents.spectrum import lyapunov_spectrum
from lyapmap.analysis.manifold.along import ManifoldAlong, manifold_along
from lyapmap.analysis.manifold.memorization import memorization as compare_with_training
from lyapmap.analysis.manifold.metrics import RealManifold
from lyapmap.analysis.manifold.transitions import transitions
from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.orbits.trajectory import Trajectory, trajectory
from lyapmap.core.points import channels_first
from lyapmap.models.cycle.subject import CycleSubject
from lyapmap.study.stages import LeftOut, Workspace

HISTOGRAMS = 5
"""Exponents of S4 and of the convergence."""
DIMENSION_METHODS = ("gride", "twonn", "mle", "pca")


def spectrum(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 8."""
    sizes = work.sizes
    exponents = sizes.exponents if sizes.exponents in ("auto", "all") else int(float(sizes.exponents))
    result = lyapunov_spectrum(
        subject.map,
        subject.starts(sizes.trajectories),
        n_steps=sizes.steps,
        transient=sizes.transient,
        n_exponents=exponents,
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(result, "spectrum")
    work.show(
        result.plot(),
        "spectrum",
        "Lyapunov spectrum (Fig. 8)",
        "Exponents above zero are directions in which neighbouring images part; where the partial sums cross zero is "
        "the Kaplan-Yorke dimension.",
    )
    return {
        "largest": result.exponents[0],
        "largest_stderr": result.stderr[0],
        "exponents": result.exponents,
        "stderr": result.stderr,
        "n_positive": result.n_positive,
        "kaplan_yorke": result.kaplan_yorke,
        "kaplan_yorke_stderr": result.kaplan_yorke_stderr,
        "kaplan_yorke_verdict": result.kaplan_yorke_verdict,
        "entropy": result.entropy,
        "entropy_stderr": result.entropy_stderr,
        "attractor": result.attractor,
        "n_attractors": max(len(result.groups), 1),
        "status": str(result.status),
        "trajectories": len(result.per_trajectory),
        "steps": result.n_steps,
    }


def direct_divergence(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 9, and how its slope agrees with the largest exponent of the spectrum."""
    sizes = work.sizes
    last = sizes.divergence_last
    result = divergence(
        subject.map,
        subject.settled(sizes.ensemble, sizes.transient),
        n_steps="auto" if sizes.divergence_steps is None else sizes.divergence_steps,
        size=sizes.divergence_size,
        window="auto" if last is None else (1, last),
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(result, "divergence")
    tangent = work.numbers("spectrum")
    words = ""
    residual = math.nan
    if tangent:
        error = math.hypot(result.stderr, tangent["largest_stderr"] or math.nan)
        residual = (result.exponent - tangent["largest"]) / error
        words = f" The spectrum's largest exponent is {tangent['largest']:.3f}."
    work.show(
        result.plot(),
        "divergence",
        "Divergence of nearest neighbours (Fig. 9)",
        f"Pairs of states on the attractor part at {result.exponent:.3f} nats per step, without any derivative.{words}",
    )
    return {
        "exponent": result.exponent,
        "stderr": result.stderr,
        "window": result.window,
        "size": result.size,
        "pairs": len(result.per_trajectory),
        "standard_errors_from_spectrum": residual,
    }


def histograms(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """S4."""
    sizes = work.sizes
    result = finite_time_exponents(
        subject.map,
        subject.starts(sizes.histogram_trajectories),
        n_steps=sizes.histogram_steps,
        transient=sizes.transient,
        n_exponents=HISTOGRAMS,
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(result, "histograms")
    work.show(
        result.plot(),
        "histograms",
        "The first five exponents of each trajectory (S4)",
        "One peak each says that all trajectories lie on the same attractor, so that their mean has a meaning.",
    )
    values = result.exponents[:, 0]
    return {
        "mean": values.mean(axis=0),
        "deviation": values.std(axis=0, ddof=1) if len(values) > 1 else [math.nan] * HISTOGRAMS,
        "peaks": [result.modes(i) for i in range(HISTOGRAMS)],
        "trajectories": len(values),
    }


def convergence(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """The first five exponents along long trajectories."""
    sizes = work.sizes
    result = lyapunov_spectrum(
        subject.map,
        subject.starts(sizes.convergence_trajectories),
        n_steps=sizes.convergence_steps,
        transient=sizes.transient,
        n_exponents=HISTOGRAMS,
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(result, "convergence")
    work.show(
        result.plot(kind="convergence"),
        "convergence",
        f"Convergence of the first five exponents over {result.n_steps} steps",
        "Errors that fall with the square root of the steps, and trajectories that agree, say that the average is one "
        "over the whole attractor.",
    )
    return {
        "exponents": result.exponents,
        "stderr": result.stderr,
        "steps": result.n_steps,
        "trajectories": len(result.per_trajectory),
        "effective_samples": result.effective_samples,
        "status": str(result.status),
    }


def dimension(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Kaplan-Yorke dimension beside the intrinsic dimension of the data and of the attractor."""
    sizes = work.sizes
    rng = np.random.default_rng(subject.seed)
    data = subject.train.states
    most = len(data) if sizes.dimension_points is None else min(sizes.dimension_points, len(data))
    orbit = _of_attractor(subject, work, most)
    known = work.numbers("spectrum")
    certain = known.get("kaplan_yorke")
    error = known.get("kaplan_yorke_stderr")
    result = compare_dimensions(
        {"training images": data[np.sort(rng.choice(len(data), most, replace=False))], "attractor": orbit},
        methods=DIMENSION_METHODS,
        kaplan_yorke=(math.nan if certain is None else certain, math.nan if error is None else error),
        seed=subject.seed,
        progress=work.progress,
        # Real images often have no plateau over scales, which the message says; the numbers are there.
        throw=False,
    )
    work.keep(result, "dimension")
    work.show(
        result.plot(),
        "dimension",
        "Dimension of the data and of the attractor",
        "Estimates from neighbour distances fall with the number of points where the dimension is high: compare data "
        "and attractor at the same number, and both with the Kaplan-Yorke dimension.",
    )
    numbers: dict[str, Any] = {"points": most, "kaplan_yorke": certain, "message": result.message}
    for row, name in enumerate(("data", "attractor")):
        for column, method in enumerate(result.methods):
            numbers[f"{name}_{method}"] = result.dimension[row, column]
            numbers[f"{name}_{method}_stderr"] = result.stderr[row, column]
    return numbers


METRICS = ("precision", "recall", "density", "coverage")
PROGRESS_STEPS = (1, 10)
"""Steps whose metrics stand among the numbers by name."""


def over_k(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 6: every trajectory against the test images, for every number of neighbours."""
    sizes = work.sizes
    real = subject.test.images
    largest = min(sizes.largest_k, len(real) - 1)
    along = manifold_along(
        RealManifold(real, k=range(1, largest + 1), features=subject.features),
        subject.map,
        subject.starts(sizes.metric_trajectories),
        n_steps=len(real) - 1,
        transient=1,
        over="trajectories",
        reference=_training_images(subject),
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(along, "over-k")
    work.show(
        along.plot(),
        "over-k",
        "Precision and recall of trajectories over k (Fig. 6)",
        f"Mean and standard deviation over {len(along.at)} trajectories of {along.n_generated} images, against the "
        f"test images in {subject.features_name}; dashed, as many training images in their place.",
    )
    numbers: dict[str, Any] = {"k": along.k, "trajectories": len(along.at), "samples": along.n_real}
    for name in ("precision", "recall"):
        values = getattr(along, name)
        numbers |= {
            name: values.mean(axis=0),
            f"{name}_deviation": values.std(axis=0),
            f"reference_{name}": getattr(along, f"reference_{name}")[0],
        }
    return numbers


def over_steps(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 7: all test images after n steps against the test images."""
    sizes = work.sizes
    along = manifold_along(
        subject.side(sizes.k),
        subject.map,
        subject.test.states,
        n_steps=sizes.metric_steps,
        reference=_training_images(subject),
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(along, "over-steps")
    work.show(
        along.plot(),
        "over-steps",
        f"Precision and recall over n, k = {along.k[0]} (Fig. 7)",
        f"All {along.n_generated} test images, mapped n times, against the test images in {subject.features_name}; "
        "dashed, training images in their place.",
    )
    return _of_steps(along)


def spaces(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Quality and variety of the images after some steps, and of the attractor, in several feature spaces.

    A gain that is one of the features that a generator was chosen by is none in the others.
    """
    sizes = work.sizes
    images = subject.test_images(sizes.space_images)
    steps = [0, *sizes.space_steps]
    states = images.reshape(len(images), -1)
    sets = {}
    for before, step in pairwise(steps):
        orbit = trajectory(subject.map, states, n_steps=0, transient=step - before, progress=work.progress)
        states = orbit.states[:, 0]
        sets[str(step)] = states
    sets["attractor"] = _of_attractor(subject, work, len(images))
    real = _training_images(subject)[: len(images)]
    numbers: dict[str, Any] = {"at": list(sets), "samples": len(images), "k": sizes.k, "spaces": {}}
    for name, features in subject.spaces.items():
        side = RealManifold(images, k=min(sizes.k, len(images) - 1), features=features, progress=work.progress)
        reference = side.compare(real, seed=subject.seed, progress=work.progress)
        along = [
            side.compare(rows.reshape(images.shape), seed=subject.seed, progress=work.progress)
            for rows in sets.values()
        ]
        numbers["spaces"][name] = {
            metric: [float(getattr(each, metric)[0]) for each in along] for metric in METRICS
        } | {f"reference_{metric}": float(getattr(reference, metric)[0]) for metric in METRICS}
    return numbers


def _of_attractor(subject: CycleSubject, work: Workspace, count: int) -> NDArray[Any]:
    """States on the attractor, as many as asked for, of all trajectories alike."""
    start = subject.settled(work.sizes.ensemble, work.sizes.transient)
    steps = max(-(-count // len(start)) - 1, 0)
    orbit = trajectory(subject.map, start, n_steps=steps, progress=work.progress).states
    return orbit.swapaxes(0, 1).reshape(-1, orbit.shape[-1])[:count]


def augmented(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Metrics over n of initial states moved towards their nearest neighbours."""
    sizes = work.sizes
    starts = augmented_states(subject, sizes.fold, sizes.noise, sizes.augmented_images)
    rng = np.random.default_rng(subject.seed)
    count = min(len(starts), len(subject.train))
    starts = starts[np.sort(rng.choice(len(starts), count, replace=False))]
    real = subject.train.images[np.sort(rng.choice(len(subject.train), count, replace=False))]
    along = manifold_along(
        RealManifold(real, k=min(sizes.k, count - 1), features=subject.features),
        subject.map,
        starts,
        n_steps=sizes.augmented_steps,
        seed=subject.seed,
        progress=work.progress,
    )
    work.keep(along, "augmented")
    work.show(
        along.plot(),
        "augmented",
        f"Precision and recall over n of augmented initial states, k = {along.k[0]}",
        f"{count} states: each test image {sizes.fold} times, moved along the difference to its nearest neighbour by "
        f"{sizes.noise:g} times a normal number; against as many training images.",
    )
    return _of_steps(along)


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


def categories(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """How often the images follow each other in the order of the cycle."""
    if subject.classify is None:
        raise LeftOut(subject.without)
    sizes = work.sizes
    orbit = trajectory(
        subject.map, subject.starts(sizes.category_trajectories), n_steps=sizes.category_steps, progress=work.progress
    )
    result = transitions(orbit, subject.classify, order=subject.classes, progress=work.progress)
    work.keep(result, "categories")
    work.show(
        result.plot(),
        "categories",
        "Categories along trajectories",
        f"{subject.classify.name} names the images: the order of the cycle holds in {result.accuracy:.1%} of steps.",
    )
    return {
        "accuracy": result.accuracy,
        "accuracy_interval": result.accuracy_interval,
        "entropy_rate": result.entropy_rate,
        "entropy_stderr": result.entropy_stderr,
        "categories": result.categories,
        "occupation": result.occupation,
        "matrix": result.matrix,
        "classifier": subject.classify.name,
    }


def memorized(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Whether images on the attractor repeat training images, in pixels."""
    sizes = work.sizes
    generated = _of_attractor(subject, work, sizes.memorization_samples).reshape(-1, *subject.map.state_shape)
    result = compare_with_training(
        generated, subject.train.images, held_out=subject.test.images, seed=subject.seed, progress=work.progress
    )
    work.keep(result, "memorization")
    work.show(
        result.plot(),
        "memorization",
        "Nearest training images",
        f"{result.copies} of {len(generated)} generated images equal a training image; {result.closer:.1%} are nearer "
        f"than {result.settings['quantile']:.0%} of the test images are.",
    )
    return {
        "copies": result.copies,
        "closer": result.closer,
        "closer_interval": result.closer_interval,
        "quantile": result.settings["quantile"],
        "preference": result.preference,
        "p_value": result.p_value,
        "median_distance": float(np.median(result.distance)),
        "median_reference_distance": float(np.median(result.reference_distance)),
        "samples": len(generated),
    }


def _training_images(subject: CycleSubject) -> NDArray[Any]:
    """As many training images as there are test images, or as there are."""
    images: NDArray[Any] = subject.train.images
    count = min(len(subject.test), len(images))
    drawn: NDArray[Any] = images[np.sort(np.random.default_rng(subject.seed).choice(len(images), count, replace=False))]
    return drawn


def _of_steps(along: ManifoldAlong) -> dict[str, Any]:
    numbers: dict[str, Any] = {"n": along.at, "k": int(along.k[0]), "samples": along.n_generated}
    numbers["features"] = along.settings["features"] or "pixels"
    for name in METRICS:
        numbers[name] = getattr(along, name)[:, 0]
        if len(along.reference_precision):
            numbers[f"reference_{name}"] = getattr(along, f"reference_{name}")[0, 0]
    for step in PROGRESS_STEPS:
        for name in ("precision", "recall"):
            if step < len(along.at):
                numbers[f"{name}_at_{step}"] = getattr(along, name)[step, 0]
                numbers[f"{name}_at_{step}_interval"] = getattr(along, f"{name}_interval")[step, 0]
    later = slice(max(PROGRESS_STEPS), None)
    numbers["least_precision_after"] = float(along.precision[1:, 0].min()) if len(along.at) > 1 else None
    numbers["mean_recall_from_10"] = float(along.recall[later, 0].mean()) if len(along.at) > 10 else None
    return numbers


ROWS = 8
"""Sequences shown in Fig. 2 and 3."""
BUNDLE_COLUMNS = 24
"""Images of each trajectory of S3 that are shown."""


def sequences(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 2 and 3."""
    from lyapmap.report.images import save_film_strip

    orbit = trajectory(subject.map, subject.starts(ROWS), n_steps=work.sizes.sequence_steps)
    work.keep(orbit, "sequences")
    path = work.picture_path(
        "sequences",
        "Sequences of images (Fig. 2, 3)",
        "Each row starts from a test image; every further image is the generator's answer to the one before.",
    )
    save_film_strip(path, channels_first(orbit.images()), columns=work.sizes.sequence_steps + 1)
    return {"rows": len(orbit.states), "steps": work.sizes.sequence_steps}


def layout(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """The training images in the plane, in which later stages place states."""
    from lyapmap.analysis.manifold.embedding import embed

    images = subject.train
    most = work.sizes.layout_points
    rng = np.random.default_rng(subject.seed)
    keep = np.arange(len(images))
    if most is not None and most < len(keep):
        keep = np.sort(rng.choice(keep, most, replace=False))
    numbers = images.labels[keep]
    names = images.class_names
    labels: Any = numbers
    if any(name != str(number) for number, name in names.items()):
        labels = [names[number] for number in numbers.tolist()]
    neighbors = min(15, len(keep) - 1)
    embedding = embed(
        images.states[keep], labels=labels, n_neighbors=neighbors, seed=subject.seed, progress=work.progress
    )
    work.keep(embedding, "layout")
    return {"points": len(keep), "neighbors": neighbors, "message": embedding.message}


def one_trajectory(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 4."""
    steps, among = work.sizes.embedded_steps, _layout(work)
    placed = among.place(trajectory(subject.map, subject.starts(1), n_steps=steps, progress=work.progress))
    work.keep(placed, "embedding-trajectory")
    work.show(
        placed.plot(),
        "embedding-trajectory",
        f"One trajectory of {steps} steps among the training images (Fig. 4)",
        "Training images in light colours, states of the trajectory over them from early (dark) to late (bright).",
    )
    return {"steps": steps, "training_images": len(placed.data)}


def over_time(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """Fig. 5."""
    starts = subject.starts(work.sizes.ensemble)
    placed = _layout(work).along(subject.map, starts, at=work.sizes.at, progress=work.progress)
    work.keep(placed, "embedding-over-n")
    work.show(
        placed.plot(),
        "embedding-over-n",
        f"{len(starts)} states over n (Fig. 5)",
        "Test images of one category (n = 0) and where they are n steps later: the area they take shrinks onto the "
        "attractor.",
    )
    return {"trajectories": len(starts), "at": work.sizes.at}


def augmented_over_time(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """The same for augmented initial states of all categories."""
    sizes = work.sizes
    starts = augmented_states(subject, sizes.fold, sizes.noise, sizes.augmented_images)
    at = [step for step in sizes.at if step <= max(sizes.augmented_steps, sizes.at[0])]
    placed = _layout(work).along(subject.map, starts, at=at, progress=work.progress)
    work.keep(placed, "embedding-augmented")
    work.show(
        placed.plot(),
        "embedding-augmented",
        f"{len(starts)} augmented states over n",
        f"Each test image {sizes.fold} times, moved along the difference to its nearest neighbour by {sizes.noise:g} "
        "times a normal number, and where these states are n steps later.",
    )
    return {"trajectories": len(starts), "at": at}


def bundle(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """S3: trajectories from different images side by side, and whether their states mix."""
    from lyapmap.report.images import save_film_strip

    orbit = _bundle(subject, work)
    mixing = mixing_of(orbit)
    words = f" Mixing is {mixing:.2f}, 1 where all visit the same states alike." if mixing == mixing else ""
    images = channels_first(orbit.images()[:, :BUNDLE_COLUMNS])
    path = work.picture_path(
        "bundle",
        f"{len(images)} trajectories after {work.sizes.transient} steps (S3)",
        f"One row for each initial image, all on the attractor.{words}",
    )
    save_film_strip(path, images, columns=BUNDLE_COLUMNS, scale=1 if images.shape[-1] >= 28 else None)
    return {"trajectories": len(images), "steps": work.sizes.bundle_steps, "mixing": mixing}


def bundle_embedded(subject: CycleSubject, work: Workspace) -> dict[str, Any]:
    """S3 among the training images."""
    from lyapmap.analysis.manifold.pictures_embedding import draw_embedded_bundle

    placed = _layout(work).place(_bundle(subject, work))
    work.keep(placed, "embedding-bundle")
    work.show(
        draw_embedded_bundle(placed),
        "embedding-bundle",
        "The same trajectories among the training images (S3)",
        f"A panel for each trajectory, {work.sizes.bundle_steps} steps long: alike if they lie on one attractor.",
    )
    return {"trajectories": len(placed.coordinates)}


def _bundle(subject: CycleSubject, work: Workspace) -> Trajectory:
    sizes = work.sizes
    start = subject.settled(sizes.ensemble, sizes.transient)[: sizes.bundle]
    return trajectory(subject.map, start, n_steps=sizes.bundle_steps, progress=work.progress)


def mixing_of(orbit: Trajectory) -> float:
    """How freely nearest neighbours belong to other trajectories: 1 where all visit the same states alike.

    The part of states whose nearest neighbour lies on another trajectory, over the part that chance
    would give. NaN for one trajectory.
    """
    b, s, n = orbit.states.shape
    if b < 2:
        return float("nan")
    _, nearest = neighbor_graph(orbit.states.reshape(-1, n).astype(np.float64), 1)
    own = np.repeat(np.arange(b), s)
    other: NDArray[np.bool_] = nearest[:, 0] // s != own
    return float(other.mean() / (s * (b - 1) / (b * s - 1)))


def _layout(work: Workspace) -> Any:
    from lyapmap.analysis.manifold.embedding import Embedding

    return Embedding.load(work.result_of("layout", "layout"))
