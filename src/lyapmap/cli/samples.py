"""Points that commands measure: of files, of data sets, of a map that is iterated first; and where they start."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lyapmap.cli.options import AS_THEY_ARE, AsImages, SeriesFile
from lyapmap.cli.source import images_like, of_classes, require_torch
from lyapmap.core.errors import CheckpointError, LyapmapError, RunError, ShapeError
from lyapmap.core.map import TangentMap, dimension
from lyapmap.core.points import image_shape
from lyapmap.core.results import Result
from lyapmap.data.tables import is_table

if TYPE_CHECKING:
    from lyapmap.analysis.orbits.trajectory import Trajectory
    from lyapmap.cli.source import Source
    from lyapmap.data.tables import Table

R = TypeVar("R", bound=Result)

EACH = 8
"""Default number of trajectories where each is compared by itself."""
MANY = 100
"""Trajectories that are started at most by default."""


def read_numbers(path: Path, option: str) -> NDArray[Any]:
    """Numbers of an array or a table, with one row for each point."""
    return _read(path, option).values


def read_series(file: SeriesFile) -> Table:
    """Numbers of an array or a table, with one row for each step; a column of times is left out and tells the step."""
    assert file.series is not None
    return _read(file.series, "--series", column=file.column, separator=file.sep, decimal=file.decimal, in_time=True)


def _read(path: Path, option: str, **options: Any) -> Table:
    from lyapmap.data.tables import read_table

    column = options.get("column")
    if column is not None and column.isdigit() and path.suffix == ".npy":
        options["column"] = int(column)
    try:
        return read_table(path, **options)
    except LyapmapError as error:
        words = str(error)
        for name in ("column", "decimal", "sep"):  # as the command line knows them, where it does
            words = re.sub(rf"(\(|or ){name}\b", rf"\1--{name}", words) if options else words
        named = "--column" if words.startswith("expected a column") else option
        raise type(error)(f"{named}: {words}") from None


def one_of(source: Source | None, path: Path | None, option: str) -> None:
    """Refuse a map and a file together, and neither."""
    if (source is None) == (path is None):
        got = "none" if source is None else "both"
        raise LyapmapError(f"expected a map (--map, --model or --callable) or {option}, got {got}")


def iterated(source: Source, x0: Any, *, steps: int, transient: int, progress: bool = False) -> Trajectory:
    """States of the map; an escape is an error here, since nothing is measured yet."""
    from lyapmap.analysis.orbits.trajectory import trajectory

    return trajectory(source.map, x0, n_steps=steps, transient=transient, progress=progress)


def of_orbit(result: R, orbit: Trajectory, cut: bool) -> R:
    """A result of states that Ctrl-C cut short, with a word on it in its message."""
    if not cut:
        return result
    return replace(result, message="; ".join(part for part in (orbit.message, result.message) if part))


@dataclass(frozen=True)
class Samples:
    """Real samples.

    Attributes
    ----------
    points : (n, d) or (n, channels, height, width)
    labels : (n,) or None
    others : same shape or None
        As many training images of the same classes, in the place of generated ones.
    name, words : str
        Of the data set, and what was taken of it.
    class_names : dict of int to str, optional
        What the labels stand for.
    """

    points: NDArray[Any]
    labels: NDArray[np.int64] | None
    others: NDArray[Any] | None
    name: str
    words: str
    class_names: dict[int, str] | None = None


def real_samples(
    real: str,
    classes: Sequence[int] | None,
    most: int | None,
    seed: int,
    tangent_map: TangentMap | None = None,
    *,
    changed: AsImages = AS_THEY_ARE,
) -> Samples:
    """Test images of a data set as a map has them, or rows of a file; at most so many, chosen at random."""
    rng = np.random.default_rng(seed)
    if is_table(real):
        if classes is not None:
            raise LyapmapError("--classes: only for a data set, and --real is a file")
        points = read_numbers(Path(real), "--real")
        return Samples(_some(points, most, rng), None, None, Path(real).name, Path(real).name)
    test, train = (
        images_like(real, tangent_map, split=split, classes=classes, changed=changed, option="--real")
        for split in ("test", "train")
    )
    keep = _some(np.arange(len(test)), most, rng)
    others = _some(train.images, len(keep), rng) if Path(real).is_dir() is False else None
    if others is not None and len(others) < len(keep):
        others = None
    words = f"test images of {real}{of_classes(classes)}"
    return Samples(test.images[keep], test.labels[keep], others, real, words)


def some(rows: Sequence[int], most: int | None, seed: int) -> NDArray[Any]:
    """At most so many numbers of rows, chosen at random, in their order."""
    return _some(np.asarray(rows), most, np.random.default_rng(seed))


def _some(points: NDArray[Any], most: int | None, rng: np.random.Generator) -> NDArray[Any]:
    if most is None or len(points) <= most:
        return points
    return np.asarray(points[np.sort(rng.choice(len(points), most, replace=False))])


def features_of(name: str | None, real: Samples, weights: Path | None, tangent_map: TangentMap | None) -> Any:
    """The function that turns samples into features; None for values as they are."""
    images = real.points.ndim == 4
    if name is None:
        if not images:
            return None
        try:
            return features_of("classifier", real, weights, tangent_map)
        except CheckpointError:
            raise
        except LyapmapError:
            return None  # no classifier is shipped for this data
    if name == "pixels":
        return None
    if not images:
        raise LyapmapError(f"--features: {name} takes images, and --real holds rows of {real.points.shape[1:]} values")
    require_torch("--features")
    from lyapmap.files.features import features

    return features(name, data=real.name, state_shape=real.points.shape[1:], weights=weights)


def initial_states(source: Source, real: Samples, count: int | None, over: str, seed: int) -> tuple[NDArray[Any], str]:
    """Real samples to start from, as many as one comparison takes by default."""
    wanted = count if count is not None else EACH if over == "trajectories" else len(real.points)
    return states_among(real.points, source, wanted, seed, "--real", "real samples"), f"{wanted} of {real.words}"


def states_among(points: NDArray[Any], source: Source, wanted: int, seed: int, option: str, name: str) -> NDArray[Any]:
    """So many samples, chosen at random, as initial states (b, n) of the map."""
    flat = points.reshape(len(points), -1)
    n = dimension(source.map.state_shape)
    if flat.shape[1] != n:
        raise ShapeError(f"{option}: samples have {flat.shape[1]} values, states of {source.name} have {n}")
    if wanted > len(flat):
        raise LyapmapError(f"--trajectories: there are {len(flat)} {name} to start from, got {wanted}")
    return _some(flat, wanted, np.random.default_rng(seed))


def training_samples(
    data: str,
    classes: Sequence[int] | None,
    held_out: Path | None,
    tangent_map: TangentMap | None,
    option: str = "--data",
    *,
    changed: AsImages = AS_THEY_ARE,
) -> tuple[Samples, NDArray[Any] | None]:
    """Training samples of a data set or file, and those held out; None where there are none."""
    others = None if held_out is None else read_numbers(held_out, "--held-out")
    if is_table(data):
        if classes is not None:
            raise LyapmapError(f"--classes: only for a data set, and {option} is a file")
        name = Path(data).name
        return Samples(read_numbers(Path(data), option), None, None, name, name), others
    train = images_like(data, tangent_map, split="train", classes=classes, changed=changed, option=option)
    folder = Path(data)
    if others is None and (not folder.is_dir() or (folder / "test").is_dir()):
        others = images_like(data, tangent_map, split="test", classes=classes, changed=changed, option=option).images
    words = f"training images of {data}{of_classes(classes)}"
    return Samples(train.images, train.labels, None, data, words, train.class_names), others


def held_out_images(
    data: str, classes: tuple[int, ...] | None, tangent_map: TangentMap, *, changed: AsImages = AS_THEY_ARE
) -> tuple[NDArray[Any] | None, str]:
    """Test images of a data set as a map has them, and what they are; None for files, and folders without any."""
    folder = Path(data)
    if is_table(data) or (folder.is_dir() and not (folder / "test").is_dir()):
        return None, ""
    words = f"test images of {data}{of_classes(classes)}"
    images = images_like(data, tangent_map, split="test", classes=classes, changed=changed, option="--real")
    return images.images, words


def generated_samples(
    source: Source | None,
    path: Path | None,
    training: Samples,
    others: NDArray[Any] | None,
    *,
    trajectories: int | None,
    steps: int,
    transient: int,
    seed: int,
) -> tuple[NDArray[Any], str]:
    """Samples of a file, or the states of trajectories that start from held-out or training samples."""
    if source is None:
        return read_numbers(path, "--generated"), str(path)  # type: ignore[arg-type]
    from lyapmap.analysis.orbits.trajectory import trajectory

    real = training.points if others is None else others
    count = min(MANY, len(real)) if trajectories is None else trajectories
    start = states_among(real, source, count, seed, "--data", "samples")
    orbit = trajectory(source.map, start, n_steps=steps, transient=transient)
    if orbit.failed:
        raise RunError(orbit.message, orbit)
    states = orbit.states.reshape(-1, *training.points.shape[1:])
    of = "training" if others is None else "held-out"
    return states, f"{source.name}, steps {transient} to {transient + steps} from {count} {of} samples"


def classifier_of(
    source: Source | None,
    classifier: str | None,
    threshold: tuple[float, ...] | None,
    component: int,
    device: str | None,
) -> Callable[[Any], Any] | None:
    """A function from states to categories; None where labels were given instead of a map."""
    if classifier is not None and threshold is not None:
        raise LyapmapError("--classifier and --threshold: expected one of them, got both")
    if source is None:
        if classifier is not None or threshold is not None:
            raise LyapmapError("--classifier and --threshold: only for a map, and --labels gives categories")
        return None
    if threshold is not None:
        return _intervals(threshold, component, dimension(source.map.state_shape))
    if classifier is None and source.kind != "model":
        raise LyapmapError("expected --classifier or --threshold, which put the states of the map into categories")
    require_torch("--classifier")
    from lyapmap.files.features import classifier as load
    from lyapmap.files.features import usual_classifier

    network = load(usual_classifier(source.typed) if classifier is None else classifier, device=device or "cpu")
    if network.state_shape != image_shape(tuple(source.map.state_shape)):
        raise LyapmapError(
            f"--classifier: {network.name} takes images {network.state_shape}, "
            f"states of the map have shape {tuple(source.map.state_shape)}"
        )
    return network


def _intervals(threshold: tuple[float, ...], component: int, n: int) -> Callable[[Any], Any]:
    if component >= n:
        raise LyapmapError(f"--component: states have the components 0 to {n - 1}, got {component}")
    borders = np.array(threshold)
    if not (np.isfinite(borders).all() and (np.diff(borders) > 0).all()):
        raise LyapmapError(f"--threshold: expected ascending numbers, got {','.join(map(str, threshold))}")

    def interval(states: Any) -> Any:
        return np.digitize(states.reshape(len(states), -1)[:, component], borders)

    return interval
