"""Weights of one network in several files: an index of shards, or a folder of them; read like files by themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lyapmap.core.errors import CheckpointError
from lyapmap.core.reading.bounded import content, inside, json_in

INDEX = ".index.json"
"""How the names of indices end: model.safetensors.index.json, pytorch_model.bin.index.json."""
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
"""Kinds of files of weights, the first that a folder holds before others."""
OTHERS = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")
"""Beginnings of names of files that trainers write beside the weights."""


def files_of(path: Path) -> list[Path]:
    """The files of weights that an index or a folder stands for, in their order; none where it is neither."""
    if path.name.endswith(INDEX):
        return _of_index(path)
    if not path.is_dir():
        return []
    indices = sorted(path.glob(f"*{INDEX}"), key=lambda index: ".bin." in index.name)
    if indices:
        return _of_index(indices[0])
    for kind in WEIGHTS:
        weights = [file for file in sorted(path.glob(f"*{kind}")) if not file.name.startswith(OTHERS)]
        if weights:
            return weights
    return []


def _of_index(path: Path) -> list[Path]:
    index = json_in(content(path, CheckpointError), path, CheckpointError)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(name, str) for name in places.values()):
        raise CheckpointError(f"{path.name}: is no index of weights in several files (it has no weight_map)")
    files = [inside(path.parent, name, CheckpointError) for name in sorted(set(places.values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise CheckpointError(f"{path.name}: names {missing[0]}, which is not beside it")
    return files


def joined(path: Path, files: list[Path], read: Callable[[Path], Any]) -> dict[str, Any]:
    """Weights of all files by name.

    Raises
    ------
    CheckpointError
        If a file holds anything but weights, or two files hold the same.
    """
    weights: dict[str, Any] = {}
    for file in files:
        held = read(file)
        if not isinstance(held, dict):
            raise CheckpointError(f"{file.name}: holds {type(held).__name__}, expected weights by name")
        twice = weights.keys() & held.keys()
        if twice:
            raise CheckpointError(
                f"{path.name}: {min(map(str, twice))} stands in two of its files; give one of them, e.g. {file.name}"
            )
        weights |= held
    return weights
