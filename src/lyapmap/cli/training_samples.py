"""What a generator was trained on, what was held out, and what it generates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from lyapmap.cli.common import integers
from lyapmap.cli.measured import FILES, read_numbers
from lyapmap.cli.samples import Samples, states_among
from lyapmap.core.errors import LyapmapError, RunError
from lyapmap.core.map import TangentMap

if TYPE_CHECKING:
    from lyapmap.cli.source import Source

TRAJECTORIES = 100
"""Started at most by default."""


def training_samples(
    data: str,
    classes: str | None,
    held_out: Path | None,
    tangent_map: TangentMap | None,
    option: str = "--data",
    *,
    resize: bool = False,
) -> tuple[Samples, NDArray[Any] | None]:
    """Training samples of a data set or file, and those held out; None where there are none."""
    others = None if held_out is None else read_numbers(held_out, "--held-out")
    if Path(data).suffix in FILES:
        if classes is not None:
            raise LyapmapError(f"--classes: only for a data set, and {option} is a file")
        name = Path(data).name
        return Samples(read_numbers(Path(data), option), None, None, name, name), others
    from lyapmap.cli.image_data import images_like

    chosen = integers(classes, "--classes")
    train = images_like(data, tangent_map, split="train", classes=chosen, resize=resize, option=option)
    folder = Path(data)
    if others is None and (not folder.is_dir() or (folder / "test").is_dir()):
        others = images_like(data, tangent_map, split="test", classes=chosen, resize=resize, option=option).images
    words = f"training images of {data}" + (f", classes {classes}" if classes else "")
    return Samples(train.images, train.labels, None, data, words, train.class_names), others


def held_out_images(
    data: str, classes: tuple[int, ...] | None, tangent_map: TangentMap, *, resize: bool = False
) -> tuple[NDArray[Any] | None, str]:
    """Test images of a data set as a map has them, and what they are; None for files, and folders without any."""
    from lyapmap.cli.image_data import images_like

    folder = Path(data)
    if folder.suffix in FILES or (folder.is_dir() and not (folder / "test").is_dir()):
        return None, ""
    words = f"test images of {data}" + (f", classes {','.join(map(str, classes))}" if classes else "")
    found = images_like(data, tangent_map, split="test", classes=classes, resize=resize, option="--real")
    return found.images, words


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
    count = min(TRAJECTORIES, len(real)) if trajectories is None else trajectories
    start = states_among(real, source, count, seed, "--data", "samples")
    orbit = trajectory(source.map, start, n_steps=steps, transient=transient)
    if orbit.failed:
        raise RunError(orbit.message, orbit)
    states = orbit.states.reshape(-1, *training.points.shape[1:])
    of = "training" if others is None else "held-out"
    return states, f"{source.name}, steps {transient} to {transient + steps} from {count} {of} samples"
