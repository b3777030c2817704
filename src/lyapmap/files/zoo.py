"""Trained models by name or file: the shipped ones, and anybody's checkpoints.

A kind of file is one line in `KINDS`; the module that reads it is loaded, with its framework, when
such a file is met.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from lyapmap.core.errors import CheckpointError, MissingExtraError
from lyapmap.files import papers
from lyapmap.files.model import Model, Reader, Saved


@dataclass(frozen=True)
class Kind:
    """A kind of file that holds a network.

    Attributes
    ----------
    fits : callable
        Whether a path, or the prefix of several files, is of this kind.
    package : str
        What must be installed, and by that name an extra of ours.
    reader : str
        Module that keeps the `Reader` protocol; empty where only a paper knows what such files hold.
    """

    fits: Callable[[Path], bool]
    package: str
    reader: str


KINDS = {
    "torch": Kind(lambda path: path.suffix in (".pt", ".safetensors"), "torch", "lyapmap.files.checkpoint"),
    "Keras": Kind(lambda path: path.suffix in (".keras", ".h5", ".hdf5"), "tensorflow", "lyapmap.files.keras_networks"),
    "TensorFlow checkpoint": Kind(
        lambda path: path.suffix == ".index" or _is_prefix(path) or (path / "checkpoint").is_file(),
        "tensorflow",
        "",
    ),
    "SavedModel": Kind(lambda path: (path / "saved_model.pb").is_file(), "tensorflow", "lyapmap.files.keras_networks"),
}
REFUSED = {
    ".pt2": "it is a torch.export program, and loading it can run code that was planted in the file",
    ".pth": "lyapmap reads state dicts with their config; save one with lyapmap.training.Checkpoint",
    ".pkl": "it is a pickle, which runs code when loaded",
    ".onnx": "there is no reader for it",
}
"""Files that people have, and why they cannot be used."""


def _is_prefix(path: Path) -> bool:
    """Whether files of a TensorFlow checkpoint begin with this name."""
    return bool(path.name) and path.with_name(f"{path.name}.index").is_file()


def shipped() -> dict[str, Path]:
    """Names and files of the models that come with the package."""
    return {path.stem: path for path in sorted(_folder().glob("*.pt"))}


def _folder() -> Path:
    return Path(str(files("lyapmap.models"))) / "shipped"


INDEX = "index.json"


def index() -> dict[str, dict[str, Any]]:
    """What the shipped models are and how they were trained, with no framework at hand to read their files.

    Written by `make shipped`; a test holds it against the files.

    Examples
    --------
    >>> index()["cycle-digits-012"]["sample_states"]
    [64, 1, 8, 8]
    """
    return cast(dict[str, dict[str, Any]], json.loads((_folder() / INDEX).read_text()))


def card(name: str) -> str:
    """The model card of a shipped model, in Markdown."""
    return shipped()[name].with_suffix(".md").read_text()


def kind_of(name: str | Path) -> tuple[Path, Kind]:
    """The file that a name stands for, and of which kind it is.

    Raises
    ------
    CheckpointError
        If there is no such model or file, or nothing reads files of its kind.
    """
    path = shipped().get(str(name), Path(name))
    for kind in KINDS.values():
        if kind.fits(path):
            return path, kind
    if not path.exists():
        close = difflib.get_close_matches(str(name), shipped(), n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise CheckpointError(
            f"model: {str(name)!r} is neither a file nor one of {', '.join(shipped()) or 'no shipped models'}{hint}"
        )
    reason = REFUSED.get(path.suffix, "it is of no kind that is known")
    raise CheckpointError(
        f"{path}: refused, because {reason}; expected a .pt or .safetensors checkpoint, a .keras or .h5 model, "
        "a TensorFlow checkpoint or a SavedModel folder"
    )


def load_model(
    name: str | Path,
    *,
    dtype: str | None = None,
    device: str | None = None,
    memory_limit: int | None = None,
    part: str | None = None,
    trust: bool = False,
) -> Model:
    """Load a trained network by name or from a file, as a map.

    Parameters
    ----------
    name : str or path
        Name of a shipped model; a `.pt` or `.safetensors` checkpoint; a `.keras` or `.h5` model; a
        checkpoint of `tf.train.Checkpoint` (its prefix, its `.index` file or its folder) that holds
        a cycle generator; the folder of a SavedModel.
    dtype : "float32" or "float64", optional
        Of the map; as saved by default.
    device : str, optional
        Where the map computes; the CPU by default.
    memory_limit : int, optional
        Bytes that one pass of tangents may take, about.
    part : str, optional
        Which network of a TensorFlow checkpoint, e.g. "generator_g"; needed where there are several.
    trust : bool
        Load files that may run code when they are loaded (SavedModel). All others cannot.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        If there is no such model or file, or the file cannot be used.
    MissingExtraError
        If the framework that it needs is not installed.

    Examples
    --------
    >>> model = load_model("cycle-digits-012")
    >>> model.map.state_shape
    (1, 8, 8)
    """
    saved, reader = load_saved(name, part=part, trust=trust)
    options = {"dtype": dtype, "device": device, "memory_limit": memory_limit}
    made = reader.as_map(saved, **{key: value for key, value in options.items() if value is not None})
    shape, states = tuple(made.state_shape), saved.sample_states
    if states is None:
        states = np.zeros((0, *shape), np.float32)
    if states.shape[1:] != shape or not np.isfinite(states).all():
        wanted = ", ".join(map(str, shape))
        raise CheckpointError(f"{name}: sample_states have shape {states.shape}, expected (m, {wanted}), all finite")
    label = saved.origin["model"]
    return Model(label, made, saved.module, states, saved.architecture, saved.config, saved.training)


def load_saved(name: str | Path, *, part: str | None = None, trust: bool = False) -> tuple[Saved, Reader]:
    """A network as its file has it, and the module that read it; see `load_model`."""
    path, kind = kind_of(name)
    if part is not None and kind is not KINDS["TensorFlow checkpoint"]:
        raise CheckpointError(f"part: only TensorFlow checkpoints hold several networks, and {path.name} is none")
    reader = _reader(kind)
    return reader.read(path, str(name) if str(name) in shipped() else path.name, part, trust), reader


def record(name: str | Path) -> dict[str, Any]:
    """How a model was trained, as far as its file says so.

    Examples
    --------
    >>> record("cycle-digits-012")["settings"]["data"]
    'digits'
    """
    path, kind = kind_of(name)
    return _reader(kind).record(path)


def _reader(kind: Kind) -> Reader:
    if find_spec(kind.package) is None:
        raise MissingExtraError(kind.package, kind.package, "loading this model")
    name = next(name for name, known in KINDS.items() if known is kind)
    return import_module(kind.reader or papers.reader_of(name))
