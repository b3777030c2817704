"""Stages of the cycle study that show images, and where they lie among the training images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.analysis.neighbors.graph import neighbor_graph
from lyapmap.analysis.orbits.trajectory import Trajectory, trajectory
from lyapmap.core.points import channels_first
from lyapmap.models.cycle.metrics import augmented_states
from lyapmap.models.cycle.subject import CycleSubject
from lyapmap.study.stages import Bench

ROWS = 8
"""Sequences shown in Fig. 2 and 3."""
BUNDLE_COLUMNS = 24
"""Images of each trajectory of S3 that are shown."""


def sequences(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 2 and 3."""
    from lyapmap.report.images import save_film_strip

    found = trajectory(subject.map, subject.starts(ROWS), n_steps=bench.sizes.sequence_steps)
    bench.keep(found, "sequences")
    path = bench.picture_path(
        "sequences",
        "Sequences of images (Fig. 2, 3)",
        "Each row starts from a test image; every further image is the generator's answer to the one before.",
    )
    save_film_strip(path, channels_first(found.images()), columns=bench.sizes.sequence_steps + 1)
    return {"rows": len(found.states), "steps": bench.sizes.sequence_steps}


def layout(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """The training images in the plane, in which later stages place states."""
    from lyapmap.analysis.manifold.embedding import embed

    images = subject.train
    most = bench.sizes.layout_points
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
    found = embed(images.states[keep], labels=labels, n_neighbors=neighbors, seed=subject.seed, progress=bench.progress)
    bench.keep(found, "layout")
    return {"points": len(keep), "neighbors": neighbors, "message": found.message}


def one_trajectory(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 4."""
    steps, among = bench.sizes.embedded_steps, _layout(bench)
    found = among.place(trajectory(subject.map, subject.starts(1), n_steps=steps, progress=bench.progress))
    bench.keep(found, "embedding-trajectory")
    bench.show(
        found.plot(),
        "embedding-trajectory",
        f"One trajectory of {steps} steps among the training images (Fig. 4)",
        "Training images in light colours, states of the trajectory over them from early (dark) to late (bright).",
    )
    return {"steps": steps, "training_images": len(found.data)}


def over_time(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """Fig. 5."""
    starts = subject.starts(bench.sizes.ensemble)
    found = _layout(bench).along(subject.map, starts, at=bench.sizes.at, progress=bench.progress)
    bench.keep(found, "embedding-over-n")
    bench.show(
        found.plot(),
        "embedding-over-n",
        f"{len(starts)} states over n (Fig. 5)",
        "Test images of one category (n = 0) and where they are n steps later: the area they take shrinks onto the "
        "attractor.",
    )
    return {"trajectories": len(starts), "at": bench.sizes.at}


def augmented_over_time(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """The same for augmented initial states of all categories."""
    sizes = bench.sizes
    starts = augmented_states(subject, sizes.fold, sizes.noise, sizes.augmented_images)
    at = [step for step in sizes.at if step <= max(sizes.augmented_steps, sizes.at[0])]
    found = _layout(bench).along(subject.map, starts, at=at, progress=bench.progress)
    bench.keep(found, "embedding-augmented")
    bench.show(
        found.plot(),
        "embedding-augmented",
        f"{len(starts)} augmented states over n",
        f"Each test image {sizes.fold} times, moved along the difference to its nearest neighbour by {sizes.noise:g} "
        "times a normal number, and where these states are n steps later.",
    )
    return {"trajectories": len(starts), "at": at}


def bundle(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """S3: trajectories from different images side by side, and whether their states mix."""
    from lyapmap.report.images import save_film_strip

    found = _bundle(subject, bench)
    mixing = mixing_of(found)
    words = f" Mixing is {mixing:.2f}, 1 where all visit the same states alike." if mixing == mixing else ""
    images = channels_first(found.images()[:, :BUNDLE_COLUMNS])
    path = bench.picture_path(
        "bundle",
        f"{len(images)} trajectories after {bench.sizes.transient} steps (S3)",
        f"One row for each initial image, all on the attractor.{words}",
    )
    save_film_strip(path, images, columns=BUNDLE_COLUMNS, scale=1 if images.shape[-1] >= 28 else None)
    return {"trajectories": len(images), "steps": bench.sizes.bundle_steps, "mixing": mixing}


def bundle_embedded(subject: CycleSubject, bench: Bench) -> dict[str, Any]:
    """S3 among the training images."""
    from lyapmap.analysis.manifold.pictures_embedding import draw_embedded_bundle

    placed = _layout(bench).place(_bundle(subject, bench))
    bench.keep(placed, "embedding-bundle")
    bench.show(
        draw_embedded_bundle(placed),
        "embedding-bundle",
        "The same trajectories among the training images (S3)",
        f"A panel for each trajectory, {bench.sizes.bundle_steps} steps long: alike if they lie on one attractor.",
    )
    return {"trajectories": len(placed.coordinates)}


def _bundle(subject: CycleSubject, bench: Bench) -> Trajectory:
    sizes = bench.sizes
    start = subject.settled(sizes.ensemble, sizes.transient)[: sizes.bundle]
    return trajectory(subject.map, start, n_steps=sizes.bundle_steps, progress=bench.progress)


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


def _layout(bench: Bench) -> Any:
    from lyapmap.analysis.manifold.embedding import Embedding

    return Embedding.load(bench.result_of("layout", "layout"))
