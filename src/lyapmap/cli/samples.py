"""Real samples that a command compares with, and where trajectories among them start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.cli.common import integers
from lyapmap.cli.measured import FILES, read_numbers
from lyapmap.core.errors import LyapmapError, ShapeError
from lyapmap.core.map import TangentMap, dimension

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

TRAJECTORIES = 8
"""Default number where each is compared by itself."""


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
    classes: str | None,
    most: int | None,
    seed: int,
    tangent_map: TangentMap | None = None,
    *,
    resize: bool = False,
) -> Samples:
    """Test images of a data set as a map has them, or rows of a file; at most so many, chosen at random."""
    rng = np.random.default_rng(seed)
    if Path(real).suffix in FILES:
        if classes is not None:
            raise LyapmapError("--classes: only for a data set, and --real is a file")
        points = read_numbers(Path(real), "--real")
        return Samples(_some(points, most, rng), None, None, Path(real).name, Path(real).name)
    from lyapmap.cli.image_data import images_like

    chosen = integers(classes, "--classes")
    test, train = (
        images_like(real, tangent_map, split=split, classes=chosen, resize=resize, option="--real")
        for split in ("test", "train")
    )
    keep = _some(np.arange(len(test)), most, rng)
    others = _some(train.images, len(keep), rng) if Path(real).is_dir() is False else None
    if others is not None and len(others) < len(keep):
        others = None
    words = f"test images of {real}" + (f", classes {classes}" if classes else "")
    return Samples(test.images[keep], test.labels[keep], others, real, words)


def some(rows: Sequence[int], most: int | None, seed: int) -> NDArray[Any]:
    """At most so many numbers of rows, chosen at random, in their order."""
    return _some(np.asarray(rows), most, np.random.default_rng(seed))


def _some(points: NDArray[Any], most: int | None, rng: np.random.Generator) -> NDArray[Any]:
    if most is None or len(points) <= most:
        return points
    return np.asarray(points[np.sort(rng.choice(len(points), most, replace=False))])


def chosen_features(name: str | None, real: Samples, weights: Path | None, tangent_map: TangentMap | None) -> Any:
    """The function that turns samples into features; None for values as they are."""
    images = real.points.ndim == 4
    if name is None:
        from lyapmap.core.errors import CheckpointError

        if not images:
            return None
        try:
            return chosen_features("classifier", real, weights, tangent_map)
        except CheckpointError:
            raise
        except LyapmapError:
            return None  # no classifier is shipped for this data
    if name == "pixels":
        return None
    if not images:
        raise LyapmapError(f"--features: {name} takes images, and --real holds rows of {real.points.shape[1:]} values")
    from lyapmap.cli.source import require_torch

    require_torch("--features")
    from lyapmap.files.features import features

    return features(name, data=real.name, state_shape=real.points.shape[1:], weights=weights)


def initial_states(source: Source, real: Samples, count: int | None, over: str, seed: int) -> tuple[NDArray[Any], str]:
    """Real samples to start from, as many as one comparison takes by default."""
    wanted = count if count is not None else TRAJECTORIES if over == "trajectories" else len(real.points)
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


def neighbor_numbers(text: str) -> tuple[int, ...]:
    """Numbers as `--k 3`, `--k 3,5,10` and `--k 1-10` give them."""
    found: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        try:
            found += range(int(low), int(high) + 1) if dash else [int(low)]
        except ValueError:
            raise LyapmapError(f"--k: expected numbers like 3,5,10 or 1-10, got {text!r}") from None
    if not found:
        raise LyapmapError(f"--k: {text!r} holds no number")
    return tuple(found)
